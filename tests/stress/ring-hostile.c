/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each end of the ring against a peer that writes whatever it likes, at rest and while the other
 * end runs: random and adversarial indices, headers and bodies. Nothing may be read or written
 * outside the ring (AddressSanitizer sees it), every call ends, and the producer never waits.
 *
 * A hang is caught by alarm(2). usage: ring-hostile [ROUNDS]
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shm/ring-internal.h"
#include "shm/ring.h"
#include "tap.h"

#define HANG_S      120
#define MOST_FRAMES (RING_DATA_MIN / RING_HEADER) /* one look cannot yield more */

static uint64_t state = 88172645463325252u;

static uint64_t random_next(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* Values that break naive checks, or anything at all. */
static uint64_t nasty(uint64_t *s, uint64_t near)
{
	uint64_t r = random_next(s);

	switch (r % 12) {
	case 0:
		return 0;
	case 1:
		return UINT64_MAX;
	case 2:
		return UINT64_MAX - RING_ALIGN + 1;
	case 3:
		return near + RING_DATA_MIN;
	case 4:
		return near + RING_DATA_MIN + RING_ALIGN;
	case 5:
		return near - RING_ALIGN;
	case 6:
		return near + RING_ALIGN;
	case 7:
		return near + 1;
	case 8:
		return (uint64_t)1 << (r >> 32) % 64;
	case 9:
		return near + (r >> 40) % (2 * RING_DATA_MIN);
	case 10:
		return near + ((r >> 40) % RING_DATA_MIN & ~(uint64_t)7);
	default:
		return random_next(s);
	}
}

/* A header word: mostly a known type and a length near one of the limits. */
static uint64_t nasty_word(uint64_t *s)
{
	static const uint32_t lens[] = {0, 1, 7, 8, 40, 41, RING_BODY_MAX - 1, RING_BODY_MAX,
		RING_BODY_MAX + 1, RING_DATA_MIN, RING_DATA_MIN - RING_HEADER, INT32_MAX,
		UINT32_MAX - 15, UINT32_MAX};
	uint64_t r = random_next(s);

	if (r % 8 == 0)
		return random_next(s);
	if (r % 2)
		return (uint64_t)(r & 2 ? RING_FRAME_PACKET : RING_FRAME_RECORD) << 32 |
		       (r >> 32) % 200;
	return (r >> 8 & 0xff) << 48 | (r >> 16) % 8 << 32 |
	       lens[(r >> 32) % (sizeof(lens) / sizeof(lens[0]))];
}

/* Reads until there is nothing or the ring is broken; false if it could go on for ever. */
static bool drain(struct ring_consumer *c, uint8_t *body, uint64_t *frames)
{
	struct ring_frame f;

	for (uint64_t n = 0; n <= MOST_FRAMES; n++) {
		int r = ring_get(c, body, &f);

		if (r)
			return r == RING_E_EMPTY || r == -EPROTO;
		if (f.len > RING_BODY_MAX || f.type < RING_FRAME_PACKET || f.type > RING_FRAME_TIME)
			return false;
		++*frames;
	}
	return false;
}

/* The consumer against memory that holds anything. */
static void test_static(uint64_t rounds)
{
	size_t a_len = RING_PAGE + RING_DATA_MIN;
	struct ring_page_a *a =
		aligned_alloc(RING_PAGE, a_len); /* exactly: ASan sees one byte more */
	struct ring_page_b *b = aligned_alloc(RING_LINE, sizeof(*b));
	uint8_t *body = malloc(RING_BODY_MAX);
	uint64_t attached = 0, frames = 0, endless = 0;

	if (!a || !b || !body)
		tap_bail("no memory");
	memset(a, 0, a_len);
	for (uint64_t i = 0; i < rounds; i++) {
		uint64_t *data = (uint64_t *)((uint8_t *)a + RING_PAGE);
		struct ring_consumer *c;
		uint64_t at;

		ring_page_init(a, RING_DATA_MIN, i);
		memset(b, 0, sizeof(*b));
		b->tail = i % 4 ? random_next(&state) & ~(uint64_t)7 : nasty(&state, 0);
		b->wake_at = nasty(&state, b->tail);
		a->head = i % 4 ? b->tail + (random_next(&state) % RING_DATA_MIN & ~(uint64_t)7)
				: nasty(&state, b->tail);
		for (at = b->tail / 8; at < b->tail / 8 + 64; at += 1 + random_next(&state) % 8)
			data[at % (RING_DATA_MIN / 8)] = nasty_word(&state);
		if (i % 64 == 0) /* geometry, too */
			((uint32_t *)a)[random_next(&state) % 12] = (uint32_t)random_next(&state);
		if (ring_consumer_on_memory(a, a_len, b, -1, &c))
			continue;
		attached++;
		endless += !drain(c, body, &frames);
		ring_release(c);
		ring_sleep(c, nasty(&state, 0));
		a->head = nasty(&state, a->head);
		ring_sleep(c, 1);
		ring_consumer_waiting(c);
		endless += !drain(c, body, &frames);
		ring_consumer_free(c);
	}
	printf("# %llu rings, %llu attached, %llu frames\n", (unsigned long long)rounds,
		(unsigned long long)attached, (unsigned long long)frames);
	tap_ok(attached > rounds / 4 && frames > rounds / 100,
		"hostile memory gets past the attach");
	tap_is_int(endless, 0, "no wrong frame, no endless reading");
	free(body);
	free(b);
	free(a);
}

/* A peer thread that writes while the honest end runs. */
struct peer {
	struct ring_page_a *a; /* NULL: plays the consumer */
	struct ring_page_b *b;
	uint8_t *data;
	bool stop; /* atomic */
};

static void poke(uint64_t *at, uint64_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELAXED);
}

static void *play_producer(void *arg)
{
	struct peer *h = arg;
	uint64_t s = 4711, head = 0;

	while (!__atomic_load_n(&h->stop, __ATOMIC_RELAXED)) {
		uint64_t tail = __atomic_load_n(&h->b->tail, __ATOMIC_RELAXED);

		/* Lengths and types flip while the consumer looks at them. */
		for (uint64_t at = tail; at < tail + 512; at += 8)
			poke((uint64_t *)(h->data + at % RING_DATA_MIN), nasty_word(&s));
		if (random_next(&s) % 256 == 0)
			head = nasty(&s, tail);
		else if (head - tail > RING_DATA_MIN / 2)
			head = tail;
		else
			head += random_next(&s) % 64 * 8;
		poke(&h->a->head, head);
	}
	return NULL;
}

static void test_concurrent_producer(uint64_t rounds)
{
	uint8_t *body = malloc(RING_BODY_MAX);
	struct ring_producer *p;
	struct ring_consumer *c;
	struct peer h = {0};
	uint64_t frames = 0, broken = 0;
	pthread_t thread;

	if (!body || ring_pair_on_memory(RING_DATA_MIN, 1, RING_LOSS_KERNEL, &p, &c))
		tap_bail("no ring");
	h.a = p->a;
	h.b = c->b;
	h.data = p->data;
	if (pthread_create(&thread, NULL, play_producer, &h))
		tap_bail("no thread");
	for (uint64_t i = 0; i < rounds; i++) {
		struct ring_frame f;
		int r = c ? ring_get(c, body, &f) : -EPROTO;

		frames += r == 0;
		if (i % 8 == 0 && c)
			ring_release(c);
		if (r == RING_E_EMPTY && ring_sleep(c, 1 + i % 4096))
			ring_awake(c);
		if (r != -EPROTO)
			continue;
		broken++;
		ring_consumer_free(c); /* and the next one comes */
		c = NULL;
		for (int try = 0; try < 1000 && !c; try++) {
			poke(&h.b->tail, 0);
			if (ring_consumer_on_memory(
				    p->a, RING_PAGE + RING_DATA_MIN, h.b, p->fds[RING_FD_WAKE], &c))
				c = NULL;
		}
	}
	__atomic_store_n(&h.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	printf("# %llu frames, broken %llu times\n", (unsigned long long)frames,
		(unsigned long long)broken);
	tap_ok(frames && broken, "the consumer reads on and drops rings beside a hostile producer");
	ring_consumer_free(c);
	ring_producer_free(p);
	free(body);
}

static void *play_consumer(void *arg)
{
	struct peer *h = arg;
	uint64_t s = 815, tail = 0;

	while (!__atomic_load_n(&h->stop, __ATOMIC_RELAXED)) {
		uint64_t head = __atomic_load_n(&h->a->head, __ATOMIC_RELAXED);

		tail = random_next(&s) % 4096 ? head : nasty(&s, tail);
		poke(&h->b->tail, tail);
		poke(&h->b->wake_at, random_next(&s) % 2 ? head + 1 : nasty(&s, head));
	}
	return NULL;
}

static void test_concurrent_consumer(uint64_t rounds)
{
	static const uint8_t body[RING_BODY_MAX];
	uint64_t puts = 0, full = 0, broken = 0, wakes = 0, forgiven = 0, used;

	for (uint64_t life = 0; life < 20; life++) {
		struct ring_producer *p;
		struct ring_consumer *c;
		struct peer h = {0};
		pthread_t thread;
		int r = 0;

		if (ring_pair_on_memory(RING_DATA_MIN, 1, RING_LOSS_PACKET_RING, &p, &c))
			tap_bail("no ring");
		h.a = p->a;
		h.b = c->b;
		if (pthread_create(&thread, NULL, play_consumer, &h))
			tap_bail("no thread");
		for (uint64_t i = 0; i < rounds / 20 && r >= 0; i++) {
			r = ring_put(p, RING_FRAME_PACKET, 0, i, 1, body, i * 37 % RING_BODY_MAX,
				NULL, 0);
			puts += r == 0;
			full += r == RING_E_FULL;
			if (r >= 0 && i % 4 == 0) {
				r = ring_commit(p);
				wakes += r == 1;
			}
			if (r >= 0 && i % 64 == 0)
				r = ring_producer_used(p, &used);
			if (r >= 0 && i % 64 == 0 && used > RING_DATA_MIN)
				tap_ok(false, "more than a ring is used");
		}
		broken += r == -EPROTO;
		__atomic_store_n(&h.stop, true, __ATOMIC_RELAXED);
		pthread_join(thread, NULL);
		poke(&h.b->tail, p->pos + RING_ALIGN);
		forgiven += ring_producer_used(p, &used) != -EPROTO;
		poke(&h.b->tail, p->published);
		forgiven += ring_put(p, RING_FRAME_TIME, 0, 1, 0, NULL, 0, NULL, 0) != -EPROTO;
		forgiven += ring_commit(p) != -EPROTO;
		ring_consumer_free(c);
		ring_producer_free(p);
	}
	printf("# %llu puts, %llu full, %llu wake-ups, broken %llu times\n",
		(unsigned long long)puts, (unsigned long long)full, (unsigned long long)wakes,
		(unsigned long long)broken);
	tap_ok(puts > 0, "the producer goes on beside a hostile consumer");
	tap_is_int(forgiven, 0, "one impossible tail breaks the ring for good");
}

/* Everything a process can do to a descriptor it was given. */
static void test_descriptors(void)
{
	struct ring_consumer *c;
	struct ring_producer *p;
	struct ring_frame f;
	uint8_t body[RING_BODY_MAX] = {0};
	int fds[RING_FDS], one = 1, r = 0;

	if (ring_producer_new(RING_DATA_MIN, 1, RING_LOSS_PACKET_RING, &p))
		tap_bail("no ring");
	ring_producer_fds(p, fds);
	for (int i = 0; i < RING_FDS; i++)
		fds[i] = dup(fds[i]);
	if (ring_consumer_new(fds, &c))
		tap_bail("no consumer");
	tap_ok(ftruncate(fds[RING_FD_DATA], 0) < 0, "A cannot be truncated");
	tap_ok(ftruncate(fds[RING_FD_CONTROL], 0) < 0 && errno == EPERM, "B cannot be shrunk");
	tap_ok(ftruncate(fds[RING_FD_CONTROL], 1 << 20) < 0 && errno == EPERM, "B cannot be grown");
	tap_ok(fallocate(fds[RING_FD_DATA], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		       RING_PAGE) < 0,
		"no hole can be punched into A");
	for (int i = 0; i < 8; i++)
		ring_put(p, RING_FRAME_PACKET, 0, 1, 1, body, 1000, NULL, 0);
	ring_commit(p);
	while (ring_get(c, body, &f) == 0)
		;
	ring_release(c);
	ring_producer_used(p, &(uint64_t){0});
	tap_is_int(fallocate(fds[RING_FD_CONTROL], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			   RING_PAGE),
		0, "B's page can be taken away by the one who may write it");
	tap_is_int(ring_producer_used(p, &(uint64_t){0}), -EPROTO,
		"the producer sees an impossible tail, not a fault");
	ring_consumer_free(c);
	ring_producer_free(p);

	if (ring_producer_new(RING_DATA_MIN, 1, RING_LOSS_PACKET_RING, &p))
		tap_bail("no ring");
	ring_producer_fds(p, fds);
	for (int i = 0; i < RING_FDS; i++)
		fds[i] = dup(fds[i]);
	if (ring_consumer_new(fds, &c))
		tap_bail("no consumer");
	/* The doorbell: full, blocking, deaf. */
	fcntl(fds[RING_FD_WAKE], F_SETFL, 0);
	setsockopt(fds[RING_FD_WAKE], SOL_SOCKET, SO_RCVBUF, &one, sizeof(one));
	for (int i = 0; i < 10000 && r >= 0; i++) {
		ring_sleep(c, 1);
		ring_put(p, RING_FRAME_TIME, 0, 1, 0, NULL, 0, NULL, 0);
		r = ring_commit(p);
		ring_get(c, body, &f);
		ring_release(c);
	}
	tap_is_int(r, 0, "a full doorbell is not waited for");
	shutdown(fds[RING_FD_WAKE], SHUT_RDWR);
	ring_sleep(c, 1);
	ring_put(p, RING_FRAME_TIME, 0, 1, 0, NULL, 0, NULL, 0);
	tap_is_int(ring_commit(p), 0, "nor does a deaf one raise SIGPIPE");
	ring_awake(c);
	tap_ok(true, "draining it does not block either");
	ring_consumer_free(c);
	ring_producer_free(p);
}

int main(int argc, char **argv)
{
	uint64_t rounds = argc > 1 ? strtoull(argv[1], NULL, 0) : 200000;

	alarm(HANG_S + (unsigned)(rounds / 100000));
	test_descriptors();
	test_static(rounds);
	test_concurrent_producer(rounds * 3);
	test_concurrent_consumer(rounds);
	return tap_done();
}
