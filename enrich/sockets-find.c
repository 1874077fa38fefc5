/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to the tables of claims on sockets. */
#include <netinet/in.h>
#include <string.h>

#include "enrich/address.h"
#include "enrich/sockets-internal.h"

#define EXIT_CLOSES_NS UINT64_C(1000000000) /* exit told -> last descriptor closed, at most */
/* Two namespaces' claims on one tuple this close together could both be meant. */
#define AMBIGUOUS_NS UINT64_C(60000000000)

/* Whether a claim's namespace may speak for the key's local address. */
static bool in_scope(
	const struct socket_claim *c, const struct socket_key *k, struct socket_scope scope)
{
	if (scope.local)
		return c->netns == scope.netns || (!c->netns && scope.initial);
	if (c->netns && c->netns != scope.netns)
		return !scope.holds || scope.holds(scope.arg, c->netns, k->local_addr) != 0;
	/* A transparent proxy: bound to an address that is not its host's, in so many bytes. */
	return !memcmp(c->key.local_addr, k->local_addr, 16);
}

static bool addr_fits(const struct socket_claim *c, const struct socket_key *k)
{
	return address_is_any(c->key.local_addr) || !memcmp(c->key.local_addr, k->local_addr, 16);
}

/*
 * Better of two claims that both fit; sets @ambiguous when they speak for different namespaces and
 * nothing decides between them.
 */
static const struct socket_claim *newer(
	const struct socket_claim *best, const struct socket_claim *c, bool *ambiguous)
{
	const struct socket_claim *other = c;

	if (!best)
		return c;
	if (c->t_ns > best->t_ns) {
		other = best;
		best = c;
	}
	if (other->netns && best->netns && other->netns != best->netns &&
		best->t_ns - other->seen_ns < AMBIGUOUS_NS)
		*ambiguous = true;
	return best;
}

/* @best, if it is the only one that could be meant. */
static const struct socket_claim *only(
	const struct socket_claim *best, bool ambiguous, struct socket_scope scope)
{
	if (ambiguous && scope.ambiguous)
		*scope.ambiguous = true;
	return ambiguous ? NULL : best;
}

/*
 * The claim of @l cannot be the answer to a question from @from on: a close before that; or it is
 * older than the best one, whose mark is @best (0 = there is none yet), and of no other namespace.
 */
static bool is_past(const struct link *l, uint32_t from, uint32_t best)
{
	uint32_t time = l->mark & LINK_TIME;

	return (l->mark & LINK_CLOSE && time < from) ||
	       (l->mark & best & LINK_PLAIN && time < (best & LINK_TIME));
}

/* Is asked three times a connection: old claims of its tuple cost a cache miss each if read. */
const struct socket_claim *sockets_connection(const struct sockets *s, const struct socket_key *k,
	struct socket_scope scope, uint64_t from_ns, uint64_t t_ns)
{
	const struct table *t = &s->table[CONNECTIONS];
	const struct socket_claim *best = NULL;
	uint32_t hash = sockets_hash_tuple(s, k), from = link_time(t, from_ns), mark = 0;
	bool ambiguous = false;

	for (uint32_t i = t->bucket[hash & (t->buckets - 1)]; i != NONE; i = t->link[i].next) {
		const struct link *l = &t->link[i];
		const struct socket_claim *c = &t->entries[i].claim;

		if (l->hash != hash || is_past(l, from, mark))
			continue;
		if (c->key.proto != k->proto || c->key.local_port != k->local_port ||
			c->key.remote_port != k->remote_port ||
			memcmp(c->key.remote_addr, k->remote_addr, 16) != 0 || c->t_ns > t_ns)
			continue;
		if (c->method == RECORD_METHOD_TAP_CLOSE && c->t_ns < from_ns)
			continue;
		/*
		 * What the sweep found ends with the process that had it: its descriptors are
		 * closed after its exit is told (since Linux 6.16; after its memory is freed).
		 */
		if (c->method == RECORD_METHOD_SEED && t_ns > EXIT_CLOSES_NS &&
			!process_alive_at(c->process, t_ns - EXIT_CLOSES_NS))
			continue;
		if (!addr_fits(c, k) || !in_scope(c, k, scope))
			continue;
		best = newer(best, c, &ambiguous);
		mark = best == c ? l->mark : mark;
	}
	return only(best, ambiguous, scope);
}

const struct socket_claim *sockets_port(const struct sockets *s, const struct socket_key *k,
	struct socket_scope scope, uint64_t t_ns)
{
	const struct table *t = &s->table[PORTS];
	const struct socket_claim *best = NULL;
	uint32_t hash = sockets_hash_port(s, k);
	bool ambiguous = false;

	for_each(e, t, hash)
	{
		const struct socket_claim *c = &e->claim;

		if (c->key.local_port != k->local_port || c->t_ns > t_ns ||
			!process_alive_at(c->process, t_ns) || !addr_fits(c, k) ||
			!in_scope(c, k, scope))
			continue;
		/* Two living processes on one port: a group, or one of them has left it. */
		if (best && best->process != c->process)
			ambiguous = true;
		best = newer(best, c, &ambiguous);
	}
	return only(best, ambiguous, scope);
}

const struct socket_claim *sockets_port_sender(const struct sockets *s, uint16_t port)
{
	const struct socket_key k = {.proto = IPPROTO_UDP, .local_port = port};
	const struct table *t = &s->table[PORTS];
	const struct socket_claim *best = NULL;
	uint32_t hash = sockets_hash_port(s, &k);

	for_each(e, t, hash)
	{
		const struct socket_claim *c = &e->claim;

		if (c->key.local_port != port || c->process->exit_ns)
			continue;
		if (best && best->process != c->process)
			return NULL;
		best = c;
	}
	return best;
}

static bool sent_portless(const struct socket_claim *c, const struct socket_key *k,
	struct socket_scope scope, uint64_t t_ns, uint64_t window_ns)
{
	return c->key.proto == k->proto && is_portless(&c->key) && c->t_ns <= t_ns &&
	       c->seen_ns + window_ns >= t_ns && !memcmp(c->key.remote_addr, k->remote_addr, 16) &&
	       addr_fits(c, k) && in_scope(c, k, scope);
}

const struct socket_claim *sockets_portless(const struct sockets *s, const struct socket_key *k,
	struct socket_scope scope, uint64_t t_ns, uint64_t window_ns, bool *ret_several)
{
	const struct table *t = &s->table[CONNECTIONS];
	const struct socket_claim *best = NULL;
	uint32_t hash = sockets_hash_tuple(s, k);

	*ret_several = false;
	for_each(e, t, hash)
	{
		const struct socket_claim *c = &e->claim;

		if (!sent_portless(c, k, scope, t_ns, window_ns))
			continue;
		*ret_several |= best && best->process != c->process;
		if (!best || c->seen_ns > best->seen_ns)
			best = c;
	}
	return best;
}

/* What was told of packets still to come. */
struct expected {
	uint64_t packets; /* how many */
	uint32_t unsure;  /* of these, how many have come, nobody knows whose */
	struct socket_claim *claim;
	bool several; /* processes */
};

static void expect(struct expected *x, struct socket_claim *c)
{
	x->packets += c->told - c->spent;
	if (c->unsure > x->unsure)
		x->unsure = c->unsure;
	x->several |= x->claim && x->claim->process != c->process;
	x->claim = c;
}

/* A packet that could be of several: once all that were told of have come, none is to come. */
static void come_unsure(const struct expected *x, struct socket_claim *c)
{
	if (x->unsure + 1u < x->packets) {
		c->unsure++;
		return;
	}
	c->spent = c->told;
	c->unsure = 0;
}

const struct socket_claim *sockets_raw(struct sockets *s, const struct socket_key *k,
	struct socket_scope scope, uint64_t t_ns, uint64_t window_ns, bool *ret_several)
{
	const struct table *t = &s->table[CONNECTIONS];
	struct socket_key key[] = {*k, *k};
	struct expected x = {0};

	key[1].proto = IPPROTO_RAW; /* writes the whole IP header */
	for (int pass = 0; pass < 2; pass++) {
		for (int i = 0; i < 2; i++) {
			uint32_t hash = sockets_hash_tuple(s, &key[i]);

			for_each(e, t, hash)
			{
				struct socket_claim *c = &e->claim;

				if (!sent_portless(c, &key[i], scope, t_ns, window_ns) ||
					c->spent == c->told)
					continue;
				if (pass)
					come_unsure(&x, c);
				else
					expect(&x, c);
			}
		}
		if (!x.several)
			break;
	}
	*ret_several = x.several;
	if (x.several || !x.claim)
		return NULL;
	x.claim->spent++;
	return x.claim;
}

/* How well a listener's address fits: 0 not at all, the kernel prefers the highest. */
static int listener_rank(const struct socket_claim *c, const struct socket_key *k)
{
	if (!memcmp(c->key.local_addr, k->local_addr, 16))
		return 3;
	if (!address_is_any(c->key.local_addr))
		return 0;
	if (address_is_v4(k->local_addr) == address_is_v4(c->key.local_addr))
		return 2;
	/* [::] takes IPv4 too unless told not to; never the other way round. */
	return !address_is_v4(c->key.local_addr) && !c->v6only ? 1 : 0;
}

/*
 * Any host's port can be meant by an address that is not ours: a wildcard listener of some
 * container says something about it only if no other has the address.
 */
static bool listener_in_scope(const struct socket_claim *c, const struct socket_key *k,
	struct socket_scope scope, int rank)
{
	if (scope.local)
		return c->netns == scope.netns;
	if (!c->netns || c->netns == scope.netns)
		return false;
	if (rank != 3)
		return c->netns == scope.owner;
	return !scope.holds || scope.holds(scope.arg, c->netns, k->local_addr) != 0;
}

/* By itself, or by an heir: the end of a socket seen in listen(2) would have been told. */
static bool may_listen(const struct socket_claim *c, uint64_t t_ns)
{
	return c->end_ns ? t_ns < c->end_ns : c->number || process_alive_at(c->process, t_ns);
}

const struct socket_claim *sockets_listener(const struct sockets *s, const struct socket_key *k,
	struct socket_scope scope, uint64_t t_ns)
{
	const struct table *t = &s->table[LISTENERS];
	const struct socket_claim *best = NULL;
	uint32_t hash = sockets_hash_port(s, k);
	bool ambiguous = false;
	int best_rank = 0;

	for_each(e, t, hash)
	{
		const struct socket_claim *c = &e->claim;
		int rank = listener_rank(c, k);

		if (c->key.local_port != k->local_port || c->t_ns > t_ns || !rank ||
			rank < best_rank || !may_listen(c, t_ns))
			continue;
		if (!listener_in_scope(c, k, scope, rank))
			continue;
		if (rank > best_rank) {
			best = NULL;
			ambiguous = false;
		}
		if (best && best->process != c->process)
			ambiguous = true;
		best_rank = rank;
		best = newer(best, c, &ambiguous);
	}
	return only(best, ambiguous || (best && !process_alive_at(best->process, t_ns)), scope);
}

struct entry *sockets_find_connecting(const struct sockets *s, uint64_t number, uint64_t t_ns)
{
	uint32_t hash = sockets_hash_number(s, number);

	for_each(e, &s->table[CONNECTING], hash)
	{
		if (e->claim.number == number && e->claim.t_ns <= t_ns)
			return sockets_certain(s, &e->claim) ? e : NULL;
	}
	return NULL;
}

const struct socket_claim *sockets_connecting(const struct sockets *s, uint64_t number,
	const struct socket_key *k, struct socket_scope scope, uint64_t t_ns)
{
	const struct entry *e = sockets_find_connecting(s, number, t_ns);

	return e && same_remote(&e->claim.key, k) && addr_fits(&e->claim, k) &&
			       in_scope(&e->claim, k, scope)
		       ? &e->claim
		       : NULL;
}

const struct socket_claim *sockets_connecting_alone(const struct sockets *s,
	const struct socket_key *k, struct socket_scope scope, uint64_t since_ns, uint64_t t_ns)
{
	const struct table *t = &s->table[CONNECTING];
	const struct socket_claim *latest = NULL;

	for (size_t n = 1; n <= t->size; n++) {
		const struct socket_claim *c = &t->entries[(t->at + t->size - n) % t->size].claim;

		if (!latest && c->t_ns < since_ns)
			return NULL; /* also where nothing was ever put */
		if (!c->process || c->t_ns > t_ns || !same_remote(&c->key, k) || !addr_fits(c, k) ||
			!in_scope(c, k, scope) || !process_alive_at(c->process, t_ns))
			continue;
		if (c->key.local_port == k->local_port && c->t_ns >= since_ns)
			return sockets_certain(s, c) ? c : NULL;
		if (c->key.local_port)
			continue;
		if (latest && latest->process != c->process)
			return NULL;
		latest = latest ? latest : c;
	}
	return latest && sockets_certain(s, latest) ? latest : NULL;
}

bool sockets_connecting_since(const struct sockets *s, const struct socket_key *k,
	struct socket_scope scope, uint64_t since_ns, uint64_t t_ns)
{
	const struct table *t = &s->table[CONNECTING];

	for (size_t n = 1; n <= t->size; n++) {
		const struct socket_claim *c = &t->entries[(t->at + t->size - n) % t->size].claim;

		if (c->t_ns <= since_ns)
			break; /* also where nothing was ever put */
		if (c->process && c->t_ns <= t_ns && same_remote(&c->key, k) && addr_fits(c, k) &&
			in_scope(c, k, scope))
			return true;
	}
	return false;
}
