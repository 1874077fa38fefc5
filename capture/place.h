/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which word of a wrong filter expression is the wrong one: libpcap says what, but not where.
 *
 * A syntax error is behind the longest beginning that could still become an expression, tried with
 * a few ends. Any other error is in the first word with which the same message comes.
 *
 * Threads: any. Blocks: no longer than the compiler it is given. Logs: no.
 */
#pragma once

#include <stddef.h>

/* Compiles @expression. Returns NULL if it is good, else the message, valid until the next call. */
typedef const char *(*place_compile_fn)(void *arg, const char *expression);

/*
 * Finds the word that makes @compile fail for @expression: *ret_len bytes from *ret_at, 0 of them
 * if it ends too early. -ENOENT: cannot say. -ENOMEM.
 */
int place_find(const char *expression, place_compile_fn compile, void *arg, size_t *ret_at,
	size_t *ret_len);
