/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the known name that an unknown one was probably meant to be (declared in schema.h). */
#include "config/schema.h"

#include <string.h>

#define NAME_MAX_BYTES 40u /* longer than any known name by more than DISTANCE_MAX */
#define DISTANCE_MAX   2u

static unsigned char lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

/* Levenshtein's distance, one row at a time; DISTANCE_MAX + 1 for anything further or too long. */
static unsigned distance(const char *known, const char *name, size_t len)
{
	unsigned row[NAME_MAX_BYTES + 1];
	size_t n = strlen(known);

	if (len > NAME_MAX_BYTES || n > NAME_MAX_BYTES)
		return DISTANCE_MAX + 1;
	for (size_t j = 0; j <= len; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= len; j++) {
			unsigned above = row[j];
			unsigned cost = lower(known[i - 1]) != lower(name[j - 1]);

			row[j] = min3(row[j - 1] + 1, above + 1, diagonal + cost);
			diagonal = above;
		}
	}
	/* Two edits turn any short word into any other: more must stay than changes. */
	return row[len] * 2 < (n > len ? n : len) ? row[len] : DISTANCE_MAX + 1;
}

struct best {
	const char *answer;
	unsigned distance;
};

static void consider(
	struct best *b, const char *known, const char *answer, const char *name, size_t len)
{
	unsigned d = distance(known, name, len);

	if (d <= DISTANCE_MAX && (!b->answer || d < b->distance)) {
		b->answer = answer;
		b->distance = d;
	}
}

const char *schema_suggest_section(const char *name, size_t len)
{
	struct best b = {0};

	for (size_t i = 0; i < schema_n_sections; i++)
		consider(&b, schema_sections[i].name, schema_sections[i].name, name, len);
	/* A key written without its section. */
	for (size_t i = 0; i < schema_n_keys && !b.answer; i++) {
		if (strlen(schema_keys[i].name) == len && !memcmp(schema_keys[i].name, name, len))
			b.answer = schema_keys[i].path;
	}
	return b.answer;
}

const char *schema_suggest_key(const char *section, const char *name, size_t len)
{
	struct best b = {0};

	for (size_t i = 0; i < schema_n_keys; i++) {
		if (strcmp(schema_keys[i].section, section) == 0)
			consider(&b, schema_keys[i].name, schema_keys[i].path, name, len);
	}
	for (size_t i = 0; i < schema_n_keys && !b.answer; i++) {
		if (strlen(schema_keys[i].name) == len && !memcmp(schema_keys[i].name, name, len))
			b.answer = schema_keys[i].path;
	}
	return b.answer;
}

const char *schema_suggest_output(const char *name, size_t len)
{
	struct best b = {0};

	for (size_t i = 0; i < schema_n_output_keys; i++)
		consider(&b, schema_output_keys[i].name, schema_output_keys[i].name, name, len);
	return b.answer;
}

const char *schema_suggest_path(const char *path, size_t len)
{
	struct best b = {0};

	for (size_t i = 0; i < schema_n_keys; i++)
		consider(&b, schema_keys[i].path, schema_keys[i].path, path, len);
	for (size_t i = 0; i < schema_n_keys && !b.answer; i++) {
		if (strlen(schema_keys[i].name) == len && !memcmp(schema_keys[i].name, path, len))
			b.answer = schema_keys[i].path;
	}
	return b.answer;
}

const char *schema_suggest_name(const char *const *names, const char *name, size_t len)
{
	struct best b = {0};

	for (size_t i = 0; names[i]; i++)
		consider(&b, names[i], names[i], name, len);
	return b.answer;
}
