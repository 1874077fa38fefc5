/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever the bytes: valid JSON that gives them back, and a terminal line that steers nothing. */
#include "tap.h"

#include "json-check.h"
#include "sink/escape.h"

#define STRINGS 100000
#define LEN_MAX 64
#define RESULT  (LEN_MAX * ESCAPE_EXPANSION)

/* UTF-8 of @c at @p; its length. */
static unsigned put_utf8(uint8_t *p, uint32_t c)
{
	if (c < 0x80) {
		p[0] = (uint8_t)c;
		return 1;
	}
	if (c < 0x800) {
		p[0] = (uint8_t)(0xc0 | c >> 6);
		p[1] = (uint8_t)(0x80 | (c & 63));
		return 2;
	}
	if (c < 0x10000) {
		p[0] = (uint8_t)(0xe0 | c >> 12);
		p[1] = (uint8_t)(0x80 | (c >> 6 & 63));
		p[2] = (uint8_t)(0x80 | (c & 63));
		return 3;
	}
	p[0] = (uint8_t)(0xf0 | c >> 18);
	p[1] = (uint8_t)(0x80 | (c >> 12 & 63));
	p[2] = (uint8_t)(0x80 | (c >> 6 & 63));
	p[3] = (uint8_t)(0x80 | (c & 63));
	return 4;
}

/* Random bytes of every flavour: noise, text, escapes, broken and odd characters. */
static size_t make(uint8_t *s)
{
	static const uint32_t odd[] = {0x7f, 0x80, 0x9b, 0xa0, 0x61c, 0x200b, 0x200f, 0x2028,
		0x2029, 0x202e, 0x2066, 0xd7ff, 0xe000, 0xfeff, 0xfffd, 0xfffe, 0x1f600, 0xe0041,
		0x10ffff};
	size_t len = 0, want = (size_t)rand() % (LEN_MAX - 4);

	while (len < want) {
		switch (rand() % 6) {
		case 0:
			s[len++] = (uint8_t)rand();
			break;
		case 1:
			s[len++] = (uint8_t)(rand() % 0x20);
			break;
		case 2:
			s[len++] = (uint8_t) "\"\\/'{}\x1b[u"[rand() % 9];
			break;
		case 3:
			len += put_utf8(
				s + len, odd[(size_t)rand() % (sizeof(odd) / sizeof(odd[0]))]);
			break;
		case 4: /* a surrogate, or beyond the last character, or cut short */
			len += put_utf8(s + len, (uint32_t)(0xd800 + rand() % 0x800));
			len -= (size_t)rand() % 2;
			break;
		default:
			s[len++] = (uint8_t)('a' + rand() % 26);
			break;
		}
	}
	return len;
}

static unsigned hex_digit(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static uint32_t hex4(const char *p)
{
	return hex_digit(p[0]) << 12 | hex_digit(p[1]) << 8 | hex_digit(p[2]) << 4 |
	       hex_digit(p[3]);
}

/* Undoes the JSON escapes, then the notation of invalid bytes: what escape.h promises. */
static size_t restore(const char *p, const char *end, uint8_t *to)
{
	static const char letters[] = "bfnrt\"\\", values[] = "\b\f\n\r\t\"\\";
	uint8_t *from = to;

	while (p < end) {
		if (!memcmp(p, "\xef\xbf\xbd", 3)) {
			*to++ = (uint8_t)(hex_digit(p[3]) << 4 | hex_digit(p[4]));
			p += 5;
		} else if (*p != '\\') {
			*to++ = (uint8_t)*p++;
		} else if (p[1] == 'u') {
			uint32_t c = hex4(p + 2);

			p += 6;
			if (c >= 0xd800 && c < 0xdc00) {
				c = 0x10000 + ((c - 0xd800) << 10) + (hex4(p + 2) - 0xdc00);
				p += 6;
			}
			to += put_utf8(to, c);
		} else {
			*to++ = (uint8_t)values[strchr(letters, p[1]) - letters];
			p += 2;
		}
	}
	return (size_t)(to - from);
}

static void test_json(void)
{
	unsigned invalid = 0, changed = 0, long_ones = 0;
	char out[RESULT + 2 + 16];
	uint8_t in[LEN_MAX], back[RESULT + 16];

	for (unsigned i = 0; i < STRINGS; i++) {
		size_t len = make(in), at, n;
		char *end;

		memset(out, 0, sizeof(out));
		out[0] = '"';
		end = escape_json(out + 1, (char *)in, len);
		long_ones += (size_t)(end - out - 1) > len * ESCAPE_EXPANSION;
		*end++ = '"';
		invalid += !json_check(out, (size_t)(end - out), &at);
		n = restore(out + 1, end - 1, back);
		changed += n != len || memcmp(back, in, len) != 0;
	}
	tap_is_int(invalid, 0, "%d random strings: valid JSON, valid UTF-8, one line", STRINGS);
	tap_is_int(changed, 0, "each gives its original bytes back");
	tap_is_int(long_ones, 0, "none is longer than promised");
}

static void test_terminal(void)
{
	unsigned unsafe = 0, long_ones = 0;
	char out[RESULT + 16];
	uint8_t in[LEN_MAX];

	for (unsigned i = 0; i < STRINGS; i++) {
		size_t len = make(in);
		const char *end = escape_terminal(out, (char *)in, len), *p = out;

		long_ones += (size_t)(end - out) > len * ESCAPE_EXPANSION;
		while (p < end) {
			uint32_t c;
			unsigned n = json_check_utf8(p, (size_t)(end - p));

			if (!n || escape_utf8(p, (size_t)(end - p), &c) != n ||
				escape_is_unsafe(c)) {
				unsafe++;
				break;
			}
			p += n;
		}
	}
	tap_is_int(unsafe, 0, "%d random strings: nothing that steers a terminal", STRINGS);
	tap_is_int(long_ones, 0, "none is longer than promised");
}

static void test_examples(void)
{
	static const struct {
		const char *in, *json, *terminal;
	} cases[] = {
		{"plain", "plain", "plain"},
		{"a\"b\\c", "a\\\"b\\\\c", "a\"b\\\\c"},
		{"\n\t\x1b[31m", "\\n\\t\\u001b[31m", "\\n\\t\\e[31m"},
		{"\x7f\xc2\x9b", "\\u007f\\u009b", "\\u{7f}\\u{9b}"},
		{"\xff\xc3",
			"\xef\xbf\xbd"
			"ff\xef\xbf\xbd"
			"c3",
			"\\xff\\xc3"},
		{"\xef\xbf\xbd",
			"\xef\xbf\xbd"
			"ef\xef\xbf\xbd"
			"bf\xef\xbf\xbd"
			"bd",
			"\xef\xbf\xbd"},
		{"\xe2\x80\xae", "\\u202e", "\\u{202e}"},
		{"\xf3\xa0\x81\x81", "\\udb40\\udc41", "\\u{e0041}"},
		{"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80", "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80",
			"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80"},
		{"\xc0\xaf",
			"\xef\xbf\xbd"
			"c0\xef\xbf\xbd"
			"af",
			"\\xc0\\xaf"},
	};
	char out[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		*escape_json(out, cases[i].in, strlen(cases[i].in)) = 0;
		tap_is_str(out, cases[i].json, "JSON %zu", i);
		*escape_terminal(out, cases[i].in, strlen(cases[i].in)) = 0;
		tap_is_str(out, cases[i].terminal, "terminal %zu", i);
	}
}

/* Plain text goes in pieces: one quote at every place of every length tells if one goes wrong. */
static void test_pieces(void)
{
	char in[40], out[sizeof(in) * ESCAPE_EXPANSION], want[sizeof(in) + 1];
	unsigned wrong = 0;

	for (size_t len = 0; len <= sizeof(in); len++)
		for (size_t quote = 0; quote <= len; quote++) {
			size_t n = 0, got;

			for (size_t i = 0; i < len; i++) {
				in[i] = (char)(i == quote ? '"' : 'a' + i % 26);
				if (i == quote)
					want[n++] = '\\';
				want[n++] = in[i];
			}
			got = (size_t)(escape_json(out, in, len) - out);
			wrong += got != n || memcmp(out, want, n) != 0;
		}
	tap_is_int(wrong, 0, "plain text of every length, and a quote at every place of it");
}

int main(void)
{
	srand(2);
	test_examples();
	test_json();
	test_terminal();
	test_pieces();
	return tap_done();
}
