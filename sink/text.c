/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, times and addresses as text. */
#include "sink/text.h"

#include <endian.h>
#include <stdbool.h>

static const char HEX[16] = "0123456789abcdef";

#define HEX_ROW(h)                                                                                 \
	h "0" h "1" h "2" h "3" h "4" h "5" h "6" h "7" h "8" h "9" h "a" h "b" h "c" h "d" h      \
	  "e" h "f"

static const char HEX_PAIRS[] = HEX_ROW("0") HEX_ROW("1") HEX_ROW("2") HEX_ROW("3") HEX_ROW("4")
	HEX_ROW("5") HEX_ROW("6") HEX_ROW("7") HEX_ROW("8") HEX_ROW("9") HEX_ROW("a") HEX_ROW("b")
		HEX_ROW("c") HEX_ROW("d") HEX_ROW("e") HEX_ROW("f");

/* Two digits at a time halve the divisions. */
static const char PAIRS[] = "00010203040506070809101112131415161718192021222324"
			    "25262728293031323334353637383940414243444546474849"
			    "50515253545556575859606162636465666768697071727374"
			    "75767778798081828384858687888990919293949596979899";

/* @digits of @v in front of @end. */
static inline void digits_before(char *end, uint64_t v, unsigned digits)
{
	for (; digits >= 2; digits -= 2) {
		end -= 2;
		memcpy(end, PAIRS + v % 100 * 2, 2);
		v /= 100;
	}
	if (digits)
		end[-1] = (char)('0' + v % 10);
}

static inline char *two(char *p, unsigned v)
{
	memcpy(p, PAIRS + v * 2, 2);
	return p + 2;
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/*
 * The eight digits of @v < 100000000, the first in the lowest byte: halves, quarters and eighths of
 * the word are divided at once, by multiplying. n * 5243 >> 19 is n / 100 below 10000, and
 * n * 103 >> 10 is n / 10 below 100.
 */
static inline uint64_t eight(uint32_t v)
{
	uint64_t fours = v / 10000 | (uint64_t)(v % 10000) << 32, twos, ones, tens;

	tens = fours * 5243 >> 19 & UINT64_C(0x7f0000007f);
	twos = tens | (fours - tens * 100) << 16;
	tens = twos * 103 >> 10 & UINT64_C(0xf000f000f000f);
	ones = tens | (twos - tens * 10) << 8;
	return ones;
}

static inline char *eight_padded(char *p, uint32_t v)
{
	uint64_t digits = htole64(eight(v) | EACH('0'));

	memcpy(p, &digits, sizeof(digits));
	return p + 8;
}

char *text_u64(char *p, uint64_t v)
{
	if (v < 10) {
		*p = (char)('0' + v);
		return p + 1;
	}
	if (v < 100) {
		memcpy(p, PAIRS + v * 2, 2);
		return p + 2;
	}
	if (v < 10000) {
		unsigned hundreds = (unsigned)v / 100;

		if (hundreds < 10)
			*p++ = (char)('0' + hundreds);
		else
			p = two(p, hundreds);
		return two(p, (unsigned)v % 100);
	}
	if (v < 100000000) {
		/*
		 * Not by the digits' zeros: what is written next need not wait for them if it need
		 * not to know where it goes.
		 */
		unsigned len = 5u + (v >= 100000) + (v >= 1000000) + (v >= 10000000);
		uint64_t digits = htole64(eight((uint32_t)v) >> (64 - len * 8) | EACH('0'));

		memcpy(p, &digits, sizeof(digits));
		return p + len;
	}
	p = text_u64(p, v / 100000000);
	return eight_padded(p, (uint32_t)(v % 100000000));
}

char *text_u64_padded(char *p, uint64_t v, unsigned digits)
{
	digits_before(p + digits, v, digits);
	return p + digits;
}

char *text_hex64(char *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		memcpy(p + 2 * i, HEX_PAIRS + (v >> (56 - 8 * i) & 255) * 2, 2);
	return p + 16;
}

#define SECOND_UTC 20u /* bytes of "2026-11-26T23:59:59." */

struct text_date {
	uint64_t year;
	unsigned month, day; /* from 1 */
};

/*
 * Gregorian date of a day number, 0 = 1970-01-01. Counts in 400-year cycles of 146,097 days that
 * begin on 1 March, so that the leap day is a year's last one.
 */
static struct text_date date_of(uint64_t days)
{
	uint64_t d = days + 719468; /* since 0000-03-01 */
	uint64_t cycle = d / 146097;
	unsigned doc = (unsigned)(d % 146097); /* day of cycle */
	unsigned yoc = (doc - doc / 1460 + doc / 36524 - doc / 146096) / 365;
	unsigned doy = doc - (365 * yoc + yoc / 4 - yoc / 100);
	unsigned m = (5 * doy + 2) / 153; /* months since March */
	struct text_date r;

	r.day = doy - (153 * m + 2) / 5 + 1;
	r.month = m < 10 ? m + 3 : m - 9;
	r.year = cycle * 400 + yoc + (r.month <= 2);
	return r;
}

static char *clock_of(char *p, unsigned second_of_day)
{
	p = two(p, second_of_day / 3600);
	*p++ = ':';
	p = two(p, second_of_day / 60 % 60);
	*p++ = ':';
	return two(p, second_of_day % 60);
}

/* All of text_time_utc() up to the dot. */
static void second_utc(char *p, uint64_t s)
{
	struct text_date d = date_of(s / 86400);

	p = text_u64_padded(p, d.year, 4);
	*p++ = '-';
	p = two(p, d.month);
	*p++ = '-';
	p = two(p, d.day);
	*p++ = 'T';
	*clock_of(p, (unsigned)(s % 86400)) = '.';
}

char *text_time_utc(char *p, uint64_t t_ns)
{
	/* Times in a log are close to each other: those of a few seconds are kept. */
	static _Thread_local struct {
		uint64_t next; /* the second plus one: 0 = none */
		char text[SECOND_UTC];
	} kept[16];
	uint64_t s = t_ns / 1000000000;
	size_t i = s % (sizeof(kept) / sizeof(kept[0]));
	uint32_t ns;

	if (kept[i].next != s + 1) {
		second_utc(kept[i].text, s);
		kept[i].next = s + 1;
	}
	p = text_bytes(p, kept[i].text, SECOND_UTC);
	ns = (uint32_t)(t_ns - s * 1000000000);
	*p++ = (char)('0' + ns / 100000000);
	p = eight_padded(p, ns % 100000000);
	*p++ = 'Z';
	return p;
}

char *text_time_of_day(char *p, uint64_t t_ns, int32_t offset_s)
{
	/* A day more, so that a western offset cannot go below zero. */
	uint64_t s = t_ns / 1000000000 + 86400 + (uint64_t)(int64_t)offset_s;

	p = clock_of(p, (unsigned)(s % 86400));
	*p++ = '.';
	return text_u64_padded(p, t_ns / 1000000 % 1000, 3);
}

#define OCTETS_ONES(h) h "0." h "1." h "2." h "3." h "4." h "5." h "6." h "7." h "8." h "9."
#define OCTETS_PADDED(h, pad)                                                                      \
	h "0." pad h "1." pad h "2." pad h "3." pad h "4." pad h "5." pad h "6." pad h "7." pad h  \
	  "8." pad h "9." pad

/* Four bytes each: the digits, a dot, and what is written over. */
static const char OCTETS[] = OCTETS_PADDED("", "..") OCTETS_PADDED("1", ".") OCTETS_PADDED("2", ".")
	OCTETS_PADDED("3", ".") OCTETS_PADDED("4", ".") OCTETS_PADDED("5", ".") OCTETS_PADDED(
		"6", ".") OCTETS_PADDED("7", ".") OCTETS_PADDED("8", ".") OCTETS_PADDED("9", ".")
		OCTETS_ONES("10") OCTETS_ONES("11") OCTETS_ONES("12") OCTETS_ONES("13")
			OCTETS_ONES("14") OCTETS_ONES("15") OCTETS_ONES("16") OCTETS_ONES("17")
				OCTETS_ONES("18") OCTETS_ONES("19") OCTETS_ONES("20")
					OCTETS_ONES("21") OCTETS_ONES("22") OCTETS_ONES("23")
						OCTETS_ONES("24") "250.251.252.253.254.255.";

_Static_assert(sizeof(OCTETS) == 256 * 4 + 1, "all there are");

/* With a dot behind it; two bytes more may be written. */
static inline char *octet(char *p, unsigned v)
{
	memcpy(p, OCTETS + v * 4, 4);
	return p + 2 + (v >= 10) + (v >= 100);
}

static char *address4(char *p, const uint8_t a[4])
{
	p = octet(p, a[0]);
	p = octet(p, a[1]);
	p = octet(p, a[2]);
	return octet(p, a[3]) - 1;
}

static char *group(char *p, unsigned v)
{
	bool started = false;

	for (int shift = 12; shift >= 0; shift -= 4) {
		started |= (v >> shift & 15) || !shift;
		if (started)
			*p++ = HEX[v >> shift & 15];
	}
	return p;
}

/* RFC 5952 section 4: the longest run of two or more zero groups, the first of equals. */
static void zero_run(const uint16_t g[8], int *ret_start, int *ret_len)
{
	int start = -1, len = 1;

	for (int i = 0; i < 8; i++) {
		int n = 0;

		while (i + n < 8 && !g[i + n])
			n++;
		if (n > len) {
			start = i;
			len = n;
		}
		i += n;
	}
	*ret_start = start;
	*ret_len = start < 0 ? 0 : len;
}

static bool is_mapped(const uint8_t a[16])
{
	static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

	return !memcmp(a, prefix, sizeof(prefix));
}

char *text_address(char *p, const uint8_t addr[16], uint8_t family)
{
	uint16_t g[8];
	int start, len;

	if (family == 4)
		return address4(p, addr + 12);
	if (is_mapped(addr))
		return address4(text_lit(p, "::ffff:"), addr + 12);
	for (int i = 0; i < 8; i++)
		g[i] = (uint16_t)(addr[2 * i] << 8 | addr[2 * i + 1]);
	zero_run(g, &start, &len);
	for (int i = 0; i < 8; i++) {
		if (i == start) {
			p = text_lit(p, "::");
			i += len - 1;
			continue;
		}
		if (i && i != start + len)
			*p++ = ':';
		p = group(p, g[i]);
	}
	return p;
}

/* "1.4" below ten, "14" above. @tenths = ten times the value. */
static char *short_number(char *p, uint64_t tenths)
{
	p = text_u64(p, tenths / 10);
	if (tenths < 100) {
		*p++ = '.';
		*p++ = (char)('0' + tenths % 10);
	}
	return p;
}

char *text_tty(char *p, uint32_t tty)
{
	/* Source: Documentation/admin-guide/devices.txt; these are the ones with logins on them. */
	static const struct {
		uint32_t major, first, end; /* of its minors */
		const char *name;
	} kinds[] = {
		{136, 0, UINT32_MAX, "pts/"},
		{4, 0, 64, "tty"},
		{4, 64, 256, "ttyS"},
		{166, 0, 256, "ttyACM"},
		{188, 0, 256, "ttyUSB"},
		{204, 64, 80, "ttyAMA"},
		{229, 0, 256, "hvc"},
	};
	uint32_t major = text_tty_major(tty), minor = text_tty_minor(tty);

	if (major == 5 && minor == 1)
		return text_lit(p, "console");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (major == kinds[i].major && minor >= kinds[i].first && minor < kinds[i].end)
			return text_u64(text_str(p, kinds[i].name), minor - kinds[i].first);
	p = text_u64(p, major);
	*p++ = ':';
	return text_u64(p, minor);
}

char *text_size(char *p, uint64_t bytes)
{
	static const char UNITS[] = "KMGTPE";
	unsigned shift = 0;

	if (bytes < 1024) {
		p = text_u64(p, bytes);
		*p++ = 'B';
		return p;
	}
	while (bytes >> (shift + 10) >= 1024)
		shift += 10;
	p = short_number(p, (bytes >> shift) * 10 / 1024);
	*p++ = UNITS[shift / 10];
	return p;
}

static char *pair(char *p, uint64_t big, char big_unit, uint64_t small, char small_unit)
{
	p = text_u64(p, big);
	*p++ = big_unit;
	p = two(p, (unsigned)small);
	*p++ = small_unit;
	return p;
}

char *text_duration(char *p, uint64_t ns)
{
	uint64_t s = ns / 1000000000;

	if (ns < 1000000)
		return text_lit(text_u64(p, ns / 1000), "us");
	if (s < 1)
		return text_lit(short_number(p, ns / 100000), "ms");
	if (s < 60)
		return text_lit(short_number(p, ns / 100000000), "s");
	if (s < 3600)
		return pair(p, s / 60, 'm', s % 60, 's');
	if (s < 86400)
		return pair(p, s / 3600, 'h', s / 60 % 60, 'm');
	return pair(p, s / 86400, 'd', s / 3600 % 24, 'h');
}
