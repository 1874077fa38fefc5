/* SPDX-License-Identifier: Apache-2.0 */
/* Builds records from flows and owners and puts them into the ring to sink. */
#include "enrich/emit.h"

#include <netinet/in.h>
#include <string.h>

#include "enrich/hints.h"
#include "enrich/owner-count.h"
#include "enrich/steady.h"
#include "shm/journal.h"

static bool end_is_local(
	const struct emit *e, const struct owner *o, uint8_t netns, const uint8_t addr[16])
{
	return o->process || o->cgroup_id || o->confidence != RECORD_CONFIDENCE_UNKNOWN ||
	       (e->owners && owners_is_local_addr(e->owners, netns, addr));
}

static enum record_direction direction(
	const struct emit *e, const struct flow *view, const struct flow *live)
{
	bool orig, resp;

	if (!e->owners)
		return RECORD_DIRECTION_UNKNOWN;
	orig = end_is_local(e, &live->owner[FLOW_ORIG], view->key.netns, view->key.addr[0]);
	resp = end_is_local(e, &live->owner[FLOW_RESP], view->key.netns, view->key.addr[1]);
	if (orig && resp)
		return RECORD_LOCAL;
	if (orig)
		return RECORD_EGRESS;
	return resp ? RECORD_INGRESS : RECORD_DIRECTION_UNKNOWN;
}

static void put_owner(
	struct emit *e, const struct owner *o, struct record *r, struct record_process *ret)
{
	if (e->owners) {
		owner_to_record(e->owners, o, r, ret);
		return;
	}
	ret->uid = UINT32_MAX;
	ret->gid = UINT32_MAX;
	ret->unknown = RECORD_UNKNOWN_OFFLINE;
}

/* Whether all packets of @v were captured: of some protocols only what opens and ends them is. */
static bool has_all_packets(const struct emit *e, const struct flow *v)
{
	bool in_part = v->key.proto == IPPROTO_TCP || v->key.proto == IPPROTO_SCTP;

	return (!in_part || e->all_packets) && !v->loss_window;
}

static uint16_t flags(const struct emit *e, const struct flow *v, enum record_event event)
{
	uint16_t flags = 0;

	if (v->midstream)
		flags |= RECORD_FLAG_MIDSTREAM;
	if (v->have_bytes[FLOW_ORIG])
		flags |= RECORD_FLAG_ORIG_BYTES;
	if (v->have_bytes[FLOW_RESP])
		flags |= RECORD_FLAG_RESP_BYTES;
	if (v->loss_window)
		flags |= RECORD_FLAG_LOSS_WINDOW;
	if (has_all_packets(e, v))
		flags |= RECORD_FLAG_ALL_PACKETS;
	if (v->kernel_bytes)
		flags |= RECORD_FLAG_KERNEL_BYTES;
	flags |= RECORD_FLAG_IP_BYTES;
	if (v->reported)
		flags |= RECORD_FLAG_REPORTED;
	if (!v->started && event == RECORD_END)
		flags |= RECORD_FLAG_UNANNOUNCED;
	if (!e->owners)
		flags |= RECORD_FLAG_OFFLINE;
	return flags;
}

/* What @side has sent since the flow's last record, as far as that is known. */
static uint64_t delta_bytes(const struct flow *v, enum flow_side side)
{
	if (!v->have_bytes[side] || v->bytes[side] < v->reported_bytes[side])
		return 0;
	return v->bytes[side] - v->reported_bytes[side];
}

static void put_counts(struct record *r, const struct flow *v, uint64_t delta)
{
	r->orig_bytes = v->have_bytes[FLOW_ORIG] ? v->bytes[FLOW_ORIG] : 0;
	r->resp_bytes = v->have_bytes[FLOW_RESP] ? v->bytes[FLOW_RESP] : 0;
	r->orig_packets = v->packets[FLOW_ORIG];
	r->resp_packets = v->packets[FLOW_RESP];
	r->orig_ip_bytes = v->ip_bytes[FLOW_ORIG];
	r->resp_ip_bytes = v->ip_bytes[FLOW_RESP];
	r->delta_packets = delta;
	r->delta_orig_packets = v->packets[FLOW_ORIG] - v->reported_packets[FLOW_ORIG];
	r->delta_resp_packets = v->packets[FLOW_RESP] - v->reported_packets[FLOW_RESP];
	r->delta_orig_bytes = delta_bytes(v, FLOW_ORIG);
	r->delta_resp_bytes = delta_bytes(v, FLOW_RESP);
	if (!delta && !r->delta_orig_bytes && !r->delta_resp_bytes)
		r->flags |= RECORD_FLAG_UNCHANGED;
}

static struct record *begin(struct emit *e)
{
	memset(&e->record, 0, offsetof(struct record, strings));
	return &e->record;
}

/* Everything but what is in the record that begin() began. */
static void build(struct emit *e, const struct flow *view, const struct flow *live,
	enum record_event event, uint64_t t_ns, uint64_t delta)
{
	struct record *r = &e->record;
	const char *ifname, *netns;

	r->version = RECORD_VERSION;
	r->event = (uint8_t)event;
	r->family = view->key.family;
	r->proto = view->key.proto;
	r->state = (uint8_t)view->state;
	r->end_reason = (uint8_t)(event == RECORD_END ? view->end_reason : RECORD_END_NONE);
	r->epoch = e->owners ? e->epoch : 0; /* of a file the same each time */
	r->flow_id = view->id;
	r->t_ns = t_ns;
	r->start_ns = view->start_ns;
	/* An open TCP connection goes on after the last packet that was captured of it. */
	r->end_ns = event == RECORD_INFO && view->key.proto == IPPROTO_TCP ? t_ns : view->last_ns;
	memcpy(r->orig_addr, view->key.addr[FLOW_ORIG], sizeof(r->orig_addr));
	memcpy(r->resp_addr, view->key.addr[FLOW_RESP], sizeof(r->resp_addr));
	r->orig_port = view->key.port[FLOW_ORIG];
	r->resp_port = view->key.port[FLOW_RESP];
	r->vlan = view->key.vlan;
	r->flags = flags(e, view, event);
	put_counts(r, view, delta);
	r->connections = 1;
	r->ifindex = view->ifindex[FLOW_ORIG] ? view->ifindex[FLOW_ORIG] : view->ifindex[FLOW_RESP];
	r->rtt_ns = view->rtt_ns;
	r->srtt_ns = view->srtt_ns;
	r->retransmits = view->retransmits;
	memcpy(r->history, view->history, sizeof(r->history));
	put_owner(e, &live->owner[FLOW_ORIG], r, &r->orig);
	put_owner(e, &live->owner[FLOW_RESP], r, &r->resp);
	r->direction = (uint8_t)direction(e, view, live);
	ifname = e->owners && r->ifindex ? owners_ifname(e->owners, view->key.netns, r->ifindex)
					 : NULL;
	if (ifname)
		record_put_str(r, ifname, strlen(ifname), &r->ifname);
	netns = e->owners ? owners_netns_name(e->owners, view->key.netns) : NULL;
	if (netns)
		record_put_str(r, netns, strlen(netns), &r->netns);
	hints_to_record(live, r);
}

/* What changes with the ring: the books of packets and records, and losses that were told. */
static const enum ledger_enrich counted[] = {
	LEDGER_enrich_packets_read,
	LEDGER_enrich_packets_logged,
	LEDGER_enrich_packets_duplicate,
	LEDGER_enrich_packets_late,
	LEDGER_enrich_packets_fragment,
	LEDGER_enrich_packets_other,
	LEDGER_enrich_packets_malformed,
	LEDGER_enrich_packets_lost,
	LEDGER_enrich_packets_filtered,
	LEDGER_enrich_packets_orphaned,
	LEDGER_enrich_records_published,
	LEDGER_enrich_records_lost,
	LEDGER_enrich_records_filtered,
	LEDGER_enrich_told_tap,
	LEDGER_enrich_told_netlink,
	LEDGER_enrich_told_flow_table,
	LEDGER_enrich_told_process_cache,
	LEDGER_enrich_told_name_cache,
	LEDGER_enrich_told_aggregates,
};

#define COUNTED (sizeof(counted) / sizeof(counted[0]))

_Static_assert(COUNTED + 1 <= LEDGER_JOURNAL_VALUES, "they and packets_open fit");

static void fill_batch(struct emit *e, struct journal_batch *b)
{
	for (size_t i = 0; i < COUNTED; i++) {
		uint64_t *add = &e->add[counted[i]];

		if (!*add)
			continue;
		journal_add(b, e->ledger, counted[i], *add);
		*add = 0;
	}
	if (e->open)
		journal_set(b, e->ledger, LEDGER_enrich_packets_open, e->open(e->open_arg));
}

int emit_commit(struct emit *e)
{
	struct journal_batch b = {.epoch = e->epoch, .from = e->from};
	int r = ring_prepare(e->ring, &b.head);
	bool wake;

	if (r < 0)
		return r;
	fill_batch(e, &b);
	ledger_begin(e->ledger);
	journal_prepare(e->ledger, &b);
	wake = ring_publish(e->ring);
	journal_done(e->ledger);
	journal_apply(e->ledger);
	ledger_end(e->ledger);
	r = wake ? ring_wake(e->ring) : 0;
	if (r > 0)
		ledger_add(e->ledger, LEDGER_enrich_wakeups, 1);
	return r < 0 ? r : 0;
}

/* With patience: waits until a largest frame fits, as long as the consumer makes progress. */
static int wait_for_room(struct emit *e, size_t size)
{
	uint64_t used, last = 0, waited = 0;
	int r;

	if (!e->patience_ns)
		return 0;
	for (;;) {
		r = ring_producer_used(e->ring, &used);
		if (r < 0)
			return r;
		if (used + size + sizeof(struct ring_loss) + 256 <= e->ring_size)
			return 0;
		waited = used == last ? waited + EMIT_WAIT_NS : 0;
		if (waited > e->patience_ns)
			return 0; /* ring_put() drops and counts */
		last = used;
		r = emit_commit(e);
		if (r < 0)
			return r;
		e->wait(e->wait_arg);
	}
}

/*
 * The times of a record by one setting of the clock, so that their differences are true; a process
 * keeps the start it was first told with, which is half of its name. Returns the record's time.
 */
static uint64_t to_real(struct record *r, uint64_t t_ns)
{
	const uint64_t ahead = steady_to_real(t_ns) - t_ns;

	r->t_ns += ahead;
	r->start_ns += ahead;
	r->end_ns += ahead;
	if (r->orig.start_ns)
		r->orig.start_ns = steady_to_real(r->orig.start_ns);
	if (r->resp.start_ns)
		r->resp.start_ns = steady_to_real(r->resp.start_ns);
	return t_ns + ahead;
}

int emit_put(void *arg, struct record *r, uint64_t t_ns)
{
	struct emit *e = arg;
	struct ledger *l = e->ledger;
	int result = wait_for_room(e, record_size(r));

	if (result < 0)
		return result;
	if (e->owners && steady_steps())
		t_ns = to_real(r, t_ns);
	/* Taken before the put: a crash in between leaves a gap, never the same number twice. */
	if (r->event != RECORD_PACKET) {
		ledger_add(l, LEDGER_enrich_seq, 1);
		r->seq = ledger_get(l, LEDGER_enrich_seq);
	}
	result = ring_put(
		e->ring, RING_FRAME_RECORD, 0, t_ns, r->delta_packets, r, record_size(r), NULL, 0);
	if (result == 0) {
		emit_count(e, LEDGER_enrich_records_published, 1);
		emit_count(e, LEDGER_enrich_packets_logged, r->delta_packets);
	} else if (result == RING_E_FULL) {
		emit_count(e, LEDGER_enrich_records_lost, 1);
		emit_count(e, LEDGER_enrich_packets_lost, r->delta_packets);
		result = 0;
	}
	return result;
}

int emit_flow(struct emit *e, const struct flow *view, const struct flow *live,
	enum flow_event event, uint64_t t_ns)
{
	const uint64_t delta = view->packets[FLOW_ORIG] + view->packets[FLOW_RESP] -
			       view->reported_packets[FLOW_ORIG] -
			       view->reported_packets[FLOW_RESP];
	struct record *r = &e->record;
	struct ledger *l = e->ledger;

	if (t_ns > e->batch_last_ns)
		e->batch_last_ns = t_ns;
	if (e->only_tree && !owner_in_tree(&live->owner[FLOW_ORIG]) &&
		!owner_in_tree(&live->owner[FLOW_RESP])) {
		emit_count(e, LEDGER_enrich_records_filtered, 1);
		emit_count(e, LEDGER_enrich_packets_filtered, delta);
		return 0;
	}

	begin(e);
	build(e, view, live, (enum record_event)event, t_ns, delta);
	if (event == FLOW_EVENT_END && e->owners) {
		owner_count(l, &r->orig);
		owner_count(l, &r->resp);
	}
	if (!e->aggregate || event != FLOW_EVENT_END)
		return emit_put(e, r, t_ns);
	ledger_add(l, LEDGER_enrich_aggregated, 1);
	return aggregate_add(e->aggregate, r, t_ns);
}

int emit_packet(struct emit *e, const struct flow *view, const struct flow *live,
	const struct emit_packet *packet, uint64_t t_ns)
{
	struct record *r;

	if (t_ns > e->batch_last_ns)
		e->batch_last_ns = t_ns;
	if (e->only_tree && !owner_in_tree(&live->owner[FLOW_ORIG]) &&
		!owner_in_tree(&live->owner[FLOW_RESP]))
		return 0;
	r = begin(e);
	/* First, so that it is the names that are cut, if anything. */
	record_put_str(r, packet->bytes, packet->caplen, &r->packet);
	r->packet_len = packet->len;
	r->dlt = packet->dlt;
	r->packet_resp = packet->sender == FLOW_RESP;
	build(e, view, live, RECORD_PACKET, t_ns, 0);
	r->delta_orig_packets = r->delta_resp_packets = 0;
	r->delta_orig_bytes = r->delta_resp_bytes = 0;
	return emit_put(e, r, t_ns);
}

int emit_loss(struct emit *e, const struct ring_loss *loss, uint64_t t_ns)
{
	int r = wait_for_room(e, sizeof(*loss));

	if (r < 0)
		return r;
	/* No room: the ring keeps it pending and delivers it with its own loss record. */
	r = ring_put_loss(e->ring, loss, t_ns);
	return r == RING_E_FULL ? 0 : r;
}
