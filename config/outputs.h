/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entries of output.files: each a text FORMAT:PATH or a mapping of schema_output_keys.
 *
 * Threads: any, one per list. Blocks: no. Logs: no.
 * Errors: 0; CONFIG_E_INVALID with the complaint in @ret_why; -ENOMEM.
 */
#pragma once

#include "config/config.h"
#include "config/value.h"

/* An output with every default and neither format nor path. Free with outputs_deinit(). */
int outputs_init(struct config_output *o);
void outputs_deinit(struct config_output *o);

/* Whether two paths are the same as texts, but for "//" and "/./". */
bool outputs_same_path(const char *a, const char *b);

/* Checks @o as a whole and moves it to the end of @list; it is {0} then. */
int outputs_append(
	struct config_outputs *list, struct config_output *o, struct value_complaint *ret_why);
/* The same for "FORMAT:PATH", which has passed the key's check. */
int outputs_append_text(
	struct config_outputs *list, const char *text, struct value_complaint *ret_why);
/* The last one by what only the sink knows; @checks may be NULL. */
int outputs_check(const struct config_checks *checks, const struct config_outputs *list,
	struct value_complaint *ret_why);
void outputs_clear(struct config_outputs *list);

/* Whether @o's value of the key @k is its default. */
bool outputs_is_default(const struct config_output *o, const struct schema_key *k);
/* Whether FORMAT:PATH says all of it. */
bool outputs_is_text(const struct config_output *o);
