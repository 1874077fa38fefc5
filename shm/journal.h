/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters that belong to what a ring holds, in step with it over SIGKILL.
 *
 * Publishing a batch changes three things: the head of our ring, our counters, and the tail of the
 * ring the batch was read from. So that a kill in between leaves all or nothing, what the counters
 * and the tail are to be stands in the ledger first:
 *
 *	journal_prepare()	killed before: the batch is read again
 *	ring_publish()		head; killed before: head not reached, the same
 *	journal_done()		killed before: head reached, journal_recover() ends what was begun
 *	journal_apply()		counters; killed before: the same
 *	ring_release()		tail; killed before: the next life skips to journal_from()
 *
 * Between the head and journal_done() only a supervisor that keeps our ring (config/keeper.h) knows
 * how far the head came; without one a kill there is taken for one before the head.
 *
 * Two slots, so that what is known of the last batch stands until the next one is whole.
 *
 * Threads: one. Blocks: no. Logs: no.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "shm/ledger.h"

/* A counter, and what it is with the batch. */
struct journal_entry {
	uint32_t counter;
	uint64_t value;
};

struct journal_batch {
	uint64_t epoch, head;     /* of our ring, once the batch is published */
	struct ledger_place from; /* where the ring that is read goes on after it */
	uint32_t n;
	struct journal_entry entry[LEDGER_JOURNAL_VALUES];
};

void journal_prepare(struct ledger *l, const struct journal_batch *b);
void journal_done(struct ledger *l);
void journal_apply(struct ledger *l);

/* Adds @n to a counter with this batch; 0 is no change. */
void journal_add(struct journal_batch *b, const struct ledger *l, unsigned counter, uint64_t n);
/* The counter is @value with this batch. */
void journal_set(struct journal_batch *b, const struct ledger *l, unsigned counter, uint64_t value);

/*
 * Ends what a killed life was about to do, or takes it back. @head_of says how far the head of our
 * ring of @epoch came; false = nobody has kept it.
 */
void journal_recover(struct ledger *l,
	bool (*head_of)(const void *arg, uint64_t epoch, uint64_t *ret_head), const void *arg);

/* Where the ring that is read goes on; epoch 0 = not known. Once recovered. */
struct ledger_place journal_from(const struct ledger *l);
