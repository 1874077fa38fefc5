/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verdict against a model that knows who held every socket: random processes in several network
 * namespaces fork, exit and have their pids reused, connect, send, listen, accept, pass sockets on,
 * close and reuse ports, while the rings overflow. An answer is a process that held the socket
 * (probable: or listened at that port when the connection began), or unknown; never another one.
 *
 * owner-model.h has the model.
 */
#include "owner-model.h"
static struct {
	uint64_t asked, exact, probable, unknown, wrong;
} count;

/* ---- questions ---- */

static struct owner_query query(const struct flow *f, int side, uint64_t t_ns)
{
	struct owner_query q = {
		.family = f->family,
		.proto = f->proto,
		.initiator = side == 0,
		.responder = side == 1,
		.begun = true,
		.local_port = f->port[side],
		.remote_port = f->port[!side],
		.t_ns = t_ns,
		.start_ns = f->start_ns,
	};

	memcpy(q.local_addr, f->addr[side], 16);
	memcpy(q.remote_addr, f->addr[!side], 16);
	return q;
}

static void ask(struct flow *f, uint64_t t_ns)
{
	for (int side = 0; side < 2; side++) {
		struct owner_query q = query(f, side, t_ns);

		if (f->end[side].owner.confidence != RECORD_CONFIDENCE_EXACT)
			(void)owners_ask(w.o, &q, &f->end[side].owner);
	}
}

static bool is_one_of(const struct set *s, const struct process *p)
{
	for (unsigned i = 0; s && i < s->n; i++) {
		const struct ident *d = &ident[s->ident[i]];

		if (d->pid != p->pid)
			continue;
		if (d->seeded ? p->start_ns <= d->start_ns + PROCESS_START_SLACK_NS
			      : p->start_ns == d->start_ns)
			return true;
		/* Known from an event that named it: its fork was lost. */
		if (!p->start_ns && p->seen_ns >= d->start_ns &&
			(!d->exit_ns || p->seen_ns <= d->exit_ns))
			return true;
	}
	return false;
}

static void check(const struct flow *f, int side, const char *what)
{
	const struct flow_end *e = &f->end[side];
	const struct owner *a = &e->owner;
	bool right;

	count.asked++;
	if (!a->process) {
		count.unknown++;
		if (a->confidence == RECORD_CONFIDENCE_UNKNOWN && a->unknown)
			return;
		count.wrong++;
		tap_ok(false, "an answer without a process says why");
		return;
	}
	count.exact += a->confidence == RECORD_CONFIDENCE_EXACT;
	count.probable += a->confidence == RECORD_CONFIDENCE_PROBABLE;
	right = is_one_of(e->exact, a->process) ||
		(a->confidence == RECORD_CONFIDENCE_PROBABLE && is_one_of(e->probable, a->process));
	if (right)
		return;
	if (count.wrong++ < 5)
		printf("# wrong: %s proto %u family %u side %d port %u -> %u: pid %u (start %lld) "
		       "by "
		       "%s, %s; flow from %lld; %u held it, first pid %d\n",
			what, f->proto, f->family, side, f->port[0], f->port[1], a->process->pid,
			(long long)(a->process->start_ns - w.t_ns), record_method_name(a->method),
			record_confidence_name(a->confidence), (long long)(f->start_ns - w.t_ns),
			e->exact ? e->exact->n : 0,
			e->exact && e->exact->n ? (int)ident[e->exact->ident[0]].pid : -1);
}

static void drop(struct flow *f)
{
	for (int side = 0; side < 2; side++) {
		owners_forget(w.o, &f->end[side].owner);
		owner_deinit(&f->end[side].owner);
	}
	f->used = false;
}

/* The flow of a datagram, found or made; *ret_side = which end sent it. */
static struct flow *udp_flow(const struct packet *p, int *ret_side, bool *ret_new)
{
	struct flow *unused = NULL;

	*ret_new = false;
	for (unsigned i = 0; i < FLOWS; i++) {
		struct flow *f = &flow[i];

		if (!f->used)
			unused = f;
		if (!f->used || f->proto != IPPROTO_UDP || f->family != p->family)
			continue;
		for (int side = 0; side < 2; side++)
			if (f->port[side] == p->port[0] && f->port[!side] == p->port[1] &&
				!memcmp(f->addr[side], p->addr[0], 16) &&
				!memcmp(f->addr[!side], p->addr[1], 16)) {
				*ret_side = side;
				return f;
			}
	}
	*ret_side = 0;
	*ret_new = true;
	return unused;
}

static void on_datagram(const struct packet *p)
{
	bool is_new;
	int side;
	struct flow *f = udp_flow(p, &side, &is_new);

	if (!f)
		return;
	if (!is_new) {
		struct owner_query q = query(f, side, p->t_ns);

		if (p->t_ns > f->last_ns + 30000 * WORLD_MS) {
			drop(f);
			is_new = true;
		} else if (owners_replaced(w.o, &q, &f->end[side].owner)) {
			drop(f);
			is_new = true;
		}
	}
	if (is_new) {
		*f = (struct flow){.used = true,
			.proto = IPPROTO_UDP,
			.family = p->family,
			.start_ns = p->t_ns};
		memcpy(f->addr, p->addr, sizeof(f->addr));
		memcpy(f->port, p->port, sizeof(f->port));
		side = 0;
		f->end[0].exact = model_new_set();
		f->end[1].exact = model_new_set();
		if (!f->end[0].exact || !f->end[1].exact) {
			f->used = false;
			return;
		}
	}
	/* Whoever held a socket that took part. */
	for (int i = 0; i < 2; i++)
		for (unsigned n = 0; p->set[i] && n < p->set[i]->n; n++)
			model_put_in(f->end[i ? !side : side].exact, p->set[i]->ident[n]);
	f->last_ns = p->t_ns;
	if (is_new || !model_rnd(3))
		ask(f, p->t_ns);
}

/* What enrich does with a batch of packets. */
static void read_packets(void)
{
	bool touched[FLOWS] = {false};

	world_now_ns = w.t_ns;
	for (unsigned i = 0; i < n_packets; i++) {
		const struct packet *p = &packet[i];

		owners_advance(w.o, p->t_ns);
		if (p->what == DATAGRAM) {
			on_datagram(p);
		} else if (flow[p->flow].used) {
			ask(&flow[p->flow], p->t_ns);
			touched[p->flow] = true;
		}
	}
	owners_settle(w.o, true);
	for (unsigned i = 0; i < FLOWS; i++) {
		if (!flow[i].used || (!touched[i] && flow[i].proto == IPPROTO_TCP))
			continue;
		if (flow[i].end[0].owner.confidence || flow[i].end[0].owner.unknown)
			check(&flow[i], 0, "client");
		if (flow[i].end[1].owner.confidence || flow[i].end[1].owner.unknown)
			check(&flow[i], 1, "server");
	}
	for (unsigned i = 0; i < n_packets; i++)
		if (packet[i].what == END && flow[packet[i].flow].used)
			drop(&flow[packet[i].flow]);
	n_packets = 0;
	if (!model_rnd(10))
		owners_idle(w.o, w.t_ns);
}

/* ---- runs ---- */

static void begin(uint32_t pages)
{
	world_open(&w, pages);
	netns[0] = w.netns;
	memset(sock, 0, sizeof(sock));
	memset(sets, 0, sizeof(sets));
	memset(flow, 0, sizeof(flow));
	n_ident = n_sets = n_packets = n_alive = 0;
	have_v6 = owners_is_local_addr(w.o, 0, (const uint8_t[16]){[15] = 1});
	for (unsigned i = 0; i < 5; i++) {
		ident[i] = (struct ident){.pid = 100 + i,
			.seeded = true,
			.space = (int)(i % SPACES),
			.start_ns = w.t_ns - (5 - i) * 60000 * WORLD_MS};
		world_seed(&w, ident[i].pid, ident[i].start_ns, netns[ident[i].space]);
		alive[n_alive++] = n_ident++;
	}
	w.t_ns += 1000 * WORLD_MS;
}

static void finish(void)
{
	read_packets();
	for (unsigned i = 0; i < FLOWS; i++)
		if (flow[i].used)
			drop(&flow[i]);
	world_close(&w);
}

static void step(void)
{
	uint32_t dice = model_rnd(100);

	model_pass_time();
	if (dice < 10)
		model_fork();
	else if (dice < 16)
		model_exit();
	else if (dice < 18)
		model_setns();
	else if (dice < 28)
		model_listen();
	else if (dice < 58)
		model_connect();
	else if (dice < 70)
		model_udp();
	else
		model_something();
}

/* @batch: steps between two readings; @pages of each ring, few of them overflow. */
static uint64_t run(
	const char *name, unsigned rounds, unsigned steps, unsigned batch, uint32_t pages)
{
	uint64_t dropped = 0;

	memset(&count, 0, sizeof(count));
	for (unsigned i = 0; i < rounds; i++) {
		random_state = 88172645463325252ull + i * 7919u + pages;
		begin(pages);
		for (unsigned n = 0; n < steps; n++) {
			step();
			if (!model_rnd(batch) || n_packets > PACKETS - 8)
				read_packets();
		}
		finish();
		dropped += w.dropped;
	}
	tap_is_int(count.wrong, 0, "%s: no wrong answer of %llu", name,
		(unsigned long long)count.asked);
	printf("# %s: exact %llu, probable %llu, unknown %llu; events dropped %llu\n", name,
		(unsigned long long)count.exact, (unsigned long long)count.probable,
		(unsigned long long)count.unknown, (unsigned long long)dropped);
	return dropped;
}

int main(void)
{
	unsigned rounds = getenv("FLOWNER_LONG") ? 500 : 12;

	run("nothing lost", rounds, 600, 6, 16);
	tap_ok(count.exact > count.asked * 2 / 5, "and most of what events tell is known exactly");
	run("read late", rounds, 600, 60, 64);
	tap_ok(count.exact > count.asked * 2 / 5, "and as much of it");
	tap_ok(run("rings overflow", rounds, 600, 60, 1) > 0, "and they did overflow");
	return tap_done();
}
