/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tap leaves unrecorded: the sends of busy UDP ports whose socket is known, and, unless a
 * listener has them, who closes on ports of the automatic range.
 *
 * While a port's sends go unrecorded its claims prove nothing. What does: sock_diag shows the very
 * socket (by its cookie, which is never given twice) that the owner was seen to send from. So each
 * flow is looked up, once a second it is made sure that the port has no second socket and its owner
 * still runs, and every RELOOK_NS the sends are recorded for a while, in case the socket was passed
 * on. Whatever does not hold is recorded again, and left alone for BAN_NS.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "enrich/inherited.h"
#include "enrich/owner-internal.h"
#include "shm/cleanup.h"

#define RELOOK_NS UINT64_C(10000000000)
#define WATCH_NS  UINT64_C(200000000) /* how long a second look takes at least */
#define TICK_NS   UINT64_C(50000000)
#define CHECK_NS  UINT64_C(1000000000)
#define BAN_NS    UINT64_C(60000000000)

uint16_t owners_first_port(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	unsigned port;

	return f && fscanf(f, "%u", &port) == 1 && port && port <= UINT16_MAX ? (uint16_t)port
									      : 32768;
}

void owners_filter_init(struct owners *o)
{
	o->filter.first_port = o->from ? (uint16_t)o->from->about.first_port : owners_first_port();
}

void owners_filter_deinit(struct owners *o)
{
	for (size_t i = 0; i < o->filter.n_blind; i++)
		process_unref(o->filter.blind[i].process);
}

/* ---- closers ---- */

void owners_filter_listener(struct owners *o, uint16_t port)
{
	struct tap_filter *f = &o->filter.wanted;

	if (port < o->filter.first_port || f->closers)
		return;
	for (unsigned i = 0; i < f->listeners; i++)
		if (f->listener[i] == port)
			return;
	if (f->listeners < TAP_FILTER_PORTS)
		f->listener[f->listeners++] = port;
	else
		f->closers = 1;
}

/* ---- senders ---- */

static struct owners_blind *find_blind(struct owners *o, uint16_t port)
{
	for (size_t i = 0; i < o->filter.n_blind; i++)
		if (o->filter.blind[i].port == port)
			return &o->filter.blind[i];
	return NULL;
}

static uint64_t blind_until(const struct owners_blind *b)
{
	return b->on ? UINT64_MAX : b->until_ns;
}

bool owners_filter_trusts(const struct owners *o, const struct socket_claim *c)
{
	/* One look at the ports, and nearly always there is none. */
	for (size_t i = 0; i < o->filter.n_blind; i++)
		if (o->filter.blind[i].port == c->key.local_port)
			return c->seen_ns > blind_until(&o->filter.blind[i]);
	return true;
}

struct process *owners_filter_holder(struct owners *o, const struct owner_query *q, uint64_t cookie)
{
	const struct owners_blind *b =
		q->proto == IPPROTO_UDP ? find_blind(o, q->local_port) : NULL;

	return b && b->cookie == cookie && q->t_ns <= blind_until(b) ? b->process : NULL;
}

struct survey {
	uint16_t port;
	unsigned n;
	uint64_t cookie;
};

static void on_socket(void *arg, const struct diag_socket *s)
{
	struct survey *v = arg;

	if (s->key.local_port != v->port)
		return;
	v->n++;
	v->cookie = s->cookie;
}

/* The cookie of the one UDP socket on @port, 0 = none, or several. */
static uint64_t only_socket(struct owners *o, uint16_t port)
{
	struct survey v = {.port = port};

	if (!o->diag || diag_dump(o->diag, IPPROTO_UDP, UINT32_MAX, on_socket, &v) < 0)
		return 0;
	return v.n == 1 ? v.cookie : 0;
}

/* A place for @port; the one that was last needed longest ago when all are taken. */
static struct owners_blind *place(struct owners *o, uint16_t port)
{
	struct owners_blind *best = find_blind(o, port);

	if (best)
		return best;
	if (o->filter.n_blind < OWNERS_BLIND_MAX)
		return &o->filter.blind[o->filter.n_blind];
	for (size_t i = 0; i < OWNERS_BLIND_MAX; i++) {
		struct owners_blind *b = &o->filter.blind[i];

		if (!b->on && (!best || b->until_ns < best->until_ns))
			best = b;
	}
	return best;
}

static void on_busy(void *arg, uint16_t port, const void *who)
{
	struct owners *o = arg;
	struct owners_filter *f = &o->filter;
	struct process *p = NULL;
	const struct socket_claim *c = sockets_port_sender(o->sockets, port);
	struct owners_blind *b = place(o, port);
	uint64_t cookie;

	/* The table of claims holds the reference that `who` was. */
	if (c && c->process == who)
		p = c->process;
	if (!p || !b || b->on || f->wanted.senders == TAP_FILTER_PORTS || p->exit_ns ||
		p->netns != o->netns || (b->port == port && f->now_ns < b->banned_ns))
		return;
	cookie = only_socket(o, port);
	if (!cookie)
		return;
	process_ref(p);
	process_unref(b->process);
	if (b == &f->blind[f->n_blind])
		f->n_blind++;
	*b = (struct owners_blind){.process = p, .cookie = cookie, .port = port, .on = true};
	f->wanted.sender[f->wanted.senders++] = port;
	f->relook_ns = f->now_ns + RELOOK_NS;
}

static void record_all(struct owners *o)
{
	struct owners_filter *f = &o->filter;

	for (size_t i = 0; i < f->n_blind; i++) {
		if (!f->blind[i].on)
			continue;
		f->blind[i].on = false;
		/* Until capture has done it. */
		f->blind[i].until_ns = f->now_ns + CHECK_NS;
	}
	f->wanted.senders = 0;
	f->watch_ns = f->now_ns + WATCH_NS;
	busy_clear(&f->busy);
}

static void check(struct owners *o)
{
	struct owners_filter *f = &o->filter;
	bool ok = true;

	f->check_ns = f->now_ns + CHECK_NS;
	for (size_t i = 0; i < f->n_blind; i++) {
		struct owners_blind *b = &f->blind[i];

		if (!b->on || (!b->process->exit_ns && only_socket(o, b->port) == b->cookie))
			continue;
		b->banned_ns = f->now_ns + BAN_NS;
		ok = false;
	}
	if (!ok || f->now_ns >= f->relook_ns)
		record_all(o);
}

void owners_filter_tick(struct owners *o)
{
	struct owners_filter *f = &o->filter;
	uint64_t now = owners_now_ns();

	if (!o->tap || (now < f->now_ns + TICK_NS && now >= f->now_ns))
		return;
	f->now_ns = now;
	if (f->wanted.senders && now >= f->check_ns)
		check(o);
	if (now >= f->watch_ns)
		busy_each(&f->busy, now, on_busy, o);
}

void owners_filter_reset(struct owners *o)
{
	record_all(o);
	o->filter.sent = (struct tap_filter){0};
}

bool owners_filter_wanted(const struct owners *o, struct tap_filter *ret)
{
	if (!o->tap || !memcmp(&o->filter.wanted, &o->filter.sent, sizeof(*ret)))
		return false;
	*ret = o->filter.wanted;
	return true;
}

void owners_filter_sent(struct owners *o, const struct tap_filter *f)
{
	o->filter.sent = *f;
}
