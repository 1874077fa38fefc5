/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which records an output wants: its include and exclude expressions.
 *
 * A record passes if an include expression matches it (or there is none) and no exclude expression
 * does. A RECORD_LOSS always passes: what is missing here may have been wanted.
 *
 * Threads: one. Blocks: no. Logs: no. Errors: 0; RULES_E_INVALID with the complaint; -ENOMEM.
 */
#pragma once

#include "config/config.h"
#include "sink/expression.h"

enum { RULES_E_INVALID = 1 };

struct rules {
	struct expression **include, **exclude;
	size_t n_include, n_exclude;
};

/*
 * @rules is overwritten; free with rules_deinit(), also after an error. @why (of @size bytes) takes
 * "output ecs:PATH: exclude "prot:tcp": column 1: ...".
 */
int rules_init(struct rules *rules, const struct config_output *o, char *why, size_t size);
void rules_deinit(struct rules *rules);

bool rules_pass(const struct rules *rules, const struct record *r);
