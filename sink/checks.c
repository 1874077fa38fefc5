/* SPDX-License-Identifier: Apache-2.0 */
/* What of outputs in a configuration only the sink understands. */
#include "sink/checks.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "config/outputs.h"
#include "config/text.h"
#include "sink/expression.h"
#include "sink/format.h"
#include "sink/rotate.h"

static int check_format(const char *name, struct config_complaint *ret)
{
	char names[128] = "";

	if (format_find(name, strlen(name)))
		return 0;
	for (unsigned i = 0; format_at(i); i++)
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
			i ? ", " : "", format_at(i)->name);
	snprintf(ret->text, sizeof(ret->text), "unknown format %s, one of: %s",
		text_quote(name, strlen(name)).text, names);
	return CONFIG_E_INVALID;
}

static int check_expression(const char *text, struct config_complaint *ret)
{
	struct expression *e = NULL;
	struct expression_error err;
	int r = expression_parse(text, &e, &err);

	expression_free(e);
	if (r != EXPRESSION_E_SYNTAX)
		return r;
	ret->column = err.column;
	snprintf(ret->text, sizeof(ret->text), "%s", expression_error_text(&err));
	return CONFIG_E_INVALID;
}

static int check_text(const char *key, const char *text, struct config_complaint *ret)
{
	if (strcmp(key, "format") == 0)
		return check_format(text, ret);
	if (strcmp(key, "include") == 0 || strcmp(key, "exclude") == 0)
		return check_expression(text, ret);
	return 0;
}

/* Files put aside ------------------------------------------------------------------------- */

static const char *name_of(const struct config_output *o)
{
	const char *slash = strrchr(o->path, '/');

	return slash ? slash + 1 : o->path;
}

static bool same_folder(const struct config_output *a, const struct config_output *b)
{
	char x[PATH_MAX], y[PATH_MAX];

	snprintf(x, sizeof(x), "%.*s", (int)(name_of(a) - a->path), a->path);
	snprintf(y, sizeof(y), "%.*s", (int)(name_of(b) - b->path), b->path);
	return outputs_same_path(x, y);
}

static bool puts_aside(const struct config_output *o)
{
	return o->rotate_size || o->rotate_interval_ns;
}

/* Whether @other would take the file @a, or one that is put aside of it, for its own. */
static bool takes(const struct config_output *other, const struct config_output *a)
{
	char aside[NAME_MAX + 1];
	uint64_t t_ns;
	bool zst;

	if (!puts_aside(other))
		return false;
	if (rotate_is_name(name_of(other), name_of(a), &t_ns, &zst))
		return true;
	return puts_aside(a) && rotate_name(name_of(a), 0, aside, sizeof(aside)) == 0 &&
	       rotate_is_name(name_of(other), aside, &t_ns, &zst);
}

static int check_output(const struct config_outputs *before, const struct config_output *o,
	struct config_complaint *ret)
{
	for (size_t i = 0; i < before->n; i++) {
		const struct config_output *other = &before->item[i];

		if (strcmp(o->path, "-") == 0 || strcmp(other->path, "-") == 0 ||
			!same_folder(o, other) || !(takes(other, o) || takes(o, other)))
			continue;
		snprintf(ret->text, sizeof(ret->text),
			"its rotated files and those of entry %zu would have the same names",
			i + 1);
		return CONFIG_E_INVALID;
	}
	return 0;
}

const struct config_checks sink_checks = {.text = check_text, .output = check_output};
