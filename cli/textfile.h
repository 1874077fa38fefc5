/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that is always whole: written beside itself, then renamed, for the textfile collector of
 * Prometheus's node exporter.
 *
 * Threads: one. Blocks: file system. Logs: no. Errors: 0, -errno.
 */
#pragma once

#include <stdio.h>

struct textfile {
	int dir_fd; /* of its folder, -1 = no such file is wanted */
	char name[256], next[264];
};

#define TEXTFILE_NONE ((struct textfile){.dir_fd = -1})

/* Opens the folder of @path: written to there from now on, whoever we are then. */
int textfile_open(struct textfile *t, const char *path);
void textfile_close(struct textfile *t);

/* Puts @len bytes there, mode 0644: readers see them all, or what was there before. */
int textfile_write(const struct textfile *t, const char *bytes, size_t len);
