/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What config_print() writes, config_load() reads back to the same values, for random values of
 * every key; and nothing within one edit of a known key goes without the right suggestion.
 */
#include "config/config.h"

#include <unistd.h>

#include "config/outputs.h"
#include "config/schema.h"
#include "config/value.h"
#include "tap.h"

#define ROUNDS 1000

static unsigned seed = 20240229;

static uint64_t number(void)
{
	return (uint64_t)rand_r(&seed) << 42 ^ (uint64_t)rand_r(&seed) << 21 ^
	       (uint64_t)rand_r(&seed);
}

static uint64_t below(uint64_t n)
{
	return n ? number() % n : 0;
}

/* Any text that a file may hold: quotes, escapes, YAML's own characters, all lengths of UTF-8. */
static size_t random_text(char *ret, size_t max, bool lines)
{
	static const char *const parts[] = {"\"", "\\", "'", ":", ": ", " #", "#", "[", "]", "{",
		"}", ",", "&", "*", "!", "|", ">", "%", "@", "`", "-", "- ", "?", "~", "null",
		"true", "off", "0", "1.5", "1e3", " ", "  ", "a", "Z", "_", "\xc3\xa9",
		"\xe2\x82\xac", "\xe2\x80\xa8", "\xe2\x80\xae", "\xef\xbb\xbf", "\xf0\x9f\x90\x9f",
		"\xf4\x8f\xbf\xbf", "\xc2\xa0", "\\x41", "\\n", "<<", "---", "...", "\n", "\n\n",
		"\t", "\n ", "\n%", "\n---\n"};
	size_t n_parts = sizeof(parts) / sizeof(parts[0]) - (lines ? 0 : 6), n = 0;
	size_t want = below(max < 40 ? max + 1 : 40);

	while (n < want) {
		const char *part = parts[below(n_parts)];

		if (n + strlen(part) > max)
			break;
		memcpy(ret + n, part, strlen(part));
		n += strlen(part);
	}
	ret[n] = '\0';
	return n;
}

static uint64_t random_number(const struct schema_key *k)
{
	uint64_t span = k->max - k->min, n;

	switch (below(4)) {
	case 0:
		n = k->min;
		break;
	case 1:
		n = k->max;
		break;
	case 2: /* a whole number of some unit */
		n = k->min + below(span + 1);
		for (const struct schema_unit *u = schema_units(k->type); u->name; u++) {
			if (k->type != SCHEMA_COUNT && below(2) && n / u->factor)
				n -= n % u->factor;
		}
		n = n < k->min ? k->min : n;
		break;
	default:
		n = k->min + below(span + 1);
	}
	if (k->power_of_two) {
		while (n & (n - 1))
			n &= n - 1;
	}
	return n;
}

static bool randomise(void *base, const struct schema_key *k);

/* Some as texts, some as mappings with a part of their keys set. */
static bool randomise_outputs(void *base, const struct schema_key *k)
{
	struct value_complaint why;
	union value_list list = {0};
	bool ok;

	for (size_t n = 1 + below(4); n; n--) {
		struct config_output o;

		if (outputs_init(&o))
			tap_bail("no memory");
		for (size_t i = 0; i < schema_n_output_keys; i++) {
			if (!schema_output_keys[i].initial || below(3) == 0)
				(void)randomise(&o, &schema_output_keys[i]);
		}
		if (value_set(&o, &schema_output_keys[0], "ecs", 3, &why) == 0)
			(void)outputs_append(&list.outputs, &o, &why);
		outputs_deinit(&o);
	}
	ok = value_set_list(base, k, &list, &why) == 0;
	value_list_clear(&list, k);
	return ok;
}

/* Fills one field past all parsing; false if the random text is one the key refuses. */
static bool randomise(void *base, const struct schema_key *k)
{
	struct value_complaint why;
	union value_list list = {0};
	char text[128];
	void *at = (char *)base + k->offset;
	size_t len;
	int names = 0;

	switch (k->type) {
	case SCHEMA_STRING:
		len = random_text(text, k->max < 100 ? k->max : 100, k->lines);
		return value_set(base, k, text, len, &why) == 0;
	case SCHEMA_LIST:
		for (size_t n = 1 + below(below(10) ? 4 : CONFIG_LIST_MAX); n; n--) {
			len = random_text(text, k->max < 100 ? k->max : 100, false);
			(void)value_append(&list, k, text, len, &why);
		}
		names = value_set_list(base, k, &list, &why);
		value_list_clear(&list, k);
		return names == 0;
	case SCHEMA_OUTPUTS:
		return randomise_outputs(base, k);
	case SCHEMA_SIZE:
	case SCHEMA_DURATION:
	case SCHEMA_COUNT:
		*(uint64_t *)at = random_number(k);
		return true;
	case SCHEMA_BOOL:
		*(bool *)at = below(2);
		return true;
	case SCHEMA_NAME:
		while (k->names[names])
			names++;
		*(int *)at = (int)below((uint64_t)names);
		return true;
	}
	return false;
}

static bool equal(const void *a, const void *b, const struct schema_key *k);

static bool equal_outputs(const struct config_outputs *a, const struct config_outputs *b)
{
	bool ok = a->n == b->n;

	for (size_t i = 0; ok && i < a->n; i++) {
		for (size_t j = 0; ok && j < schema_n_output_keys; j++)
			ok = equal(&a->item[i], &b->item[i], &schema_output_keys[j]);
	}
	return ok;
}

static bool equal(const void *a, const void *b, const struct schema_key *k)
{
	const void *x = (const char *)a + k->offset, *y = (const char *)b + k->offset;
	const struct config_list *list = x, *other = y;

	switch (k->type) {
	case SCHEMA_STRING:
		return strcmp(*(char *const *)x, *(char *const *)y) == 0;
	case SCHEMA_LIST:
		if (list->n != other->n)
			return false;
		for (size_t i = 0; i < list->n; i++) {
			if (strcmp(list->item[i], other->item[i]) != 0)
				return false;
		}
		return true;
	case SCHEMA_OUTPUTS:
		return equal_outputs(x, y);
	case SCHEMA_SIZE:
	case SCHEMA_DURATION:
	case SCHEMA_COUNT:
		return *(const uint64_t *)x == *(const uint64_t *)y;
	case SCHEMA_BOOL:
		return *(const bool *)x == *(const bool *)y;
	case SCHEMA_NAME:
		return *(const int *)x == *(const int *)y;
	}
	return false;
}

static bool round_trip(const char *file, unsigned *changed)
{
	const struct config_sources s = {.file = file};
	struct config_error err = {0};
	struct config a, b;
	bool ok;
	FILE *f;

	if (config_init(&a) || config_init(&b))
		tap_bail("no memory");
	for (size_t i = 0; i < schema_n_keys; i++)
		changed[i] += randomise(&a, &schema_keys[i]);
	f = fopen(file, "we");
	if (!f || config_print(&a, f) || fclose(f))
		tap_bail("no file");
	ok = config_load(&b, &s, &err) == 0;
	if (!ok)
		printf("# %s\n", err.text);
	for (size_t i = 0; ok && i < schema_n_keys; i++) {
		ok = equal(&a, &b, &schema_keys[i]);
		if (!ok)
			printf("# %s differs\n", schema_keys[i].path);
	}
	config_deinit(&a);
	config_deinit(&b);
	return ok;
}

static void test_round_trips(void)
{
	char folder[] = "/tmp/flowner-test-XXXXXX", file[64];
	unsigned changed[SCHEMA_KEYS_MAX] = {0};
	bool ok = true, all = true;

	if (!mkdtemp(folder))
		tap_bail("no folder");
	snprintf(file, sizeof(file), "%s/f.yaml", folder);
	for (int i = 0; ok && i < ROUNDS; i++)
		ok = round_trip(file, changed);
	tap_ok(ok, "%d random configurations read back as printed", ROUNDS);
	for (size_t i = 0; i < schema_n_keys; i++)
		all = all && changed[i] > ROUNDS / 200;
	tap_ok(all, "every key took part");
	if (ok) {
		unlink(file);
		rmdir(folder);
	}
}

/* Every way to get one key wrong by one edit is suggested back, unless it hits another name. */
static void test_suggestions(void)
{
	size_t tried = 0, wrong = 0;

	for (size_t i = 0; i < schema_n_keys; i++) {
		const struct schema_key *k = &schema_keys[i];
		size_t len = strlen(k->name);

		for (size_t at = 0; len > 3 && at < len; at++) {
			char name[64];
			const char *meant;

			snprintf(name, sizeof(name), "%.*s%s", (int)at, k->name, k->name + at + 1);
			if (schema_find(k->section, name, strlen(name)) >= 0)
				continue;
			meant = schema_suggest_key(k->section, name, strlen(name));
			tried++;
			wrong += !meant || strcmp(meant, k->path) != 0;
		}
	}
	tap_ok(tried > 150 && wrong == 0, "%zu keys with a letter missing are recognised", tried);
}

/* Numbers print to a text that parses to the same number, with no loss of any digit. */
static void test_numbers(void)
{
	struct value_complaint why;
	bool ok = true;
	struct config c;

	if (config_init(&c))
		tap_bail("no memory");
	for (int i = 0; ok && i < 200000; i++) {
		const struct schema_key *k = &schema_keys[below(schema_n_keys)];
		uint64_t *at = (void *)((char *)&c + k->offset), n;
		char text[64] = "";
		FILE *f;

		if (k->type != SCHEMA_SIZE && k->type != SCHEMA_DURATION && k->type != SCHEMA_COUNT)
			continue;
		n = random_number(k);
		f = fmemopen(text, sizeof(text), "w");
		value_print_number(k, n, f);
		fclose(f);
		ok = value_set(&c, k, text, strlen(text), &why) == 0 && *at == n;
		if (!ok)
			printf("# %s %s %llu\n", k->path, text, (unsigned long long)n);
	}
	tap_ok(ok, "numbers survive being printed");
	config_deinit(&c);
}

/* The table itself: defaults valid, ranges sane, names unique, help one sentence. */
static void test_schema(void)
{
	bool ok = true;

	for (size_t i = 0; i < schema_n_keys; i++) {
		const struct schema_key *k = &schema_keys[i];
		size_t len = strlen(k->help);
		char path[80];

		snprintf(path, sizeof(path), "%s.%s", k->section, k->name);
		ok = ok && strcmp(path, k->path) == 0 && len > 20 && len < 90 &&
		     k->help[len - 1] == '.' && k->offset < sizeof(struct config) &&
		     schema_find_section(k->section, strlen(k->section)) >= 0;
		for (size_t j = 0; j < i; j++) {
			ok = ok && strcmp(k->path, schema_keys[j].path) != 0 &&
			     k->offset != schema_keys[j].offset;
		}
		/* Keys of a section stand together, so that printing opens it once. */
		ok = ok && (i == 0 || strcmp(k->section, schema_keys[i - 1].section) == 0 ||
				   schema_find_section(k->section, strlen(k->section)) ==
					   schema_find_section(schema_keys[i - 1].section,
						   strlen(schema_keys[i - 1].section)) +
						   1);
		if (!ok) {
			printf("# %s\n", k->path);
			break;
		}
	}
	tap_ok(ok, "the table is in order");
}

/* The same for the keys of an output. */
static void test_output_schema(void)
{
	bool ok = schema_n_output_keys > 0;

	for (size_t i = 0; ok && i < schema_n_output_keys; i++) {
		const struct schema_key *k = &schema_output_keys[i];
		size_t len = strlen(k->help);

		ok = len > 20 && len < 90 && k->help[len - 1] == '.' && !strchr(k->name, '.') &&
		     k->offset < sizeof(struct config_output);
		for (size_t j = 0; ok && j < i; j++)
			ok = strcmp(k->path, schema_output_keys[j].path) != 0 &&
			     k->offset != schema_output_keys[j].offset;
		if (!ok)
			printf("# %s\n", k->path);
	}
	tap_ok(ok, "so is that of an output's keys");
}

int main(void)
{
	test_schema();
	test_output_schema();
	test_round_trips();
	test_numbers();
	test_suggestions();
	return tap_done();
}
