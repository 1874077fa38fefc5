/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers, times and addresses as text, for formatters: no allocation, no locale, no printf.
 *
 * Every function writes at @p and returns the place behind what it wrote; nothing is terminated.
 * The caller has the room named at each function.
 * Threads: any. Blocks: no. Logs: no. Never fails.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TEXT_U64     20u /* most bytes of text_u64() */
#define TEXT_TIME    30u /* text_time_utc() */
#define TEXT_ADDRESS 45u /* text_address() */
#define TEXT_TTY     24u /* text_tty() */

/* A string literal. */
#define text_lit(p, literal) text_bytes((p), literal, sizeof(literal) - 1)

static inline char *text_bytes(char *p, const char *bytes, size_t len)
{
	memcpy(p, bytes, len);
	return p + len;
}

static inline char *text_str(char *p, const char *s)
{
	return text_bytes(p, s, strlen(s));
}

/* Decimal. */
char *text_u64(char *p, uint64_t v);
/* Decimal with leading zeros, @digits wide (at most TEXT_U64); higher digits are dropped. */
char *text_u64_padded(char *p, uint64_t v, unsigned digits);
/* 16 lower-case hexadecimal digits. */
char *text_hex64(char *p, uint64_t v);

/*
 * CLOCK_REALTIME ns as RFC 3339 UTC with nine decimals: 2026-11-26T23:59:59.123456789Z. Years up to
 * 2554, all that 64 bits can hold.
 */
char *text_time_utc(char *p, uint64_t t_ns);
/* HH:MM:SS.mmm, 12 bytes, @offset_s seconds east of UTC. */
char *text_time_of_day(char *p, uint64_t t_ns, int32_t offset_s);

/*
 * An address of 16 bytes as RFC 5952 writes it; family 4 is kept as ::ffff:a.b.c.d and written
 * a.b.c.d.
 */
char *text_address(char *p, const uint8_t addr[16], uint8_t family);

/* A controlling terminal as /proc/PID/stat encodes it: major 19..8, minor 31..20 and 7..0. */
static inline uint32_t text_tty_major(uint32_t tty)
{
	return tty >> 8 & 0xfff;
}

static inline uint32_t text_tty_minor(uint32_t tty)
{
	return (tty >> 12 & 0xfff00) | (tty & 0xff);
}

/* Its name below /dev, "MAJOR:MINOR" for kinds without a usual one; at most TEXT_TTY bytes. */
char *text_tty(char *p, uint32_t tty);

/* For people: "512B", "1.4K", "23M" (powers of 1024; at most 6 bytes). */
char *text_size(char *p, uint64_t bytes);
/* For people: "812us", "1.2ms", "3.4s", "2m05s", "1h02m", "3d04h" (at most 12 bytes). */
char *text_duration(char *p, uint64_t ns);
