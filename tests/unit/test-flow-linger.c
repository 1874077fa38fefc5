/* SPDX-License-Identifier: Apache-2.0 */
/* What is left of ended connections: in a ring that uses as much of its memory as it needs. */
#include "enrich/flow-linger.h"

#include "tap.h"

/* The index takes the lower half, what it finds is compared as a whole. */
static uint64_t hash_of(uint64_t number)
{
	return number << 32 | (uint32_t)number * 2654435761u;
}

static struct flow_linger_entry entry(uint64_t number)
{
	return (struct flow_linger_entry){.hash = hash_of(number), .until_ns = 1000 + number};
}

static bool found(struct flow_linger *l, uint64_t number, uint64_t now_ns)
{
	struct flow_linger_entry want = entry(number);
	const struct flow_linger_entry *e = flow_linger_find(l, want.hash, now_ns);

	return e && e->hash == want.hash && e->until_ns == want.until_ns;
}

/* Of @first to @end, those that are not as they should be at @now_ns. */
static unsigned wrong(struct flow_linger *l, uint64_t first, uint64_t end, uint64_t now_ns)
{
	unsigned n = 0;

	for (uint64_t i = first; i < end; i++)
		n += found(l, i, now_ns) != (i % 7 != 0 && 1000 + i > now_ns);
	return n;
}

/* Every seventh is forgotten at once. */
static void add(struct flow_linger *l, uint64_t first, uint64_t end, uint64_t now_ns)
{
	for (uint64_t i = first; i < end; i++) {
		struct flow_linger_entry e = entry(i);

		flow_linger_add(l, &e, now_ns);
		if (i % 7 == 0)
			flow_linger_forget(l, flow_linger_find(l, e.hash, now_ns));
	}
}

/* With @before numbers that are over already. */
static void check_life(uint32_t before)
{
	const struct flow_linger_entry over = {0};
	struct flow_linger l;
	uint32_t small;

	if (flow_linger_init(&l, 8191))
		tap_bail("no memory");
	tap_is_int(l.size_max, 4096, "as many as fit a power of two");
	for (uint32_t i = 0; i < before; i++)
		flow_linger_add(&l, &over, 0);
	small = l.size;
	tap_ok(small < 4096, "a part of it is used at first");
	tap_is_int(wrong(&l, 0, 7, 1000 + 7), 0, "an empty one has nobody");
	add(&l, 1, 700, 0);
	tap_is_int(wrong(&l, 1, 700, 1000 + 499), 0, "the younger ones are there, the older over");
	add(&l, 700, 1500, 1000 + 499);
	tap_is_int(l.size, small, "going around takes no more of it");
	add(&l, 1500, 2000, 1000 + 499);
	tap_is_int(l.size, 2 * small, "more entries do");
	tap_is_int(wrong(&l, 1, 2000, 1000 + 499), 0, "none is lost by that, none comes back");
	add(&l, 2000, 500 + 4096, 1000 + 499);
	tap_is_int(l.evicted, 0, "nothing is evicted until all of it is full");
	tap_is_int(wrong(&l, 1, 500 + 4096, 1000 + 499), 0, "and all are there");
	add(&l, 500 + 4096, 5000, 1000 + 499);
	tap_is_int(l.size, 4096, "it never uses more than it has");
	tap_ok(l.evicted > 300 && !found(&l, 601, 0), "the oldest make room, counted");
	tap_is_int(wrong(&l, 5000 - 4096, 5000, 0), 0, "the others stay");
	tap_is_int(wrong(&l, 1, 5000, 1000 + 5000), 0, "all are over in the end");
	flow_linger_deinit(&l);
}

/* A hundred each tenth of a second, each lasting five: which of them may be read at all. */
static void check_window(void)
{
	const uint64_t tick_ns = UINT64_C(100000000), lasts_ns = 50 * tick_ns;
	struct flow_linger_entry e = {.hash = 0};
	unsigned lost = 0, most = 0;
	struct flow_linger l;
	uint64_t now_ns = 0;

	if (flow_linger_init(&l, 65536))
		tap_bail("no memory");
	for (uint64_t i = 0; i < 20000; i++) {
		now_ns = i / 100 * tick_ns;
		e.hash = hash_of(i);
		e.until_ns = now_ns + lasts_ns;
		flow_linger_add(&l, &e, now_ns);
		if (l.next - l.first > most)
			most = l.next - l.first;
		if (i < 4900)
			continue;
		/* The oldest that lasts for sure. */
		lost += !flow_linger_find(&l, hash_of(i - 4900), now_ns);
	}
	tap_is_int(lost, 0, "what lasts is found");
	tap_ok(most < 5300, "what is over is not even looked at");
	now_ns += 2 * lasts_ns;
	e.until_ns = now_ns + lasts_ns;
	flow_linger_add(&l, &e, now_ns);
	tap_ok(l.next - l.first < 300, "nor after a rest");
	tap_is_int(l.evicted, 0, "nobody had to go");
	flow_linger_deinit(&l);
}

/* One of those whose hashes the index takes for the same. */
static uint64_t like(uint64_t number)
{
	return number << 32 | 12345;
}

/* How many of those from @first to @end are found. */
static unsigned alike(struct flow_linger *l, uint64_t first, uint64_t end)
{
	unsigned n = 0;

	for (uint64_t i = first; i < end; i++)
		n += flow_linger_find(l, like(i), 0) != NULL;
	return n;
}

/* Of a kind: one set, and no more than it holds. */
static void check_alike(void)
{
	struct flow_linger l;
	struct flow_linger_entry e = {.until_ns = 10};

	if (flow_linger_init(&l, 1024))
		tap_bail("no memory");
	for (uint64_t i = 0; i < FLOW_LINGER_WAYS + 2; i++) {
		e.hash = like(i);
		flow_linger_add(&l, &e, 0);
	}
	tap_is_int(
		alike(&l, 2, FLOW_LINGER_WAYS + 2), FLOW_LINGER_WAYS, "a set keeps the youngest");
	tap_is_int(alike(&l, 0, 2), 0, "not the others");
	tap_is_int(l.evicted, 2, "which are counted");
	flow_linger_forget(&l, flow_linger_find(&l, like(7), 0));
	e.hash = like(100);
	flow_linger_add(&l, &e, 0);
	tap_is_int(alike(&l, 2, 101), FLOW_LINGER_WAYS, "what is forgotten makes room in the set");
	tap_is_int(l.evicted, 2, "so that nobody has to go");
	tap_ok(!flow_linger_find(&l, like(2) ^ UINT32_C(1) << 31, 0), "another hash is not theirs");
	flow_linger_deinit(&l);
}

int main(void)
{
	check_life(0);
	check_life((UINT32_C(1) << 20) - 1500); /* the index has 20 bits of each number */
	check_life((UINT32_C(1) << 20) - 4000);
	check_window();
	check_alike();
	return tap_done();
}
