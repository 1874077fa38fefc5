/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of `flowner run` as a struct.
 *
 * Threads: one (getopt). Blocks: no. Logs: no. Errors: 0; ARGUMENTS_E_USAGE with one line saying
 * what is wrong; -ENOMEM.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARGUMENTS_LIST_MAX 64u /* uses of one repeatable option */

enum { ARGUMENTS_E_USAGE = 1 };

struct arguments_list {
	const char *item[ARGUMENTS_LIST_MAX];
	size_t n;
};

struct arguments {
	const char *config_file; /* -c, NULL = none */
	const char *file;        /* -r, NULL = live */
	char *filter;            /* the words of the filter expression joined, NULL = none; owned */
	struct arguments_list interfaces;
	struct arguments_list netns; /* network namespaces to capture in */
	struct arguments_list outputs;
	struct arguments_list sets;
	uint64_t duration_ns; /* -d, 0 = until the end */
	char **command;       /* what follows "--", NULL = nothing; borrowed from argv */
	bool stats;           /* print the ledger at the end */
	bool verbose;         /* the three programs say what they do */
	bool help;
};

/*
 * Parses argv[1..] of `flowner run`; reorders argv. @why (of @size bytes) takes the complaint. The
 * strings are argv's. Free with arguments_deinit(), also after an error.
 */
int arguments_parse(struct arguments *o, int argc, char **argv, char *why, size_t size);
void arguments_deinit(struct arguments *o);

/* "90", "1.5s", "500ms", "10m", "2h" as ns; false if it is nothing of these, zero or too much. */
bool arguments_duration(const char *text, uint64_t *ret_ns);
