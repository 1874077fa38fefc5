/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON members appended at a pointer: each function writes `"key":value`, with a comma in front
 * unless it is the first of its object, and returns the place behind.
 *
 * Threads: any. Blocks: no. Logs: no. Never fails.
 */
#pragma once

#include "sink/escape.h"
#include "sink/text.h"

static inline char *json_key_bytes(char *p, const char *key, size_t len)
{
	if (p[-1] != '{')
		*p++ = ',';
	*p++ = '"';
	p = text_bytes(p, key, len);
	*p++ = '"';
	*p++ = ':';
	return p;
}

/* Keys are literals. */
#define json_key(p, key) json_key_bytes((p), key, sizeof(key) - 1)

/* `"key":{`, whose members follow, and its end. */
#define json_open(p, key) text_lit(json_key(p, key), "{")

static inline char *json_close(char *p)
{
	*p++ = '}';
	return p;
}

#define json_u64(p, key, v) text_u64(json_key(p, key), (v))

/* A value that needs no escaping. */
static inline char *json_quote(char *p, const char *s)
{
	*p++ = '"';
	p = text_str(p, s);
	*p++ = '"';
	return p;
}

#define json_name(p, key, s) json_quote(json_key(p, key), (s))

static inline char *json_quote_u64(char *p, uint64_t v)
{
	*p++ = '"';
	p = text_u64(p, v);
	*p++ = '"';
	return p;
}

/* Numbers that the schema wants as keywords. */
#define json_u64_string(p, key, v) json_quote_u64(json_key(p, key), (v))

static inline char *json_quote_hex64(char *p, uint64_t v)
{
	*p++ = '"';
	p = text_hex64(p, v);
	*p++ = '"';
	return p;
}

static inline char *json_quote_time(char *p, uint64_t t_ns)
{
	*p++ = '"';
	p = text_time_utc(p, t_ns);
	*p++ = '"';
	return p;
}

#define json_time(p, key, t_ns) json_quote_time(json_key(p, key), (t_ns))

/* Foreign bytes. */
static inline char *json_quote_foreign(char *p, const char *bytes, size_t len)
{
	*p++ = '"';
	p = escape_json(p, bytes, len);
	*p++ = '"';
	return p;
}

#define json_foreign(p, key, bytes, len) json_quote_foreign(json_key(p, key), (bytes), (len))
#define json_true(p, key)                text_lit(json_key(p, key), "true")
