/* SPDX-License-Identifier: Apache-2.0 */
/* Makes bytes of foreign origin safe to print on one line of a terminal or a log. */
#include "config/text.h"

#include <stdbool.h>
#include <string.h>

size_t text_utf8(const char *s, size_t len, uint32_t *ret_code)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const uint8_t *b = (const uint8_t *)s;
	uint32_t code;
	size_t n;

	if (len == 0)
		return 0;
	if (b[0] < 0x80)
		n = 1, code = b[0];
	else if ((b[0] & 0xe0) == 0xc0)
		n = 2, code = b[0] & 0x1f;
	else if ((b[0] & 0xf0) == 0xe0)
		n = 3, code = b[0] & 0x0f;
	else if ((b[0] & 0xf8) == 0xf0)
		n = 4, code = b[0] & 0x07;
	else
		return 0;
	if (n > len)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((b[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (b[i] & 0x3f);
	}
	if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*ret_code = code;
	return n;
}

/* Characters that could move the cursor, end the line or reorder what stands around them. */
static bool is_unprintable(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x061c || code == 0x200e ||
	       code == 0x200f || (code >= 0x2028 && code <= 0x202e) ||
	       (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
}

void text_escape(char *dst, size_t size, const char *src, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	size_t at = 0, cut = 0; /* cut: the last place where "..." still fits */

	for (size_t i = 0; i < len;) {
		uint32_t code = 0;
		size_t n = text_utf8(src + i, len - i, &code);
		bool raw = n && !is_unprintable(code);
		size_t need = raw ? n : 4 * (n ? n : 1);

		if (at + 4 <= size)
			cut = at;
		if (at + need >= size) {
			memcpy(dst + cut, "...", 4);
			return;
		}
		if (raw) {
			memcpy(dst + at, src + i, n);
			at += n;
			i += n;
			continue;
		}
		for (size_t end = i + (n ? n : 1); i < end; i++) {
			uint8_t b = (uint8_t)src[i];

			dst[at++] = '\\';
			dst[at++] = 'x';
			dst[at++] = digits[b >> 4];
			dst[at++] = digits[b & 15];
		}
	}
	dst[at] = '\0';
}

struct text_quote text_quote(const char *src, size_t len)
{
	struct text_quote q;
	size_t n;

	q.text[0] = '"';
	text_escape(q.text + 1, sizeof(q.text) - 2, src, len);
	n = strlen(q.text);
	q.text[n] = '"';
	q.text[n + 1] = '\0';
	return q;
}
