/* SPDX-License-Identifier: Apache-2.0 */
/* The hash index below the flow table. */
#include "enrich/flow-slots.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/mman.h>

static inline uint64_t rotl(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] = rotl(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] = rotl(v[2], 32);
}

static uint8_t kind_of(const struct decoded *d)
{
	bool v4 = d->proto == IPPROTO_ICMP;

	if (!v4 && d->proto != IPPROTO_ICMPV6)
		return 0;
	if (v4 ? d->icmp_type == 8 || d->icmp_type == 0
	       : d->icmp_type == 128 || d->icmp_type == 129)
		return FLOW_ID_ECHO;
	/* One-way: the direction is part of the key, also where type and code are equal. */
	return memcmp(d->src, d->dst, 16) > 0 ? FLOW_ID_BACK : 0;
}

struct flow_id flow_id_of(const struct decoded *d, bool *ret_swapped)
{
	return flow_id_pack(d, kind_of(d), ret_swapped);
}

uint64_t flow_id_hash(const struct flow_id *id, const uint64_t seed[2])
{
	uint64_t v[4] = {seed[0] ^ UINT64_C(0x736f6d6570736575),
		seed[1] ^ UINT64_C(0x646f72616e646f6d), seed[0] ^ UINT64_C(0x6c7967656e657261),
		seed[1] ^ UINT64_C(0x7465646279746573)};
	const uint64_t tail = (uint64_t)sizeof(*id) << 56;

	for (unsigned i = 0; i < 5; i++) {
		v[3] ^= id->w[i];
		sip_round(v);
		v[0] ^= id->w[i];
	}
	v[3] ^= tail;
	sip_round(v);
	v[0] ^= tail;
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#define USED_AT_FIRST 64u
#define HUGE_FROM     ((UINT32_C(1) << 21) / sizeof(uint64_t)) /* slots of a huge page */

int flow_slots_init(struct flow_slots *s, uint64_t n)
{
	uint64_t size = 16;

	while (size < 2 * n)
		size *= 2;
	if (size > UINT64_C(1) << 31)
		return -EINVAL;
	s->slot = mmap(NULL, size * sizeof(*s->slot), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->slot == MAP_FAILED) {
		s->slot = NULL;
		return -errno;
	}
	/* Only what a million flows need: measured with few and many (ARCHITECTURE, Scaling). */
	if (size > HUGE_FROM)
		madvise(s->slot + HUGE_FROM, (size - HUGE_FROM) * sizeof(*s->slot), MADV_HUGEPAGE);
	s->mask_max = (uint32_t)(size - 1);
	s->mask = size < USED_AT_FIRST ? s->mask_max : USED_AT_FIRST - 1;
	s->used = 0;
	return 0;
}

void flow_slots_deinit(struct flow_slots *s)
{
	if (s->slot)
		munmap(s->slot, (s->mask_max + UINT64_C(1)) * sizeof(*s->slot));
	s->slot = NULL;
}

static void put(struct flow_slots *s, uint64_t v)
{
	uint32_t at = (uint32_t)(v >> 32) & s->mask;

	while (s->slot[at])
		at = (at + 1) & s->mask;
	s->slot[at] = v;
}

/*
 * Twice the part in use. Each entry's home stays or moves up by the former size. From an empty slot
 * on, one after the other: none is put behind where it was in its run, so no later one leaves a
 * hole before it.
 */
static void grow(struct flow_slots *s)
{
	const uint32_t size = s->mask + 1;
	uint32_t from = 0;

	while (s->slot[from]) /* half of them are empty */
		from++;
	s->mask = 2 * size - 1;
	for (uint32_t i = 1; i < size; i++) {
		uint32_t at = (from + i) & (size - 1);
		uint64_t v = s->slot[at];

		s->slot[at] = 0;
		if (v)
			put(s, v);
	}
}

void flow_slots_add(struct flow_slots *s, uint32_t hash, uint32_t number)
{
	if (2 * (s->used + 1) > s->mask + 1 && s->mask < s->mask_max)
		grow(s);
	s->used++;
	put(s, (uint64_t)hash << 32 | (number + 1));
}

void flow_slots_remove(struct flow_slots *s, uint32_t hash, uint32_t number)
{
	uint64_t want = (uint64_t)hash << 32 | (number + 1);
	uint32_t hole = hash & s->mask, at;

	while (s->slot[hole] != want) {
		if (!s->slot[hole])
			return;
		hole = (hole + 1) & s->mask;
	}
	/* Move back every later member of the run whose home is not after the hole. */
	for (at = (hole + 1) & s->mask; s->slot[at]; at = (at + 1) & s->mask) {
		uint32_t home = (uint32_t)(s->slot[at] >> 32) & s->mask;

		if (((at - home) & s->mask) >= ((at - hole) & s->mask)) {
			s->slot[hole] = s->slot[at];
			hole = at;
		}
	}
	s->slot[hole] = 0;
	s->used--;
}
