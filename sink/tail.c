/* SPDX-License-Identifier: Apache-2.0 */
/* The ring's tail, the checkpoint beside it and the ledger, kept in step. */
#include "sink/tail.h"

#include <string.h>

static const unsigned COUNTERS[SPOOL_COUNTERS] = {
	[SPOOL_RECORDS_READ] = LEDGER_sink_records_read,
	[SPOOL_RECORDS_WRITTEN] = LEDGER_sink_records_written,
	[SPOOL_RECORDS_LOST] = LEDGER_sink_records_lost,
	[SPOOL_RECORDS_INVALID] = LEDGER_sink_records_invalid,
	[SPOOL_PACKETS_WRITTEN] = LEDGER_sink_packets_written,
	[SPOOL_PACKETS_LOST] = LEDGER_sink_packets_lost,
	[SPOOL_BYTES_WRITTEN] = LEDGER_sink_bytes_written,
	[SPOOL_RECORDS_EXCLUDED] = LEDGER_sink_records_excluded,
	[SPOOL_PACKETS_EXCLUDED] = LEDGER_sink_packets_excluded,
};

static void store(struct tail *t, struct ring_consumer *ring, uint64_t pos,
	const uint64_t totals[SPOOL_COUNTERS])
{
	struct checkpoint_slot slot = {0};

	memcpy(slot.counters, totals, sizeof(uint64_t) * SPOOL_COUNTERS);
	spool_slot(t->spool, &slot);
	checkpoint_store(ring_consumer_checkpoint(ring), t->released, pos, &slot);
}

int tail_attach(struct tail *t, struct ring_consumer *ring, bool *ret_resumed,
	const struct output **ret_bad)
{
	uint64_t pos = ring_consumer_pos(ring), totals[SPOOL_COUNTERS];
	const struct checkpoint_slot *slot = checkpoint_find(ring_consumer_checkpoint(ring), pos);

	if (!t->recovered) {
		int r = spool_recover(t->spool, slot, ret_bad);

		if (r < 0)
			return r;
		for (unsigned i = 0; slot && i < SPOOL_COUNTERS; i++)
			ledger_set(t->ledger, COUNTERS[i], slot->counters[i]);
		if (slot)
			t->spool->open.losses = t->spool->done.losses = slot->losses;
		t->recovered = true;
	}
	for (unsigned i = 0; i < SPOOL_COUNTERS; i++)
		totals[i] = ledger_get(t->ledger, COUNTERS[i]);
	spool_rewind(t->spool, pos);
	t->released = pos;
	store(t, ring, pos, totals);
	*ret_resumed = slot != NULL;
	return 0;
}

void tail_mark(struct tail *t, struct ring_consumer *ring)
{
	uint64_t totals[SPOOL_COUNTERS];

	for (unsigned i = 0; i < SPOOL_COUNTERS; i++)
		totals[i] = ledger_get(t->ledger, COUNTERS[i]);
	if (ring)
		store(t, ring, t->released, totals);
}

void tail_release(struct tail *t, struct ring_consumer *ring, const uint64_t counts[SPOOL_COUNTERS])
{
	uint64_t totals[SPOOL_COUNTERS];
	uint64_t pos = t->spool->done.pos;

	for (unsigned i = 0; i < SPOOL_COUNTERS; i++)
		totals[i] = ledger_get(t->ledger, COUNTERS[i]) + counts[i];
	if (ring) /* also on the same tail: losses that were told */
		store(t, ring, pos, totals);
	/*
	 * Before the tail: a ring that is read to its end may be let go at once, with what stands
	 * in it. Killed in between, the next run finds the old tail and what belongs to that.
	 */
	ledger_begin(t->ledger);
	for (unsigned i = 0; i < SPOOL_COUNTERS; i++)
		ledger_set(t->ledger, COUNTERS[i], totals[i]);
	ledger_end(t->ledger);
	if (!ring)
		return;
	ring_release_to(ring, pos);
	t->released = pos;
}
