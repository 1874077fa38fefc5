/* SPDX-License-Identifier: Apache-2.0 */
/* The ecs line as a tree of json-c's, printed. */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "peers.h"
#include "sink/escape.h"

typedef struct json_object object;

static void put(object *o, const char *key, object *v)
{
	json_object_object_add_ex(
		o, key, v, JSON_C_OBJECT_ADD_KEY_IS_NEW | JSON_C_OBJECT_ADD_CONSTANT_KEY);
}

/* json-c takes any bytes, but JSON is UTF-8: invalid ones as U+FFFD and two digits. */
static object *string(const char *s, size_t len)
{
	static char valid[4 * RECORD_STRINGS_MAX * ESCAPE_EXPANSION];
	size_t plain = 0;
	char *p = valid;

	while (plain < len && (uint8_t)s[plain] < 0x80)
		plain++;
	if (plain == len)
		return json_object_new_string_len(s, (int)len);
	for (size_t i = 0, n; i < len; i += n) {
		uint32_t c;

		n = escape_utf8(s + i, len - i, &c);
		if (!n || c == 0xfffd) {
			p += sprintf(p, "\xef\xbf\xbd%02x", (uint8_t)s[i]);
			n = 1;
		} else {
			memcpy(p, s + i, n);
			p += n;
		}
	}
	return json_object_new_string_len(valid, (int)(p - valid));
}

static void put_string(object *o, const char *key, const char *s, size_t len)
{
	if (len)
		put(o, key, string(s, len));
}

static void put_str(object *o, const char *key, const struct record *r, struct record_str s)
{
	put_string(o, key, record_get_str(r, s), s.len);
}

static void put_word(object *o, const char *key, const char *word)
{
	put_string(o, key, word, strlen(word));
}

static void put_u64(object *o, const char *key, uint64_t v)
{
	put(o, key, json_object_new_uint64(v));
}

static void put_number(object *o, const char *key, uint64_t v)
{
	if (v)
		put_u64(o, key, v);
}

static void put_flag(object *o, const char *key, unsigned set)
{
	if (set)
		put(o, key, json_object_new_boolean(1));
}

static void put_id(object *o, const char *key, uint32_t v)
{
	char text[16];

	if (v == UINT32_MAX)
		return;
	put_string(o, key, text, (size_t)snprintf(text, sizeof(text), "%u", v));
}

static void put_time(object *o, const char *key, uint64_t t_ns)
{
	char text[PEER_TIME];

	peer_time(text, t_ns);
	put_word(o, key, text);
}

/* Objects without members go. */
static void put_object(object *o, const char *key, object *v)
{
	if (json_object_object_length(v))
		put(o, key, v);
	else
		json_object_put(v);
}

static object *with_one(const char *key, object *v)
{
	object *o = json_object_new_object();

	put(o, key, v);
	return o;
}

static void add(object *list, object *v)
{
	json_object_array_add(list, v);
}

static object *event(const struct record *r)
{
	object *o = json_object_new_object(), *list = json_object_new_array_ext(1);
	const char *action = peer_action(r);
	char text[64];

	put_word(o, "kind", "event");
	add(list, string("network", 7));
	put(o, "category", list);
	list = json_object_new_array_ext(3);
	add(list, string("connection", 10));
	add(list, json_object_new_string(r->event == RECORD_SUMMARY ? "info" : action));
	if (r->end_reason == RECORD_END_REFUSED)
		add(list, string("denied", 6));
	put(o, "type", list);
	put_string(
		o, "action", text, (size_t)snprintf(text, sizeof(text), "connection_%s", action));
	put_word(o, "outcome", peer_outcome(r));
	put_time(o, "start", r->start_ns);
	if (r->event == RECORD_END || r->event == RECORD_SUMMARY)
		put_time(o, "end", r->end_ns);
	if (r->event != RECORD_START)
		put_u64(o, "duration", r->end_ns - r->start_ns);
	put_number(o, "sequence", r->seq);
	put_string(o, "id", text,
		(size_t)snprintf(text, sizeof(text), "%016llx-%llu", (unsigned long long)r->flow_id,
			(unsigned long long)r->seq));
	put_word(o, "module", "flowner");
	put_word(o, "dataset", "flowner.connection");
	if (r->end_reason)
		put_word(
			o, "reason", record_end_reason_name((enum record_end_reason)r->end_reason));
	return o;
}

static object *network(const struct record *r)
{
	object *o = json_object_new_object();
	char id[64];

	put_word(o, "type", r->family == 4 ? "ipv4" : "ipv6");
	put_id(o, "iana_number", r->proto);
	put_word(o, "transport", peer_transport(r));
	put_word(o, "protocol", record_service_name((enum record_service)r->service));
	if (r->direction != RECORD_DIRECTION_UNKNOWN)
		put_word(o, "direction", r->direction == RECORD_INGRESS ? "ingress" : "egress");
	peer_community_id(id, r);
	put_word(o, "community_id", id);
	if ((r->flags & RECORD_FLAG_ORIG_BYTES) && (r->flags & RECORD_FLAG_RESP_BYTES))
		put_u64(o, "bytes", r->orig_bytes + r->resp_bytes);
	put_u64(o, "packets", r->orig_packets + r->resp_packets);
	if (r->vlan) {
		object *vlan = json_object_new_object();

		put_id(vlan, "id", r->vlan);
		put(o, "vlan", vlan);
	}
	return o;
}

static object *an_end(const struct record *r, bool orig)
{
	object *o = json_object_new_object();
	char address[64];

	peer_address(address, orig ? r->orig_addr : r->resp_addr, r->family);
	put_word(o, "address", address);
	put_word(o, "ip", address);
	put_u64(o, "port", orig ? r->orig_port : r->resp_port);
	if ((r->direction == RECORD_INGRESS) == orig)
		put_str(o, "domain", r, r->name);
	if (r->flags & (orig ? RECORD_FLAG_ORIG_BYTES : RECORD_FLAG_RESP_BYTES))
		put_u64(o, "bytes", orig ? r->orig_bytes : r->resp_bytes);
	put_u64(o, "packets", orig ? r->orig_packets : r->resp_packets);
	return o;
}

static void put_args(object *o, const struct record *r, struct record_str s)
{
	static char command[4 * RECORD_STRINGS_MAX];
	const char *args = record_get_str(r, s);
	object *list = json_object_new_array();

	put_string(o, "command_line", command, peer_command(args, s.len, command));
	for (size_t i = 0; i < s.len;) {
		size_t n = strnlen(args + i, s.len - i);

		add(list, string(args + i, n));
		i += n + 1;
	}
	put(o, "args", list);
}

static object *process(
	const struct record *r, const struct record_process *p, const struct format_context *ctx)
{
	object *o = json_object_new_object(), *parent = json_object_new_object();
	char text[128];

	put_u64(o, "pid", p->pid);
	put_number(o, "vpid", p->inner_pid);
	if (p->start_ns)
		put_string(o, "entity_id", text,
			(size_t)snprintf(text, sizeof(text), "%s-%u-%llu", ctx->boot_id, p->pid,
				(unsigned long long)p->start_ns));
	put_str(o, "name", r, p->name);
	put_str(o, "executable", r, p->exe);
	if (p->args.len)
		put_args(o, r, p->args);
	put_str(o, "working_directory", r, p->cwd);
	if (p->start_ns)
		put_time(o, "start", p->start_ns);
	if (p->ruid != p->uid && p->ruid != UINT32_MAX) {
		object *real = json_object_new_object();

		put_id(real, "id", p->ruid);
		put(o, "real_user", real);
	}
	if (p->sid)
		put(o, "session_leader", with_one("pid", json_object_new_uint64(p->sid)));
	if (p->tty) {
		object *device = json_object_new_object();

		put_u64(device, "major", p->tty >> 8 & 0xfff);
		put_u64(device, "minor", (p->tty >> 12 & 0xfff00) | (p->tty & 0xff));
		put(o, "tty", with_one("char_device", device));
	}
	put_number(parent, "pid", p->ppid);
	put_str(parent, "name", r, p->parent_name);
	put_object(o, "parent", parent);
	return o;
}

static void put_user(object *o, const struct record *r, const struct record_process *p)
{
	object *v;

	if (!p->pid && p->confidence == RECORD_CONFIDENCE_UNKNOWN)
		return;
	v = json_object_new_object();
	put_id(v, "id", p->uid);
	put_str(v, "name", r, p->user);
	put_object(o, "user", v);
	v = json_object_new_object();
	put_id(v, "id", p->gid);
	put_str(v, "name", r, p->group);
	put_object(o, "group", v);
	if (!p->container.len && !p->runtime)
		return;
	v = json_object_new_object();
	put_str(v, "id", r, p->container);
	if (p->runtime)
		put_word(v, "runtime", record_runtime_name((enum record_runtime)p->runtime));
	put(o, "container", v);
}

static object *dns(const struct record *r)
{
	const char *at = record_get_str(r, r->dns_answers), *end = at + r->dns_answers.len, *comma;
	object *o = json_object_new_object(), *v = json_object_new_object();
	object *answers = json_object_new_array(), *addresses = json_object_new_array();
	char buf[16];

	put_str(v, "name", r, r->dns_query);
	if (r->dns_type)
		put_word(v, "type", peer_dns_type(r, buf));
	put_object(o, "question", v);
	if (r->flags & RECORD_FLAG_DNS_ANSWERED)
		put_word(o, "response_code", peer_dns_rcode(r, buf));
	for (; at < end; at = comma + 1) {
		comma = memchr(at, ',', (size_t)(end - at));
		if (!comma)
			comma = end;
		add(answers, with_one("data", string(at, (size_t)(comma - at))));
		if (peer_is_address(at, (size_t)(comma - at)))
			add(addresses, string(at, (size_t)(comma - at)));
	}
	put(o, "answers", answers);
	put(o, "resolved_ip", addresses);
	return o;
}

static object *delta_end(bool known, uint64_t bytes, uint64_t packets)
{
	object *o = json_object_new_object();

	if (known)
		put_u64(o, "bytes", bytes);
	put_u64(o, "packets", packets);
	return o;
}

static object *delta(const struct record *r)
{
	bool orig = r->flags & RECORD_FLAG_ORIG_BYTES, resp = r->flags & RECORD_FLAG_RESP_BYTES;
	object *o = json_object_new_object();

	put_u64(o, "packets", r->delta_packets);
	if (orig && resp)
		put_u64(o, "bytes", r->delta_orig_bytes + r->delta_resp_bytes);
	put(o, "source", delta_end(orig, r->delta_orig_bytes, r->delta_orig_packets));
	put(o, "destination", delta_end(resp, r->delta_resp_bytes, r->delta_resp_packets));
	return o;
}

static object *alpn(const struct record *r)
{
	const char *at = record_get_str(r, r->alpn), *end = at + r->alpn.len, *comma;
	object *list = json_object_new_array();

	for (; at < end; at = comma + 1) {
		comma = memchr(at, ',', (size_t)(end - at));
		if (!comma)
			comma = end;
		add(list, string(at, (size_t)(comma - at)));
	}
	return with_one("alpn", list);
}

static void put_flow(object *o, const struct record *r)
{
	char id[32];

	put_u64(o, "epoch", r->epoch);
	put_string(o, "flow_id", id,
		(size_t)snprintf(id, sizeof(id), "%016llx", (unsigned long long)r->flow_id));
	put_word(o, "direction", record_direction_name((enum record_direction)r->direction));
	put_word(o, "conn_state", record_state_name((enum record_state)r->state));
	put_string(o, "history", r->history, strnlen(r->history, RECORD_HISTORY_MAX));
	put_number(o, "handshake_rtt_ns", r->rtt_ns);
	put_number(o, "srtt_ns", r->srtt_ns);
	put_number(o, "retransmits", r->retransmits);
	if (r->event == RECORD_SUMMARY)
		put_number(o, "connections", r->connections);
	put_str(o, "netns", r, r->netns);
	put_number(o, "name_age_ns", r->name_age_ns);
	if (r->alpn.len)
		put(o, "tls", alpn(r));
	if (r->flags & RECORD_FLAG_IP_BYTES) {
		put(o, "source", with_one("ip_bytes", json_object_new_uint64(r->orig_ip_bytes)));
		put(o, "destination",
			with_one("ip_bytes", json_object_new_uint64(r->resp_ip_bytes)));
	}
	put(o, "delta", delta(r));
	put(o, "packets_complete", json_object_new_boolean(r->flags & RECORD_FLAG_ALL_PACKETS));
	put_flag(o, "kernel_bytes", r->flags & RECORD_FLAG_KERNEL_BYTES);
	put_flag(o, "midstream", r->flags & RECORD_FLAG_MIDSTREAM);
	put_flag(o, "loss_window", r->flags & RECORD_FLAG_LOSS_WINDOW);
	put_flag(o, "offline", r->flags & RECORD_FLAG_OFFLINE);
	put_flag(o, "unchanged", r->flags & RECORD_FLAG_UNCHANGED);
	put_flag(o, "reported", r->flags & RECORD_FLAG_REPORTED);
}

static object *ancestors(const struct record *r, const struct record_process *p)
{
	object *o = json_object_new_object();
	object *names = json_object_new_array(), *pids = json_object_new_array();
	const char *name;
	size_t pos = 0, len;
	uint32_t pid;

	while ((name = record_next_ancestor(r, p->ancestors, &pos, &pid, &len))) {
		add(names, string(name, len));
		add(pids, json_object_new_uint64(pid));
	}
	put(o, "name", names);
	put(o, "pid", pids);
	return o;
}

static void put_found(object *o, const struct record *r, const struct record_process *p)
{
	object *v = json_object_new_object();

	if (p->method)
		put_word(v, "method", record_method_name((enum record_method)p->method));
	put_word(v, "confidence", record_confidence_name((enum record_confidence)p->confidence));
	if (p->unknown)
		put_word(v, "reason", record_unknown_name((enum record_unknown)p->unknown));
	put_number(v, "latency_ns", p->latency_ns);
	put_flag(v, "args_truncated", p->flags & RECORD_PROCESS_ARGS_CUT);
	put_flag(v, "executable_deleted", p->flags & RECORD_PROCESS_EXE_DELETED);
	put_flag(v, "ids_unconfirmed", p->flags & RECORD_PROCESS_IDS_UNCONFIRMED);
	put_flag(v, "in_tree", p->flags & RECORD_PROCESS_IN_TREE);
	put_object(o, "owner", v);
	v = json_object_new_object();
	put_number(v, "id", p->cgroup_id);
	put_str(v, "path", r, p->cgroup);
	put_object(o, "cgroup", v);
	v = json_object_new_object();
	put_str(v, "unit", r, p->unit);
	put_str(v, "user_unit", r, p->user_unit);
	put_object(o, "systemd", v);
	if (p->pod.len)
		put(o, "kubernetes",
			with_one("pod_uid", string(record_get_str(r, p->pod), p->pod.len)));
	if (!p->pid)
		return;
	v = json_object_new_object();
	put_number(v, "net", p->netns);
	put_number(v, "pid", p->pidns);
	put_object(o, "namespace", v);
	if (p->tty >> 8 == 136) {
		char tty[32];

		put_string(
			o, "tty", tty, (size_t)snprintf(tty, sizeof(tty), "pts/%u", p->tty & 0xff));
	}
	put_id(o, "loginuid", p->loginuid);
	if (p->ancestors.len)
		put(o, "ancestors", ancestors(r, p));
}

static object *responder(
	const struct record *r, const struct record_process *p, const struct format_context *ctx)
{
	object *o = json_object_new_object();

	if (p->pid)
		put(o, "process", process(r, p, ctx));
	put_user(o, r, p);
	put_found(o, r, p);
	return o;
}

static object *host(const struct format_context *ctx)
{
	object *o = json_object_new_object();

	put_word(o, "hostname", ctx->host_name);
	put_word(o, "name", ctx->host_name);
	put_word(o, "id", ctx->host_id);
	put(o, "boot", with_one("id", json_object_new_string(ctx->boot_id)));
	return o;
}

static void put_observed(object *o, const struct record *r)
{
	bool opened = r->direction == RECORD_EGRESS || r->direction == RECORD_LOCAL;

	if (r->ifname.len)
		put(o, "observer",
			with_one(opened ? "egress" : "ingress",
				with_one("interface",
					with_one("name", string(record_get_str(r, r->ifname),
								 r->ifname.len)))));
	if (r->dns_query.len || r->dns_answers.len || r->dns_type)
		put(o, "dns", dns(r));
	if (r->server_name.len)
		put(o, "tls",
			with_one("client",
				with_one("server_name", string(record_get_str(r, r->server_name),
								r->server_name.len))));
}

size_t peer_json_c(const struct record *r, const struct format_context *ctx, char *buf)
{
	struct format_owners owners = format_owners(r);
	object *o, *flowner, *agent;
	const char *text;
	size_t len;

	if (r->event == RECORD_PACKET || r->event == RECORD_LOSS)
		return 0;
	o = json_object_new_object();
	flowner = json_object_new_object();
	agent = json_object_new_object();
	put_time(o, "@timestamp", r->t_ns);
	put(o, "ecs", with_one("version", json_object_new_string("9.0.0")));
	put(o, "event", event(r));
	put(o, "network", network(r));
	put(o, "source", an_end(r, true));
	put(o, "destination", an_end(r, false));
	if (owners.process->pid)
		put(o, "process", process(r, owners.process, ctx));
	put_user(o, r, owners.process);
	put_observed(o, r);
	put_flow(flowner, r);
	put_found(flowner, r, owners.process);
	if (owners.second)
		put(flowner, "responder", responder(r, owners.second, ctx));
	put(o, "flowner", flowner);
	put_word(agent, "type", "flowner");
	put_word(agent, "version", ctx->version);
	put(o, "agent", agent);
	put(o, "host", host(ctx));
	text = json_object_to_json_string_length(
		o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
	memcpy(buf, text, len);
	buf[len] = '\n';
	json_object_put(o);
	return len + 1;
}
