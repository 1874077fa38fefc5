/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring's algorithm: frames in, frames out, losses, wake-ups.
 *
 * Ordering. Every atomic line below carries its label; partners stand on the same line.
 *
 *   producer                                   consumer
 *   --------                                   --------
 *   ring_put:                                  ring_get:
 *     tail = load(B.tail)           D <------    ... copies of the frames' bytes
 *     gather frames                            ring_release:
 *     write their bytes               ------ C   store(B.tail, cursor)
 *   ring_commit:
 *     write what is still gathered
 *     store(A.head, pos)            A ------>  ring_get:
 *                                            B   head = load(A.head)
 *                                                header words: one relaxed load each
 *                                                copy body out, barrier
 *
 *     store(A.head, pos)            A          ring_sleep:
 *     w = load(B.wake_at)           F <----- E   store(B.wake_at, index)
 *     old < w <= pos: doorbell        -----> G   head = load(A.head); enough: do not sleep
 *
 * A, release, pairs with B, acquire. Without A the head may become visible before the frame it
 *   covers, without B the frame's bytes may be read before the head that allows it: the consumer
 *   takes old bytes for a frame (torn or stale record, or a bogus -EPROTO).
 * C, release, pairs with D, acquire. Without C the tail may be visible while the consumer still
 *   copies, without D the producer may write before it has seen the tail: a frame is overwritten
 *   while it is being copied (torn record).
 * A, E, F, G are also sequentially consistent: of the two store-then-load pairs {A, F} and {E, G}
 *   at least one load sees the other side's store. If any were weaker, both may read the old
 *   value (a store buffer is enough): the consumer sleeps on a full ring, a lost wake-up.
 *   (Atomic operations rather than fences, because ThreadSanitizer does not model fences.)
 *
 * A single wake-up per request: the head is monotonic, so exactly one commit crosses wake_at.
 *
 * Distrust. Either end keeps its own index in private memory and never reads it back. The peer's is
 * range-checked at every look (it can only move forward, by at most what is free or published, in
 * steps of RING_ALIGN); an impossible one breaks the ring for good. Each header word is loaded
 * once; the body is copied once, and only the copy is looked at.
 */
#include "shm/ring.h"

#include <errno.h>
#include <string.h>

#include "shm/doorbell.h"
#include "shm/ring-internal.h"

/* The tests build this file with seeded bugs to prove that they would see them (tests/stress). */
#ifndef RING_MUTANT
#define RING_MUTANT 0
#endif
#define ORDER_A              (RING_MUTANT == 1 ? __ATOMIC_RELAXED : __ATOMIC_SEQ_CST)
#define ORDER_B              (RING_MUTANT == 2 ? __ATOMIC_RELAXED : __ATOMIC_ACQUIRE)
#define ORDER_C              (RING_MUTANT == 3 ? __ATOMIC_RELAXED : __ATOMIC_RELEASE)
#define ORDER_D              (RING_MUTANT == 4 ? __ATOMIC_RELAXED : __ATOMIC_ACQUIRE)
#define COPY_MAX             256u
#define MUTANT_HEAD_FIRST    (RING_MUTANT == 5) /* publishes a frame before its body is written */
#define MUTANT_RELEASE_FIRST (RING_MUTANT == 6) /* releases a frame before it is copied */

/* Both ends --------------------------------------------------------------------------------- */

static uint64_t frame_word(uint32_t len, uint16_t type, uint16_t flags)
{
	return (uint64_t)flags << 48 | (uint64_t)type << 32 | len;
}

/* True if the peer's index @now is possible: behind @last by at most @room, aligned. */
static bool index_possible(uint64_t now, uint64_t last, uint64_t room)
{
	return now - last <= room && now % RING_ALIGN == 0;
}

/* Short frames are not worth a call of memcpy(). Some bytes may be copied twice. */
static inline void copy(uint8_t *to, const uint8_t *from, size_t len)
{
	size_t i;

	if (len < 16 || len > COPY_MAX) {
		memcpy(to, from, len);
	} else if (len < 32) {
		memcpy(to, from, 16);
		memcpy(to + len - 16, from + len - 16, 16);
	} else {
		for (i = 0; i + 32 < len; i += 32)
			memcpy(to + i, from + i, 32);
		memcpy(to + len - 32, from + len - 32, 32);
	}
}

/* Producer ---------------------------------------------------------------------------------- */

static int producer_look(struct ring_producer *p)
{
	uint64_t tail = __atomic_load_n(&p->b->tail, ORDER_D); /* D, partner C */

	if (p->broken || !index_possible(tail, p->tail, p->published - p->tail)) {
		p->broken = true;
		return -EPROTO;
	}
	p->tail = tail;
	return 0;
}

/* 0 if @need bytes are free, RING_E_FULL, -EPROTO. */
static int producer_room(struct ring_producer *p, uint64_t need)
{
	int r;

	if (p->broken)
		return -EPROTO;
	if (p->pos - p->tail + need <= p->size)
		return 0;
	r = producer_look(p);
	if (r < 0)
		return r;
	return p->pos - p->tail + need <= p->size ? 0 : RING_E_FULL;
}

/*
 * What is gathered goes over in one piece: stores into lines that the consumer's CPU has wait for
 * each of them, and many small ones fill the store buffer long before enough lines are asked for.
 */
__attribute__((noinline)) static void producer_over(struct ring_producer *p)
{
	uint64_t at = p->over & (p->size - 1), len = p->pos - p->over;
	size_t first = p->size - at < len ? p->size - at : len;

	if (MUTANT_HEAD_FIRST)
		__atomic_store_n(&p->a->head, p->pos, __ATOMIC_RELEASE);
	memcpy(p->data + at, p->gathered, first);
	memcpy(p->data, p->gathered + first, len - first);
	p->over = p->pos;
}

/* Room has been checked. Inlined into ring_put(): most of its cost was passing the arguments on. */
__attribute__((always_inline)) static inline void producer_write(struct ring_producer *p,
	enum ring_frame_type type, uint16_t flags, uint64_t t_ns, const void *head, size_t head_len,
	const void *tail, size_t tail_len)
{
	uint8_t *to = p->gathered + (p->pos - p->over);
	uint64_t *words = (uint64_t *)to;

	words[0] = frame_word((uint32_t)(head_len + tail_len), (uint16_t)type, flags);
	words[1] = t_ns;
	if (head_len)
		copy(to + RING_HEADER, head, head_len);
	if (tail_len)
		copy(to + RING_HEADER + head_len, tail, tail_len);
	p->pos += ring_frame_size(head_len + tail_len);
	if (p->pos - p->over >= RING_GATHER)
		producer_over(p);
}

__attribute__((noinline)) static void pending_write(struct ring_producer *p)
{
	p->pending_size = 0;
	for (unsigned s = 0; s < RING_STAGES; s++) {
		struct ring_pending *n = &p->pending[s];

		if (!n->loss.count)
			continue;
		producer_write(p, RING_FRAME_LOSS, 0, n->t_ns, &n->loss, sizeof(n->loss), NULL, 0);
		*n = (struct ring_pending){0};
	}
}

static void pending_add(struct ring_producer *p, const struct ring_loss *loss, uint64_t t_ns)
{
	struct ring_pending *n = &p->pending[loss->stage];

	if (!n->loss.count) {
		p->pending_size += ring_frame_size(sizeof(struct ring_loss));
		n->loss = *loss;
		n->loss.reserved = 0;
	} else {
		n->loss.count += loss->count;
		n->loss.packets += loss->packets;
		if (loss->first_ns < n->loss.first_ns)
			n->loss.first_ns = loss->first_ns;
		if (loss->last_ns > n->loss.last_ns)
			n->loss.last_ns = loss->last_ns;
	}
	n->t_ns = t_ns;
}

__attribute__((noinline)) static void pending_add_one(
	struct ring_producer *p, uint64_t packets, uint64_t t_ns)
{
	struct ring_loss loss = {
		.stage = p->stage,
		.count = 1,
		.packets = packets,
		.first_ns = t_ns,
		.last_ns = t_ns,
	};

	pending_add(p, &loss, t_ns);
}

int ring_put(struct ring_producer *p, enum ring_frame_type type, uint16_t flags, uint64_t t_ns,
	uint64_t packets, const void *head, size_t head_len, const void *tail, size_t tail_len)
{
	int r;

	if (head_len > RING_BODY_MAX || tail_len > RING_BODY_MAX - head_len)
		return -EMSGSIZE;
	r = producer_room(p, p->pending_size + ring_frame_size(head_len + tail_len));
	if (r == RING_E_FULL && (type == RING_FRAME_PACKET || type == RING_FRAME_RECORD))
		pending_add_one(p, packets, t_ns);
	if (r)
		return r;
	if (p->pending_size)
		pending_write(p);
	producer_write(p, type, flags, t_ns, head, head_len, tail, tail_len);
	return 0;
}

int ring_put_loss(struct ring_producer *p, const struct ring_loss *loss, uint64_t t_ns)
{
	int r;

	if (loss->stage < RING_LOSS_KERNEL || loss->stage >= RING_STAGES || !loss->count)
		return -EINVAL;
	pending_add(p, loss, t_ns);
	r = producer_room(p, p->pending_size);
	if (r == 0)
		pending_write(p);
	return r < 0 ? r : 0;
}

int ring_prepare(struct ring_producer *p, uint64_t *ret_head)
{
	uint64_t need = p->pending_size;
	int r = producer_room(p, need);

	if (r < 0)
		return r;
	if (r == 0 && need)
		pending_write(p);
	producer_over(p);
	*ret_head = p->pos;
	return 0;
}

bool ring_publish(struct ring_producer *p)
{
	uint64_t old = p->published, wake_at;

	if (p->pos == old)
		return p->unrung;
	producer_over(p);
	p->published = p->pos;
	__atomic_store_n(&p->a->head, p->pos, ORDER_A);              /* A, partners B and G */
	wake_at = __atomic_load_n(&p->b->wake_at, __ATOMIC_SEQ_CST); /* F, partner E */
	/* old < wake_at <= head; RING_WAKE_NEVER, 0 and nonsense are outside. */
	return p->unrung || wake_at - old - 1 < p->pos - old;
}

int ring_wake(struct ring_producer *p)
{
	bool rung = doorbell_ring(p->ring_fd);

	/* Nobody would ring for these frames again: whoever waits for them sleeps on. */
	p->unrung = !rung && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM);
	return rung;
}

int ring_commit(struct ring_producer *p)
{
	uint64_t head;
	int r = ring_prepare(p, &head);

	if (r < 0)
		return r;
	return ring_publish(p) ? ring_wake(p) : 0;
}

int ring_producer_used(struct ring_producer *p, uint64_t *ret_used)
{
	int r = producer_look(p);

	if (r < 0)
		return r;
	*ret_used = p->pos - p->tail;
	return 0;
}

uint64_t ring_producer_pending_loss(const struct ring_producer *p)
{
	uint64_t count = 0;

	for (unsigned s = 0; s < RING_STAGES; s++)
		count += p->pending[s].loss.count;
	return count;
}

void ring_producer_set_before(struct ring_producer *p, uint64_t packets, uint64_t records)
{
	p->a->before = packets;
	p->a->before_records = records;
}

void ring_producer_fds(const struct ring_producer *p, int ret_fds[RING_FDS])
{
	memcpy(ret_fds, p->fds, sizeof(p->fds));
}

/* Consumer ---------------------------------------------------------------------------------- */

/* Takes the head just loaded; -EPROTO if it is impossible. */
static int consumer_head(struct ring_consumer *c, uint64_t head)
{
	if (c->broken || !index_possible(head, c->head, c->size - (c->head - c->tail))) {
		c->broken = true;
		return -EPROTO;
	}
	c->head = head;
	return 0;
}

static int consumer_look(struct ring_consumer *c)
{
	return consumer_head(c, __atomic_load_n(&c->a->head, ORDER_B)); /* B, partner A */
}

static uint64_t consumer_word(const struct ring_consumer *c, uint64_t pos)
{
	const uint64_t *at = (const uint64_t *)(c->data + (pos & (c->size - 1)));

	return __atomic_load_n(at, __ATOMIC_RELAXED); /* ordered by B; loaded once */
}

static void consumer_bytes(const struct ring_consumer *c, uint64_t pos, void *buf, size_t len)
{
	uint64_t at = pos & (c->size - 1);
	size_t first = c->size - at;

	if (len <= first) {
		copy(buf, c->data + at, len);
	} else {
		memcpy(buf, c->data + at, first);
		memcpy((uint8_t *)buf + first, c->data, len - first);
	}
	/* Whoever validates the copy must not be compiled into reading the original again. */
	__asm__ volatile("" ::: "memory");
}

static bool frame_possible(uint16_t type, uint32_t len)
{
	switch ((enum ring_frame_type)type) {
	case RING_FRAME_PACKET:
	case RING_FRAME_RECORD:
		return len <= RING_BODY_MAX;
	case RING_FRAME_LOSS:
		return len == sizeof(struct ring_loss);
	case RING_FRAME_END:
	case RING_FRAME_TIME:
		return len == 0;
	}
	return false;
}

/*
 * Where a frame ends says only its header, so that every frame would wait for its line to come over
 * from the producer's cache before the next one could be asked for. Behind the head nothing is
 * touched: the producer is writing there.
 */
static void consumer_prefetch(struct ring_consumer *c)
{
	uint64_t end = c->head - c->cursor < RING_AHEAD ? c->head : c->cursor + RING_AHEAD;

	if ((int64_t)(c->fetched - c->cursor) < 0)
		c->fetched = c->cursor;
	for (; (int64_t)(end - c->fetched) > 0; c->fetched += 64)
		__builtin_prefetch(c->data + (c->fetched & (c->size - 1)));
}

int ring_get(struct ring_consumer *c, void *buf, struct ring_frame *ret)
{
	uint64_t word, avail;
	uint16_t type;
	uint32_t len;
	int r;

	if (c->broken)
		return -EPROTO;
	if (c->cursor == c->head) {
		r = consumer_look(c);
		if (r < 0)
			return r;
		if (c->cursor == c->head)
			return RING_E_EMPTY;
	}
	consumer_prefetch(c);
	avail = c->head - c->cursor;
	word = consumer_word(c, c->cursor);
	len = (uint32_t)word;
	type = (uint16_t)(word >> 32);
	if (!frame_possible(type, len) || ring_frame_size(len) > avail) {
		c->broken = true;
		return -EPROTO;
	}
	if (MUTANT_RELEASE_FIRST)
		ring_release_to(c, c->cursor + ring_frame_size(len));
	ret->type = (enum ring_frame_type)type;
	ret->flags = (uint16_t)(word >> 48);
	ret->len = len;
	ret->t_ns = consumer_word(c, c->cursor + 8);
	consumer_bytes(c, c->cursor + RING_HEADER, buf, len);
	c->cursor += ring_frame_size(len);
	ret->pos = c->cursor;
	return 0;
}

void ring_skip_to(struct ring_consumer *c, uint64_t pos)
{
	if (c->broken || !index_possible(pos, c->cursor, c->head - c->cursor))
		return;
	c->cursor = pos;
	ring_release(c);
}

void ring_release_to(struct ring_consumer *c, uint64_t pos)
{
	if (!MUTANT_RELEASE_FIRST && !index_possible(pos, c->tail, c->cursor - c->tail))
		return; /* released already, or never read */
	c->tail = pos;
	__atomic_store_n(&c->b->tail, pos, ORDER_C); /* C, partner D */
}

void ring_release(struct ring_consumer *c)
{
	if (c->tail != c->cursor)
		ring_release_to(c, c->cursor);
}

bool ring_sleep(struct ring_consumer *c, uint64_t bytes)
{
	uint64_t most = c->tail + c->size / 2 - c->cursor; /* as a signed number: may be < 1 */
	uint64_t at;

	/*
	 * Half a ring at most: a producer that finds no room for its largest frame has crossed
	 * that. With more than this still unreleased, anything new wakes.
	 */
	if ((int64_t)most < 1)
		most = 1;
	if (bytes < 1)
		bytes = 1;
	at = c->cursor + (bytes < most ? bytes : most);
	__atomic_store_n(&c->b->wake_at, at, __ATOMIC_SEQ_CST);                   /* E, partner F */
	if (consumer_head(c, __atomic_load_n(&c->a->head, __ATOMIC_SEQ_CST)) < 0) /* G, partner A */
		return false; /* ring_get() says why */
	if (c->head - c->cursor < at - c->cursor)
		return true;
	__atomic_store_n(&c->b->wake_at, RING_WAKE_NEVER, __ATOMIC_RELAXED);
	return false;
}

void ring_awake(struct ring_consumer *c)
{
	__atomic_store_n(&c->b->wake_at, RING_WAKE_NEVER, __ATOMIC_RELAXED);
	doorbell_drain(c->fds[RING_FD_WAKE]);
}

uint64_t ring_consumer_waiting(struct ring_consumer *c)
{
	consumer_look(c); /* an impossible head: ring_get() says so */
	return c->head - c->cursor;
}

uint64_t ring_consumer_pos(const struct ring_consumer *c)
{
	return c->cursor;
}

uint64_t ring_consumer_size(const struct ring_consumer *c)
{
	return c->size;
}

uint64_t ring_consumer_epoch(const struct ring_consumer *c)
{
	return c->epoch;
}

uint64_t ring_consumer_before(const struct ring_consumer *c)
{
	return c->before;
}

uint64_t ring_consumer_before_records(const struct ring_consumer *c)
{
	return c->before_records;
}

int ring_consumer_wake_fd(const struct ring_consumer *c)
{
	return c->fds[RING_FD_WAKE];
}

void *ring_consumer_checkpoint(struct ring_consumer *c)
{
	return c->b->checkpoint;
}
