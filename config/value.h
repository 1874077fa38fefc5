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

/* Sets a key that is not a list from @len bytes of @text; the field is unchanged on error. */
int value_set(struct config *c, const struct schema_key *k, const char *text, size_t len,
	struct value_complaint *ret_why);

/* Checks one entry of a list and appends a copy to @list, which starts as {0}. */
int value_append(struct config_list *list, const struct schema_key *k, const char *text, size_t len,
	struct value_complaint *ret_why);
/* Moves a finished list into its field. */
int value_set_list(struct config *c, const struct schema_key *k, struct config_list *list,
	struct value_complaint *ret_why);
void value_list_clear(struct config_list *list);

/* Writes the field's value as YAML (a flow scalar or sequence), without a line end. */
void value_print(const struct config *c, const struct schema_key *k, FILE *f);
/* Writes a number of the key's type with the largest unit that keeps it whole: "32MiB". */
void value_print_number(const struct schema_key *k, uint64_t n, FILE *f);

/* Frees what the field owns. */
void value_clear(struct config *c, const struct schema_key *k);
