/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elastic Common Schema as JSON lines: one nested object a line, keys in a fixed order, our own
 * under "flowner".
 *
 * Source: ECS field reference 9.x. tests/data/ecs-fields.tsv lists every field written here.
 */
#include <netinet/in.h>

#include "sink/format.h"
#include "sink/json.h"

#define ECS_VERSION "9.0.0"

static const char *transport_name(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_ICMP:
		return "icmp";
	case IPPROTO_ICMPV6:
		return "ipv6-icmp";
	case IPPROTO_SCTP:
		return "sctp";
	}
	return NULL;
}

static const char *outcome_name(const struct record *r)
{
	switch ((enum record_state)r->state) {
	case RECORD_STATE_S1:
	case RECORD_STATE_SF:
	case RECORD_STATE_S2:
	case RECORD_STATE_S3:
	case RECORD_STATE_RSTO:
	case RECORD_STATE_RSTR:
		return "success";
	case RECORD_STATE_REJ:
	case RECORD_STATE_RSTOS0:
	case RECORD_STATE_RSTRH:
	case RECORD_STATE_SH:
		return "failure";
	case RECORD_STATE_S0:
		/* A SYN that nobody answered failed; a datagram need not be answered. */
		return r->event == RECORD_END && r->proto == IPPROTO_TCP ? "failure" : "unknown";
	case RECORD_STATE_OTH:
	case RECORD_STATE_SHR:
	case RECORD_STATES:
		break;
	}
	return "unknown";
}

static char *event_type(char *p, const struct record *r)
{
	p = text_lit(p, ",\"type\":[\"connection\",\"");
	p = text_str(p, record_event_name((enum record_event)r->event));
	*p++ = '"';
	if (r->end_reason == RECORD_END_REFUSED)
		p = text_lit(p, ",\"denied\"");
	*p++ = ']';
	p = text_lit(p, ",\"action\":\"connection_");
	p = text_str(p, record_event_name((enum record_event)r->event));
	*p++ = '"';
	return p;
}

static char *event_object(char *p, const struct record *r)
{
	p = json_open(p, "event");
	p = text_lit(p, "\"kind\":\"event\",\"category\":[\"network\"]");
	p = event_type(p, r);
	p = json_name(p, "outcome", outcome_name(r));
	p = json_time(p, "start", r->start_ns);
	if (r->event == RECORD_END)
		p = json_time(p, "end", r->end_ns);
	if (r->event != RECORD_START)
		p = json_u64(p, "duration", r->end_ns - r->start_ns);
	p = json_u64(p, "sequence", r->seq);
	p = json_key(p, "id");
	*p++ = '"';
	p = text_hex64(p, r->flow_id);
	*p++ = '-';
	p = text_u64(p, r->seq);
	p = text_lit(p, "\",\"module\":\"flowner\",\"dataset\":\"flowner.connection\"");
	if (r->end_reason != RECORD_END_NONE)
		p = json_name(
			p, "reason", record_end_reason_name((enum record_end_reason)r->end_reason));
	return json_close(p);
}

static char *network_object(char *p, const struct record *r)
{
	p = json_open(p, "network");
	p = json_name(p, "type", r->family == 4 ? "ipv4" : "ipv6");
	p = json_u64_string(p, "iana_number", r->proto);
	if (transport_name(r->proto))
		p = json_name(p, "transport", transport_name(r->proto));
	/* Seen from this host, a connection with both ends here was opened by it, too. */
	if (r->direction != RECORD_DIRECTION_UNKNOWN)
		p = json_name(
			p, "direction", r->direction == RECORD_INGRESS ? "ingress" : "egress");
	if (r->flags & RECORD_FLAG_ORIG_BYTES && r->flags & RECORD_FLAG_RESP_BYTES)
		p = json_u64(p, "bytes", r->orig_bytes + r->resp_bytes);
	p = json_u64(p, "packets", r->orig_packets + r->resp_packets);
	if (r->vlan) {
		p = json_open(p, "vlan");
		p = json_u64_string(p, "id", r->vlan);
		p = json_close(p);
	}
	return json_close(p);
}

static bool has_ports(const struct record *r)
{
	return r->proto == IPPROTO_TCP || r->proto == IPPROTO_UDP || r->proto == IPPROTO_SCTP;
}

/* The members of "source" and "destination", whose "{" is written. */
static char *endpoint_members(char *p, const struct record *r, bool orig)
{
	char address[TEXT_ADDRESS];
	size_t len;

	len = (size_t)(text_address(address, orig ? r->orig_addr : r->resp_addr, r->family) -
		       address);
	p = json_key(p, "address");
	*p++ = '"';
	p = text_bytes(p, address, len);
	p = text_lit(p, "\",\"ip\":\"");
	p = text_bytes(p, address, len);
	*p++ = '"';
	if (has_ports(r))
		p = json_u64(p, "port", orig ? r->orig_port : r->resp_port);
	if (r->flags & (orig ? RECORD_FLAG_ORIG_BYTES : RECORD_FLAG_RESP_BYTES))
		p = json_u64(p, "bytes", orig ? r->orig_bytes : r->resp_bytes);
	p = json_u64(p, "packets", orig ? r->orig_packets : r->resp_packets);
	return json_close(p);
}

/* Letters, digits and _@%+=:,./- mean themselves to a shell. */
static bool is_shell_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '+' && c <= ':') || (c >= 'A' && c <= 'Z') ||
	       c == '_' || c == '=' || c == '@' || c == '%';
}

/* One argument the way a POSIX shell would read it back. */
static char *shell_word(char *p, const char *arg, size_t len)
{
	size_t plain = 0;

	while (plain < len && is_shell_plain(arg[plain]))
		plain++;
	if (len && plain == len)
		return text_bytes(p, arg, len);
	*p++ = '\'';
	for (;;) {
		const char *quote = memchr(arg, '\'', len);
		size_t n = quote ? (size_t)(quote - arg) : len;

		p = escape_json(p, arg, n);
		if (!quote)
			break;
		p = text_lit(p, "'\\\\''");
		arg += n + 1;
		len -= n + 1;
	}
	*p++ = '\'';
	return p;
}

static char *arguments(char *p, const struct record *r, struct record_str args)
{
	const char *s = record_get_str(r, args), *arg;
	size_t pos = 0, len;

	if (!args.len)
		return p;
	p = json_key(p, "command_line");
	*p++ = '"';
	while ((arg = format_next_arg(s, args.len, &pos, &len))) {
		if (arg != s)
			*p++ = ' ';
		p = shell_word(p, arg, len);
	}
	*p++ = '"';
	p = json_key(p, "args");
	*p++ = '[';
	pos = 0;
	while ((arg = format_next_arg(s, args.len, &pos, &len))) {
		if (arg != s)
			*p++ = ',';
		p = json_quote_foreign(p, arg, len);
	}
	*p++ = ']';
	return p;
}

#define json_record_str(p, key, r, s)                                                              \
	((s).len ? json_foreign(p, key, record_get_str((r), (s)), (s).len) : (p))

/* Unique over hosts, boots and reuse of the pid. */
static char *entity_id(char *p, const struct record_process *o, const struct format_context *ctx)
{
	p = json_key(p, "entity_id");
	*p++ = '"';
	p = escape_json(p, ctx->boot_id, strlen(ctx->boot_id));
	*p++ = '-';
	p = text_u64(p, o->pid);
	*p++ = '-';
	p = text_u64(p, o->start_ns);
	*p++ = '"';
	return p;
}

static char *terminal_object(char *p, uint32_t tty)
{
	p = json_open(json_open(p, "tty"), "char_device");
	p = json_u64(p, "major", text_tty_major(tty));
	p = json_u64(p, "minor", text_tty_minor(tty));
	return json_close(json_close(p));
}

static char *process_object(char *p, const struct record *r, const struct record_process *o,
	const struct format_context *ctx)
{
	p = json_open(p, "process");
	p = json_u64(p, "pid", o->pid);
	if (o->inner_pid)
		p = json_u64(p, "vpid", o->inner_pid);
	if (o->start_ns)
		p = entity_id(p, o, ctx);
	p = json_record_str(p, "name", r, o->name);
	p = json_record_str(p, "executable", r, o->exe);
	p = arguments(p, r, o->args);
	p = json_record_str(p, "working_directory", r, o->cwd);
	if (o->start_ns)
		p = json_time(p, "start", o->start_ns);
	if (o->ruid != UINT32_MAX && o->ruid != o->uid)
		p = json_close(json_u64_string(json_open(p, "real_user"), "id", o->ruid));
	if (o->sid)
		p = json_close(json_u64(json_open(p, "session_leader"), "pid", o->sid));
	if (o->tty)
		p = terminal_object(p, o->tty);
	if (o->ppid) {
		p = json_open(p, "parent");
		p = json_u64(p, "pid", o->ppid);
		p = json_record_str(p, "name", r, o->parent_name);
		p = json_close(p);
	}
	return json_close(p);
}

/* What ECS names of one local end; nothing for what is unknown. */
static char *process_objects(char *p, const struct record *r, const struct record_process *o,
	const struct format_context *ctx)
{
	if (o->pid)
		p = process_object(p, r, o, ctx);
	if (!o->pid && o->confidence == RECORD_CONFIDENCE_UNKNOWN)
		return p; /* all zero: uid 0 is not root here */
	if (o->uid != UINT32_MAX) {
		p = json_u64_string(json_open(p, "user"), "id", o->uid);
		p = json_close(json_record_str(p, "name", r, o->user));
	}
	if (o->gid != UINT32_MAX) {
		p = json_u64_string(json_open(p, "group"), "id", o->gid);
		p = json_close(json_record_str(p, "name", r, o->group));
	}
	if (o->container.len) {
		p = json_record_str(json_open(p, "container"), "id", r, o->container);
		if (o->runtime != RECORD_RUNTIME_NONE)
			p = json_name(
				p, "runtime", record_runtime_name((enum record_runtime)o->runtime));
		p = json_close(p);
	}
	return p;
}

static char *observer_object(char *p, const struct record *r)
{
	if (!r->ifname.len)
		return p;
	p = json_open(p, "observer");
	if (r->direction == RECORD_EGRESS || r->direction == RECORD_LOCAL)
		p = json_open(p, "egress");
	else
		p = json_open(p, "ingress");
	p = json_open(p, "interface");
	p = json_record_str(p, "name", r, r->ifname);
	return json_close(json_close(json_close(p)));
}

/* The parent first. */
static char *ancestors_object(char *p, const struct record *r, struct record_str ancestors)
{
	char pids[RECORD_ANCESTORS_MAX * (TEXT_U64 + 1)], *pids_end = pids;
	const char *name;
	size_t pos = 0, len;
	uint32_t pid;

	p = text_lit(json_open(p, "ancestors"), "\"name\":[");
	while ((name = record_next_ancestor(r, ancestors, &pos, &pid, &len))) {
		p = json_quote_foreign(p, name, len);
		*p++ = ',';
		pids_end = text_u64(pids_end, pid);
		*pids_end++ = ',';
	}
	pids_end[-1] = ']';
	p = text_lit(p - 1, "],\"pid\":[");
	p = text_bytes(p, pids, (size_t)(pids_end - pids));
	return json_close(p);
}

/* Where one local end's process lives that ECS has no name for. */
static char *surroundings(char *p, const struct record *r, const struct record_process *o)
{
	if (o->cgroup_id || o->cgroup.len) {
		p = json_open(p, "cgroup");
		if (o->cgroup_id)
			p = json_u64(p, "id", o->cgroup_id);
		p = json_record_str(p, "path", r, o->cgroup);
		p = json_close(p);
	}
	if (o->unit.len || o->user_unit.len) {
		p = json_record_str(json_open(p, "systemd"), "unit", r, o->unit);
		p = json_close(json_record_str(p, "user_unit", r, o->user_unit));
	}
	if (o->pod.len)
		p = json_close(json_record_str(json_open(p, "kubernetes"), "pod_uid", r, o->pod));
	if (!o->pid)
		return p;
	if (o->netns || o->pidns) {
		p = json_open(p, "namespace");
		if (o->netns)
			p = json_u64(p, "net", o->netns);
		if (o->pidns)
			p = json_u64(p, "pid", o->pidns);
		p = json_close(p);
	}
	if (o->tty) {
		p = json_key(p, "tty");
		*p++ = '"';
		p = text_tty(p, o->tty);
		*p++ = '"';
	}
	if (o->loginuid != UINT32_MAX)
		p = json_u64_string(p, "loginuid", o->loginuid);
	return o->ancestors.len ? ancestors_object(p, r, o->ancestors) : p;
}

/* How one local end's process was found, and where it lives. */
static char *owner_objects(char *p, const struct record *r, const struct record_process *o)
{
	p = json_open(p, "owner");
	if (o->method != RECORD_METHOD_NONE)
		p = json_name(p, "method", record_method_name((enum record_method)o->method));
	p = json_name(
		p, "confidence", record_confidence_name((enum record_confidence)o->confidence));
	if (o->unknown != RECORD_UNKNOWN_NONE)
		p = json_name(p, "reason", record_unknown_name((enum record_unknown)o->unknown));
	if (o->latency_ns)
		p = json_u64(p, "latency_ns", o->latency_ns);
	if (o->flags & RECORD_PROCESS_ARGS_CUT)
		p = json_true(p, "args_truncated");
	if (o->flags & RECORD_PROCESS_EXE_DELETED)
		p = json_true(p, "executable_deleted");
	if (o->flags & RECORD_PROCESS_IDS_UNCONFIRMED)
		p = json_true(p, "ids_unconfirmed");
	return surroundings(json_close(p), r, o);
}

static char *flow_members(char *p, const struct record *r)
{
	p = json_u64(p, "epoch", r->epoch);
	p = json_key(p, "flow_id");
	p = json_quote_hex64(p, r->flow_id);
	p = json_name(p, "direction", record_direction_name((enum record_direction)r->direction));
	p = json_name(p, "conn_state", record_state_name((enum record_state)r->state));
	if (r->history[0]) {
		p = json_key(p, "history");
		p = json_quote_foreign(p, r->history, strnlen(r->history, sizeof(r->history)));
	}
	if (r->rtt_ns)
		p = json_u64(p, "handshake_rtt_ns", r->rtt_ns);
	p = json_record_str(p, "netns", r, r->netns);
	if (!has_ports(r)) {
		p = json_open(p, "icmp");
		p = json_u64(p, "type", r->orig_port);
		p = json_u64(p, "code", r->resp_port);
		p = json_close(p);
	}
	p = json_close(json_u64(json_open(p, "delta"), "packets", r->delta_packets));
	p = json_key(p, "packets_complete");
	p = r->flags & RECORD_FLAG_ALL_PACKETS ? text_lit(p, "true") : text_lit(p, "false");
	if (r->flags & RECORD_FLAG_MIDSTREAM)
		p = json_true(p, "midstream");
	if (r->flags & RECORD_FLAG_LOSS_WINDOW)
		p = json_true(p, "loss_window");
	if (r->flags & RECORD_FLAG_OFFLINE)
		p = json_true(p, "offline");
	return p;
}

static char *flowner_object(char *p, const struct record *r, const struct format_owners *o,
	const struct format_context *ctx)
{
	p = json_open(p, "flowner");
	p = flow_members(p, r);
	p = owner_objects(p, r, o->process);
	if (o->second) {
		p = json_open(p, "responder");
		p = process_objects(p, r, o->second, ctx);
		p = owner_objects(p, r, o->second);
		p = json_close(p);
	}
	return json_close(p);
}

static char *loss_members(char *p, const struct record *r)
{
	p = json_open(p, "event");
	p = text_lit(p, "\"kind\":\"metric\",\"category\":[\"network\"],\"type\":[\"info\"],"
			"\"action\":\"loss\"");
	p = json_time(p, "start", r->loss_first_ns);
	p = json_time(p, "end", r->loss_last_ns);
	if (r->seq)
		p = json_u64(p, "sequence", r->seq);
	p = text_lit(p, ",\"module\":\"flowner\",\"dataset\":\"flowner.loss\"");
	p = json_close(p);
	p = json_open(p, "flowner");
	p = json_u64(p, "epoch", r->epoch);
	p = json_open(p, "loss");
	p = json_name(p, "stage", record_loss_stage_name(r->loss_stage));
	p = json_u64(p, "count", r->loss_count);
	p = json_u64(p, "packets", r->loss_packets);
	return json_close(json_close(p));
}

static size_t ecs_record(const struct record *r, const struct format_context *ctx, char *buf)
{
	struct format_owners o = format_owners(r);
	char *p = text_lit(buf, "{\"@timestamp\":");

	p = json_quote_time(p, r->t_ns);
	p = text_lit(p, ",\"ecs\":{\"version\":\"" ECS_VERSION "\"}");
	if (r->event == RECORD_LOSS) {
		p = loss_members(p, r);
	} else {
		p = event_object(p, r);
		p = network_object(p, r);
		p = endpoint_members(json_open(p, "source"), r, true);
		p = endpoint_members(json_open(p, "destination"), r, false);
		p = process_objects(p, r, o.process, ctx);
		p = observer_object(p, r);
		p = flowner_object(p, r, &o, ctx);
	}
	p = text_bytes(p, ctx->json_host, ctx->json_host_len);
	p = text_lit(p, "}\n");
	return (size_t)(p - buf);
}

/* A number behind @key. Foreign text cannot fake it: the quotes in it are escaped. */
static bool find_u64(const char *line, size_t len, const char *key, uint64_t *ret)
{
	const char *at = memmem(line, len, key, strlen(key)), *end = line + len;
	uint64_t v = 0;

	if (!at)
		return false;
	at += strlen(key);
	if (at == end || *at < '0' || *at > '9')
		return false;
	for (; at < end && *at >= '0' && *at <= '9'; at++)
		v = v * 10 + (uint64_t)(*at - '0');
	*ret = v;
	return true;
}

static bool ecs_last(const char *line, size_t len, uint64_t *ret_epoch, uint64_t *ret_seq)
{
	uint64_t epoch, seq;

	if (!find_u64(line, len, "\"epoch\":", &epoch) ||
		!find_u64(line, len, "\"sequence\":", &seq))
		return false;
	*ret_epoch = epoch;
	*ret_seq = seq;
	return true;
}

const struct format format_ecs = {
	.name = "ecs",
	.help = "Elastic Common Schema, one JSON object a line",
	.begins = "{",
	.record = ecs_record,
	.last = ecs_last,
};
