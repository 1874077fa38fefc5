/* SPDX-License-Identifier: Apache-2.0 */
/* Counts what became of each end's owner. */
#include "enrich/owner-count.h"

#define COUNT(a) (sizeof(a) / sizeof(a[0]))
#define MS       UINT64_C(1000000)

static const unsigned method_counter[] = {
	[RECORD_METHOD_NONE] = LEDGER_enrich_owners_unknown,
	[RECORD_METHOD_TAP_CONNECT] = LEDGER_enrich_owners_tap_connect,
	[RECORD_METHOD_TAP_SEND] = LEDGER_enrich_owners_tap_send,
	[RECORD_METHOD_TAP_LISTEN] = LEDGER_enrich_owners_tap_listen,
	[RECORD_METHOD_TAP_CLOSE] = LEDGER_enrich_owners_tap_close,
	[RECORD_METHOD_SOCK_DIAG] = LEDGER_enrich_owners_diag,
	[RECORD_METHOD_SEED] = LEDGER_enrich_owners_seed,
	[RECORD_METHOD_PROCFS] = LEDGER_enrich_owners_procfs,
	[RECORD_METHOD_KERNEL] = LEDGER_enrich_owners_kernel,
};

static const unsigned reason_counter[] = {
	[RECORD_UNKNOWN_NONE] = LEDGER_enrich_unknown_none,
	[RECORD_UNKNOWN_REMOTE] = LEDGER_enrich_owners_remote,
	[RECORD_UNKNOWN_NO_SOCKET] = LEDGER_enrich_unknown_no_socket,
	[RECORD_UNKNOWN_NO_PROCESS] = LEDGER_enrich_unknown_no_process,
	[RECORD_UNKNOWN_TAP_LOST] = LEDGER_enrich_unknown_tap_lost,
	[RECORD_UNKNOWN_OLDER] = LEDGER_enrich_unknown_older,
	[RECORD_UNKNOWN_OFFLINE] = LEDGER_enrich_unknown_offline,
	[RECORD_UNKNOWN_OFF] = LEDGER_enrich_unknown_off,
	[RECORD_UNKNOWN_AMBIGUOUS] = LEDGER_enrich_unknown_ambiguous,
	[RECORD_UNKNOWN_NETNS] = LEDGER_enrich_unknown_netns,
	[RECORD_UNKNOWN_RAW] = LEDGER_enrich_unknown_raw,
};

static const struct {
	uint64_t most_ns;
	unsigned counter;
} latencies[] = {
	{1 * MS, LEDGER_enrich_latency_1ms},
	{2 * MS, LEDGER_enrich_latency_2ms},
	{5 * MS, LEDGER_enrich_latency_5ms},
	{8 * MS, LEDGER_enrich_latency_8ms},
	{10 * MS, LEDGER_enrich_latency_10ms},
	{12 * MS, LEDGER_enrich_latency_12ms},
	{15 * MS, LEDGER_enrich_latency_15ms},
	{20 * MS, LEDGER_enrich_latency_20ms},
	{25 * MS, LEDGER_enrich_latency_25ms},
	{30 * MS, LEDGER_enrich_latency_30ms},
	{40 * MS, LEDGER_enrich_latency_40ms},
	{50 * MS, LEDGER_enrich_latency_50ms},
	{60 * MS, LEDGER_enrich_latency_60ms},
	{100 * MS, LEDGER_enrich_latency_100ms},
	{120 * MS, LEDGER_enrich_latency_120ms},
	{1000 * MS, LEDGER_enrich_latency_1s},
	{UINT64_MAX, LEDGER_enrich_latency_more},
};

_Static_assert(COUNT(method_counter) == RECORD_METHODS, "every method is counted");
_Static_assert(COUNT(reason_counter) == RECORD_UNKNOWNS, "every reason is counted");

static void count_unknown(struct ledger *l, enum record_unknown why)
{
	ledger_add(l, reason_counter[why], 1);
	if (why != RECORD_UNKNOWN_REMOTE)
		ledger_add(l, LEDGER_enrich_owners_unknown, 1);
}

static void count_latency(struct ledger *l, uint64_t ns)
{
	unsigned i = 0;

	while (ns > latencies[i].most_ns)
		i++;
	ledger_add(l, latencies[i].counter, 1);
	ledger_add(l, LEDGER_enrich_latency_ns, ns);
}

void owner_count(struct ledger *l, const struct record_process *end)
{
	ledger_add(l, LEDGER_enrich_owners_asked, 1);
	switch ((enum record_confidence)end->confidence) {
	case RECORD_CONFIDENCE_UNKNOWN:
		count_unknown(l, (enum record_unknown)end->unknown);
		return;
	case RECORD_CONFIDENCE_CGROUP_ONLY:
		ledger_add(l, LEDGER_enrich_owners_cgroup, 1);
		return;
	case RECORD_CONFIDENCE_PROBABLE:
		ledger_add(l, LEDGER_enrich_owners_probable, 1);
		break;
	case RECORD_CONFIDENCE_EXACT:
		ledger_add(l, LEDGER_enrich_owners_exact, 1);
		break;
	case RECORD_CONFIDENCES:
		break;
	}
	ledger_add(l, method_counter[end->method], 1);
	if (end->method >= RECORD_METHOD_TAP_CONNECT && end->method <= RECORD_METHOD_TAP_CLOSE)
		ledger_add(l, LEDGER_enrich_owners_tap, 1);
	if (end->pid)
		count_latency(l, end->latency_ns);
}
