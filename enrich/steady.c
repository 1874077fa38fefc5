/* SPDX-License-Identifier: Apache-2.0 */
/* What CLOCK_REALTIME is ahead of CLOCK_MONOTONIC, now and before it was set. */
#include "enrich/steady.h"

#include <stddef.h>
#include <string.h>

#define MS UINT64_C(1000000)

#define STEPS     16u  /* settings of the clock that are remembered: the first, and the last ones */
#define TRIES     16u  /* measurements at the start: the finest counts */
#define FINE_NS   200u /* and is fine enough */
#define SLACK_NS  1000u      /* a smaller step is none */
#define YOUNG_NS  (20 * MS)  /* read so long after the last look, a packet is no surprise */
#define OLD_NS    (200 * MS) /* nor is one that waited so long */
#define GAP_NS    (100 * MS) /* two packets this close to each other are one stream ... */
#define BEHIND_NS (20 * MS)  /* ... in which another interface's may be older */
#define NAPS      8u         /* suspensions that are remembered */
#define NAP_NS    (500 * MS) /* a shorter one is none */

struct setting {
	uint64_t since_ns; /* nothing before was stamped by it */
	uint64_t until_ns; /* nor after */
	uint64_t ahead_ns; /* CLOCK_REALTIME minus the steady time, modulo 2^64 */
};

/* Stamps of CLOCK_BOOTTIME up to @until_ns are that much behind the steady time, modulo 2^64. */
struct nap {
	uint64_t until_ns, behind_ns;
};

static struct {
	uint64_t (*now)(clockid_t id);
	bool begun;
	uint64_t base_ns;   /* the steady time minus CLOCK_MONOTONIC, modulo 2^64 */
	uint64_t error_ns;  /* of the measurement that the newest setting comes from, at most */
	uint64_t looked_ns; /* the newest setting held then */
	uint64_t held_ns;   /* and then, as a packet shows; 0 = none does */
	uint64_t last_ns;   /* of the last packet */
	uint64_t steps;
	int64_t step_ns;
	size_t n; /* settings, the newest first */
	struct setting setting[STEPS];
	size_t n_naps; /* the oldest first; behind them: how it is now, since @until_ns at least */
	struct nap nap[NAPS + 1];
} s;

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* CLOCK_REALTIME minus CLOCK_MONOTONIC, to *ret_error; *ret_ns: CLOCK_MONOTONIC before that. */
static uint64_t measure(uint64_t *ret_ns, uint64_t *ret_error)
{
	uint64_t before = s.now(CLOCK_MONOTONIC);
	uint64_t real = s.now(CLOCK_REALTIME);
	uint64_t after = s.now(CLOCK_MONOTONIC);

	*ret_ns = before;
	*ret_error = after - before;
	return real - (before + (after - before) / 2);
}

static void begin(void)
{
	if (!s.now)
		s.now = clock_ns;
	s.error_ns = UINT64_MAX;
	for (unsigned i = 0; i < TRIES && s.error_ns > FINE_NS; i++) {
		uint64_t at, error, ahead = measure(&at, &error);

		if (error >= s.error_ns)
			continue;
		s.base_ns = ahead;
		s.error_ns = error;
		s.looked_ns = at + ahead;
	}
	s.setting[0] = (struct setting){.until_ns = UINT64_MAX};
	s.n = 1;
	s.begun = true;
}

uint64_t steady_of_monotonic(uint64_t monotonic_ns)
{
	if (!s.begun)
		begin();
	return monotonic_ns + s.base_ns;
}

uint64_t steady_now_ns(void)
{
	if (!s.begun)
		begin();
	return s.now(CLOCK_MONOTONIC) + s.base_ns;
}

uint64_t steady_of_boottime(uint64_t boottime_ns)
{
	struct nap *last = &s.nap[s.n_naps];
	uint64_t now, behind;
	size_t i = 0;

	if (!s.begun)
		begin();
	now = s.now(CLOCK_BOOTTIME);
	behind = steady_now_ns() - now;
	if (!last->until_ns) {
		last->behind_ns = behind;
	} else if ((int64_t)(last->behind_ns - behind) > (int64_t)NAP_NS) {
		if (s.n_naps == NAPS)
			memmove(s.nap, s.nap + 1, NAPS * sizeof(s.nap[0]));
		else
			s.n_naps++;
		last = &s.nap[s.n_naps];
		last->behind_ns = behind;
	}
	last->until_ns = now;
	while (i < s.n_naps && boottime_ns > s.nap[i].until_ns)
		i++;
	return boottime_ns + s.nap[i].behind_ns;
}

void steady_look(void)
{
	uint64_t at, error, ahead, moved;

	if (!s.begun)
		begin();
	ahead = measure(&at, &error) - s.base_ns;
	moved = ahead - s.setting[0].ahead_ns;
	if ((moved > UINT64_MAX / 2 ? -moved : moved) <= error + s.error_ns + SLACK_NS) {
		s.looked_ns = at + s.base_ns;
		return;
	}
	if (s.n == STEPS)
		s.setting[STEPS - 2] = s.setting[STEPS - 1];
	else
		s.n++;
	memmove(s.setting + 1, s.setting, (s.n - 1) * sizeof(s.setting[0]));
	s.setting[1].until_ns = at + error + s.base_ns;
	if (s.held_ns > s.looked_ns && s.held_ns <= at + s.base_ns)
		s.looked_ns = s.held_ns;
	s.held_ns = 0;
	s.setting[0] = (struct setting){s.looked_ns, UINT64_MAX, ahead};
	s.error_ns = error;
	s.looked_ns = at + s.base_ns;
	s.step_ns = (int64_t)moved;
	s.steps++;
}

uint64_t steady_steps(void)
{
	return s.steps;
}

int64_t steady_step_ns(void)
{
	return s.step_ns;
}

/* Whether a packet can have been stamped @real_ns by the setting; *ret_ns: when that was. */
static bool can_be(const struct setting *k, uint64_t real_ns, uint64_t now_ns, uint64_t *ret_ns)
{
	*ret_ns = real_ns - k->ahead_ns;
	return *ret_ns >= k->since_ns && *ret_ns <= k->until_ns && *ret_ns <= now_ns + YOUNG_NS;
}

static bool goes_on(uint64_t t_ns)
{
	return t_ns + BEHIND_NS >= s.last_ns && t_ns <= s.last_ns + GAP_NS;
}

/* The setting held then: the newer one did not yet, the older one no more. */
static void refine(size_t i, uint64_t t_ns)
{
	if (i && s.setting[i - 1].since_ns < t_ns)
		s.setting[i - 1].since_ns = t_ns;
	if (i + 1 < s.n && s.setting[i + 1].until_ns > t_ns)
		s.setting[i + 1].until_ns = t_ns;
}

/* By all settings that are remembered. */
static uint64_t choose(uint64_t real_ns)
{
	uint64_t now, t, best = 0;
	unsigned found = 0;
	size_t at = 0;

	steady_look();
	now = steady_now_ns();
	for (size_t i = 0; i < s.n; i++) {
		if (!can_be(&s.setting[i], real_ns, now, &t))
			continue;
		if (!found++ || (goes_on(t) && !goes_on(best))) {
			best = t;
			at = i;
		}
	}
	if (found == 1)
		refine(at, best);
	if (found)
		return best;
	/* Stamped before the start, or by a setting that came and went between two looks. */
	t = real_ns - s.setting[0].ahead_ns;
	return t < now ? t : now;
}

uint64_t steady_of_packet(uint64_t real_ns)
{
	uint64_t t;

	if (!s.begun)
		begin();
	t = real_ns - s.setting[0].ahead_ns;
	/* The clock is rarely set: a packet that is as young as one should be needs no choice. */
	if (t > s.looked_ns + YOUNG_NS || t + OLD_NS < s.looked_ns ||
		(s.n > 1 && t <= s.setting[1].until_ns + OLD_NS))
		t = choose(real_ns);
	else
		s.held_ns = t;
	s.last_ns = t;
	return t;
}

uint64_t steady_to_real(uint64_t steady_ns)
{
	size_t i = 0;

	if (!s.steps)
		return steady_ns;
	while (i + 1 < s.n && steady_ns <= s.setting[i].since_ns)
		i++;
	return steady_ns + s.setting[i].ahead_ns;
}

void steady_set_clock(uint64_t (*now)(clockid_t id))
{
	memset(&s, 0, sizeof(s));
	s.now = now;
}
