/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel (producer) and this reader share data_head and data_tail of each ring:
 *
 *	kernel				reader
 *	if (room by data_tail)	(D)	load data_head		(B, acquire)
 *	  write record			copy records out
 *	  store data_head	(A)	store data_tail		(C, release)
 *
 * A pairs with B: a record seen by its head is there in full. C pairs with D: a record is copied
 * out before the kernel may write over it. As documented in linux/perf_event.h.
 */
#include "enrich/tap-reader.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "enrich/steady.h"
#include "shm/cleanup.h"

#define RECORD_MAX     65536u /* header.size has 16 bits */
#define LARGEST        16384u /* more than the kernel writes at once: new programs and their stacks */
#define LOOK_AGAIN     64u    /* advances without a look at the rings' heads, at most */
#define DATA_PAGES_MAX (1u << 16)

/* Parsed before their turn, so that what they are about is in the cache by then. */
#define AHEAD 4u /* of a ring; a power of two */
#define NEAR  2u /* of these, how many are shown the second time */

/* How far ahead of what is parsed next, and how much: a record is about as long. */
#define FORESEE  384u
#define FORESEEN 192u

#define COPY_STEP 32u
#define COPY_MIN  1024u

struct ahead {
	uint64_t at; /* where it starts */
	struct perf_record record;
};

struct ring {
	struct perf_event_mmap_page *page;
	const uint8_t *data;
	uint64_t size;      /* bytes, a power of two */
	uint64_t head;      /* as last read */
	uint64_t parsed;    /* what is before it has been looked at */
	uint64_t tail;      /* start of the record in hand, else of the next one */
	uint64_t previewed; /* tap_reader_preview() has shown what is before it */
	uint64_t told;      /* data_tail as last stored */
	unsigned first;     /* of `ahead`: the record in hand */
	unsigned n;         /* and those behind it, 0 = none is in hand */
	unsigned shown;     /* of these, how many the second time */
	bool points;        /* the last of them, into `copy`: no other is copied there */
	bool mapped;
	uint8_t *copy;
	size_t copy_size;
	struct ahead ahead[AHEAD];
	uint64_t ids[TAP_IDS];
};

struct tap_reader {
	struct tap_layout layout;
	struct tap_reader_stats stats;
	size_t page_size;
	size_t n;           /* rings mapped */
	uint64_t offset_ns; /* the steady time minus the records' clock, modulo 2^64 */
	uint64_t looked_ns; /* everything published before then has been seen */
	uint64_t oldest_ns; /* time of the oldest record in hand, UINT64_MAX = none */
	uint64_t full_ns;   /* a ring was found full; it has had room since then. 0 = no */
	uint64_t (*now)(clockid_t id); /* of a test; NULL = steady_now_ns() */
	unsigned skipped;
	int *fds;
	struct ring *rings;
	uint8_t *scratch;        /* for tap_reader_peek() */
	tap_event_fn soon, next; /* NULL = nobody */
	void *foresee_arg;
};

static bool pow2(uint64_t v)
{
	return v && !(v & (v - 1));
}

static uint64_t now_ns(const struct tap_reader *t)
{
	return t->now ? t->now(CLOCK_MONOTONIC) : steady_now_ns();
}

int tap_reader_new(const struct tap_layout *l, struct tap_reader **ret)
{
	struct tap_reader *t;

	if (l->version != TAP_VERSION || !l->cpus || l->cpus > TAP_CPUS_MAX ||
		!pow2(l->data_pages) || l->data_pages > DATA_PAGES_MAX ||
		l->clockid != CLOCK_MONOTONIC)
		return -EPROTO;
	for (int i = 0; i < TAP_EVENTS; i++) {
		const uint64_t needed = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TIME | PERF_SAMPLE_TID;

		if (l->live & 1u << i && (l->sample_type[i] & needed) != needed)
			return -EPROTO;
	}
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->layout = *l;
	t->oldest_ns = UINT64_MAX;
	t->offset_ns = steady_of_monotonic(0);
	t->page_size = (size_t)sysconf(_SC_PAGESIZE);
	t->rings = calloc(l->cpus, sizeof(*t->rings));
	t->fds = calloc(l->cpus, sizeof(*t->fds));
	t->scratch = malloc(RECORD_MAX);
	if (!t->rings || !t->fds || !t->scratch) {
		tap_reader_free(t);
		return -ENOMEM;
	}
	*ret = t;
	return 0;
}

void tap_reader_free(struct tap_reader *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++) {
		free(t->rings[i].copy);
		if (t->rings[i].mapped)
			munmap(t->rings[i].page, t->page_size + t->rings[i].size);
		if (t->fds[i] >= 0)
			close(t->fds[i]);
	}
	free(t->scratch);
	free(t->rings);
	free(t->fds);
	free(t);
}

static int ring_init(struct tap_reader *t, void *page, const uint64_t ids[TAP_IDS], int fd)
{
	struct ring *r = &t->rings[t->n];

	*r = (struct ring){.page = page, .size = (uint64_t)t->layout.data_pages * t->page_size};
	r->data = (const uint8_t *)page + t->page_size;
	memcpy(r->ids, ids, sizeof(r->ids));
	/* Written by the reader alone: where the previous one stopped. */
	r->tail = r->told = r->page->data_tail;
	r->head = r->parsed = r->previewed = r->tail;
	r->mapped = fd >= 0;
	t->fds[t->n++] = fd;
	t->looked_ns = 0;
	return 0;
}

int tap_reader_add(struct tap_reader *t, const struct tap_cpus *cpus, const int *fds)
{
	size_t len = t->page_size + (size_t)t->layout.data_pages * t->page_size;
	size_t before = t->n;

	if (cpus->count > TAP_CPUS_A_FD_MESSAGE || cpus->first != t->n ||
		cpus->count > t->layout.cpus - t->n)
		return -EPROTO;
	for (uint32_t i = 0; i < cpus->count; i++) {
		void *page = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fds[i], 0);

		if (page == MAP_FAILED) {
			int e = -errno;

			while (t->n > before)
				munmap(t->rings[--t->n].page, len);
			return e;
		}
		ring_init(t, page, cpus->id[i], fds[i]);
	}
	return 0;
}

int tap_reader_add_memory(struct tap_reader *t, void *page, const uint64_t ids[TAP_IDS])
{
	if (t->n >= t->layout.cpus)
		return -EPROTO;
	return ring_init(t, page, ids, -1);
}

/* @to has room for whole steps. */
static void copy_out(const struct ring *r, uint64_t from, uint8_t *to, size_t len)
{
	size_t at = from & (r->size - 1);
	size_t first = r->size - at;

	if (first >= len + COPY_STEP) {
		for (size_t i = 0; i < len; i += COPY_STEP)
			memcpy(to + i, r->data + at + i, COPY_STEP);
		return;
	}
	if (first > len)
		first = len;
	memcpy(to, r->data + at, first);
	memcpy(to + first, r->data, len - first);
}

/* Bytes of the record at @at, 0 = none that could be one. */
static size_t record_len(const struct ring *r, uint64_t at, uint64_t head)
{
	struct perf_event_header h;
	size_t start = at & (r->size - 1), first = r->size - start;

	if (head - at < sizeof(h))
		return 0;
	if (first >= sizeof(h)) {
		memcpy(&h, r->data + start, sizeof(h));
	} else {
		memcpy(&h, r->data + start, first);
		memcpy((uint8_t *)&h + first, r->data, sizeof(h) - first);
	}
	if (h.size < sizeof(h) || h.size > head - at)
		return 0;
	return h.size;
}

static void give_back(struct ring *r)
{
	if (r->told == r->tail)
		return;
	r->told = r->tail;
	__atomic_store_n(&r->page->data_tail, r->tail, __ATOMIC_RELEASE); /* C */
}

static bool grow_copy(struct ring *r, size_t len)
{
	size_t size = len < COPY_MIN ? COPY_MIN : RECORD_MAX;
	uint8_t *bigger;

	if (len <= r->copy_size)
		return true;
	bigger = realloc(r->copy, size);
	if (!bigger)
		return false;
	r->copy = bigger;
	r->copy_size = size;
	return true;
}

static struct ahead *in_hand(struct ring *r, unsigned i)
{
	return &r->ahead[(r->first + i) % AHEAD];
}

/* Whether a record of this kind says all by itself. */
static bool stands_alone(enum perf_record_kind kind)
{
	return kind == PERF_KIND_ROUTE || kind == PERF_KIND_STATE;
}

/* What another CPU has written comes near before it is parsed. */
static void foresee(const struct ring *r)
{
	for (unsigned i = 0; i < FORESEEN; i += 64)
		__builtin_prefetch(r->data + ((r->parsed + FORESEE + i) & (r->size - 1)));
}

/* Takes one more record in hand, if the next one means something. */
static void take(struct tap_reader *t, struct ring *r)
{
	struct ahead *a = in_hand(r, r->n);
	size_t len = record_len(r, r->parsed, r->head);

	if (!len) {
		/* Nothing after it can be trusted either: start again behind it all. */
		t->stats.malformed++;
		r->parsed = r->head;
		return;
	}
	t->stats.events++;
	a->at = r->parsed;
	r->parsed += len;
	foresee(r);
	if (!grow_copy(r, len)) {
		t->stats.lost++;
		return;
	}
	copy_out(r, a->at, r->copy, len);
	if (perf_record_parse(&t->layout, r->ids, r->copy, len, &a->record)) {
		t->stats.malformed++;
		return;
	}
	if (a->record.kind == PERF_KIND_IGNORED)
		return;
	a->record.t_ns += t->offset_ns;
	r->points = !stands_alone(a->record.kind);
	r->n++;
	if (t->soon)
		t->soon(t->foresee_arg, &a->record);
}

/* Takes the next records that mean something in hand. */
static void fetch(struct tap_reader *t, struct ring *r)
{
	while (r->n < AHEAD && !r->points && r->parsed != r->head)
		take(t, r);
	for (; t->next && r->shown < NEAR && r->shown < r->n; r->shown++)
		t->next(t->foresee_arg, &in_hand(r, r->shown)->record);
	r->tail = r->n ? in_hand(r, 0)->at : r->parsed;
	if (!r->n)
		give_back(r);
}

static void drop_all(struct ring *r)
{
	r->n = r->shown = 0;
	r->points = false;
}

/* The first one in hand was used. */
static void drop_first(struct ring *r)
{
	r->first = (r->first + 1) % AHEAD;
	r->n--;
	r->shown -= r->shown != 0;
	if (!r->n)
		r->points = false;
}

/*
 * A record that found no room is told of only with the next one that does, which may come much
 * later than the questions it would have answered. So a ring too full for the largest record counts
 * as a loss, too.
 */
static bool was_full(const struct ring *r, uint64_t head)
{
	uint64_t spare = r->size / 4 < LARGEST ? r->size / 4 : LARGEST;

	return r->size - (head - r->told) < spare;
}

static void look(struct tap_reader *t)
{
	uint64_t now = now_ns(t);

	for (size_t i = 0; i < t->n; i++) {
		struct ring *r = &t->rings[i];
		uint64_t head = __atomic_load_n(&r->page->data_head, __ATOMIC_ACQUIRE); /* B */

		/* What is in hand was published: a head before it has gone back. */
		if (head - r->tail > r->size || head - r->parsed > r->size) {
			/* Impossible: the kernel never overruns its reader. Start anew from here.
			 */
			t->stats.malformed++;
			r->tail = r->parsed = r->head = head;
			drop_all(r);
			give_back(r);
			continue;
		}
		if (was_full(r, head))
			t->full_ns = UINT64_MAX;
		r->head = head;
		fetch(t, r);
	}
	t->looked_ns = now;
	t->skipped = 0;
}

/* Whose first record in hand is the oldest; NULL = none has one. */
static struct ring *oldest(const struct tap_reader *t, struct perf_record **ret_record)
{
	struct ring *best = NULL;

	for (size_t i = 0; i < t->n; i++) {
		struct ring *r = &t->rings[i];
		struct perf_record *record = &in_hand(r, 0)->record;

		if (!r->n || (best && record->t_ns >= (*ret_record)->t_ns))
			continue;
		best = r;
		*ret_record = record;
	}
	return best;
}

/*
 * A ring over half full must not wait for packets as young as what it holds: then the oldest events
 * of all CPUs are applied before their time until no ring is.
 */
static bool pressed(const struct tap_reader *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->rings[i].head - t->rings[i].tail > t->rings[i].size / 2)
			return true;
	return false;
}

void tap_reader_advance(struct tap_reader *t, uint64_t t_ns, tap_event_fn fn, void *arg)
{
	struct perf_record *record = NULL;
	struct ring *r;
	bool forced;

	if (t_ns > t->looked_ns || ++t->skipped >= LOOK_AGAIN)
		look(t);
	else if (t_ns < t->oldest_ns && !t->full_ns)
		return;
	forced = pressed(t);
	while ((r = oldest(t, &record)) && (record->t_ns <= t_ns || forced)) {
		if (record->kind == PERF_KIND_DROPPED)
			t->stats.lost += record->lost;
		if (record->t_ns > t_ns)
			t->stats.forced++;
		fn(arg, record);
		drop_first(r);
		fetch(t, r);
		if (r->tail - r->told > r->size / 4)
			give_back(r);
		if (forced)
			forced = pressed(t);
	}
	for (size_t i = 0; i < t->n; i++)
		give_back(&t->rings[i]);
	t->oldest_ns = r ? record->t_ns : UINT64_MAX;
	if (t->full_ns == UINT64_MAX)
		t->full_ns = now_ns(t); /* all were given back just now */
	if (t->full_ns)
		t->stats.full++;
	if (t_ns > t->full_ns)
		t->full_ns = 0;
}

/* Hands what is in @r from @at on to @fn; returns where it ends. */
static uint64_t peek_ring(
	struct tap_reader *t, const struct ring *r, uint64_t at, tap_event_fn fn, void *arg)
{
	uint64_t head = __atomic_load_n(&r->page->data_head, __ATOMIC_ACQUIRE); /* B */
	struct perf_record record;
	size_t len;

	if (head - r->tail > r->size || head - at > r->size)
		return at;
	for (; (len = record_len(r, at, head)); at += len) {
		copy_out(r, at, t->scratch, len);
		if (perf_record_parse(&t->layout, r->ids, t->scratch, len, &record))
			continue;
		record.t_ns += t->offset_ns;
		fn(arg, &record);
	}
	return at;
}

void tap_reader_peek(struct tap_reader *t, tap_event_fn fn, void *arg)
{
	for (size_t i = 0; i < t->n; i++)
		peek_ring(t, &t->rings[i], t->rings[i].tail, fn, arg);
}

void tap_reader_preview(struct tap_reader *t, tap_event_fn fn, void *arg)
{
	for (size_t i = 0; i < t->n; i++) {
		struct ring *r = &t->rings[i];

		/* What was taken meanwhile is behind the mark, or the mark behind it. */
		if (r->previewed - r->tail > r->size)
			r->previewed = r->tail;
		r->previewed = peek_ring(t, r, r->previewed, fn, arg);
	}
}

void tap_reader_foresee(struct tap_reader *t, tap_event_fn soon, tap_event_fn next, void *arg)
{
	t->soon = soon;
	t->next = next;
	t->foresee_arg = arg;
}

void tap_reader_set_clock(struct tap_reader *t, uint64_t (*now)(clockid_t id))
{
	t->now = now;
	t->offset_ns = 0;
}

const struct tap_reader_stats *tap_reader_stats(const struct tap_reader *t)
{
	return &t->stats;
}

const int *tap_reader_fds(const struct tap_reader *t, size_t *ret_n)
{
	*ret_n = t->n;
	return t->fds;
}
