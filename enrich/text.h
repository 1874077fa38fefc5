/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Immutable, reference-counted byte strings, so that a forked child shares its parent's path and
 * command line instead of copying them.
 *
 * Threads: one. Blocks: no. Logs: no. Errors: NULL when out of memory, which reads as "unknown".
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct text {
	uint32_t refs;
	uint32_t len; /* bytes, no terminator counted; bytes[len] is 0 all the same */
	char bytes[];
};

/* NULL for no bytes, for more than UINT16_MAX of them and when out of memory. */
struct text *text_new(const void *bytes, size_t len);
/* Both take NULL. */
struct text *text_ref(struct text *t);
void text_unref(struct text *t);
/* Makes *t refer to @to (whose reference it takes) instead of what it did. */
void text_replace(struct text **t, struct text *to);
