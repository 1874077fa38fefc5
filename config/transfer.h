/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and writing, at a place or where the descriptor is, by one system call each: preadv2(2)
 * and pwritev2(2). A program's sandbox then holds two calls in place of four.
 *
 * Threads: any. Blocks: as the descriptor does. Logs: no.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#define TRANSFER_HERE ((off_t)-1) /* where the descriptor is; the only place of a pipe */

/* As pread(2) and pwrite(2): the number of bytes, or -1 and errno. */
ssize_t transfer_read(int fd, void *buf, size_t len, off_t offset);
ssize_t transfer_write(int fd, const void *buf, size_t len, off_t offset);
/* Returns when it is on the disk. */
ssize_t transfer_write_through(int fd, const void *buf, size_t len, off_t offset);
