/* SPDX-License-Identifier: Apache-2.0 */
/* Ledgers as Prometheus text: every counter is there, under one head, with the labels that records
 * use. */
#include "cli/metrics-text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shm/record.h"
#include "shm/ring.h"
#include "tap.h"

#define CAPTURE ledger[LEDGER_OF_CAPTURE].value
#define ENRICH  ledger[LEDGER_OF_ENRICH].value
#define SINK    ledger[LEDGER_OF_SINK].value

static struct instance all_there(void)
{
	struct instance i = {.present = {true, true, true}};

	for (unsigned p = 0; p < LEDGER_PROGRAMS; p++)
		i.ledger[p].pid = (uint64_t)getpid();
	return i;
}

static const char *printed(const struct instance *i)
{
	static char text[65536];
	FILE *f = fmemopen(text, sizeof(text), "w");

	metrics_print(i, f);
	fclose(f);
	return text;
}

static bool has(const struct instance *i, const char *line)
{
	return strstr(printed(i), line) != NULL;
}

static unsigned count(const char *text, const char *part)
{
	unsigned n = 0;

	for (; (text = strstr(text, part)); text += strlen(part))
		n++;
	return n;
}

static void test_complete(void)
{
	struct instance i = all_there();
	char line[256];
	bool every = true, once = true;

	for (unsigned p = 0; p < LEDGER_PROGRAMS; p++) {
		unsigned n = p == LEDGER_OF_SINK ? LEDGER_sink_output_0_records
						 : ledger_count((enum ledger_program)p);

		for (unsigned c = 0; c < n; c++) {
			const struct ledger_counter *k = ledger_counter((enum ledger_program)p, c);
			const struct ledger_family *f = ledger_family(k->family);
			const char *suffix = f->type == LEDGER_TYPE_BUCKET ? "_bucket"
					     : f->type == LEDGER_TYPE_SUM  ? "_sum"
									   : "";

			snprintf(line, sizeof(line), "\nflowner_%s%s%s%s%s ", f->name, suffix,
				*k->labels ? "{" : "", k->labels, *k->labels ? "}" : "");
			if (count(printed(&i), line) == 1)
				continue;
			printf("# %s: %s\n", k->name, line + 1);
			every = false;
		}
	}
	tap_ok(every, "every counter is there, once");
	for (unsigned id = 0; id < LEDGER_FAMILIES_N; id++) {
		const struct ledger_family *f = ledger_family((enum ledger_family_id)id);

		snprintf(line, sizeof(line), "\n# TYPE flowner_%s ", f->name);
		if (strncmp(f->name, "output_", 7) && count(printed(&i), line) != 1) {
			printf("# %s\n", line + 1);
			once = false;
		}
		if (f->type == LEDGER_TYPE_COUNTER &&
			strcmp(f->name + strlen(f->name) - 6, "_total")) {
			printf("# no _total: %s\n", f->name);
			once = false;
		}
	}
	tap_ok(once, "every metric has one head, counters end in _total");
	i.present[LEDGER_OF_SINK] = false;
	tap_ok(!has(&i, "written_records_total") && has(&i, "flowner_up{program=\"sink\"} 0\n"),
		"nothing of a program that never started");
}

/* The same words for the same thing in records and in metrics. */
static void test_stages(void)
{
	static const enum ring_loss_stage packets[] = {RING_LOSS_KERNEL, RING_LOSS_PACKET_RING,
		RING_LOSS_RECORD_RING, RING_LOSS_FLOWS, RING_LOSS_CAPTURE};
	static const enum ring_loss_stage records[] = {
		RING_LOSS_RECORD_RING, RING_LOSS_OUTPUT, RING_LOSS_INVALID};
	struct instance i = all_there();
	char line[128];

	for (size_t n = 0; n < sizeof(packets) / sizeof(packets[0]); n++) {
		snprintf(line, sizeof(line), "flowner_dropped_total{stage=\"%s\",reason=\"%s\"}",
			record_loss_stage_name(packets[n]), record_loss_reason_name(packets[n]));
		tap_ok(has(&i, line), "%s", line);
	}
	for (size_t n = 0; n < sizeof(records) / sizeof(records[0]); n++) {
		snprintf(line, sizeof(line),
			"flowner_dropped_records_total{stage=\"%s\",reason=\"%s\"}",
			record_loss_stage_name(records[n]), record_loss_reason_name(records[n]));
		tap_ok(has(&i, line), "%s", line);
	}
}

static void test_values(void)
{
	struct instance i = all_there();

	i.CAPTURE[LEDGER_capture_packets_dropped] = UINT64_MAX;
	tap_ok(has(&i, "{stage=\"kernel\",reason=\"buffer_full\"} 18446744073709551615\n"),
		"the largest value");
	i.ENRICH[LEDGER_enrich_latency_1ms] = 5;
	i.ENRICH[LEDGER_enrich_latency_20ms] = 2;
	i.ENRICH[LEDGER_enrich_latency_more] = 1;
	i.ENRICH[LEDGER_enrich_latency_ns] = 1234567890;
	tap_ok(has(&i, "bucket{le=\"0.001\"} 5\n") && has(&i, "bucket{le=\"0.015\"} 5\n") &&
			has(&i, "bucket{le=\"0.02\"} 7\n") && has(&i, "bucket{le=\"1\"} 7\n") &&
			has(&i, "bucket{le=\"+Inf\"} 8\n"),
		"buckets are cumulative");
	tap_ok(has(&i, "flowner_resolve_seconds_sum 1.234567890\n") &&
			has(&i, "flowner_resolve_seconds_count 8\n"),
		"sum and count");
	i.ENRICH[LEDGER_enrich_tier_tap] = LEDGER_TIER_LIVE;
	i.ENRICH[LEDGER_enrich_tier_procfs] = LEDGER_TIER_REFUSED + 13;
	i.ENRICH[LEDGER_enrich_tiers] = 5;
	tap_ok(has(&i, "flowner_tier_live{program=\"enrich\",tier=\"tap\"} 1\n") &&
			has(&i, "{program=\"enrich\",tier=\"procfs\"} 0\n") &&
			has(&i, "flowner_tiers_live 2\n"),
		"tiers");
	i.ledger[LEDGER_OF_SINK].ready = 1;
	i.ledger[LEDGER_OF_SINK].start_ns = 1500000000000000007;
	tap_ok(has(&i, "flowner_up{program=\"sink\"} 1\n") &&
			has(&i, "flowner_up{program=\"enrich\"} 0\n") &&
			has(&i, "start_time_seconds{program=\"sink\"} "
				"1500000000.000000007\n"),
		"what is up, and since when");
}

static void test_outputs(void)
{
	struct instance i = all_there();
	struct ledger_output *o = &i.ledger[LEDGER_OF_SINK].output[1];

	tap_ok(!has(&i, "output=\"0\""), "no output");
	strcpy(o->format, "ecs");
	strcpy(o->path, "/a\\b\"c\nd\xff/\xc3\xa9");
	i.SINK[LEDGER_sink_output_1_records] = 7;
	i.SINK[LEDGER_sink_output_1_bytes] = 8;
	tap_ok(has(&i, "flowner_output_records_total{output=\"1\",format=\"ecs\",path=\"/"
		       "a\\\\b\\\"c\\nd\xef\xbf\xbd/\xc3\xa9\"} 7\n") &&
			has(&i, "\"} 8\n") && !has(&i, "output=\"0\""),
		"an output, with whatever is in its path");
}

static void test_list(void)
{
	static char text[65536];
	FILE *f = fmemopen(text, sizeof(text), "w");

	metrics_list(f);
	fclose(f);
	tap_is_int(count(text, "flowner_dropped_total\tcounter\tstage,reason\t"), 1,
		"the list names type and labels");
	tap_is_int(count(text, "flowner_output_bytes_total\tcounter\toutput,format,path\t"), 1,
		"of outputs, too");
	tap_is_int(count(text, "\nflowner_resolve_seconds\thistogram\tle\t"), 1,
		"a histogram is one metric");
}

int main(void)
{
	test_complete();
	test_stages();
	test_values();
	test_outputs();
	test_list();
	return tap_done();
}
