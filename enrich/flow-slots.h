/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hash index below the flow table: packed keys, their keyed hash, an open-addressing array of
 * {hash, entry number}.
 *
 * Linear probing at half load, deletion by shifting back (no tombstones, so lookups never get
 * slower with age). It grows with its entries, in place, and stays as large as it once had to be.
 * SipHash-1-3 because peers choose the keys: without the seed nobody can make two flows meet.
 * Source: Aumasson, Bernstein: SipHash; Knuth 6.4 algorithm R.
 *
 * Threads: one. Blocks: no. Logs: no. Errors: 0, -errno.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "enrich/address.h"
#include "enrich/decode.h"

#define FLOW_ID_NETNS_MAX 63u

/* A flow's identity, the same for both directions: the smaller endpoint first. */
struct flow_id {
	uint64_t w[5];
};

/* Kinds beside the family: ports are echo ids, not type and code; sent by the second endpoint. */
#define FLOW_ID_ECHO 0x10
#define FLOW_ID_BACK 0x20

/* Packs @d; *ret_swapped: the sender is the second endpoint. */
static inline struct flow_id flow_id_pack(const struct decoded *d, uint8_t kind, bool *ret_swapped)
{
	struct flow_id id;
	int order = address_order(d->src, d->dst);
	bool swap = order > 0 || (order == 0 && d->sport > d->dport);
	uint64_t first = swap ? d->dport : d->sport, second = swap ? d->sport : d->dport;

	memcpy(id.w, swap ? d->dst : d->src, 16);
	memcpy(id.w + 2, swap ? d->src : d->dst, 16);
	/* A VLAN id has 12 bits, kind and family use 6 of theirs: the namespace's 6 fit between. */
	id.w[4] = first << 48 | second << 32 | (uint64_t)(d->netns >> 2) << 28 |
		  (uint64_t)d->vlan << 16 | (uint64_t)d->proto << 8 | (d->netns & 3u) << 6 | kind |
		  d->family;
	*ret_swapped = swap;
	return id;
}

/* Of @d: flow_id_pack() with its kind, what keeps apart flows with equal addresses and ports. */
struct flow_id flow_id_of(const struct decoded *d, bool *ret_swapped);

static inline bool flow_id_equal(const struct flow_id *a, const struct flow_id *b)
{
	uint64_t diff = 0;

	for (unsigned i = 0; i < 5; i++)
		diff |= a->w[i] ^ b->w[i];
	return !diff;
}

uint64_t flow_id_hash(const struct flow_id *id, const uint64_t seed[2]);

struct flow_slots {
	uint64_t *slot;    /* hash << 32 | number + 1; 0 = empty */
	uint32_t mask;     /* of the part in use: what few entries need stays in the cache */
	uint32_t mask_max; /* of all there is */
	uint32_t used;
};

/* Room for @n entries at half load. */
int flow_slots_init(struct flow_slots *s, uint64_t n);
void flow_slots_deinit(struct flow_slots *s);
/* Entry numbers are below UINT32_MAX; never more than the @n of init at a time. */
void flow_slots_add(struct flow_slots *s, uint32_t hash, uint32_t number);
void flow_slots_remove(struct flow_slots *s, uint32_t hash, uint32_t number);

#define FLOW_SLOTS_NONE UINT32_MAX

/* What is stored under @hash is looked for in a moment. */
static inline void flow_slots_foresee(const struct flow_slots *s, uint32_t hash)
{
	__builtin_prefetch(&s->slot[hash & s->mask], 1);
}

/*
 * The numbers stored under @hash, one a call: start with *at = @hash, until FLOW_SLOTS_NONE. The
 * caller compares the keys.
 */
static inline uint32_t flow_slots_next(const struct flow_slots *s, uint32_t hash, uint32_t *at)
{
	for (;;) {
		uint64_t v = s->slot[(*at)++ & s->mask];

		if (!v)
			return FLOW_SLOTS_NONE;
		if (v >> 32 == hash)
			return (uint32_t)v - 1;
	}
}
