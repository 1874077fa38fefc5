/* SPDX-License-Identifier: Apache-2.0 */
/* Records and a context with fixed values, for the tests of sink/. */
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink/format.h"

#define BUILD_START UINT64_C(1767225600000000000) /* 2026-01-01T00:00:00Z */

static inline void build_context(struct format_context *ctx)
{
	memset(ctx, 0, sizeof(*ctx));
	ctx->version = "1.2.3";
	strcpy(ctx->host_name, "box");
	strcpy(ctx->boot_id, "b00t");
	format_context_prepare(ctx);
}

static inline void build_address(uint8_t to[16], const char *text)
{
	memset(to, 0, 16);
	if (inet_pton(AF_INET6, text, to) == 1)
		return;
	to[10] = to[11] = 0xff;
	inet_pton(AF_INET, text, to + 12);
}

static inline void build_str(struct record *r, struct record_str *to, const char *s, size_t len)
{
	record_put_str(r, s, len, to);
}

/* curl on this host to a server elsewhere, ended well after 1.5 s. */
static inline void build_record(struct record *r)
{
	static const char args[] = "curl\0-s\0http://x/it's\0\0";

	memset(r, 0, sizeof(*r));
	r->version = RECORD_VERSION;
	r->event = RECORD_END;
	r->direction = RECORD_EGRESS;
	r->family = 4;
	r->proto = IPPROTO_TCP;
	r->state = RECORD_STATE_SF;
	r->end_reason = RECORD_END_SHUTDOWN;
	r->seq = 42;
	r->epoch = 3;
	r->flow_id = 0xabc;
	r->start_ns = BUILD_START;
	r->end_ns = BUILD_START + 1500000000;
	r->t_ns = BUILD_START + 1500000001;
	build_address(r->orig_addr, "10.0.0.1");
	build_address(r->resp_addr, "93.184.216.34");
	r->orig_port = 50000;
	r->resp_port = 80;
	r->flags = RECORD_FLAG_ORIG_BYTES | RECORD_FLAG_RESP_BYTES;
	r->orig_bytes = 100;
	r->resp_bytes = 2000;
	r->orig_packets = 6;
	r->resp_packets = 5;
	r->delta_packets = 11;
	r->delta_orig_packets = 6;
	r->delta_resp_packets = 5;
	r->delta_orig_bytes = 100;
	r->delta_resp_bytes = 2000;
	r->rtt_ns = 12000;
	memcpy(r->history, "ShADadFf", 8);
	build_str(r, &r->ifname, "eth0", 4);
	r->orig.pid = 1234;
	r->orig.ppid = 1000;
	r->orig.start_ns = BUILD_START - 1000000000;
	r->orig.uid = 1000;
	r->orig.gid = 100;
	r->orig.method = RECORD_METHOD_TAP_CONNECT;
	r->orig.confidence = RECORD_CONFIDENCE_EXACT;
	r->orig.latency_ns = 777;
	r->orig.cgroup_id = 99;
	build_str(r, &r->orig.name, "curl", 4);
	build_str(r, &r->orig.exe, "/usr/bin/curl", 13);
	build_str(r, &r->orig.args, args, sizeof(args) - 1);
	build_str(r, &r->orig.cgroup, "/user.slice", 11);
	build_str(r, &r->orig.parent_name, "bash", 4);
	r->orig.ruid = r->orig.loginuid = UINT32_MAX;
	r->resp.uid = r->resp.gid = r->resp.ruid = r->resp.loginuid = UINT32_MAX;
	r->resp.unknown = RECORD_UNKNOWN_REMOTE;
}

/* All that can be known of a process besides. */
static inline void build_details(struct record *r, struct record_process *o)
{
	static const char ancestors[] = "1000 bash\0"
					"7 \"x\"\0"
					"1 systemd";

	o->inner_pid = 7;
	o->sid = 1000;
	o->tty = 0x8803; /* pts/3 */
	o->ruid = 1001;
	o->loginuid = 1002;
	o->netns = 4026532001;
	o->pidns = 4026532002;
	o->runtime = RECORD_RUNTIME_PODMAN;
	build_str(r, &o->cwd, "/srv/annie", 10);
	build_str(r, &o->ancestors, ancestors, sizeof(ancestors));
	build_str(r, &o->user, "ann", 3);
	build_str(r, &o->group, "users", 5);
	build_str(r, &o->unit, "user@1000.service", 17);
	build_str(r, &o->user_unit, "libpod-0123.scope", 17);
	build_str(r, &o->container, "0123", 4);
	build_str(r, &o->pod, "11-22", 5);
}

static inline void build_loss(struct record *r)
{
	memset(r, 0, sizeof(*r));
	r->version = RECORD_VERSION;
	r->event = RECORD_LOSS;
	r->epoch = 3;
	r->t_ns = BUILD_START;
	r->loss_stage = 2;
	r->loss_count = r->loss_packets = 17;
	r->loss_first_ns = BUILD_START - 5;
	r->loss_last_ns = BUILD_START;
}

/* Makes the bytes from @off on ancestors: up to the most there may be, with any names. */
static inline void build_random_ancestors(struct record *r, struct record_str *s, size_t off)
{
	size_t end = off + s->len, n = 1 + (size_t)rand() % RECORD_ANCESTORS_MAX, at = off;

	for (; n && end - at >= 12; n--) {
		size_t next = n == 1 ? end : at + 12 + (size_t)rand() % (end - at - 11);

		for (size_t i = at; i < next; i++)
			r->strings[i] = (char)(1 + rand() % 255);
		r->strings[at] = (char)('1' + rand() % 9);
		r->strings[at + 1] = ' ';
		r->strings[next - 1] = 0;
		at = next;
	}
	s->off = (uint16_t)off;
	s->len = (uint16_t)(at - off);
}

/* A record whose every value is random, but possible; @strings bytes of string area. */
static inline void build_random(struct record *r, size_t strings)
{
	uint8_t *p = (uint8_t *)r;
#define BUILD_STRINGS(o)                                                                           \
	&(o).name, &(o).exe, &(o).args, &(o).cwd, &(o).cgroup, &(o).parent_name, &(o).user,        \
		&(o).group, &(o).unit, &(o).user_unit, &(o).container, &(o).pod, &(o).ancestors
	struct record_str *str[] = {&r->ifname, &r->netns, &r->name, &r->server_name, &r->alpn,
		&r->dns_query, &r->dns_answers, &r->packet, BUILD_STRINGS(r->orig),
		BUILD_STRINGS(r->resp)};
	struct record_process *o[] = {&r->orig, &r->resp};
	size_t n = sizeof(str) / sizeof(str[0]);

	for (size_t i = 0; i < sizeof(*r); i++)
		p[i] = (uint8_t)rand();
	r->version = RECORD_VERSION;
	r->event = (uint8_t)(RECORD_START + rand() % RECORD_SUMMARY);
	r->direction = (uint8_t)(rand() % (RECORD_LOCAL + 1));
	r->family = rand() % 2 ? 4 : 6;
	r->state = (uint8_t)(rand() % RECORD_STATES);
	r->end_reason = (uint8_t)(rand() % RECORD_END_REASONS);
	r->flags %= RECORD_FLAG_UNANNOUNCED << 1;
	r->service = (uint8_t)(rand() % RECORD_SERVICES);
	r->packet_resp = (uint8_t)(rand() % 2);
	r->start_ns %= r->end_ns + 1;
	memset(r->history, 0, sizeof(r->history));
	memset(r->history, 'a' + rand() % 26, (size_t)rand() % sizeof(r->history));
	r->loss_stage = 1 + (uint32_t)rand() % 4;
	r->loss_first_ns %= r->loss_last_ns + 1;
	r->strings_len = (uint32_t)strings;
	for (int i = 0; i < 2; i++) {
		o[i]->method = (uint8_t)(rand() % RECORD_METHODS);
		o[i]->confidence = (uint8_t)(rand() % RECORD_CONFIDENCES);
		o[i]->unknown = (uint8_t)(rand() % RECORD_UNKNOWNS);
		o[i]->flags %= 16;
		o[i]->runtime = (uint8_t)(rand() % RECORD_RUNTIMES);
		if (rand() % 4 == 0)
			o[i]->pid = 0;
	}
	for (size_t i = 0; i < n; i++) {
		size_t len = (size_t)rand() % (strings / n + 1);

		str[i]->off = (uint16_t)(len ? (size_t)rand() % (strings - len + 1) : 0);
		str[i]->len = (uint16_t)len;
	}
	if (r->packet_len < r->packet.len)
		r->packet_len = r->packet.len;
	build_random_ancestors(r, &r->orig.ancestors, 0);
	build_random_ancestors(r, &r->resp.ancestors, r->orig.ancestors.len);
}
