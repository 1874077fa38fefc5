/* SPDX-License-Identifier: Apache-2.0 */
/* The entries of output.files: each a text FORMAT:PATH or a mapping of schema_output_keys. */
#include "config/outputs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/text.h"
#include "shm/cleanup.h"

int outputs_init(struct config_output *o)
{
	struct value_complaint why;
	int r = 0;

	*o = (struct config_output){0};
	for (size_t i = 0; r == 0 && i < schema_n_output_keys; i++) {
		const struct schema_key *k = &schema_output_keys[i];

		if (k->initial && k->type != SCHEMA_LIST) /* those start empty */
			r = value_set(o, k, k->initial, strlen(k->initial), &why);
	}
	return r;
}

void outputs_deinit(struct config_output *o)
{
	for (size_t i = 0; i < schema_n_output_keys; i++)
		value_clear(o, &schema_output_keys[i]);
	*o = (struct config_output){0};
}

bool outputs_is_default(const struct config_output *o, const struct schema_key *k)
{
	struct config_output d;
	const char *at = (const char *)o + k->offset, *initial = (const char *)&d + k->offset;

	if (!k->initial || outputs_init(&d)) /* it allocates nothing */
		return false;
	switch (k->type) {
	case SCHEMA_LIST:
		return ((const struct config_list *)at)->n == 0;
	case SCHEMA_SIZE:
	case SCHEMA_DURATION:
	case SCHEMA_COUNT:
		return *(const uint64_t *)at == *(const uint64_t *)initial;
	case SCHEMA_BOOL:
		return *(const bool *)at == *(const bool *)initial;
	case SCHEMA_NAME:
		return *(const int *)at == *(const int *)initial;
	case SCHEMA_STRING:
	case SCHEMA_OUTPUTS:
		break;
	}
	return false;
}

bool outputs_is_text(const struct config_output *o)
{
	for (size_t i = 0; i < schema_n_output_keys; i++) {
		const struct schema_key *k = &schema_output_keys[i];

		if (k->initial && !outputs_is_default(o, k))
			return false;
	}
	return true;
}

/* The next byte of @path, from @at on, that counts. */
static const char *skip(const char *path, const char *at)
{
	for (;;) {
		bool begins = at == path || at[-1] == '/';

		if (at != path && at[-1] == '/' && at[0] == '/')
			at++;
		else if (begins && at[0] == '.' && at[1] == '/')
			at += 2;
		else
			return at;
	}
}

bool outputs_same_path(const char *a, const char *b)
{
	const char *x = skip(a, a), *y = skip(b, b);

	while (*x && *x == *y) {
		x = skip(a, x + 1);
		y = skip(b, y + 1);
	}
	return *x == *y;
}

static int check(const struct config_outputs *list, const struct config_output *o,
	struct value_complaint *ret_why)
{
	char text[4 * TEXT_QUOTE_MAX];

	if (list->n == CONFIG_LIST_MAX)
		return value_complain(ret_why, "has more than %u entries", CONFIG_LIST_MAX);
	for (size_t i = 0; i < schema_n_output_keys; i++) {
		const struct schema_key *k = &schema_output_keys[i];

		if (!k->initial && !*(char *const *)((const char *)o + k->offset))
			return value_complain(
				ret_why, "entry %zu has no \"%s\"", list->n + 1, k->name);
	}
	for (size_t i = 0; i < list->n; i++) {
		const struct config_output *other = &list->item[i];

		if (!outputs_same_path(other->path, o->path))
			continue;
		if (strcmp(other->format, o->format) != 0)
			return value_complain(ret_why,
				"entry %zu has the path of entry %zu: each output needs its own",
				list->n + 1, i + 1);
		snprintf(
			text, sizeof(text), "%s:%s", o->format, o->path); /* quoted shorter still */
		return value_complain(
			ret_why, "has the entry %s twice", text_quote(text, strlen(text)).text);
	}
	if (strcmp(o->path, "-") == 0 && (o->rotate_size || o->rotate_interval_ns))
		return value_complain(
			ret_why, "entry %zu: standard output cannot be rotated", list->n + 1);
	return 0;
}

int outputs_append(
	struct config_outputs *list, struct config_output *o, struct value_complaint *ret_why)
{
	struct config_output *more;
	int r = check(list, o, ret_why);

	if (r)
		return r;
	more = reallocarray(list->item, list->n + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	list->item = more;
	list->item[list->n++] = *o;
	*o = (struct config_output){0};
	return 0;
}

int outputs_check(const struct config_checks *checks, const struct config_outputs *list,
	struct value_complaint *ret_why)
{
	const struct config_outputs before = {list->item, list->n - 1};
	const struct config_output *o = &list->item[before.n];
	struct config_complaint why = {0};
	int r = 0;

	if (checks)
		r = checks->text("format", o->format, &why);
	if (checks && r == 0)
		r = checks->output(&before, o, &why);
	return r == CONFIG_E_INVALID ? value_complain(ret_why, "entry %zu: %s", list->n, why.text)
				     : r;
}

static int set(struct config_output *o, const char *name, const char *text, size_t len,
	struct value_complaint *ret_why)
{
	return value_set(
		o, &schema_output_keys[schema_find_output(name, strlen(name))], text, len, ret_why);
}

int outputs_append_text(
	struct config_outputs *list, const char *text, struct value_complaint *ret_why)
{
	const char *colon = strchr(text, ':');
	struct config_output o;
	int r = outputs_init(&o);

	if (r == 0)
		r = set(&o, "format", text, (size_t)(colon - text), ret_why);
	if (r == 0)
		r = set(&o, "path", colon + 1, strlen(colon + 1), ret_why);
	if (r == 0)
		r = outputs_append(list, &o, ret_why);
	outputs_deinit(&o);
	return r;
}

void outputs_clear(struct config_outputs *list)
{
	for (size_t i = 0; i < list->n; i++)
		outputs_deinit(&list->item[i]);
	free(list->item);
	*list = (struct config_outputs){0};
}
