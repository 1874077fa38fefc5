/* SPDX-License-Identifier: Apache-2.0 */
/* What is left of TCP connections for a few seconds after their end. */
#include "enrich/flow-linger.h"

#include <errno.h>
#include <stdlib.h>

#define USED_AT_FIRST 1024u

int flow_linger_init(struct flow_linger *l, uint64_t n)
{
	uint32_t size = 16;

	while (size < n && size < UINT32_C(1) << 30)
		size *= 2;
	*l = (struct flow_linger){
		.mask = (size < USED_AT_FIRST ? size : USED_AT_FIRST) - 1,
		.mask_max = size - 1,
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

static void drop_oldest(struct flow_linger *l)
{
	struct flow_linger_entry *e = &l->entry[l->head++ & l->mask];

	if (!e->gone)
		flow_linger_forget(l, e);
}

void flow_linger_expire(struct flow_linger *l, uint64_t now_ns)
{
	while (l->head != l->tail) {
		struct flow_linger_entry *e = &l->entry[l->head & l->mask];

		if (!e->gone && e->until_ns > now_ns)
			return;
		drop_oldest(l);
	}
}

/* Twice the part in use of a full ring: those before the head come to stand behind the others. */
static void widen(struct flow_linger *l)
{
	uint32_t size = l->mask + 1, head = l->head & l->mask;

	for (uint32_t i = 0; i < head; i++) {
		l->entry[size + i] = l->entry[i];
		if (l->entry[i].gone)
			continue;
		flow_slots_remove(&l->slots, l->entry[i].hash, i);
		flow_slots_add(&l->slots, l->entry[i].hash, size + i);
	}
	l->mask = 2 * size - 1;
	l->head = head;
	l->tail = head + size;
}

void flow_linger_add(struct flow_linger *l, const struct flow_linger_entry *e)
{
	struct flow_linger_entry *place;

	if (l->tail - l->head > l->mask && l->mask < l->mask_max)
		widen(l);
	if (l->tail - l->head > l->mask) {
		l->evicted += !l->entry[l->head & l->mask].gone;
		drop_oldest(l);
	}
	place = &l->entry[l->tail++ & l->mask];
	*place = *e;
	place->gone = false;
	flow_slots_add(&l->slots, e->hash, (uint32_t)(place - l->entry));
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
