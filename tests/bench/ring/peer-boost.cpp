/* SPDX-License-Identifier: Apache-2.0 */
/* Boost's spsc_queue in shared memory: 32 pushed at once, copied out or looked at in place. */
#include <boost/lockfree/spsc_queue.hpp>
#include <new>

#include "bench/ring/peer.h"

namespace
{

template <size_t SIZE> struct frame {
	unsigned char bytes[SIZE];
};

template <size_t SIZE>
using queue = boost::lockfree::spsc_queue<frame<SIZE>, boost::lockfree::capacity<PEER_SLOTS>>;

template <size_t SIZE> void produce(void *ring, uint64_t count)
{
	auto *q = static_cast<queue<SIZE> *>(ring);
	static frame<SIZE> buf[PEER_BATCH];

	for (uint64_t sent = 0; sent < count;) {
		size_t n = count - sent < PEER_BATCH ? count - sent : PEER_BATCH, done = 0;

		for (size_t i = 0; i < n; i++)
			peer_fill(&buf[i], SIZE, sent++);
		while ((done += q->push(buf + done, n - done)) < n)
			peer_pause();
	}
}

template <size_t SIZE> bool consume(void *ring, uint64_t count)
{
	auto *q = static_cast<queue<SIZE> *>(ring);
	static frame<SIZE> buf[PEER_BATCH];
	static uint64_t got;

	for (uint64_t end = got + count; got < end;) {
		size_t most = end - got < PEER_BATCH ? end - got : PEER_BATCH;
		size_t n = q->pop(buf, most);

		for (size_t i = 0; i < n; i++)
			if (!peer_right(&buf[i], SIZE, got++))
				return false;
		if (!n)
			peer_pause();
	}
	return true;
}

template <size_t SIZE> bool consume_in_place(void *ring, uint64_t count)
{
	auto *q = static_cast<queue<SIZE> *>(ring);
	static uint64_t got, wanted; /* it takes all there is, maybe more than asked for */
	bool right = true;

	for (wanted += count; got < wanted;)
		if (!q->consume_all(
			    [&](const frame<SIZE> &f) { right &= peer_right(&f, SIZE, got++); }))
			peer_pause();
	return right;
}

template <size_t SIZE> void *make_one()
{
	return new (peer_memory(sizeof(queue<SIZE>))) queue<SIZE>;
}

void *make(size_t size)
{
	return size == 64 ? make_one<64>() : size == 128 ? make_one<128>() : make_one<512>();
}

void produce_any(void *ring, size_t size, uint64_t count)
{
	size == 64    ? produce<64>(ring, count)
	: size == 128 ? produce<128>(ring, count)
		      : produce<512>(ring, count);
}

bool consume_any(void *ring, size_t size, uint64_t count)
{
	return size == 64    ? consume<64>(ring, count)
	       : size == 128 ? consume<128>(ring, count)
			     : consume<512>(ring, count);
}

bool consume_any_in_place(void *ring, size_t size, uint64_t count)
{
	return size == 64    ? consume_in_place<64>(ring, count)
	       : size == 128 ? consume_in_place<128>(ring, count)
			     : consume_in_place<512>(ring, count);
}

} // namespace

const struct peer peer_boost = {"boost_spsc,_32_at_once", make, produce_any, consume_any};
const struct peer peer_boost_in_place = {
	"boost_spsc,_in_place", make, produce_any, consume_any_in_place};
