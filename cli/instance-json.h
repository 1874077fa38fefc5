/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one running flowner has counted as JSON: `flowner status --json`.
 *
 * Keys and their meaning stay; new ones may come.
 *
 * Threads: one. Blocks: on @f. Logs: no.
 */
#pragma once

#include <stdio.h>

#include "cli/instance.h"

/* One object, without a newline behind it; @now_ns is CLOCK_REALTIME. */
void instance_print_json(const struct instance *i, const char *dir, uint64_t now_ns, FILE *f);
