/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the socket tables share: bounded queues with a hash over each. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "enrich/sockets.h"

#define NONE UINT32_MAX

struct entry {
	_Alignas(128) struct socket_claim claim;
};

/*
 * Apart from the entries and small: of those in a chain only the one that is meant is read, unless
 * its mark already says that it is not the answer.
 */
struct link {
	uint32_t hash;
	uint32_t next; /* in the bucket; younger entries first */
	uint32_t prev; /* NONE = the bucket's first */
	uint32_t mark; /* LINK_*, or 0, which says nothing */
};

_Static_assert(sizeof(struct link) == 16, "four in a cache line");

#define LINK_CLOSE (UINT32_C(1) << 31) /* a claim by a close */
#define LINK_PLAIN                                                                                 \
	(UINT32_C(1) << 30)        /* of the table's first namespace, or of none that is known */
#define LINK_TIME (LINK_PLAIN - 1) /* its t_ns, coarse */

#define GIVEN_BACK_MAX 256u

/*
 * A ring of entries in order of arrival, and chains over them. A ring goes through all it has,
 * needed or not: of the connections' half is used for as long as an entry stays long enough so.
 * What is given back before its turn is the next one's place, while it is in the cache.
 */
struct table {
	size_t max;
	size_t size;       /* of these, entries in use */
	size_t buckets;    /* a power of two */
	size_t at;         /* where the next entry goes: the oldest */
	size_t alike;      /* entries of one hash at most, 0 = as many as there is room for */
	bool forgot;       /* an entry went before its turn */
	uint64_t round_ns; /* time of the latest that came to the first place; 0 = none has one */
	uint64_t home;     /* namespace of the first claim that said one */
	uint64_t since_ns; /* time of the first claim */
	uint64_t evicted;
	uint32_t losses; /* of events, the same in all tables */
	uint32_t n_given;
	uint32_t given[GIVEN_BACK_MAX]; /* places, some of which the ring has come to since */
	struct entry *entries;
	void *memory;      /* what holds them */
	struct link *link; /* of the entry of the same number */
	uint32_t *bucket;
};

/*
 * Since the table's first claim, in units of 34 ms; earlier ones and those after 417 days are all
 * alike, and looked at. Of two marks the smaller one is the older claim.
 */
static inline uint32_t link_time(const struct table *t, uint64_t t_ns)
{
	uint64_t since = t_ns > t->since_ns ? (t_ns - t->since_ns) >> 25 : 0;

	return since < LINK_TIME ? (uint32_t)since : LINK_TIME;
}

enum { CONNECTIONS, PORTS, LISTENERS, CONNECTING, TABLES };

struct sockets {
	uint64_t seed[2];
	uint64_t takeovers;
	uint64_t listened[65536 / 64]; /* a bit for each port */
	struct table table[TABLES];
};

/* The first with @hash from @i on in its chain, or NULL. */
static inline struct entry *alike(const struct table *t, uint32_t i, uint32_t hash)
{
	while (i != NONE && t->link[i].hash != hash)
		i = t->link[i].next;
	return i == NONE ? NULL : &t->entries[i];
}

static inline struct entry *first(const struct table *t, uint32_t hash)
{
	return alike(t, t->bucket[hash & (t->buckets - 1)], hash);
}

static inline struct entry *following(const struct table *t, const struct entry *e, uint32_t hash)
{
	return alike(t, t->link[e - t->entries].next, hash);
}

#define for_each(e, t, h) for (struct entry * (e) = first(t, h); (e); (e) = following(t, e, h))

/* Of a tuple without its local address, of a port, of a kernel's address. */
uint32_t sockets_hash_tuple(const struct sockets *s, const struct socket_key *k);
uint32_t sockets_hash_port(const struct sockets *s, const struct socket_key *k);
uint32_t sockets_hash_number(const struct sockets *s, uint64_t number);

/* The latest connect of the socket at @number begun by @t_ns, or NULL. */
struct entry *sockets_find_connecting(const struct sockets *s, uint64_t number, uint64_t t_ns);

static inline bool is_portless(const struct socket_key *k)
{
	return !k->local_port && !k->remote_port;
}

static inline bool same_remote(const struct socket_key *a, const struct socket_key *b)
{
	return a->proto == b->proto && a->remote_port == b->remote_port &&
	       !memcmp(a->remote_addr, b->remote_addr, 16);
}
