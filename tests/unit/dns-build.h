/* SPDX-License-Identifier: Apache-2.0 */
/* Makes DNS messages for tests, byte by byte, well-formed or not. */
#pragma once

#include <stdint.h>
#include <string.h>

struct dns_build {
	uint8_t bytes[2048];
	size_t len;
};

static inline void dns_put(struct dns_build *b, const void *bytes, size_t len)
{
	memcpy(b->bytes + b->len, bytes, len);
	b->len += len;
}

static inline void dns_put16(struct dns_build *b, unsigned v)
{
	dns_put(b, (const uint8_t[]){(uint8_t)(v >> 8), (uint8_t)v}, 2);
}

/* @flags: 0x0100 a query, 0x8180 an answer, plus the return code. */
static inline void dns_head(
	struct dns_build *b, unsigned id, unsigned flags, unsigned questions, unsigned answers)
{
	b->len = 0;
	dns_put16(b, id);
	dns_put16(b, flags);
	dns_put16(b, questions);
	dns_put16(b, answers);
	dns_put(b, "\0\0\0\0", 4);
}

/* A dotted name, in labels. */
static inline void dns_name(struct dns_build *b, const char *name)
{
	while (*name) {
		size_t n = strcspn(name, ".");

		dns_put(b, (const uint8_t[]){(uint8_t)n}, 1);
		dns_put(b, name, n);
		name += n + (name[n] == '.');
	}
	dns_put(b, "", 1);
}

static inline void dns_question(struct dns_build *b, const char *name, unsigned type)
{
	dns_name(b, name);
	dns_put16(b, type);
	dns_put16(b, 1);
}

/* What follows the owner of an answer; @data is @len bytes. */
static inline void dns_data(
	struct dns_build *b, unsigned type, unsigned ttl_s, const void *data, size_t len)
{
	dns_put16(b, type);
	dns_put16(b, 1);
	dns_put16(b, ttl_s >> 16);
	dns_put16(b, ttl_s & 0xffff);
	dns_put16(b, (unsigned)len);
	dns_put(b, data, len);
}

static inline void dns_address(
	struct dns_build *b, const char *owner, unsigned ttl_s, const uint8_t v4[4])
{
	dns_name(b, owner);
	dns_data(b, 1, ttl_s, v4, 4);
}

static inline void dns_alias(struct dns_build *b, const char *owner, const char *target)
{
	struct dns_build data = {.len = 0};

	dns_name(&data, target);
	dns_name(b, owner);
	dns_data(b, 5, 60, data.bytes, data.len);
}
