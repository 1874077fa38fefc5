/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program can still do once it runs: system calls by a table (seccomp), files by a list
 * (Landlock).
 *
 * Each program has its table in its own folder, one row for a call and a reason for each. What is
 * in no row ends the process. Entered once, after privileges_drop(), when everything is open.
 * Sources: seccomp(2), landlock(7), seccomp_rule_add(3).
 *
 * Threads: one. Blocks: no. Logs: a call that is refused, with CONFIG_SECCOMP_LOG only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

#define SANDBOX_ARGS 2

enum sandbox_test {
	SANDBOX_ANY,
	SANDBOX_IS,      /* the lower 32 bits are the value */
	SANDBOX_WITHOUT, /* none of the value's bits are set */
};

struct sandbox_arg {
	unsigned index; /* of the call's arguments, from 0 */
	enum sandbox_test test;
	uint64_t value;
};

/* For the tables: argument @i is @number; has none of its bits. */
#define SANDBOX_ARG(i, number)                                                                     \
	{                                                                                          \
		.index = (i), .test = SANDBOX_IS, .value = (uint64_t)(number)                      \
	}
#define SANDBOX_ARG_WITHOUT(i, number)                                                             \
	{                                                                                          \
		.index = (i), .test = SANDBOX_WITHOUT, .value = (uint64_t)(number)                 \
	}

/*
 * One way to make a call; several rows of one name are alternatives. Rows that are used most stand
 * first: the filter looks at them first.
 */
struct sandbox_call {
	const char *name;
	unsigned only; /* only if one of these conditions of the program holds; 0 = always */
	bool refused;  /* not allowed, and no reason to die either: it fails with @error */
	int error;     /* 0: it returns 0 and does nothing */
	struct sandbox_arg arg[SANDBOX_ARGS];
	const char *why;
};

/* What the program may do below a folder, or with a file. */
struct sandbox_path {
	const char *path; /* NULL: @fd says which */
	int fd;
	bool write; /* also make, change, rename and remove files */
};

struct sandbox {
	const struct sandbox_call *calls;
	size_t n_calls;
	unsigned conditions; /* those of the table that hold */
	unsigned starting;   /* of these, those that sandbox_narrow() takes away */
	enum config_seccomp seccomp;
	enum config_landlock landlock;
	const struct sandbox_path *paths; /* one that is not there is none */
	size_t n_paths;
};

struct sandbox_report {
	unsigned calls; /* allowed ones, by name; 0 = there is no filter */
	int landlock;   /* version of the kernel's Landlock; 0 = not applied */
	char text[256]; /* both for a log line, with what is missing */
};

/* The folder of the configuration @file (NULL: the default) and of its fragments, to read again. */
const char *sandbox_config_folder(const char *file);

/* The number of different calls that @s allows, once it is narrowed. */
unsigned sandbox_count(const struct sandbox *s);

/*
 * Applies both, for good. A kernel without Landlock is no error, and said in the report. -errno
 * otherwise: the program must not go on.
 */
int sandbox_enter(const struct sandbox *s, struct sandbox_report *ret);

/* Takes the rows away that the program needed only so far. */
int sandbox_narrow(const struct sandbox *s);
