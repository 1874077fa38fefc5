/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends an output's file and begins the next: put aside under a name with the time, or moved away by
 * somebody else.
 *
 * It happens only while everything read from the ring is written and released, so that the
 * checkpoint says for the ring's tail T exactly where the old file ends:
 *
 *	old file up to X		killed here, the successor finds
 *
 *	  foot behind X			  checkpoint (T, old, X), and the path is the old file:
 *					  cuts it at X, goes on in it
 *
 *	  rename to NAME-TIME.EXT	  the path is free: begins a new file; finds the old one
 *					  beside it, cuts it at X and gives it a foot
 *
 *	  create the path		  the path is empty: the same
 *
 *	  head (one write)		  the path has a head alone: the same, goes on in it
 *
 *	  store (T, new, end of head)	  goes on in it
 *
 * No record is read meanwhile, so nothing behind T is in any file: nothing is lost, nothing written
 * twice. Where a step fails, the ones before it are undone and the old file goes on.
 *
 * Threads: one. Blocks: on the file system, for some small operations. Logs: no. Errors: -errno.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sink/output.h"

#define ROTATE_RETRY_NS UINT64_C(10000000000) /* pause after a failure */
#define ROTATE_TIME_LEN 20u                   /* "20261127T071500.123Z" */

/*
 * The name beside @name for a file put aside at @t_ns: flowner.ndjson becomes
 * flowner-20261127T071500.123Z.ndjson, so that names sort as times do. -ENAMETOOLONG.
 */
int rotate_name(const char *name, uint64_t t_ns, char *ret, size_t size);
/* Whether @file is such a name of @name, also compressed (.zst), and of which time. */
bool rotate_is_name(const char *name, const char *file, uint64_t *ret_t_ns, bool *ret_zst);

/* The next whole multiple of the output's interval behind @t_ns, 0 = it has none. */
uint64_t rotate_next(const struct output *o, uint64_t t_ns);
/* Whether the file is to be put aside: it holds something, and its size or time has come. */
bool rotate_is_due(const struct output *o, uint64_t now_ns);

/* renameat2(2) within a folder: 0 or -errno. */
int rotate_rename(int dir, const char *from, const char *to, unsigned flags);
/* Puts the file aside and begins a new one. Its writer has nothing to write. */
int rotate_put_aside(struct output *o, uint64_t now_ns);
/* The file has been removed: what is written to it nobody will read. */
bool rotate_is_removed(const struct output *o);
/* The path's folder is on another file system now: ours was taken away from under it. */
bool rotate_is_elsewhere(const struct output *o);
/*
 * Where the path is no longer the open file: ends that one and opens what is there, or a new one.
 * Returns 1 if it did, 0 if there was nothing to do. Follows a folder that was made anew, too.
 */
int rotate_reopen(struct output *o, uint64_t now_ns);
