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

enum json_op {
	JSON_OP_OPEN = 0,
	JSON_OP_CLOSE,
	JSON_OP_CLOSE_LIST,
	JSON_OP_COPY,
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

/*
 * A step's `missing` and the state it is compared with: low bits say that something of struct
 * field_source's `have` is missing, high ones which event it is (a step names those it is not in).
 */
#define JSON_MISSING_EVENT 24u
#define JSON_MISSING_HAVE  ((1u << JSON_MISSING_EVENT) - 1)

/* What stands between the colon and the value; "[{" for JSON_OP_CLOSE_LIST. */
const char *json_op_begin(enum json_op op);

/* A value and the comma behind it. */
char *json_op_write(enum json_op op, enum field_kind kind, const struct field_value *v,
	const struct record *r, char *p);
