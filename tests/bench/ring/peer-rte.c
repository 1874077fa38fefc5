/* SPDX-License-Identifier: Apache-2.0 */
/* DPDK's ring in ordinary memory (no EAL, no huge pages), one producer, one consumer, in bulk. */
#include <rte_ring.h>

#include "bench/ring/peer.h"

#define BATCH_MAX 256u

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

static void produce_by(void *ring, size_t size, uint64_t count, unsigned batch)
{
	static uint8_t buf[BATCH_MAX * PEER_SIZE_MAX];

	for (uint64_t sent = 0; sent < count;) {
		unsigned n = count - sent < batch ? (unsigned)(count - sent) : batch;

		for (unsigned i = 0; i < n; i++)
			peer_fill(buf + i * size, size, sent++);
		while (!rte_ring_sp_enqueue_bulk_elem(ring, buf, (unsigned)size, n, NULL))
			peer_pause();
	}
}

static bool consume_by(void *ring, size_t size, uint64_t count, unsigned batch)
{
	static uint8_t buf[BATCH_MAX * PEER_SIZE_MAX];
	static uint64_t got;

	for (uint64_t end = got + count; got < end;) {
		unsigned most = end - got < batch ? (unsigned)(end - got) : batch;
		unsigned n = rte_ring_sc_dequeue_burst_elem(ring, buf, (unsigned)size, most, NULL);

		for (unsigned i = 0; i < n; i++)
			if (!peer_right(buf + i * size, size, got++))
				return false;
		if (!n)
			peer_pause();
	}
	return true;
}

static void produce(void *ring, size_t size, uint64_t count)
{
	produce_by(ring, size, count, PEER_BATCH);
}

static bool consume(void *ring, size_t size, uint64_t count)
{
	return consume_by(ring, size, count, PEER_BATCH);
}

static void produce_more(void *ring, size_t size, uint64_t count)
{
	produce_by(ring, size, count, BATCH_MAX);
}

static bool consume_more(void *ring, size_t size, uint64_t count)
{
	return consume_by(ring, size, count, BATCH_MAX);
}

const struct peer peer_rte = {"rte_ring,_bulk_32", make, produce, consume};
const struct peer peer_rte_more = {"rte_ring,_bulk_256", make, produce_more, consume_more};
