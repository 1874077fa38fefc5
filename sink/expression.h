/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter language over records: `process:curl port:443 not host:10.0.0.0/8`.
 *
 *	expression  = terms { "or" terms }        one of the alternatives holds
 *	terms       = ["not"] term { terms }      all of them hold
 *	term        = KEY:VALUE{,VALUE}           one of the values is one of the record's
 *	            | loopback                    a bare word
 *
 * A record may have several values under one key: a process key asks both local ends, port and host
 * both ends. A value that the record does not have matches nothing. What a VALUE can be depends on
 * the key (enum expression_type). In a VALUE, \ takes any byte literally and "..." spaces and
 * commas.
 *
 * Threads: any; a parsed expression is read only. Blocks: no. Logs: no. Errors: 0;
 * EXPRESSION_E_SYNTAX with the complaint in @err; -ENOMEM.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/record.h"

#define EXPRESSION_MAX        4096u /* bytes of one */
#define EXPRESSION_TERMS_MAX  64u
#define EXPRESSION_VALUES_MAX 256u /* over all terms */

enum { EXPRESSION_E_SYNTAX = 1 };

struct expression_error {
	size_t column;  /* in bytes, from 1 */
	char text[320]; /* "column 9: unknown key "prot" (did you mean "proto"?)"; printable */
};

/* The text without its column. */
const char *expression_error_text(const struct expression_error *err);

enum expression_type {
	EXPRESSION_TEXT,     /* exact, case counts; * stands for any bytes, also none */
	EXPRESSION_NUMBER,   /* N, N-M, N- (at least), -M (at most) */
	EXPRESSION_SIZE,     /* the same with B, KiB, MiB, GiB; without: bytes */
	EXPRESSION_DURATION, /* the same with ns, us, ms, s, m, h, d */
	EXPRESSION_NAME,     /* one of the words the key knows */
	EXPRESSION_PROTO,    /* a protocol's name, or numbers */
	EXPRESSION_HOST,     /* an address, ADDRESS/BITS, or a DNS name as TEXT, case ignored */
	EXPRESSION_BARE,     /* no VALUE */
};

struct expression;

/* Parses NUL-terminated @text; an empty one matches everything. *ret to expression_free(). */
int expression_parse(const char *text, struct expression **ret, struct expression_error *err);
void expression_free(struct expression *e);

/* @r has passed record_check(). A RECORD_LOSS has no values. */
bool expression_matches(const struct expression *e, const struct record *r);

/* What can stand before the colon, for help texts. */
struct expression_key_info {
	const char *name;
	enum expression_type type;
	const char *help;
	/* NAME: the n-th of `words` words; "" = a value without a word. Else NULL. */
	const char *(*word)(unsigned n);
	unsigned words;
};
/* NULL behind the last. */
const struct expression_key_info *expression_key_at(unsigned n);
