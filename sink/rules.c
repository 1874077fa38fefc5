/* SPDX-License-Identifier: Apache-2.0 */
/* Which records an output wants. */
#include "sink/rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/text.h"

static void clear(struct expression **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		expression_free(list[i]);
	free(list);
}

/* *ret_n counts what is in *ret, also when it ends early. */
static int parse(const struct config_output *o, const char *key, const struct config_list *list,
	struct expression ***ret, size_t *ret_n, char *why, size_t size)
{
	struct expression_error err;

	if (!list->n)
		return 0;
	*ret = calloc(list->n, sizeof(struct expression *));
	if (!*ret)
		return -ENOMEM;
	for (; *ret_n < list->n; ++*ret_n) {
		const char *text = list->item[*ret_n];
		int r = expression_parse(text, &(*ret)[*ret_n], &err);

		if (r == EXPRESSION_E_SYNTAX) {
			snprintf(why, size, "output %s:%s: %s %s: %s", o->format,
				text_quote(o->path, strlen(o->path)).text, key,
				text_quote(text, strlen(text)).text, err.text);
			return RULES_E_INVALID;
		}
		if (r)
			return r;
	}
	return 0;
}

int rules_init(struct rules *rules, const struct config_output *o, char *why, size_t size)
{
	int r;

	*rules = (struct rules){0};
	r = parse(o, "include", &o->include, &rules->include, &rules->n_include, why, size);
	if (r == 0)
		r = parse(o, "exclude", &o->exclude, &rules->exclude, &rules->n_exclude, why, size);
	return r;
}

void rules_deinit(struct rules *rules)
{
	clear(rules->include, rules->n_include);
	clear(rules->exclude, rules->n_exclude);
	*rules = (struct rules){0};
}

static bool any(struct expression *const *list, size_t n, const struct record *r)
{
	for (size_t i = 0; i < n; i++)
		if (expression_matches(list[i], r))
			return true;
	return false;
}

bool rules_pass(const struct rules *rules, const struct record *r)
{
	if (r->event == RECORD_LOSS)
		return true;
	return (!rules->n_include || any(rules->include, rules->n_include, r)) &&
	       !any(rules->exclude, rules->n_exclude, r);
}
