/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations of a compiled JSON format, shared by what compiles it (json-plan.c) and what runs
 * it (json-plan-write.c).
 *
 * Threads: any. Blocks: no. Logs: no. Never fails.
 */
#pragma once

#include "sink/json-plan.h"

#define JSON_PLAN_DEPTH 8u /* of objects in objects */

/* How a value is written. */
enum json_op {
	JSON_OP_OPEN = 0,
	JSON_OP_OPEN_LIST,
	JSON_OP_STRING,
	JSON_OP_NUMBER,
	JSON_OP_QUOTED,
	JSON_OP_HEX,
	JSON_OP_ADDRESS,
	JSON_OP_BOOLEAN,
	JSON_OP_TITLE,
	JSON_OP_RFC3339,
	JSON_OP_MILLISECONDS,
	JSON_OP_SECONDS,
	JSON_OP_SPACED,
	JSON_OP_LIST,
	JSON_OP_NUMBERS,
	JSON_OP_COMMAND,
	JSON_OP_DATA,
	JSON_OP_ADDRESSES,
	JSON_OP_JSON,
};

/* What a step does: what most steps do has a way of its own, the rest the last ones. */
enum json_run {
	JSON_RUN_END = 0,
	JSON_RUN_COPY,
	JSON_RUN_OPEN,
	JSON_RUN_CLOSE,
	JSON_RUN_CLOSE_LIST,
	JSON_RUN_WORD,
	JSON_RUN_STR,
	JSON_RUN_ADDRESS,
	JSON_RUN_AGAIN, /* the address in front of it */
	JSON_RUN_U16,   /* numbers in decimal, unless equal to `none` */
	JSON_RUN_U32,
	JSON_RUN_U64,
	JSON_RUN_ALWAYS, /* a u64 in decimal */
	JSON_RUN_READ,   /* any number in any way */
	JSON_RUN_ENTITY, /* field_entity_id() */
	JSON_RUN_CALL,
	JSON_RUN_GET,    /* anything, by field_get() */
	JSON_RUN_ABSENT, /* the same; a fixed text stands for what is not there */
	/* Marks: what is between the first and the last depends on a process alone, */
	JSON_RUN_SECTION,
	JSON_RUN_HOLE, /* but for the step between these. */
	JSON_RUN_HOLE_END,
	JSON_RUN_SECTION_END,
};

/*
 * A step's `missing` and the state it is compared with: the lower half says that something of
 * struct field_source's `have` is missing, the upper which event it is (a step names those it is
 * not in).
 */
#define JSON_MISSING_EVENT 32u
#define JSON_MISSING_HAVE  ((UINT64_C(1) << JSON_MISSING_EVENT) - 1)

/* The texts of one of a record's processes. */
struct json_parts {
	const uint16_t *len; /* of each */
	const char *text;    /* the next one; NULL: there are none */
	uint8_t n;           /* so far */
	bool keeping;        /* what is written is to be kept, */
	struct {
		const char *from;
		size_t len;
		char last; /* byte, when it was written */
	} part[JSON_PLAN_PARTS];
};

/* json-plan-parts.c. The marks come into a plan that is compiled. */
void json_plan_mark(struct json_plan *plan);
/* @role: 0 the process, 1 the responder's. */
void json_parts_begin(struct json_parts *parts, struct json_plan *plan, unsigned role,
	const struct known_end *end);
/* Keeps what was written, which is still there. */
void json_parts_end(struct json_parts *parts, struct json_plan *plan, unsigned role,
	const struct known_end *end);

/* The values of a line that is to be kept, as they are written. */
struct json_trace {
	const char *from; /* the line */
	uint16_t values;
	struct {
		uint16_t step;
		bool is_there;
		uint32_t begin, end; /* in the line */
	} value[JSON_PLAN_STEPS];
};

/* json-plan-line.c. Says which steps' values are not of the kind, and forgets all lines. */
void json_line_mark(struct json_plan *plan);
/* False: lines of this record are not kept. */
bool json_line_kind(
	const struct field_source *source, const struct known_ends *ends, struct json_kind *ret);
/*
 * The line, from one kept; NULL: it must be made. *ret_keep: this kind has been met twice, and is
 * to be kept by json_line_keep(), whose line ends at @end.
 */
char *json_line_repeat(struct json_plan *plan, const struct json_kind *kind,
	const struct field_source *source, char *p, bool *ret_keep);
void json_line_keep(struct json_plan *plan, const struct json_kind *kind,
	const struct json_trace *trace, const struct field_source *source, const char *end);

/* Bytes behind a value that are not part of it: the comma, the quote before it. */
static inline unsigned json_op_behind(enum json_op op)
{
	switch (op) {
	case JSON_OP_STRING:
	case JSON_OP_QUOTED:
	case JSON_OP_HEX:
	case JSON_OP_ADDRESS:
	case JSON_OP_TITLE:
	case JSON_OP_RFC3339:
	case JSON_OP_SPACED:
	case JSON_OP_COMMAND:
		return 2;
	case JSON_OP_OPEN:
	case JSON_OP_OPEN_LIST:
	case JSON_OP_NUMBER:
	case JSON_OP_BOOLEAN:
	case JSON_OP_MILLISECONDS:
	case JSON_OP_SECONDS:
	case JSON_OP_LIST:
	case JSON_OP_NUMBERS:
	case JSON_OP_DATA:
	case JSON_OP_ADDRESSES:
	case JSON_OP_JSON:
		break;
	}
	return 1;
}

/* What stands between the colon and the value; "[{" for JSON_OP_OPEN_LIST. */
const char *json_op_begin(enum json_op op);

/* A value and the comma behind it. */
char *json_op_write(enum json_op op, enum field_kind kind, const struct field_value *v,
	const struct record *r, char *p);
