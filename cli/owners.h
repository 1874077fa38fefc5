/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of `flowner status` about owners: how they were found, how sure that is, how long it
 * took, why some are unknown, and which tiers are live.
 *
 * Threads: one. Blocks: no. Logs: no.
 */
#pragma once

#include <stdio.h>

#include "cli/instance.h"

void owners_print(const struct instance *i, FILE *f);

/*
 * When @percent of the owners were known, as a phrase with the bound of a counter: "within 10 ms";
 * "" = none was.
 */
const char *owners_latency(const struct instance *i, unsigned percent);
