/* SPDX-License-Identifier: Apache-2.0 */
/* Ledgers added up and shown: the balance is exact, the output names every loss; and the progress
 * line. */
#include "cli/instance.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/progress.h"
#include "tap.h"

#define CAPTURE ledger[LEDGER_OF_CAPTURE].value
#define ENRICH  ledger[LEDGER_OF_ENRICH].value
#define SINK    ledger[LEDGER_OF_SINK].value

static struct instance made_up(void)
{
	struct instance i = {.present = {true, true, true}};

	i.CAPTURE[LEDGER_capture_packets_matched] = 1000;
	i.CAPTURE[LEDGER_capture_packets_dropped] = 10;
	i.CAPTURE[LEDGER_capture_packets_ring_full] = 20;
	i.CAPTURE[LEDGER_capture_packets_published] = 970;
	i.ENRICH[LEDGER_enrich_packets_read] = 970;
	i.ENRICH[LEDGER_enrich_packets_logged] = 800;
	i.ENRICH[LEDGER_enrich_packets_open] = 30;
	i.ENRICH[LEDGER_enrich_packets_duplicate] = 40;
	i.ENRICH[LEDGER_enrich_packets_late] = 5;
	i.ENRICH[LEDGER_enrich_packets_fragment] = 6;
	i.ENRICH[LEDGER_enrich_packets_other] = 7;
	i.ENRICH[LEDGER_enrich_packets_malformed] = 8;
	i.ENRICH[LEDGER_enrich_packets_filtered] = 70;
	i.ENRICH[LEDGER_enrich_packets_lost] = 4;
	i.ENRICH[LEDGER_enrich_records_lost] = 2;
	i.ENRICH[LEDGER_enrich_tiers] = 1 | 4;
	i.SINK[LEDGER_sink_records_written] = 300;
	i.SINK[LEDGER_sink_records_lost] = 3;
	i.SINK[LEDGER_sink_records_invalid] = 1;
	i.SINK[LEDGER_sink_packets_written] = 790;
	i.SINK[LEDGER_sink_packets_lost] = 10;
	return i;
}

static void test_balance(void)
{
	struct instance i = made_up();
	struct balance b = instance_balance(&i);

	tap_is_int(b.lost, 34, "all losses");
	tap_is_int(b.rest, 0, "it balances");
	tap_is_int(b.moved, 0, "nothing is under way");
	for (unsigned n = LEDGER_enrich_packets_logged; n <= LEDGER_enrich_packets_lost; n++) {
		i = made_up();
		i.ENRICH[n]++;
		tap_is_int(instance_balance(&i).rest, -1, "one more of %s does not",
			ledger_name(LEDGER_OF_ENRICH, n));
	}
	i = made_up();
	i.CAPTURE[LEDGER_capture_packets_matched] += 9;
	i.CAPTURE[LEDGER_capture_packets_published] += 7;
	b = instance_balance(&i);
	tap_is_int(b.rest, 9, "packets under way");
	tap_is_int(b.moved, 7, "of these in the packet ring");
}

static const char *printed(const struct instance *i, bool colour)
{
	static char text[8192];
	FILE *f = fmemopen(text, sizeof(text), "w");

	instance_print(i, "here", colour, UINT64_C(100000) * 1000000000, f);
	fclose(f);
	return text;
}

static void test_print(void)
{
	struct instance i = made_up();
	const char *text;
	char line[256];

	i.ledger[LEDGER_OF_CAPTURE].pid = (uint64_t)getpid();
	i.ledger[LEDGER_OF_CAPTURE].ready = 1;
	i.ledger[LEDGER_OF_CAPTURE].start_ns = UINT64_C(90000) * 1000000000;
	i.CAPTURE[0] = 3;
	i.ledger[LEDGER_OF_ENRICH].pid = 0x7ffffff0; /* beyond any pid_max */
	i.present[LEDGER_OF_SINK] = false;
	text = printed(&i, false);
	tap_ok(strstr(text, "flowner-capture running, pid ") &&
			strstr(text, ", up 2h 46m, epoch 3\n"),
		"a live program");
	tap_ok(strstr(text, "flowner-enrich  not running, pid 2147483632"), "a dead one");
	tap_ok(strstr(text, "flowner-sink    never started\n"), "and one that never was");
	tap_ok(strstr(text,
		       "1000 matched = 800 logged + 30 open + 40 duplicate + 5 late\n"
		       "            + 6 fragment + 7 other + 8 malformed + 70 filtered + 34 lost: "
		       "balances\n"),
		"the balance");
	tap_ok(strstr(text, "800 logged = 790 written + 10 lost by output: balances\n"),
		"what became of the logged");
	tap_ok(strstr(text, "lost: kernel 10, packet ring 20\n") &&
			strstr(text, "record ring 2, output 3, invalid 1\n"),
		"losses by stage");
	tap_ok(strstr(text, "tiers     tap, seed\n"), "live tiers");
	tap_ok(!strchr(text, '\033'), "no colours unless asked for");
	i.CAPTURE[LEDGER_capture_packets_matched]++;
	tap_ok(strstr(printed(&i, false), " lost: +1 (0 of it waiting in the packet ring)\n"),
		"what does not balance shows");
	tap_ok(strchr(printed(&i, true), '\033') != NULL, "colours if asked for");
	tap_ok(instance_alive(&i, LEDGER_OF_CAPTURE) && !instance_alive(&i, LEDGER_OF_ENRICH) &&
			!instance_alive(&i, LEDGER_OF_SINK),
		"who lives");
	instance_summary(&i, line, sizeof(line));
	tap_is_str(line,
		"1001 packets seen, 300 records written, lost: kernel 10, packet ring 20, record "
		"ring "
		"2, output 4",
		"the summary");
}

static void test_read(void)
{
	char dir[] = "/tmp/flowner-test-XXXXXX", sub[64], path[80];
	struct ledger l;
	struct instance i;

	if (!mkdtemp(dir))
		tap_bail("mkdtemp failed");
	tap_is_int(instance_read(&i, dir), -ENOENT, "no ledger there");
	snprintf(sub, sizeof(sub), "%s/enrich", dir);
	snprintf(path, sizeof(path), "%s/ledger", sub);
	mkdir(sub, 0755);
	if (ledger_open(&l, path, LEDGER_OF_ENRICH) < 0)
		tap_bail("ledger_open failed");
	ledger_add(&l, LEDGER_enrich_packets_other, 42);
	ledger_close(&l);
	tap_is_int(instance_read(&i, dir), 0, "one of three is there");
	tap_ok(!i.present[LEDGER_OF_CAPTURE] && i.present[LEDGER_OF_ENRICH] &&
			!i.present[LEDGER_OF_SINK],
		"and known to be the only one");
	tap_is_int(i.ENRICH[LEDGER_enrich_packets_other], 42, "with its counters");
	if (truncate(path, 100) < 0)
		tap_bail("truncate failed");
	tap_is_int(instance_read(&i, dir), -EPROTO, "a cut ledger is none");
	unlink(path);
	rmdir(sub);
	rmdir(dir);
}

static void test_progress(void)
{
	char line[PROGRESS_MAX + 32];

	progress_format(line, sizeof(line), 50000000, 100000000, UINT64_C(4000000000), 60, 0);
	tap_is_str(line, "\r[###########            ]  50 %  50.0 of 100.0 MB, 4 s left\033[K",
		"half");
	progress_format(line, sizeof(line), 0, 0, 0, 40, 0);
	tap_ok(strstr(line, "   0 %  0.0 of 0.0 MB\033[K") != NULL, "nothing of nothing");
	progress_format(line, sizeof(line), 7, 5, 1, 40, 0);
	tap_ok(strstr(line, " 100 % ") && !strstr(line, "left"), "more than all is all");
	for (unsigned columns = 0; columns < 300; columns++) {
		progress_format(
			line, sizeof(line), UINT64_MAX / 2, UINT64_MAX, UINT64_MAX, columns, 1);
		if (strlen(line) >= sizeof(line) - 1 || !strstr(line, "\033[K")) {
			tap_ok(false, "a terminal of %u columns", columns);
			return;
		}
	}
	tap_ok(true, "terminals of any width");
}

int main(void)
{
	test_balance();
	test_print();
	test_read();
	test_progress();
	return tap_done();
}
