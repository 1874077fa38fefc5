/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checkpoint under kills: a process that stores slots and moves the tail is killed at any
 * moment; what it leaves must belong together.
 */
#include "tap.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sink/checkpoint.h"

#define KILLS 300
#define STEPS 4000

struct shared {
	uint64_t tail;
	struct checkpoint c;
};

/* Everything a slot says follows from its tail, so that a mix of two slots shows. */
static struct checkpoint_slot slot_of(uint64_t tail)
{
	struct checkpoint_slot s = {0};

	for (unsigned i = 0; i < CHECKPOINT_COUNTERS; i++)
		s.counters[i] = tail * 3 + i;
	for (unsigned i = 0; i < CHECKPOINT_OUTPUTS; i++) {
		s.output[i].id = 1000 + i;
		s.output[i].offset = tail * 7 + i;
	}
	return s;
}

static void release_all(struct shared *s, uint64_t rounds)
{
	for (uint64_t i = 0; i < rounds; i++) {
		uint64_t next = s->tail + 8;
		struct checkpoint_slot slot = slot_of(next);

		checkpoint_store(&s->c, s->tail, next, &slot);
		__atomic_store_n(&s->tail, next, __ATOMIC_RELEASE);
	}
}

static bool is_whole(const struct shared *s)
{
	const struct checkpoint_slot *found = checkpoint_find(&s->c, s->tail);
	struct checkpoint_slot want = slot_of(s->tail);

	return found && !memcmp(found->counters, want.counters, sizeof(want.counters)) &&
	       !memcmp(found->output, want.output, sizeof(want.output));
}

static void begin(struct shared *s)
{
	struct checkpoint_slot first = slot_of(64);

	memset(s, 0, sizeof(*s));
	s->tail = 64;
	checkpoint_store(&s->c, 64, 64, &first);
}

static void test_kills(struct shared *s)
{
	unsigned broken = 0;
	uint64_t moved;

	begin(s);
	for (int i = 0; i < KILLS; i++) {
		pid_t pid = fork();

		if (pid == 0)
			release_all(s, UINT64_MAX);
		usleep((useconds_t)(rand() % 300));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		broken += !is_whole(s);
	}
	moved = s->tail;
	tap_is_int(broken, 0, "%d kills: the tail always has its whole slot", KILLS);
	tap_ok(moved > 64 + KILLS, "and it has moved (to %llu)", (unsigned long long)moved);
}

/* At every instruction of a few releases. */
static void test_steps(struct shared *s)
{
	unsigned steps = 0, broken = 0;
	int status;
	pid_t pid;

	begin(s);
	pid = fork();
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		release_all(s, 4);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
		tap_skip("single steps", "no ptrace here");
		return;
	}
	while (steps < STEPS * 100 && ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0 &&
		waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		steps++;
		broken += !is_whole(s);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	tap_is_int(broken, 0, "after each of %u instructions the tail has its whole slot", steps);
	tap_is_int(s->tail, 64 + 4 * 8, "and all releases were seen");
}

static void test_find(void)
{
	struct checkpoint c = {0};
	struct checkpoint_slot s = slot_of(8);
	uint64_t offset = 1;

	tap_ok(!checkpoint_find(&c, 0), "fresh memory holds no checkpoint, not even of tail 0");
	checkpoint_store(&c, 0, 0, &s);
	tap_ok(checkpoint_find(&c, 0) && !checkpoint_find(&c, 8), "found for its own tail only");
	s = slot_of(16);
	checkpoint_store(&c, 0, 0, &s);
	tap_ok(checkpoint_offset(checkpoint_find(&c, 0), 1003, &offset) && offset == 16 * 7 + 3,
		"a newer word on the same tail counts");
	tap_ok(!checkpoint_offset(&s, 0, &offset) && !checkpoint_offset(&s, 999, &offset),
		"an unknown file and a stream have no place");
}

int main(void)
{
	struct shared *s =
		mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (s == MAP_FAILED)
		tap_bail("mmap");
	srand(5);
	test_find();
	test_kills(s);
	test_steps(s);
	return tap_done();
}
