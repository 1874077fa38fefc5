/* SPDX-License-Identifier: Apache-2.0 */
/* Reference-counted immutable byte strings. */
#include "enrich/text.h"

#include <stdlib.h>
#include <string.h>

struct text *text_new(const void *bytes, size_t len)
{
	struct text *t;

	if (!len || len > UINT16_MAX)
		return NULL;
	t = malloc(sizeof(*t) + len + 1);
	if (!t)
		return NULL;
	t->refs = 1;
	t->len = (uint32_t)len;
	memcpy(t->bytes, bytes, len);
	t->bytes[len] = '\0';
	return t;
}

struct text *text_ref(struct text *t)
{
	if (t)
		t->refs++;
	return t;
}

void text_unref(struct text *t)
{
	if (t && !--t->refs)
		free(t);
}

void text_replace(struct text **t, struct text *to)
{
	struct text *old = *t;

	*t = to;
	text_unref(old);
}
