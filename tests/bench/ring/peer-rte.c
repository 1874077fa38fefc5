/* SPDX-License-Identifier: Apache-2.0 */
/* DPDK's ring in ordinary memory (no EAL, no huge pages), one producer, one consumer, in bulk. */
#include <rte_ring.h>

#include "bench/ring/peer.h"

static void *make(size_t size)
{
	ssize_t len = rte_ring_get_memsize_elem((unsigned)size, PEER_SLOTS);
	struct rte_ring *r;

	if (len < 0)
		peer_die("rte_ring_get_memsize_elem");
	r = peer_memory((size_t)len);
	if (rte_ring_init(r, "bench", PEER_SLOTS, RING_F_SP_ENQ | RING_F_SC_DEQ) < 0)
		peer_die("rte_ring_init");
	return r;
}

static void produce(void *ring, size_t size, uint64_t count)
{
	static uint8_t buf[PEER_BATCH * PEER_SIZE_MAX];

	for (uint64_t sent = 0; sent < count;) {
		unsigned n = count - sent < PEER_BATCH ? (unsigned)(count - sent) : PEER_BATCH;

		for (unsigned i = 0; i < n; i++)
			peer_fill(buf + i * size, size, sent++);
		while (!rte_ring_sp_enqueue_bulk_elem(ring, buf, (unsigned)size, n, NULL))
			peer_pause();
	}
}

static bool consume(void *ring, size_t size, uint64_t count)
{
	static uint8_t buf[PEER_BATCH * PEER_SIZE_MAX];
	static uint64_t got;

	for (uint64_t end = got + count; got < end;) {
		unsigned most = end - got < PEER_BATCH ? (unsigned)(end - got) : PEER_BATCH;
		unsigned n = rte_ring_sc_dequeue_burst_elem(ring, buf, (unsigned)size, most, NULL);

		for (unsigned i = 0; i < n; i++)
			if (!peer_right(buf + i * size, size, got++))
				return false;
		if (!n)
			peer_pause();
	}
	return true;
}

const struct peer peer_rte = {"rte_ring,_bulk_32", make, produce, consume};
