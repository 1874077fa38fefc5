/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledgers of a runtime directory as Prometheus text.
 *
 * Source: "Exposition formats", text format version 0.0.4, of the Prometheus documentation.
 *
 * Threads: one. Blocks: on @f. Logs: no.
 */
#pragma once

#include <stdio.h>

#include "cli/instance.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Programs that never started have no samples. */
void metrics_print(const struct instance *i, FILE *f);

/* Every metric there can be: name, type, labels, meaning, in columns that are separated by tabs. */
void metrics_list(FILE *f);
