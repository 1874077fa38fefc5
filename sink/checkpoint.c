/* SPDX-License-Identifier: Apache-2.0 */
/* The two slots that tell a restarted sink where its files stood. */
#include "sink/checkpoint.h"

#include <stddef.h>
#include <string.h>

#define CHECKPOINT_MARK UINT64_C(0x6b726d776f6c6602)

const struct checkpoint_slot *checkpoint_find(const struct checkpoint *c, uint64_t tail)
{
	for (int i = 0; i < 2; i++)
		if (c->slot[i].mark == (CHECKPOINT_MARK ^ tail))
			return &c->slot[i];
	return NULL;
}

void checkpoint_store(
	struct checkpoint *c, uint64_t current, uint64_t tail, const struct checkpoint_slot *s)
{
	bool second = c->slot[0].mark == (CHECKPOINT_MARK ^ current);
	struct checkpoint_slot *to = &c->slot[second];

	/*
	 * The kernel may stop us between any two stores, and only that: compiler barriers are
	 * enough, no other processor looks while we live.
	 */
	__atomic_store_n(&to->mark, 0, __ATOMIC_RELEASE);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	memcpy(to->counters, s->counters, sizeof(to->counters));
	memcpy(to->output, s->output, sizeof(to->output));
	to->losses = s->losses;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&to->mark, CHECKPOINT_MARK ^ tail, __ATOMIC_RELEASE);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (tail == current) /* a newer word on the same tail: the older one is void */
		__atomic_store_n(&c->slot[!second].mark, 0, __ATOMIC_RELEASE);
}

bool checkpoint_offset(const struct checkpoint_slot *s, uint64_t id, uint64_t *ret_offset)
{
	if (!id)
		return false;
	for (unsigned i = 0; i < CHECKPOINT_OUTPUTS; i++) {
		if (s->output[i].id == id) {
			*ret_offset = s->output[i].offset;
			return true;
		}
	}
	return false;
}
