/* SPDX-License-Identifier: Apache-2.0 */
/* What one running flowner has counted as JSON. */
#include "cli/instance-json.h"

#include <inttypes.h>
#include <string.h>

#include "cli/runtime.h"
#include "shm/record.h"
#include "shm/ring.h"
#include "sink/escape.h"
#include "sink/text.h"

#define CAPTURE(i, name) ((i)->ledger[LEDGER_OF_CAPTURE].value[LEDGER_capture_##name])
#define ENRICH(i, name)  ((i)->ledger[LEDGER_OF_ENRICH].value[LEDGER_enrich_##name])
#define SINK(i, name)    ((i)->ledger[LEDGER_OF_SINK].value[LEDGER_sink_##name])

#define NS_PER_S UINT64_C(1000000000)

static void print_text(const char *s, FILE *f)
{
	char escaped[ESCAPE_EXPANSION + 1];

	fputc('"', f);
	while (*s) {
		uint32_t c;
		unsigned n = escape_utf8(s, strlen(s), &c);

		n = n ? n : 1;
		fwrite(escaped, 1, (size_t)(escape_json(escaped, s, n) - escaped), f);
		s += n;
	}
	fputc('"', f);
}

static const char *state_of(const struct instance *i, enum ledger_program program)
{
	if (!i->present[program])
		return "never_started";
	if (!instance_alive(i, program))
		return "stopped";
	return i->ledger[program].ready ? "running" : "starting";
}

static void print_programs(const struct instance *i, uint64_t now_ns, FILE *f)
{
	char time[TEXT_TIME + 1];

	fputs("\"programs\":{", f);
	for (unsigned p = 0; p < LEDGER_PROGRAMS; p++) {
		const struct ledger_file *l = &i->ledger[p];
		uint64_t up = now_ns > l->start_ns ? now_ns - l->start_ns : 0;

		fprintf(f, "%s\"%s\":{\"state\":\"%s\"", p ? "," : "", runtime_program[p],
			state_of(i, (enum ledger_program)p));
		if (i->present[p]) {
			*text_time_utc(time, l->start_ns) = '\0';
			fprintf(f, ",\"pid\":%" PRIu64 ",\"started\":\"%s\",\"starts\":%" PRIu64,
				l->pid, time, l->value[0]);
		}
		if (instance_alive(i, (enum ledger_program)p))
			fprintf(f, ",\"uptime_seconds\":%" PRIu64 ".%03" PRIu64, up / NS_PER_S,
				up % NS_PER_S / 1000000);
		fputc('}', f);
	}
	fputc('}', f);
}

static void print_balance(const struct instance *i, FILE *f)
{
	struct balance b = instance_balance(i);
	const struct {
		const char *name;
		uint64_t n;
	} part[] = {{"matched", b.matched}, {"logged", b.logged}, {"open", b.open},
		{"duplicate", b.duplicate}, {"late", b.late}, {"fragment", b.fragment},
		{"other", b.other}, {"malformed", b.malformed}, {"filtered", b.filtered},
		{"lost", b.lost}};

	fprintf(f, ",\"balance\":{\"balanced\":%s", instance_balances(i) ? "true" : "false");
	for (size_t n = 0; n < sizeof(part) / sizeof(part[0]); n++)
		fprintf(f, ",\"%s\":%" PRIu64, part[n].name, part[n].n);
	fprintf(f, ",\"under_way\":%" PRId64 "}", b.rest);
	fprintf(f,
		",\"output_balance\":{\"balanced\":%s,\"logged\":%" PRIu64 ",\"written\":%" PRIu64
		",\"excluded\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"under_way\":%" PRId64 "}",
		instance_unwritten(i) >= 0 ? "true" : "false", b.logged, SINK(i, packets_written),
		SINK(i, packets_excluded), SINK(i, packets_lost) + SINK(i, packets_orphaned),
		instance_unwritten(i));
}

static void print_losses(const struct instance *i, FILE *f)
{
	fputs(",\"losses\":[", f);
	for (uint32_t stage = RING_LOSS_KERNEL; stage < RING_LOSS_STAGES; stage++)
		fprintf(f, "%s{\"stage\":\"%s\",\"reason\":\"%s\",\"count\":%" PRIu64 "}",
			stage == RING_LOSS_KERNEL ? "" : ",", record_loss_stage_name(stage),
			record_loss_reason_name(stage), instance_lost(i, stage));
	fputc(']', f);
}

static void print_rings(const struct instance *i, FILE *f)
{
	fprintf(f,
		",\"rings\":{\"packets\":{\"used_bytes\":%" PRIu64 ",\"size_bytes\":%" PRIu64
		"},\"records\":{\"used_bytes\":%" PRIu64 ",\"size_bytes\":%" PRIu64
		"},\"kernel\":{\"size_bytes\":%" PRIu64 "}}",
		CAPTURE(i, ring_used), CAPTURE(i, ring_size), ENRICH(i, ring_used),
		ENRICH(i, ring_size), CAPTURE(i, buffer_size));
}

static void print_tier(const char *name, uint64_t state, bool first, FILE *f)
{
	static const char *const word[] = {
		[LEDGER_TIER_UNTRIED] = "untried",
		[LEDGER_TIER_LIVE] = "live",
		[LEDGER_TIER_OFF] = "off",
		[LEDGER_TIER_WAITING] = "waiting",
		[LEDGER_TIER_OWN] = "own_processes_only",
	};
	bool known = state < sizeof(word) / sizeof(word[0]);
	const char *error = state > LEDGER_TIER_REFUSED && state < LEDGER_TIER_REFUSED + 4096
				    ? strerrorname_np((int)(state - LEDGER_TIER_REFUSED))
				    : NULL;

	fprintf(f, "%s\"%s\":{\"live\":%s,\"state\":\"%s\"", first ? "" : ",", name,
		state == LEDGER_TIER_LIVE || state == LEDGER_TIER_OWN ? "true" : "false",
		known ? word[state] : "refused");
	if (error)
		fprintf(f, ",\"error\":\"%s\"", error);
	fputc('}', f);
}

static void print_tiers(const struct instance *i, FILE *f)
{
	fputs(",\"tiers\":{", f);
	print_tier("tap", ENRICH(i, tier_tap), true, f);
	print_tier("sock_diag", ENRICH(i, tier_sock_diag), false, f);
	print_tier("connector", ENRICH(i, tier_connector), false, f);
	print_tier("seed", ENRICH(i, tier_seed), false, f);
	print_tier("procfs", ENRICH(i, tier_procfs), false, f);
	fputc('}', f);
}

static void print_outputs(const struct instance *i, FILE *f)
{
	const struct ledger_file *l = &i->ledger[LEDGER_OF_SINK];
	bool first = true;

	fputs(",\"outputs\":[", f);
	for (unsigned o = 0; i->present[LEDGER_OF_SINK] && o < LEDGER_OUTPUTS; o++) {
		const uint64_t *n =
			&l->value[LEDGER_sink_output_0_records + o * LEDGER_OUTPUT_COUNTERS];

		if (!l->output[o].format[0])
			continue;
		fprintf(f, "%s{\"format\":", first ? "" : ",");
		print_text(l->output[o].format, f);
		fputs(",\"path\":", f);
		print_text(l->output[o].path, f);
		fprintf(f, ",\"records\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"errors\":%" PRIu64 "}",
			n[0], n[1], n[2]);
		first = false;
	}
	fputc(']', f);
}

static void print_counters(const struct instance *i, FILE *f)
{
	fputs(",\"counters\":{", f);
	for (unsigned p = 0; p < LEDGER_PROGRAMS; p++) {
		unsigned n = ledger_count((enum ledger_program)p);

		/* Those of each output are in "outputs". */
		if (p == LEDGER_OF_SINK)
			n = LEDGER_sink_output_0_records;
		fprintf(f, "%s\"%s\":{", p ? "," : "", runtime_program[p]);
		for (unsigned c = 0; i->present[p] && c < n; c++)
			fprintf(f, "%s\"%s\":%" PRIu64, c ? "," : "",
				strchr(ledger_name((enum ledger_program)p, c), '_') + 1,
				i->ledger[p].value[c]);
		fputc('}', f);
	}
	fputc('}', f);
}

void instance_print_json(const struct instance *i, const char *dir, uint64_t now_ns, FILE *f)
{
	fputs("{\"runtime_dir\":", f);
	print_text(dir, f);
	fputc(',', f);
	print_programs(i, now_ns, f);
	print_balance(i, f);
	print_losses(i, f);
	print_rings(i, f);
	print_tiers(i, f);
	print_outputs(i, f);
	print_counters(i, f);
	fputc('}', f);
}
