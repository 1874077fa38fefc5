/* SPDX-License-Identifier: Apache-2.0 */
/* Foreign bytes made safe for JSON and for terminals. */
#include "sink/escape.h"

#include <string.h>

#include "sink/text.h"

static const char HEX[16] = "0123456789abcdef";

#define REPLACEMENT 0xfffdu

bool escape_is_unsafe(uint32_t c)
{
	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		return true;
	if (c < 0x61c)
		return c == 0xad; /* soft hyphen: invisible */
	return c == 0x61c || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) ||
	       (c >= 0xe0000 && c <= 0xe007f);
}

static bool follows(const char *s)
{
	return ((uint8_t)*s & 0xc0) == 0x80;
}

unsigned escape_utf8(const char *s, size_t len, uint32_t *ret)
{
	uint8_t b = (uint8_t)s[0];
	uint32_t c;

	if (b < 0x80) {
		*ret = b;
		return 1;
	}
	if (b >= 0xc2 && b < 0xe0 && len >= 2 && follows(s + 1)) {
		*ret = (uint32_t)(b & 0x1f) << 6 | ((uint8_t)s[1] & 0x3f);
		return 2;
	}
	if ((b & 0xf0) == 0xe0 && len >= 3 && follows(s + 1) && follows(s + 2)) {
		c = (uint32_t)(b & 0x0f) << 12 | (uint32_t)((uint8_t)s[1] & 0x3f) << 6 |
		    ((uint8_t)s[2] & 0x3f);
		if (c < 0x800 || (c >= 0xd800 && c < 0xe000))
			return 0;
		*ret = c;
		return 3;
	}
	if (b >= 0xf0 && b < 0xf5 && len >= 4 && follows(s + 1) && follows(s + 2) &&
		follows(s + 3)) {
		c = (uint32_t)(b & 0x07) << 18 | (uint32_t)((uint8_t)s[1] & 0x3f) << 12 |
		    (uint32_t)((uint8_t)s[2] & 0x3f) << 6 | ((uint8_t)s[3] & 0x3f);
		if (c < 0x10000 || c > 0x10ffff)
			return 0;
		*ret = c;
		return 4;
	}
	return 0;
}

static char *hex_byte(char *p, uint8_t b)
{
	*p++ = HEX[b >> 4];
	*p++ = HEX[b & 15];
	return p;
}

/* The letter of a two-byte escape both notations share, or 0. */
static char short_escape(uint32_t c)
{
	switch (c) {
	case '\b':
		return 'b';
	case '\f':
		return 'f';
	case '\n':
		return 'n';
	case '\r':
		return 'r';
	case '\t':
		return 't';
	}
	return 0;
}

static char *json_unit(char *p, uint32_t u)
{
	p = text_lit(p, "\\u");
	p = hex_byte(p, (uint8_t)(u >> 8));
	return hex_byte(p, (uint8_t)u);
}

static char *json_unsafe(char *p, uint32_t c)
{
	if (short_escape(c)) {
		*p++ = '\\';
		*p++ = short_escape(c);
		return p;
	}
	if (c < 0x10000)
		return json_unit(p, c);
	p = json_unit(p, 0xd800 + ((c - 0x10000) >> 10));
	return json_unit(p, 0xdc00 + ((c - 0x10000) & 0x3ff));
}

/* Printable ASCII without quote and backslash. */
static bool is_plain(char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Whether all eight are; borrows and carries between bytes start only at one that is not. */
static bool are_plain(uint64_t w)
{
	uint64_t quote = w ^ EACH('"'), backslash = w ^ EACH('\\');
	uint64_t not_plain = ((w - EACH(0x20)) & ~w) | ((quote - EACH(1)) & ~quote) |
			     ((backslash - EACH(1)) & ~backslash) | (w + EACH(1)) | w;

	return !(not_plain & EACH(0x80));
}

/* As escape_plain(), inlined where it counts. */
static inline __attribute__((always_inline)) size_t plain_run(
	char *p, const char *bytes, size_t len)
{
	uint32_t half, last;
	size_t n = 0;
	uint64_t w;

	for (; len - n >= sizeof(w); n += sizeof(w)) {
		memcpy(&w, bytes + n, sizeof(w));
		if (!are_plain(w))
			break;
		memcpy(p + n, &w, sizeof(w));
	}
	if (!n && len >= sizeof(half) && len < sizeof(w)) {
		/* Both halves, which may overlap. */
		memcpy(&half, bytes, sizeof(half));
		memcpy(&last, bytes + len - sizeof(last), sizeof(last));
		if (are_plain((uint64_t)last << 32 | half)) {
			memcpy(p, &half, sizeof(half));
			memcpy(p + len - sizeof(last), &last, sizeof(last));
			return len;
		}
	}
	/* The rest as the last eight of all, most of which are known. */
	if (n && n < len && len - n < sizeof(w)) {
		memcpy(&w, bytes + len - sizeof(w), sizeof(w));
		if (are_plain(w)) {
			memcpy(p + len - sizeof(w), &w, sizeof(w));
			return len;
		}
	}
	for (; n < len && is_plain(bytes[n]); n++)
		p[n] = bytes[n];
	return n;
}

size_t escape_plain(char *p, const char *bytes, size_t len)
{
	return plain_run(p, bytes, len);
}

char *escape_json(char *p, const char *bytes, size_t len)
{
	const char *end = bytes + len;

	while (bytes < end) {
		size_t n = plain_run(p, bytes, (size_t)(end - bytes));
		uint32_t c;

		p += n;
		bytes += n;
		if (bytes == end)
			break;
		n = escape_utf8(bytes, (size_t)(end - bytes), &c);
		if (!n || c == REPLACEMENT) {
			/* A real U+FFFD goes byte by byte, too: its other bytes are invalid alone.
			 */
			p = text_lit(p, "\xef\xbf\xbd");
			p = hex_byte(p, (uint8_t)*bytes++);
			continue;
		}
		if (c == '"' || c == '\\') {
			*p++ = '\\';
			*p++ = (char)c;
		} else if (escape_is_unsafe(c)) {
			p = json_unsafe(p, c);
		} else {
			p = text_bytes(p, bytes, n);
		}
		bytes += n;
	}
	return p;
}

static char *terminal_unsafe(char *p, uint32_t c)
{
	bool started = false;

	if (short_escape(c) || c == 0x1b) {
		*p++ = '\\';
		*p++ = c == 0x1b ? 'e' : short_escape(c);
		return p;
	}
	p = text_lit(p, "\\u{");
	for (int shift = 20; shift >= 0; shift -= 4) {
		started |= (c >> shift & 15) || !shift;
		if (started)
			*p++ = HEX[c >> shift & 15];
	}
	*p++ = '}';
	return p;
}

char *escape_terminal(char *p, const char *bytes, size_t len)
{
	const char *end = bytes + len;

	while (bytes < end) {
		size_t n = escape_plain(p, bytes, (size_t)(end - bytes));
		uint32_t c;

		p += n;
		bytes += n;
		if (bytes == end)
			break;
		n = escape_utf8(bytes, (size_t)(end - bytes), &c);
		if (!n) {
			p = text_lit(p, "\\x");
			p = hex_byte(p, (uint8_t)*bytes++);
			continue;
		}
		if (c == '\\')
			p = text_lit(p, "\\\\");
		else if (escape_is_unsafe(c))
			p = terminal_unsafe(p, c);
		else
			p = text_bytes(p, bytes, n);
		bytes += n;
	}
	return p;
}
