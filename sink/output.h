/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One configured output: a format, an open file or stream, and where in it we are.
 *
 * Threads: one. Blocks: output_open() and output_recover() only. Logs: no. Errors: 0; -errno;
 * OUTPUT_E_* with the complaint in @err.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "sink/format.h"
#include "sink/rules.h"
#include "sink/writer.h"

#define OUTPUT_QUEUE 8u /* output.buffer times this is the memory of an output */

enum {
	OUTPUT_E_INVALID = 1, /* no such format, a rule that is wrong: configuration errors */
	OUTPUT_E_OPEN = 2,    /* the file cannot be used */
};

struct output_error {
	char text[512];
};

struct output {
	const struct format *format;
	char *path; /* "-" = standard output */
	int fd;
	enum writer_target target;
	uint64_t id;     /* of the file (device and inode); 0 for streams */
	uint64_t offset; /* where the writer's byte 0 goes */
	struct writer *writer;
	struct format_context context;
	struct rules rules;

	/* Records up to here are in the file already (output_recover()). */
	uint64_t skip_epoch, skip_seq;
};

/*
 * Opens what @config (not kept) describes. A regular file is created with mode 0640 where it is
 * missing (its folder must exist), never through a symbolic link, and locked against a second
 * writer; a predecessor that was killed may hold the lock a moment longer, this is waited for.
 * Nothing is written or cut.
 */
int output_open(struct output *o, const struct config_output *config,
	const struct format_context *ctx, struct output_error *err);
void output_deinit(struct output *o);

/* Makes the writer, io_uring if wanted and possible. *ret_why: 0 or why there is no io_uring. */
int output_start(struct output *o, bool uring, uint64_t buffer, int *ret_why);

/*
 * Finds the place to go on: at @checkpoint if that is known for this file (what is behind it was
 * never acknowledged and is cut off), else behind the last whole line, and then records that the
 * file already has are skipped. -EBADMSG: this is not a file of
 * the format. Streams: nothing to do. Before the
 * first byte is flushed.
 */
int output_recover(struct output *o, bool known, uint64_t checkpoint);

/* True if the file has this record already. */
bool output_skips(const struct output *o, const struct record *r);
