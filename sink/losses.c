/* SPDX-License-Identifier: Apache-2.0 */
/* Losses that are not in the outputs yet, summed by stage. */
#include "sink/losses.h"

void losses_add(struct losses *l, const struct ring_loss *loss)
{
	struct ring_loss *to;

	if (loss->stage < RING_LOSS_KERNEL || loss->stage >= RING_LOSS_STAGES || !loss->count)
		return;
	to = &l->of[loss->stage];
	if (!to->count) {
		*to = *loss;
		if (to->last_ns < to->first_ns)
			to->last_ns = to->first_ns;
		return;
	}
	to->count += loss->count;
	to->packets += loss->packets;
	if (loss->first_ns < to->first_ns)
		to->first_ns = loss->first_ns;
	if (loss->last_ns > to->last_ns)
		to->last_ns = loss->last_ns;
}

static uint64_t stage_due_ns(
	const struct losses *l, const struct losses_told *t, uint64_t step_ns, unsigned stage)
{
	if (!l->of[stage].count)
		return UINT64_MAX;
	return t->ns[stage] ? t->ns[stage] + step_ns : 0;
}

uint64_t losses_due_ns(const struct losses *l, const struct losses_told *t, uint64_t step_ns)
{
	uint64_t due = UINT64_MAX;

	for (unsigned i = RING_LOSS_KERNEL; i < RING_LOSS_STAGES; i++) {
		uint64_t ns = stage_due_ns(l, t, step_ns, i);

		if (ns < due)
			due = ns;
	}
	return due;
}

bool losses_take(struct losses *l, struct losses_told *t, uint64_t step_ns, uint64_t now_ns,
	struct ring_loss *ret)
{
	for (unsigned i = RING_LOSS_KERNEL; i < RING_LOSS_STAGES; i++) {
		if (!l->of[i].count || stage_due_ns(l, t, step_ns, i) > now_ns)
			continue;
		*ret = l->of[i];
		l->of[i] = (struct ring_loss){0};
		t->ns[i] = now_ns;
		return true;
	}
	return false;
}
