/* SPDX-License-Identifier: Apache-2.0 */
/* Owners by method, reason, latency and tier, for people. */
#include "cli/owners.h"

#include <inttypes.h>
#include <string.h>

#include "shm/record.h"
#include "shm/verdict.h"

#define COUNT(a)         (sizeof(a) / sizeof(a[0]))
#define ENRICH(i, name)  ((i)->ledger[LEDGER_OF_ENRICH].value[LEDGER_enrich_##name])
#define CAPTURE(i, name) ((i)->ledger[LEDGER_OF_CAPTURE].value[LEDGER_capture_##name])

static uint64_t enrich(const struct instance *i, unsigned counter)
{
	return i->ledger[LEDGER_OF_ENRICH].value[counter];
}

/* How often and how large a part of @of. */
static void print_share(const char *name, uint64_t n, uint64_t of, FILE *f)
{
	double percent = of ? 100.0 * (double)n / (double)of : 0;

	fprintf(f, "%-12s %9" PRIu64 "  %5.1f %%", name, n, percent);
}

static void print_methods(const struct instance *i, uint64_t of, FILE *f)
{
	static const struct {
		enum record_method method;
		unsigned counter;
	} row[] = {
		{RECORD_METHOD_TAP_CONNECT, LEDGER_enrich_owners_tap_connect},
		{RECORD_METHOD_TAP_SEND, LEDGER_enrich_owners_tap_send},
		{RECORD_METHOD_TAP_LISTEN, LEDGER_enrich_owners_tap_listen},
		{RECORD_METHOD_TAP_CLOSE, LEDGER_enrich_owners_tap_close},
		{RECORD_METHOD_SOCK_DIAG, LEDGER_enrich_owners_diag},
		{RECORD_METHOD_SEED, LEDGER_enrich_owners_seed},
		{RECORD_METHOD_PROCFS, LEDGER_enrich_owners_procfs},
		{RECORD_METHOD_KERNEL, LEDGER_enrich_owners_kernel},
	};

	_Static_assert(COUNT(row) == RECORD_METHODS - 1, "every method has a row");
	for (size_t n = 0; n < COUNT(row); n++) {
		if (!enrich(i, row[n].counter))
			continue;
		fputs("            ", f);
		print_share(record_method_name(row[n].method), enrich(i, row[n].counter), of, f);
		fprintf(f, "  %s\n", verdict_method(row[n].method));
	}
	if (ENRICH(i, owners_cgroup)) {
		fputs("            ", f);
		print_share("cgroup_only", ENRICH(i, owners_cgroup), of, f);
		fputs("  the socket's user and cgroup, not its process\n", f);
	}
	if (ENRICH(i, owners_unknown)) {
		fputs("            ", f);
		print_share("unknown", ENRICH(i, owners_unknown), of, f);
		fputs("  for the reasons below\n", f);
	}
}

static void print_reasons(const struct instance *i, uint64_t of, FILE *f)
{
	static const struct {
		enum record_unknown reason;
		unsigned counter;
	} row[] = {
		{RECORD_UNKNOWN_NONE, LEDGER_enrich_unknown_none},
		{RECORD_UNKNOWN_NO_SOCKET, LEDGER_enrich_unknown_no_socket},
		{RECORD_UNKNOWN_NO_PROCESS, LEDGER_enrich_unknown_no_process},
		{RECORD_UNKNOWN_TAP_LOST, LEDGER_enrich_unknown_tap_lost},
		{RECORD_UNKNOWN_OLDER, LEDGER_enrich_unknown_older},
		{RECORD_UNKNOWN_OFFLINE, LEDGER_enrich_unknown_offline},
		{RECORD_UNKNOWN_OFF, LEDGER_enrich_unknown_off},
		{RECORD_UNKNOWN_AMBIGUOUS, LEDGER_enrich_unknown_ambiguous},
		{RECORD_UNKNOWN_NETNS, LEDGER_enrich_unknown_netns},
		{RECORD_UNKNOWN_RAW, LEDGER_enrich_unknown_raw},
	};
	const char *lead = "  unknown   ";

	_Static_assert(COUNT(row) == RECORD_UNKNOWNS - 1, "every reason but remote has a row");
	for (size_t n = 0; n < COUNT(row); n++) {
		const char *help = verdict_unknown_help(row[n].reason);

		if (!enrich(i, row[n].counter))
			continue;
		fputs(lead, f);
		lead = "            ";
		print_share(record_unknown_name(row[n].reason), enrich(i, row[n].counter), of, f);
		fprintf(f, "\n              %s\n", verdict_unknown_meaning(row[n].reason));
		if (help[0])
			fprintf(f, "              %s\n", help);
	}
}

const char *owners_latency(const struct instance *i, unsigned percent)
{
	static const char *const bound[] = {"within 1 ms", "within 2 ms", "within 5 ms",
		"within 8 ms", "within 10 ms", "within 12 ms", "within 15 ms", "within 20 ms",
		"within 25 ms", "within 30 ms", "within 40 ms", "within 50 ms", "within 60 ms",
		"within 100 ms", "within 120 ms", "within 1 s", "after more than 1 s"};
	const unsigned first = LEDGER_enrich_latency_1ms;
	uint64_t total = 0, sum = 0;

	_Static_assert(COUNT(bound) == LEDGER_enrich_latency_more - LEDGER_enrich_latency_1ms + 1,
		"every bucket has a bound");
	for (size_t n = 0; n < COUNT(bound); n++)
		total += enrich(i, first + n);
	for (size_t n = 0; n < COUNT(bound); n++) {
		sum += enrich(i, first + n);
		if (sum && (double)sum >= (double)total * percent / 100.0)
			return bound[n];
	}
	return "";
}

/* The tap is opened by capture and read by enrich: both have a say. */
static void print_tap(const struct instance *i, FILE *f)
{
	uint64_t here = ENRICH(i, tier_tap), there = CAPTURE(i, tap);
	const char *why =
		there > LEDGER_TIER_REFUSED ? strerror((int)(there - LEDGER_TIER_REFUSED)) : NULL;

	if (here == LEDGER_TIER_LIVE && !why)
		fputs("live\n", f);
	else if (here == LEDGER_TIER_LIVE)
		fprintf(f, "partly live: %s (see capture's log)\n", why);
	else if (here == LEDGER_TIER_OFF || there == LEDGER_TIER_OFF)
		fputs("off in the configuration (enrich.tap)\n", f);
	else if (why)
		fprintf(f, "not live: %s (see capture's log)\n", why);
	else
		fputs("not live: flowner-capture has not passed it on yet\n", f);
}

static void print_tier(uint64_t state, const char *off, FILE *f)
{
	if (state == LEDGER_TIER_LIVE)
		fputs("live\n", f);
	else if (state == LEDGER_TIER_OWN)
		fputs("live for our own user's processes only: capabilities are missing\n", f);
	else if (state == LEDGER_TIER_OFF)
		fprintf(f, "off in the configuration (%s)\n", off);
	else if (state > LEDGER_TIER_REFUSED)
		fprintf(f, "not live: %s\n", strerror((int)(state - LEDGER_TIER_REFUSED)));
	else
		fputs("not live yet\n", f);
}

static void print_tiers(const struct instance *i, FILE *f)
{
	static const struct {
		const char *name;
		unsigned counter;
		const char *off;
	} row[] = {
		{"tap", LEDGER_enrich_tier_tap, "enrich.tap"},
		{"sock_diag", LEDGER_enrich_tier_sock_diag, "enrich.sock_diag"},
		{"connector", LEDGER_enrich_tier_connector, "enrich.procfs"},
		{"seed", LEDGER_enrich_tier_seed, "enrich.procfs"},
		{"procfs", LEDGER_enrich_tier_procfs, "enrich.procfs: keep turns it on"},
	};
	const char *lead = "  tiers     ";

	for (size_t n = 0; n < COUNT(row); n++) {
		uint64_t state = enrich(i, row[n].counter);

		if (state == LEDGER_TIER_UNTRIED)
			continue;
		fprintf(f, "%s%-10s ", lead, row[n].name);
		lead = "            ";
		if (row[n].counter == LEDGER_enrich_tier_tap)
			print_tap(i, f);
		else if (row[n].counter == LEDGER_enrich_tier_connector &&
			 state == LEDGER_TIER_OFF && ENRICH(i, tier_tap) == LEDGER_TIER_LIVE)
			fputs("not needed: the tap is live\n", f);
		else
			print_tier(state, row[n].off, f);
	}
	if (!ENRICH(i, tiers))
		fprintf(f, "%snone live: no owners are found\n", lead);
}

void owners_print(const struct instance *i, FILE *f)
{
	uint64_t ours = ENRICH(i, owners_asked) - ENRICH(i, owners_remote);

	fprintf(f,
		"  owners    %" PRIu64 " ends of connections: %" PRIu64
		" not on this host, %" PRIu64 " to be found\n",
		ENRICH(i, owners_asked), ENRICH(i, owners_remote), ours);
	print_methods(i, ours, f);
	if (ENRICH(i, owners_exact) || ENRICH(i, owners_probable)) {
		fprintf(f, "  sure      exact %" PRIu64 ", probable %" PRIu64 "\n",
			ENRICH(i, owners_exact), ENRICH(i, owners_probable));
	}
	if (owners_latency(i, 50)[0])
		fprintf(f, "  latency   packet to owner known: 50 %% %s, 99 %% %s\n",
			owners_latency(i, 50), owners_latency(i, 99));
	print_reasons(i, ours, f);
	print_tiers(i, f);
}
