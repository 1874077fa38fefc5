/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets of the model: what each system call makes the kernel tell, and which packets leave. */
#include "enrich/address.h"
#include "owner-model.h"

/* ---- the world's addresses ---- */

static const char *const outside4[SPACES] = {"127.1.0.1", "10.9.1.2", "10.9.2.2"};
static const char *const outside6[SPACES] = {NULL, "fd09::1:2", "fd09::2:2"};

static uint32_t v4(const uint8_t addr[16])
{
	return (uint32_t)addr[12] << 24 | (uint32_t)addr[13] << 16 | (uint32_t)addr[14] << 8 |
	       addr[15];
}

static struct sock *new_sock(uint8_t proto, unsigned who)
{
	for (unsigned i = 0; i < SOCKS; i++) {
		struct sock *s = &sock[i];
		struct set *set = s->used ? NULL : model_new_set();

		if (!set)
			continue;
		/* A freed socket's address is soon another one's. */
		*s = (struct sock){.used = true,
			.proto = proto,
			.set = set,
			.flow = -1,
			.peer = -1,
			.space = ident[who].space,
			.sk = 0xffff888000000000 + i * 2048};
		model_hold(s, who);
		return s;
	}
	return NULL;
}

static void state(const struct sock *s, unsigned who, bool softirq, int from, int to)
{
	/* In interrupt context anybody at all is current. */
	uint32_t pid = softirq ? ident[model_any_process()].pid : ident[who].pid;
	bool close_event =
		(to == TCP_FIN_WAIT1 || to == TCP_LAST_ACK) && !softirq && s->lport < 32768;
	bool other = to == TCP_LISTEN || (from == TCP_LISTEN && to == TCP_CLOSE) ||
		     (s->v6 && (to == TCP_SYN_SENT || from == TCP_SYN_SENT));
	bool early = to == TCP_SYN_SENT && s->lport >= 32768;

	if (!close_event && !other)
		return;
	pb_state(&w.b, pid, softirq ? SOFTIRQ : 0, s->sk, from, to, s->v6 ? AF_INET6 : AF_INET,
		s->local, early ? 0 : s->lport, s->remote, s->rport, w.t_ns);
	model_put();
}

static void route(const struct sock *s, unsigned who, const uint8_t to[16], uint16_t port)
{
	static const uint8_t any[16];
	const uint8_t *from = s->local;

	if (address_is_v4(to))
		pb_fib(&w.b, ident[who].pid, 0, s->proto,
			address_is_any(from) || !model_rnd(4) ? 0 : v4(from), s->lport, v4(to),
			port, w.t_ns);
	else if (s->proto == IPPROTO_UDP)
		pb_fib6(&w.b, ident[who].pid, 0, s->proto, model_rnd(4) ? from : any, s->lport, to,
			port, w.t_ns);
	else
		return; /* no port yet: the filter drops it */
	model_put();
}

static void queue(struct packet p)
{
	if (n_packets < PACKETS) {
		p.t_ns = w.t_ns;
		packet[n_packets++] = p;
	}
}

static void end_flow(struct sock *s)
{
	if (s->flow >= 0)
		queue((struct packet){.what = END, .flow = s->flow});
	s->flow = -1;
}

/* The last holder closes, or any holder shuts down. */
static void close_tcp(struct sock *s, unsigned who, bool free_it)
{
	struct sock *peer = s->peer >= 0 ? &sock[s->peer] : NULL;

	if (s->listening) {
		if (free_it)
			state(s, who, false, TCP_LISTEN, TCP_CLOSE);
		s->used = !free_it;
		return;
	}
	if (s->connected && peer && model_rnd(5)) {
		/* FIN; the second one ends the connection. */
		state(s, who, false, peer->peer < 0 ? TCP_CLOSE_WAIT : TCP_ESTABLISHED,
			peer->peer < 0 ? TCP_LAST_ACK : TCP_FIN_WAIT1);
		w.t_ns += model_rnd(3000);
		s->peer = -1;
		if (peer->peer < 0)
			end_flow(peer), s->flow = -1;
	} else if (s->connected && peer) {
		/* RST: both are done, and the other one's close is no event. */
		w.t_ns += model_rnd(3000);
		s->peer = -1;
		peer->connected = false;
		peer->peer = -1;
		end_flow(s);
		peer->flow = -1;
	}
	s->connected = false;
	s->used = !free_it;
}

void model_let_go(struct sock *s, unsigned who)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->n_holders; i++)
		if (s->holder[i] != who)
			s->holder[n++] = s->holder[i];
	s->n_holders = n;
	if (n)
		return;
	if (s->proto == IPPROTO_TCP)
		close_tcp(s, who, true);
	s->used = false;
}

static bool tuple_taken(int space, uint8_t proto, const uint8_t local[16], uint16_t lport,
	const uint8_t remote[16], uint16_t rport)
{
	for (unsigned i = 0; i < SOCKS; i++) {
		const struct sock *s = &sock[i];

		if (!s->used || s->proto != proto)
			continue;
		/* The other end has not closed: this one's tuple is still busy. */
		if (s->connected && s->lport == rport && s->rport == lport &&
			!memcmp(s->local, remote, 16) && !memcmp(s->remote, local, 16))
			return true;
		if (s->space != space || s->lport != lport)
			continue;
		if (proto == IPPROTO_UDP || (s->rport == rport && !memcmp(s->remote, remote, 16) &&
						    !memcmp(s->local, local, 16)))
			return true;
	}
	return false;
}

/* How well a listener fits, as the kernel chooses; 0 = not. */
static int fit(const struct sock *s, int space, const uint8_t to[16], uint16_t port)
{
	if (!s->used || s->space != space || s->lport != port)
		return 0;
	if (!memcmp(s->local, to, 16))
		return 3;
	if (!address_is_any(s->local))
		return 0;
	if (!s->v6 == address_is_v4(to))
		return 2;
	return s->v6 ? 1 : 0;
}

static struct sock *find_bound(uint8_t proto, int space, const uint8_t to[16], uint16_t port)
{
	struct sock *best = NULL;
	unsigned same = 0;
	int rank = 0;

	for (unsigned i = 0; i < SOCKS; i++) {
		int r = sock[i].proto == proto && (proto == IPPROTO_UDP || sock[i].listening)
				? fit(&sock[i], space, to, port)
				: 0;

		if (!r || r < rank)
			continue;
		same = r > rank ? 1 : same + 1;
		rank = r;
		if (model_rnd(same) == 0) /* a group: any of them */
			best = &sock[i];
	}
	return best;
}

void model_listen(void)
{
	unsigned who = model_any_process();
	struct sock *s;
	bool v6 = have_v6 && model_rnd(2);
	uint16_t port = (uint16_t)(80 + model_rnd(2));

	/* Mostly one at a time, sometimes a group. */
	for (unsigned i = 0; i < SOCKS; i++)
		if (sock[i].used && sock[i].listening && sock[i].lport == port &&
			sock[i].space == ident[who].space && model_rnd(4))
			return;
	s = new_sock(IPPROTO_TCP, who);
	if (!s)
		return;
	s->listening = true;
	s->v6 = v6;
	s->lport = port;
	if (v6)
		put_addr(s->local, "::");
	else
		put_addr(s->local, model_rnd(3) ? "0.0.0.0" : outside4[s->space]);
	state(s, who, false, TCP_CLOSE, TCP_LISTEN);
}

/* Addresses of a connection from one namespace to another; false = there is no way. */
static bool choose_way(int from, int to, bool v6, uint8_t src[16], uint8_t dst[16])
{
	if (from == to) {
		put_addr(src, v6 ? "::1" : "127.0.0.1");
		memcpy(dst, src, 16);
		return true;
	}
	if (v6 && (!outside6[from] || !outside6[to]))
		return false;
	put_addr(src, v6 ? outside6[from] : outside4[from]);
	put_addr(dst, v6 ? outside6[to] : outside4[to]);
	return true;
}

static bool is_seen(int from, int to)
{
	return from == 0 || to == 0 || from != to;
}

static int new_flow(const struct sock *c, struct set *server, struct set *listener)
{
	for (int i = 0; i < (int)FLOWS; i++) {
		struct flow *f = &flow[i];

		if (f->used)
			continue;
		*f = (struct flow){
			.used = true,
			.proto = c->proto,
			.family = address_is_v4(c->local) ? 4 : 6,
			.port = {c->lport, c->rport},
			.start_ns = w.t_ns,
			.end = {{.exact = c->set}, {.exact = server, .probable = listener}},
		};
		memcpy(f->addr[0], c->local, 16);
		memcpy(f->addr[1], c->remote, 16);
		return i;
	}
	return -1;
}

/* Who listened at a port, whichever socket the kernel chose there. */
static struct set *listeners(int space, const uint8_t to[16], uint16_t port)
{
	struct set *all = model_new_set();

	for (unsigned i = 0; all && i < SOCKS; i++)
		for (unsigned n = 0;
			sock[i].listening && fit(&sock[i], space, to, port) && n < sock[i].set->n;
			n++)
			model_put_in(all, sock[i].set->ident[n]);
	return all;
}

static void establish(struct sock *c, struct sock *listener)
{
	struct sock *s;
	unsigned who = listener->holder[model_rnd(listener->n_holders)];

	s = new_sock(IPPROTO_TCP, who);
	if (!s)
		return;
	s->space = listener->space;
	s->v6 = listener->v6;
	s->lport = c->rport;
	s->rport = c->lport;
	memcpy(s->local, c->remote, 16);
	memcpy(s->remote, c->local, 16);
	s->connected = c->connected = true;
	s->peer = (int)(c - sock);
	c->peer = (int)(s - sock);
	s->flow = c->flow;
	if (c->flow >= 0)
		flow[c->flow].end[1].exact = s->set;
}

void model_connect(void)
{
	unsigned who = model_any_process();
	int from = ident[who].space, to = model_rnd(3) ? from : (int)model_rnd(SPACES);
	bool wide = have_v6 && model_rnd(2), v6 = wide && model_rnd(4);
	struct sock *c, *listener;
	uint8_t src[16], dst[16];
	uint16_t lport =
		model_rnd(4) ? (uint16_t)(40000 + model_rnd(4)) : (uint16_t)(700 + model_rnd(2));
	uint16_t rport = (uint16_t)(80 + model_rnd(2));

	if (!choose_way(from, to, v6, src, dst) ||
		tuple_taken(from, IPPROTO_TCP, src, lport, dst, rport))
		return;
	c = new_sock(IPPROTO_TCP, who);
	if (!c)
		return;
	c->v6 = wide;
	c->lport = lport;
	c->rport = rport;
	memcpy(c->local, src, 16);
	memcpy(c->remote, dst, 16);
	state(c, who, false, TCP_CLOSE, TCP_SYN_SENT);
	w.t_ns += model_rnd(2000);
	if (!model_rnd(20)) {
		/* No route after all: no packet. */
		state(c, who, false, TCP_SYN_SENT, TCP_CLOSE);
		model_let_go(c, who);
		return;
	}
	route(c, who, dst, rport);
	w.t_ns += model_rnd(2000) + (model_rnd(50) ? 0 : model_rnd(100) * WORLD_MS);
	listener = find_bound(IPPROTO_TCP, to, dst, rport);
	if (is_seen(from, to))
		c->flow = new_flow(c, NULL, listeners(to, dst, rport));
	if (c->flow >= 0)
		queue((struct packet){.what = START, .flow = c->flow});
	w.t_ns += model_rnd(3000);
	if (listener)
		establish(c, listener);
	/* The answer may come while nobody in particular runs. */
	state(c, who, model_rnd(2), TCP_SYN_SENT, c->connected ? TCP_ESTABLISHED : TCP_CLOSE);
	if (!c->connected)
		end_flow(c);
}

static void datagram(struct sock *s, unsigned who, const uint8_t to[16], uint16_t port, int space)
{
	struct packet p = {.what = DATAGRAM, .family = address_is_v4(to) ? 4 : 6};
	struct sock *r;

	if (!s->connected)
		route(s, who, to, port);
	w.t_ns += model_rnd(2000);
	r = find_bound(IPPROTO_UDP, space, to, port);
	if (r && r->connected && (r->rport != s->lport || memcmp(r->remote, s->local, 16) != 0))
		r = NULL;
	if (!is_seen(s->space, space))
		return;
	memcpy(p.addr[0], s->local, 16);
	memcpy(p.addr[1], to, 16);
	p.port[0] = s->lport;
	p.port[1] = port;
	p.set[0] = s->set;
	p.set[1] = r ? r->set : NULL;
	queue(p);
}

/* A client, connected or not, or a server that waits at its port. */
void model_udp(void)
{
	unsigned who = model_any_process();
	int from = ident[who].space, to = model_rnd(3) ? from : (int)model_rnd(SPACES);
	bool v6 = have_v6 && model_rnd(2), server = !model_rnd(3);
	uint8_t src[16], dst[16];
	struct sock *s;
	uint16_t lport = server ? (uint16_t)(53 + model_rnd(2)) : (uint16_t)(40000 + model_rnd(4));

	if (!choose_way(from, to, v6, src, dst) ||
		tuple_taken(from, IPPROTO_UDP, src, lport, dst, 0))
		return;
	s = new_sock(IPPROTO_UDP, who);
	if (!s)
		return;
	s->v6 = v6;
	s->lport = lport;
	if (server) {
		/* Answers from the address it was asked at; bound to one, to keep the model small.
		 */
		memcpy(s->local, model_rnd(2) ? src : dst, 16);
		if (from != to)
			memcpy(s->local, src, 16);
		return;
	}
	memcpy(s->local, src, 16);
	memcpy(s->remote, dst, 16);
	s->rport = (uint16_t)(53 + model_rnd(2));
	s->connected = model_rnd(2);
	if (s->connected)
		route(s, who, dst, s->rport);
	w.t_ns += model_rnd(2000);
	datagram(s, who, s->remote, s->rport, to);
}

static int space_of(const struct sock *s, const uint8_t addr[16])
{
	uint8_t a[16];

	for (int i = 0; i < (int)SPACES; i++) {
		put_addr(a, outside4[i]);
		if (!memcmp(a, addr, 16))
			return i;
		if (outside6[i]) {
			put_addr(a, outside6[i]);
			if (!memcmp(a, addr, 16))
				return i;
		}
	}
	return s->space;
}

/* Any holder of any socket does something with it. */
void model_something(void)
{
	struct sock *s = &sock[model_rnd(SOCKS)];
	unsigned who;

	if (!s->used)
		return;
	who = s->holder[model_rnd(s->n_holders)];
	if (s->proto == IPPROTO_UDP && model_rnd(3)) {
		uint16_t port = s->rport;
		uint8_t to[16];

		if (!port) { /* a server answers somebody at random */
			port = (uint16_t)(40000 + model_rnd(4));
			memcpy(to, s->local, 16);
		} else {
			memcpy(to, s->remote, 16);
		}
		datagram(s, who, to, port, space_of(s, to));
	} else if (model_rnd(2)) {
		model_let_go(s, who);
	} else if (s->proto == IPPROTO_TCP && s->connected && !model_rnd(3)) {
		close_tcp(s, who, false); /* shutdown(2) */
	} else {
		who = model_any_process();
		if (ident[who].space == s->space)
			model_hold(s, who); /* SCM_RIGHTS */
	}
}
