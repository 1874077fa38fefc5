/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the outputs' writers have done, in the ledger: together, and for each output.
 *
 * Threads: one. Blocks: no. Logs: no.
 */
#pragma once

#include "shm/ledger.h"
#include "sink/spool.h"

_Static_assert(LEDGER_OUTPUTS == CHECKPOINT_OUTPUTS, "the ledger has a place for every output");

/*
 * Names the outputs in the ledger, at the start and when they have changed. Counters go on where
 * the same output was at the same place; a kill between a write and its count leaves them short by
 * what that write held.
 */
void figures_name(struct ledger *l, const struct spool *s);
/* Counts what came since the last time. */
void figures_count(struct ledger *l, struct spool *s);
