/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of claims on sockets: what is told. */
#include "enrich/sockets.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "enrich/address.h"
#include "enrich/sockets-internal.h"

/* A claim told again in the older part of the queue moves to its young end. */
#define REFRESH_SHARE 2
/* Claims of one hash, of which the oldest goes: whoever connects from one port again and again, or
 * from many addresses, would otherwise make a chain as long as the table. */
#define CONNECTIONS_ALIKE 64
#define PORTS_ALIKE       256
#define KEPT_IN_A_ROW     64 /* claims of the start that are stepped over before one goes */
/*
 * How long a claim stays at least, while there is room: a packet is looked up a batch after its
 * claim, a close that was told of late, or for a program that stood still, some batches after it.
 */
#define STAYS_NS      UINT64_C(2000000000)
#define GROWS_BY(max) (((max) + 15) / 16)
#define SOON          8 /* how many claims ahead their places are looked at */

/* ---- one table ---- */

static int table_init(struct table *t, size_t max)
{
	if (!max || max >= NONE)
		return -EINVAL;
	t->max = max;
	t->size = max;
	for (t->buckets = 16; t->buckets < 2 * max; t->buckets *= 2)
		;
	/* calloc() takes blocks of this size as untouched zero pages; aligned ones it cannot. */
	t->memory = calloc(max + 1, sizeof(*t->entries));
	t->link = calloc(max, sizeof(*t->link));
	t->bucket = malloc(t->buckets * sizeof(*t->bucket));
	if (!t->memory || !t->link || !t->bucket)
		return -ENOMEM;
	t->entries = (struct entry *)((uint8_t *)t->memory +
				      -(uintptr_t)t->memory % _Alignof(struct entry));
	memset(t->bucket, 0xff, t->buckets * sizeof(*t->bucket));
	return 0;
}

static void unlink_entry(struct table *t, struct entry *e)
{
	const struct link *l = &t->link[e - t->entries];

	if (l->prev == NONE)
		t->bucket[l->hash & (t->buckets - 1)] = l->next;
	else
		t->link[l->prev].next = l->next;
	if (l->next != NONE)
		t->link[l->next].prev = l->prev;
	process_unref(e->claim.process);
	e->claim.process = NULL;
}

static void table_deinit(struct table *t)
{
	for (size_t i = 0; t->entries && i < t->size; i++)
		process_unref(t->entries[i].claim.process);
	free(t->memory);
	free(t->link);
	free(t->bucket);
}

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

/* Claims of TCP are told again if their tuple is used again; others may have to last. */
static bool may_be_given_back(const struct socket_claim *c)
{
	return c->key.proto == IPPROTO_TCP && c->method != RECORD_METHOD_SEED;
}

static void give_back(struct table *t, struct entry *e)
{
	unlink_entry(t, e);
	if (t->n_given < GIVEN_BACK_MAX)
		t->given[t->n_given++] = (uint32_t)(e - t->entries);
}

/* A place that was given back last of all and is empty still, or NULL. */
static struct entry *take_given(struct table *t)
{
	while (t->n_given) {
		struct entry *e = &t->entries[t->given[--t->n_given]];

		if (!e->claim.process)
			return e;
	}
	return NULL;
}

/*
 * What the sweep at the start found is told once and never again: it stays while its process
 * lives, unless there is nothing else to give up. What has a place that was given back is younger
 * than its neighbours: the ring may come to it at once.
 */
static bool is_kept(const struct socket_claim *c, uint64_t now_ns)
{
	if (!c->process)
		return false;
	if (c->given)
		return c->seen_ns + STAYS_NS > now_ns;
	return c->method == RECORD_METHOD_SEED && !c->end_ns && !c->process->exit_ns;
}

/*
 * Whoever makes room next has not been looked at for a whole round: he, and where he is linked in,
 * come into the cache while other things are done.
 */
static void foresee(const struct table *t)
{
	size_t next = t->at + SOON < t->size ? t->at + SOON : 0;
	const struct link *l = &t->link[next];

	__builtin_prefetch(&t->entries[next], 1);
	__builtin_prefetch((uint8_t *)&t->entries[next] + 64, 1);
	if (!t->entries[t->at].claim.process)
		return; /* nobody: the first round */
	if (l->prev == NONE)
		__builtin_prefetch(&t->bucket[l->hash & (t->buckets - 1)], 1);
	else
		__builtin_prefetch(&t->link[l->prev], 1);
}

static uint32_t mark_of(struct table *t, const struct socket_claim *c)
{
	uint32_t mark;

	if (!t->home)
		t->home = c->netns;
	if (!t->since_ns)
		t->since_ns = c->t_ns;
	mark = link_time(t, c->t_ns);
	if (c->method == RECORD_METHOD_TAP_CLOSE)
		mark |= LINK_CLOSE;
	if (!c->netns || c->netns == t->home)
		mark |= LINK_PLAIN;
	return mark;
}

/*
 * The place behind @t->at for @c. At the end of the part in use: the first one, or, if whoever has
 * that came a moment ago, or a sweep goes on, a place of more of the table.
 */
static void advance(struct table *t, const struct socket_claim *c)
{
	bool seeds = c->method == RECORD_METHOD_SEED;

	if (!t->round_ns && !seeds)
		t->round_ns = c->t_ns;
	if (++t->at < t->size)
		return;
	if (t->size < t->max && (seeds || c->t_ns < t->round_ns + STAYS_NS)) {
		t->size += GROWS_BY(t->max);
		t->size = t->size < t->max ? t->size : t->max;
		return;
	}
	t->at = 0;
	t->round_ns = c->t_ns;
	t->forgot = true;
}

/* The place of the oldest that is not kept. */
static struct entry *take_next(struct table *t, const struct socket_claim *c)
{
	struct entry *e;

	for (unsigned n = 0; n < KEPT_IN_A_ROW && is_kept(&t->entries[t->at].claim, c->t_ns); n++)
		advance(t, c);
	e = &t->entries[t->at];
	if (e->claim.process) {
		if (!e->claim.process->exit_ns && !e->claim.end_ns)
			t->evicted++;
		unlink_entry(t, e);
	}
	advance(t, c);
	foresee(t);
	return e;
}

static struct entry *table_add(struct table *t, uint32_t hash, const struct socket_claim *c)
{
	struct entry *given = may_be_given_back(c) ? take_given(t) : NULL, *e;
	uint32_t *bucket = &t->bucket[hash & (t->buckets - 1)], i;

	process_ref(c->process);
	e = given ? given : take_next(t, c);
	i = (uint32_t)(e - t->entries);
	e->claim = *c;
	t->link[i] =
		(struct link){.hash = hash, .next = *bucket, .prev = NONE, .mark = mark_of(t, c)};
	if (*bucket != NONE)
		t->link[*bucket].prev = i;
	e->claim.seen_ns = c->t_ns;
	e->claim.losses = t->losses;
	e->claim.told = 1;
	e->claim.spent = e->claim.unsure = 0;
	e->claim.given = given != NULL;
	*bucket = i;
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
uint32_t sockets_hash_tuple(const struct sockets *s, const struct socket_key *k)
{
	uint64_t half[2];

	memcpy(half, k->remote_addr, sizeof(half));
	return fold(s,
		mix(mix(mix(s->seed[0], half[0]), half[1]),
			(uint64_t)k->proto << 32 | (uint64_t)k->local_port << 16 | k->remote_port));
}

uint32_t sockets_hash_port(const struct sockets *s, const struct socket_key *k)
{
	return fold(s, mix(s->seed[0], (uint64_t)k->proto << 32 | k->local_port));
}

uint32_t sockets_hash_number(const struct sockets *s, uint64_t number)
{
	return fold(s, mix(s->seed[0], number));
}

void sockets_foresee(const struct sockets *s, const struct socket_key *k)
{
	const struct table *t = &s->table[CONNECTIONS];

	__builtin_prefetch(&t->bucket[sockets_hash_tuple(s, k) & (t->buckets - 1)]);
}

void sockets_foresee_next(const struct sockets *s, const struct socket_key *k, bool repeats)
{
	const struct table *t = &s->table[CONNECTIONS];
	uint32_t i = t->bucket[sockets_hash_tuple(s, k) & (t->buckets - 1)];

	if (i == NONE)
		return;
	__builtin_prefetch(&t->link[i], 1);
	if (!repeats)
		return;
	__builtin_prefetch(&t->entries[i], 1);
	__builtin_prefetch((const uint8_t *)&t->entries[i] + 64, 1);
}

/* ---- life ---- */

int sockets_new(const struct sockets_limits *l, const uint64_t seed[2], struct sockets **ret)
{
	const size_t max[TABLES] = {[CONNECTIONS] = l->connections,
		[PORTS] = l->ports,
		[LISTENERS] = l->listeners,
		[CONNECTING] = l->connecting};
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
	/* What is told once, and holds for as long as it is not taken back, is in the others. */
	s->table[CONNECTIONS].size = (s->table[CONNECTIONS].max + 1) / 2;
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

void sockets_lost(struct sockets *s)
{
	for (int i = 0; i < TABLES; i++)
		s->table[i].losses++;
	memset(s->listened, 0, sizeof(s->listened));
}

bool sockets_certain(const struct sockets *s, const struct socket_claim *c)
{
	return c->losses == s->table[CONNECTIONS].losses;
}

/* ---- telling ---- */

/*
 * Told again: a sender's every datagram. True = @e stays; false = it is old enough to move up, or
 * somebody else may have had its place in between.
 */
static bool refresh(struct table *t, struct entry *e, const struct socket_claim *c)
{
	size_t i = (size_t)(e - t->entries);
	size_t age = (t->at + t->size - i) % t->size;

	if (e->claim.losses != t->losses)
		return false;
	e->claim.seen_ns = c->t_ns;
	if (c->cgroup_id)
		e->claim.cgroup_id = c->cgroup_id;
	if (!age || age > t->size / REFRESH_SHARE)
		return false;
	e->claim.told++;
	return true;
}

static bool same_source(const struct entry *e, const struct socket_claim *c)
{
	return e->claim.process == c->process && e->claim.netns == c->netns &&
	       e->claim.method == c->method;
}

void sockets_add_connection(struct sockets *s, const struct socket_claim *c)
{
	struct table *t = &s->table[CONNECTIONS];
	uint32_t hash = sockets_hash_tuple(s, &c->key);
	/* Once the queue has come around, who had a tuple before may be forgotten. */
	bool passed = t->entries[t->at].claim.process || t->forgot;

	/* A close is an event of its own each time, whatever is known. */
	if (c->method == RECORD_METHOD_TAP_CLOSE && c->key.proto != IPPROTO_UDP) {
		table_add(t, hash, c);
		return;
	}
	for_each(e, t, hash)
	{
		if (memcmp(&e->claim.key, &c->key, sizeof(c->key)) != 0)
			continue;
		/* The latest word on this key is the only one that may be repeated. */
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
	uint32_t hash = sockets_hash_port(s, &c->key);

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
	uint32_t hash = sockets_hash_port(s, &c->key);

	s->listened[c->key.local_port / 64] |= UINT64_C(1) << c->key.local_port % 64;
	for_each(e, t, hash)
	{
		/* Each socket of its own: a process may have several at one port. */
		if (e->claim.number == c->number && !e->claim.end_ns &&
			e->claim.key.local_port == c->key.local_port && same_source(e, c) &&
			!memcmp(e->claim.key.local_addr, c->key.local_addr, 16) && refresh(t, e, c))
			return;
	}
	table_add(t, hash, c);
}

bool sockets_listened(const struct sockets *s, uint16_t port)
{
	return s->listened[port / 64] >> port % 64 & 1;
}

void sockets_end_listener(struct sockets *s, uint64_t number, const struct socket_key *k,
	uint64_t netns, uint64_t t_ns)
{
	struct table *t = &s->table[LISTENERS];

	/* Listeners come and go rarely, and few are there: what nobody has had stays unread. */
	for (size_t i = 0; number && i < t->size && t->entries[i].claim.seen_ns; i++) {
		struct socket_claim *c = &t->entries[i].claim;
		bool here = !netns || !c->netns || c->netns == netns;

		if (!c->process || c->end_ns)
			continue;
		if (c->number == number || (!c->number && here && c->key.proto == k->proto &&
						   c->key.local_port == k->local_port &&
						   !memcmp(c->key.local_addr, k->local_addr, 16)))
			c->end_ns = t_ns;
	}
}

void sockets_add_connecting(struct sockets *s, const struct socket_claim *c)
{
	table_add(&s->table[CONNECTING], sockets_hash_number(s, c->number), c);
}

void sockets_connecting_from(struct sockets *s, const struct socket_claim *c, uint16_t port)
{
	struct table *t = &s->table[CONNECTING];
	struct entry *e = (struct entry *)c;

	if (e >= t->entries && e < t->entries + t->max && !e->claim.key.local_port)
		e->claim.key.local_port = port;
}

struct socket_told sockets_told(const struct sockets *s, const struct socket_claim *c)
{
	const struct table *t = &s->table[CONNECTIONS];
	const struct entry *e = (const struct entry *)c;

	if (!may_be_given_back(c) || e < t->entries || e >= t->entries + t->max)
		return (struct socket_told){0};
	return (struct socket_told){.place = (uint32_t)(e - t->entries) + 1, .seen_ns = c->seen_ns};
}

/* As far as the local addresses are known. */
static bool same_tuple(const struct socket_key *a, const struct socket_key *b)
{
	return a->local_port == b->local_port && same_remote(a, b) &&
	       (address_is_any(a->local_addr) || address_is_any(b->local_addr) ||
		       !memcmp(a->local_addr, b->local_addr, sizeof(a->local_addr)));
}

void sockets_over(struct sockets *s, const struct socket_told *told, const struct process *p)
{
	struct table *t = &s->table[CONNECTIONS];
	struct entry *e, *older, *next;
	uint32_t hash;

	if (!told->place || !p)
		return;
	e = &t->entries[told->place - 1];
	if (e->claim.process != p || e->claim.seen_ns != told->seen_ns)
		return;
	hash = t->link[told->place - 1].hash;
	for (older = following(t, e, hash); older; older = next) {
		next = following(t, older, hash);
		if (older->claim.netns == e->claim.netns &&
			same_tuple(&older->claim.key, &e->claim.key))
			give_back(t, older);
	}
	give_back(t, e);
}

bool sockets_connected(
	struct sockets *s, uint64_t number, const struct socket_key *k, uint64_t t_ns)
{
	struct entry *e = sockets_find_connecting(s, number, t_ns);
	struct socket_claim c;

	if (!e || !same_remote(&e->claim.key, k))
		return false;
	c = e->claim;
	c.key = *k;
	sockets_add_connection(s, &c);
	unlink_entry(&s->table[CONNECTING], e);
	return true;
}
