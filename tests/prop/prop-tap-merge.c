/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events of several rings come out once each and in time order, whatever the interleaving of writer
 * and reader, wherever records wrap, and however full the rings are.
 *
 * The kernel's part is played by a writer that keeps to data_tail as the kernel does.
 */
#include <unistd.h>

#include "enrich/tap-reader.h"
#include "perf-build.h"
#include "tap.h"

#define RINGS 3
#define PAGES 2

static uint64_t random_state = 1;

static uint32_t rnd(uint32_t below)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(random_state >> 33) % below;
}

static size_t page_size;
static struct perf_event_mmap_page *page[RINGS];
static struct pb b;

/* Writes the record in `b`; false = no room, as the kernel then drops it. */
static bool write_ring(int i)
{
	uint64_t size = PAGES * page_size, head = page[i]->data_head;
	uint8_t *data = (uint8_t *)page[i] + page_size;

	if (head - page[i]->data_tail + b.len > size)
		return false;
	for (size_t n = 0; n < b.len; n++)
		data[(head + n) & (size - 1)] = b.bytes[n];
	__atomic_store_n(&page[i]->data_head, head + b.len, __ATOMIC_RELEASE);
	return true;
}

struct seen {
	uint64_t events, disorder, wrong, late;
	uint64_t last_ns, limit_ns;
	uint64_t soon, next, unseen; /* shown before; used without that */
	bool forced;
};

static void on_soon(void *arg, const struct perf_record *r)
{
	(void)r;
	((struct seen *)arg)->soon++;
}

static void on_next(void *arg, const struct perf_record *r)
{
	struct seen *s = arg;

	(void)r;
	s->next++;
	s->unseen += s->next > s->soon;
}

static void on_event(void *arg, const struct perf_record *r)
{
	struct seen *s = arg;

	s->events++;
	s->unseen += s->events > s->next;
	s->disorder += r->t_ns < s->last_ns;
	s->late += !s->forced && r->t_ns > s->limit_ns;
	/* Each record says its own time in its port and pid as well. */
	if (r->kind == PERF_KIND_ROUTE)
		s->wrong += r->route.dport != (uint16_t)r->t_ns || r->pid != (uint32_t)r->t_ns;
	else
		s->wrong += r->kind != PERF_KIND_NAMED || r->pid != (uint32_t)r->t_ns;
	s->last_ns = r->t_ns;
}

static void build(uint64_t t_ns)
{
	char name[200];

	if (rnd(2)) {
		pb_fib(&b, (uint32_t)t_ns, 0, 6, 1, 1, 2, (uint16_t)t_ns, t_ns);
		return;
	}
	memset(name, 'x', sizeof(name));
	name[rnd(sizeof(name))] = '\0';
	name[sizeof(name) - 1] = '\0';
	pb_comm(&b, (uint32_t)t_ns, (uint32_t)t_ns, name, 0, t_ns);
}

static uint64_t clock_ns;

static uint64_t test_clock(clockid_t id)
{
	(void)id;
	return clock_ns;
}

static struct tap_reader *open_rings(void)
{
	struct tap_layout l = pb_layout();
	struct tap_reader *t;

	l.cpus = RINGS;
	l.data_pages = PAGES;
	if (tap_reader_new(&l, &t))
		tap_bail("no reader");
	tap_reader_set_clock(t, test_clock);
	for (int i = 0; i < RINGS; i++) {
		/* An odd start: indices are free-running, records wrap anywhere. */
		page[i]->data_head = page[i]->data_tail = 8 * rnd(100000);
		tap_reader_add_memory(t, page[i], pb_ids);
	}
	return t;
}

/* @eager: how often the reader reads; rarely makes the rings fill up and force it on. */
static void run(const char *name, unsigned eager)
{
	struct tap_reader *t = open_rings();
	struct seen s = {0};
	uint64_t written = 0, dropped = 0, peeked = 0;

	tap_reader_foresee(t, on_soon, on_next, &s);
	for (uint64_t now = 1; now < 20000; now++) {
		clock_ns = now;
		build(now);
		if (write_ring((int)rnd(RINGS)))
			written++;
		else
			dropped++;
		if (rnd(eager))
			continue;
		s.limit_ns = now > 50 ? now - rnd(50) : now;
		s.forced = true;
		for (int i = 0; i < RINGS; i++)
			s.forced &=
				page[i]->data_head - page[i]->data_tail <= PAGES * page_size / 2;
		s.forced = !s.forced;
		tap_reader_advance(t, s.limit_ns, on_event, &s);
		peeked += s.events > written;
	}
	s.forced = false;
	s.limit_ns = UINT64_MAX;
	tap_reader_advance(t, UINT64_MAX, on_event, &s);
	tap_is_int(s.events, written, "%s: every event once (%llu, %llu dropped by the writer)",
		name, (unsigned long long)written, (unsigned long long)dropped);
	tap_is_int(s.disorder, 0, "%s: in time order", name);
	tap_is_int(s.wrong, 0, "%s: whole", name);
	tap_ok(!s.unseen && s.soon == s.events && s.next == s.events,
		"%s: each shown twice before its turn", name);
	tap_is_int(s.late, 0, "%s: none before its time while there was room", name);
	tap_is_int(peeked, 0, "%s: none invented", name);
	tap_is_int(tap_reader_stats(t)->malformed, 0, "%s: none malformed", name);
	tap_reader_free(t);
	for (int i = 0; i < RINGS; i++)
		tap_ok(page[i]->data_head == page[i]->data_tail, "%s: ring %d given back", name, i);
}

/* A head between what is in hand and what was parsed: all that is in the ring, and again, for ever.
 */
static void test_head_goes_back(void)
{
	struct tap_reader *t = open_rings();
	struct seen s = {.limit_ns = UINT64_MAX};
	const struct perf_event_header empty = {
		.type = PERF_RECORD_THROTTLE, .size = sizeof(empty)};
	uint64_t before;

	/* Behind the head, too, there is one record after the other. */
	for (size_t at = 0; at < PAGES * page_size; at += sizeof(empty))
		memcpy((uint8_t *)page[0] + page_size + at, &empty, sizeof(empty));
	for (unsigned i = 0; i < 4; i++) {
		pb_fib(&b, 1, 0, 6, 1, 1, 2, 3, 1000 + i);
		write_ring(0);
	}
	tap_reader_advance(t, 1, on_event, &s); /* takes them in hand, and uses none */
	before = tap_reader_stats(t)->malformed;
	page[0]->data_head -= 16;
	tap_reader_preview(t, on_event, &s);
	tap_reader_advance(t, UINT64_MAX, on_event, &s);
	tap_is_int(tap_reader_stats(t)->malformed, before + 1, "a head that goes back is told");
	tap_reader_free(t);
}

static void test_hostile(void)
{
	struct tap_reader *t = open_rings();
	uint64_t size = PAGES * page_size;
	struct seen s = {.limit_ns = UINT64_MAX};
	unsigned rounds = 0;

	for (; rounds < 2000; rounds++) {
		int i = (int)rnd(RINGS);
		uint8_t *data = (uint8_t *)page[i] + page_size;

		for (unsigned n = 0; n < 64; n++)
			data[rnd((uint32_t)size)] = (uint8_t)rnd(256);
		page[i]->data_head += rnd(3) ? rnd(5000) : (uint64_t)rnd(UINT32_MAX) << rnd(32);
		tap_reader_advance(t, UINT64_MAX, on_event, &s);
		tap_reader_preview(t, on_event, &s);
	}
	tap_is_int(rounds, 2000, "random bytes and heads: it goes on");
	tap_ok(tap_reader_stats(t)->malformed > 0, "and counts what made no sense");
	tap_reader_free(t);
}

int main(void)
{
	page_size = (size_t)sysconf(_SC_PAGESIZE);
	for (int i = 0; i < RINGS; i++) {
		page[i] = calloc(1, (PAGES + 1) * page_size);
		if (!page[i])
			tap_bail("no memory");
	}
	run("often read", 2);
	run("now and then", 20);
	run("hardly ever", 200);
	test_head_goes_back();
	test_hostile();
	for (int i = 0; i < RINGS; i++)
		free(page[i]);
	return tap_done();
}
