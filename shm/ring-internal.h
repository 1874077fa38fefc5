/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring's memory layout and both ends' private state, for ring.c, ring-attach.c and the tests.
 *
 * Threads: one thread per end. Blocks: never. Logs: no.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/ring.h"

#define RING_LINE 128u /* two cache lines: the prefetcher pulls pairs */

/* First page of segment A; the data area follows it. */
struct ring_page_a {
	uint64_t magic;
	uint32_t version;
	uint32_t page;  /* RING_PAGE */
	uint32_t align; /* RING_ALIGN */
	uint32_t body_max;
	uint64_t data_size;
	uint64_t epoch;
	uint64_t before, before_records;   /* ring_producer_set_before() */
	_Alignas(RING_LINE) uint64_t head; /* published by the producer */
};

/* Segment B. All zero at birth: tail 0, no wake-up wanted (no head crosses index 0). */
struct ring_page_b {
	uint64_t tail;                        /* released by the consumer */
	_Alignas(RING_LINE) uint64_t wake_at; /* wake when the head reaches this index */
	_Alignas(RING_LINE) uint8_t checkpoint[RING_CHECKPOINT];
};

_Static_assert(sizeof(struct ring_page_a) <= RING_PAGE, "index page of A");
_Static_assert(sizeof(struct ring_page_b) <= RING_PAGE, "segment B");

#define RING_AHEAD  4096u /* bytes the consumer asks its cache for ahead */
#define RING_HEADER 16u   /* bytes: {length u32, type u16, flags u16}, {t_ns u64} */

static inline uint64_t ring_frame_size(uint64_t len)
{
	return RING_HEADER + ((len + RING_ALIGN - 1) & ~(uint64_t)(RING_ALIGN - 1));
}

/* Losses of one stage, not yet delivered in-band. */
struct ring_pending {
	struct ring_loss loss; /* count 0 = none */
	uint64_t t_ns;
};

#define RING_STAGES RING_LOSS_STAGES
#define RING_GATHER 16384u /* bytes of frames that go over to the ring in one piece */

struct ring_producer {
	struct ring_page_a *a;
	uint8_t *data;
	const struct ring_page_b *b;
	uint64_t size;
	uint64_t pos;       /* frames end here, those still gathered included */
	uint64_t over;      /* gone over to the ring up to here: gathered begins with this byte */
	uint64_t published; /* == a->head, which is never read back */
	uint64_t tail;      /* last good look at b->tail */
	bool broken;        /* the consumer wrote an impossible index: -EPROTO from now on */
	enum ring_loss_stage stage;
	struct ring_pending pending[RING_STAGES];
	uint64_t pending_size; /* of the frames they will be, bytes */
	int fds[RING_FDS];
	int ring_fd;      /* our end of the doorbell */
	bool unrung;      /* the consumer was to be woken, and the kernel could not */
	size_t b_map_len; /* 0: B is part of the mapping of A (ring_pair_on_memory) */
	_Alignas(8) uint8_t gathered[RING_GATHER + RING_HEADER + RING_BODY_MAX];
};

struct ring_consumer {
	const struct ring_page_a *a;
	const uint8_t *data;
	struct ring_page_b *b;
	uint64_t size;
	uint64_t epoch;
	uint64_t before, before_records;
	uint64_t cursor;  /* read up to here */
	uint64_t fetched; /* asked the cache for up to here */
	uint64_t tail;    /* == b->tail, which is never read back */
	uint64_t head;    /* last good look at a->head */
	bool broken; /* the producer wrote an impossible index or header: -EPROTO from now on */
	int fds[RING_FDS];
	bool mapped; /* A and B are this consumer's own mappings */
};

/*
 * Attaches to memory somebody else mapped and will unmap: @a_len bytes at @a, one page at @b, and
 * the doorbell to poll (not owned). Checks what ring_consumer_new() checks in the memory.
 */
int ring_consumer_on_memory(
	const void *a, size_t a_len, void *b, int wake_fd, struct ring_consumer **ret);

/*
 * Both ends on ONE mapping of ordinary memory, for two threads: ThreadSanitizer sees nothing
 * across two mappings of the same pages. Free the consumer first.
 */
int ring_pair_on_memory(size_t data_size, uint64_t epoch, enum ring_loss_stage loss_stage,
	struct ring_producer **ret_p, struct ring_consumer **ret_c);

/* Fills the geometry of a fresh segment A. */
void ring_page_init(struct ring_page_a *a, uint64_t data_size, uint64_t epoch);
