/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One configured output: a format, an open file or stream, and where in it we are.
 *
 * Threads: one. Blocks: output_open() and output_recover() only. Logs: no. Errors: 0; -errno;
 * OUTPUT_E_* with the complaint in @err.
 */
#pragma once

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "config/config.h"
#include "sink/format.h"
#include "sink/rules.h"
#include "sink/writer.h"

#define OUTPUT_QUEUE 16u /* output.buffer times this is the memory of an output */

enum {
	OUTPUT_E_INVALID = 1, /* no such format, a rule that is wrong: configuration errors */
	OUTPUT_E_OPEN = 2,    /* the file cannot be used */
};

#define OUTPUT_OPEN (O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

struct output_error {
	char text[512];
};

struct output {
	const struct format *format;
	char *path; /* "-" = standard output */
	int fd;
	enum writer_target target;
	int dir_fd;        /* of the file's folder, open from the start; -1 for standard output */
	const char *name;  /* in that folder; a part of `path` */
	uint64_t id;       /* of the file (device and inode); 0 for streams */
	uint64_t offset;   /* where the writer's byte 0 goes, modulo 2^64 */
	uint64_t head_len; /* a file of this size has no record yet */
	uint64_t due_ns;   /* CLOCK_REALTIME of the rotation by time, 0 = none */
	uint64_t retry_ns; /* the same of the next try after one that failed, 0 = none */
	bool closed;       /* the file has its foot already */
	struct format_section section;
	struct config_output limits; /* its numbers only */
	struct writer *writer;
	struct format_context context;
	struct rules rules;

	/* What the loop has counted and said of it. */
	struct {
		bool failing, gone;
		uint64_t quiet_ns;                     /* nothing about errors before */
		uint64_t writes, errors, bytes, lines; /* in the ledger */
	} told;
	uint64_t lines; /* written since it was opened */

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
 * never acknowledged and is cut off), else behind the last whole item, and then records that the
 * file already has are skipped. A file without anything gets the format's head; one that is not in
 * the checkpoint, of a format whose files end with a foot, is ended and put aside. -EBADMSG: this
 * is not a file of the format. Streams: their head is queued. Before the first byte is flushed.
 */
int output_recover(struct output *o, bool known, uint64_t checkpoint);
/*
 * Ends the file @id of a checkpoint at @offset, wherever in the folder it was moved to; with a foot
 * if it begins as this format's files do. False: it is not in the folder.
 */
bool output_mend(struct output *o, uint64_t id, uint64_t offset, uint64_t t_ns);

/* Takes over the numbers of @config. */
void output_set_limits(struct output *o, const struct config_output *config);
/*
 * The mode of files that are made: 0640, less what the umask forbids. It is taken out of the
 * process, so that a mode to copy needs no second system call.
 */
void output_take_umask(void);
mode_t output_mode(void);
/* Bytes of the file once everything appended is written. */
uint64_t output_size(const struct output *o);
uint64_t output_file_id(const struct stat *st);
/* -EWOULDBLOCK: another process has it, also after a moment of waiting. */
int output_lock(int fd, bool wait);
/* The foot behind @size bytes of the open file, all or nothing; @size stays where writing goes on.
 */
int output_write_foot(struct output *o, uint64_t size, uint64_t t_ns);
/* The end of the run: the foot, in a stream queued. Everything else is written. */
int output_end(struct output *o, uint64_t t_ns);
/*
 * Makes the file where there is none, with its head. @mode 0: output_mode(). After an error it may
 * be there, empty.
 */
int output_create(struct output *o, mode_t mode, uint64_t t_ns);
/* Opens the folder that the path names now; the one before is the caller's to close. -errno. */
int output_open_folder(struct output *o);
/* Opens the file at the path or makes it, with its head. */
int output_reopen(struct output *o, uint64_t t_ns);

/* True if the file has this record already. */
bool output_skips(const struct output *o, const struct record *r);
