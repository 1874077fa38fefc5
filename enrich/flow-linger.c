/* SPDX-License-Identifier: Apache-2.0 */
/* What is left of TCP connections for a few seconds after their end. */
#include "enrich/flow-linger.h"

#include <errno.h>
#include <stdlib.h>

#define USED_AT_FIRST 1024u
#define SIZE_MAX_EVER (UINT32_C(1) << 30)
#define SOON          32u /* how far ahead the index is looked up */

int flow_linger_init(struct flow_linger *l, uint64_t n)
{
	uint32_t size = n < 16 ? 16 : n < SIZE_MAX_EVER ? (uint32_t)n : SIZE_MAX_EVER;

	*l = (struct flow_linger){
		.size = size < USED_AT_FIRST ? size : USED_AT_FIRST,
		.size_max = size,
	};
	/* calloc() takes a block of this size as untouched zero pages. */
	l->entry = calloc(size, sizeof(*l->entry));
	if (!l->entry)
		return -ENOMEM;
	return flow_slots_init(&l->slots, size);
}

void flow_linger_deinit(struct flow_linger *l)
{
	free(l->entry);
	l->entry = NULL;
	flow_slots_deinit(&l->slots);
}

void flow_linger_forget(struct flow_linger *l, struct flow_linger_entry *e)
{
	flow_slots_remove(&l->slots, e->hash, (uint32_t)(e - l->entry));
	e->gone = true;
}

/* Where the index has whoever goes soon: not looked at since he came. */
static void foresee(const struct flow_linger *l)
{
	uint32_t soon = l->oldest + SOON;

	if (l->count <= SOON)
		return;
	soon -= soon < l->size ? 0 : l->size;
	flow_slots_foresee(&l->slots, l->entry[soon].hash);
}

static void drop_oldest(struct flow_linger *l)
{
	struct flow_linger_entry *e = &l->entry[l->oldest];

	foresee(l);
	l->oldest = l->oldest + 1 < l->size ? l->oldest + 1 : 0;
	l->count--;
	if (!e->gone)
		flow_linger_forget(l, e);
}

void flow_linger_expire(struct flow_linger *l, uint64_t now_ns)
{
	while (l->count) {
		struct flow_linger_entry *e = &l->entry[l->oldest];

		if (!e->gone && e->until_ns > now_ns)
			return;
		drop_oldest(l);
	}
}

/*
 * A quarter more of a full ring is used: those from the oldest to the last place move up by as
 * much, the youngest stay before the gap.
 */
static void widen(struct flow_linger *l)
{
	uint32_t more = l->size / 4 < l->size_max - l->size ? l->size / 4 : l->size_max - l->size;

	for (uint32_t i = l->size; l->oldest && i-- > l->oldest;) {
		struct flow_linger_entry *e = &l->entry[i];

		if (!e->gone) {
			flow_slots_remove(&l->slots, e->hash, i);
			flow_slots_add(&l->slots, e->hash, i + more);
		}
		l->entry[i + more] = *e;
	}
	l->oldest += l->oldest ? more : 0;
	l->size += more;
}

void flow_linger_add(struct flow_linger *l, const struct flow_linger_entry *e)
{
	uint32_t at;

	if (l->count == l->size && l->size < l->size_max)
		widen(l);
	if (l->count == l->size) {
		l->evicted += !l->entry[l->oldest].gone;
		drop_oldest(l);
	}
	at = l->oldest + l->count++;
	at -= at < l->size ? 0 : l->size;
	l->entry[at] = *e;
	l->entry[at].gone = false;
	flow_slots_add(&l->slots, e->hash, at);
}

struct flow_linger_entry *flow_linger_find(
	struct flow_linger *l, const struct flow_id *id, uint32_t hash, uint64_t now_ns)
{
	uint32_t at = hash, n;

	while ((n = flow_slots_next(&l->slots, hash, &at)) != FLOW_SLOTS_NONE) {
		struct flow_linger_entry *e = &l->entry[n];

		if (flow_id_equal(&e->id, id))
			return e->until_ns > now_ns ? e : NULL;
	}
	return NULL;
}
