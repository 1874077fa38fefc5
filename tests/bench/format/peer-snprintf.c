/* SPDX-License-Identifier: Apache-2.0 */
/* The ecs line by snprintf. Members end with a comma that the end of their object takes back. */
#include <inttypes.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "peers.h"
#include "sink/escape.h"

struct out {
	char *p, *end;
};

static void add(struct out *o, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct out *o, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	o->p += vsnprintf(o->p, (size_t)(o->end - o->p), format, ap);
	va_end(ap);
}

static void add_unsafe(struct out *o, uint32_t c)
{
	static const char letters[] = {
		['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};

	if (c < sizeof(letters) && letters[c])
		add(o, "\\%c", letters[c]);
	else if (c >= 0x10000)
		add(o, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
			0xdc00 + ((c - 0x10000) & 0x3ff));
	else
		add(o, "\\u%04x", c);
}

static void add_escaped(struct out *o, const char *s, size_t len)
{
	for (size_t i = 0, n; i < len; i += n) {
		uint8_t b = (uint8_t)s[i];
		uint32_t c;

		n = 1;
		if (b >= 0x20 && b < 0x7f) {
			if (b == '"' || b == '\\')
				*o->p++ = '\\';
			*o->p++ = (char)b;
			continue;
		}
		n = escape_utf8(s + i, len - i, &c);
		if (!n || c == 0xfffd) {
			n = 1;
			add(o, "\xef\xbf\xbd%02x", b);
		} else if (escape_is_unsafe(c)) {
			add_unsafe(o, c);
		} else {
			memcpy(o->p, s + i, n);
			o->p += n;
		}
	}
}

static void add_string(struct out *o, const char *key, const char *s, size_t len)
{
	if (!len)
		return;
	add(o, "\"%s\":\"", key);
	add_escaped(o, s, len);
	add(o, "\",");
}

static void add_str(struct out *o, const char *key, const struct record *r, struct record_str s)
{
	add_string(o, key, record_get_str(r, s), s.len);
}

static void add_word(struct out *o, const char *key, const char *word)
{
	if (*word)
		add(o, "\"%s\":\"%s\",", key, word);
}

static void add_number(struct out *o, const char *key, uint64_t v)
{
	if (v)
		add(o, "\"%s\":%" PRIu64 ",", key, v);
}

static void add_flag(struct out *o, const char *key, unsigned set)
{
	if (set)
		add(o, "\"%s\":true,", key);
}

static void add_id(struct out *o, const char *key, uint32_t v)
{
	if (v != UINT32_MAX)
		add(o, "\"%s\":\"%" PRIu32 "\",", key, v);
}

static char *open_object(struct out *o, const char *key)
{
	char *from = o->p;

	add(o, "\"%s\":{", key);
	return from;
}

/* One without members goes. */
static void close_object(struct out *o, char *from)
{
	if (o->p[-1] == '{') {
		o->p = from;
		return;
	}
	o->p--;
	add(o, "},");
}

static void add_event(struct out *o, const struct record *r)
{
	const char *action = peer_action(r), *type = action;
	char time[PEER_TIME];

	if (r->event == RECORD_SUMMARY)
		type = "info";
	peer_time(time, r->t_ns);
	add(o,
		"{\"@timestamp\":\"%s\",\"ecs\":{\"version\":\"9.0.0\"},\"event\":{\"kind\":"
		"\"event\",\"category\":[\"network\"],\"type\":[\"connection\",\"%s\"%s],"
		"\"action\":\"connection_%s\",\"outcome\":\"%s\",",
		time, type, r->end_reason == RECORD_END_REFUSED ? ",\"denied\"" : "", action,
		peer_outcome(r));
	peer_time(time, r->start_ns);
	add(o, "\"start\":\"%s\",", time);
	if (r->event == RECORD_END || r->event == RECORD_SUMMARY) {
		peer_time(time, r->end_ns);
		add(o, "\"end\":\"%s\",", time);
	}
	if (r->event != RECORD_START)
		add(o, "\"duration\":%" PRIu64 ",", r->end_ns - r->start_ns);
	add_number(o, "sequence", r->seq);
	add(o,
		"\"id\":\"%016" PRIx64 "-%" PRIu64
		"\",\"module\":\"flowner\",\"dataset\":\"flowner.connection\",",
		r->flow_id, r->seq);
	add_word(o, "reason",
		r->end_reason ? record_end_reason_name((enum record_end_reason)r->end_reason) : "");
	o->p--;
	add(o, "},");
}

static void add_network(struct out *o, const struct record *r)
{
	char id[64];

	peer_community_id(id, r);
	add(o, "\"network\":{\"type\":\"%s\",\"iana_number\":\"%u\",",
		r->family == 4 ? "ipv4" : "ipv6", r->proto);
	add_word(o, "transport", peer_transport(r));
	add_word(o, "protocol", record_service_name((enum record_service)r->service));
	if (r->direction != RECORD_DIRECTION_UNKNOWN)
		add(o, "\"direction\":\"%s\",",
			r->direction == RECORD_INGRESS ? "ingress" : "egress");
	add(o, "\"community_id\":\"%s\",", id);
	if ((r->flags & RECORD_FLAG_ORIG_BYTES) && (r->flags & RECORD_FLAG_RESP_BYTES))
		add(o, "\"bytes\":%" PRIu64 ",", r->orig_bytes + r->resp_bytes);
	add(o, "\"packets\":%" PRIu64, r->orig_packets + r->resp_packets);
	if (r->vlan)
		add(o, ",\"vlan\":{\"id\":\"%u\"}", r->vlan);
	add(o, "},");
}

static void add_end(struct out *o, const struct record *r, const char *key, bool orig)
{
	bool remote = (r->direction == RECORD_INGRESS) == orig;
	char address[64];

	peer_address(address, orig ? r->orig_addr : r->resp_addr, r->family);
	add(o, "\"%s\":{\"address\":\"%s\",\"ip\":\"%s\",\"port\":%u,", key, address, address,
		orig ? r->orig_port : r->resp_port);
	if (remote)
		add_str(o, "domain", r, r->name);
	if (r->flags & (orig ? RECORD_FLAG_ORIG_BYTES : RECORD_FLAG_RESP_BYTES))
		add(o, "\"bytes\":%" PRIu64 ",", orig ? r->orig_bytes : r->resp_bytes);
	add(o, "\"packets\":%" PRIu64 "},", orig ? r->orig_packets : r->resp_packets);
}

static void add_args(struct out *o, const struct record *r, struct record_str s)
{
	const char *args = record_get_str(r, s);
	static char command[4 * RECORD_STRINGS_MAX];

	if (!s.len)
		return;
	add_string(o, "command_line", command, peer_command(args, s.len, command));
	add(o, "\"args\":[");
	for (size_t i = 0; i < s.len;) {
		size_t n = strnlen(args + i, s.len - i);

		add(o, "%s\"", i ? "," : "");
		add_escaped(o, args + i, n);
		add(o, "\"");
		i += n + 1;
	}
	add(o, "],");
}

static void add_process(struct out *o, const struct record *r, const struct record_process *p,
	const struct format_context *ctx)
{
	char *process = open_object(o, "process"), *object, time[PEER_TIME];

	if (!p->pid) {
		o->p = process;
		return;
	}
	add(o, "\"pid\":%" PRIu32 ",", p->pid);
	add_number(o, "vpid", p->inner_pid);
	if (p->start_ns)
		add(o, "\"entity_id\":\"%s-%" PRIu32 "-%" PRIu64 "\",", ctx->boot_id, p->pid,
			p->start_ns);
	add_str(o, "name", r, p->name);
	add_str(o, "executable", r, p->exe);
	add_args(o, r, p->args);
	add_str(o, "working_directory", r, p->cwd);
	if (p->start_ns) {
		peer_time(time, p->start_ns);
		add(o, "\"start\":\"%s\",", time);
	}
	if (p->ruid != p->uid && p->ruid != UINT32_MAX)
		add(o, "\"real_user\":{\"id\":\"%" PRIu32 "\"},", p->ruid);
	if (p->sid)
		add(o, "\"session_leader\":{\"pid\":%" PRIu32 "},", p->sid);
	if (p->tty)
		add(o, "\"tty\":{\"char_device\":{\"major\":%u,\"minor\":%u}},",
			p->tty >> 8 & 0xfff, (p->tty >> 12 & 0xfff00) | (p->tty & 0xff));
	object = open_object(o, "parent");
	add_number(o, "pid", p->ppid);
	add_str(o, "name", r, p->parent_name);
	close_object(o, object);
	close_object(o, process);
}

static void add_user(struct out *o, const struct record *r, const struct record_process *p)
{
	char *object;

	if (!p->pid && p->confidence == RECORD_CONFIDENCE_UNKNOWN)
		return;
	object = open_object(o, "user");
	add_id(o, "id", p->uid);
	add_str(o, "name", r, p->user);
	close_object(o, object);
	object = open_object(o, "group");
	add_id(o, "id", p->gid);
	add_str(o, "name", r, p->group);
	close_object(o, object);
	object = open_object(o, "container");
	add_str(o, "id", r, p->container);
	if (p->runtime)
		add_word(o, "runtime", record_runtime_name((enum record_runtime)p->runtime));
	close_object(o, object);
}

static void add_dns(struct out *o, const struct record *r)
{
	const char *answers = record_get_str(r, r->dns_answers),
		   *end = answers + r->dns_answers.len;
	char *dns = open_object(o, "dns"), *object = open_object(o, "question"), buf[16];
	bool any = false;

	add_str(o, "name", r, r->dns_query);
	if (r->dns_type)
		add_word(o, "type", peer_dns_type(r, buf));
	close_object(o, object);
	if (r->flags & RECORD_FLAG_DNS_ANSWERED)
		add_word(o, "response_code", peer_dns_rcode(r, buf));
	if (answers < end)
		add(o, "\"answers\":[");
	for (const char *at = answers, *comma; at < end; at = comma + 1) {
		comma = memchr(at, ',', (size_t)(end - at));
		if (!comma)
			comma = end;
		add(o, "%s{\"data\":\"", at == answers ? "" : ",");
		add_escaped(o, at, (size_t)(comma - at));
		add(o, "\"}");
	}
	if (answers < end)
		add(o, "],");
	for (const char *at = answers, *comma; at < end; at = comma + 1) {
		comma = memchr(at, ',', (size_t)(end - at));
		if (!comma)
			comma = end;
		if (!peer_is_address(at, (size_t)(comma - at)))
			continue;
		add(o, any ? ",\"" : "\"resolved_ip\":[\"");
		add_escaped(o, at, (size_t)(comma - at));
		add(o, "\"");
		any = true;
	}
	if (any)
		add(o, "],");
	close_object(o, dns);
}

static void add_observed(struct out *o, const struct record *r)
{
	bool opened = r->direction == RECORD_EGRESS || r->direction == RECORD_LOCAL;

	if (r->ifname.len) {
		add(o, "\"observer\":{\"%s\":{\"interface\":{\"name\":\"",
			opened ? "egress" : "ingress");
		add_escaped(o, record_get_str(r, r->ifname), r->ifname.len);
		add(o, "\"}}},");
	}
	add_dns(o, r);
	if (r->server_name.len) {
		add(o, "\"tls\":{\"client\":{\"server_name\":\"");
		add_escaped(o, record_get_str(r, r->server_name), r->server_name.len);
		add(o, "\"}},");
	}
}

static void add_delta(struct out *o, const struct record *r)
{
	bool orig = r->flags & RECORD_FLAG_ORIG_BYTES, resp = r->flags & RECORD_FLAG_RESP_BYTES;

	add(o, "\"delta\":{\"packets\":%" PRIu64 ",", r->delta_packets);
	if (orig && resp)
		add(o, "\"bytes\":%" PRIu64 ",", r->delta_orig_bytes + r->delta_resp_bytes);
	add(o, "\"source\":{");
	if (orig)
		add(o, "\"bytes\":%" PRIu64 ",", r->delta_orig_bytes);
	add(o, "\"packets\":%" PRIu64 "},\"destination\":{", r->delta_orig_packets);
	if (resp)
		add(o, "\"bytes\":%" PRIu64 ",", r->delta_resp_bytes);
	add(o, "\"packets\":%" PRIu64 "}},", r->delta_resp_packets);
}

static void add_flow(struct out *o, const struct record *r)
{
	add(o, "\"epoch\":%" PRIu64 ",\"flow_id\":\"%016" PRIx64 "\",\"direction\":\"%s\",",
		r->epoch, r->flow_id, record_direction_name((enum record_direction)r->direction));
	add(o, "\"conn_state\":\"%s\",", record_state_name((enum record_state)r->state));
	if (*r->history)
		add(o, "\"history\":\"%.*s\",", RECORD_HISTORY_MAX, r->history);
	add_number(o, "handshake_rtt_ns", r->rtt_ns);
	add_number(o, "srtt_ns", r->srtt_ns);
	add_number(o, "retransmits", r->retransmits);
	if (r->event == RECORD_SUMMARY)
		add_number(o, "connections", r->connections);
	add_str(o, "netns", r, r->netns);
	add_number(o, "name_age_ns", r->name_age_ns);
	if (r->alpn.len) {
		const char *at = record_get_str(r, r->alpn), *end = at + r->alpn.len;

		add(o, "\"tls\":{\"alpn\":[");
		while (at < end) {
			const char *comma = memchr(at, ',', (size_t)(end - at));

			if (!comma)
				comma = end;
			add(o, "\"");
			add_escaped(o, at, (size_t)(comma - at));
			add(o, comma < end ? "\"," : "\"");
			at = comma + 1;
		}
		add(o, "]},");
	}
	if (r->flags & RECORD_FLAG_IP_BYTES)
		add(o,
			"\"source\":{\"ip_bytes\":%" PRIu64
			"},\"destination\":{\"ip_bytes\":%" PRIu64 "},",
			r->orig_ip_bytes, r->resp_ip_bytes);
	add_delta(o, r);
	add(o, "\"packets_complete\":%s,", r->flags & RECORD_FLAG_ALL_PACKETS ? "true" : "false");
	add_flag(o, "kernel_bytes", r->flags & RECORD_FLAG_KERNEL_BYTES);
	add_flag(o, "midstream", r->flags & RECORD_FLAG_MIDSTREAM);
	add_flag(o, "loss_window", r->flags & RECORD_FLAG_LOSS_WINDOW);
	add_flag(o, "offline", r->flags & RECORD_FLAG_OFFLINE);
	add_flag(o, "unchanged", r->flags & RECORD_FLAG_UNCHANGED);
	add_flag(o, "reported", r->flags & RECORD_FLAG_REPORTED);
}

static void add_ancestors(struct out *o, const struct record *r, const struct record_process *p)
{
	const char *name;
	size_t pos = 0, len;
	uint32_t pid;

	if (!p->ancestors.len)
		return;
	add(o, "\"ancestors\":{\"name\":[");
	while ((name = record_next_ancestor(r, p->ancestors, &pos, &pid, &len))) {
		add(o, "\"");
		add_escaped(o, name, len);
		add(o, "\",");
	}
	o->p--;
	add(o, "],\"pid\":[");
	for (pos = 0; record_next_ancestor(r, p->ancestors, &pos, &pid, &len);)
		add(o, "%" PRIu32 ",", pid);
	o->p--;
	add(o, "]},");
}

static void add_found(struct out *o, const struct record *r, const struct record_process *p)
{
	char *object = open_object(o, "owner");

	if (p->method)
		add_word(o, "method", record_method_name((enum record_method)p->method));
	add_word(o, "confidence", record_confidence_name((enum record_confidence)p->confidence));
	if (p->unknown)
		add_word(o, "reason", record_unknown_name((enum record_unknown)p->unknown));
	add_number(o, "latency_ns", p->latency_ns);
	add_flag(o, "args_truncated", p->flags & RECORD_PROCESS_ARGS_CUT);
	add_flag(o, "executable_deleted", p->flags & RECORD_PROCESS_EXE_DELETED);
	add_flag(o, "ids_unconfirmed", p->flags & RECORD_PROCESS_IDS_UNCONFIRMED);
	add_flag(o, "in_tree", p->flags & RECORD_PROCESS_IN_TREE);
	close_object(o, object);
	object = open_object(o, "cgroup");
	add_number(o, "id", p->cgroup_id);
	add_str(o, "path", r, p->cgroup);
	close_object(o, object);
	object = open_object(o, "systemd");
	add_str(o, "unit", r, p->unit);
	add_str(o, "user_unit", r, p->user_unit);
	close_object(o, object);
	object = open_object(o, "kubernetes");
	add_str(o, "pod_uid", r, p->pod);
	close_object(o, object);
	if (!p->pid)
		return;
	object = open_object(o, "namespace");
	add_number(o, "net", p->netns);
	add_number(o, "pid", p->pidns);
	close_object(o, object);
	if (p->tty >> 8 == 136)
		add(o, "\"tty\":\"pts/%u\",", p->tty & 0xff);
	add_id(o, "loginuid", p->loginuid);
	add_ancestors(o, r, p);
}

size_t peer_snprintf(const struct record *r, const struct format_context *ctx, char *buf)
{
	struct out o = {buf, buf + FORMAT_MAX};
	struct format_owners owners = format_owners(r);
	char *flowner;

	if (r->event == RECORD_PACKET || r->event == RECORD_LOSS)
		return 0;
	add_event(&o, r);
	add_network(&o, r);
	add_end(&o, r, "source", true);
	add_end(&o, r, "destination", false);
	add_process(&o, r, owners.process, ctx);
	add_user(&o, r, owners.process);
	add_observed(&o, r);
	flowner = open_object(&o, "flowner");
	add_flow(&o, r);
	add_found(&o, r, owners.process);
	if (owners.second) {
		char *responder = open_object(&o, "responder");

		add_process(&o, r, owners.second, ctx);
		add_user(&o, r, owners.second);
		add_found(&o, r, owners.second);
		close_object(&o, responder);
	}
	close_object(&o, flowner);
	add(&o,
		"\"agent\":{\"type\":\"flowner\",\"version\":\"%s\"},\"host\":{\"hostname\":\"%s\","
		"\"name\":\"%s\",\"id\":\"%s\",\"boot\":{\"id\":\"%s\"}}}\n",
		ctx->version, ctx->host_name, ctx->host_name, ctx->host_id, ctx->boot_id);
	return (size_t)(o.p - buf);
}
