/* SPDX-License-Identifier: Apache-2.0 */
/* The three ledgers of a runtime directory, read, added up and printed. */
#include "cli/instance.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "cli/owners.h"
#include "cli/runtime.h"
#include "shm/ring.h"

#define CAPTURE(i, name) ((i)->ledger[LEDGER_OF_CAPTURE].value[LEDGER_capture_##name])
#define ENRICH(i, name)  ((i)->ledger[LEDGER_OF_ENRICH].value[LEDGER_enrich_##name])
#define SINK(i, name)    ((i)->ledger[LEDGER_OF_SINK].value[LEDGER_sink_##name])

#define READ_TRIES    16
#define READ_PAUSE_NS 20000000

int instance_read(struct instance *i, const char *dir)
{
	char path[4096];
	bool any = false;

	*i = (struct instance){0};
	/* Downstream first: what moves on meanwhile then looks under way, not counted twice. */
	for (int p = LEDGER_PROGRAMS - 1; p >= 0; p--) {
		int r;

		if ((size_t)snprintf(path, sizeof(path), "%s/%s/ledger", dir, runtime_program[p]) >=
			sizeof(path))
			return -ENAMETOOLONG;
		r = ledger_read(path, (enum ledger_program)p, &i->ledger[p]);
		if (r == -ENOENT || r == -ENOTDIR)
			continue;
		if (r < 0)
			return r;
		any = i->present[p] = true;
	}
	return any ? 0 : -ENOENT;
}

/* The kernel's own count is looked at once in a while: what it delivered since has matched, too. */
static uint64_t matched(const struct instance *i)
{
	uint64_t seen = CAPTURE(i, packets_delivered) + CAPTURE(i, packets_dropped) +
			CAPTURE(i, packets_orphaned);

	return seen > CAPTURE(i, packets_matched) ? seen : CAPTURE(i, packets_matched);
}

struct balance instance_balance(const struct instance *i)
{
	struct balance b = {
		.matched = matched(i),
		.logged = ENRICH(i, packets_logged),
		.open = ENRICH(i, packets_open),
		.duplicate = ENRICH(i, packets_duplicate),
		.late = ENRICH(i, packets_late),
		.fragment = ENRICH(i, packets_fragment),
		.other = ENRICH(i, packets_other),
		.malformed = ENRICH(i, packets_malformed),
		.filtered = ENRICH(i, packets_filtered),
		.lost = CAPTURE(i, packets_dropped) + CAPTURE(i, packets_orphaned) +
			CAPTURE(i, packets_ring_full) + ENRICH(i, packets_lost) +
			ENRICH(i, packets_orphaned),
	};
	uint64_t sum = b.logged + b.open + b.duplicate + b.late + b.fragment + b.other +
		       b.malformed + b.filtered + b.lost;

	b.rest = (int64_t)(b.matched - sum);
	if (CAPTURE(i, packets_published) > ENRICH(i, packets_read))
		b.moved = CAPTURE(i, packets_published) - ENRICH(i, packets_read);
	return b;
}

int instance_read_quiet(struct instance *i, const char *dir)
{
	const struct timespec pause = {.tv_nsec = READ_PAUSE_NS};
	int r = instance_read(i, dir);
	uint64_t before = matched(i);
	bool moving = false;

	for (unsigned n = 0; r == 0 && n < READ_TRIES && instance_balance(i).rest; n++) {
		nanosleep(&pause, NULL);
		r = instance_read(i, dir);
		moving |= matched(i) != before;
	}
	i->moving = moving;
	return r;
}

bool instance_balances(const struct instance *i)
{
	int64_t rest = instance_balance(i).rest;

	return rest == 0 || (rest > 0 && (i->moving || CAPTURE(i, ring_used)));
}

int64_t instance_unwritten(const struct instance *i)
{
	return (int64_t)(ENRICH(i, packets_logged) - SINK(i, packets_written) -
			 SINK(i, packets_lost) - SINK(i, packets_orphaned) -
			 SINK(i, packets_excluded));
}

uint64_t instance_left(const struct instance *i)
{
	uint64_t published = ENRICH(i, records_published);
	uint64_t done = SINK(i, records_written) + SINK(i, records_excluded) +
			SINK(i, records_lost) + SINK(i, records_invalid) +
			SINK(i, records_orphaned);

	return published > done ? published - done : 0;
}

uint64_t instance_lost(const struct instance *i, uint32_t stage)
{
	switch ((enum ring_loss_stage)stage) {
	case RING_LOSS_KERNEL:
		return CAPTURE(i, packets_dropped);
	case RING_LOSS_PACKET_RING:
		return CAPTURE(i, packets_ring_full);
	case RING_LOSS_RECORD_RING:
		return ENRICH(i, records_lost);
	case RING_LOSS_TAP:
		return ENRICH(i, tap_lost);
	case RING_LOSS_FLOWS:
		return ENRICH(i, packets_orphaned) + SINK(i, packets_orphaned);
	case RING_LOSS_NETLINK:
		return ENRICH(i, diag_errors) + ENRICH(i, closed_overruns) +
		       ENRICH(i, connector_overruns);
	case RING_LOSS_FLOW_TABLE:
		return ENRICH(i, flows_evicted);
	case RING_LOSS_PROCESS_CACHE:
		return ENRICH(i, processes_lost);
	case RING_LOSS_NAME_CACHE:
		return ENRICH(i, names_evicted);
	case RING_LOSS_AGGREGATES:
		return ENRICH(i, aggregates_evicted);
	case RING_LOSS_OUTPUT:
		return SINK(i, records_lost);
	case RING_LOSS_INVALID:
		return SINK(i, records_invalid);
	case RING_LOSS_CAPTURE:
		return CAPTURE(i, packets_orphaned);
	case RING_LOSS_STAGES:
		break;
	}
	return 0;
}

bool instance_alive(const struct instance *i, enum ledger_program program)
{
	uint64_t pid = i->ledger[program].pid;

	return i->present[program] && pid > 0 && pid <= INT32_MAX &&
	       (kill((pid_t)pid, 0) == 0 || errno == EPERM);
}

void instance_summary(const struct instance *i, char *ret, size_t size)
{
	int n = snprintf(ret, size,
		"%" PRIu64 " packets seen, %" PRIu64 " records written, lost: kernel %" PRIu64
		", packet ring %" PRIu64 ", record ring %" PRIu64 ", output %" PRIu64,
		CAPTURE(i, packets_matched), SINK(i, records_written), CAPTURE(i, packets_dropped),
		CAPTURE(i, packets_ring_full), ENRICH(i, records_lost),
		SINK(i, records_lost) + SINK(i, records_invalid));
	/* Nobody comes for them. */
	if (instance_left(i) && n > 0 && (size_t)n < size)
		n += snprintf(ret + n, size - (size_t)n, ", left in the record ring %" PRIu64,
			instance_left(i));
	/* Only after a crash. */
	if (CAPTURE(i, packets_orphaned) && n > 0 && (size_t)n < size)
		n += snprintf(ret + n, size - (size_t)n, ", packets of a killed capture %" PRIu64,
			CAPTURE(i, packets_orphaned));
	if (instance_lost(i, RING_LOSS_FLOWS) && n > 0 && (size_t)n < size)
		snprintf(ret + n, size - (size_t)n, ", flows of a killed enrich %" PRIu64,
			instance_lost(i, RING_LOSS_FLOWS));
}

static void print_age(FILE *f, uint64_t start_ns, uint64_t now_ns)
{
	uint64_t s = now_ns > start_ns ? (now_ns - start_ns) / 1000000000 : 0;

	if (s >= 86400)
		fprintf(f, "%" PRIu64 "d %" PRIu64 "h", s / 86400, s / 3600 % 24);
	else if (s >= 3600)
		fprintf(f, "%" PRIu64 "h %" PRIu64 "m", s / 3600, s / 60 % 60);
	else if (s >= 60)
		fprintf(f, "%" PRIu64 "m %" PRIu64 "s", s / 60, s % 60);
	else
		fprintf(f, "%" PRIu64 "s", s);
}

static void print_programs(const struct instance *i, bool colour, uint64_t now_ns, FILE *f)
{
	const char *good = colour ? "\033[32m" : "", *bad = colour ? "\033[31m" : "",
		   *off = colour ? "\033[0m" : "";

	for (unsigned p = 0; p < LEDGER_PROGRAMS; p++) {
		const struct ledger_file *l = &i->ledger[p];

		fprintf(f, "  flowner-%-8s", runtime_program[p]);
		if (!i->present[p]) {
			fprintf(f, "%snever started%s\n", bad, off);
			continue;
		}
		if (!instance_alive(i, (enum ledger_program)p))
			fprintf(f, "%snot running%s", bad, off);
		else if (l->ready)
			fprintf(f, "%srunning%s", good, off);
		else
			fprintf(f, "starting");
		fprintf(f, ", pid %" PRIu64 ", up ", l->pid);
		print_age(f, l->start_ns, now_ns);
		fprintf(f, ", epoch %" PRIu64 "\n", l->value[0]);
	}
}

static void print_balance(const struct instance *i, bool colour, FILE *f)
{
	struct balance b = instance_balance(i);

	fprintf(f,
		"  balance   %" PRIu64 " matched = %" PRIu64 " logged + %" PRIu64 " open + %" PRIu64
		" duplicate + %" PRIu64 " late\n            + %" PRIu64 " fragment + %" PRIu64
		" other + %" PRIu64 " malformed + %" PRIu64 " filtered + %" PRIu64 " lost: ",
		b.matched, b.logged, b.open, b.duplicate, b.late, b.fragment, b.other, b.malformed,
		b.filtered, b.lost);
	if (b.rest == 0)
		fprintf(f, "%sbalances%s\n", colour ? "\033[32m" : "", colour ? "\033[0m" : "");
	else
		fprintf(f, "%s%+" PRId64 "%s (%" PRIu64 " of it waiting in the packet ring)\n",
			colour ? "\033[33m" : "", b.rest, colour ? "\033[0m" : "", b.moved);
}

void instance_print(
	const struct instance *i, const char *dir, bool colour, uint64_t now_ns, FILE *f)
{
	fprintf(f, "%s%s%s\n", colour ? "\033[1m" : "", dir, colour ? "\033[0m" : "");
	print_programs(i, colour, now_ns, f);
	fprintf(f,
		"  packets   matched %" PRIu64 ", delivered %" PRIu64 ", published %" PRIu64
		", read %" PRIu64 "\n            lost: kernel %" PRIu64 ", packet ring %" PRIu64
		"\n",
		matched(i), CAPTURE(i, packets_delivered), CAPTURE(i, packets_published),
		ENRICH(i, packets_read), CAPTURE(i, packets_dropped),
		CAPTURE(i, packets_ring_full));
	if (CAPTURE(i, packets_orphaned))
		fprintf(f, "            lost: in the kernel for a killed capture %" PRIu64 "\n",
			CAPTURE(i, packets_orphaned));
	fprintf(f,
		"  records   published %" PRIu64 ", written %" PRIu64 " (%s)\n            lost: "
		"record ring %" PRIu64 ", output %" PRIu64 ", invalid %" PRIu64 "\n",
		ENRICH(i, records_published), SINK(i, records_written),
		SINK(i, io_uring) ? "io_uring" : "plain writes", ENRICH(i, records_lost),
		SINK(i, records_lost), SINK(i, records_invalid));
	print_balance(i, colour, f);
	fprintf(f,
		"  output    %" PRIu64 " logged = %" PRIu64 " written + %" PRIu64
		" lost by output: ",
		ENRICH(i, packets_logged), SINK(i, packets_written) + SINK(i, packets_excluded),
		SINK(i, packets_lost) + SINK(i, packets_orphaned));
	if (instance_unwritten(i) == 0)
		fprintf(f, "balances\n");
	else
		fprintf(f, "%+" PRId64 " under way\n", instance_unwritten(i));
	fprintf(f,
		"  flows     started %" PRIu64 ", ended %" PRIu64 ", of these evicted %" PRIu64
		"\n",
		ENRICH(i, flows_started), ENRICH(i, flows_ended), ENRICH(i, flows_evicted));
	fprintf(f,
		"  memory    rings: packets %" PRIu64 " KiB, records %" PRIu64
		" KiB; the kernel's, for packets: %" PRIu64 " KiB\n",
		CAPTURE(i, ring_size) >> 10, ENRICH(i, ring_size) >> 10,
		CAPTURE(i, buffer_size) >> 10);
	owners_print(i, f);
}
