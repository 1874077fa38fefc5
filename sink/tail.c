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

/*
 * What was lost of a unit, by how much more of it had been published before this ring than is
 * accounted for: @known of it was so before.
 */
static uint64_t unread(uint64_t beyond, uint64_t *known, bool first)
{
	if (!first && (int64_t)(beyond - *known) >= 0)
		return beyond - *known;
	*known = beyond; /* a ledger that began anew */
	return 0;
}

/*
 * Records in rings that nobody has read, and nobody kept over a kill: how many there were is known
 * when the next ring comes. Killed in here, the next run finds what is still to be counted; told
 * they are with the ring's first checkpoint.
 *
 * What the last batch before the kill had already written counts as lost, too: the checkpoint that
 * knew of it went with the ring.
 */
static void count_unread(
	struct tail *t, struct ring_consumer *ring, bool resumed, const uint64_t totals[])
{
	struct ledger *l = t->ledger;
	struct ledger_source *s = &l->file->source;
	const uint64_t at_ns = ring_consumer_epoch(ring) * 1000000;
	struct ring_loss loss = {.stage = RING_LOSS_FLOWS, .first_ns = at_ns, .last_ns = at_ns};
	uint64_t records = ring_consumer_before_records(ring) - totals[SPOOL_RECORDS_READ] -
			   ledger_get(l, LEDGER_sink_records_orphaned);
	uint64_t packets = ring_consumer_before(ring) - totals[SPOOL_PACKETS_WRITTEN] -
			   totals[SPOOL_PACKETS_LOST] - totals[SPOOL_PACKETS_EXCLUDED] -
			   ledger_get(l, LEDGER_sink_packets_orphaned);

	if (s->epoch != ring_consumer_epoch(ring)) {
		records = unread(records, &s->records, !s->epoch);
		loss.count = loss.packets = unread(packets, &s->packets, !s->epoch);
	} else {
		records = 0;
	}
	if (!resumed) {
		losses_add(&t->spool->open.losses, &loss);
		losses_add(&t->spool->done.losses, &loss);
	}
	store(t, ring, t->released, totals);
	ledger_begin(l);
	ledger_add(l, LEDGER_sink_records_orphaned, records);
	ledger_add(l, LEDGER_sink_packets_orphaned, loss.count);
	ledger_end(l);
	s->epoch = ring_consumer_epoch(ring);
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
	count_unread(t, ring, slot != NULL, totals);
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
