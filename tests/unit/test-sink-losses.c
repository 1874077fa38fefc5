/* SPDX-License-Identifier: Apache-2.0 */
/* Losses until they are told: the first at once, then one a while, and the sums are exact. */
#include "sink/losses.h"

#include "tap.h"

#define STEP 1000u

static struct losses losses;
static struct losses_told told;

static void lose(uint32_t stage, uint64_t count, uint64_t first_ns, uint64_t last_ns)
{
	const struct ring_loss loss = {.stage = stage,
		.count = count,
		.packets = 2 * count,
		.first_ns = first_ns,
		.last_ns = last_ns};

	losses_add(&losses, &loss);
}

static void test_rate(void)
{
	struct ring_loss got;
	uint64_t sum = 0, records = 0, lost = 0;

	tap_ok(losses_due_ns(&losses, &told, STEP) == UINT64_MAX &&
			!losses_take(&losses, &told, STEP, 1, &got),
		"nothing is lost");
	lose(RING_LOSS_KERNEL, 3, 10, 20);
	tap_is_int(losses_due_ns(&losses, &told, STEP), 0, "the first is due at once");
	tap_ok(losses_take(&losses, &told, STEP, 5000, &got) && got.stage == RING_LOSS_KERNEL &&
			got.count == 3 && got.packets == 6 && got.first_ns == 10 &&
			got.last_ns == 20,
		"and comes out");
	lose(RING_LOSS_KERNEL, 4, 30, 40);
	lose(RING_LOSS_KERNEL, 5, 25, 35);
	tap_is_int(losses_due_ns(&losses, &told, STEP), 6000, "the next one after a while");
	tap_ok(!losses_take(&losses, &told, STEP, 5999, &got), "not before");
	lose(RING_LOSS_TAP, 1, 50, 50);
	tap_ok(losses_take(&losses, &told, STEP, 5999, &got) && got.stage == RING_LOSS_TAP,
		"another stage has its own");
	tap_ok(losses_take(&losses, &told, STEP, 6000, &got) && got.count == 9 &&
			got.first_ns == 25 && got.last_ns == 40,
		"summed, from the first to the last");
	for (uint64_t now = 10000; now < 20000; now++) {
		lose(RING_LOSS_RECORD_RING, now % 7, now, now);
		lost += now % 7;
		if (losses_take(&losses, &told, STEP, now, &got)) {
			sum += got.count;
			records++;
		}
	}
	tap_is_int(records, 10, "one a while");
	while (losses_take(&losses, &told, 0, 20000, &got))
		sum += got.count;
	tap_is_int(sum, lost, "in the end all is told");
}

static void test_nonsense(void)
{
	struct ring_loss got;

	lose(0, 1, 1, 1);
	lose(RING_LOSS_STAGES, 1, 1, 1);
	lose(UINT32_MAX, 1, 1, 1);
	lose(RING_LOSS_KERNEL, 0, 1, 1);
	tap_is_int(losses_due_ns(&losses, &told, STEP), UINT64_MAX, "no such stage, no count");
	lose(RING_LOSS_NETLINK, 1, 20, 10);
	tap_ok(losses_take(&losses, &told, 0, 30000, &got) && got.first_ns <= got.last_ns,
		"times in the wrong order are put right");
}

int main(void)
{
	test_rate();
	test_nonsense();
	return tap_done();
}
