/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removes an output's oldest files that were put aside, by number, age and bytes. Only names that
 * rotate_is_name() knows as this output's are ever touched.
 *
 * Threads: one. Blocks: on the file system. Logs: no.
 */
#pragma once

#include <stdint.h>

#include "sink/output.h"

#define RETENTION_MAX 65536u /* files looked at in one go, in the folder's order */

/* Returns how many files were removed; -errno. */
int retention_apply(const struct output *o, uint64_t now_ns);
