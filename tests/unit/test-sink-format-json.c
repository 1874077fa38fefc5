/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON formats beside ecs, line by line: ocsf, sysmon, zeek-json; and what the table promises.
 */
#include "tap.h"

#include "sink-build.h"
#include "sink/fields.h"

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

static void has(const struct format *f, const char *piece, const char *what)
{
	tap_ok(strstr(line(f), piece) != NULL, "%s: %s", f->name, what);
}

static void test_ocsf(void)
{
	build_record(&r);
	tap_is_str(line(&format_ocsf),
		"{\"time\":1767225601500,\"status_id\":1,\"start_time\":1767225600000,"
		"\"end_time\":1767225601500,\"duration\":1500,\"metadata\":{\"sequence\":42,"
		"\"uid\":\"0000000000000abc-42\",\"version\":\"1.9.0-dev\","
		"\"product\":{\"name\":\"flowner\",\"vendor_name\":\"flowner\","
		"\"version\":\"1.2.3\"}},\"status_detail\":\"shutdown\","
		"\"connection_info\":{\"protocol_ver_id\":4,\"protocol_num\":6,"
		"\"protocol_name\":\"tcp\","
		"\"community_uid\":\"1:mCLmt2dclE10U9JIfoRWv0O9Vy8=\","
		"\"uid\":\"0000000000000abc\",\"flag_history\":\"ShADadFf\",\"direction_id\":2,"
		"\"tcp_flags\":19},\"cumulative_traffic\":{\"bytes\":2100,\"packets\":11,"
		"\"bytes_out\":100,\"packets_out\":6,\"bytes_in\":2000,\"packets_in\":5},"
		"\"dst_endpoint\":{\"ip\":\"93.184.216.34\",\"port\":80},"
		"\"src_endpoint\":{\"ip\":\"10.0.0.1\",\"port\":50000,"
		"\"interface_name\":\"eth0\"},\"actor\":{\"process\":{\"pid\":1234,"
		"\"uid\":\"b00t-1234-1767225599000000000\",\"name\":\"curl\","
		"\"path\":\"/usr/bin/curl\",\"cmd_line\":\"curl -s 'http://x/it'\\\\''s' ''\","
		"\"created_time\":1767225599000,\"parent_process\":{\"pid\":1000,"
		"\"name\":\"bash\"},\"user\":{\"uid\":\"1000\","
		"\"groups\":[{\"uid\":\"100\"}]}}},\"unmapped\":{\"epoch\":3,"
		"\"handshake_rtt_ns\":12000,\"packets_complete\":false,"
		"\"owner\":{\"method\":\"tap_connect\",\"confidence\":\"exact\","
		"\"latency_ns\":777},\"cgroup\":{\"id\":99,\"path\":\"/user.slice\"}},"
		"\"status_code\":\"SF\",\"traffic\":{\"packets\":11,\"bytes\":2100,"
		"\"bytes_out\":100,\"packets_out\":6,\"bytes_in\":2000,\"packets_in\":5},"
		"\"activity_id\":2,\"type_uid\":400102,\"category_uid\":4,\"class_uid\":4001,"
		"\"severity_id\":1,\"observation_point_id\":1,"
		"\"is_src_dst_assignment_known\":true,\"device\":{\"hostname\":\"box\","
		"\"boot_uid\":\"b00t\",\"type_id\":1}}",
		"ocsf: the end of a connection");
}

static void test_sysmon(void)
{
	build_record(&r);
	r.event = RECORD_START;
	tap_is_str(line(&format_sysmon),
		"{\"EventID\":3,\"RuleName\":\"-\",\"UtcTime\":\"2026-01-01 00:00:00.000\","
		"\"ProcessGuid\":\"{811c9dc5-1886-7251-b25f-3600000004d2}\",\"ProcessId\":1234,"
		"\"Image\":\"/usr/bin/curl\",\"User\":\"1000\",\"Protocol\":\"tcp\","
		"\"Initiated\":\"true\",\"SourceIsIpv6\":\"false\",\"SourceIp\":\"10.0.0.1\","
		"\"SourceHostname\":\"box\",\"SourcePort\":50000,"
		"\"DestinationIsIpv6\":\"false\",\"DestinationIp\":\"93.184.216.34\","
		"\"DestinationHostname\":\"-\",\"DestinationPort\":80,"
		"\"EventRecordID\":42,\"FlownerEpoch\":3}",
		"sysmon: a connection opens");
}

static void test_zeek_json(void)
{
	build_record(&r);
	tap_is_str(line(&format_zeek_json),
		"{\"ts\":1767225600.000000,\"uid\":\"CKi\",\"id.orig_h\":\"10.0.0.1\","
		"\"id.orig_p\":50000,\"id.resp_h\":\"93.184.216.34\",\"id.resp_p\":80,"
		"\"proto\":\"tcp\",\"duration\":1.500000,\"orig_bytes\":100,"
		"\"resp_bytes\":2000,\"conn_state\":\"SF\",\"local_orig\":true,"
		"\"local_resp\":false,\"history\":\"ShADadFf\",\"orig_pkts\":6,\"resp_pkts\":5,"
		"\"ip_proto\":6,\"community_id\":\"1:mCLmt2dclE10U9JIfoRWv0O9Vy8=\",\"seq\":42,"
		"\"end_reason\":\"shutdown\",\"pid\":1234,"
		"\"process_uid\":\"b00t-1234-1767225599000000000\",\"process\":\"curl\","
		"\"exe\":\"/usr/bin/curl\",\"command\":\"curl -s 'http://x/it'\\\\''s' ''\","
		"\"process_start\":1767225599.000000,\"ppid\":1000,\"parent\":\"bash\","
		"\"user_id\":1000,\"group_id\":100,\"interface\":\"eth0\",\"epoch\":3,"
		"\"direction\":\"egress\",\"handshake_rtt\":0.000012,"
		"\"packets_complete\":false,\"owner_method\":\"tap_connect\","
		"\"owner_confidence\":\"exact\",\"cgroup\":\"/user.slice\"}",
		"zeek-json: a connection");
}

static void test_ocsf_activity(void)
{
	build_record(&r);
	r.end_reason = RECORD_END_RESET;
	has(&format_ocsf, "\"activity_id\":3,\"type_uid\":400103", "reset");
	r.end_reason = RECORD_END_REFUSED;
	has(&format_ocsf, "\"activity_id\":5,\"type_uid\":400105", "refused");
	r.end_reason = RECORD_END_TIMEOUT;
	has(&format_ocsf, "\"activity_id\":2,\"type_uid\":400102", "an idle one is closed");
	r.state = RECORD_STATE_S0;
	has(&format_ocsf, "\"activity_id\":4,\"type_uid\":400104", "no answer has failed");
	r.event = RECORD_INFO;
	has(&format_ocsf, "\"activity_id\":6,\"type_uid\":400106", "traffic");
	r.event = RECORD_START;
	has(&format_ocsf, "\"activity_id\":1,\"type_uid\":400101", "open");
	r.event = RECORD_SUMMARY;
	r.connections = 7;
	has(&format_ocsf, "\"count\":7", "a summary counts");
	build_record(&r);
	r.direction = RECORD_LOCAL;
	r.resp = r.orig;
	r.resp.pid = 5;
	has(&format_ocsf, "\"responder\":{\"process\":{\"pid\":5,", "both ends");
	has(&format_ocsf, "\"direction_id\":4", "a local connection");
	r.service = RECORD_SERVICE_TLS;
	build_str(&r, &r.server_name, "a.example", 9);
	has(&format_ocsf, "\"tls\":{\"version\":\"unknown\",\"sni\":\"a.example\"}", "server name");
	build_loss(&r);
	tap_is_str(line(&format_ocsf), "", "ocsf: a loss is no network activity");
}

static void test_sysmon_absent(void)
{
	build_record(&r);
	r.event = RECORD_START;
	r.direction = RECORD_INGRESS;
	build_str(&r, &r.name, "peer.example", 12);
	tap_is_str(line(&format_sysmon),
		"{\"EventID\":3,\"RuleName\":\"-\",\"UtcTime\":\"2026-01-01 00:00:00.000\","
		"\"ProcessGuid\":\"-\",\"ProcessId\":0,\"Image\":\"-\",\"User\":\"-\","
		"\"Protocol\":\"tcp\",\"Initiated\":\"false\",\"SourceIsIpv6\":\"false\","
		"\"SourceIp\":\"10.0.0.1\",\"SourceHostname\":\"peer.example\","
		"\"SourcePort\":50000,\"DestinationIsIpv6\":\"false\","
		"\"DestinationIp\":\"93.184.216.34\",\"DestinationHostname\":\"box\","
		"\"DestinationPort\":80,\"EventRecordID\":42,\"FlownerEpoch\":3}",
		"sysmon: what is not known has its key, too");
	r.event = RECORD_END;
	tap_is_str(line(&format_sysmon), "", "sysmon: one line a connection");
	r.flags |= RECORD_FLAG_UNANNOUNCED;
	tap_ok(*line(&format_sysmon), "sysmon: at its end, if no start announced it");
	r.event = RECORD_SUMMARY;
	tap_ok(*line(&format_sysmon), "sysmon: or a summary");
	r.proto = IPPROTO_ICMP;
	tap_is_str(line(&format_sysmon), "", "sysmon: TCP and UDP only");
}

static void test_zeek_json_parts(void)
{
	build_record(&r);
	r.end_ns = r.start_ns;
	line(&format_zeek_json);
	tap_ok(!strstr(buf, "duration") && !strstr(buf, "orig_bytes"),
		"zeek-json: duration and bytes only of what lasted");
	r.proto = IPPROTO_ICMP;
	r.orig_port = 8;
	r.resp_port = 0;
	has(&format_zeek_json, "\"id.orig_p\":8,\"id.resp_h\":\"93.184.216.34\",\"id.resp_p\":0",
		"ports of ICMP are type and code");
	r.event = RECORD_INFO;
	tap_is_str(line(&format_zeek_json), "", "zeek-json: one line a connection");
}

/* What ecs adds for contents, the kernel's figures and summaries. */
static void test_ecs_added(void)
{
	build_record(&r);
	r.event = RECORD_SUMMARY;
	r.end_reason = RECORD_END_NONE;
	r.connections = 9;
	r.srtt_ns = 1500;
	r.retransmits = 2;
	r.service = RECORD_SERVICE_DNS;
	r.flags |= RECORD_FLAG_DNS_ANSWERED | RECORD_FLAG_KERNEL_BYTES | RECORD_FLAG_IP_BYTES;
	r.orig_ip_bytes = 400;
	r.resp_ip_bytes = 2400;
	r.dns_type = 28;
	r.dns_rcode = 3;
	r.name_age_ns = 5;
	build_str(&r, &r.name, "web.example", 11);
	build_str(&r, &r.dns_query, "a.example", 9);
	build_str(&r, &r.dns_answers, "b.example,192.0.2.7,2001:db8::7", 31);
	build_str(&r, &r.server_name, "c.example", 9);
	build_str(&r, &r.alpn, "h2,http/1.1", 11);
	has(&format_ecs, "\"type\":[\"connection\",\"info\"],\"action\":\"connection_summary\",",
		"a summary");
	has(&format_ecs, "\"duration\":1500000000,", "its duration");
	has(&format_ecs, "\"protocol\":\"dns\",", "service");
	has(&format_ecs, "\"port\":80,\"domain\":\"web.example\",", "the remote's name");
	has(&format_ecs,
		"\"dns\":{\"question\":{\"name\":\"a.example\",\"type\":\"AAAA\"},"
		"\"response_code\":\"NXDOMAIN\",\"answers\":[{\"data\":\"b.example\"},"
		"{\"data\":\"192.0.2.7\"},{\"data\":\"2001:db8::7\"}],"
		"\"resolved_ip\":[\"192.0.2.7\",\"2001:db8::7\"]},"
		"\"tls\":{\"client\":{\"server_name\":\"c.example\"}},",
		"DNS and TLS");
	has(&format_ecs,
		"\"handshake_rtt_ns\":12000,\"srtt_ns\":1500,\"retransmits\":2,\"connections\":9,"
		"\"name_age_ns\":5,\"tls\":{\"alpn\":[\"h2\",\"http/1.1\"]},"
		"\"source\":{\"ip_bytes\":400},\"destination\":{\"ip_bytes\":2400},",
		"the flow");
	has(&format_ecs, "\"kernel_bytes\":true", "flags");
	r.direction = RECORD_INGRESS;
	has(&format_ecs, "\"port\":50000,\"domain\":\"web.example\",",
		"the remote end of an inbound one");
	r.event = RECORD_PACKET;
	tap_is_str(line(&format_ecs), "", "ecs: no packets");
}

/* Values of two members, which differ from each other's. */
static void check_pairs(void)
{
	static const struct {
		const char *name;
		uint64_t number;
	} pairs[] = {{"bytes", 3}, {"packets", 12}, {"delta_bytes", 48}, {"duration", 64}};
	struct field_source s;
	struct field_value v;

	build_record(&r);
	r.orig_bytes = 1;
	r.resp_bytes = 2;
	r.orig_packets = 4;
	r.resp_packets = 8;
	r.delta_orig_bytes = 16;
	r.delta_resp_bytes = 32;
	r.end_ns = r.start_ns + 64;
	field_source_init(&s, &r, NULL);
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		tap_ok(field_get(field_find(pairs[i].name, strlen(pairs[i].name)), &s, &v) ==
					FIELD_U64 &&
				v.number == pairs[i].number,
			"%s are of both", pairs[i].name);
}

static void test_table(void)
{
	const struct field *f;
	struct field_source s;
	struct field_value v;
	unsigned lost = 0;

	for (unsigned i = 0; (f = field_at(i)); i++)
		lost += field_find(f->name, strlen(f->name)) != f || !*f->meaning;
	tap_is_int(lost, 0, "every field is found by its name and has a meaning");
	tap_ok(!field_find("proces", 6) && !field_find("", 0), "nothing by another");
	tap_ok(field_format_find("zeek-json", 9) == FIELD_ZEEK && field_format_find("zee", 3) == -1,
		"zeek-json has zeek's names");
	build_record(&r);
	field_source_init(&s, &r, NULL);
	tap_ok(field_get(field_find("process", 7), &s, &v) == FIELD_BYTES && v.len == 4 &&
			!memcmp(v.bytes, "curl", 4),
		"a string");
	tap_ok(field_get(field_find("resp_port", 9), &s, &v) == FIELD_U64 && v.number == 80,
		"a number");
	tap_ok(field_get(field_find("orig_addr", 9), &s, &v) == FIELD_ADDRESS && v.family == 4 &&
			v.bytes[15] == 1,
		"an address");
	tap_is_int(field_get(field_find("responder_pid", 13), &s, &v), FIELD_NONE,
		"no second process of a connection with one end here");
	r.resp = r.orig;
	r.resp.pid = 77;
	r.orig = (struct record_process){0};
	r.direction = RECORD_INGRESS;
	field_source_init(&s, &r, NULL);
	tap_ok(field_get(field_find("pid", 3), &s, &v) == FIELD_U64 && v.number == 77 &&
			field_get(field_find("responder_pid", 13), &s, &v) == FIELD_NONE,
		"the only process is that at the end that is here");
	r.orig = r.resp;
	r.orig.pid = 76;
	r.direction = RECORD_LOCAL;
	field_source_init(&s, &r, NULL);
	tap_ok(field_get(field_find("pid", 3), &s, &v) == FIELD_U64 && v.number == 76 &&
			field_get(field_find("responder_pid", 13), &s, &v) == FIELD_U64 &&
			v.number == 77,
		"of two, that at the responder's end is the responder's");
	build_record(&r);
	field_source_init(&s, &r, NULL);
	tap_is_int(field_get(field_find("host_name", 9), &s, &v), FIELD_NONE,
		"no host without a context");
	check_pairs();
	build_loss(&r);
	field_source_init(&s, &r, &ctx);
	tap_is_int(field_get(field_find("state", 5), &s, &v), FIELD_NONE, "a loss has no state");
}

/* A service may not read the ids of its host: an object of nothing but those is none. */
static void test_unknown_host(void)
{
	static const struct format *const formats[] = {
		&format_ecs, &format_ocsf, &format_zeek_json, &format_sysmon};
	const struct format_context before = ctx;

	for (size_t i = 0; i < 2 * sizeof(formats) / sizeof(formats[0]); i++) {
		const struct format *f = formats[i / 2];

		ctx.boot_id[0] = 0;
		if (i % 2)
			ctx.host_id[0] = ctx.host_name[0] = 0;
		else
			strcpy(ctx.host_id, "1d");
		format_context_prepare(&ctx);
		build_record(&r);
		if (f == &format_sysmon)
			r.event = RECORD_START;
		tap_ok(*line(f) && !strstr(buf, ":}") && !strstr(buf, ":,") && !strstr(buf, ",}") &&
				!strstr(buf, "{}"),
			"%s: no key without a value on a host without %s", f->name,
			i % 2 ? "names" : "a boot id");
	}
	tap_ok(!strstr(line(&format_ecs), "\"boot\""), "ecs: no boot");
	ctx = before;
	format_context_prepare(&ctx);
}

int main(void)
{
	build_context(&ctx);
	test_ocsf();
	test_ocsf_activity();
	test_sysmon();
	test_sysmon_absent();
	test_zeek_json();
	test_zeek_json_parts();
	test_ecs_added();
	test_table();
	test_unknown_host();
	return tap_done();
}
