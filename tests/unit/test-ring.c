/* SPDX-License-Identifier: Apache-2.0 */
/* The ring's behaviour, one end at a time, in one process over the real segments. */
#include <errno.h>
#include <poll.h>

#include "shm/cleanup.h"
#include "shm/ring.h"
#include "tap.h"

struct pair {
	struct ring_producer *p;
	struct ring_consumer *c;
};

static uint8_t buf[RING_BODY_MAX], body[RING_BODY_MAX];

static struct ring_consumer *attach(struct ring_producer *p)
{
	struct ring_consumer *c = NULL;
	int fds[RING_FDS];

	ring_producer_fds(p, fds);
	for (int i = 0; i < RING_FDS; i++)
		fds[i] = dup(fds[i]);
	if (ring_consumer_new(fds, &c))
		tap_bail("a consumer cannot attach");
	return c;
}

static struct pair pair_new(void)
{
	struct pair t;

	if (ring_producer_new(RING_DATA_MIN, 7, RING_LOSS_PACKET_RING, &t.p))
		tap_bail("no ring");
	t.c = attach(t.p);
	return t;
}

static void pair_free(struct pair *t)
{
	ring_consumer_free(t->c);
	ring_producer_free(t->p);
}

static int put(struct pair *t, uint64_t t_ns, size_t len)
{
	memset(body, (int)t_ns, sizeof(body));
	return ring_put(t->p, RING_FRAME_PACKET, 0, t_ns, 1, body, len, NULL, 0);
}

static bool rung(struct ring_consumer *c)
{
	struct pollfd p = {.fd = ring_consumer_wake_fd(c), .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static void test_frames(void)
{
	_cleanup_(pair_free) struct pair t = pair_new();
	struct ring_frame f;

	tap_is_int(ring_consumer_epoch(t.c), 7, "epoch travels");
	tap_is_int(ring_consumer_size(t.c), RING_DATA_MIN, "size travels");
	tap_is_int(ring_get(t.c, buf, &f), RING_E_EMPTY, "a new ring is empty");
	tap_is_int(ring_put(t.p, RING_FRAME_PACKET, 5, 99, 1, "head", 4, "tail!", 5), 0, "put");
	tap_is_int(ring_get(t.c, buf, &f), RING_E_EMPTY, "nothing is visible before commit");
	tap_is_int(ring_commit(t.p), 0, "commit, nobody to wake");
	tap_is_int(ring_get(t.c, buf, &f), 0, "get");
	tap_ok(f.type == RING_FRAME_PACKET && f.flags == 5 && f.len == 9 && f.t_ns == 99,
		"header as put");
	tap_ok(!memcmp(buf, "headtail!", 9), "head and tail make the body");
	tap_is_int(f.pos, 16 + 16, "position behind the padded frame");
	tap_is_int(ring_get(t.c, buf, &f), RING_E_EMPTY, "then empty");
	tap_is_int(ring_put(t.p, RING_FRAME_RECORD, 0, 1, 1, body, RING_BODY_MAX, NULL, 0), 0,
		"largest body");
	tap_is_int(ring_put(t.p, RING_FRAME_RECORD, 0, 1, 1, body, RING_BODY_MAX, "x", 1),
		-EMSGSIZE, "one byte more is refused");
	tap_is_int(ring_put(t.p, RING_FRAME_RECORD, 0, 1, 1, body, SIZE_MAX, "xy", 2), -EMSGSIZE,
		"a sum that overflows is refused");
	tap_is_int(ring_put(t.p, RING_FRAME_END, 0, 1, 0, NULL, 0, NULL, 0), 0, "empty body");
	ring_commit(t.p);
	tap_ok(ring_get(t.c, buf, &f) == 0 && f.len == RING_BODY_MAX, "largest body read");
	tap_ok(ring_get(t.c, buf, &f) == 0 && f.type == RING_FRAME_END, "end read");
}

static void test_full(void)
{
	_cleanup_(pair_free) struct pair t = pair_new();
	struct ring_loss loss;
	struct ring_frame f;
	uint64_t used;
	unsigned n = 0;

	while (put(&t, 100 + n, 696) == 0)
		n++;
	tap_is_int(n, RING_DATA_MIN / 712, "fills to the last frame that fits");
	tap_is_int(ring_put(t.p, RING_FRAME_PACKET, 0, 500, 3, body, 696, NULL, 0), RING_E_FULL,
		"full");
	tap_is_int(ring_put(t.p, RING_FRAME_TIME, 0, 501, 0, NULL, 0, NULL, 0), RING_E_FULL,
		"no room for the loss record and the frame: neither goes in");
	tap_is_int(ring_producer_pending_loss(t.p), 2, "both packets counted, the time frame not");
	tap_is_int(ring_commit(t.p), 0, "commit");
	tap_is_int(ring_producer_pending_loss(t.p), 2, "no room for the loss record yet");
	for (unsigned i = 0; i < n; i++)
		if (ring_get(t.c, buf, &f) || f.t_ns != 100 + i)
			tap_ok(false, "frame %u", i);
	ring_release(t.c);
	tap_is_int(put(&t, 600, 10), 0, "room again");
	tap_is_int(ring_producer_pending_loss(t.p), 0, "the loss went in front");
	ring_commit(t.p);
	tap_ok(ring_get(t.c, &loss, &f) == 0 && f.type == RING_FRAME_LOSS, "loss first");
	tap_ok(loss.stage == RING_LOSS_PACKET_RING && loss.count == 2 && loss.packets == 4,
		"counts and packets summed");
	tap_ok(loss.first_ns == 100 + n && loss.last_ns == 500, "window of the loss");
	tap_ok(ring_get(t.c, buf, &f) == 0 && f.t_ns == 600, "then the frame");
	ring_release_to(t.c, f.pos);
	tap_ok(ring_producer_used(t.p, &used) == 0 && used == 0, "all released");
}

static void test_loss_on_commit(void)
{
	_cleanup_(pair_free) struct pair t = pair_new();
	struct ring_loss kernel = {RING_LOSS_KERNEL, 0, 5, 5, 10, 20}, loss;
	struct ring_loss wrong = {RING_LOSS_STAGES, 0, 1, 1, 1, 1};
	struct ring_frame f;

	while (put(&t, 1, 4080) == 0)
		;
	tap_is_int(ring_put_loss(t.p, &kernel, 30), 0, "a caller's loss waits in a full ring");
	tap_is_int(ring_put_loss(t.p, &kernel, 31), 0, "and is summed");
	tap_is_int(ring_put_loss(t.p, &wrong, 32), -EINVAL, "unknown stage");
	ring_commit(t.p);
	tap_is_int(ring_producer_pending_loss(t.p), 11, "1 of the ring, 10 of the kernel");
	while (ring_get(t.c, buf, &f) == 0)
		;
	ring_release(t.c);
	tap_is_int(ring_commit(t.p), 0, "a commit without a put carries the losses");
	tap_ok(ring_get(t.c, &loss, &f) == 0 && loss.stage == RING_LOSS_KERNEL && loss.count == 10,
		"the kernel's");
	tap_ok(ring_get(t.c, &loss, &f) == 0 && loss.stage == RING_LOSS_PACKET_RING, "the ring's");
	tap_is_int(ring_get(t.c, buf, &f), RING_E_EMPTY, "nothing else");
}

static void test_wake(void)
{
	_cleanup_(pair_free) struct pair t = pair_new();
	struct ring_frame f;

	tap_ok(ring_sleep(t.c, 1), "an empty ring lets the consumer sleep");
	tap_ok(!rung(t.c), "not woken yet");
	put(&t, 1, 8);
	tap_is_int(ring_commit(t.p), 1, "the first commit wakes");
	tap_ok(rung(t.c), "woken");
	put(&t, 1, 8);
	tap_is_int(ring_commit(t.p), 0, "the second does not");
	ring_awake(t.c);
	tap_ok(!rung(t.c), "the doorbell is empty again");
	tap_ok(!ring_sleep(t.c, 48), "48 bytes are there: no sleep");
	tap_ok(ring_sleep(t.c, 49), "49 are not");
	ring_awake(t.c);
	put(&t, 1, 8);
	tap_is_int(ring_commit(t.p), 0, "a withdrawn request does not wake");
	while (ring_get(t.c, buf, &f) == 0)
		;
	ring_release(t.c);
	tap_ok(ring_sleep(t.c, UINT64_MAX), "more than a ring");
	while (put(&t, 1, RING_BODY_MAX) == 0)
		;
	tap_is_int(ring_commit(t.p), 1, "a full ring wakes all the same");
}

static void test_wake_fails(void)
{
	_cleanup_(pair_free) struct pair t = pair_new();
	unsigned n = 0;

	while (n < 100000 && ring_wake(t.p) > 0)
		n++;
	tap_ok(n > 0 && n < 100000, "at some time the kernel takes no more");
	while (rung(t.c))
		ring_awake(t.c);
	tap_is_int(ring_commit(t.p), 1, "a wake-up that failed is made up for, frames or none");
	tap_ok(rung(t.c), "it arrives");
	tap_is_int(ring_commit(t.p), 0, "once");
}

static void test_restart(void)
{
	_cleanup_(pair_free) struct pair t = pair_new();
	struct ring_consumer *old;
	struct ring_frame f;

	for (unsigned i = 0; i < 4; i++)
		put(&t, i, 100);
	ring_commit(t.p);
	ring_get(t.c, buf, &f);
	ring_release(t.c);
	ring_get(t.c, buf, &f);
	memcpy(ring_consumer_checkpoint(t.c), "kept", 5);
	tap_ok(!ring_sleep(t.c, 1), "more is waiting");
	old = t.c;
	t.c = attach(t.p);
	ring_consumer_free(old);
	tap_ok(ring_get(t.c, buf, &f) == 0 && f.t_ns == 1, "the next consumer goes on at the tail");
	tap_is_str(ring_consumer_checkpoint(t.c), "kept", "and finds the checkpoint");
	ring_producer_free(t.p);
	t.p = NULL;
	tap_ok(ring_get(t.c, buf, &f) == 0 && f.t_ns == 2, "an orphan ring can be drained");
	tap_ok(ring_get(t.c, buf, &f) == 0 && f.t_ns == 3, "to its end");
	tap_is_int(ring_get(t.c, buf, &f), RING_E_EMPTY, "which is empty");
}

int main(void)
{
	struct ring_producer *p;

	tap_is_int(ring_producer_new(RING_DATA_MIN / 2, 1, RING_LOSS_KERNEL, &p), -EINVAL,
		"too small");
	tap_is_int(ring_producer_new(RING_DATA_MIN + 4096, 1, RING_LOSS_KERNEL, &p), -EINVAL,
		"not a power of two");
	test_frames();
	test_full();
	test_loss_on_commit();
	test_wake();
	test_wake_fails();
	test_restart();
	return tap_done();
}
