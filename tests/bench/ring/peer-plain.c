/* SPDX-License-Identifier: Apache-2.0 */
/* What the system itself offers: pipes, sockets, and copying as the limit. */
#include <sys/socket.h>
#include <unistd.h>

#include "bench/ring/peer.h"

#define BATCH 64u /* frames a write */

struct channel {
	int in, out;
};

static void *make_pipe(size_t size)
{
	struct channel *c = peer_memory(sizeof(*c));
	int fds[2];

	(void)size;
	if (pipe(fds) < 0)
		peer_die("pipe");
	*c = (struct channel){fds[0], fds[1]};
	return c;
}

static void *make_socket(size_t size)
{
	struct channel *c = peer_memory(sizeof(*c));
	int fds[2];

	(void)size;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		peer_die("socketpair");
	*c = (struct channel){fds[0], fds[1]};
	return c;
}

static void write_frames(struct channel *c, size_t size, uint64_t count, unsigned batch)
{
	static uint8_t buf[BATCH * PEER_SIZE_MAX];

	for (uint64_t sent = 0; sent < count;) {
		size_t len = 0;

		for (unsigned i = 0; i < batch && sent < count; i++, len += size)
			peer_fill(buf + len, size, sent++);
		for (size_t done = 0; done < len;) {
			ssize_t n = write(c->out, buf + done, len - done);

			if (n <= 0)
				peer_die("write");
			done += (size_t)n;
		}
	}
}

static void produce(void *ring, size_t size, uint64_t count)
{
	write_frames(ring, size, count, BATCH);
}

static void produce_each(void *ring, size_t size, uint64_t count)
{
	write_frames(ring, size, count, 1);
}

static bool consume(void *ring, size_t size, uint64_t count)
{
	static uint8_t buf[BATCH * PEER_SIZE_MAX];
	static size_t have, at;
	static uint64_t got;
	const struct channel *c = ring;

	for (uint64_t end = got + count; got < end; got++, at += size) {
		if (have - at < size) {
			memmove(buf, buf + at, have - at);
			have -= at;
			at = 0;
		}
		while (have - at < size) {
			ssize_t n = read(c->in, buf + have, sizeof(buf) - have);

			if (n <= 0)
				return false;
			have += (size_t)n;
		}
		if (!peer_right(buf + at, size, got))
			return false;
	}
	return true;
}

const struct peer peer_pipe = {"pipe,_64_a_write", make_pipe, produce, consume};
const struct peer peer_pipe_each = {"pipe,_a_write_each", make_pipe, produce_each, consume};
const struct peer peer_socket = {"UNIX_stream,_64_a_write", make_socket, produce, consume};

static void *make_memory(size_t size)
{
	return peer_memory(PEER_SLOTS * size);
}

/* Each frame into its slot, and out again when the writer is a batch ahead. */
static void copy_in_and_out(void *ring, size_t size, uint64_t count)
{
	uint8_t in[PEER_SIZE_MAX] = {0}, out[PEER_SIZE_MAX];

	for (uint64_t i = 0; i < count + PEER_BATCH; i++) {
		if (i < count) {
			peer_fill(in, size, i);
			memcpy((uint8_t *)ring + i % PEER_SLOTS * size, in, size);
		}
		if (i < PEER_BATCH)
			continue;
		memcpy(out, (uint8_t *)ring + (i - PEER_BATCH) % PEER_SLOTS * size, size);
		__asm__ volatile("" ::: "memory");
		if (!peer_right(out, size, i - PEER_BATCH))
			peer_die("memcpy");
	}
}

const struct peer peer_memcpy = {
	"limit:_memcpy_in_and_out,_one_process", make_memory, copy_in_and_out, NULL};
