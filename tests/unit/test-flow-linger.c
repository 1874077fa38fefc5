/* SPDX-License-Identifier: Apache-2.0 */
/* What is left of ended connections: in a ring that uses as much of its memory as it needs. */
#include "enrich/flow-linger.h"

#include "tap.h"

static struct flow_linger_entry entry(uint64_t number)
{
	/* Hashes meet often, and far apart in the ring. */
	return (struct flow_linger_entry){.id.w = {number},
		.until_ns = 1000 + number,
		.hash = (uint32_t)(number * 2654435761u % 997)};
}

static bool found(struct flow_linger *l, uint64_t number, uint64_t now_ns)
{
	struct flow_linger_entry want = entry(number);
	const struct flow_linger_entry *e = flow_linger_find(l, &want.id, want.hash, now_ns);

	return e && e->id.w[0] == number && e->until_ns == want.until_ns;
}

static unsigned wrong(struct flow_linger *l, uint64_t first, uint64_t end, uint64_t forgotten)
{
	unsigned n = 0;

	for (uint64_t i = first; i < end; i++)
		n += found(l, i, 0) != (i % forgotten != 0);
	return n;
}

static void add(struct flow_linger *l, uint64_t first, uint64_t end, uint64_t forgotten)
{
	for (uint64_t i = first; i < end; i++) {
		struct flow_linger_entry e = entry(i);

		flow_linger_add(l, &e);
		if (!(i % forgotten))
			flow_linger_forget(l, flow_linger_find(l, &e.id, e.hash, 0));
	}
}

int main(void)
{
	struct flow_linger l;
	uint32_t small;

	if (flow_linger_init(&l, 4096))
		tap_bail("no memory");
	small = l.size;
	tap_ok(small < 4096, "a part of it is used at first");
	add(&l, 0, 700, 7);
	flow_linger_expire(&l, 1000 + 499);
	tap_is_int(wrong(&l, 500, 700, 7), 0, "the younger ones are there");
	tap_ok(!found(&l, 499, 0), "the older ones have expired");
	add(&l, 700, 1500, 7);
	tap_is_int(l.size, small, "going around takes no more of it");
	add(&l, 1500, 2000, 7);
	tap_ok(l.size > small && l.size < 2 * small,
		"more entries do, not much more than they need");
	tap_is_int(wrong(&l, 500, 2000, 7), 0, "none is lost by that, none comes back");
	add(&l, 2000, 500 + 4096, 7);
	tap_is_int(l.evicted, 0, "nothing is evicted until all of it is full");
	tap_is_int(wrong(&l, 500, 500 + 4096, 7), 0, "and all are there");
	add(&l, 500 + 4096, 5000, 7);
	tap_is_int(l.size, 4096, "it never uses more than it has");
	tap_ok(l.evicted > 300 && !found(&l, 601, 0), "the oldest make room, counted");
	tap_is_int(wrong(&l, 5000 - 4096, 5000, 7), 0, "the others stay");
	flow_linger_expire(&l, UINT64_MAX);
	tap_is_int(l.count, 0, "all expire");
	flow_linger_deinit(&l);
	return tap_done();
}
