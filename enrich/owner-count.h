/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The books of the verdict: each end of each connection once, at its end record, by method,
 * confidence or reason, and how long its owner took to be known.
 *
 * What was asked for is the sum over methods, cgroup only, reasons and remote ends; the latencies'
 * sum is that of all processes named.
 *
 * Threads: one. Blocks: no. Logs: no.
 */
#pragma once

#include "shm/ledger.h"
#include "shm/record.h"

void owner_count(struct ledger *l, const struct record_process *end);
