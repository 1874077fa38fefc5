/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a look at this machine has found, one line each: `flowner-capture --examine` and the like
 * print them, `flowner doctor` reads them. A line is VERDICT, ID, WHAT and REMEDY between tabs.
 *
 * Threads: one. Blocks: on standard output. Logs: no.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

enum finding_verdict {
	FINDING_PASS,
	FINDING_WARN, /* works, but less than it could */
	FINDING_FAIL, /* does not work as configured */
	FINDING_VERDICTS
};

#define FINDING_LINE_MAX 1024u /* bytes of a line with its newline */

struct finding {
	enum finding_verdict verdict;
	char id[40];      /* "capture.tap": who looked, and at what */
	char what[440];   /* one sentence; foreign bytes are escaped */
	char remedy[440]; /* what to do about it; "" = nothing */
};

/* "pass", "warn", "fail". */
const char *finding_name(enum finding_verdict verdict);

/* @remedy "" = none; @format and what follows make `what`. What is too long is cut. */
void finding_make(struct finding *ret, enum finding_verdict verdict, const char *id,
	const char *remedy, const char *format, ...) __attribute__((format(printf, 5, 6)));

void finding_print(const struct finding *f, FILE *out);
/* The same at once, to standard output. */
void finding_say(enum finding_verdict verdict, const char *id, const char *remedy,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

/* One line without its newline; false: it is none of finding_print()'s. */
bool finding_parse(const char *line, struct finding *ret);
