/* SPDX-License-Identifier: Apache-2.0 */
/* The clock is set in all ways that matter, with packets before, behind and in between. */
#include <string.h>

#include "enrich/steady.h"
#include "tests/tap.h"

#define MS  UINT64_C(1000000)
#define S   (1000 * MS)
#define DAY (86400 * S)

#define START (1795000000 * S)

static uint64_t mono_ns, ahead_ns; /* CLOCK_MONOTONIC; CLOCK_REALTIME minus that */
static uint64_t asleep_ns;         /* CLOCK_BOOTTIME minus CLOCK_MONOTONIC */

static uint64_t fake(clockid_t id)
{
	if (id == CLOCK_BOOTTIME)
		return mono_ns + asleep_ns;
	return id == CLOCK_REALTIME ? mono_ns + ahead_ns : mono_ns;
}

static void begin(void)
{
	mono_ns = 1000 * S;
	ahead_ns = START - mono_ns;
	steady_set_clock(fake);
	steady_look();
}

/* What /proc says of when a process began, before and after the lid was shut. */
static void naps(void)
{
	uint64_t old, old_t, new, new_t, wrong = 0;

	begin();
	asleep_ns = 77 * S;
	old = mono_ns + asleep_ns;
	old_t = steady_now_ns();
	tap_is_int(steady_of_boottime(old), old_t, "slept before it began: of no matter");
	for (unsigned i = 0; i < 20; i++) {
		mono_ns += S;
		old = mono_ns + asleep_ns;
		old_t = steady_now_ns();
		wrong += steady_of_boottime(old) != old_t;
		asleep_ns += 3600 * S;
		mono_ns += S;
		new = mono_ns + asleep_ns;
		new_t = steady_now_ns();
		wrong += steady_of_boottime(new) != new_t;
		wrong += steady_of_boottime(old) != old_t;
	}
	tap_is_int(wrong, 0, "who began before the machine slept, and who began after");
	mono_ns += 9 * S;
	asleep_ns += 400 * MS;
	tap_is_int(steady_of_boottime(new), new_t, "a moment is no sleep");
	asleep_ns = 0;
}

static uint64_t stamp(void)
{
	return mono_ns + ahead_ns;
}

/* What is true of all steps; the clock is set by @by between two looks that are @gap_ns apart. */
static void step(int64_t by, uint64_t gap_ns, const char *name)
{
	uint64_t before, old, new, old_t, new_t, start, now;

	begin();
	start = steady_now_ns();
	tap_is_int(start, START, "%s: begins with what the clock says", name);
	mono_ns += 5 * S;
	steady_look();
	mono_ns += 2 * MS;
	before = steady_of_packet(stamp());
	tap_is_int(before, start + 5 * S + 2 * MS, "%s: before, a packet has its stamp", name);
	mono_ns += 1 * MS;
	old = stamp();
	old_t = steady_now_ns();
	mono_ns += 1 * MS;
	ahead_ns += (uint64_t)by;
	mono_ns += 1 * MS;
	new = stamp();
	new_t = steady_now_ns();
	mono_ns += gap_ns;
	now = steady_now_ns();
	steady_look();
	tap_is_int(steady_step_ns(), by, "%s: it is seen", name);
	steady_look();
	tap_is_int(steady_steps(), 1, "%s: once", name);
	tap_is_int(steady_now_ns(), now, "%s: steady time does not know of it", name);
	tap_is_int(steady_of_packet(old), old_t, "%s: a packet from before, read after", name);
	tap_is_int(steady_of_packet(new), new_t, "%s: a packet from after", name);
	tap_is_int(steady_to_real(new_t), new, "%s: whose record has its stamp again", name);
	tap_is_int(steady_to_real(before), before, "%s: as has one from before", name);
	tap_is_int(steady_to_real(start - DAY), start - DAY, "%s: and what began long ago", name);
	mono_ns += 3600 * S;
	steady_look();
	mono_ns += 1 * MS;
	tap_is_int(steady_of_packet(stamp()), steady_now_ns(), "%s: an hour later", name);
	tap_is_int(steady_to_real(steady_now_ns()), stamp(), "%s: and back", name);
}

/* The step is met in the middle of a batch, by a packet. */
static void in_batch(int64_t by, const char *name)
{
	begin();
	for (int i = 0; i < 10; i++) {
		mono_ns += 1 * MS;
		(void)steady_of_packet(stamp());
	}
	ahead_ns += (uint64_t)by;
	mono_ns += 1 * MS;
	tap_is_int(steady_of_packet(stamp()), steady_now_ns(), "%s: within a batch", name);
	tap_is_int(steady_steps(), 1, "%s: is noticed by the packet", name);
}

static void many(void)
{
	uint64_t first;

	begin();
	first = steady_now_ns();
	for (int i = 0; i < 100; i++) {
		mono_ns += 50 * MS;
		steady_look();
		ahead_ns += (i & 1 ? 7 : -7) * (uint64_t)(i + 1) * S;
		mono_ns += 1 * MS;
		steady_look();
	}
	tap_is_int(steady_steps(), 100, "a hundred steps are counted");
	tap_is_int(steady_of_packet(stamp()), steady_now_ns(), "the last one counts");
	tap_is_int(steady_to_real(first), first, "the first time is not forgotten");
}

static void noise(void)
{
	begin();
	ahead_ns += 500;
	steady_look();
	tap_is_int(steady_steps(), 0, "half a microsecond is no step");
	ahead_ns -= 500;
	ahead_ns += 3000;
	steady_look();
	tap_is_int(steady_step_ns(), 3000, "three are");
}

/* From before the start, or impossible. */
static void foreign(void)
{
	begin();
	mono_ns += 1 * MS;
	tap_is_int(steady_of_packet(stamp() - 3600 * S), steady_now_ns() - 3600 * S,
		"an old packet is old");
	tap_is_int(
		steady_of_packet(stamp() + 3600 * S), steady_now_ns(), "none is from the future");
	tap_is_int(steady_of_monotonic(mono_ns), steady_now_ns(), "stamps of the other clock");
}

int main(void)
{
	static const uint64_t gaps[] = {1 * MS, 30 * MS, 900 * MS};
	static const struct {
		int64_t by;
		const char *name;
	} steps[] = {
		{(int64_t)DAY, "a day forward"},
		{-(int64_t)DAY, "a day back"},
		{(int64_t)(3 * S), "3 s forward"},
		{-(int64_t)(3 * S), "3 s back"},
		{(int64_t)S, "a leap second left out"},
		{-(int64_t)S, "a leap second"},
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		for (size_t g = 0; g < sizeof(gaps) / sizeof(gaps[0]); g++)
			step(steps[i].by, gaps[g], steps[i].name);
		in_batch(steps[i].by, steps[i].name);
	}
	step((int64_t)(100 * MS), 1 * MS, "0.1 s forward");
	step(-(int64_t)(100 * MS), 1 * MS, "0.1 s back");
	many();
	noise();
	foreign();
	naps();
	return tap_done();
}
