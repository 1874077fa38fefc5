/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ends of a ring as threads on one mapping: every frame or its loss arrives, whole, in order,
 * and no wake-up is lost. Built for ThreadSanitizer, which proves the ordering argument of ring.c
 * on the real code; ring-threads-mutants shows that it sees each seeded bug.
 *
 * usage: ring-threads [FRAMES]
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>

#include "shm/ring-internal.h"
#include "shm/ring.h"
#include "tap.h"

#define SLEEP_MS 5000 /* a sleeper nobody wakes looks at the ring itself after this */

struct producer_job {
	struct ring_producer *p;
	uint64_t frames;
	bool lossy; /* goes on when the ring is full, instead of waiting for room */
	uint64_t full;
	int error;
	bool stop; /* the consumer has given up; atomic */
};

static uint32_t random_next(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

static uint32_t body_len(uint64_t seq)
{
	uint32_t state = (uint32_t)seq * 2654435761u;

	return random_next(&state) % 300;
}

/* A put that waits: the ring's counting of losses must not see the waiting. */
static void wait_for_room(struct producer_job *j)
{
	uint64_t used;

	for (;;) {
		j->error = ring_producer_used(j->p, &used);
		if (j->error || used + 1024 <= RING_DATA_MIN ||
			__atomic_load_n(&j->stop, __ATOMIC_RELAXED))
			return;
		ring_commit(j->p);
		sched_yield();
	}
}

static void *produce(void *arg)
{
	struct producer_job *j = arg;
	uint32_t state = 1;
	uint8_t body[300];
	int r = 0;

	for (uint64_t seq = 0; seq < j->frames && r >= 0; seq++) {
		uint32_t len = body_len(seq);

		if (!j->lossy)
			wait_for_room(j);
		memset(body, (int)seq, len);
		r = ring_put(
			j->p, RING_FRAME_PACKET, 0, seq, 1, body, len / 2, body, len - len / 2);
		if (r == RING_E_FULL) {
			j->full++;
			sched_yield();
		}
		if (r >= 0 && random_next(&state) % 16 == 0)
			r = ring_commit(j->p);
		if (random_next(&state) % 1024 == 0)
			sched_yield(); /* lets the consumer find it empty */
	}
	while (r >= 0 && !__atomic_load_n(&j->stop, __ATOMIC_RELAXED)) {
		r = ring_put(j->p, RING_FRAME_END, 0, j->frames, 0, NULL, 0, NULL, 0);
		if (r < 0 || ring_commit(j->p) < 0 || r == 0)
			break;
		sched_yield();
	}
	if (r < 0)
		j->error = r;
	return NULL;
}

struct seen {
	uint64_t frames, losses, next, torn, disorder, lost_wakeups, sleeps;
	int error;
	bool end;
};

static void look(struct seen *s, const struct ring_frame *f, const uint8_t *body)
{
	if (f->type == RING_FRAME_LOSS) {
		const struct ring_loss *loss = (const struct ring_loss *)body;

		s->losses += loss->count;
		s->next += loss->count;
		return;
	}
	if (f->type == RING_FRAME_END)
		s->end = true;
	else
		s->frames++;
	s->disorder += f->t_ns != s->next;
	s->next = f->t_ns + 1;
	if (f->type == RING_FRAME_END)
		return;
	s->torn += f->len != body_len(f->t_ns);
	for (uint32_t i = 0; i < f->len; i++)
		s->torn += body[i] != (uint8_t)f->t_ns;
}

static void nap(struct ring_consumer *c, struct seen *s, uint64_t want)
{
	struct pollfd p = {.fd = ring_consumer_wake_fd(c), .events = POLLIN};

	if (!ring_sleep(c, want))
		return;
	s->sleeps++;
	if (poll(&p, 1, want > 1 ? 1 : SLEEP_MS) == 0 && ring_consumer_waiting(c) >= want &&
		poll(&p, 1, SLEEP_MS) == 0) /* it was still on its way */
		s->lost_wakeups++;
	ring_awake(c);
}

static void consume(struct ring_consumer *c, struct seen *s)
{
	_Alignas(8) static uint8_t body[RING_BODY_MAX];
	struct ring_frame f;
	uint32_t state = 7;

	while (!s->end && s->disorder + s->torn < 100) {
		int r = ring_get(c, body, &f);

		if (r == RING_E_EMPTY) {
			ring_release(c);
			nap(c, s,
				random_next(&state) % 4 ? 1
							: 1 + random_next(&state) % RING_DATA_MIN);
			continue;
		}
		if (r) {
			s->error = r;
			return;
		}
		look(s, &f, body);
		if (random_next(&state) % 8 == 0)
			ring_release(c);
	}
	ring_release(c);
}

static void run(uint64_t frames, bool lossy)
{
	struct producer_job j = {.frames = frames, .lossy = lossy};
	struct ring_consumer *c;
	struct seen s = {0};
	pthread_t thread;
	const char *how = lossy ? "dropping" : "waiting";

	if (ring_pair_on_memory(RING_DATA_MIN, 1, RING_LOSS_PACKET_RING, &j.p, &c) ||
		pthread_create(&thread, NULL, produce, &j))
		tap_bail("no ring or no thread");
	consume(c, &s);
	__atomic_store_n(&j.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	printf("# %s: %llu frames, %llu lost, %llu sleeps\n", how, (unsigned long long)s.frames,
		(unsigned long long)s.losses, (unsigned long long)s.sleeps);
	tap_ok(!s.error && !j.error, "%s: no end sees an impossible index (%d, %d)", how, s.error,
		j.error);
	tap_is_int(s.torn, 0, "%s: no torn frame", how);
	tap_is_int(s.disorder, 0, "%s: every frame or its loss, in order", how);
	tap_is_int(s.frames + s.losses, frames, "%s: seen + lost = sent", how);
	tap_is_int(s.losses, j.full, "%s: every refusal is in a loss record", how);
	tap_is_int(s.lost_wakeups, 0, "%s: no lost wake-up", how);
	ring_consumer_free(c);
	ring_producer_free(j.p);
}

int main(int argc, char **argv)
{
	uint64_t frames = argc > 1 ? strtoull(argv[1], NULL, 0) : 200000;

	run(frames, false);
	run(frames, true);
	return tap_done();
}
