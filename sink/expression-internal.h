/* SPDX-License-Identifier: Apache-2.0 */
/* What the parser of expressions, their keys and their evaluation share. */
#pragma once

#include "sink/expression.h"
#include "sink/fields.h"

/* A value that a record has under a key. */
struct expression_value {
	enum {
		EXPRESSION_VALUE_NONE, /* unknown: matches nothing */
		EXPRESSION_VALUE_TEXT,
		EXPRESSION_VALUE_NUMBER,
		EXPRESSION_VALUE_ADDRESS,
	} kind;
	const char *text;
	size_t len;
	uint64_t number;
	const uint8_t *address; /* 16 bytes, IPv4 as ::ffff:a.b.c.d */
};

struct expression_key {
	struct expression_key_info info;
	const char *alias; /* another name, or NULL */
	/* The record's i-th value; false: there is no i-th. */
	bool (*value)(const struct expression_key *k, const struct record *r, unsigned i,
		struct expression_value *ret);
	const char *field;         /* its name in the table of fields; NULL: of several */
	const struct field *plain; /* that field, once the key was asked for */
};

/* NULL: no such key. */
const struct expression_key *expression_key_find(const char *name, size_t len);

/* What a term asks for. */
struct expression_pattern {
	enum {
		EXPRESSION_PATTERN_GLOB,
		EXPRESSION_PATTERN_RANGE,
		EXPRESSION_PATTERN_NET,
		EXPRESSION_PATTERN_ANY, /* what a bare word means is in its value() */
	} kind;
	char *glob; /* owned: * is any bytes, \ takes the next byte literally */
	size_t len;
	bool fold; /* ASCII letters match in both cases */
	uint64_t low, high;
	uint8_t address[16];
	unsigned bits; /* of 128 */
};

struct expression_term {
	const struct expression_key *key;
	bool negated;
	bool alternative; /* the first of a new alternative */
	size_t first, n;  /* its patterns */
};

struct expression {
	size_t n_terms, n_patterns;
	struct expression_term term[EXPRESSION_TERMS_MAX];
	struct expression_pattern pattern[EXPRESSION_VALUES_MAX];
};

bool expression_glob(const char *glob, size_t n, const char *text, size_t len, bool fold);
