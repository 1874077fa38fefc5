/* SPDX-License-Identifier: Apache-2.0 */
/* The formats: exact lines for known records, valid ones for any that pass the check. */
#include "tap.h"

#include <sys/mman.h>

#include "json-check.h"
#include "sink-build.h"
#include "sink/escape.h"

static struct format_context ctx;
static struct record r;
static char buf[FORMAT_MAX + 1];

/* The line without its newline, "" for none. */
static const char *line(const struct format *f)
{
	size_t n = f->record(&r, &ctx, buf);

	buf[n] = 0;
	if (n)
		buf[n - 1] = buf[n - 1] == '\n' ? 0 : '!';
	return buf;
}

#define ECS_HOST                                                                                   \
	"\"agent\":{\"type\":\"flowner\",\"version\":\"1.2.3\"},\"host\":{\"hostname\":\"box\","   \
	"\"name\":\"box\",\"boot\":{\"id\":\"b00t\"}}}"

#define ECS_PROCESS                                                                                \
	"\"process\":{\"pid\":1234,\"entity_id\":\"b00t-1234-1767225599000000000\","               \
	"\"name\":\"curl\",\"executable\":\"/usr/bin/curl\","                                      \
	"\"command_line\":\"curl -s 'http://x/it'\\\\''s' ''\","                                   \
	"\"args\":[\"curl\",\"-s\",\"http://x/it's\",\"\"],"                                       \
	"\"start\":\"2025-12-31T23:59:59.000000000Z\","                                            \
	"\"parent\":{\"pid\":1000,\"name\":\"bash\"}},"                                            \
	"\"user\":{\"id\":\"1000\"},\"group\":{\"id\":\"100\"}"

#define ECS_OWNER                                                                                  \
	"\"owner\":{\"method\":\"tap_connect\",\"confidence\":\"exact\",\"latency_ns\":777},"      \
	"\"cgroup\":{\"id\":99,\"path\":\"/user.slice\"}"

static void test_ecs_end(void)
{
	build_record(&r);
	tap_is_str(line(&format_ecs),
		"{\"@timestamp\":\"2026-01-01T00:00:01.500000001Z\",\"ecs\":{\"version\":\"9.0.0\"}"
		","
		"\"event\":{\"kind\":\"event\",\"category\":[\"network\"],"
		"\"type\":[\"connection\",\"end\"],\"action\":\"connection_end\","
		"\"outcome\":\"success\",\"start\":\"2026-01-01T00:00:00.000000000Z\","
		"\"end\":\"2026-01-01T00:00:01.500000000Z\",\"duration\":1500000000,"
		"\"sequence\":42,\"id\":\"0000000000000abc-42\",\"module\":\"flowner\","
		"\"dataset\":\"flowner.connection\",\"reason\":\"shutdown\"},"
		"\"network\":{\"type\":\"ipv4\",\"iana_number\":\"6\",\"transport\":\"tcp\","
		"\"direction\":\"egress\",\"community_id\":\"1:mCLmt2dclE10U9JIfoRWv0O9Vy8=\","
		"\"bytes\":2100,\"packets\":11},"
		"\"source\":{\"address\":\"10.0.0.1\",\"ip\":\"10.0.0.1\",\"port\":50000,"
		"\"bytes\":100,\"packets\":6},"
		"\"destination\":{\"address\":\"93.184.216.34\",\"ip\":\"93.184.216.34\","
		"\"port\":80,\"bytes\":2000,\"packets\":5}," ECS_PROCESS
		",\"observer\":{\"egress\":{\"interface\":{\"name\":\"eth0\"}}},"
		"\"flowner\":{\"epoch\":3,\"flow_id\":\"0000000000000abc\",\"direction\":"
		"\"egress\","
		"\"conn_state\":\"SF\",\"history\":\"ShADadFf\",\"handshake_rtt_ns\":12000,"
		"\"delta\":{\"packets\":11,\"bytes\":2100,\"source\":{\"bytes\":100,\"packets\":6},"
		"\"destination\":{\"bytes\":2000,\"packets\":5}},\"packets_complete\":"
		"false," ECS_OWNER "}," ECS_HOST,
		"ECS: the end of a connection");
}

static void test_ecs_start(void)
{
	build_record(&r);
	r.event = RECORD_START;
	r.end_reason = RECORD_END_NONE;
	r.flags = 0;
	r.family = 6;
	r.proto = IPPROTO_UDP;
	r.state = RECORD_STATE_S0;
	r.vlan = 12;
	build_address(r.orig_addr, "2001:db8::1");
	build_address(r.resp_addr, "2001:db8::2");
	r.end_ns = r.start_ns;
	memset(&r.orig, 0, sizeof(r.orig));
	r.orig.unknown = RECORD_UNKNOWN_NO_SOCKET;
	r.history[0] = 0;
	memset(r.history, 0, sizeof(r.history));
	r.rtt_ns = 0;
	r.ifname.len = 0;
	tap_is_str(line(&format_ecs),
		"{\"@timestamp\":\"2026-01-01T00:00:01.500000001Z\",\"ecs\":{\"version\":\"9.0.0\"}"
		","
		"\"event\":{\"kind\":\"event\",\"category\":[\"network\"],"
		"\"type\":[\"connection\",\"start\"],\"action\":\"connection_start\","
		"\"outcome\":\"unknown\",\"start\":\"2026-01-01T00:00:00.000000000Z\","
		"\"sequence\":42,\"id\":\"0000000000000abc-42\",\"module\":\"flowner\","
		"\"dataset\":\"flowner.connection\"},"
		"\"network\":{\"type\":\"ipv6\",\"iana_number\":\"17\",\"transport\":\"udp\","
		"\"direction\":\"egress\",\"community_id\":\"1:fdYbSSaBxbY8rfbJ10zTC4EW7yE=\","
		"\"packets\":11,\"vlan\":{\"id\":\"12\"}},"
		"\"source\":{\"address\":\"2001:db8::1\",\"ip\":\"2001:db8::1\",\"port\":50000,"
		"\"packets\":6},"
		"\"destination\":{\"address\":\"2001:db8::2\",\"ip\":\"2001:db8::2\",\"port\":80,"
		"\"packets\":5},"
		"\"flowner\":{\"epoch\":3,\"flow_id\":\"0000000000000abc\",\"direction\":"
		"\"egress\","
		"\"conn_state\":\"S0\",\"delta\":{\"packets\":11,\"source\":{\"packets\":6},"
		"\"destination\":{\"packets\":5}},\"packets_complete\":false,"
		"\"owner\":{\"confidence\":\"unknown\",\"reason\":\"no_socket\"}}," ECS_HOST,
		"ECS: unknown values and owners are left out, not made up");
}

/* All that can be known of a process. */
static void test_ecs_details(void)
{
	build_record(&r);
	build_details(&r, &r.orig);
	line(&format_ecs);
	tap_ok(strstr(buf, "\"process\":{\"pid\":1234,\"vpid\":7,\"entity_id\":") != NULL,
		"ECS: the pid inside");
	tap_ok(strstr(buf, "],\"working_directory\":\"/srv/annie\",\"start\":") != NULL,
		"ECS: working directory");
	tap_ok(strstr(buf, "\"type\":[\"connection\",\"end\"]") != NULL, "ECS: an end");
	r.flags |= RECORD_FLAG_UNANNOUNCED;
	line(&format_ecs);
	tap_ok(strstr(buf, "\"type\":[\"connection\",\"start\",\"end\"]") != NULL,
		"ECS: one that had no start record is both");
	r.flags &= (uint16_t)~RECORD_FLAG_UNANNOUNCED;
	tap_ok(strstr(buf,
		       "\"real_user\":{\"id\":\"1001\"},\"session_leader\":{\"pid\":1000},"
		       "\"tty\":{\"char_device\":{\"major\":136,\"minor\":3}},\"parent\":") != NULL,
		"ECS: real user, session, terminal");
	tap_ok(strstr(buf, ",\"user\":{\"id\":\"1000\",\"name\":\"ann\"},"
			   "\"group\":{\"id\":\"100\",\"name\":\"users\"},"
			   "\"container\":{\"id\":\"0123\",\"runtime\":\"podman\"},") != NULL,
		"ECS: names and container");
	tap_ok(strstr(buf, ",\"systemd\":{\"unit\":\"user@1000.service\","
			   "\"user_unit\":\"libpod-0123.scope\"},"
			   "\"kubernetes\":{\"pod_uid\":\"11-22\"},"
			   "\"namespace\":{\"net\":4026532001,\"pid\":4026532002},"
			   "\"tty\":\"pts/3\",\"loginuid\":\"1002\","
			   "\"ancestors\":{\"name\":[\"bash\",\"\\\"x\\\"\",\"systemd\"],"
			   "\"pid\":[1000,7,1]}}") != NULL,
		"ECS: what ECS has no name for");
	r.orig.ruid = r.orig.uid;
	r.orig.runtime = RECORD_RUNTIME_NONE;
	r.orig.unit.len = 0;
	r.orig.netns = 0;
	r.orig.flags = RECORD_PROCESS_IDS_UNCONFIRMED;
	line(&format_ecs);
	tap_ok(!strstr(buf, "real_user") && !strstr(buf, "runtime"),
		"ECS: nothing that says nothing");
	tap_ok(strstr(buf, "\"systemd\":{\"user_unit\":") && strstr(buf, "\"namespace\":{\"pid\":"),
		"ECS: each part alone");
	tap_ok(strstr(buf, "\"ids_unconfirmed\":true") != NULL, "ECS: users that may have changed");
	r.orig.pid = 0;
	r.orig.confidence = RECORD_CONFIDENCE_CGROUP_ONLY;
	line(&format_ecs);
	tap_ok(!strstr(buf, "ancestors") && !strstr(buf, "\"tty\"") && !strstr(buf, "loginuid") &&
			strstr(buf, "\"container\":{\"id\":\"0123\"}"),
		"ECS: a container without a process");
}

/* Pieces of a local connection and of the special cases. */
static void test_ecs_parts(void)
{
	build_record(&r);
	r.direction = RECORD_LOCAL;
	r.resp = r.orig;
	r.resp.pid = 5;
	r.resp.method = RECORD_METHOD_SEED;
	tap_ok(strstr(line(&format_ecs), ECS_OWNER ",\"responder\":{\"process\":{\"pid\":5,") !=
			NULL,
		"ECS: both ends of a local connection");
	tap_ok(strstr(buf, "\"owner\":{\"method\":\"seed\"") != NULL, "ECS: each with its owner");
	build_record(&r);
	r.direction = RECORD_INGRESS;
	r.resp = r.orig;
	memset(&r.orig, 0, sizeof(r.orig));
	line(&format_ecs);
	tap_ok(strstr(buf, ECS_PROCESS) && strstr(buf, "\"observer\":{\"ingress\"") &&
			strstr(buf, "\"direction\":\"ingress\""),
		"ECS: the responder's process of an inbound connection");
	build_record(&r);
	r.state = RECORD_STATE_REJ;
	r.end_reason = RECORD_END_REFUSED;
	tap_ok(strstr(line(&format_ecs), "\"type\":[\"connection\",\"end\",\"denied\"],") &&
			strstr(buf, "\"outcome\":\"failure\""),
		"ECS: refused is denied, and failed");
	r.proto = IPPROTO_ICMP;
	r.orig_port = 8;
	r.resp_port = 0;
	tap_ok(strstr(line(&format_ecs), "\"icmp\":{\"type\":8,\"code\":0}") &&
			!strstr(buf, "\"port\""),
		"ECS: ICMP has a type and a code, no ports");
	build_record(&r);
	r.orig.flags = RECORD_PROCESS_ARGS_CUT | RECORD_PROCESS_EXE_DELETED;
	tap_ok(strstr(line(&format_ecs), "\"args_truncated\":true,\"executable_deleted\":true") !=
			NULL,
		"ECS: what was cut says so");
	build_loss(&r);
	tap_is_str(line(&format_ecs),
		"{\"@timestamp\":\"2026-01-01T00:00:00.000000000Z\",\"ecs\":{\"version\":\"9.0.0\"}"
		","
		"\"event\":{\"kind\":\"metric\",\"category\":[\"network\"],\"type\":[\"info\"],"
		"\"action\":\"loss\",\"start\":\"2025-12-31T23:59:59.999999995Z\","
		"\"end\":\"2026-01-01T00:00:00.000000000Z\",\"module\":\"flowner\","
		"\"dataset\":\"flowner.loss\"},\"flowner\":{\"epoch\":3,"
		"\"loss\":{\"stage\":\"packet_ring\",\"reason\":\"full\",\"count\":17,\"packets\":"
		"17}}," ECS_HOST,
		"ECS: a loss");
}

static void test_ecs_last(void)
{
	uint64_t epoch = 0, seq = 0;

	build_record(&r);
	build_str(&r, &r.orig.name, "\"sequence\":1,\"epoch\":1", 22);
	line(&format_ecs);
	tap_ok(format_ecs.last(buf, strlen(buf), &epoch, &seq) && epoch == 3 && seq == 42,
		"ECS: a line tells its epoch and number, whatever the process calls itself");
	build_loss(&r);
	line(&format_ecs);
	tap_ok(!format_ecs.last(buf, strlen(buf), &epoch, &seq), "a loss has no number");
}

#define COLUMNS "00:00:00.000 tcp  10.0.0.1:50000        -> 93.184.216.34:80      "
#define CURL    "curl[1234] /usr/bin/curl 'curl -s \"http://x/it's\" \"\"' uid 1000"

static void test_text(void)
{
	build_record(&r);
	tap_is_str(
		line(&format_text), COLUMNS "closed    1.5s   100B/1.9K   " CURL, "text: an end");
	r.flags |= RECORD_FLAG_MIDSTREAM;
	tap_ok(strstr(line(&format_text), " closed    >1.5s  100B/1.9K "),
		"text: what began before it was seen is older");
	r.event = RECORD_INFO;
	r.end_reason = RECORD_END_NONE;
	r.flags = RECORD_FLAG_ORIG_BYTES;
	tap_is_str(line(&format_text), COLUMNS "open      1.5s   100B/-      " CURL,
		"text: still open, bytes of one side unknown");
	r.event = RECORD_START;
	tap_is_str(line(&format_text), "", "text: no line at the start");
	build_record(&r);
	r.flags |= RECORD_FLAG_UNCHANGED;
	tap_ok(*line(&format_text), "text: a line for an end without an earlier one");
	r.flags |= RECORD_FLAG_REPORTED;
	tap_ok(*line(&format_text), "text: an open TCP connection is told to be over");
	r.end_reason = RECORD_END_FORCED;
	tap_is_str(line(&format_text), "", "text: no second line that it is open");
	r.proto = IPPROTO_UDP;
	r.end_reason = RECORD_END_TIMEOUT;
	tap_is_str(line(&format_text), "", "text: none of a timeout that is no event");
	r.proto = IPPROTO_TCP;
	r.end_reason = RECORD_END_REFUSED;
	tap_is_str(line(&format_text), COLUMNS "refused   1.5s   100B/1.9K   " CURL,
		"text: that it was refused only the end says");
	build_record(&r);
	r.orig.netns = 4026532290;
	build_str(&r, &r.netns, "blue\x1b", 5);
	tap_is_str(line(&format_text),
		COLUMNS "closed    1.5s   100B/1.9K   " CURL
			" netns 4026532290 [seen in netns blue\\e]",
		"text: in other network namespaces");
	build_record(&r);
	r.direction = RECORD_LOCAL;
	r.resp = r.orig;
	r.resp.pid = 80;
	r.resp.args.len = 0;
	r.resp.method = RECORD_METHOD_TAP_LISTEN;
	r.resp.confidence = RECORD_CONFIDENCE_PROBABLE;
	tap_is_str(line(&format_text),
		COLUMNS "closed    1.5s   100B/1.9K   " CURL
			" => curl[80] /usr/bin/curl uid 1000 (probably: listens there)",
		"text: both ends of a local connection");
	build_loss(&r);
	tap_is_str(line(&format_text), "00:00:00.000 LOST 17 packets: the ring to enrich was full",
		"text: a loss");
	ctx.colour = true;
	build_record(&r);
	tap_ok(strstr(line(&format_text), "\x1b[1;32mcurl[1234]\x1b[0m") != NULL,
		"text: colours where wanted");
	ctx.colour = false;
}

/* Names of the remote end stand behind its address. */
static void test_text_names(void)
{
	char longer[80];

	build_record(&r);
	build_str(&r, &r.name, "www.example.com", 15);
	tap_ok(strstr(line(&format_text),
		       " 10.0.0.1:50000        -> 93.184.216.34:80 (www.example.com) closed ") !=
			NULL,
		"text: the name whose answer gave the address");
	build_str(&r, &r.server_name, "x\x1b\n.example", 11);
	tap_ok(strstr(line(&format_text), "-> 93.184.216.34:80 (x\\e\\n.example) closed ") != NULL,
		"text: the name the client asked for goes first, escaped");
	memset(longer, 'a', sizeof(longer));
	memcpy(longer + 62, "\u20ac", 3); /* a character across the end of what is shown */
	build_str(&r, &r.server_name, longer, sizeof(longer));
	tap_ok(strstr(line(&format_text), "aaaa...) closed ") && !strchr(buf, (char)0xe2),
		"text: a long one is cut, not inside a character");
	r.server_name.len = 0;
	r.direction = RECORD_INGRESS;
	tap_ok(strstr(line(&format_text), " 10.0.0.1:50000 (www.example.com) -> 93.184.216.34:80   "
					  "   closed ") != NULL,
		"text: of an incoming connection it is the originator's");
}

#define NO_ANSWER COLUMNS "no answer 1.5s   100B/1.9K   "

/* How an owner was found stands behind it where that is not plainly exact. */
static void test_text_verdict(void)
{
	build_record(&r);
	r.orig.method = RECORD_METHOD_SEED;
	tap_is_str(line(&format_text),
		COLUMNS "closed    1.5s   100B/1.9K   " CURL " (from the start-up sweep)",
		"text: an owner of the sweep says so");
	r.orig.method = RECORD_METHOD_TAP_SEND;
	r.orig.confidence = RECORD_CONFIDENCE_PROBABLE;
	tap_is_str(line(&format_text),
		COLUMNS "closed    1.5s   100B/1.9K   " CURL " (probably: sends from that port)",
		"text: a likely one says why");
	memset(&r.orig, 0, sizeof(r.orig));
	r.orig.uid = r.orig.gid = UINT32_MAX;
	r.orig.method = RECORD_METHOD_KERNEL;
	r.orig.confidence = RECORD_CONFIDENCE_EXACT;
	tap_is_str(line(&format_text), COLUMNS "closed    1.5s   100B/1.9K   kernel",
		"text: a socket of the kernel");

	build_record(&r);
	memset(&r.orig, 0, sizeof(r.orig));
	r.orig.unknown = RECORD_UNKNOWN_NO_PROCESS;
	r.state = RECORD_STATE_S0;
	r.end_reason = RECORD_END_TIMEOUT;
	tap_is_str(line(&format_text), NO_ANSWER "? (socket seen, its process not found)",
		"text: an unknown owner, and why");
	r.orig.unknown = RECORD_UNKNOWN_NO_SOCKET;
	tap_is_str(line(&format_text), NO_ANSWER "? (no socket: gone before it could be asked)",
		"text: another reason");
	r.orig.confidence = RECORD_CONFIDENCE_CGROUP_ONLY;
	r.orig.method = RECORD_METHOD_SOCK_DIAG;
	build_str(&r, &r.orig.cgroup, "/a\x1b[2J", 6);
	tap_is_str(line(&format_text), NO_ANSWER "? (cgroup only) cgroup /a\\e[2J uid 0",
		"text: cgroup and uid alone, escaped");
	r.direction = RECORD_INGRESS;
	r.resp.unknown = RECORD_UNKNOWN_NO_SOCKET;
	r.end_reason = RECORD_END_REFUSED;
	tap_is_str(line(&format_text),
		COLUMNS "refused   1.5s   100B/1.9K   => ? (nothing listens there)",
		"text: a refused connection has no owner to be found");
	r.event = RECORD_SUMMARY;
	r.connections = 12;
	tap_is_str(line(&format_text),
		COLUMNS "refused   1.5s   100B/1.9K   x12 => ? (nothing listens there)",
		"text: a summary says of how many");
}

static void test_random(void)
{
	unsigned invalid = 0, refused = 0, steering = 0, silent = 0;

	for (unsigned i = 0; i < 20000; i++) {
		size_t at, n;

		build_random(&r, i % 10 ? (size_t)rand() % 200 : RECORD_STRINGS_MAX);
		refused += format_check(&r, record_size(&r)) != 0;
		for (unsigned f = 0; format_at(f); f++) {
			if (*format_at(f)->begins != '{')
				continue;
			n = format_at(f)->record(&r, &ctx, buf);
			if (n && (buf[n - 1] != '\n' || !json_check(buf, n - 1, &at)))
				invalid++;
			silent += !n && format_at(f) == &format_ecs && r.event != RECORD_PACKET;
		}
		n = format_text.record(&r, &ctx, buf);
		for (size_t c = 0; c + 1 < n;) {
			unsigned len = json_check_utf8(buf + c, n - 1 - c);

			if (!len) {
				steering++;
				break;
			}
			c += len;
		}
	}
	tap_is_int(refused, 0, "20000 random records pass the check");
	tap_is_int(invalid, 0, "each is one line of strict JSON in each such format");
	tap_is_int(silent, 0, "ECS: none but packets is left out");
	tap_is_int(steering, 0, "text: each is one line of printable characters");
}

/* The longest result fits FORMAT_MAX: it is written right in front of a page that cannot be. */
static void test_longest(void)
{
	static const struct {
		const char *what;
		char fill[2];
	} cases[] = {{"control characters", {1, 1}}, {"quotes", {'\'', '\''}},
		{"double quotes", {'"', '"'}}, {"empty arguments", {0, 0}},
		{"arguments of one control character", {1, 0}},
		{"invalid bytes", {(char)0xff, (char)0xff}}};
	size_t pages = (FORMAT_MAX + 4095) / 4096 * 4096, longest = 0;
	char *area = mmap(
		NULL, pages + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED || mprotect(area + pages, 4096, PROT_NONE) < 0)
		tap_bail("no guard page");
	memset(ctx.host_name, 1, sizeof(ctx.host_name) - 1);
	memset(ctx.host_id, 1, sizeof(ctx.host_id) - 1);
	memset(ctx.boot_id, 1, sizeof(ctx.boot_id) - 1);
	format_context_prepare(&ctx);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (unsigned f = 0; format_at(f); f++) {
			size_t n;

			build_record(&r);
			r.direction = RECORD_LOCAL;
			r.resp.pid = 1;
			r.strings_len = RECORD_STRINGS_MAX;
			for (size_t c = 0; c < RECORD_STRINGS_MAX; c++)
				r.strings[c] = cases[i].fill[c % 2];
			r.ifname.len = r.orig.name.len = r.orig.exe.len = r.orig.cgroup.len =
				r.orig.parent_name.len = 0;
			r.orig.args = (struct record_str){0, RECORD_STRINGS_MAX / 2};
			r.resp.args = r.orig.args;
			tap_is_int(format_check(&r, record_size(&r)), 0, "%s: passes the check",
				cases[i].what);
			if (format_at(f)->packet)
				r.event = RECORD_PACKET;
			n = format_at(f)->packet
				    ? format_packet(format_at(f), &r, &(struct format_section){0},
					      &ctx, area + pages - FORMAT_MAX)
				    : format_record(
					      format_at(f), &r, &ctx, area + pages - FORMAT_MAX);
			longest = n > longest ? n : longest;
		}
	}
	tap_ok(longest <= FORMAT_MAX && longest > FORMAT_MAX / 2,
		"the longest result, %zu bytes, fits the promised %u", longest, FORMAT_MAX);
	r.orig.args.len = RECORD_STRINGS_MAX / 2 + 1;
	tap_is_int(format_check(&r, record_size(&r)), RECORD_E_STRING,
		"strings that overlap to more than the area are refused");
	munmap(area, pages + 4096);
}

int main(void)
{
	srand(3);
	build_context(&ctx);
	test_ecs_end();
	test_ecs_start();
	test_ecs_details();
	test_ecs_parts();
	test_ecs_last();
	test_text();
	test_text_names();
	test_text_verdict();
	test_random();
	test_longest();
	tap_ok(format_find("ecs", 3) == &format_ecs && format_find("text", 4) == &format_text &&
			!format_find("tex", 3) && !format_find("", 0),
		"formats are found by their whole names");
	return tap_done();
}
