/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IP addresses of 16 bytes in network order, IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2).
 *
 * Each is soon read as a whole: a processor waits for that while it was written in pieces. What is
 * here is done a dozen times for each connection.
 *
 * Threads: any. Blocks: no. Logs: no. Never fails.
 */
#pragma once

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Written in one piece. */
static inline void address_from_v4(uint8_t ret[16], const uint8_t v4[4])
{
	typedef uint32_t whole __attribute__((vector_size(16)));
	uint32_t low;

	memcpy(&low, v4, sizeof(low));
	memcpy(ret, &(whole){0, 0, htobe32(0xffff), low}, sizeof(whole));
}

/* memcmp()'s sign. */
static inline int address_order(const uint8_t a[16], const uint8_t b[16])
{
	for (unsigned i = 0; i < 16; i += 8) {
		uint64_t x, y;

		memcpy(&x, a + i, sizeof(x));
		memcpy(&y, b + i, sizeof(y));
		if (x != y)
			return be64toh(x) < be64toh(y) ? -1 : 1;
	}
	return 0;
}

static inline bool address_is_v4(const uint8_t a[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return !memcmp(a, mapped, sizeof(mapped));
}

/* 127.0.0.0/8 */
static inline bool address_is_loopback4(const uint8_t a[16])
{
	return address_is_v4(a) && a[12] == 127;
}

/* "Any" of either family: 0.0.0.0, ::. */
static inline bool address_is_any(const uint8_t a[16])
{
	static const uint8_t zero[16];

	return !memcmp(a, zero, 16) || (address_is_v4(a) && !memcmp(a + 12, zero, 4));
}
