/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads YAML text into a configuration: sections, keys and values, no more of YAML than that.
 *
 * Threads: any, one per struct config. Blocks: no. Logs: no.
 * Errors: 0; CONFIG_E_INVALID with the complaint in @err; -ENOMEM.
 */
#pragma once

#include "config/config.h"
#include "config/schema.h"

struct error_place;

/*
 * Applies one document of @len bytes (at most CONFIG_SIZE_MAX) to @c; @file is its name in
 * complaints. Refused: more than one document, directives, tags, anchors, aliases, duplicate keys,
 * nesting beyond CONFIG_DEPTH_MAX, anything the schema does not know. Answers at the first
 * complaint, so that no input takes long.
 */
int yaml_apply(
	struct config *c, const char *file, const char *text, size_t len, struct config_error *err);

/* Sets a list from a flow sequence "[a, b]" that came from @source (no line numbers). */
int yaml_apply_list(struct config *c, const struct schema_key *k, const char *source,
	const char *text, size_t len, struct config_error *err);

/* The part of the above that looks at the bytes, before libyaml does; @start is their place. */
int yaml_check_text(const char *text, size_t len, const struct error_place *start, const char *path,
	struct config_error *err);
