/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Losses that are not in the outputs yet, summed by stage.
 *
 * Of each stage the first is told at once, then one record a while: under load a full ring makes a
 * loss of every few frames. What waits stands in the checkpoint, so that the sums are exact over
 * any kill of sink.
 *
 * Threads: one. Blocks: no. Logs: no.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "shm/ring.h"

struct losses {
	struct ring_loss of[RING_LOSS_STAGES]; /* count 0 = none */
};

/* Adds @loss, whose stage is one of ours; its times are put in order. */
void losses_add(struct losses *l, const struct ring_loss *loss);

/* When each stage was told for the last time, CLOCK_MONOTONIC; 0 = never. */
struct losses_told {
	uint64_t ns[RING_LOSS_STAGES];
};

/* When the next one is due, at most one in @step_ns for each stage; UINT64_MAX = there is none. */
uint64_t losses_due_ns(const struct losses *l, const struct losses_told *t, uint64_t step_ns);
/* Takes out one that is due at @now_ns. False: there is none. */
bool losses_take(struct losses *l, struct losses_told *t, uint64_t step_ns, uint64_t now_ns,
	struct ring_loss *ret);
