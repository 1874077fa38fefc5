/* SPDX-License-Identifier: Apache-2.0 */
/* Which values differ between two configurations, and taking some of them over. */
#include "config/change.h"

#include <string.h>

static bool same_texts(const struct config_list *a, const struct config_list *b)
{
	bool same = a->n == b->n;

	for (size_t i = 0; same && i < a->n; i++)
		same = strcmp(a->item[i], b->item[i]) == 0;
	return same;
}

static bool same_outputs(const struct config_outputs *a, const struct config_outputs *b);

/* @a, @b: the fields themselves. */
static bool same(const struct schema_key *k, const void *a, const void *b)
{
	switch (k->type) {
	case SCHEMA_STRING:
		return strcmp(*(char *const *)a, *(char *const *)b) == 0;
	case SCHEMA_LIST:
		return same_texts(a, b);
	case SCHEMA_SIZE:
	case SCHEMA_DURATION:
	case SCHEMA_COUNT:
		return *(const uint64_t *)a == *(const uint64_t *)b;
	case SCHEMA_BOOL:
		return *(const bool *)a == *(const bool *)b;
	case SCHEMA_NAME:
		return *(const int *)a == *(const int *)b;
	case SCHEMA_OUTPUTS:
		return same_outputs(a, b);
	}
	return true;
}

static bool same_outputs(const struct config_outputs *a, const struct config_outputs *b)
{
	bool all = a->n == b->n;

	for (size_t i = 0; all && i < a->n; i++)
		for (size_t n = 0; all && n < schema_n_output_keys; n++) {
			const struct schema_key *k = &schema_output_keys[n];

			all = same(k, (const char *)&a->item[i] + k->offset,
				(const char *)&b->item[i] + k->offset);
		}
	return all;
}

bool change_is(const struct config *a, const struct config *b, const struct schema_key *k)
{
	return !same(k, (const char *)a + k->offset, (const char *)b + k->offset);
}

static size_t size_of(const struct schema_key *k)
{
	switch (k->type) {
	case SCHEMA_STRING:
		return sizeof(char *);
	case SCHEMA_LIST:
		return sizeof(struct config_list);
	case SCHEMA_SIZE:
	case SCHEMA_DURATION:
	case SCHEMA_COUNT:
		return sizeof(uint64_t);
	case SCHEMA_BOOL:
		return sizeof(bool);
	case SCHEMA_NAME:
		return sizeof(int);
	case SCHEMA_OUTPUTS:
		return sizeof(struct config_outputs);
	}
	return 0;
}

void change_swap(struct config *a, struct config *b, const struct schema_key *k)
{
	char keep[sizeof(struct config_outputs) + sizeof(struct config_list)];
	char *x = (char *)a + k->offset, *y = (char *)b + k->offset;
	size_t size = size_of(k);

	memcpy(keep, x, size);
	memcpy(x, y, size);
	memcpy(y, keep, size);
}
