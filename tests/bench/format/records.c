/* SPDX-License-Identifier: Apache-2.0 */
/* Records as a host makes them. */
#include "records.h"

#include "unit/sink-build.h"

#define PUT(r, to, s) build_str((r), &(to), (s), sizeof(s) - 1)

static void base(struct record *r, enum record_event event)
{
	memset(r, 0, sizeof(*r));
	r->version = RECORD_VERSION;
	r->event = (uint8_t)event;
	r->direction = RECORD_EGRESS;
	r->family = 4;
	r->proto = IPPROTO_TCP;
	r->seq = 1830274;
	r->epoch = 12;
	r->flow_id = 0x5f3a9c0172d4e8b6;
	r->start_ns = BUILD_START + 52734018265123456;
	r->end_ns = r->start_ns;
	r->t_ns = r->start_ns + 187341;
	r->flags = RECORD_FLAG_ORIG_BYTES | RECORD_FLAG_RESP_BYTES;
	r->connections = 1;
	r->orig.ruid = r->orig.loginuid = r->orig.uid = r->orig.gid = UINT32_MAX;
	r->resp.ruid = r->resp.loginuid = r->resp.uid = r->resp.gid = UINT32_MAX;
	r->resp.unknown = RECORD_UNKNOWN_REMOTE;
	PUT(r, r->ifname, "eth0");
	build_address(r->orig_addr, "10.20.0.17");
	build_address(r->resp_addr, "93.184.216.34");
	r->orig_port = 50122;
	r->resp_port = 443;
}

/* Everything that enrich usually finds out about a service's process. */
static void service(struct record *r, struct record_process *o)
{
	o->pid = 48213;
	o->ppid = 911;
	o->sid = 911;
	o->start_ns = r->start_ns - 7200000000000;
	o->uid = o->ruid = 1000;
	o->gid = 1000;
	o->method = RECORD_METHOD_TAP_CONNECT;
	o->confidence = RECORD_CONFIDENCE_EXACT;
	o->latency_ns = 48211;
	o->cgroup_id = 8214;
	PUT(r, o->name, "curl");
	PUT(r, o->exe, "/usr/bin/curl");
	PUT(r, o->args, "curl\0-fsS\0https://api.example.com/v1/items\0");
	PUT(r, o->cwd, "/srv/mirror");
	PUT(r, o->cgroup, "/system.slice/mirror.service");
	PUT(r, o->parent_name, "mirror.sh");
	PUT(r, o->ancestors,
		"911 mirror.sh\0"
		"1 systemd\0");
	PUT(r, o->user, "mirror");
	PUT(r, o->group, "mirror");
	PUT(r, o->unit, "mirror.service");
}

static void tcp_start(struct record *r)
{
	base(r, RECORD_START);
	r->state = RECORD_STATE_S0;
	r->orig_packets = r->delta_packets = r->delta_orig_packets = 1;
	memcpy(r->history, "S", 1);
	r->name_age_ns = 1834022;
	PUT(r, r->name, "api.example.com");
	service(r, &r->orig);
}

static void tcp_end(struct record *r)
{
	base(r, RECORD_END);
	r->state = RECORD_STATE_SF;
	r->end_reason = RECORD_END_SHUTDOWN;
	r->end_ns += 183402377;
	r->t_ns = r->end_ns + 201338;
	r->service = RECORD_SERVICE_TLS;
	r->orig_bytes = r->delta_orig_bytes = 1834;
	r->resp_bytes = r->delta_resp_bytes = 48211;
	r->orig_packets = 5;
	r->resp_packets = 4;
	r->delta_packets = 8;
	r->delta_orig_packets = 4;
	r->delta_resp_packets = 4;
	r->rtt_ns = 11834022;
	memcpy(r->history, "ShADadFf", 8);
	r->name_age_ns = 1834022;
	PUT(r, r->name, "api.example.com");
	PUT(r, r->server_name, "api.example.com");
	PUT(r, r->alpn, "h2,http/1.1");
	service(r, &r->orig);
}

static void udp(struct record *r)
{
	base(r, RECORD_END);
	r->family = 6;
	build_address(r->orig_addr, "2001:db8:20::17");
	build_address(r->resp_addr, "2606:2800:220:1:248:1893:25c8:1946");
	r->proto = IPPROTO_UDP;
	r->state = RECORD_STATE_SF;
	r->end_reason = RECORD_END_TIMEOUT;
	r->end_ns += 30183402377;
	r->t_ns = r->end_ns + 60000000000;
	r->orig_bytes = r->delta_orig_bytes = 20144;
	r->resp_bytes = r->delta_resp_bytes = 1048211;
	r->orig_packets = r->delta_orig_packets = 183;
	r->resp_packets = r->delta_resp_packets = 811;
	r->delta_packets = 994;
	memcpy(r->history, "Dd", 2);
	service(r, &r->orig);
	r->orig.method = RECORD_METHOD_TAP_SEND;
}

static void dns(struct record *r)
{
	base(r, RECORD_END);
	r->proto = IPPROTO_UDP;
	r->state = RECORD_STATE_SF;
	r->end_reason = RECORD_END_TIMEOUT;
	build_address(r->resp_addr, "10.20.0.2");
	r->resp_port = 53;
	r->end_ns += 8340237;
	r->t_ns = r->end_ns + 10000000000;
	r->orig_bytes = r->delta_orig_bytes = 33;
	r->resp_bytes = r->delta_resp_bytes = 97;
	r->orig_packets = r->delta_orig_packets = 1;
	r->resp_packets = r->delta_resp_packets = 1;
	r->delta_packets = 2;
	memcpy(r->history, "Dd", 2);
	r->service = RECORD_SERVICE_DNS;
	r->flags |= RECORD_FLAG_DNS_ANSWERED;
	r->dns_type = 1;
	PUT(r, r->dns_query, "www.example.com");
	PUT(r, r->dns_answers, "www.example.com-v4.edgesuite.net,93.184.216.34,93.184.216.35");
	service(r, &r->orig);
	r->orig.method = RECORD_METHOD_TAP_SEND;
}

static void unknown(struct record *r)
{
	base(r, RECORD_END);
	r->direction = RECORD_INGRESS;
	build_address(r->orig_addr, "203.0.113.77");
	build_address(r->resp_addr, "10.20.0.17");
	r->resp_port = 23;
	r->state = RECORD_STATE_REJ;
	r->end_reason = RECORD_END_REFUSED;
	r->end_ns += 41022;
	r->orig_packets = r->delta_orig_packets = 1;
	r->resp_packets = r->delta_resp_packets = 1;
	r->delta_packets = 2;
	memcpy(r->history, "Sr", 2);
	r->orig.unknown = RECORD_UNKNOWN_REMOTE;
	r->resp.unknown = RECORD_UNKNOWN_NO_SOCKET;
}

static void hostile(struct record *r)
{
	tcp_end(r);
	r->orig.args.len = 0;
	PUT(r, r->orig.name, "ba\"d\x1b[2J\\\n\xff");
	PUT(r, r->orig.exe, "/tmp/\xe2\x80\xaegpj.exe \xc3\xa9\xf0\x9f\x92\xa9");
	PUT(r, r->orig.args, "./x\0it's\0a b\tc\0\xc0\xaf\"\0\0");
	PUT(r, r->name, "evil\".example.com\x01");
}

/* A shell's client of a container's server on this host. */
static void local(struct record *r)
{
	tcp_end(r);
	r->direction = RECORD_LOCAL;
	r->family = 6;
	build_address(r->orig_addr, "::1");
	build_address(r->resp_addr, "::1");
	r->flags |= RECORD_FLAG_KERNEL_BYTES | RECORD_FLAG_IP_BYTES | RECORD_FLAG_REPORTED;
	r->orig_ip_bytes = 2214;
	r->resp_ip_bytes = 49318;
	r->srtt_ns = 28000;
	r->retransmits = 1;
	r->orig.tty = 0x8803;
	r->orig.loginuid = 1000;
	service(r, &r->resp);
	r->resp.unknown = RECORD_UNKNOWN_NONE;
	r->resp.method = RECORD_METHOD_TAP_LISTEN;
	r->resp.confidence = RECORD_CONFIDENCE_PROBABLE;
	r->resp.inner_pid = 7;
	r->resp.netns = 4026532281;
	r->resp.pidns = 4026532284;
	r->resp.runtime = RECORD_RUNTIME_CONTAINERD;
	PUT(r, r->resp.container,
		"4f1c0de9a1b25c6d7e8f90112233445566778899aabbccddeeff001122334455");
	PUT(r, r->resp.pod, "0b9c1a52-77aa-4c1e-9a43-3c2f4f1d2e10");
}

/* For pcapng, the one format that writes packets. */
static void packet(struct record *r)
{
	static const uint8_t frame[128] = {0x45, 0, 0, 0x80};

	tcp_end(r);
	r->event = RECORD_PACKET;
	r->end_reason = RECORD_END_NONE;
	r->delta_packets = r->delta_orig_packets = r->delta_resp_packets = 0;
	r->delta_orig_bytes = r->delta_resp_bytes = 0;
	r->dlt = 276;
	r->packet_len = 1500;
	record_put_str(r, frame, sizeof(frame), &r->packet);
}

static const struct {
	const char *name;
	void (*build)(struct record *r);
} RECORDS[] = {
	{"tcp-start", tcp_start},
	{"tcp-end", tcp_end},
	{"udp-end", udp},
	{"dns-end", dns},
	{"unknown-owner", unknown},
	{"hostile-names", hostile},
	{"both-ends-here", local},
	{"packet", packet},
};

const char *bench_record_name(unsigned i)
{
	return i < sizeof(RECORDS) / sizeof(RECORDS[0]) ? RECORDS[i].name : NULL;
}

void bench_record_build(unsigned i, struct record *r)
{
	RECORDS[i].build(r);
}

void bench_record_vary(struct record *r, unsigned n)
{
	const uint64_t later = UINT64_C(166667) * n; /* 6,000 connections a second */

	r->orig_port = (uint16_t)(32768 + (r->orig_port + 2 * n) % 28000);
	r->seq += n;
	r->flow_id += n;
	r->start_ns += later;
	r->end_ns += later;
	r->t_ns += later;
}

void bench_context_build(struct format_context *ctx)
{
	memset(ctx, 0, sizeof(*ctx));
	ctx->version = "1.2.3";
	strcpy(ctx->host_name, "web-03.example.net");
	strcpy(ctx->host_id, "3c1f0de9a1b25c6d7e8f901122334455");
	strcpy(ctx->boot_id, "6c0e7b7e-2f3c-4d43-9a53-3b6d1a2f9a10");
	format_context_prepare(ctx);
}
