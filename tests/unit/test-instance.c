/* SPDX-License-Identifier: Apache-2.0 */
/* Ledgers added up and shown: the balance is exact, the output names every loss; and the progress
 * line. */
#include "cli/instance.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/owners.h"
#include "cli/progress.h"
#include "shm/ring.h"
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
	i.CAPTURE[LEDGER_capture_packets_matched] += 5;
	i.CAPTURE[LEDGER_capture_packets_orphaned] = 5;
	b = instance_balance(&i);
	tap_ok(b.lost == 39 && b.rest == 0 && instance_lost(&i, RING_LOSS_CAPTURE) == 5,
		"so it does with packets of a killed capture");
	i = made_up();
	i.CAPTURE[LEDGER_capture_packets_matched] += 9;
	i.CAPTURE[LEDGER_capture_packets_published] += 7;
	b = instance_balance(&i);
	tap_is_int(b.rest, 9, "packets under way");
	tap_is_int(b.moved, 7, "of these in the packet ring");
}

static const char *printed(const struct instance *i, bool colour)
{
	static char text[16384];
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
	i.CAPTURE[LEDGER_capture_packets_orphaned] = 6;
	i.ENRICH[LEDGER_enrich_packets_orphaned] = 7;
	instance_summary(&i, line, sizeof(line));
	tap_ok(strstr(line, "output 4, packets of a killed capture 6, flows of a killed enrich 7"),
		"what was killed, if anything was");
	tap_ok(strstr(printed(&i, false), "lost: in the kernel for a killed capture 6\n"),
		"in the status, too");
}

#define OWNERS_START                                                                               \
	"  owners    1000 ends of connections: 12 not on this host, 988 to be found\n"             \
	"            tap_connect        480   48.6 %  seen in connect(2), before the first "       \
	"packet "                                                                                  \
	"left\n"                                                                                   \
	"            tap_listen         490   49.6 %  seen in listen(2): its port, not who "       \
	"accepts\n"                                                                                \
	"            seed                10    1.0 %  had the socket when flowner started\n"       \
	"            cgroup_only          3    0.3 %  the socket's user and cgroup, not its "      \
	"process\n"                                                                                \
	"            unknown              5    0.5 %  for the reasons below\n"                     \
	"  sure      exact 490, probable 490\n"                                                    \
	"  latency   packet to owner known: 50 % within 10 ms, 99 % within 12 ms\n"                \
	"  unknown   no_socket            4    0.4 %\n"                                            \
	"              It was gone when the kernel was asked, or never was, as where nothing "     \
	"listens.\n"                                                                               \
	"              The tap sees sockets before their first packet.\n"                          \
	"            ambiguous            1    0.1 %\n"                                            \
	"              Several processes could be meant, and nothing tells which.\n"

static const char *owners_printed(const struct instance *i)
{
	const char *text = strstr(printed(i, false), "  owners ");

	return text ? text : "";
}

/* Every counter of owners at one value, to see the longest lines. */
static bool is_narrow(void)
{
	struct instance i = made_up();
	const char *line, *end;

	for (unsigned n = LEDGER_enrich_owners_asked; n < LEDGER_ENRICH_N; n++)
		i.ENRICH[n] = 123456789;
	for (unsigned n = LEDGER_enrich_tier_tap; n <= LEDGER_enrich_tier_connector; n++)
		i.ENRICH[n] = LEDGER_TIER_REFUSED + EAFNOSUPPORT;
	i.CAPTURE[LEDGER_capture_tap] = LEDGER_TIER_REFUSED + EAFNOSUPPORT;
	for (line = owners_printed(&i); (end = strchr(line, '\n')); line = end + 1)
		if (end - line > 100)
			return false;
	return line[-1] == '\n';
}

static void test_owners(void)
{
	struct instance i = made_up();

	i.ENRICH[LEDGER_enrich_owners_asked] = 1000;
	i.ENRICH[LEDGER_enrich_owners_remote] = 12;
	i.ENRICH[LEDGER_enrich_owners_tap_connect] = 480;
	i.ENRICH[LEDGER_enrich_owners_tap_listen] = 490;
	i.ENRICH[LEDGER_enrich_owners_seed] = 10;
	i.ENRICH[LEDGER_enrich_owners_cgroup] = 3;
	i.ENRICH[LEDGER_enrich_owners_unknown] = 5;
	i.ENRICH[LEDGER_enrich_unknown_no_socket] = 4;
	i.ENRICH[LEDGER_enrich_unknown_ambiguous] = 1;
	i.ENRICH[LEDGER_enrich_owners_exact] = 490;
	i.ENRICH[LEDGER_enrich_owners_probable] = 490;
	i.ENRICH[LEDGER_enrich_latency_8ms] = 400;
	i.ENRICH[LEDGER_enrich_latency_10ms] = 400;
	i.ENRICH[LEDGER_enrich_latency_12ms] = 175;
	i.ENRICH[LEDGER_enrich_latency_more] = 5;
	i.ENRICH[LEDGER_enrich_tier_tap] = LEDGER_TIER_LIVE;
	i.ENRICH[LEDGER_enrich_tier_sock_diag] = LEDGER_TIER_OFF;
	i.ENRICH[LEDGER_enrich_tier_seed] = LEDGER_TIER_REFUSED + EACCES;
	i.CAPTURE[LEDGER_capture_tap] = LEDGER_TIER_LIVE;
	tap_is_str(owners_printed(&i),
		OWNERS_START "  tiers     tap        live\n"
			     "            sock_diag  off in the configuration (enrich.sock_diag)\n"
			     "            seed       not live: Permission denied\n",
		"owners by method, why unknown, latency, tiers");
	i.CAPTURE[LEDGER_capture_tap] = LEDGER_TIER_REFUSED + ENOENT;
	tap_ok(strstr(owners_printed(&i), "tap        partly live: No such file"),
		"a tap without some of its events");
	i.ENRICH[LEDGER_enrich_tier_tap] = LEDGER_TIER_WAITING;
	tap_ok(strstr(owners_printed(&i), "tap        not live: No such file"),
		"a tap that capture could not open");
	i.CAPTURE[LEDGER_capture_tap] = LEDGER_TIER_LIVE;
	tap_ok(strstr(owners_printed(&i), "tap        not live: flowner-capture has not passed"),
		"a tap that has not come");
	i.ENRICH[LEDGER_enrich_tier_tap] = LEDGER_TIER_OFF;
	tap_ok(strstr(owners_printed(&i), "tap        off in the configuration (enrich.tap)"),
		"a tap that is not wanted");
	i = (struct instance){0};
	tap_is_str(owners_printed(&i),
		"  owners    0 ends of connections: 0 not on this host, 0 to be found\n"
		"  tiers     none live: no owners are found\n",
		"nothing counted");
	tap_is_str(owners_latency(&i, 99), "", "no latency of nothing");
	i.ENRICH[LEDGER_enrich_latency_more] = 1;
	tap_is_str(owners_latency(&i, 99), "after more than 1 s", "the last counter has no bound");
	i.ENRICH[LEDGER_enrich_latency_1ms] = 99;
	tap_is_str(owners_latency(&i, 99), "within 1 ms", "99 of 100 are 99 percent");
	tap_ok(is_narrow(), "no line of owners is longer than 100 columns");
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
	test_owners();
	test_read();
	test_progress();
	return tap_done();
}
