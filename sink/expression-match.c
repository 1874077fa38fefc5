/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluates a parsed expression over a record. */
#include <string.h>

#include "sink/expression-internal.h"

static unsigned char lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

/* NUL stands between arguments, where a person types a blank. */
static bool same(char want, char have, bool fold)
{
	if (have == '\0')
		have = ' ';
	return fold ? lower(want) == lower(have) : want == have;
}

/* Linear in @n times @len: only the last * is ever gone back to. */
bool expression_glob(const char *glob, size_t n, const char *text, size_t len, bool fold)
{
	size_t g = 0, t = 0, star = SIZE_MAX, from = 0;

	while (t < len) {
		bool literal = g < n && glob[g] == '\\' && g + 1 < n;

		if (g < n && glob[g] == '*') {
			star = ++g;
			from = t;
		} else if (g < n && same(glob[g + literal], text[t], fold)) {
			g += 1u + literal;
			t++;
		} else if (star != SIZE_MAX) {
			g = star;
			t = ++from;
		} else {
			return false;
		}
	}
	while (g < n && glob[g] == '*')
		g++;
	return g == n;
}

static bool in_net(const struct expression_pattern *p, const uint8_t address[16])
{
	unsigned whole = p->bits / 8, rest = p->bits % 8;

	if (memcmp(p->address, address, whole) != 0)
		return false;
	return !rest || (uint8_t)(p->address[whole] ^ address[whole]) >> (8 - rest) == 0;
}

static bool matches(const struct expression_pattern *p, const struct expression_value *v)
{
	switch (p->kind) {
	case EXPRESSION_PATTERN_ANY:
		return v->kind != EXPRESSION_VALUE_NONE;
	case EXPRESSION_PATTERN_GLOB:
		return v->kind == EXPRESSION_VALUE_TEXT &&
		       expression_glob(p->glob, p->len, v->text, v->len, p->fold);
	case EXPRESSION_PATTERN_RANGE:
		return v->kind == EXPRESSION_VALUE_NUMBER && v->number >= p->low &&
		       v->number <= p->high;
	case EXPRESSION_PATTERN_NET:
		return v->kind == EXPRESSION_VALUE_ADDRESS && in_net(p, v->address);
	}
	return false;
}

static bool holds(
	const struct expression *e, const struct expression_term *t, const struct record *r)
{
	struct expression_value v = {0};

	if (r->event == RECORD_LOSS)
		return t->negated;
	for (unsigned i = 0; t->key->value(t->key, r, i, &v); i++) {
		for (size_t n = 0; n < t->n; n++)
			if (matches(&e->pattern[t->first + n], &v))
				return !t->negated;
		v = (struct expression_value){0};
	}
	return t->negated;
}

bool expression_matches(const struct expression *e, const struct record *r)
{
	bool all = true;

	for (size_t i = 0; i < e->n_terms; i++) {
		if (e->term[i].alternative) {
			if (all)
				return true;
			all = true;
		}
		all = all && holds(e, &e->term[i], r);
	}
	return all;
}
