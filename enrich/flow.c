/* SPDX-License-Identifier: Apache-2.0 */
/* The bounded table of connections: which flow a packet belongs to and what becomes of that flow.
 */
#include "enrich/flow.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "enrich/flow-linger.h"
#include "enrich/flow-slots.h"
#include "enrich/flow-store.h"
#include "enrich/flow-tcp.h"

#define LINGER_MAX 131072u /* 20,000 connections a second, and then some */

struct flow_table {
	struct flow_store store;
	struct flow_linger linger;
	flow_event_fn event;
	flow_free_fn free;
	flow_changed_fn changed; /* NULL = not asked */
	flow_figures_fn figures; /* NULL = nobody can be asked */
	flow_payload_fn payload; /* NULL = not told */
	void *arg;
	uint64_t clock_ns; /* the latest time heard of */
	uint64_t max_flows;
	uint64_t hash_seed[2];
	uint64_t next_id;
	uint64_t counted;  /* packets in flows */
	uint64_t reported; /* of these, reported */
	uint64_t evicted;
	uint64_t losses;
	uint64_t traffic; /* bytes that passed by, at least */
	bool all_packets;
	struct flow_entry *last;  /* where the last packet was counted, */
	enum flow_side last_side; /* and its sender */
};

int flow_table_new(const struct flow_limits *l, flow_event_fn event, flow_free_fn free_fn,
	void *arg, struct flow_table **ret)
{
	struct flow_table *t;
	int r;

	if (!l->max_flows || l->max_flows > FLOW_MAX_FLOWS || !l->tcp_timeout_ns ||
		!l->tcp_attempt_timeout_ns || !l->udp_timeout_ns)
		return -EINVAL;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	*t = (struct flow_table){
		.event = event,
		.free = free_fn,
		.arg = arg,
		.max_flows = l->max_flows,
		.hash_seed = {l->hash_seed[0], l->hash_seed[1]},
		.next_id = l->id_base,
		.all_packets = l->all_packets,
	};
	r = flow_store_init(&t->store, (uint32_t)l->max_flows, FLOW_UNREAPED_MAX);
	if (!r)
		r = flow_linger_init(
			&t->linger, l->max_flows < LINGER_MAX ? l->max_flows : LINGER_MAX);
	if (r) {
		flow_table_free(t);
		return r;
	}
	t->store.queue[FLOW_QUEUE_ATTEMPT].timeout_ns = l->tcp_attempt_timeout_ns;
	t->store.queue[FLOW_QUEUE_TCP].timeout_ns = l->tcp_timeout_ns;
	t->store.queue[FLOW_QUEUE_UDP].timeout_ns = l->udp_timeout_ns;
	t->store.queue[FLOW_QUEUE_OVER].timeout_ns = FLOW_OVER_NS;
	t->store.queue[FLOW_QUEUE_START].timeout_ns = l->start_after_ns;
	t->store.queue[FLOW_QUEUE_FIRST].timeout_ns = l->first_info_ns;
	t->store.queue[FLOW_QUEUE_ACTIVE].timeout_ns = l->active_timeout_ns;
	t->store.queue[FLOW_QUEUE_TRAFFIC].timeout_ns = FLOW_TRAFFIC_DUE;
	*ret = t;
	return 0;
}

bool flow_table_retime(struct flow_table *t, const struct flow_limits *l)
{
	struct flow_store *s = &t->store;
	bool all = flow_store_retime(s, FLOW_QUEUE_ATTEMPT, l->tcp_attempt_timeout_ns);

	all &= flow_store_retime(s, FLOW_QUEUE_TCP, l->tcp_timeout_ns);
	all &= flow_store_retime(s, FLOW_QUEUE_UDP, l->udp_timeout_ns);
	all &= flow_store_retime(s, FLOW_QUEUE_START, l->start_after_ns);
	all &= flow_store_retime(s, FLOW_QUEUE_FIRST, l->first_info_ns);
	return all & flow_store_retime(s, FLOW_QUEUE_ACTIVE, l->active_timeout_ns);
}

void flow_table_reap(struct flow_table *t)
{
	struct flow_entry *e;

	while ((e = flow_store_take_ended(&t->store)))
		t->free(t->arg, &e->pub);
}

void flow_table_free(struct flow_table *t)
{
	struct flow_entry *e;

	if (!t)
		return;
	while ((e = flow_store_oldest(&t->store)))
		flow_store_end(&t->store, e);
	flow_table_reap(t);
	flow_store_deinit(&t->store);
	flow_linger_deinit(&t->linger);
	free(t);
}

static bool is_icmp(uint8_t proto)
{
	return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

/* Whether all that is known of @e's bytes are the low 32 bits. */
static bool in_doubt(const struct flow_table *t, const struct flow_entry *e)
{
	return t->figures && !(t->all_packets && e->loss == t->losses) &&
	       t->traffic - e->traffic >= FLOW_TRAFFIC_SURE;
}

static bool ask_kernel(struct flow_table *t, struct flow_entry *e, bool ended)
{
	struct flow_figures k = {0};

	if (!t->figures || e->pub.key.proto != IPPROTO_TCP ||
		!t->figures(t->arg, &e->pub, ended, &k))
		return false;
	e->pub.srtt_ns = k.srtt_ns;
	e->pub.retransmits = k.retransmits;
	if (!t->all_packets || e->loss != t->losses)
		flow_tcp_figures(&e->tcp, &k);
	if (k.have[0] && k.have[1])
		e->traffic = t->traffic;
	return true;
}

/* Brings what callers see up to date and calls them. */
static void fire(struct flow_table *t, struct flow_entry *e, enum flow_event event, uint64_t t_ns)
{
	struct flow *f = &e->pub;

	if (event == FLOW_EVENT_INFO || event == FLOW_EVENT_END)
		ask_kernel(t, e, event == FLOW_EVENT_END);
	f->doubt = f->key.proto == IPPROTO_TCP && in_doubt(t, e);
	if (f->key.proto == IPPROTO_TCP)
		flow_tcp_settle(&e->tcp, f->doubt, f);
	else if (is_icmp(f->key.proto))
		f->state = RECORD_STATE_OTH;
	else if (!f->packets[FLOW_ORIG])
		f->state = RECORD_STATE_SHR;
	else
		f->state = f->packets[FLOW_RESP] ? RECORD_STATE_SF : RECORD_STATE_S0;
	f->loss_window = e->loss != t->losses;
	if (t_ns > e->event_ns)
		e->event_ns = t_ns;
	t->event(t->arg, f, event, e->event_ns);
	f->started |= event == FLOW_EVENT_START;
	f->reported |= event == FLOW_EVENT_INFO;
}

/* How a TCP flow that is over came to that. */
static enum record_end_reason over_reason(const struct flow_entry *e)
{
	const struct flow_tcp_side *s = e->tcp.side;

	if (s[FLOW_ORIG].state != FLOW_TCP_RESET && s[FLOW_RESP].state != FLOW_TCP_RESET)
		return RECORD_END_SHUTDOWN;
	return s[FLOW_RESP].state == FLOW_TCP_RESET && s[FLOW_ORIG].state == FLOW_TCP_SYN_SENT
		       ? RECORD_END_REFUSED
		       : RECORD_END_RESET;
}

static void end(
	struct flow_table *t, struct flow_entry *e, enum record_end_reason reason, uint64_t t_ns)
{
	if (e->over)
		reason = over_reason(e);
	flow_store_end(&t->store, e);
	if (e->pub.refused && !e->pub.packets[FLOW_RESP] &&
		(reason == RECORD_END_TIMEOUT || reason == RECORD_END_FORCED))
		reason = RECORD_END_REFUSED;
	e->pub.end_reason = reason;
	fire(t, e, FLOW_EVENT_END, t_ns > e->pub.last_ns ? t_ns : e->pub.last_ns);
}

/* Ends a TCP flow that is over, and remembers it for its stragglers. */
static void close_flow(struct flow_table *t, struct flow_entry *e, uint64_t t_ns)
{
	struct flow_linger_entry l = {
		.hash = e->hash,
		.until_ns = (e->over ? t_ns : t->clock_ns) + FLOW_LINGER_NS,
	};

	for (unsigned i = 0; i < 2; i++) {
		const struct flow_tcp_side *s = &e->tcp.side[i ^ e->swapped];

		l.side[i] = (struct flow_linger_side){
			.isn = s->isn,
			.has_isn = !!(s->flags & FLOW_TCP_HAVE_ISN),
			.ifindex = e->pub.ifindex[i ^ e->swapped] & INT32_MAX,
		};
	}
	flow_linger_add(&t->linger, &l, t->clock_ns);
	end(t, e, over_reason(e), t_ns);
}

/* What is to be done at the deadline of an idle queue. */
static void time_out(struct flow_table *t, struct flow_entry *e, uint64_t due_ns)
{
	if (e->over)
		close_flow(t, e, due_ns);
	else
		end(t, e, RECORD_END_TIMEOUT, due_ns);
}

/* A straggler of a closed flow? false: @d starts a new one. */
static bool is_late(struct flow_table *t, const struct flow_place *place, const struct decoded *d,
	uint32_t ifindex, enum flow_packet *ret)
{
	struct flow_linger_entry *l = flow_linger_find(&t->linger, place->hash, t->clock_ns);
	const struct flow_linger_side *sender, *other;

	if (!l)
		return false;
	sender = &l->side[place->swapped];
	other = &l->side[!place->swapped];
	if (d->tcp_flags & DECODE_TCP_SYN && !(d->tcp_flags & DECODE_TCP_RST)) {
		bool same = sender->has_isn && sender->isn == d->seq;
		bool answer =
			d->tcp_flags & DECODE_TCP_ACK && other->has_isn && other->isn + 1 == d->ack;

		if (!same && !answer) {
			flow_linger_forget(&t->linger, l);
			return false;
		}
	}
	*ret = ifindex && sender->ifindex && sender->ifindex != ifindex ? FLOW_PACKET_DUPLICATE
									: FLOW_PACKET_LATE;
	return true;
}

/* Whether the sender of a flow's first packet is its originator, as far as one packet can tell. */
static bool is_from_originator(const struct decoded *d)
{
	if (d->proto == IPPROTO_TCP) {
		if ((d->tcp_flags & (DECODE_TCP_SYN | DECODE_TCP_RST)) == DECODE_TCP_SYN)
			return !(d->tcp_flags & DECODE_TCP_ACK);
		return d->sport >= d->dport; /* services have the lower port */
	}
	if (d->proto == IPPROTO_ICMP)
		return d->icmp_type != 0;
	if (d->proto == IPPROTO_ICMPV6)
		return d->icmp_type != 129;
	return true;
}

static void set_key(struct flow_key *k, const struct decoded *d, bool from_orig)
{
	bool is_echo_reply = !from_orig && is_icmp(d->proto);

	for (unsigned i = 0; i < 16; i++) {
		k->addr[!from_orig][i] = d->src[i];
		k->addr[from_orig][i] = d->dst[i];
	}
	if (is_icmp(d->proto)) {
		k->port[0] = d->icmp_type;
		if (is_echo_reply)
			k->port[0] = d->proto == IPPROTO_ICMP ? 8 : 128;
		k->port[1] = d->icmp_code;
	} else {
		k->port[!from_orig] = d->sport;
		k->port[from_orig] = d->dport;
	}
	k->vlan = d->vlan;
	k->proto = d->proto;
	k->family = d->family;
	k->netns = d->netns;
}

static struct flow_entry *open_flow(struct flow_table *t, const struct flow_place *place,
	const struct decoded *d, uint64_t t_ns)
{
	struct flow_store *s = &t->store;
	bool from_orig = is_from_originator(d);
	struct flow_entry *e;

	if (s->open >= t->max_flows) {
		t->evicted++;
		end(t, flow_store_oldest(s), RECORD_END_EVICTED, t_ns);
	}
	e = flow_store_open(s, &place->id, place->hash);
	if (!e) {
		flow_table_reap(t);
		/* All entries that are not open are free now. */
		e = flow_store_open(s, &place->id, place->hash);
	}
	set_key(&e->pub.key, d, from_orig);
	e->swapped = place->swapped == from_orig;
	e->pub.id = t->next_id++;
	if (!e->pub.id)
		e->pub.id = t->next_id++;
	e->pub.start_ns = e->pub.last_ns = t_ns;
	e->pub.midstream =
		!from_orig ||
		(d->proto == IPPROTO_TCP &&
			(d->tcp_flags & (DECODE_TCP_SYN | DECODE_TCP_RST)) != DECODE_TCP_SYN);
	if (d->proto == IPPROTO_TCP && !from_orig)
		e->pub.history[0] = '^'; /* Zeek's mark: turned round */
	e->loss = t->losses;
	e->traffic = t->traffic;
	if (t->figures && d->proto == IPPROTO_TCP)
		flow_store_arm(s, e, FLOW_QUEUE_TRAFFIC, t->traffic);
	return e;
}

/* The START event, and from then on info records. */
static void start(struct flow_table *t, struct flow_entry *e, uint64_t t_ns)
{
	struct flow_store *s = &t->store;

	flow_store_arm(s, e,
		s->queue[FLOW_QUEUE_FIRST].timeout_ns ? FLOW_QUEUE_FIRST : FLOW_QUEUE_ACTIVE,
		t->clock_ns);
	fire(t, e, FLOW_EVENT_START, t_ns);
}

/* Tells of a new flow, or puts that off. */
static void announce(struct flow_table *t, struct flow_entry *e, uint64_t t_ns)
{
	if (!t->store.queue[FLOW_QUEUE_START].timeout_ns) {
		start(t, e, t_ns);
		return;
	}
	flow_store_arm(&t->store, e, FLOW_QUEUE_START, t->clock_ns);
	fire(t, e, FLOW_EVENT_OPEN, t_ns);
}

/* Counts @d in @e; true: the flow is over. */
static bool count(struct flow_table *t, struct flow_entry *e, enum flow_side side,
	const struct decoded *d, uint64_t t_ns)
{
	enum flow_queue q = FLOW_QUEUE_UDP;
	struct flow *f = &e->pub;
	bool over = false;

	t->counted++;
	f->ip_bytes[side] += d->ip_len;
	t->last = e;
	t->last_side = side;
	if (t_ns > f->last_ns)
		f->last_ns = t_ns;
	if (e->over) { /* a straggler: it counts, and changes nothing */
		f->packets[side]++;
		return false;
	}
	if (d->proto == IPPROTO_TCP) {
		f->packets[side]++;
		over = flow_tcp_packet(&e->tcp, f, side, d, t_ns);
		q = flow_tcp_is_answered(&e->tcp) ? FLOW_QUEUE_TCP : FLOW_QUEUE_ATTEMPT;
	} else {
		if (!f->packets[side]++)
			flow_history(f, side, 'd');
		f->bytes[side] += d->payload_len;
		f->have_bytes[0] = f->have_bytes[1] = true;
	}
	e->armed_ns = t->clock_ns;
	flow_store_arm(&t->store, e, q, t->clock_ns);
	return over;
}

void flow_table_foresee(const struct flow_table *t, const struct decoded *d, struct flow_place *ret)
{
	ret->id = flow_id_of(d, &ret->swapped);
	ret->hash = flow_id_hash(&ret->id, t->hash_seed);
	flow_slots_foresee(&t->store.slots, (uint32_t)ret->hash);
	if (d->tcp_flags & DECODE_TCP_SYN)
		flow_linger_foresee(&t->linger, ret->hash);
}

enum flow_packet flow_table_packet(
	struct flow_table *t, const struct decoded *d, uint32_t ifindex, uint64_t t_ns)
{
	struct flow_place place;

	flow_table_foresee(t, d, &place);
	return flow_table_foreseen(t, d, &place, ifindex, t_ns);
}

enum flow_packet flow_table_foreseen(struct flow_table *t, const struct decoded *d,
	const struct flow_place *place, uint32_t ifindex, uint64_t t_ns)
{
	bool is_new = false, over;
	const bool swapped = place->swapped;
	struct flow_entry *e = flow_store_find(&t->store, &place->id, place->hash);
	enum flow_packet late;
	enum flow_side side;

	if (t_ns > t->clock_ns)
		t->clock_ns = t_ns;
	if (e && e->link[FLOW_TIMER_IDLE].deadline_ns <= t->clock_ns) {
		time_out(t, e, e->link[FLOW_TIMER_IDLE].deadline_ns);
		e = NULL;
	}
	if (e && d->proto == IPPROTO_TCP &&
		flow_tcp_is_new(&e->tcp, swapped != e->swapped ? FLOW_RESP : FLOW_ORIG, d)) {
		end(t, e, RECORD_END_TCP_REUSE, t_ns);
		e = NULL;
	}
	if (e && d->proto == IPPROTO_UDP && t->changed &&
		t->changed(t->arg, &e->pub, swapped != e->swapped ? FLOW_RESP : FLOW_ORIG, t_ns)) {
		/* As of its last packet: its owner is not asked for at a time of the new one's. */
		end(t, e, RECORD_END_OWNER_CHANGED, e->pub.last_ns);
		e = NULL;
	}
	if (!e) {
		if (d->proto == IPPROTO_TCP && is_late(t, place, d, ifindex, &late))
			return late;
		e = open_flow(t, place, d, t_ns);
		is_new = true;
	}
	side = swapped != e->swapped ? FLOW_RESP : FLOW_ORIG;
	if (!e->pub.ifindex[side])
		e->pub.ifindex[side] = ifindex;
	else if (ifindex && ifindex != e->pub.ifindex[side])
		return FLOW_PACKET_DUPLICATE;
	over = count(t, e, side, d, t_ns);
	if (d->payload_caplen && t->payload)
		t->payload(t->arg, &e->pub, side, d, t_ns);
	if (is_new)
		announce(t, e, t_ns);
	if (over && t->all_packets) {
		/* Only stragglers are waited for: nothing but the end is to be told of it. */
		e->over = true;
		flow_store_disarm(&t->store, e, FLOW_TIMER_REPORT);
		flow_store_arm(&t->store, e, FLOW_QUEUE_OVER, t->clock_ns);
	} else if (over) {
		close_flow(t, e, t_ns);
	}
	return FLOW_PACKET_COUNTED;
}

struct flow *flow_table_counted(const struct flow_table *t, enum flow_side *ret_side)
{
	*ret_side = t->last_side;
	return &t->last->pub;
}

void flow_table_refused(struct flow_table *t, const struct decoded *d)
{
	bool swapped;
	struct flow_id id = flow_id_of(d, &swapped);
	struct flow_entry *e = flow_store_find(&t->store, &id, flow_id_hash(&id, t->hash_seed));

	if (e && swapped == e->swapped)
		e->pub.refused = true;
}

void flow_table_on_changed(struct flow_table *t, flow_changed_fn changed)
{
	t->changed = changed;
}

void flow_table_on_figures(struct flow_table *t, flow_figures_fn figures)
{
	t->figures = figures;
}

void flow_table_traffic(struct flow_table *t, uint64_t bytes)
{
	if (bytes > t->traffic)
		t->traffic = bytes;
}

unsigned flow_table_ask_due(struct flow_table *t, unsigned budget)
{
	struct flow_store *s = &t->store;
	unsigned asked = 0;

	while (asked < budget && s->queue[FLOW_QUEUE_TRAFFIC].head != FLOW_ENTRY_NONE) {
		struct flow_entry *e = &s->entry[s->queue[FLOW_QUEUE_TRAFFIC].head];

		if (e->link[FLOW_TIMER_TRAFFIC].deadline_ns > t->traffic)
			break;
		asked++;
		/* Who gave no answer will give none: not on this host. */
		if (ask_kernel(t, e, false))
			flow_store_arm(s, e, FLOW_QUEUE_TRAFFIC, t->traffic);
		else
			flow_store_disarm(s, e, FLOW_TIMER_TRAFFIC);
	}
	return asked;
}

void flow_table_on_payload(struct flow_table *t, flow_payload_fn payload)
{
	t->payload = payload;
}

void flow_table_expire(struct flow_table *t, uint64_t now_ns)
{
	struct flow_store *s = &t->store;
	enum flow_queue q;
	uint64_t due_ns;

	if (now_ns > t->clock_ns)
		t->clock_ns = now_ns;
	while ((q = flow_store_due(s, &due_ns)) != FLOW_QUEUES && due_ns <= now_ns) {
		struct flow_entry *e = &s->entry[s->queue[q].head];

		if (q < FLOW_QUEUES_IDLE) {
			time_out(t, e, due_ns);
			continue;
		}
		if (q == FLOW_QUEUE_START) {
			start(t, e, due_ns > e->pub.last_ns ? due_ns : e->pub.last_ns);
			continue;
		}
		/* From now, not from when it was due: after a pause one record, not a burst. */
		flow_store_arm(s, e, FLOW_QUEUE_ACTIVE, t->clock_ns);
		fire(t, e, FLOW_EVENT_INFO, due_ns > e->pub.last_ns ? due_ns : e->pub.last_ns);
	}
}

bool flow_table_is_due(struct flow_table *t, uint64_t now_ns)
{
	if (now_ns < t->store.due_ns)
		return false;
	flow_store_due(&t->store, &t->store.due_ns);
	return now_ns >= t->store.due_ns;
}

uint64_t flow_table_next_ns(const struct flow_table *t)
{
	uint64_t due_ns;

	flow_store_due(&t->store, &due_ns);
	return due_ns;
}

void flow_table_finish(struct flow_table *t, uint64_t now_ns)
{
	struct flow_entry *e;

	while ((e = flow_store_oldest(&t->store)))
		end(t, e, RECORD_END_FORCED, now_ns);
}

void flow_table_loss(struct flow_table *t)
{
	t->losses++;
}

size_t flow_table_count(const struct flow_table *t)
{
	return t->store.open;
}

uint64_t flow_table_evicted(const struct flow_table *t)
{
	return t->evicted;
}

uint64_t flow_table_open_packets(const struct flow_table *t)
{
	return t->counted - t->reported;
}

uint64_t flow_reported(struct flow_table *t, struct flow *f)
{
	uint64_t delta = 0;

	for (unsigned i = 0; i < 2; i++) {
		delta += f->packets[i] - f->reported_packets[i];
		f->reported_packets[i] = f->packets[i];
		if (f->have_bytes[i])
			f->reported_bytes[i] = f->bytes[i];
	}
	t->reported += delta;
	return delta;
}
