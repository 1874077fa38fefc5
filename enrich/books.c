/* SPDX-License-Identifier: Apache-2.0 */
/* The accounts that outlive enrich: they end and go on with what its ledger says. */
#include "enrich/books.h"

#include <stdbool.h>

int books_settle(struct emit *e)
{
	static const enum ledger_enrich accounts[] = {
		LEDGER_enrich_packets_logged,
		LEDGER_enrich_packets_duplicate,
		LEDGER_enrich_packets_late,
		LEDGER_enrich_packets_fragment,
		LEDGER_enrich_packets_other,
		LEDGER_enrich_packets_malformed,
		LEDGER_enrich_packets_lost,
		LEDGER_enrich_packets_filtered,
		LEDGER_enrich_packets_orphaned,
	};
	uint64_t read = ledger_get(e->ledger, LEDGER_enrich_packets_read), spent = 0;
	struct ring_loss loss = {.stage = RING_LOSS_FLOWS, .first_ns = e->epoch * 1000000};

	for (size_t i = 0; i < sizeof(accounts) / sizeof(accounts[0]); i++)
		spent += ledger_get(e->ledger, accounts[i]);
	loss.count = loss.packets = read > spent ? read - spent : 0;
	loss.last_ns = loss.first_ns;
	if (!loss.count)
		return 0;
	emit_count(e, LEDGER_enrich_packets_orphaned, loss.count);
	return emit_loss(e, &loss, loss.last_ns);
}

/*
 * Packets in rings that nobody has read, and nobody kept over a kill: how many there were is known
 * when the next ring comes. They count as read, and lost.
 */
static int count_unread(struct emit *e, const struct ring_consumer *ring)
{
	const struct ledger_place *from = &e->from;
	struct ring_loss loss = {.stage = RING_LOSS_FLOWS, .first_ns = e->epoch * 1000000};
	int r;

	/* A smaller number is that of a capture whose ledger begins anew. */
	if (!from->epoch || ring_consumer_epoch(ring) <= from->epoch ||
		ring_consumer_before(ring) <= from->before + from->packets)
		return 0;
	loss.count = loss.packets = ring_consumer_before(ring) - from->before - from->packets;
	loss.last_ns = loss.first_ns;
	r = emit_loss(e, &loss, loss.last_ns);
	emit_count(e, LEDGER_enrich_packets_read, loss.count);
	emit_count(e, LEDGER_enrich_packets_orphaned, loss.count);
	return r < 0 ? r : 1;
}

int books_attach(struct emit *e, struct ring_consumer *ring)
{
	struct ledger_place *from = &e->from;
	int r = 0;

	if (from->epoch != ring_consumer_epoch(ring)) {
		r = count_unread(e, ring);
		from->epoch = ring_consumer_epoch(ring);
		from->before = ring_consumer_before(ring);
		from->packets = 0;
	} else if (from->tail == ring_consumer_pos(ring)) {
		/* Epochs are numbers: the tail says that it is the same ring, not its namesake. */
		ring_skip_to(ring, from->pos);
	}
	from->tail = from->pos = ring_consumer_pos(ring);
	return r;
}

void books_release(struct emit *e, struct ring_consumer *ring)
{
	ring_release(ring);
	e->from.tail = e->from.pos = ring_consumer_pos(ring);
}

/* What may be lost here beside packets: the counters that say so, and how much has been told. */
static const struct own_loss {
	enum ring_loss_stage stage;
	enum ledger_enrich told, counter[3]; /* LEDGER_ENRICH_N = none */
} own_losses[] = {
	{RING_LOSS_TAP, LEDGER_enrich_told_tap,
		{LEDGER_enrich_tap_lost, LEDGER_ENRICH_N, LEDGER_ENRICH_N}},
	{RING_LOSS_NETLINK, LEDGER_enrich_told_netlink,
		{LEDGER_enrich_diag_errors, LEDGER_enrich_closed_overruns,
			LEDGER_enrich_connector_overruns}},
	{RING_LOSS_FLOW_TABLE, LEDGER_enrich_told_flow_table,
		{LEDGER_enrich_flows_evicted, LEDGER_ENRICH_N, LEDGER_ENRICH_N}},
	{RING_LOSS_PROCESS_CACHE, LEDGER_enrich_told_process_cache,
		{LEDGER_enrich_processes_lost, LEDGER_ENRICH_N, LEDGER_ENRICH_N}},
	{RING_LOSS_NAME_CACHE, LEDGER_enrich_told_name_cache,
		{LEDGER_enrich_names_evicted, LEDGER_ENRICH_N, LEDGER_ENRICH_N}},
	{RING_LOSS_AGGREGATES, LEDGER_enrich_told_aggregates,
		{LEDGER_enrich_aggregates_evicted, LEDGER_ENRICH_N, LEDGER_ENRICH_N}},
};

#define OWN_LOSSES (sizeof(own_losses) / sizeof(own_losses[0]))

int books_losses(struct emit *e, uint64_t since_ns, uint64_t now_ns)
{
	int r = 0, any = 0;

	for (size_t i = 0; r >= 0 && i < OWN_LOSSES; i++) {
		const struct own_loss *o = &own_losses[i];
		struct ring_loss loss = {
			.stage = o->stage, .first_ns = since_ns, .last_ns = now_ns};
		uint64_t total = 0;

		for (size_t c = 0; c < 3; c++)
			if (o->counter[c] != LEDGER_ENRICH_N)
				total += ledger_get(e->ledger, o->counter[c]);
		/* With a commit on the way some may be told, but not marked so yet. */
		loss.count = total - ledger_get(e->ledger, o->told) - e->add[o->told];
		if (!loss.count)
			continue;
		r = emit_loss(e, &loss, now_ns);
		emit_count(e, o->told, loss.count);
		any = 1;
	}
	return r < 0 ? r : any;
}
