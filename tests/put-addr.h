/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as enrich has them, from text. */
#pragma once

#include <arpa/inet.h>
#include <string.h>

#include "tap.h"

/* 16 bytes, IPv4 as ::ffff:a.b.c.d. */
static inline void put_addr(uint8_t to[16], const char *text)
{
	struct in_addr v4;

	memset(to, 0, 16);
	if (inet_pton(AF_INET, text, &v4) == 1) {
		to[10] = to[11] = 0xff;
		memcpy(to + 12, &v4, 4);
	} else if (inet_pton(AF_INET6, text, to) != 1) {
		tap_bail(text);
	}
}
