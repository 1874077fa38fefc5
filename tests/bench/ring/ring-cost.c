/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What handing a frame to another process costs by several ways.
 *
 *	ring-cost COUNT ROUNDS [NAME]	each way (whose name has NAME in it) and size in turn, a
 *line "NAME SIZE NS-PER-FRAME" each
 *	ring-cost wake BATCHES	our ring with a consumer that sleeps: "batches N wakes N sleeps N"
 *
 * The producer runs on the first CPU, the consumer on the last. Exits with 1 if a frame was wrong.
 */
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/ring/peer.h"
#include "shm/ring.h"

static const struct peer *const peers[] = {
	&peer_ours,
#ifdef HAVE_CK
	&peer_ck,
#endif
#ifdef HAVE_RTE
	&peer_rte,
	&peer_rte_more,
#endif
#ifdef HAVE_BOOST
	&peer_boost,
	&peer_boost_in_place,
#endif
	&peer_pipe,
	&peer_pipe_each,
	&peer_socket,
	&peer_memcpy,
};
static const size_t sizes[PEER_SIZES] = {64, 128, 512};

void peer_die(const char *what)
{
	perror(what);
	exit(1);
}

void *peer_memory(size_t len)
{
	void *m = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE,
		-1, 0);

	if (m == MAP_FAILED)
		peer_die("mmap");
	return m;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void pin(bool last)
{
	cpu_set_t all, one;
	int cpu = -1;

	if (sched_getaffinity(0, sizeof(all), &all) < 0)
		peer_die("sched_getaffinity");
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &all) && (cpu < 0 || last))
			cpu = i;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0)
		peer_die("sched_setaffinity");
}

/* The child dies with its parent. */
static bool in_child(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		peer_die("fork");
	if (pid)
		return false;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	return true;
}

static bool child_worked(void)
{
	int status;

	return wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Ends this process: each pair has a parent of its own, so that nobody inherits another's CPU. */
static void one(const struct peer *p, size_t size, uint64_t count)
{
	uint64_t warm = count / 2 < 2 * PEER_SLOTS ? count / 2 : 2 * PEER_SLOTS, begin;
	void *ring = p->make(size);
	bool right;

	if (!p->consume) { /* no second process */
		pin(true);
		p->produce(ring, size, warm);
		begin = now_ns();
		p->produce(ring, size, count);
		printf("%s %zu %.3f\n", p->name, size, (double)(now_ns() - begin) / (double)count);
		exit(0);
	}
	if (in_child()) {
		pin(false);
		p->produce(ring, size, count);
		_exit(0);
	}
	pin(true);
	/* The producer is there, and both have touched every page. */
	right = p->consume(ring, size, warm);
	begin = now_ns();
	right = right && p->consume(ring, size, count - warm);
	printf("%s %zu %.3f\n", p->name, size, (double)(now_ns() - begin) / (double)(count - warm));
	exit(child_worked() && right ? 0 : 1);
}

/* ---- wake-ups ---- */

static void wake_consumer(const int fds[RING_FDS])
{
	static uint8_t buf[RING_BODY_MAX];
	struct ring_consumer *c;
	struct ring_frame f;
	uint64_t slept = 0;
	int own[RING_FDS], r = 0;

	for (int i = 0; i < RING_FDS; i++)
		own[i] = dup(fds[i]);
	if (ring_consumer_new(own, &c) < 0)
		peer_die("ring_consumer_new");
	for (;;) {
		while ((r = ring_get(c, buf, &f)) == 0 && f.type != RING_FRAME_END)
			;
		ring_release(c);
		if (r != RING_E_EMPTY)
			break;
		if (ring_sleep(c, 1)) {
			struct pollfd fd = {.fd = ring_consumer_wake_fd(c), .events = POLLIN};

			slept++;
			poll(&fd, 1, -1);
			ring_awake(c);
		}
	}
	printf("sleeps %lu\n", (unsigned long)slept);
	fflush(stdout);
	_exit(r == 0 ? 0 : 1);
}

/* Batches of 64 frames, 200 us apart. */
static int wake(uint64_t batches)
{
	const char frame[64] = {0};
	struct ring_producer *p;
	uint64_t wakes = 0;
	int fds[RING_FDS];

	if (ring_producer_new(1 << 20, 1, RING_LOSS_RECORD_RING, &p) < 0)
		peer_die("ring_producer_new");
	ring_producer_fds(p, fds);
	if (in_child()) {
		pin(true);
		wake_consumer(fds);
	}
	pin(false);
	for (uint64_t b = 0; b < batches; b++) {
		for (int i = 0; i < 64; i++)
			if (ring_put(p, RING_FRAME_RECORD, 0, 0, 1, frame, sizeof(frame), NULL, 0))
				return 1;
		wakes += ring_commit(p) == 1;
		usleep(200);
	}
	if (ring_put(p, RING_FRAME_END, 0, 0, 0, NULL, 0, NULL, 0) || ring_commit(p) < 0)
		return 1;
	printf("batches %lu\nwakes %lu\n", (unsigned long)batches, (unsigned long)wakes);
	fflush(stdout);
	return child_worked() ? 0 : 1;
}

int main(int argc, char **argv)
{
	uint64_t count = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
	unsigned long rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
	const char *name = argc > 3 ? argv[3] : "";
	bool right = true;

	if (argc == 3 && !strcmp(argv[1], "wake") && rounds)
		return wake(rounds);
	if (count < 2 || !rounds) {
		fprintf(stderr, "ring-cost: see the head of its source\n");
		return 64;
	}
	while (rounds--)
		for (size_t s = 0; s < PEER_SIZES; s++)
			for (size_t i = 0; i < sizeof(peers) / sizeof(*peers); i++) {
				if (!strstr(peers[i]->name, name))
					continue;
				if (in_child())
					one(peers[i], sizes[s], count);
				right &= child_worked();
			}
	return right ? 0 : 1;
}
