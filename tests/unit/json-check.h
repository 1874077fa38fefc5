/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A strict JSON reader for tests (RFC 8259): accepts one value or says where it is wrong. Also
 * wants valid UTF-8 without raw control characters or separators, and no lone surrogates.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct json_check {
	const char *p, *end;
};

static inline bool json_check_value(struct json_check *c, unsigned depth);

/* Length of a valid UTF-8 character that may stand raw in a string, 0 = none. Table of RFC 3629. */
static inline unsigned json_check_utf8(const char *s, size_t left)
{
	const uint8_t *b = (const uint8_t *)s;

#define IN(i, lo, hi) (left > (i) && b[i] >= (lo) && b[i] <= (hi))
	if (IN(0, 0x20, 0x7e))
		return 1;
	if (IN(0, 0xc2, 0xc2) && IN(1, 0xa0, 0xbf))
		return 2;
	if (IN(0, 0xc3, 0xdf) && IN(1, 0x80, 0xbf))
		return 2;
	if (IN(0, 0xe2, 0xe2) && IN(1, 0x80, 0x80) && IN(2, 0xa8, 0xae))
		return 0; /* separators and bidirectional controls */
	if ((IN(0, 0xe0, 0xe0) && IN(1, 0xa0, 0xbf) && IN(2, 0x80, 0xbf)) ||
		(IN(0, 0xe1, 0xec) && IN(1, 0x80, 0xbf) && IN(2, 0x80, 0xbf)) ||
		(IN(0, 0xed, 0xed) && IN(1, 0x80, 0x9f) && IN(2, 0x80, 0xbf)) ||
		(IN(0, 0xee, 0xef) && IN(1, 0x80, 0xbf) && IN(2, 0x80, 0xbf)))
		return 3;
	if ((IN(0, 0xf0, 0xf0) && IN(1, 0x90, 0xbf) && IN(2, 0x80, 0xbf) && IN(3, 0x80, 0xbf)) ||
		(IN(0, 0xf1, 0xf3) && IN(1, 0x80, 0xbf) && IN(2, 0x80, 0xbf) &&
			IN(3, 0x80, 0xbf)) ||
		(IN(0, 0xf4, 0xf4) && IN(1, 0x80, 0x8f) && IN(2, 0x80, 0xbf) && IN(3, 0x80, 0xbf)))
		return 4;
#undef IN
	return 0;
}

/* Four hexadecimal digits, or -1. */
static inline long json_check_hex4(struct json_check *c)
{
	long v = 0;

	for (int i = 0; i < 4; i++, c->p++) {
		const char *digits = "0123456789abcdef", *d;

		if (c->p == c->end || !*c->p || !(d = strchr(digits, *c->p)))
			return -1;
		v = v << 4 | (d - digits);
	}
	return v;
}

static inline bool json_check_escape(struct json_check *c)
{
	long u;

	if (c->p == c->end)
		return false;
	if (*c->p != 'u')
		return *c->p && strchr("\"\\/bfnrt", *c->p++);
	c->p++;
	u = json_check_hex4(c);
	if (u < 0 || (u >= 0xdc00 && u < 0xe000))
		return false;
	if (u < 0xd800 || u >= 0xe000)
		return true;
	if (c->end - c->p < 2 || memcmp(c->p, "\\u", 2) != 0)
		return false;
	c->p += 2;
	u = json_check_hex4(c);
	return u >= 0xdc00 && u < 0xe000;
}

static inline bool json_check_string(struct json_check *c)
{
	if (c->p == c->end || *c->p++ != '"')
		return false;
	while (c->p < c->end && *c->p != '"') {
		unsigned n;

		if (*c->p == '\\') {
			c->p++;
			if (!json_check_escape(c))
				return false;
			continue;
		}
		n = json_check_utf8(c->p, (size_t)(c->end - c->p));
		if (!n)
			return false;
		c->p += n;
	}
	return c->p++ < c->end;
}

static inline bool json_check_literal(struct json_check *c, const char *s)
{
	size_t n = strlen(s);

	if ((size_t)(c->end - c->p) < n || memcmp(c->p, s, n) != 0)
		return false;
	c->p += n;
	return true;
}

/* Only what our formats write: numbers without sign or exponent. */
static inline bool json_check_number(struct json_check *c)
{
	const char *from = c->p;

	while (c->p < c->end && *c->p >= '0' && *c->p <= '9')
		c->p++;
	if (c->p == from || (c->p - from > 1 && *from == '0'))
		return false;
	if (c->p == c->end || *c->p != '.')
		return true;
	from = ++c->p;
	while (c->p < c->end && *c->p >= '0' && *c->p <= '9')
		c->p++;
	return c->p > from;
}

static inline bool json_check_members(struct json_check *c, char close, unsigned depth)
{
	if (++c->p < c->end && *c->p == close)
		return c->p++, true;
	for (;;) {
		if (close == '}' && (!json_check_string(c) || c->p == c->end || *c->p++ != ':'))
			return false;
		if (!json_check_value(c, depth + 1) || c->p == c->end)
			return false;
		if (*c->p == close)
			return c->p++, true;
		if (*c->p++ != ',')
			return false;
	}
}

static inline bool json_check_value(struct json_check *c, unsigned depth)
{
	if (c->p == c->end || depth > 16)
		return false;
	switch (*c->p) {
	case '{':
		return json_check_members(c, '}', depth);
	case '[':
		return json_check_members(c, ']', depth);
	case '"':
		return json_check_string(c);
	case 't':
		return json_check_literal(c, "true");
	case 'f':
		return json_check_literal(c, "false");
	}
	return json_check_number(c);
}

/* Exactly one value in @len bytes; *ret_at: how far it was read. */
static inline bool json_check(const char *s, size_t len, size_t *ret_at)
{
	struct json_check c = {s, s + len};
	bool ok = json_check_value(&c, 0);

	*ret_at = (size_t)(c.p - s);
	return ok && c.p == c.end;
}
