/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which values differ between two configurations, and taking some of them over.
 *
 * Threads: any. Blocks: no. Logs: no.
 */
#pragma once

#include "config/config.h"
#include "config/schema.h"

/* Whether the key's value is another in @b than in @a. */
bool change_is(const struct config *a, const struct config *b, const struct schema_key *k);
/* Exchanges the key's values. */
void change_swap(struct config *a, struct config *b, const struct schema_key *k);
