/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the marks in the chains leave unread never changes an answer: two tables are told the same,
 * one of them without marks, and asked the same, about few tuples with much history.
 */
#include <netinet/in.h>

#include "enrich/sockets-internal.h"
#include "tap.h"

#define ROUNDS    40
#define STEPS     2000
#define PROCESSES 12u
#define SPACES    4u

static uint64_t random_state = 1;

static uint32_t rnd(uint32_t below)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(random_state >> 33) % below;
}

static struct sockets *open_tables(void)
{
	static const uint64_t seed[2] = {3, 4};
	const struct sockets_limits l = {
		.connections = 96, .ports = 8, .listeners = 8, .connecting = 8};
	struct sockets *s;

	if (sockets_new(&l, seed, &s))
		tap_bail("no memory");
	return s;
}

static struct socket_key random_key(void)
{
	struct socket_key k = {.proto = rnd(4) ? IPPROTO_TCP : IPPROTO_UDP,
		.local_port = (uint16_t)rnd(2),
		.remote_port = (uint16_t)rnd(2),
		.remote_addr = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1}};

	if (rnd(3))
		k.local_addr[10] = k.local_addr[11] = 0xff;
	if (rnd(3))
		k.local_addr[12] = (uint8_t)rnd(3);
	return k;
}

static int holds(const void *arg, uint64_t netns, const uint8_t addr[16])
{
	(void)arg;
	return (int)((netns + addr[12]) % 3) - 1;
}

/* Times gather at few places, among them both ends of what a mark can tell apart; some of the
 * first claims are younger than all others. */
static uint64_t random_time(uint64_t base)
{
	switch (rnd(5)) {
	case 0:
		return base + rnd(1000);
	case 1:
		return base + ((uint64_t)rnd(8) << 25) + rnd(3) - 1;
	case 2:
		return base + (uint64_t)rnd(100) * 1000000000;
	case 3:
		return base + ((uint64_t)(LINK_TIME - 1 + rnd(2)) << 25) + rnd(1 << 26);
	default:
		return base + rnd(1000000000);
	}
}

static struct socket_claim random_claim(struct process *const p[], uint64_t base)
{
	static const enum record_method method[] = {RECORD_METHOD_TAP_CLOSE,
		RECORD_METHOD_TAP_CLOSE, RECORD_METHOD_TAP_CONNECT, RECORD_METHOD_TAP_SEND,
		RECORD_METHOD_SEED};

	return (struct socket_claim){.key = random_key(),
		.method = method[rnd(5)],
		.t_ns = random_time(base),
		.netns = rnd(2) ? 7 : rnd(SPACES),
		.process = p[rnd(PROCESSES)]};
}

/* As sockets.c would leave them, had it nothing to say. */
static void wipe_marks(struct sockets *s)
{
	struct table *t = &s->table[CONNECTIONS];

	for (size_t i = 0; i < t->max; i++)
		t->link[i].mark = 0;
}

static bool same(const struct socket_claim *a, const struct socket_claim *b)
{
	return !a || !b ? a == b
			: a->process == b->process && a->t_ns == b->t_ns && a->netns == b->netns &&
				  a->method == b->method && a->seen_ns == b->seen_ns &&
				  !memcmp(&a->key, &b->key, sizeof(a->key));
}

struct tally {
	unsigned asked, found, ambiguous, wrong, marked;
};

static void ask(
	const struct sockets *marked, const struct sockets *plain, uint64_t base, struct tally *n)
{
	bool several[2] = {false, false};
	struct socket_scope scope = {.netns = rnd(2) ? 7 : rnd(SPACES),
		.initial = rnd(2),
		.local = rnd(2),
		.holds = rnd(2) ? holds : NULL,
		.ambiguous = &several[0]};
	struct socket_key k = random_key();
	uint64_t from = random_time(base), to = rnd(8) ? from + rnd(1000000) : random_time(base);
	const struct socket_claim *a, *b;

	a = sockets_connection(marked, &k, scope, from, to);
	scope.ambiguous = &several[1];
	b = sockets_connection(plain, &k, scope, from, to);
	n->asked++;
	n->found += a != NULL;
	n->ambiguous += several[0];
	n->wrong += !same(a, b) || several[0] != several[1];
}

static void run(uint64_t base, struct tally *n)
{
	struct sockets *marked = open_tables(), *plain = open_tables();
	struct process_cache *cache;
	struct process *p[PROCESSES];

	if (process_cache_new(100, &cache))
		tap_bail("no memory");
	for (unsigned i = 0; i < PROCESSES; i++) {
		p[i] = process_cache_get(cache, 100 + i, 1);
		if (!rnd(3))
			process_cache_exit(cache, 100 + i, random_time(base));
	}
	for (unsigned i = 0; i < STEPS; i++) {
		struct socket_claim c = random_claim(p, base);

		sockets_add_connection(marked, &c);
		sockets_add_connection(plain, &c);
		wipe_marks(plain);
		for (unsigned j = 0; j < 4; j++)
			ask(marked, plain, base, n);
		n->wrong += sockets_takeovers(marked) != sockets_takeovers(plain);
	}
	for (size_t i = 0; i < marked->table[CONNECTIONS].max; i++)
		n->marked += marked->table[CONNECTIONS].link[i].mark != 0;
	sockets_free(marked);
	sockets_free(plain);
	process_cache_free(cache);
}

int main(void)
{
	struct tally n = {0};

	for (unsigned i = 0; i < ROUNDS; i++)
		run((uint64_t)i << 40, &n);
	tap_is_int(n.wrong, 0, "with and without marks the same answer, %u times", n.asked);
	tap_ok(n.found > n.asked / 10, "among them %u claims", n.found);
	tap_ok(n.ambiguous > n.asked / 100, "and %u that nothing decides between", n.ambiguous);
	tap_ok(n.marked > ROUNDS, "%u had marks", n.marked);
	return tap_done();
}
