/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A way of handing frames of one size from one process to another, as ring-cost.c compares them.
 *
 * The ring is made before the fork; then one process produces, the other consumes, each on a CPU of
 * its own. Both spin while there is nothing to do: what is compared is the hand-over, not sleeping.
 *
 * Threads: one per end. Blocks: pipes and sockets only. Logs: no. Errors: peer_die() ends the
 * program.
 */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PEER_SLOTS    16384u /* frames in flight, where a ring has slots */
#define PEER_BATCH    32u    /* frames published at once, where that can be chosen */
#define PEER_SIZES    3u
#define PEER_SIZE_MAX 512u

struct peer {
	const char *name;
	/* @size: of a frame, bytes: 64, 128 or 512. */
	void *(*make)(size_t size);
	void (*produce)(void *ring, size_t size, uint64_t count);
	/* False if a frame was not the one that was sent. */
	bool (*consume)(void *ring, size_t size, uint64_t count);
};

extern const struct peer peer_ours, peer_pipe, peer_pipe_each, peer_socket, peer_memcpy;
extern const struct peer peer_ck, peer_rte, peer_rte_more, peer_boost, peer_boost_in_place;

void peer_die(const char *what) __attribute__((noreturn));
/* Memory that both processes share, zeroed. */
void *peer_memory(size_t len);

/* Each frame begins and ends with its number: whatever comes too early, late or torn shows. */
static inline void peer_fill(void *frame, size_t size, uint64_t number)
{
	memcpy(frame, &number, sizeof(number));
	memcpy((char *)frame + size - sizeof(number), &number, sizeof(number));
}

static inline bool peer_right(const void *frame, size_t size, uint64_t number)
{
	uint64_t first, last;

	memcpy(&first, frame, sizeof(first));
	memcpy(&last, (const char *)frame + size - sizeof(last), sizeof(last));
	return first == number && last == number;
}

/* While the other end has nothing to take or to give; lets it run where both share a CPU. */
static inline void peer_pause(void)
{
	static unsigned spun;

	if (++spun % 1024 == 0)
		sched_yield();
#if defined(__x86_64__) || defined(__i386__)
	else
		__builtin_ia32_pause();
#endif
}

#ifdef __cplusplus
}
#endif
