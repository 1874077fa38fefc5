/* SPDX-License-Identifier: Apache-2.0 */
/* Where the flow table keeps its flows. */
#include "enrich/flow-store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int flow_store_init(struct flow_store *s, uint32_t max_open, uint32_t max_ended)
{
	*s = (struct flow_store){
		.size = max_open + max_ended,
		.free = FLOW_ENTRY_NONE,
		.ended = FLOW_ENTRY_NONE,
	};
	for (unsigned q = 0; q < FLOW_QUEUES; q++)
		s->queue[q].head = s->queue[q].tail = FLOW_ENTRY_NONE;
	/* calloc() takes a block of this size as untouched zero pages. */
	s->entry = calloc(s->size, sizeof(*s->entry));
	if (!s->entry)
		return -ENOMEM;
	return flow_slots_init(&s->slots, max_open);
}

void flow_store_deinit(struct flow_store *s)
{
	free(s->entry);
	s->entry = NULL;
	flow_slots_deinit(&s->slots);
}

static uint32_t number_of(const struct flow_store *s, const struct flow_entry *e)
{
	return (uint32_t)(e - s->entry);
}

struct flow_entry *flow_store_find(
	const struct flow_store *s, const struct flow_id *id, uint64_t hash)
{
	uint32_t at = (uint32_t)hash, n;

	while ((n = flow_slots_next(&s->slots, (uint32_t)hash, &at)) != FLOW_SLOTS_NONE) {
		if (flow_id_equal(&s->entry[n].id, id))
			return &s->entry[n];
	}
	return NULL;
}

struct flow_entry *flow_store_open(struct flow_store *s, const struct flow_id *id, uint64_t hash)
{
	struct flow_entry *e;

	if (s->free != FLOW_ENTRY_NONE) {
		e = &s->entry[s->free];
		s->free = e->next;
		memset(e, 0, sizeof(*e));
	} else if (s->fresh < s->size) {
		e = &s->entry[s->fresh++];
	} else {
		return NULL;
	}
	e->id = *id;
	e->hash = hash;
	for (unsigned i = 0; i < FLOW_TIMERS; i++)
		e->link[i].queue = FLOW_QUEUES;
	flow_slots_add(&s->slots, (uint32_t)hash, number_of(s, e));
	s->open++;
	return e;
}

void flow_store_disarm(struct flow_store *s, struct flow_entry *e, enum flow_timer timer)
{
	struct flow_link *l = &e->link[timer];

	if (l->queue == FLOW_QUEUES)
		return;
	if (l->prev == FLOW_ENTRY_NONE)
		s->queue[l->queue].head = l->next;
	else
		s->entry[l->prev].link[timer].next = l->next;
	if (l->next == FLOW_ENTRY_NONE)
		s->queue[l->queue].tail = l->prev;
	else
		s->entry[l->next].link[timer].prev = l->prev;
	l->queue = FLOW_QUEUES;
}

static enum flow_timer timer_of(enum flow_queue q)
{
	if (q < FLOW_QUEUES_IDLE)
		return FLOW_TIMER_IDLE;
	return q < FLOW_QUEUES_TIME ? FLOW_TIMER_REPORT : FLOW_TIMER_TRAFFIC;
}

void flow_store_arm(
	struct flow_store *s, struct flow_entry *e, enum flow_queue q, uint64_t clock_ns)
{
	enum flow_timer timer = timer_of(q);
	uint64_t timeout = s->queue[q].timeout_ns;
	uint32_t tail = s->queue[q].tail, n = number_of(s, e);
	struct flow_link *l = &e->link[timer];

	if (tail != n || l->queue != q) {
		flow_store_disarm(s, e, timer);
		if (!timeout)
			return;
		tail = s->queue[q].tail;
		l->queue = q;
		l->prev = tail;
		l->next = FLOW_ENTRY_NONE;
		if (tail == FLOW_ENTRY_NONE)
			s->queue[q].head = n;
		else
			s->entry[tail].link[timer].next = n;
		s->queue[q].tail = n;
	}
	l->deadline_ns = clock_ns < UINT64_MAX - timeout ? clock_ns + timeout : UINT64_MAX;
	if (l->deadline_ns < s->due_ns && q < FLOW_QUEUES_TIME)
		s->due_ns = l->deadline_ns;
}

bool flow_store_retime(struct flow_store *s, enum flow_queue q, uint64_t timeout_ns)
{
	uint64_t before = s->queue[q].timeout_ns;
	enum flow_timer timer = timer_of(q);

	if (!before || !timeout_ns)
		return before == timeout_ns;
	for (uint32_t n = s->queue[q].head; n != FLOW_ENTRY_NONE;) {
		struct flow_link *l = &s->entry[n].link[timer];

		if (l->deadline_ns != UINT64_MAX) /* all by the same: their order stays */
			l->deadline_ns = l->deadline_ns - before + timeout_ns;
		n = l->next;
	}
	s->queue[q].timeout_ns = timeout_ns;
	s->due_ns = 0;
	return true;
}

void flow_store_end(struct flow_store *s, struct flow_entry *e)
{
	flow_slots_remove(&s->slots, (uint32_t)e->hash, number_of(s, e));
	flow_store_disarm(s, e, FLOW_TIMER_IDLE);
	flow_store_disarm(s, e, FLOW_TIMER_REPORT);
	flow_store_disarm(s, e, FLOW_TIMER_TRAFFIC);
	e->next = s->ended;
	s->ended = number_of(s, e);
	s->open--;
}

struct flow_entry *flow_store_take_ended(struct flow_store *s)
{
	struct flow_entry *e;

	if (s->ended == FLOW_ENTRY_NONE)
		return NULL;
	e = &s->entry[s->ended];
	s->ended = e->next;
	e->next = s->free;
	s->free = number_of(s, e);
	return e;
}

enum flow_queue flow_store_due(const struct flow_store *s, uint64_t *ret_deadline_ns)
{
	enum flow_queue due = FLOW_QUEUES;
	uint64_t earliest = UINT64_MAX;

	for (unsigned q = 0; q < FLOW_QUEUES_TIME; q++) {
		enum flow_timer timer = timer_of(q);
		uint32_t head = s->queue[q].head;

		if (head != FLOW_ENTRY_NONE && s->entry[head].link[timer].deadline_ns < earliest) {
			earliest = s->entry[head].link[timer].deadline_ns;
			due = q;
		}
	}
	*ret_deadline_ns = earliest;
	return due;
}

struct flow_entry *flow_store_oldest(const struct flow_store *s)
{
	struct flow_entry *oldest = NULL;

	for (unsigned q = 0; q < FLOW_QUEUES_IDLE; q++) {
		uint32_t head = s->queue[q].head;

		if (head != FLOW_ENTRY_NONE &&
			(!oldest || s->entry[head].armed_ns < oldest->armed_ns))
			oldest = &s->entry[head];
	}
	return oldest;
}
