/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The start-up sweep by two processes: one that may look at all others writes what it sees into a
 * memory file, the other takes it from there as if it had looked itself.
 *
 * The file is of one and the same program a moment ago; it is checked all the same.
 * Threads: one. Blocks: no. Logs: no. Errors: 0, -errno; -EPROTO = not such a file.
 */
#pragma once

#include "enrich/procfs.h"

/* Sweeps (@p NULL: does not) into a new file; *ret_fd is sealed. Descriptors beyond @budget are not
 * looked at. */
int seed_file_write(struct procfs *p, size_t budget, int *ret_fd);

/*
 * Calls @process for each process, then @socket for each of its sockets unless @process returned
 * false.
 */
typedef bool (*seed_process_fn)(void *arg, const struct procfs_process *p);
int seed_file_read(int fd, seed_process_fn process, procfs_inode_fn socket, void *arg);
