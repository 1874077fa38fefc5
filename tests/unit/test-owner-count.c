/* SPDX-License-Identifier: Apache-2.0 */
/* The books of the verdict balance for every possible answer, and latencies fall into their place.
 */
#include "enrich/owner-count.h"
#include "tap.h"

static struct ledger l;

static uint64_t get(unsigned counter)
{
	return ledger_get(&l, counter);
}

static uint64_t sum(unsigned first, unsigned last)
{
	uint64_t n = 0;

	for (unsigned i = first; i <= last; i++)
		n += get(i);
	return n;
}

static uint64_t methods(void)
{
	return sum(LEDGER_enrich_owners_tap_connect, LEDGER_enrich_owners_tap_close) +
	       get(LEDGER_enrich_owners_diag) + get(LEDGER_enrich_owners_seed) +
	       get(LEDGER_enrich_owners_procfs) + get(LEDGER_enrich_owners_kernel);
}

static uint64_t reasons(void)
{
	return sum(LEDGER_enrich_unknown_none, LEDGER_enrich_unknown_netns) +
	       get(LEDGER_enrich_unknown_raw);
}

/* An answer as the verdict can give it. */
static bool possible(const struct record_process *p)
{
	if (p->confidence == RECORD_CONFIDENCE_UNKNOWN)
		return !p->pid && p->method == RECORD_METHOD_NONE;
	if (p->method == RECORD_METHOD_NONE)
		return false;
	if (p->confidence == RECORD_CONFIDENCE_CGROUP_ONLY || p->method == RECORD_METHOD_KERNEL)
		return !p->pid;
	return p->pid;
}

static void test_balance(void)
{
	uint64_t asked = 0, named = 0, unbalanced = 0;

	for (unsigned n = 0; n < RECORD_METHODS * RECORD_CONFIDENCES * RECORD_UNKNOWNS * 2; n++) {
		struct record_process p = {
			.method = (uint8_t)(n % RECORD_METHODS),
			.confidence = (uint8_t)(n / RECORD_METHODS % RECORD_CONFIDENCES),
			.unknown = (uint8_t)(n / RECORD_METHODS / RECORD_CONFIDENCES %
					     RECORD_UNKNOWNS),
			.pid = n >= RECORD_METHODS * RECORD_CONFIDENCES * RECORD_UNKNOWNS,
			.latency_ns = (uint64_t)n * 1000000,
		};

		if (!possible(&p))
			continue;
		asked++;
		named += p.pid;
		owner_count(&l, &p);
		unbalanced += get(LEDGER_enrich_owners_asked) !=
			      methods() + get(LEDGER_enrich_owners_cgroup) +
				      get(LEDGER_enrich_owners_remote) + reasons();
	}
	tap_is_int(get(LEDGER_enrich_owners_asked), asked, "%llu answers, each is counted",
		(unsigned long long)asked);
	tap_is_int(unbalanced, 0, "asked = methods + cgroup only + reasons + remote, always");
	tap_is_int(
		reasons(), get(LEDGER_enrich_owners_unknown), "unknown is the sum of its reasons");
	tap_is_int(sum(LEDGER_enrich_owners_tap_connect, LEDGER_enrich_owners_tap_close),
		get(LEDGER_enrich_owners_tap), "tap is the sum of its methods");
	tap_is_int(get(LEDGER_enrich_owners_exact) + get(LEDGER_enrich_owners_probable), methods(),
		"every owner has a confidence");
	tap_is_int(sum(LEDGER_enrich_latency_1ms, LEDGER_enrich_latency_more), named,
		"every process named has a latency");
}

static void test_latency(void)
{
	static const struct {
		uint64_t us;
		unsigned counter;
	} cases[] = {
		{0, LEDGER_enrich_latency_1ms},
		{1000, LEDGER_enrich_latency_1ms},
		{1001, LEDGER_enrich_latency_2ms},
		{10000, LEDGER_enrich_latency_10ms},
		{12000, LEDGER_enrich_latency_12ms},
		{12001, LEDGER_enrich_latency_15ms},
		{40000, LEDGER_enrich_latency_40ms},
		{40001, LEDGER_enrich_latency_50ms},
		{50001, LEDGER_enrich_latency_60ms},
		{100000, LEDGER_enrich_latency_100ms},
		{100001, LEDGER_enrich_latency_120ms},
		{120001, LEDGER_enrich_latency_1s},
		{1000000, LEDGER_enrich_latency_1s},
		{1000001, LEDGER_enrich_latency_more},
		{UINT64_MAX / 1000, LEDGER_enrich_latency_more},
	};
	unsigned wrong = 0;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t before = get(cases[i].counter);
		struct record_process p = {
			.pid = 1,
			.method = RECORD_METHOD_TAP_CONNECT,
			.confidence = RECORD_CONFIDENCE_EXACT,
			.latency_ns = cases[i].us * 1000,
		};

		owner_count(&l, &p);
		wrong += get(cases[i].counter) != before + 1;
	}
	tap_is_int(wrong, 0, "a latency goes to the first counter whose bound it does not pass");
}

int main(void)
{
	if (ledger_open_anonymous(&l, LEDGER_OF_ENRICH) < 0)
		tap_bail("no ledger");
	test_balance();
	test_latency();
	ledger_close(&l);
	return tap_done();
}
