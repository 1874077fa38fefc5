/* SPDX-License-Identifier: Apache-2.0 */
/* When capture sleeps until a batch is due, and when it must not. */
#include "capture/nap.h"

#include "tap.h"

#define MS    UINT64_C(1000000)
#define BATCH (100 * MS)
#define ROOM  (UINT64_C(4) << 20)
#define FRAME 144u /* bytes of ring a packet takes */

/* @n packets within @took_ns: whether a nap follows. */
static bool naps_after(struct nap *nap, unsigned n, uint64_t took_ns, uint64_t from_ns)
{
	for (unsigned i = 0; i < n; i++)
		nap_saw(nap, from_ns + took_ns * i / (n > 1 ? n - 1 : 1));
	nap->head += (uint64_t)n * FRAME;
	return nap_pays(nap, BATCH, ROOM);
}

int main(void)
{
	struct nap n = {.head = 12345, .from = 12345};

	tap_ok(!naps_after(&n, 0, 0, 0), "nothing came: no nap");
	tap_ok(!naps_after(&n, 200, 99 * MS, MS), "a few packets, by the timer: no nap");
	tap_ok(naps_after(&n, 1100, 14 * MS, 1000 * MS),
		"a block in 14 ms, 80,000 packets/s: a nap");
	tap_ok(naps_after(&n, 8000, 100 * MS, 1014 * MS), "and another after it");
	tap_ok(!naps_after(&n, 1100, 1 * MS, 9000000 * MS),
		"a million/s after hours of nothing: no nap");
	tap_ok(!naps_after(&n, 20000, 100 * MS, 1114 * MS),
		"200,000/s would fill the ring: no nap");
	tap_ok(naps_after(&n, 2000, 100 * MS, 1314 * MS), "when that is over: a nap");
	tap_ok(!naps_after(&n, 1100, 0, 1414 * MS), "all at one time: no nap");
	for (unsigned i = 0; i < 2000; i++)
		nap_saw(&n, (5000 - i) * MS);
	n.head += 2000 * FRAME;
	tap_ok(!nap_pays(&n, BATCH, ROOM), "a clock that goes back: no nap");
	n.head = UINT64_MAX;
	(void)nap_pays(&n, BATCH, ROOM);
	tap_ok(naps_after(&n, 1100, 14 * MS, 6000 * MS), "the ring's head may come around");
	tap_ok(!nap_pays(&n, BATCH, ROOM), "one batch is good for one nap");
	return tap_done();
}
