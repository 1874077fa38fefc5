/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is left of TCP connections for a few seconds after their end, so that stragglers are known
 * as such: a bounded first-in first-out of small entries with an index over them.
 *
 * Entries are numbered as they come, and stand in a ring by their numbers. The index has sets of a
 * cache line: to find an entry, to replace it, and to let go of what is over takes that line alone.
 * What is over, or written over since, is known by its number: marks are left every tenth of a
 * second. So entries are read only while they last, and those of former connections never. A set
 * that is full of entries not yet over loses the oldest of them: one in some thousand, when all of
 * the ring is in use.
 *
 * A connection is known by the 64 bits of its keyed hash: an entry is half a cache line. That two
 * have the same nobody can bring about without the seed, and by chance, with the ring full and
 * 20,000 look-ups a second, it happens once in two hundred years.
 *
 * Threads: one. Blocks: no. Logs: no. Errors: 0, -errno.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct flow_linger_side {
	uint32_t isn; /* its initial sequence number */
	uint32_t has_isn : 1;
	uint32_t ifindex : 31; /* where it was seen; the kernel's are positive int */
};

struct flow_linger_entry {
	_Alignas(32) uint64_t hash;      /* flow_id_hash() */
	uint64_t until_ns;               /* 0 = forgotten */
	struct flow_linger_side side[2]; /* of the first, second endpoint of the flow's id */
};

#define FLOW_LINGER_WAYS 16u
#define FLOW_LINGER_LOAD 8u /* entries of the ring for each set */

struct flow_linger_set {
	_Alignas(64) uint32_t slot[FLOW_LINGER_WAYS]; /* part of the hash, part of the number */
};

/* What came before `number` is over at `until_ns`. */
struct flow_linger_mark {
	uint64_t until_ns;
	uint32_t number;
};

#define FLOW_LINGER_MARKS 64u

struct flow_linger {
	struct flow_linger_set *set;
	struct flow_linger_entry *entry; /* a ring */
	uint32_t size;     /* of the part in use: a ring goes through all it has, needed or not */
	uint32_t size_max; /* of all there is; both are powers of two */
	uint32_t next;     /* number of the next entry */
	uint32_t first;    /* of the oldest that may not be over */
	uint32_t *found;   /* the slot of the entry found last */
	uint64_t evicted;  /* before they were over */
	uint64_t until_ns; /* the latest of all entries' */
	uint32_t mark_first, mark_next;
	struct flow_linger_mark mark[FLOW_LINGER_MARKS]; /* a ring */
};

/* At most @n entries, that being a power of two; else the next smaller one, but not below 64. */
int flow_linger_init(struct flow_linger *l, uint64_t n);
void flow_linger_deinit(struct flow_linger *l);
/* Copies @e. A full ring forgets its oldest. */
void flow_linger_add(struct flow_linger *l, const struct flow_linger_entry *e, uint64_t now_ns);
/* NULL = none, or over at @now_ns. Valid until the next call of this module. */
struct flow_linger_entry *flow_linger_find(struct flow_linger *l, uint64_t hash, uint64_t now_ns);

/* @e, found by the last call, was the last of its tuple: a new one has begun. */
void flow_linger_forget(struct flow_linger *l, struct flow_linger_entry *e);

/* Where entries with @hash are. */
static inline struct flow_linger_set *flow_linger_set(const struct flow_linger *l, uint64_t hash)
{
	return &l->set[hash & (l->size / FLOW_LINGER_LOAD - 1)];
}

/* What is stored under @hash is looked for in a moment. */
static inline void flow_linger_foresee(const struct flow_linger *l, uint64_t hash)
{
	__builtin_prefetch(flow_linger_set(l, hash), 1);
}
