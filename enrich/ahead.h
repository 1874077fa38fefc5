/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames out of the ring, a few at a time: each is looked at before the first one's turn comes, so
 * that what they need of memory is on its way.
 *
 * Threads: one. Blocks: as pipeline_feed(). Logs: no. Errors: as ring_get() and pipeline_feed().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "enrich/pipeline.h"
#include "shm/ring.h"

#define AHEAD_FRAMES 16u

struct ahead {
	unsigned n;
	bool ended; /* a RING_FRAME_END is among them */
	struct pipeline_seen seen[AHEAD_FRAMES];
	_Alignas(8) uint8_t bodies[2 * RING_BODY_MAX];
};

/* Takes as many frames as there are and have room: @a->n, also if one is impossible. */
int ahead_take(struct ahead *a, struct ring_consumer *ring, const struct pipeline *p);
/* Feeds them in order, up to the first error. */
int ahead_feed(struct ahead *a, struct pipeline *p);
