/* SPDX-License-Identifier: Apache-2.0 */
/* What is left of TCP connections for a few seconds after their end. */
#include "enrich/flow-linger.h"

#include <errno.h>
#include <stdlib.h>

#define SIZE_MIN    64u
#define SIZE_FIRST  1024u
#define SIZE_LAST   (UINT32_C(1) << 18)
#define NUMBER_BITS 20u
#define NUMBER      ((UINT32_C(1) << NUMBER_BITS) - 1)
#define MARK_NS     UINT64_C(100000000)

_Static_assert(sizeof(struct flow_linger_entry) == 32, "half a cache line");
_Static_assert(2 * SIZE_LAST <= NUMBER, "an entry's number tells whether it is still there");

/* A slot of an entry long written over. */
static uint32_t empty(const struct flow_linger *l)
{
	return (l->next + NUMBER / 2) & NUMBER;
}

/* Sets for the ring's size. */
static void clear(struct flow_linger *l)
{
	for (uint32_t s = 0; s < l->size / FLOW_LINGER_LOAD; s++)
		for (unsigned i = 0; i < FLOW_LINGER_WAYS; i++)
			l->set[s].slot[i] = empty(l);
}

int flow_linger_init(struct flow_linger *l, uint64_t n)
{
	uint32_t max = SIZE_MIN;

	while (max < SIZE_LAST && 2 * (uint64_t)max <= n)
		max *= 2;
	*l = (struct flow_linger){
		.size = max < SIZE_FIRST ? max : SIZE_FIRST,
		.size_max = max,
	};
	/* Read is only what was added. In calloc()'s block every second one had two cache lines. */
	l->entry = aligned_alloc(sizeof(*l->set), max * sizeof(*l->entry));
	l->set = aligned_alloc(sizeof(*l->set), max / FLOW_LINGER_LOAD * sizeof(*l->set));
	if (!l->entry || !l->set)
		return -ENOMEM;
	clear(l);
	return 0;
}

void flow_linger_deinit(struct flow_linger *l)
{
	free(l->entry);
	free(l->set);
	l->entry = NULL;
	l->set = NULL;
}

static struct flow_linger_entry *entry_of(const struct flow_linger *l, uint32_t number)
{
	return &l->entry[number & (l->size - 1)];
}

/* How many have come since, itself included. */
static uint32_t age_of(const struct flow_linger *l, uint32_t slot)
{
	return (l->next - slot) & NUMBER;
}

/* Entries older than this are over, or their place is another's. */
static uint32_t age_max(const struct flow_linger *l)
{
	return l->next - l->first;
}

/* A mark in front of the next entry, if it is time for one; those that are over by now go. */
static void leave_mark(struct flow_linger *l, const struct flow_linger_entry *e, uint64_t now_ns)
{
	const struct flow_linger_mark *last = &l->mark[(l->mark_next - 1) % FLOW_LINGER_MARKS];

	while (l->mark_first != l->mark_next) {
		const struct flow_linger_mark *m = &l->mark[l->mark_first % FLOW_LINGER_MARKS];

		if (m->until_ns > now_ns)
			break;
		if (age_max(l) > l->next - m->number)
			l->first = m->number;
		l->mark_first++;
	}
	if (l->until_ns >= last->until_ns + MARK_NS &&
		l->mark_next - l->mark_first < FLOW_LINGER_MARKS)
		l->mark[l->mark_next++ % FLOW_LINGER_MARKS] = (struct flow_linger_mark){
			.until_ns = l->until_ns,
			.number = l->next,
		};
	if (e->until_ns > l->until_ns)
		l->until_ns = e->until_ns;
}

/*
 * A slot of @set whose entry is over, which half of them are at least, looked for from @start on;
 * else that of the one that came first.
 */
static uint32_t *room(struct flow_linger *l, struct flow_linger_set *set, uint32_t start)
{
	uint32_t *oldest = set->slot;

	for (unsigned i = 0; i < FLOW_LINGER_WAYS; i++) {
		uint32_t *slot = &set->slot[(start + i) % FLOW_LINGER_WAYS];

		if (age_of(l, *slot) - 1 >= age_max(l))
			return slot;
		if (age_of(l, *slot) > age_of(l, *oldest))
			oldest = slot;
	}
	return oldest;
}

/* In the set of @hash. */
static void put(struct flow_linger *l, uint64_t hash, uint32_t number, uint64_t now_ns)
{
	uint32_t *slot = room(l, flow_linger_set(l, hash), number);

	if (age_of(l, *slot) - 1 < age_max(l) && entry_of(l, *slot)->until_ns > now_ns)
		l->evicted++;
	*slot = ((uint32_t)hash & ~NUMBER) | (number & NUMBER);
}

/* The ring and its index become twice as large. */
static void grow(struct flow_linger *l, uint64_t now_ns)
{
	uint32_t size = l->size;

	for (uint32_t number = l->first; number != l->next; number++) {
		struct flow_linger_entry *e = entry_of(l, number);

		if (number & size) {
			e[size] = *e;
			e->until_ns = 0;
		}
	}
	l->size = 2 * size;
	clear(l);
	for (uint32_t number = l->first; number != l->next; number++)
		put(l, entry_of(l, number)->hash, number, now_ns);
}

void flow_linger_add(struct flow_linger *l, const struct flow_linger_entry *e, uint64_t now_ns)
{
	leave_mark(l, e, now_ns);
	if (age_max(l) == l->size) {
		bool lasts = entry_of(l, l->first)->until_ns > now_ns;

		if (lasts && l->size < l->size_max) {
			grow(l, now_ns);
		} else {
			l->evicted += lasts;
			l->first++;
		}
	}
	*entry_of(l, l->next) = *e;
	put(l, e->hash, l->next++, now_ns);
	/* What makes room for the next one but seven has not been touched for seconds. */
	__builtin_prefetch(entry_of(l, l->next + 7), 1);
}

/* @slot may last, and perhaps is what @hash is looked for. */
static bool is_of(const struct flow_linger *l, uint32_t slot, uint32_t hash)
{
	return !((slot ^ hash) & ~NUMBER) && age_of(l, slot) - 1 < age_max(l);
}

/* All of a set at once, as the processor compares them: most look-ups find nothing. */
static bool may_have(const struct flow_linger_set *set, uint32_t hash)
{
	uint32_t found = 0;

	for (unsigned i = 0; i < FLOW_LINGER_WAYS; i++)
		found |= ((set->slot[i] ^ hash) & ~NUMBER) == 0;
	return found;
}

struct flow_linger_entry *flow_linger_find(struct flow_linger *l, uint64_t hash, uint64_t now_ns)
{
	struct flow_linger_set *set = flow_linger_set(l, hash);

	if (!may_have(set, (uint32_t)hash))
		return NULL;
	for (unsigned i = 0; i < FLOW_LINGER_WAYS; i++) {
		struct flow_linger_entry *e;

		if (!is_of(l, set->slot[i], (uint32_t)hash))
			continue;
		e = entry_of(l, set->slot[i]);
		if (e->hash == hash && e->until_ns > now_ns) {
			l->found = &set->slot[i];
			return e;
		}
	}
	return NULL;
}

/* Out of its set as well: to read an entry only to see that it is over is a cache miss. */
void flow_linger_forget(struct flow_linger *l, struct flow_linger_entry *e)
{
	e->until_ns = 0;
	*l->found = empty(l);
}
