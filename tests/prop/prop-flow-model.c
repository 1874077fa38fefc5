/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flow table against a list: random UDP traffic must produce exactly the events that a naive
 * model of "one flow per 5-tuple, idle timeout, least recently used goes first" predicts; random
 * traffic of every kind must keep the account of packets and the order of events.
 */
#include "tap.h"

#include <netinet/in.h>

#include "enrich/flow.h"

#define MAX_EVENTS 64

static uint64_t random_state;

static uint32_t rnd(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 16) % below;
}

/* What an event says, comparable. */
struct seen {
	enum flow_event event;
	enum record_end_reason reason;
	uint32_t orig_port, resp_port; /* no padding: compared as memory */
	uint64_t packets[2], bytes[2];
	uint64_t start_ns, last_ns, t_ns;
};

static struct {
	struct flow_table *table;
	struct seen seen[MAX_EVENTS];
	unsigned n_seen;
	uint64_t delta, counted;
} game;

static void see(struct seen *list, unsigned *n, const struct seen *s)
{
	if (*n < MAX_EVENTS)
		list[(*n)++] = *s;
}

static void on_event(void *arg, struct flow *f, enum flow_event e, uint64_t t_ns)
{
	struct seen s = {e, f->end_reason, f->key.port[0], f->key.port[1],
		{f->packets[0], f->packets[1]}, {f->bytes[0], f->bytes[1]}, f->start_ns, f->last_ns,
		t_ns};

	(void)arg;
	see(game.seen, &game.n_seen, &s);
	game.delta += flow_reported(game.table, f);
}

static void on_free(void *arg, struct flow *f)
{
	(void)arg;
	(void)f;
}

/* The model: open flows in a list, in no order. */
struct model_flow {
	uint16_t port[2];
	uint16_t vlan;
	uint32_t ifindex[2];
	uint64_t packets[2], bytes[2];
	uint64_t start_ns, last_ns, used; /* `used`: number of its latest packet */
};

static struct {
	struct model_flow flow[64];
	unsigned n, max;
	uint64_t timeout_ns, packet;
	struct seen seen[MAX_EVENTS];
	unsigned n_seen;
} model;

static void model_event(
	const struct model_flow *f, enum flow_event e, enum record_end_reason reason, uint64_t t_ns)
{
	struct seen s = {e, reason, f->port[0], f->port[1], {f->packets[0], f->packets[1]},
		{f->bytes[0], f->bytes[1]}, f->start_ns, f->last_ns, t_ns};

	see(model.seen, &model.n_seen, &s);
}

static void model_end(unsigned i, enum record_end_reason reason, uint64_t t_ns)
{
	model_event(&model.flow[i], FLOW_EVENT_END, reason, t_ns);
	model.flow[i] = model.flow[--model.n];
}

static unsigned model_oldest(void)
{
	unsigned oldest = 0;

	for (unsigned i = 1; i < model.n; i++)
		if (model.flow[i].used < model.flow[oldest].used)
			oldest = i;
	return oldest;
}

static void model_expire(uint64_t now_ns)
{
	while (model.n) {
		unsigned i = model_oldest();

		if (model.flow[i].last_ns + model.timeout_ns > now_ns)
			return;
		model_end(i, RECORD_END_TIMEOUT, model.flow[i].last_ns + model.timeout_ns);
	}
}

static enum flow_packet model_packet(const struct decoded *d, uint32_t ifindex, uint64_t t_ns)
{
	struct model_flow *f = NULL;
	bool is_new = false;
	unsigned side = 0;

	for (unsigned i = 0; i < model.n && !f; i++) {
		f = &model.flow[i];
		side = f->port[0] == d->sport && f->port[1] == d->dport ? 0 : 1;
		if (f->vlan != d->vlan || f->port[side] != d->sport || f->port[!side] != d->dport)
			f = NULL;
	}
	if (f && f->last_ns + model.timeout_ns <= t_ns) {
		model_end((unsigned)(f - model.flow), RECORD_END_TIMEOUT,
			f->last_ns + model.timeout_ns);
		f = NULL;
	}
	if (!f) {
		if (model.n == model.max)
			model_end(model_oldest(), RECORD_END_EVICTED, t_ns);
		f = &model.flow[model.n++];
		*f = (struct model_flow){
			{d->sport, d->dport}, d->vlan, {0, 0}, {0, 0}, {0, 0}, t_ns, t_ns, 0};
		side = 0;
		is_new = true;
	}
	if (!f->ifindex[side])
		f->ifindex[side] = ifindex;
	else if (ifindex && f->ifindex[side] != ifindex)
		return FLOW_PACKET_DUPLICATE;
	f->packets[side]++;
	f->bytes[side] += d->payload_len;
	f->last_ns = t_ns;
	f->used = ++model.packet;
	if (is_new)
		model_event(f, FLOW_EVENT_START, RECORD_END_NONE, t_ns);
	return FLOW_PACKET_COUNTED;
}

static bool same_events(void)
{
	bool same = game.n_seen == model.n_seen &&
		    !memcmp(game.seen, model.seen, game.n_seen * sizeof(struct seen));

	game.n_seen = model.n_seen = 0;
	return same;
}

/* One port for both hosts' side of a flow names the host, so that ports alone tell flows apart. */
static struct decoded random_datagram(unsigned ports)
{
	bool back = rnd(2);
	struct decoded d = {.family = 4, .proto = IPPROTO_UDP, .vlan = (uint16_t)rnd(2)};
	uint16_t client = (uint16_t)(1000 + rnd(ports)), server = (uint16_t)(53 + rnd(2));

	d.src[15] = back ? 9 : 7;
	d.dst[15] = back ? 7 : 9;
	d.sport = back ? server : client;
	d.dport = back ? client : server;
	d.payload_len = rnd(1000);
	return d;
}

static bool run_model(uint64_t seed, unsigned steps)
{
	struct flow_limits l = {.udp_timeout_ns = 1000,
		.tcp_timeout_ns = 1,
		.tcp_attempt_timeout_ns = 1,
		.hash_seed = {seed, 2},
		.id_base = 1};
	unsigned ports;
	uint64_t t_ns = 1000;

	random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	l.max_flows = 1 + rnd(32);
	ports = 1 + rnd(20);
	memset(&game, 0, sizeof(game));
	memset(&model, 0, sizeof(model));
	model.max = (unsigned)l.max_flows;
	model.timeout_ns = l.udp_timeout_ns;
	if (flow_table_new(&l, on_event, on_free, NULL, &game.table))
		tap_bail("no flow table");
	for (unsigned i = 0; i < steps; i++) {
		struct decoded d = random_datagram(ports);
		uint32_t ifindex = rnd(3);
		enum flow_packet got, want;

		t_ns += 1 + rnd(rnd(20) ? 100 : 1500);
		if (rnd(4) == 0) {
			flow_table_expire(game.table, t_ns);
			model_expire(t_ns);
		}
		got = flow_table_packet(game.table, &d, ifindex, t_ns);
		want = model_packet(&d, ifindex, t_ns);
		game.counted += got == FLOW_PACKET_COUNTED;
		if (got != want || !same_events() || flow_table_count(game.table) != model.n ||
			game.delta + flow_table_open_packets(game.table) != game.counted) {
			printf("# seed %llu, step %u\n", (unsigned long long)seed, i);
			flow_table_free(game.table);
			return false;
		}
		if (rnd(8) == 0)
			flow_table_reap(game.table);
	}
	flow_table_free(game.table);
	return true;
}

/* Traffic of every kind: what must hold whatever comes. `user` numbers a flow's life. */
static struct {
	uint64_t started, ended, last_id, freed;
	struct flow *later[128]; /* ended, to be reported before the next reap */
	unsigned n_later;
	bool broken;
	bool late; /* OPEN comes before START */
} life;

struct life_of {
	uint64_t t_ns;
	unsigned events;
	bool ended;
};

static void on_life_event(void *arg, struct flow *f, enum flow_event e, uint64_t t_ns)
{
	struct life_of *l = f->user;

	(void)arg;
	if (e == FLOW_EVENT_OPEN || (e == FLOW_EVENT_START && !life.late)) {
		life.started++;
		life.broken |= l != NULL || f->id <= life.last_id || f->started;
		life.last_id = f->id;
		f->user = l = calloc(1, sizeof(*l));
	}
	if (!l || l->ended || t_ns < l->t_ns || t_ns < f->start_ns || f->last_ns < f->start_ns ||
		strnlen(f->history, RECORD_HISTORY_MAX) == RECORD_HISTORY_MAX ||
		f->state >= RECORD_STATES ||
		(e == FLOW_EVENT_END) != (f->end_reason != RECORD_END_NONE)) {
		life.broken = true;
		return;
	}
	l->t_ns = t_ns;
	l->events++;
	l->ended = e == FLOW_EVENT_END;
	life.ended += l->ended;
	if (l->ended && life.n_later < 128 && rnd(2))
		life.later[life.n_later++] = f; /* its owner is still being looked up */
	else if (l->ended || rnd(2))
		game.delta += flow_reported(game.table, f);
}

static void on_life_free(void *arg, struct flow *f)
{
	(void)arg;
	life.freed++;
	free(f->user);
}

static void reap(void)
{
	for (unsigned i = 0; i < life.n_later; i++)
		game.delta += flow_reported(game.table, life.later[i]);
	life.n_later = 0;
	flow_table_reap(game.table);
}

static struct decoded random_packet(void)
{
	static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_TCP, IPPROTO_TCP, IPPROTO_UDP,
		IPPROTO_ICMP, IPPROTO_ICMPV6, 132};
	static const uint8_t flags[] = {0x02, 0x12, 0x10, 0x18, 0x11, 0x04, 0x14, 0x02, 0x12};
	struct decoded d = {.family = 4, .proto = protos[rnd(sizeof(protos))]};

	d.src[15] = (uint8_t)rnd(3);
	d.dst[15] = (uint8_t)rnd(3);
	d.sport = (uint16_t)rnd(4);
	d.dport = (uint16_t)rnd(4);
	d.payload_len = rnd(3);
	if (d.proto == IPPROTO_TCP) {
		d.tcp_flags = rnd(10) ? flags[rnd(sizeof(flags))] : (uint8_t)rnd(256);
		d.seq = rnd(4) - 2;
		d.ack = rnd(4) - 1;
	} else if (d.proto != IPPROTO_UDP && d.proto != 132) {
		static const uint8_t types[] = {0, 3, 8, 128, 129};

		d.icmp_type = types[rnd(sizeof(types))];
		d.icmp_code = (uint8_t)rnd(2);
	}
	return d;
}

static bool run_life(uint64_t seed, unsigned steps)
{
	struct flow_limits l = {.max_flows = 1 + seed % 200,
		.udp_timeout_ns = 3000,
		.tcp_timeout_ns = 9000,
		.tcp_attempt_timeout_ns = 1500,
		.hash_seed = {seed, 3},
		.id_base = 1};
	uint64_t t_ns = 100000;

	random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	l.first_info_ns = rnd(2) ? 0 : 1 + rnd(3000);
	l.active_timeout_ns = rnd(2) ? 0 : 1 + rnd(3000);
	memset(&game, 0, sizeof(game));
	memset(&life, 0, sizeof(life));
	l.start_after_ns = rnd(2) ? 0 : 1 + rnd(3000);
	life.late = l.start_after_ns != 0;
	if (flow_table_new(&l, on_life_event, on_life_free, NULL, &game.table))
		tap_bail("no flow table");
	for (unsigned i = 0; i < steps && !life.broken; i++) {
		struct decoded d = random_packet();

		t_ns += rnd(rnd(50) ? 20 : 5000);
		if (rnd(3) == 0)
			flow_table_expire(game.table, t_ns - rnd(50));
		/* Packets of several rings come slightly out of order. */
		game.counted += flow_table_packet(game.table, &d, rnd(3), t_ns - rnd(100)) ==
				FLOW_PACKET_COUNTED;
		life.broken |= flow_table_count(game.table) > l.max_flows;
		life.broken |= flow_table_count(game.table) != life.started - life.ended;
		life.broken |= game.delta + flow_table_open_packets(game.table) != game.counted;
		if (rnd(100) == 0)
			flow_table_loss(game.table);
		if (life.n_later > 60 || rnd(30) == 0)
			reap();
	}
	flow_table_finish(game.table, t_ns);
	reap();
	life.broken |= flow_table_count(game.table) || flow_table_open_packets(game.table) ||
		       life.started != life.ended || life.freed != life.ended ||
		       game.delta != game.counted || flow_table_next_ns(game.table) != UINT64_MAX;
	flow_table_free(game.table);
	if (life.broken)
		printf("# seed %llu\n", (unsigned long long)seed);
	return !life.broken;
}

int main(void)
{
	bool ok = true;

	for (uint64_t seed = 1; seed <= 200 && ok; seed++)
		ok = run_model(seed, 1000);
	tap_ok(ok, "200 random UDP histories give the events of the naive model");
	ok = true;
	for (uint64_t seed = 1; seed <= 200 && ok; seed++)
		ok = run_life(seed, 2000);
	tap_ok(ok,
		"200 random histories of every protocol keep the account and the order of events");
	return tap_done();
}
