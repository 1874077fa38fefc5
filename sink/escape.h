/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Foreign bytes (process names, arguments, paths) made safe for JSON and for terminals, losslessly.
 *
 * Bytes are read as UTF-8 as RFC 3629 defines it: overlong forms, surrogates and anything above
 * U+10FFFF are not characters but invalid bytes. "Unsafe" characters are those that steer instead
 * of show: C0, DEL, C1, line and paragraph separators, bidirectional controls, BOM and tags.
 *
 * All functions that write do so at @p and return the place behind; at most ESCAPE_EXPANSION bytes
 * per byte. Threads: any. Blocks: no. Logs: no. Never fails.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ESCAPE_EXPANSION 6u

/*
 * The inside of a JSON string (RFC 8259), always valid UTF-8 on one line. Unsafe characters become
 * \b \f \n \r \t or \uXXXX (a pair of them above U+FFFF). An invalid byte 0xHH becomes U+FFFD
 * followed by its two lower-case hexadecimal digits; a U+FFFD that was really there is written as
 * its three bytes in that way. So every U+FFFD in a decoded value is followed by the two digits of
 * one original byte, and the original can be restored.
 */
char *escape_json(char *p, const char *bytes, size_t len);

/*
 * One line of printable UTF-8. Unsafe characters become \b \f \n \r \t \e or \u{hex}, an invalid
 * byte \xHH, and a backslash two.
 */
char *escape_terminal(char *p, const char *bytes, size_t len);

/*
 * Copies those of the first bytes that mean themselves everywhere, which are nearly all: printable
 * ASCII without quote and backslash. Eight at a time; returns how many. The room is that of @len.
 */
size_t escape_plain(char *p, const char *bytes, size_t len);

/* True for characters that both functions escape. */
bool escape_is_unsafe(uint32_t c);

/*
 * Length of the UTF-8 character at @s, at most @len bytes, and the character in *ret; 0: *s is an
 * invalid byte.
 */
unsigned escape_utf8(const char *s, size_t len, uint32_t *ret);
