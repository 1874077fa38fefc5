/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes bytes of foreign origin safe to print on one line of a terminal or a log.
 *
 * Threads: any. Blocks: no. Logs: no. Never fails: what does not fit is cut.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * Length of the well-formed UTF-8 sequence at @s (RFC 3629: no surrogates, no overlong forms) and
 * its code point; 0 if there is none within @len bytes.
 */
size_t text_utf8(const char *s, size_t len, uint32_t *ret_code);

/*
 * Writes @len bytes of @src to @dst, always NUL-terminated within @size bytes (at least 8): control
 * characters (C0, DEL, C1), line and paragraph separators, characters that change the direction of
 * writing, and bytes that are not UTF-8 become \xNN, one for each byte. Text that does not fit ends
 * in "...".
 */
void text_escape(char *dst, size_t size, const char *src, size_t len);

#define TEXT_QUOTE_MAX 80u

/* A value as it stands in a message: escaped, in double quotes, at most TEXT_QUOTE_MAX bytes. */
struct text_quote {
	char text[TEXT_QUOTE_MAX];
};
struct text_quote text_quote(const char *src, size_t len);
