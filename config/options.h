/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemons' command line: common options and a program's own, into plain values.
 *
 * Threads: one (getopt's state is global). Blocks: no. Logs: the one line that says what is wrong.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "config/daemon.h"

#define OPTIONS_SET_MAX 128u /* --set on one command line */
#define OPTIONS_OWN_MAX 16u  /* a program's own */

struct options {
	const char *file;        /* NULL: the default */
	const char *runtime_dir; /* NULL: the default */
	const char *set[OPTIONS_SET_MAX];
	size_t n_set;
	bool check_config, print_config, examine, debug, help, version;
};

/* Parses all of @argv. 0, or -EINVAL after logging why. */
int options_parse(struct options *o, int argc, char **argv, const struct daemon_option *own,
	int (*own_set)(void *arg, const char *name, const char *value), void *arg);
/* Prints usage to standard output. */
void options_help(const char *program, const struct daemon_option *own);
