/* SPDX-License-Identifier: Apache-2.0 */
/* Concurrency Kit's ring, entries by value, one producer and one consumer. */
#include <ck_ring.h>

#include "bench/ring/peer.h"

/* One instance a size: entries are a type of their own. */
#define INSTANCE(SIZE)                                                                             \
	struct frame##SIZE {                                                                       \
		uint8_t bytes[SIZE];                                                               \
	};                                                                                         \
	CK_RING_PROTOTYPE(f##SIZE, frame##SIZE)                                                    \
	static void produce##SIZE(ck_ring_t *ring, struct frame##SIZE *slots, uint64_t count)      \
	{                                                                                          \
		struct frame##SIZE f = {{0}};                                                      \
                                                                                                   \
		for (uint64_t i = 0; i < count; i++) {                                             \
			peer_fill(&f, SIZE, i);                                                    \
			while (!CK_RING_ENQUEUE_SPSC(f##SIZE, ring, slots, &f))                    \
				peer_pause();                                                      \
		}                                                                                  \
	}                                                                                          \
	static bool consume##SIZE(ck_ring_t *ring, struct frame##SIZE *slots, uint64_t count)      \
	{                                                                                          \
		static uint64_t got;                                                               \
		struct frame##SIZE f;                                                              \
                                                                                                   \
		for (uint64_t end = got + count; got < end; got++) {                               \
			while (!CK_RING_DEQUEUE_SPSC(f##SIZE, ring, slots, &f))                    \
				peer_pause();                                                      \
			if (!peer_right(&f, SIZE, got))                                            \
				return false;                                                      \
		}                                                                                  \
		return true;                                                                       \
	}

INSTANCE(64)
INSTANCE(128)
INSTANCE(512)

#define HEAD 4096u /* slots begin on a page of their own */

static void *slots(void *ring)
{
	return (uint8_t *)ring + HEAD;
}

static void *make(size_t size)
{
	void *m = peer_memory(HEAD + PEER_SLOTS * size);

	ck_ring_init(m, PEER_SLOTS);
	return m;
}

static void produce(void *ring, size_t size, uint64_t count)
{
	if (size == 64)
		produce64(ring, slots(ring), count);
	else if (size == 128)
		produce128(ring, slots(ring), count);
	else
		produce512(ring, slots(ring), count);
}

static bool consume(void *ring, size_t size, uint64_t count)
{
	if (size == 64)
		return consume64(ring, slots(ring), count);
	if (size == 128)
		return consume128(ring, slots(ring), count);
	return consume512(ring, slots(ring), count);
}

const struct peer peer_ck = {"ck_ring,_by_value", make, produce, consume};
