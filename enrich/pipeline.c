/* SPDX-License-Identifier: Apache-2.0 */
/* The path of one frame through decode, flow table and owners to the ring to sink. */
#include "enrich/pipeline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "enrich/books.h"
#include "enrich/decode.h"
#include "enrich/flow-query.h"
#include "enrich/flow-slots.h"
#include "enrich/hints.h"
#include "enrich/quote.h"
#include "enrich/steady.h"
#include "enrich/watch.h"
#include "shm/cleanup.h"
#include "shm/journal.h"
#include "shm/packet.h"

#define PIPELINE_WAITING_MAX 256   /* events, packets that wait for owners; more settles at once */
#define PIPELINE_PACKET_MAX  4096u /* bytes kept of a packet, more than a filter lets through */

/* An event whose flow goes on changing while its owners are looked up. */
struct waiting {
	struct flow view; /* as it was at the event; `owner` is not used */
	struct flow *live;
	enum flow_event event;
	uint64_t t_ns;
	bool is_packet; /* not an event */
	struct emit_packet packet;
};

_Static_assert(PIPELINE_PACKET_MAX <= RECORD_STRINGS_MAX, "a record holds it");
_Static_assert(PACKET_NETNS_MAX <= FLOW_ID_NETNS_MAX, "a flow's identity holds its namespace");

struct pipeline {
	struct ledger *ledger;
	struct owners *owners;
	struct flow_table *flows;
	struct names *names;
	const uint8_t *bytes; /* of the packet that the flow table is looking at */
	struct emit emit;
	struct watch watch; /* not with packets from a file */
	uint64_t last_ns;
	uint64_t losses_ns;          /* the last look at them, 0 = none yet */
	uint64_t evicted;            /* counted up to here */
	uint64_t names_evicted;      /* likewise */
	struct aggregate *aggregate; /* NULL: off */
	uint64_t aggregates_evicted; /* likewise */
	bool asked;                  /* owners that no waiting event wants yet */
	bool packets_ask;            /* but packets that wait do */
	bool tells_late;             /* enrich.start_after: OPEN comes before START */
	bool vlans;                  /* a packet had a tag */
	int error;                   /* first one met inside a flow callback */
	size_t n_waiting;
	struct waiting waiting[PIPELINE_WAITING_MAX];
	/* Of packets that wait, PIPELINE_PACKET_MAX each; NULL = no output wants packets. */
	uint8_t *packets;
};

static void note_error(struct pipeline *p, int r)
{
	if (r < 0 && !p->error)
		p->error = r;
}

/* Emits what waits. With @all nobody's question stays behind, else those of flows that are open. */
static void emit_waiting(struct pipeline *p, bool all)
{
	if (!p->n_waiting && !(p->asked && all))
		return;
	all |= p->packets_ask;
	owners_settle(p->owners, all);
	p->asked &= !all;
	p->packets_ask = false;
	for (size_t i = 0; i < p->n_waiting; i++) {
		struct waiting *w = &p->waiting[i];

		note_error(p,
			w->is_packet ? emit_packet(&p->emit, &w->view, w->live, &w->packet, w->t_ns)
				     : emit_flow(&p->emit, &w->view, w->live, w->event, w->t_ns));
	}
	p->n_waiting = 0;
}

/* Asks for both ends; true = both are answered now. @patient: no record waits for that. */
static bool ask_owners(struct pipeline *p, struct flow *f, uint64_t t_ns, bool patient)
{
	bool done = true;

	for (int side = FLOW_ORIG; side <= FLOW_RESP; side++) {
		struct owner_query q;

		if (f->owner[side].confidence == RECORD_CONFIDENCE_EXACT)
			continue;
		flow_query(f, (enum flow_side)side, t_ns, &q);
		q.patient = patient;
		q.again = patient && !p->packets; /* each of which tells of it */
		if (!owners_ask(p->owners, &q, &f->owner[side]))
			done = false;
	}
	return done;
}

static bool on_flow_changed(void *arg, struct flow *f, enum flow_side side, uint64_t t_ns)
{
	struct pipeline *p = arg;
	struct owner_query q;

	flow_query(f, side, t_ns, &q);
	if (f->owner[side].process)
		return owners_replaced(p->owners, &q, &f->owner[side]);
	/* The originator has sent the first packet, the responder may have sent the last. */
	return f->packets[side] && owners_appeared(p->owners, &q, &f->owner[side],
					   side == FLOW_ORIG ? f->start_ns : f->last_ns);
}

static bool on_figures(void *arg, struct flow *f, bool ended, struct flow_figures *ret)
{
	struct pipeline *p = arg;

	return watch_figures(&p->watch, f, ended, ret);
}

/* Nobody will ask whose @f was, unless it is a flow of its own on a VLAN's interface, too. */
static void claims_over(struct pipeline *p, const struct flow *f)
{
	if (!p->owners || f->over == FLOW_OVER_NOT || p->vlans)
		return;
	for (int side = FLOW_ORIG; side <= FLOW_RESP; side++)
		owners_over(p->owners, &f->owner[side]);
}

static void on_flow_event(void *arg, struct flow *f, enum flow_event event, uint64_t t_ns)
{
	struct pipeline *p = arg;
	/* A gathered connection is told by its end alone, which then stands for all packets. */
	bool untold = event == FLOW_EVENT_OPEN || (p->aggregate && event == FLOW_EVENT_START);
	bool answered = !p->owners || ask_owners(p, f, t_ns, untold);

	if (event == FLOW_EVENT_OPEN || (event == FLOW_EVENT_START && !p->tells_late)) {
		ledger_add(p->ledger, LEDGER_enrich_flows_started, 1);
		hints_name(p->names, p->owners, f);
	} else if (event == FLOW_EVENT_END) {
		ledger_add(p->ledger, LEDGER_enrich_flows_ended, 1);
		claims_over(p, f);
	}
	p->vlans |= f->key.vlan != 0;
	if (event == FLOW_EVENT_END && f->doubt)
		ledger_add(p->ledger, LEDGER_enrich_figures_late, 1);

	if (untold) {
		p->asked |= !answered;
		return;
	}
	if (answered && !p->n_waiting) {
		note_error(p, emit_flow(&p->emit, f, f, event, t_ns));
		flow_reported(p->flows, f);
		return;
	}
	if (p->n_waiting == PIPELINE_WAITING_MAX)
		emit_waiting(p, false);
	p->waiting[p->n_waiting] = (struct waiting){
		.view = *f,
		.live = f,
		.event = event,
		.t_ns = t_ns,
	};
	p->n_waiting++;
	flow_reported(p->flows, f);
}

static void on_flow_payload(
	void *arg, struct flow *f, enum flow_side side, const struct decoded *d, uint64_t t_ns)
{
	struct pipeline *p = arg;
	const struct hints_packet packet = {
		.decoded = d,
		.payload = p->bytes + d->payload_off,
		.flow = f,
		.side = side,
		.t_ns = t_ns,
		.owners = p->owners,
	};

	hints_see(p->names, &packet);
}

static void on_flow_free(void *arg, struct flow *f)
{
	struct pipeline *p = arg;

	for (int side = FLOW_ORIG; side <= FLOW_RESP; side++) {
		if (p->owners)
			owners_forget(p->owners, &f->owner[side]);
		owner_deinit(&f->owner[side]);
	}
	hints_free(f);
}

/* What the aggregate holds is in no record yet. */
static uint64_t open_packets(void *arg)
{
	const struct pipeline *p = arg;

	return flow_table_open_packets(p->flows) +
	       (p->aggregate ? aggregate_packets(p->aggregate) : 0);
}

static struct flow_limits limits_of(const struct config *c)
{
	return (struct flow_limits){
		.max_flows = c->limits.flows,
		.tcp_timeout_ns = c->limits.tcp_timeout_ns,
		.tcp_attempt_timeout_ns = c->limits.tcp_attempt_timeout_ns,
		.udp_timeout_ns = c->limits.udp_timeout_ns,
		.start_after_ns = c->enrich.start_after_ns,
		.first_info_ns = c->enrich.first_info_ns,
		.active_timeout_ns = c->enrich.active_timeout_ns,
		.all_packets = c->capture.mode == CONFIG_MODE_HEADERS,
	};
}

/* Memory for packets that wait is there only where an output wants packets. */
static int want_packets(struct pipeline *p, bool wanted)
{
	if (wanted == (p->packets != NULL))
		return 0;
	free(p->packets);
	p->packets = wanted ? malloc((size_t)PIPELINE_WAITING_MAX * PIPELINE_PACKET_MAX) : NULL;
	return wanted && !p->packets ? -ENOMEM : 0;
}

int pipeline_reconfigure(struct pipeline *p, const struct config *config)
{
	const struct flow_limits limits = limits_of(config);

	flow_table_retime(p->flows, &limits);
	return p->n_waiting ? 0 : want_packets(p, config_wants_packets(config));
}

int pipeline_new(const struct config *config, struct ledger *ledger, struct owners *owners,
	struct ring_producer *ring, uint64_t epoch, struct pipeline **ret)
{
	struct flow_limits limits = limits_of(config);
	struct pipeline *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	limits.id_base = owners ? epoch << 20 : 0; /* a file gives the same ids each time */
	if (getrandom(limits.hash_seed, sizeof(limits.hash_seed), 0) !=
		(ssize_t)sizeof(limits.hash_seed)) {
		free(p);
		return -EIO;
	}
	p->ledger = ledger;
	p->owners = owners;
	p->emit = (struct emit){
		.ring = ring,
		.ring_size = config->enrich.ring,
		.ledger = ledger,
		.owners = owners,
		.epoch = epoch,
		.from = journal_from(ledger),
		.all_packets = limits.all_packets,
		.open = open_packets,
		.open_arg = p,
	};
	r = names_new(NAMES_MAX, &p->names);
	if (r == 0)
		r = flow_table_new(&limits, on_flow_event, on_flow_free, p, &p->flows);
	if (r < 0) {
		names_free(p->names);
		free(p);
		return r;
	}
	flow_table_on_payload(p->flows, on_flow_payload);
	r = want_packets(p, config_wants_packets(config));
	if (r < 0) {
		pipeline_free(p);
		return r;
	}
	p->tells_late = config->enrich.start_after_ns != 0;
	if (config->enrich.aggregate_ns) {
		r = aggregate_new(config->enrich.aggregate_ns, AGGREGATE_MAX, limits.hash_seed,
			emit_put, &p->emit, &p->aggregate);
		if (r < 0) {
			pipeline_free(p);
			return r;
		}
		p->emit.aggregate = p->aggregate;
	}
	if (owners) {
		flow_table_on_changed(p->flows, on_flow_changed);
		flow_table_on_figures(p->flows, on_figures);
		p->watch = (struct watch){
			.ledger = ledger,
			.owners = owners,
			.flows = p->flows,
			.hears_closed = config->enrich.tcp_info,
		};
	}
	note_error(p, books_settle(&p->emit));
	*ret = p;
	return 0;
}

void pipeline_free(struct pipeline *p)
{
	if (!p)
		return;
	flow_table_free(p->flows);
	names_free(p->names);
	free(p->packets);
	aggregate_free(p->aggregate);
	free(p);
}

void pipeline_attach(struct pipeline *p, struct ring_consumer *ring)
{
	int r = books_attach(&p->emit, ring);

	if (r > 0)
		flow_table_loss(p->flows);
	note_error(p, r);
}

void pipeline_release(struct pipeline *p, struct ring_consumer *ring)
{
	books_release(&p->emit, ring);
}

void pipeline_only_tree(struct pipeline *p)
{
	p->emit.only_tree = true;
}

static enum ledger_enrich counter_of(enum decode_result result)
{
	switch (result) {
	case DECODE_E_FRAGMENT:
		return LEDGER_enrich_packets_fragment;
	case DECODE_E_TRUNCATED:
	case DECODE_E_MALFORMED:
		return LEDGER_enrich_packets_malformed;
	case DECODE_OK:
	case DECODE_E_NOT_IP:
	case DECODE_E_PROTO:
	case DECODE_E_LINKTYPE:
		break;
	}
	return LEDGER_enrich_packets_other;
}

/* A counted packet as a record of its own, behind the start of its flow and whatever waits. */
static void pass_packet(
	struct pipeline *p, const struct packet_head *head, const uint8_t *bytes, uint64_t t_ns)
{
	struct emit_packet packet = {
		.bytes = bytes,
		.caplen = head->caplen < PIPELINE_PACKET_MAX ? head->caplen : PIPELINE_PACKET_MAX,
		.len = head->len,
		.dlt = head->dlt,
	};
	struct flow *f = flow_table_counted(p->flows, &packet.sender);
	struct waiting *w;

	/* What is known in a moment cannot be added to a packet that was told. */
	if (p->owners && (owners_is_pending(p->owners, &f->owner[FLOW_ORIG]) ||
				 owners_is_pending(p->owners, &f->owner[FLOW_RESP])))
		p->packets_ask = true;
	else if (!p->n_waiting) {
		note_error(p, emit_packet(&p->emit, f, f, &packet, t_ns));
		return;
	}
	if (p->n_waiting == PIPELINE_WAITING_MAX)
		emit_waiting(p, false);
	w = &p->waiting[p->n_waiting];
	*w = (struct waiting){.view = *f, .live = f, .t_ns = t_ns, .is_packet = true};
	w->packet = packet;
	w->packet.bytes = p->packets + p->n_waiting++ * PIPELINE_PACKET_MAX;
	memcpy(p->packets + (w - p->waiting) * PIPELINE_PACKET_MAX, bytes, packet.caplen);
}

static void on_packet(struct pipeline *p, const struct pipeline_seen *s, uint64_t t_ns)
{
	const struct decoded *d = &s->decoded;
	const uint8_t *bytes = s->body + sizeof(s->head);
	struct decoded quoted;

	emit_count(&p->emit, LEDGER_enrich_packets_read, 1);
	p->emit.from.packets++;
	if (s->result != DECODE_OK) {
		emit_count(&p->emit, counter_of(s->result), 1);
		return;
	}
	p->bytes = bytes;
	switch (flow_table_foreseen(
		p->flows, d, &s->place, d->ifindex ? d->ifindex : s->head.ifindex, t_ns)) {
	case FLOW_PACKET_COUNTED:
		if (p->packets)
			pass_packet(p, &s->head, bytes, t_ns);
		break;
	case FLOW_PACKET_DUPLICATE:
		emit_count(&p->emit, LEDGER_enrich_packets_duplicate, 1);
		break;
	case FLOW_PACKET_LATE:
		emit_count(&p->emit, LEDGER_enrich_packets_late, 1);
		break;
	case FLOW_PACKET_OTHER:
		emit_count(&p->emit, LEDGER_enrich_packets_other, 1);
		break;
	}
	if (quote_refused(d, bytes, &quoted))
		flow_table_refused(p->flows, &quoted);
}

/* Brings owners and timers up to @t_ns before the packet of that time is looked at. */
static void advance(struct pipeline *p, uint64_t t_ns)
{
	if (t_ns > p->last_ns)
		p->last_ns = t_ns;
	if (p->owners)
		owners_advance(p->owners, t_ns);
	if (flow_table_is_due(p->flows, t_ns))
		flow_table_expire(p->flows, t_ns);
	if (p->aggregate)
		note_error(p, aggregate_expire(p->aggregate, t_ns));
}

/* A file's packets have a time of their own. */
static uint64_t time_of(const struct pipeline *p, const struct ring_frame *frame)
{
	return p->owners ? steady_of_packet(frame->t_ns) : frame->t_ns;
}

void pipeline_foresee(const struct pipeline *p, struct pipeline_seen *s)
{
	const struct ring_frame *f = &s->frame;
	struct packet_head *head = &s->head;

	s->impossible = f->type == RING_FRAME_RECORD ||
			(f->type == RING_FRAME_PACKET && f->len < sizeof(*head)) ||
			(f->type == RING_FRAME_LOSS && f->len != sizeof(struct ring_loss));
	if (f->type != RING_FRAME_PACKET || s->impossible)
		return;
	memcpy(head, s->body, sizeof(*head));
	if (head->caplen != f->len - sizeof(*head) || head->caplen > head->len ||
		head->netns > PACKET_NETNS_MAX) {
		s->impossible = true;
		return;
	}
	s->result = decode_packet(
		head->dlt, s->body + sizeof(*head), head->caplen, head->len, &s->decoded);
	if (s->result != DECODE_OK)
		return;
	s->decoded.netns = (uint8_t)head->netns;
	flow_table_foresee(p->flows, &s->decoded, &s->place);
}

int pipeline_frame(struct pipeline *p, const struct ring_frame *frame, const void *body)
{
	struct pipeline_seen s;

	s.frame = *frame;
	s.body = body;
	pipeline_foresee(p, &s);
	return pipeline_feed(p, &s);
}

int pipeline_feed(struct pipeline *p, const struct pipeline_seen *s)
{
	const struct ring_frame *frame = &s->frame;
	struct ring_loss loss;
	uint64_t t_ns;

	if (s->impossible)
		return PIPELINE_E_BAD_FRAME;
	switch (frame->type) {
	case RING_FRAME_PACKET:
		/* Records of it may be published before all are there: then it has been read. */
		p->emit.from.pos = frame->pos;
		t_ns = time_of(p, frame);
		advance(p, t_ns);
		on_packet(p, s, t_ns);
		/* Told of already: the next flow gets memory that is in the cache. */
		if (!p->n_waiting)
			flow_table_reap(p->flows);
		break;
	case RING_FRAME_LOSS:
		memcpy(&loss, s->body, sizeof(loss));
		flow_table_loss(p->flows);
		note_error(p, emit_loss(&p->emit, &loss, frame->t_ns));
		p->emit.from.pos = frame->pos; /* only now: it is told once it is put */
		break;
	case RING_FRAME_TIME:
		p->emit.from.pos = frame->pos;
		advance(p, time_of(p, frame));
		break;
	case RING_FRAME_END:
		p->emit.from.pos = frame->pos;
		break;
	case RING_FRAME_RECORD:
		return PIPELINE_E_BAD_FRAME;
	}
	return p->error;
}

/* What left a full table since the last look. */
static void count_evicted(
	struct pipeline *p, enum ledger_enrich counter, uint64_t evicted, uint64_t *counted)
{
	ledger_add(p->ledger, counter, evicted - *counted);
	*counted = evicted;
}

int pipeline_commit(struct pipeline *p, bool more)
{
	emit_waiting(p, !more);
	note_error(p, emit_commit(&p->emit));
	flow_table_reap(p->flows);
	if (p->owners)
		owners_paused(p->owners);
	count_evicted(p, LEDGER_enrich_flows_evicted, flow_table_evicted(p->flows), &p->evicted);
	ledger_set(p->ledger, LEDGER_enrich_names, names_count(p->names));
	count_evicted(p, LEDGER_enrich_names_evicted, names_evicted(p->names), &p->names_evicted);
	if (p->aggregate)
		count_evicted(p, LEDGER_enrich_aggregates_evicted, aggregate_evicted(p->aggregate),
			&p->aggregates_evicted);
	return p->error;
}

int pipeline_expire(struct pipeline *p, uint64_t now_ns)
{
	flow_table_expire(p->flows, now_ns);
	if (p->aggregate) {
		emit_waiting(p, false);
		note_error(p, aggregate_expire(p->aggregate, now_ns));
	}
	return pipeline_commit(p, false);
}

uint64_t pipeline_next_ns(const struct pipeline *p)
{
	uint64_t flows = flow_table_next_ns(p->flows);
	uint64_t windows = p->aggregate ? aggregate_next_ns(p->aggregate) : UINT64_MAX;

	return flows < windows ? flows : windows;
}

uint64_t pipeline_watch(struct pipeline *p, uint64_t now_ns)
{
	return p->owners ? watch_look(&p->watch, now_ns) : UINT64_MAX;
}

int pipeline_finish(struct pipeline *p, uint64_t now_ns)
{
	flow_table_finish(p->flows, now_ns);
	if (p->aggregate) {
		emit_waiting(p, false);
		note_error(p, aggregate_finish(p->aggregate));
	}
	return pipeline_commit(p, false);
}

int pipeline_losses(struct pipeline *p, uint64_t now_ns)
{
	const uint64_t ahead = p->owners ? steady_to_real(now_ns) - now_ns : 0;
	uint64_t since_ns = p->losses_ns ? p->losses_ns : now_ns;
	int r = books_losses(&p->emit, since_ns + ahead, now_ns + ahead);

	p->losses_ns = now_ns;
	if (r > 0)
		r = emit_commit(&p->emit);
	note_error(p, r);
	return p->error;
}

void pipeline_set_patience(
	struct pipeline *p, uint64_t patience_ns, void (*wait)(void *arg), void *wait_arg)
{
	p->emit.patience_ns = patience_ns;
	p->emit.wait = wait;
	p->emit.wait_arg = wait_arg;
}

uint64_t pipeline_last_ns(const struct pipeline *p)
{
	return p->last_ns;
}
