/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compresses files that were put aside, a bounded step at a time between batches: one thread and no
 * further system call than file operations, so that the sink's privileges stay those of one simple
 * process. A step is at most 128 KiB, under a millisecond of work; the ring waits that long.
 *
 *	NAME				killed here, the successor finds
 *	  write NAME.zst.tmp, sync	  NAME and a part: it begins again
 *	  rename to NAME.zst		  both, and NAME.zst is whole: it removes NAME
 *	  remove NAME			  NAME.zst
 *
 * Threads: one. Blocks: on the file system. Logs: no. Errors: -errno.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "sink/output.h"

struct compress {
	void *context; /* libzstd's; NULL = nothing under way */
	int dir_fd, in_fd, out_fd;
	char name[NAME_MAX + 1];
	char *buf; /* a step's input and output */
	uint64_t unsynced;
};

enum { COMPRESS_E_NONE = 1, COMPRESS_E_MORE = 2 };

/*
 * Begins with the oldest of the output's files that are not compressed and were put aside after
 * *after_ns; that is set to its time, whatever comes of it. COMPRESS_E_NONE: there is none.
 */
int compress_begin(struct compress *c, const struct output *o, uint64_t *after_ns);
/* 0: the file is done; COMPRESS_E_MORE: it is not. */
int compress_step(struct compress *c);
/* Gives up what is under way. */
void compress_deinit(struct compress *c);
