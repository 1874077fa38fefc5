/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two processes on real segments, killed with SIGKILL again and again: the consumer at any time,
 * the producer once per ring. Every frame that was published arrives, whole and in order; frames
 * arrive again only from the tail on; the orphan ring is drained before the next ring is read.
 *
 * The consumer keeps its place in the stream in the ring's checkpoint, as the daemons do.
 *
 * usage: ring-processes [RINGS]
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shm/ring-internal.h"
#include "shm/ring.h"
#include "tap.h"

#define FRAMES_MAX 2000000u /* sequence numbers over the whole test */

/* Shared by all processes, written by one at a time; survives the killed ones. */
struct journal {
	uint64_t sent;      /* producer: next sequence number to put */
	uint64_t committed; /* producer: frames below this were covered by a finished commit */
	uint64_t dropped;   /* producer: ring_put() said RING_E_FULL; at most this many told */
	bool producer_gone; /* parent: the producer has been reaped */
	uint64_t errors;    /* consumer: torn, out of order, repeated from elsewhere, gap untold */
	uint64_t told;      /* consumer: losses told in-band, repeats included */
	uint64_t repeated;  /* consumer: frames delivered again */
	uint64_t lives;     /* consumer */
	uint64_t lost_wakeups;
	uint8_t delivered[FRAMES_MAX];
};

/* Two slots, so that a kill between checkpoint and release leaves the one that fits the tail. */
struct checkpoint {
	struct {
		uint64_t pos, next;
	} slot[2];
};

static struct journal *j;

static uint32_t body_len(uint64_t seq)
{
	return (uint32_t)(seq * 2654435761u >> 8) % 500;
}

static uint32_t random_next(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

static void produce(struct ring_producer *p)
{
	uint8_t body[500];
	uint32_t state = (uint32_t)j->sent + 1;

	while (j->sent < FRAMES_MAX - 1000) {
		uint64_t seq = j->sent;
		int r;

		memset(body, (int)seq, sizeof(body));
		j->sent = seq + 1;
		r = ring_put(p, RING_FRAME_PACKET, 0, seq, 1, body, body_len(seq), NULL, 0);
		if (r == RING_E_FULL) {
			j->dropped++;
			sched_yield();
		} else if (r) {
			_exit(5);
		}
		if (random_next(&state) % 8 == 0) {
			if (ring_commit(p) < 0)
				_exit(5);
			if (!ring_producer_pending_loss(p))
				j->committed = seq + 1;
		}
		if (random_next(&state) % 64 == 0)
			sched_yield();
	}
	pause();
}

static uint64_t resume(struct ring_consumer *c, uint64_t first)
{
	const struct checkpoint *k = ring_consumer_checkpoint(c);

	if (c->tail == 0)
		return first;
	for (int i = 0; i < 2; i++)
		if (k->slot[i].pos == c->tail)
			return k->slot[i].next;
	j->errors++;
	return first;
}

static void release(struct ring_consumer *c, uint64_t next, unsigned *slot)
{
	struct checkpoint *k = ring_consumer_checkpoint(c);

	if (c->cursor == c->tail)
		return;
	/* Never the slot that fits the tail as it is. */
	if (k->slot[*slot].pos == c->tail)
		*slot = !*slot;
	k->slot[*slot].pos = UINT64_MAX;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	k->slot[*slot].next = next;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	k->slot[*slot].pos = c->cursor;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	ring_release(c);
}

static uint64_t deal_with(const struct ring_frame *f, const uint8_t *body, uint64_t next)
{
	struct ring_loss loss;

	if (f->type == RING_FRAME_LOSS) {
		memcpy(&loss, body, sizeof(loss));
		j->told += loss.count;
		return next + loss.count;
	}
	if (f->type != RING_FRAME_PACKET || f->t_ns != next || f->len != body_len(next)) {
		j->errors++;
		return f->t_ns + 1;
	}
	for (uint32_t i = 0; i < f->len; i++)
		j->errors += body[i] != (uint8_t)next;
	j->repeated += j->delivered[next];
	j->delivered[next] = 1;
	return next + 1;
}

/* True if the producer was gone before this look at an empty ring. */
static bool nap(struct ring_consumer *c)
{
	struct pollfd p = {.fd = ring_consumer_wake_fd(c), .events = POLLIN};
	bool gone = __atomic_load_n(&j->producer_gone, __ATOMIC_ACQUIRE);

	if (!ring_sleep(c, 1))
		return false;
	if (gone) {
		ring_awake(c);
		return true;
	}
	/*
	 * The hang-up of the hand-over socket is played by a short timeout here. It is all that
	 * tells of a producer that was killed between publishing and ringing.
	 */
	if (poll(&p, 1, 20) == 0 && ring_consumer_waiting(c) && poll(&p, 1, 5000) == 0)
		j->lost_wakeups += !__atomic_load_n(&j->producer_gone, __ATOMIC_ACQUIRE);
	ring_awake(c);
	return false;
}

/* Exits 0 once the producer is gone and the ring is drained. */
static void consume(const int inherited[RING_FDS], uint64_t first)
{
	static uint8_t body[RING_BODY_MAX];
	struct ring_consumer *c;
	struct ring_frame f;
	uint32_t state = (uint32_t)++j->lives;
	unsigned slot = 0;
	int fds[RING_FDS], r;
	uint64_t next;

	for (int i = 0; i < RING_FDS; i++)
		fds[i] = dup(inherited[i]);
	r = ring_consumer_new(fds, &c);
	if (r)
		_exit(6);
	next = resume(c, first);
	for (;;) {
		r = ring_get(c, body, &f);
		if (r == 0) {
			next = deal_with(&f, body, next);
			if (random_next(&state) % 16 == 0)
				release(c, next, &slot);
			continue;
		}
		if (r != RING_E_EMPTY)
			_exit(7);
		release(c, next, &slot);
		if (nap(c)) {
			j->sent = next; /* where the next producer goes on: nobody else runs now */
			_exit(0);
		}
	}
}

static pid_t start_consumer(const int fds[RING_FDS], uint64_t first)
{
	pid_t pid = fork();

	if (pid == 0)
		consume(fds, first);
	return pid;
}

static void sleep_us(unsigned us)
{
	nanosleep(&(struct timespec){.tv_nsec = us * 1000L}, NULL);
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* One ring's life; false if something went wrong. */
static bool ring_life(uint64_t epoch, uint32_t *state, uint64_t *kills)
{
	uint64_t first = j->sent, committed, missing = 0;
	int fds[RING_FDS], status;
	struct ring_producer *p;
	pid_t producer, consumer;

	if (ring_producer_new(RING_DATA_MIN, epoch, RING_LOSS_PACKET_RING, &p))
		tap_bail("no ring");
	ring_producer_fds(p, fds);
	j->producer_gone = false;
	j->committed = first;
	producer = fork();
	if (producer == 0)
		produce(p);
	consumer = start_consumer(fds, first);
	for (int i = 0; i < 8; i++) {
		sleep_us(random_next(state) % 3000);
		stop(consumer);
		++*kills;
		if (i % 4 == 3) /* nobody reads for a while: the ring fills up */
			sleep_us(2000);
		consumer = start_consumer(fds, first);
	}
	sleep_us(random_next(state) % 3000);
	if (waitpid(producer, &status, WNOHANG) != 0) {
		printf("# the producer ended by itself: status %d\n", status);
		return false;
	}
	stop(producer);
	__atomic_store_n(&j->producer_gone, true, __ATOMIC_RELEASE);
	committed = j->committed;
	if (waitpid(consumer, &status, 0) != consumer || status != 0) {
		printf("# consumer status %d\n", status);
		return false;
	}
	ring_producer_free(p);
	if (j->sent < committed)
		missing += committed - j->sent;
	if (missing)
		printf("# %llu committed frames missing at the end\n", (unsigned long long)missing);
	return missing == 0;
}

int main(int argc, char **argv)
{
	uint64_t rings = argc > 1 ? strtoull(argv[1], NULL, 0) : 25, kills = 0, delivered = 0;
	uint32_t state = 5;
	bool right = true;

	j = mmap(NULL, sizeof(*j), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (j == MAP_FAILED)
		tap_bail("no memory");
	for (uint64_t i = 0; i < rings && right; i++)
		right = ring_life(i + 1, &state, &kills);
	for (uint64_t i = 0; i < j->sent; i++)
		delivered += j->delivered[i];
	printf("# %llu frames, %llu told as lost, %llu delivered again, %llu lives\n",
		(unsigned long long)delivered, (unsigned long long)j->told,
		(unsigned long long)j->repeated, (unsigned long long)j->lives);
	tap_ok(right, "%llu producers and %llu consumers killed, everything committed arrived",
		(unsigned long long)rings, (unsigned long long)kills);
	tap_ok(delivered > 1000, "%llu frames arrived", (unsigned long long)delivered);
	tap_is_int(j->errors, 0, "none torn, out of order, or missing without being told");
	tap_is_int(j->lost_wakeups, 0, "no lost wake-up");
	tap_ok(j->sent == 0 || delivered + j->dropped >= j->sent, "every gap is a counted drop");
	return tap_done();
}
