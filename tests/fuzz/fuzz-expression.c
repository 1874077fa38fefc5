/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions of any bytes: refused with a printable complaint in range, or usable on any record.
 */
#include <stdlib.h>
#include <string.h>

#include "sink/expression.h"
#include "unit/sink-build.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void check_complaint(const struct expression_error *err, size_t len)
{
	check(err->column >= 1 && err->column <= len + 1);
	check(strlen(err->text) > 0 && strlen(err->text) < sizeof(err->text));
	for (const char *c = err->text; *c; c++)
		check((uint8_t)*c >= ' ' && *c != 0x7f);
}

/* A term and its negation never agree. */
static void check_negation(const char *text, const struct expression *e, const struct record *r)
{
	char *negated = malloc(strlen(text) + 5);
	struct expression_error err;
	struct expression *n = NULL;

	memcpy(negated, "not ", 4);
	strcpy(negated + 4, text);
	if (!strpbrk(text, " \t\n") && *text && expression_parse(negated, &n, &err) == 0)
		check(expression_matches(n, r) != expression_matches(e, r));
	expression_free(n);
	free(negated);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct record r;
	struct expression_error err = {0};
	struct expression *e = NULL;
	char *text = malloc(size + 1);
	int result;

	memcpy(text, data, size);
	text[size] = '\0';
	result = expression_parse(text, &e, &err);
	check(result == 0 || result == EXPRESSION_E_SYNTAX);
	if (result) {
		check(!e);
		check_complaint(&err, strlen(text));
	} else {
		srand(1);
		for (unsigned i = 0; i < 8; i++) {
			build_random(&r, 600);
			check_negation(text, e, &r);
		}
	}
	expression_free(e);
	free(text);
	return 0;
}
