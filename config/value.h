/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One configuration value: text to typed field with every check of the schema, and back.
 *
 * Threads: any, one per struct config. Blocks: no. Logs: no.
 * Errors: 0; CONFIG_E_INVALID with the complaint (no place, no key) in @ret_why; -ENOMEM.
 */
#pragma once

#include <stdio.h>

#include "config/config.h"
#include "config/schema.h"

struct value_complaint {
	char text[320];
};

/* "a size with a unit (B, KiB, MiB or GiB)": what a key's value must look like. */
const char *value_expects(const struct schema_key *k);

/* A list under construction, of the key's kind; starts as {0}. */
union value_list {
	struct config_list texts;
	struct config_outputs outputs;
};

/*
 * Sets a key that is not a list from @len bytes of @text; the field is unchanged on error. @base is
 * what holds the field: a struct config, or a struct config_output for its keys.
 */
int value_set(void *base, const struct schema_key *k, const char *text, size_t len,
	struct value_complaint *ret_why);

/* Checks one entry that is written as a text and appends it to @list. */
int value_append(union value_list *list, const struct schema_key *k, const char *text, size_t len,
	struct value_complaint *ret_why);
/* Moves a finished list into its field. */
int value_set_list(void *base, const struct schema_key *k, union value_list *list,
	struct value_complaint *ret_why);
void value_list_clear(union value_list *list, const struct schema_key *k);

/* Writes the field's value as YAML (a flow scalar or sequence), without a line end. */
void value_print(const void *base, const struct schema_key *k, FILE *f);
/* Writes a number of the key's type with the largest unit that keeps it whole: "32MiB". */
void value_print_number(const struct schema_key *k, uint64_t n, FILE *f);

/* Frees what the field owns. */
void value_clear(void *base, const struct schema_key *k);

/* "has more than 64 entries" and the like: fills in @ret_why. Returns CONFIG_E_INVALID. */
int value_complain(struct value_complaint *ret_why, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
