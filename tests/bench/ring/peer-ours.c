/* SPDX-License-Identifier: Apache-2.0 */
/* flowner's ring as the pipeline uses it: three mappings, each frame copied out and validated. */
#include <unistd.h>

#include "bench/ring/peer.h"
#include "shm/ring.h"

#define BATCH  256u /* frames published at once: capture has up to 2,048 in a batch */
#define BEHIND 256u /* frames released at once, at most */

static void *make(size_t size)
{
	struct ring_producer *p;

	if (ring_producer_new(PEER_SLOTS * size, 1, RING_LOSS_RECORD_RING, &p) < 0)
		peer_die("ring_producer_new");
	return p;
}

static void produce(void *ring, size_t size, uint64_t count)
{
	uint64_t used, sent = 0, room = PEER_SLOTS * size - (uint64_t)BATCH * (size + 16);
	uint8_t frame[PEER_SIZE_MAX] = {0};

	while (sent < count) {
		uint64_t end = sent + BATCH < count ? sent + BATCH : count;

		while (ring_producer_used(ring, &used) == 0 && used > room)
			peer_pause();
		for (; sent < end; sent++) {
			peer_fill(frame, size, sent);
			if (ring_put(ring, RING_FRAME_RECORD, 0, sent, 1, frame, size, NULL, 0))
				peer_die("ring_put");
		}
		if (ring_commit(ring) < 0)
			peer_die("ring_commit");
	}
}

static struct ring_consumer *attach(struct ring_producer *p)
{
	struct ring_consumer *c;
	int fds[RING_FDS], own[RING_FDS];

	ring_producer_fds(p, fds);
	for (int i = 0; i < RING_FDS; i++)
		own[i] = dup(fds[i]);
	if (ring_consumer_new(own, &c) < 0)
		peer_die("ring_consumer_new");
	return c;
}

static bool consume(void *ring, size_t size, uint64_t count)
{
	static struct ring_consumer *c;
	static uint64_t got;
	static uint8_t buf[RING_BODY_MAX];
	uint64_t end = got + count;
	unsigned behind = 0;
	struct ring_frame f;

	if (!c)
		c = attach(ring);
	while (got < end) {
		int r = ring_get(c, buf, &f);

		if (r == 0) {
			if (f.type != RING_FRAME_RECORD || f.len != size || f.t_ns != got ||
				!peer_right(buf, size, got))
				return false;
			got++;
			behind++;
		} else if (r != RING_E_EMPTY) {
			return false;
		}
		if (behind == BEHIND || (r == RING_E_EMPTY && behind)) {
			ring_release(c);
			behind = 0;
		}
		if (r == RING_E_EMPTY)
			peer_pause();
	}
	ring_release(c);
	return true;
}

const struct peer peer_ours = {"flowner", make, produce, consume};
