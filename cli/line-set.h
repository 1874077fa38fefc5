/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One value of an output file's line, as text, put into the record it came from.
 *
 * Threads: any. Blocks: no. Logs: no. Never fails: what is no value of the field is left out.
 */
#pragma once

#include <stddef.h>

#include "shm/record.h"
#include "sink/fields.h"

/*
 * @s, terminated, has @len bytes, as @format writes @f; a member of @base, which is @r or one of
 * its processes. @r's direction and start_ns are set before what depends on them.
 */
void line_set(enum field_format format, const struct field *f, struct record *r, void *base,
	const char *s, size_t len);
