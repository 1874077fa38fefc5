/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of claims on sockets: bounded queues with a hash over each. */
#include "enrich/sockets.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_CLOSES_NS UINT64_C(1000000000) /* exit told -> last descriptor closed, at most */
#define NONE           UINT32_MAX
/* Two namespaces' claims on one tuple this close together could both be meant. */
#define AMBIGUOUS_NS UINT64_C(60000000000)
/* A claim told again in the older part of the queue moves to its young end. */
#define REFRESH_SHARE 2
/* Claims of one hash, of which the oldest goes: whoever connects from one port again and again, or
 * from many addresses, would otherwise make a chain as long as the table. */
#define CONNECTIONS_ALIKE 64
#define PORTS_ALIKE       256

struct entry {
	struct socket_claim claim;
	uint32_t hash;
	uint32_t next; /* in the bucket; younger entries first */
};

/* A ring of entries in order of arrival, and chains over them. */
struct table {
	size_t max;
	size_t buckets; /* a power of two */
	size_t at;      /* where the next entry goes: the oldest */
	size_t alike;   /* entries of one hash at most, 0 = as many as there is room for */
	bool forgot;    /* an entry went before its turn */
	uint64_t evicted;
	struct entry *entries;
	uint32_t *bucket;
};

enum { CONNECTIONS, PORTS, LISTENERS, CONNECTING, INODES, TABLES };

struct sockets {
	uint64_t seed[2];
	uint64_t takeovers;
	struct table table[TABLES];
};

bool sockets_addr_v4(const uint8_t addr[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return !memcmp(addr, mapped, sizeof(mapped));
}

bool sockets_addr_any(const uint8_t addr[16])
{
	static const uint8_t zero[16];

	return !memcmp(addr, zero, 16) || (sockets_addr_v4(addr) && !memcmp(addr + 12, zero, 4));
}

/* ---- one table ---- */

static int table_init(struct table *t, size_t max)
{
	if (!max || max >= NONE)
		return -EINVAL;
	t->max = max;
	for (t->buckets = 16; t->buckets < max; t->buckets *= 2)
		;
	t->entries = calloc(max, sizeof(*t->entries));
	t->bucket = malloc(t->buckets * sizeof(*t->bucket));
	if (!t->entries || !t->bucket)
		return -ENOMEM;
	memset(t->bucket, 0xff, t->buckets * sizeof(*t->bucket));
	return 0;
}

static void unlink_entry(struct table *t, struct entry *e)
{
	uint32_t i = (uint32_t)(e - t->entries);
	uint32_t *at = &t->bucket[e->hash & (t->buckets - 1)];

	while (*at != i)
		at = &t->entries[*at].next;
	*at = e->next;
	process_unref(e->claim.process);
	e->claim.process = NULL;
}

static void table_deinit(struct table *t)
{
	for (size_t i = 0; t->entries && i < t->max; i++)
		process_unref(t->entries[i].claim.process);
	free(t->entries);
	free(t->bucket);
}

static struct entry *first(const struct table *t, uint32_t hash)
{
	uint32_t i = t->bucket[hash & (t->buckets - 1)];

	return i == NONE ? NULL : &t->entries[i];
}

static struct entry *following(const struct table *t, const struct entry *e)
{
	return e->next == NONE ? NULL : &t->entries[e->next];
}

#define for_each(e, t, h)                                                                          \
	for (struct entry * (e) = first(t, h); (e); (e) = following(t, e))                         \
		if ((e)->hash == (h))

/* Leaves the youngest of those with @hash. */
static void shorten(struct table *t, uint32_t hash)
{
	size_t n = 0;

	for_each(e, t, hash)
	{
		if (++n <= t->alike)
			continue;
		unlink_entry(t, e);
		t->forgot = true;
		return;
	}
}

static struct entry *table_add(struct table *t, uint32_t hash, const struct socket_claim *c)
{
	struct entry *e = &t->entries[t->at];
	uint32_t *bucket;

	process_ref(c->process);
	if (e->claim.process) {
		if (!e->claim.process->exit_ns)
			t->evicted++;
		unlink_entry(t, e);
	}
	bucket = &t->bucket[hash & (t->buckets - 1)];
	*e = (struct entry){.claim = *c, .hash = hash, .next = *bucket};
	e->claim.seen_ns = c->t_ns;
	*bucket = (uint32_t)t->at;
	t->at = (t->at + 1) % t->max;
	if (t->alike)
		shorten(t, hash);
	return e;
}

/* ---- hashing: peers choose ports and addresses, so the seed is secret ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 32;
}

static uint32_t fold(const struct sockets *s, uint64_t h)
{
	return (uint32_t)(mix(h, s->seed[1]) >> 16);
}

/* The local address is left out: an unbound sender's is not known when it claims. */
static uint32_t hash_tuple(const struct sockets *s, const struct socket_key *k)
{
	uint64_t half[2];

	memcpy(half, k->remote_addr, sizeof(half));
	return fold(s,
		mix(mix(mix(s->seed[0], half[0]), half[1]),
			(uint64_t)k->proto << 32 | (uint64_t)k->local_port << 16 | k->remote_port));
}

static uint32_t hash_port(const struct sockets *s, const struct socket_key *k)
{
	return fold(s, mix(s->seed[0], (uint64_t)k->proto << 32 | k->local_port));
}

static uint32_t hash_number(const struct sockets *s, uint64_t number)
{
	return fold(s, mix(s->seed[0], number));
}

/* ---- life ---- */

int sockets_new(const struct sockets_limits *l, const uint64_t seed[2], struct sockets **ret)
{
	const size_t max[TABLES] = {[CONNECTIONS] = l->connections,
		[PORTS] = l->ports,
		[LISTENERS] = l->listeners,
		[CONNECTING] = l->connecting,
		[INODES] = l->inodes};
	struct sockets *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	memcpy(s->seed, seed, sizeof(s->seed));
	for (int i = 0; i < TABLES; i++) {
		int e = table_init(&s->table[i], max[i]);

		if (e) {
			sockets_free(s);
			return e;
		}
	}
	s->table[CONNECTIONS].alike = CONNECTIONS_ALIKE;
	s->table[PORTS].alike = PORTS_ALIKE;
	*ret = s;
	return 0;
}

void sockets_free(struct sockets *s)
{
	if (!s)
		return;
	for (int i = 0; i < TABLES; i++)
		table_deinit(&s->table[i]);
	free(s);
}

uint64_t sockets_evicted(const struct sockets *s)
{
	uint64_t n = 0;

	for (int i = 0; i < TABLES; i++)
		n += s->table[i].evicted;
	return n;
}

uint64_t sockets_takeovers(const struct sockets *s)
{
	return s->takeovers;
}

/* ---- telling ---- */

/* Told again: a sender's every datagram. True = @e stays; false = it is old enough to move up. */
static bool refresh(struct table *t, struct entry *e, const struct socket_claim *c)
{
	size_t i = (size_t)(e - t->entries);
	size_t age = (t->at + t->max - i) % t->max;

	e->claim.seen_ns = c->t_ns;
	if (c->cgroup_id)
		e->claim.cgroup_id = c->cgroup_id;
	return age && age <= t->max / REFRESH_SHARE;
}

static bool same_source(const struct entry *e, const struct socket_claim *c)
{
	return e->claim.process == c->process && e->claim.netns == c->netns &&
	       e->claim.method == c->method;
}

static bool is_portless(const struct socket_key *k)
{
	return !k->local_port && !k->remote_port;
}

void sockets_add_connection(struct sockets *s, const struct socket_claim *c)
{
	struct table *t = &s->table[CONNECTIONS];
	uint32_t hash = hash_tuple(s, &c->key);
	/* Once the queue has come around, who had a tuple before may be forgotten. */
	bool passed = t->entries[t->at].claim.process || t->forgot;

	for_each(e, t, hash)
	{
		if (memcmp(&e->claim.key, &c->key, sizeof(c->key)) != 0)
			continue;
		/* The latest word on this key is the only one that may be repeated. A close is an
		 * event of its own each time. */
		if (c->method != RECORD_METHOD_TAP_CLOSE && same_source(e, c) && refresh(t, e, c))
			return;
		/* Without ports many may send to one place, none of them instead of another. */
		if (is_portless(&c->key))
			continue;
		passed = e->claim.process != c->process;
		break;
	}
	s->takeovers += passed && c->key.proto == IPPROTO_UDP;
	table_add(t, hash, c);
}

void sockets_add_port(struct sockets *s, const struct socket_claim *c)
{
	struct table *t = &s->table[PORTS];
	uint32_t hash = hash_port(s, &c->key);

	for_each(e, t, hash)
	{
		if (e->claim.key.local_port == c->key.local_port && same_source(e, c) &&
			!memcmp(e->claim.key.local_addr, c->key.local_addr, 16) && refresh(t, e, c))
			return;
	}
	table_add(t, hash, c);
}

void sockets_add_listener(struct sockets *s, const struct socket_claim *c)
{
	struct table *t = &s->table[LISTENERS];
	uint32_t hash = hash_port(s, &c->key);

	for_each(e, t, hash)
	{
		if (e->claim.key.local_port == c->key.local_port && same_source(e, c) &&
			!memcmp(e->claim.key.local_addr, c->key.local_addr, 16) &&
			refresh(t, e, c)) {
			e->claim.number = c->number;
			return;
		}
	}
	table_add(t, hash, c);
}

void sockets_remove_listener(struct sockets *s, uint64_t number)
{
	struct table *t = &s->table[LISTENERS];

	/* Listeners come and go rarely, and few of them are there. */
	for (size_t i = 0; number && i < t->max; i++) {
		struct entry *e = &t->entries[i];

		if (e->claim.process && e->claim.number == number)
			unlink_entry(t, e);
	}
}

void sockets_add_connecting(struct sockets *s, const struct socket_claim *c)
{
	table_add(&s->table[CONNECTING], hash_number(s, c->number), c);
}

/* Cookies are never given twice; inode numbers are. */
static bool other_socket(const struct socket_claim *c, uint64_t cookie)
{
	return c->cookie && cookie && c->cookie != cookie;
}

void sockets_add_inode(struct sockets *s, const struct socket_claim *c)
{
	struct table *t = &s->table[INODES];
	uint32_t hash = hash_number(s, c->number);

	for_each(e, t, hash)
	{
		if (e->claim.number != c->number)
			continue;
		if (other_socket(&e->claim, c->cookie)) {
			unlink_entry(t, e);
			break;
		}
		if (!e->claim.cookie)
			e->claim.cookie = c->cookie;
		if (e->claim.process == c->process) {
			e->claim.fd = c->fd;
			return;
		}
		if (process_alive_at(e->claim.process, c->t_ns)) {
			e->claim.shared = true;
			return;
		}
		unlink_entry(t, e);
		break;
	}
	table_add(t, hash, c);
}

void sockets_remove_inode(struct sockets *s, uint64_t inode)
{
	struct table *t = &s->table[INODES];
	uint32_t hash = hash_number(s, inode);

	for_each(e, t, hash)
	{
		if (e->claim.number == inode) {
			unlink_entry(t, e);
			return;
		}
	}
}

/* ---- asking ---- */

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
	return sockets_addr_any(c->key.local_addr) || !memcmp(c->key.local_addr, k->local_addr, 16);
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

const struct socket_claim *sockets_connection(const struct sockets *s, const struct socket_key *k,
	struct socket_scope scope, uint64_t from_ns, uint64_t t_ns)
{
	const struct table *t = &s->table[CONNECTIONS];
	const struct socket_claim *best = NULL;
	uint32_t hash = hash_tuple(s, k);
	bool ambiguous = false;

	for_each(e, t, hash)
	{
		const struct socket_claim *c = &e->claim;

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
		if (addr_fits(c, k) && in_scope(c, k, scope))
			best = newer(best, c, &ambiguous);
	}
	return only(best, ambiguous, scope);
}

const struct socket_claim *sockets_port(const struct sockets *s, const struct socket_key *k,
	struct socket_scope scope, uint64_t t_ns)
{
	const struct table *t = &s->table[PORTS];
	const struct socket_claim *best = NULL;
	uint32_t hash = hash_port(s, k);
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
	uint32_t hash = hash_port(s, &k);

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

const struct socket_claim *sockets_portless(const struct sockets *s, const struct socket_key *k,
	struct socket_scope scope, uint64_t t_ns, uint64_t window_ns, bool *ret_several)
{
	const struct table *t = &s->table[CONNECTIONS];
	const struct socket_claim *best = NULL;
	uint32_t hash = hash_tuple(s, k);

	*ret_several = false;
	for_each(e, t, hash)
	{
		const struct socket_claim *c = &e->claim;

		if (c->key.proto != k->proto || !is_portless(&c->key) || c->t_ns > t_ns ||
			c->seen_ns + window_ns < t_ns ||
			memcmp(c->key.remote_addr, k->remote_addr, 16) != 0 || !addr_fits(c, k) ||
			!in_scope(c, k, scope))
			continue;
		*ret_several |= best && best->process != c->process;
		if (!best || c->seen_ns > best->seen_ns)
			best = c;
	}
	return best;
}

/* How well a listener's address fits: 0 not at all, the kernel prefers the highest. */
static int listener_rank(const struct socket_claim *c, const struct socket_key *k)
{
	static const uint8_t zero[16];

	if (!memcmp(c->key.local_addr, k->local_addr, 16))
		return 3;
	if (!sockets_addr_any(c->key.local_addr))
		return 0;
	if (sockets_addr_v4(k->local_addr) == sockets_addr_v4(c->key.local_addr))
		return 2;
	/* [::] takes IPv4 too unless told not to; never the other way round. */
	return !memcmp(c->key.local_addr, zero, 16) && !c->v6only ? 1 : 0;
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

const struct socket_claim *sockets_listener(const struct sockets *s, const struct socket_key *k,
	struct socket_scope scope, uint64_t t_ns)
{
	const struct table *t = &s->table[LISTENERS];
	const struct socket_claim *best = NULL;
	uint32_t hash = hash_port(s, k);
	bool ambiguous = false;
	int best_rank = 0;

	for_each(e, t, hash)
	{
		const struct socket_claim *c = &e->claim;
		int rank = listener_rank(c, k);

		if (c->key.local_port != k->local_port || c->t_ns > t_ns || !rank ||
			rank < best_rank || !process_alive_at(c->process, t_ns))
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
	return only(best, ambiguous, scope);
}

const struct socket_claim *sockets_inode(const struct sockets *s, uint64_t inode, uint64_t cookie)
{
	uint32_t hash = hash_number(s, inode);

	for_each(e, &s->table[INODES], hash)
	{
		if (e->claim.number == inode && !other_socket(&e->claim, cookie))
			return &e->claim;
	}
	return NULL;
}

static struct entry *find_connecting(const struct sockets *s, uint64_t number, uint64_t t_ns)
{
	uint32_t hash = hash_number(s, number);

	for_each(e, &s->table[CONNECTING],
		hash) if (e->claim.number == number && e->claim.t_ns <= t_ns) return e;
	return NULL;
}

const struct socket_claim *sockets_connecting(
	const struct sockets *s, uint64_t number, uint64_t t_ns)
{
	const struct entry *e = find_connecting(s, number, t_ns);

	return e ? &e->claim : NULL;
}

static bool same_remote(const struct socket_key *a, const struct socket_key *b)
{
	return a->proto == b->proto && a->remote_port == b->remote_port &&
	       !memcmp(a->remote_addr, b->remote_addr, 16);
}

bool sockets_connected(
	struct sockets *s, uint64_t number, const struct socket_key *k, uint64_t t_ns)
{
	struct entry *e = find_connecting(s, number, t_ns);
	struct socket_claim c;

	if (!e || !same_remote(&e->claim.key, k))
		return false;
	c = e->claim;
	c.key = *k;
	sockets_add_connection(s, &c);
	unlink_entry(&s->table[CONNECTING], e);
	return true;
}

bool sockets_connecting_since(const struct sockets *s, const struct socket_key *k,
	struct socket_scope scope, uint64_t since_ns, uint64_t t_ns)
{
	const struct table *t = &s->table[CONNECTING];

	for (size_t n = 1; n <= t->max; n++) {
		const struct socket_claim *c = &t->entries[(t->at + t->max - n) % t->max].claim;

		if (c->t_ns <= since_ns)
			break; /* also where nothing was ever put */
		if (c->process && c->t_ns <= t_ns && same_remote(&c->key, k) && addr_fits(c, k) &&
			in_scope(c, k, scope))
			return true;
	}
	return false;
}

const struct socket_claim *sockets_connecting_to(const struct sockets *s,
	const struct socket_key *k, struct socket_scope scope, uint64_t t_ns, uint64_t window_ns)
{
	const struct table *t = &s->table[CONNECTING];
	const struct socket_claim *found = NULL;

	for (size_t n = 1; n <= t->max; n++) {
		const struct socket_claim *c = &t->entries[(t->at + t->max - n) % t->max].claim;

		if (c->t_ns + window_ns < t_ns)
			break; /* also where nothing was ever put */
		if (!c->process || c->t_ns > t_ns || !same_remote(&c->key, k) || !addr_fits(c, k) ||
			!in_scope(c, k, scope))
			continue;
		if (found)
			return NULL;
		found = c;
	}
	return found;
}
