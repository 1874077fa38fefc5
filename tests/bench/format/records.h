/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records as a host makes them, for measuring what formatting one costs.
 *
 * Threads: one. Blocks: no. Logs: no. Never fails.
 */
#pragma once

#include "sink/format.h"

/* NULL behind the last. */
const char *bench_record_name(unsigned i);
/* The record of that number. */
void bench_record_build(unsigned i, struct record *r);
/* The same of the @n-th connection: its port, ids and times. */
void bench_record_vary(struct record *r, unsigned n);

void bench_context_build(struct format_context *ctx);
