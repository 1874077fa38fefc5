/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What survives sink's death beside the ring's tail: for each output the place in its file, and the
 * counters and the losses still to be told, that belong to exactly this tail.
 *
 *	release to T2:			killed here, the successor finds
 *	  store slot 1 = {T2, ...}	  tail T1, slot 0 = {T1}: goes on from T1
 *	  store tail = T2		  tail T2, slot 1 = {T2}: goes on from T2
 *	release to T3:
 *	  store slot 0 = {T3, ...}	  tail T2, slot 1 = {T2}
 *	  ...
 *
 * Of the two slots the one that belongs to the tail is never written. A half-written slot has no
 * valid mark. The memory is ours alone (ring_consumer_checkpoint()), but what is found there is
 * checked like anything else: a wrong file offset can only cut a file of the same identity.
 *
 * Threads: one. Blocks: no. Logs: no.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "shm/ring.h"
#include "sink/losses.h"

#define CHECKPOINT_OUTPUTS  16u
#define CHECKPOINT_COUNTERS 12u

struct checkpoint_slot {
	uint64_t mark; /* CHECKPOINT_MARK ^ tail while the rest is whole */
	uint64_t counters[CHECKPOINT_COUNTERS];
	struct {
		uint64_t id; /* struct output's; 0 = none */
		uint64_t offset;
	} output[CHECKPOINT_OUTPUTS];
	struct losses losses; /* in no file yet */
};

struct checkpoint {
	struct checkpoint_slot slot[2];
};

_Static_assert(sizeof(struct checkpoint) <= RING_CHECKPOINT, "fits the consumer's private words");

/* The slot that belongs to @tail, or NULL. */
const struct checkpoint_slot *checkpoint_find(const struct checkpoint *c, uint64_t tail);

/* Stores @s for @tail in the slot that does not belong to @current, the tail now in the ring. */
void checkpoint_store(
	struct checkpoint *c, uint64_t current, uint64_t tail, const struct checkpoint_slot *s);

/* The offset of the file @id; false: not in there. */
bool checkpoint_offset(const struct checkpoint_slot *s, uint64_t id, uint64_t *ret_offset);
