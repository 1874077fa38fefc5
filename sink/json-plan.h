/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A JSON format compiled from the table of fields: steps that copy ready-made bytes and append
 * values, so that a line costs neither names nor searches.
 *
 * Values that a record does not have are left out, and objects without members with them (or, if
 * the format says so, a fixed text stands for them). The order of keys is that of the table.
 *
 * What a line says of a process is kept: it is copied into the next record of the same one. Of two
 * lines with the same processes and of the same kind most else is the same, too: one of a kind that
 * is met often is kept whole, and of the next only the values that differ are written anew.
 *
 * Threads: one at a time for each plan. Blocks: no. Logs: no. Never fails: the table is known at
 * build time and tests compile all of it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sink/fields.h"
#include "sink/known.h"

#define JSON_PLAN_STEPS 384u
#define JSON_PLAN_BYTES 16384u
#define JSON_PLAN_WORDS 256u
#define JSON_PLAN_PARTS 12u /* of the texts of a process */
#define JSON_LINE_SETS  256u
#define JSON_LINE_WAYS  2u
#define JSON_LINE_TIMES 4u /* a kind must be met to be worth keeping */

enum json_plan_time {
	JSON_PLAN_RFC3339,      /* times "2026-01-01T00:00:00.000000000Z", durations in ns */
	JSON_PLAN_MILLISECONDS, /* both as whole numbers */
	JSON_PLAN_SECONDS,      /* both as numbers with six decimals */
	JSON_PLAN_SPACED,       /* times "2026-01-01 00:00:00.000" */
};

/* What a format wants. */
struct json_plan_style {
	enum field_format column;
	enum json_plan_time time;
	bool flat;          /* the path is the key, dots and all */
	bool ordered;       /* by struct field_in's order */
	bool quoted_ids;    /* ids are strings */
	const char *absent; /* stands for a missing value; NULL: left out */
};

struct json_step {
	const struct field *field; /* of a value */
	uint64_t missing;          /* bits of json-plan-write.c's state with which it is left out */
	uint32_t none;             /* of the field, as its next three */
	uint16_t offset;
	uint8_t from;
	uint8_t of;    /* whose state */
	uint16_t text; /* what is copied first: `"key":`, `"key":"` or `"key":{`; its first word */
	uint16_t len;
	uint16_t next; /* the step behind this one and its members */
	uint8_t run;   /* see json-plan-internal.h */
	uint8_t op;    /* the same */
};

/* A member with one of the few values it can have, whole; len 0: nothing. */
struct json_word {
	uint16_t text;
	uint16_t len;
};

/* The texts of a known process, one behind the other. */
struct json_made {
	uint64_t id; /* known_end's; 0: none */
	uint64_t pos;
	uint16_t len[JSON_PLAN_PARTS];
};

/* All that decides what a line says, but for the values that are written anew. */
struct json_kind {
	uint64_t orig, resp; /* known_ends' ids */
	uint64_t head;       /* the record's first eight bytes: what it is, of what protocol, ... */
	uint64_t epoch;
	uint32_t have; /* struct field_source's, of the record */
	uint32_t service;
};

/* A line kept: where in it those values stand, and which they are, then its text. */
struct json_line {
	struct json_kind kind;
	uint64_t pos;
	uint32_t values; /* struct json_value, in front of the text; 0: there is no line */
	uint32_t len;    /* bytes of text */
};

/* The last kind of a set that was not kept. */
struct json_seen {
	uint32_t hash;
	uint32_t times;
};

struct json_plan {
	struct json_plan_style style;
	struct json_step step[JSON_PLAN_STEPS + 1]; /* the last ends them */
	struct json_word word[JSON_PLAN_WORDS];
	uint16_t n;
	uint16_t n_words;
	uint16_t used;
	/* Copied in pieces of 32 bytes: some must follow the last. */
	char bytes[JSON_PLAN_BYTES + 32];
	uint8_t parts[2]; /* how many there are, of the process and of the responder's */
	struct json_made made[2][KNOWN_SLOTS];
	struct known_bytes texts;
	bool anew[JSON_PLAN_STEPS + 1]; /* steps whose value is not of the kind */
	struct json_seen seen[JSON_LINE_SETS];
	struct json_line line[JSON_LINE_SETS][JSON_LINE_WAYS];
	struct known_bytes lines;
	uint64_t repeated; /* lines made of kept ones */
};

/* What is constant for the host of @ctx is written into the plan. */
void json_plan_compile(struct json_plan *plan, const struct json_plan_style *style,
	const struct format_context *ctx);

/*
 * The epoch and the sequence number of a line: the numbers behind @epoch and @seq, which are keys
 * with quotes and colon. Foreign text cannot fake them: the quotes in it are escaped.
 */
bool json_plan_last(const char *line, size_t len, const char *epoch, const char *seq,
	uint64_t *ret_epoch, uint64_t *ret_seq);

/* One object and a newline at @p; returns the place behind. @ends: see struct format. */
char *json_plan_write(struct json_plan *plan, const struct record *r, const struct known_ends *ends,
	const struct format_context *ctx, char *p);
