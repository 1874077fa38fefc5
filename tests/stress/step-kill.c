/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill -9 at every instruction: single-steps a child through put, put, commit and through get,
 * release, and looks after EVERY instruction at what the next consumer would find if the child died
 * right there: a valid prefix of what was sent, every frame whole, nothing lost.
 *
 * usage: step-kill [--expect-damage]     the latter for builds with a seeded bug (RING_MUTANT)
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "shm/ring-internal.h"
#include "shm/ring.h"
#include "tap.h"

#define FRAMES   6
#define BODY_MAX 200

/* What the child has got done, told in shared memory; counts only whole operations. */
struct progress {
	uint64_t begun;     /* frames whose put has been called */
	uint64_t committed; /* frames covered by a commit that has returned */
	uint64_t got;       /* frames whose get has returned */
};

static struct progress *progress;
static struct ring_page_b *snapshot; /* private copy of B: looking must not touch the real one */
static uint64_t points, torn, lost;
static uint64_t base; /* index at which the first frame was put */

static uint32_t body_len(uint64_t i)
{
	return (uint32_t)(7 + i * 61) % BODY_MAX;
}

static uint8_t body_byte(uint64_t i, uint32_t at)
{
	return (uint8_t)(0x11 + i * 16 + at);
}

static void put(struct ring_producer *p, uint64_t i)
{
	uint8_t body[BODY_MAX];

	for (uint32_t at = 0; at < body_len(i); at++)
		body[at] = body_byte(i, at);
	progress->begun = i + 1;
	if (ring_put(p, RING_FRAME_PACKET, 0, i, 1, body, 4, body + 4, body_len(i) - 4))
		_exit(3);
}

static bool whole(const struct ring_frame *f, const uint8_t *body, uint64_t i)
{
	if (f->type != RING_FRAME_PACKET || f->t_ns != i || f->len != body_len(i))
		return false;
	for (uint32_t at = 0; at < f->len; at++)
		if (body[at] != body_byte(i, at))
			return false;
	return true;
}

/* Index of the frame that starts at @pos, FRAMES if it is the end of the last one, else -1. */
static int64_t frame_at(uint64_t pos)
{
	uint64_t at = base;

	for (int64_t i = 0; i <= FRAMES; i++) {
		if (at == pos)
			return i;
		at += ring_frame_size(body_len((uint64_t)i));
	}
	return -1;
}

/* The child stands still: read the ring as its successor or its peer would. */
static void look(const struct ring_page_a *a, size_t a_len, const struct ring_page_b *b)
{
	static uint8_t body[RING_BODY_MAX];
	struct ring_consumer *c;
	struct ring_frame f;
	int64_t i;
	int r;

	points++;
	memcpy(snapshot, b, sizeof(*b));
	if (ring_consumer_on_memory(a, a_len, snapshot, -1, &c)) {
		torn++;
		return;
	}
	i = frame_at(c->tail);
	if (i < 0 || (uint64_t)i > progress->got) /* released before it had been read */
		lost++;
	while ((r = ring_get(c, body, &f)) == 0) {
		if (i < 0 || (uint64_t)i >= progress->begun || !whole(&f, body, (uint64_t)i))
			torn++;
		i++;
	}
	torn += r != RING_E_EMPTY;
	lost += i < 0 || (uint64_t)i < progress->committed;
	ring_consumer_free(c);
}

/* Steps the child from its first SIGSTOP to its end; -1 if it did not end well. */
static int step(pid_t child, const struct ring_page_a *a, size_t a_len, const struct ring_page_b *b)
{
	int status;

	if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
		return -1;
	for (;;) {
		if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) < 0)
			return -1;
		if (waitpid(child, &status, 0) != child)
			return -1;
		if (WIFEXITED(status))
			return WEXITSTATUS(status) == 0 ? 0 : -1;
		if (WIFSIGNALED(status) || WSTOPSIG(status) != SIGTRAP)
			return -1;
		look(a, a_len, b);
	}
}

static void traced(void)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		_exit(2);
	raise(SIGSTOP);
}

static void child_producer(struct ring_producer *p)
{
	traced();
	for (uint64_t i = 0; i < FRAMES; i += 2) {
		put(p, i);
		put(p, i + 1);
		if (ring_commit(p) < 0)
			_exit(3);
		progress->committed = i + 2;
	}
	_exit(0);
}

static void child_consumer(struct ring_consumer *c)
{
	static uint8_t body[RING_BODY_MAX];
	struct ring_frame f;

	traced();
	for (uint64_t i = 0; i < FRAMES; i++) {
		if (ring_get(c, body, &f))
			_exit(3);
		progress->got = i + 1;
		if (i % 2)
			ring_release(c);
	}
	_exit(0);
}

/* Moves both ends to just in front of the end of the data area, so that frames wrap. */
static void advance(struct ring_producer *p, struct ring_consumer *c)
{
	static uint8_t body[RING_BODY_MAX];
	struct ring_frame f;
	uint64_t to = RING_DATA_MIN - 200;

	while (p->pos < to) {
		uint64_t left = to - p->pos, len = left < 4096 ? left - RING_HEADER : 4000;

		if (ring_put(p, RING_FRAME_PACKET, 0, 0, 1, body, len, NULL, 0) ||
			ring_commit(p) < 0 || ring_get(c, body, &f))
			tap_bail("the ring cannot be advanced");
		ring_release(c);
	}
	base = p->pos;
}

static void report(const char *what, int r, bool expect_damage)
{
	printf("# %s: %llu kill points, %llu torn, %llu lost\n", what, (unsigned long long)points,
		(unsigned long long)torn, (unsigned long long)lost);
	if (expect_damage)
		return;
	tap_is_int(r, 0, "%s: the child ran to its end", what);
	tap_ok(points > 500, "%s: stepped through %llu instructions", what,
		(unsigned long long)points);
	tap_is_int(torn, 0, "%s: no torn frame at any instruction", what);
	tap_is_int(lost, 0, "%s: nothing published is lost at any instruction", what);
}

int main(int argc, char **argv)
{
	bool expect_damage = argc > 1 && !strcmp(argv[1], "--expect-damage");
	struct ring_producer *p;
	struct ring_consumer *c;
	uint64_t damage;
	size_t a_len = RING_PAGE + RING_DATA_MIN;
	pid_t child;
	int r;

	progress = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	snapshot = aligned_alloc(RING_LINE, sizeof(*snapshot));
	if (progress == MAP_FAILED || !snapshot ||
		ring_pair_on_memory(RING_DATA_MIN, 1, RING_LOSS_PACKET_RING, &p, &c))
		tap_bail("no memory");
	advance(p, c);

	child = fork();
	if (child == 0)
		child_producer(p);
	r = step(child, p->a, a_len, c->b);
	report("put, put, commit", r, expect_damage);
	damage = torn + lost;
	points = torn = lost = 0;

	progress->begun = progress->committed = FRAMES;
	child = fork();
	if (child == 0)
		child_consumer(c);
	r = step(child, p->a, a_len, c->b);
	report("get, release", r, expect_damage);
	damage += torn + lost;

	if (expect_damage)
		tap_ok(damage > 0, "the seeded bug shows at %llu places",
			(unsigned long long)damage);
	ring_consumer_free(c);
	ring_producer_free(p);
	return tap_done();
}
