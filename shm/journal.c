/* SPDX-License-Identifier: Apache-2.0 */
/* What a batch makes of the counters, written down before it is published. */
#include "shm/journal.h"

/* How far the slot that ledger_journal.state names has come; 0 = there never was one. */
enum { PREPARED = 1, DONE, APPLIED };

#define PHASE(state) ((state)&3)
#define SLOT(state)  ((state) >> 2 & 1)

static uint64_t state_of(uint64_t slot, uint64_t phase)
{
	return slot << 2 | phase;
}

static uint64_t load(const struct ledger *l)
{
	return __atomic_load_n(&l->file->journal.state, __ATOMIC_RELAXED);
}

/* Release, also for the compiler: a kill stops us between two instructions, in their order. */
static void store(struct ledger *l, uint64_t state)
{
	__atomic_store_n(&l->file->journal.state, state, __ATOMIC_RELEASE);
}

void journal_prepare(struct ledger *l, const struct journal_batch *b)
{
	uint64_t slot = SLOT(load(l)) ^ 1;
	struct ledger_slot *s = &l->file->journal.slot[slot];

	s->epoch = b->epoch;
	s->head = b->head;
	s->from = b->from;
	s->n = b->n;
	for (uint32_t i = 0; i < b->n; i++) {
		s->counter[i] = (uint8_t)b->entry[i].counter;
		s->value[i] = b->entry[i].value;
	}
	store(l, state_of(slot, PREPARED));
}

void journal_done(struct ledger *l)
{
	store(l, state_of(SLOT(load(l)), DONE));
}

void journal_apply(struct ledger *l)
{
	uint64_t slot = SLOT(load(l));
	const struct ledger_slot *s = &l->file->journal.slot[slot];

	for (uint64_t i = 0; i < s->n && i < LEDGER_JOURNAL_VALUES; i++)
		if (s->counter[i] < LEDGER_MAX)
			ledger_set(l, s->counter[i], s->value[i]);
	store(l, state_of(slot, APPLIED));
}

void journal_set(struct journal_batch *b, const struct ledger *l, unsigned counter, uint64_t value)
{
	if (value != ledger_get(l, counter) && b->n < LEDGER_JOURNAL_VALUES)
		b->entry[b->n++] = (struct journal_entry){counter, value};
}

void journal_add(struct journal_batch *b, const struct ledger *l, unsigned counter, uint64_t n)
{
	journal_set(b, l, counter, ledger_get(l, counter) + n);
}

void journal_recover(struct ledger *l,
	bool (*head_of)(const void *arg, uint64_t epoch, uint64_t *ret_head), const void *arg)
{
	uint64_t state = load(l), slot = SLOT(state), head;
	const struct ledger_slot *s = &l->file->journal.slot[slot];

	if (PHASE(state) == PREPARED && head_of(arg, s->epoch, &head) &&
		(int64_t)(head - s->head) >= 0)
		journal_done(l);
	else if (PHASE(state) == PREPARED)
		store(l, state_of(slot ^ 1, APPLIED));
	if (PHASE(load(l)) != DONE)
		return;
	ledger_begin(l);
	journal_apply(l);
	ledger_end(l);
}

struct ledger_place journal_from(const struct ledger *l)
{
	return l->file->journal.slot[SLOT(load(l))].from;
}
