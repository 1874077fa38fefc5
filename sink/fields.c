/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of fields. Rows stand in the order of the ecs format; a format's objects come in the
 * order in which the rows first name them.
 */
#include "sink/fields.h"

#include <string.h>

#include "sink/fields-internal.h"

#define F(n, t, u, m, ...)                                                                         \
	{                                                                                          \
		.name = (n), .type = FIELD_##t, .unit = (u), .meaning = (m), __VA_ARGS__           \
	}
/* Wanted by a format, tells nothing about a record. */
#define FORM(n, t, m, ...) F(n, t, "", m, .format_only = true, __VA_ARGS__)

/* Where it comes from: members of struct record, */
#define AT(kind, m)    .from = FIELD_FROM_##kind, .offset = offsetof(struct record, m)
#define CALL(fn)       .from = FIELD_FROM_CALL, .call = (fn)
#define CONST(s)       .from = FIELD_FROM_CONSTANT, .constant = (s)
#define WORD(m, fn, n) AT(WORD, m), .word = (fn), .words = (n)
#define FLAG(f)        .from = FIELD_FROM_TRUE, .need = RECORD_FLAG_##f
#define HOST(m)                                                                                    \
	.of = FIELD_OF_CONTEXT, .from = FIELD_FROM_CONTEXT,                                        \
	.offset = offsetof(struct format_context, m)
/* of struct record_process. */
#define P(kind, m)      .from = FIELD_FROM_##kind, .offset = offsetof(struct record_process, m)
#define PWORD(m, fn, n) P(WORD, m), .word = (fn), .words = (n)
#define PFLAG(f)        .from = FIELD_FROM_TRUE, .need = RECORD_PROCESS_##f
#define PID             .need = FIELD_HAVE_PID
#define KNOWN           .need = FIELD_HAVE_KNOWN
/* One of a group, see fields.h. */
#define WITH(group)   .need = FIELD_HAVE_##group
#define PIDW(group)   .need = FIELD_HAVE_PID | FIELD_HAVE_##group
#define KNOWNW(group) .need = FIELD_HAVE_KNOWN | FIELD_HAVE_##group

/* Its name in a format. */
#define ECS(...)    .in[FIELD_ECS] = {__VA_ARGS__}
#define OCSF(...)   .in[FIELD_OCSF] = {__VA_ARGS__}
#define ZEEK(...)   .in[FIELD_ZEEK] = {__VA_ARGS__}
#define ZEEKN(p, n) .in[FIELD_ZEEK] = {(p), 0, (n)}
#define SYSMON(...) .in[FIELD_SYSMON] = {__VA_ARGS__}
#define NOT(...)    .in[FIELD_SYSMON] = {0}
#define TEXT(...)   .in[FIELD_TEXT] = {__VA_ARGS__}
#define PCAPNG(...) .in[FIELD_PCAPNG] = {__VA_ARGS__}

#define ON(e) FIELD_EVENT(RECORD_##e)
#define EVERY                                                                                      \
	(ON(START) | ON(INFO) | ON(END) | ON(SUMMARY) | ON(LOSS)) /* the others: all but LOSS */
#define BOTH_BYTES (RECORD_FLAG_ORIG_BYTES | RECORD_FLAG_RESP_BYTES)

/*
 * One local end's process, its user and its container. @of: FIELD_OF_*; then what names begin with:
 * ours, those of ecs, ocsf and zeek; @SYS: SYSMON or NOT.
 */
#define PROCESS_FIELDS(o, N, E, O, Z, SYS)                                                         \
	F(N "pid", NUMBER, "", "process id, in flowner's pid namespace", P(U32, pid), PID,         \
		.of = (o), ECS(E "process.pid"), OCSF(O "process.pid"), ZEEK(Z "pid"),             \
		SYS("ProcessId", 0, 5), TEXT("name[PID]"), PCAPNG("PID:")),                        \
		F(N "inner_pid", NUMBER, "",                                                       \
			"process id in its own pid namespace, where that differs",                 \
			P(U32, inner_pid), PID, .of = (o), ECS(E "process.vpid"),                  \
			OCSF(O "process.namespace_pid"), ZEEK(Z "inner_pid")),                     \
		F(N "entity_id", STRING, "", "the process over reboots and reuse of its pid",      \
			CALL(field_entity_id), PID, .of = (o), ECS(E "process.entity_id"),         \
			OCSF(O "process.uid"), ZEEK(Z "process_uid")),                             \
		F(N "process", STRING, "", "process name (comm)", P(STR, name), PID, .of = (o),    \
			ECS(E "process.name"), OCSF(O "process.name"), ZEEK(Z "process"),          \
			TEXT("NAME[pid]"), PCAPNG("Cmd:")),                                        \
		F(N "exe", STRING, "", "path of its executable", P(STR, exe), PID, .of = (o),      \
			ECS(E "process.executable"), OCSF(O "process.path"), ZEEK(Z "exe"),        \
			TEXT("behind the name")),                                                  \
		F(N "command", STRING, "", "command line, quoted as for a shell", P(LIST, args),   \
			PID, .of = (o), ECS(E "process.command_line", FIELD_AS_COMMAND),           \
			OCSF(O "process.cmd_line", FIELD_AS_COMMAND),                              \
			ZEEK(Z "command", FIELD_AS_COMMAND), TEXT("'...'"), PCAPNG("Args:")),      \
		F(N "args", STRINGS, "", "arguments, the first is the command itself",             \
			P(LIST, args), PID, .of = (o), ECS(E "process.args")),                     \
		F(N "cwd", STRING, "", "working directory", P(STR, cwd), PID, .of = (o),           \
			ECS(E "process.working_directory"), OCSF(O "process.working_directory"),   \
			ZEEK(Z "cwd")),                                                            \
		F(N "process_start", TIME, "", "start of the process", P(U64, start_ns), PID,      \
			.of = (o), ECS(E "process.start"), OCSF(O "process.created_time"),         \
			ZEEK(Z "process_start")),                                                  \
		F(N "real_uid", ID, "", "real user id, where it is not the effective one",         \
			CALL(field_real_uid), PID, .of = (o), ECS(E "process.real_user.id"),       \
			ZEEK(Z "real_user_id")),                                                   \
		F(N "sid", NUMBER, "", "pid of its session's leader", P(U32, sid), PID, .of = (o), \
			ECS(E "process.session_leader.pid"),                                       \
			OCSF(O "process.session.uid", FIELD_AS_QUOTED), ZEEK(Z "session")),        \
		F(N "tty_major", NUMBER, "", "controlling terminal's major number",                \
			CALL(field_tty_major), PIDW(TERMINAL), .of = (o),                          \
			ECS(E "process.tty.char_device.major")),                                   \
		F(N "tty_minor", NUMBER, "", "controlling terminal's minor number",                \
			CALL(field_tty_minor), PIDW(TERMINAL), .of = (o),                          \
			ECS(E "process.tty.char_device.minor")),                                   \
		F(N "ppid", NUMBER, "", "pid of its parent", P(U32, ppid), PID, .of = (o),         \
			ECS(E "process.parent.pid"), OCSF(O "process.parent_process.pid"),         \
			ZEEK(Z "ppid"), PCAPNG("ParentPID:")),                                     \
		F(N "parent", STRING, "", "name of its parent", P(STR, parent_name), PID,          \
			.of = (o), ECS(E "process.parent.name"),                                   \
			OCSF(O "process.parent_process.name"), ZEEK(Z "parent")),                  \
		F(N "uid", ID, "", "effective user id", P(U32, uid), .none = UINT32_MAX, KNOWN,    \
			.of = (o), ECS(E "user.id"), OCSF(O "process.user.uid"),                   \
			ZEEK(Z "user_id"), TEXT("uid ...")),                                       \
		F(N "user", STRING, "", "name of that user", P(STR, user), KNOWN, .of = (o),       \
			ECS(E "user.name"), OCSF(O "process.user.name"), ZEEK(Z "user")),          \
		F(N "gid", ID, "", "effective group id", P(U32, gid), .none = UINT32_MAX, KNOWN,   \
			.of = (o), ECS(E "group.id"), OCSF(O "process.user.groups[].uid"),         \
			ZEEK(Z "group_id")),                                                       \
		F(N "group", STRING, "", "name of that group", P(STR, group), KNOWN, .of = (o),    \
			ECS(E "group.name"), OCSF(O "process.user.groups[].name"),                 \
			ZEEK(Z "group")),                                                          \
		F(N "container", STRING, "", "container id", P(STR, container), KNOWNW(CONTAINER), \
			.of = (o), ECS(E "container.id"), OCSF(O "process.container.uid"),         \
			ZEEK(Z "container"), PCAPNG("ContainerId:")),                              \
		F(N "runtime", STRING, "", "what runs the container",                              \
			PWORD(runtime, runtime_name, RECORD_RUNTIMES), KNOWNW(CONTAINER),          \
			.of = (o), ECS(E "container.runtime"),                                     \
			OCSF(O "process.container.runtime"), ZEEK(Z "container_runtime"))

/* How one local end's process was found, and where it lives. */
#define OWNER_FIELDS(o, N, E, O, Z)                                                                \
	F(N "method", STRING, "", "how the process was found",                                     \
		PWORD(method, method_name, RECORD_METHODS), .of = (o), ECS(E "owner.method"),      \
		OCSF(O "owner.method"), ZEEK(Z "owner_method")),                                   \
		F(N "confidence", STRING, "",                                                      \
			"how sure that is: exact, probable, cgroup_only, unknown",                 \
			PWORD(confidence, confidence_name, RECORD_CONFIDENCES),                    \
			.none = UINT32_MAX, .of = (o), ECS(E "owner.confidence"),                  \
			OCSF(O "owner.confidence"), ZEEK(Z "owner_confidence")),                   \
		F(N "reason", STRING, "", "why the process is unknown",                            \
			PWORD(unknown, unknown_name, RECORD_UNKNOWNS), .of = (o),                  \
			ECS(E "owner.reason"), OCSF(O "owner.reason"), ZEEK(Z "owner_reason"),     \
			TEXT("? (...)")),                                                          \
		F(N "latency", DURATION, "ns",                                                     \
			"from the packet's time until the process was known", P(U64, latency_ns),  \
			.of = (o), ECS(E "owner.latency_ns"),                                      \
			OCSF(O "owner.latency_ns", FIELD_AS_NUMBER)),                              \
		F(N "args_truncated", BOOLEAN, "", "the arguments were longer", PFLAG(ARGS_CUT),   \
			.of = (o), ECS(E "owner.args_truncated"), OCSF(O "owner.args_truncated")), \
		F(N "exe_deleted", BOOLEAN, "", "the executable's file was gone",                  \
			PFLAG(EXE_DELETED), .of = (o), ECS(E "owner.executable_deleted"),          \
			OCSF(O "owner.executable_deleted")),                                       \
		F(N "ids_unconfirmed", BOOLEAN, "", "user and group may have changed since",       \
			PFLAG(IDS_UNCONFIRMED), .of = (o), ECS(E "owner.ids_unconfirmed"),         \
			OCSF(O "owner.ids_unconfirmed")),                                          \
		F(N "in_tree", BOOLEAN, "", "descends from the command flowner was asked to run",  \
			PFLAG(IN_TREE), .of = (o), ECS(E "owner.in_tree"),                         \
			OCSF(O "owner.in_tree")),                                                  \
		F(N "cgroup_id", NUMBER, "", "cgroup v2 id", P(U64, cgroup_id), .of = (o),         \
			ECS(E "cgroup.id"), OCSF(O "cgroup.id")),                                  \
		F(N "cgroup", STRING, "", "path below the cgroup v2 root", P(STR, cgroup),         \
			.of = (o), ECS(E "cgroup.path"), OCSF(O "cgroup.path"), ZEEK(Z "cgroup")), \
		F(N "unit", STRING, "", "systemd unit", P(STR, unit), WITH(UNIT), .of = (o),       \
			ECS(E "systemd.unit"), OCSF(O "systemd.unit"), ZEEK(Z "unit")),            \
		F(N "user_unit", STRING, "", "unit of the user's own systemd", P(STR, user_unit),  \
			WITH(UNIT), .of = (o), ECS(E "systemd.user_unit"),                         \
			OCSF(O "systemd.user_unit"), ZEEK(Z "user_unit")),                         \
		F(N "pod", STRING, "", "Kubernetes pod's uid", P(STR, pod), .of = (o),             \
			ECS(E "kubernetes.pod_uid"), OCSF(O "kubernetes.pod_uid"), ZEEK(Z "pod")), \
		F(N "process_netns", NUMBER, "", "inode of its network namespace", P(U64, netns),  \
			PIDW(NAMESPACES), .of = (o), ECS(E "namespace.net"),                       \
			OCSF(O "namespace.net")),                                                  \
		F(N "pidns", NUMBER, "", "inode of its pid namespace", P(U64, pidns),              \
			PIDW(NAMESPACES), .of = (o), ECS(E "namespace.pid"),                       \
			OCSF(O "namespace.pid")),                                                  \
		F(N "tty", STRING, "", "controlling terminal", CALL(field_tty), PIDW(TERMINAL),    \
			.of = (o), ECS(E "tty"), OCSF(O "tty"), ZEEK(Z "tty")),                    \
		F(N "loginuid", ID, "", "user id at login", P(U32, loginuid), .none = UINT32_MAX,  \
			PID, .of = (o), ECS(E "loginuid"), OCSF(O "loginuid"),                     \
			ZEEK(Z "login_user_id")),                                                  \
		F(N "ancestors", STRINGS, "", "names of its ancestors, the parent first",          \
			P(PIDS, ancestors), PIDW(ANCESTORS), .of = (o), ECS(E "ancestors.name"),   \
			OCSF(O "ancestors.name"), ZEEK(Z "ancestors")),                            \
		F(N "ancestor_pids", NUMBERS, "", "their pids", P(PIDS, ancestors),                \
			PIDW(ANCESTORS), .of = (o), ECS(E "ancestors.pid"),                        \
			OCSF(O "ancestors.pid"))

/* The names of values, as functions of a plain number. */
#define NAMED(fn, type)                                                                            \
	static const char *fn(unsigned v)                                                          \
	{                                                                                          \
		return record_##fn((type)v);                                                       \
	}
NAMED(runtime_name, enum record_runtime)
NAMED(method_name, enum record_method)
NAMED(confidence_name, enum record_confidence)
NAMED(unknown_name, enum record_unknown)
NAMED(direction_name, enum record_direction)
NAMED(state_name, enum record_state)
NAMED(end_reason_name, enum record_end_reason)
NAMED(service_name, enum record_service)

static const char *event_name(unsigned v)
{
	return v ? record_event_name((enum record_event)v) : "";
}

/* Of SUM and SPAN: the second is right behind the first. */
#define PAIR(m, n)                                                                                 \
	_Static_assert(offsetof(struct record, m) + 8 == offsetof(struct record, n), "a pair")
PAIR(start_ns, end_ns);
PAIR(orig_bytes, resp_bytes);
PAIR(orig_packets, resp_packets);
PAIR(delta_orig_bytes, delta_resp_bytes);

static const struct field FIELDS[] = {
	/* What happened, and when. */
	F("time", TIME, "", "when the record was made", AT(ALWAYS, t_ns), .events = EVERY,
		ECS("@timestamp"), OCSF("time")),
	FORM("ecs.version", STRING, "version of the schema", CONST("9.0.0"), .events = EVERY,
		ECS("ecs.version")),
	FORM("kind", STRING, "event", CONST("event"), ECS("event.kind")),
	FORM("loss_kind", STRING, "metric", CONST("metric"), .events = ON(LOSS), ECS("event.kind")),
	FORM("category", STRINGS, "network", CONST("[\"network\"]"), .events = EVERY,
		ECS("event.category", FIELD_AS_JSON)),
	FORM("types", STRINGS, "connection and what became of it", CALL(field_event_types),
		.events = EVERY, ECS("event.type", FIELD_AS_JSON)),
	F("event", STRING, "", "start, info, end, summary or loss",
		WORD(event, event_name, RECORD_SUMMARY + 1), .events = EVERY),
	FORM("action", STRING, "event, with connection_ before it", CALL(field_action),
		.events = EVERY, ECS("event.action")),
	F("outcome", STRING, "", "success, failure or unknown, by the state", CALL(field_outcome),
		ECS("event.outcome")),
	FORM("status", NUMBER, "1 success, 2 failure", CALL(field_status), OCSF("status_id")),
	F("start", TIME, "", "first packet", AT(ALWAYS, start_ns), ECS("event.start"),
		OCSF("start_time"), ZEEKN("ts", 1), SYSMON("UtcTime", 0, 3), TEXT("first column")),
	F("end", TIME, "",
		"last packet so far (info of TCP: now); ecs has it once the connection is over",
		AT(ALWAYS, end_ns), .events = ON(END) | ON(SUMMARY), ECS("event.end"),
		OCSF("end_time")),
	F("loss_first", TIME, "", "first loss", AT(ALWAYS, loss_first_ns), .events = ON(LOSS),
		ECS("event.start")),
	F("loss_last", TIME, "", "last loss", AT(ALWAYS, loss_last_ns), .events = ON(LOSS),
		ECS("event.end")),
	F("duration", DURATION, "ns", "from start to end", AT(SPAN, start_ns),
		.events = ON(INFO) | ON(END) | ON(SUMMARY), ECS("event.duration"), OCSF("duration"),
		ZEEK("duration", FIELD_AS_LASTING, 9), TEXT("duration")),
	F("seq", NUMBER, "", "number of the record, without repeats", AT(U64, seq), .events = EVERY,
		ECS("event.sequence"), OCSF("metadata.sequence"), ZEEK("seq"),
		SYSMON("EventRecordID", 0, 18)),
	F("event_id", STRING, "", "the flow's id and the record's number", CALL(field_event_id),
		ECS("event.id"), OCSF("metadata.uid")),
	FORM("module", STRING, "flowner", CONST("flowner"), .events = EVERY, ECS("event.module")),
	FORM("dataset", STRING, "flowner.connection", CONST("flowner.connection"),
		ECS("event.dataset")),
	FORM("loss_dataset", STRING, "flowner.loss", CONST("flowner.loss"), .events = ON(LOSS),
		ECS("event.dataset")),
	F("end_reason", STRING, "",
		"shutdown, reset, refused, timeout, forced, evicted, tcp_reuse, owner_changed",
		WORD(end_reason, end_reason_name, RECORD_END_REASONS), ECS("event.reason"),
		OCSF("status_detail"), ZEEK("end_reason"), TEXT("in words")),

	/* The network. */
	F("ip_version", STRING, "", "ipv4 or ipv6", CALL(field_ip_type), ECS("network.type")),
	FORM("protocol_ver_id", NUMBER, "4 or 6", AT(U8, family),
		OCSF("connection_info.protocol_ver_id")),
	F("ip_proto", ID, "", "IANA number of the protocol", AT(U8, proto), .none = UINT32_MAX,
		ECS("network.iana_number"), OCSF("connection_info.protocol_num", FIELD_AS_NUMBER),
		ZEEK("ip_proto", FIELD_AS_NUMBER, 22)),
	F("proto", STRING, "", "tcp, udp, icmp, ipv6-icmp, sctp", CALL(field_transport),
		ECS("network.transport"), OCSF("connection_info.protocol_name"),
		SYSMON("Protocol", 0, 8), TEXT("second column"), PCAPNG("in the packet")),
	FORM("zeek_proto", STRING, "tcp, udp, icmp or unknown_transport", CALL(field_network_name),
		ZEEKN("proto", 7)),
	F("service", STRING, "", "dns, tls or quic, as far as captured bytes tell",
		WORD(service, service_name, RECORD_SERVICES), ECS("network.protocol"),
		OCSF("app_protocol_name"), ZEEKN("service", 8)),
	FORM("network_direction", STRING, "ingress or egress", CALL(field_network_direction),
		ECS("network.direction")),
	F("community_id", STRING, "", "Community ID version 1, seed 0", CALL(field_community_id),
		ECS("network.community_id"), OCSF("connection_info.community_uid"),
		ZEEKN("community_id", 23)),
	F("bytes", NUMBER, "bytes", "payload both ways", AT(SUM, orig_bytes), .need = BOTH_BYTES,
		ECS("network.bytes"), OCSF("cumulative_traffic.bytes")),
	F("packets", NUMBER, "packets", "packets captured both ways", AT(SUM, orig_packets),
		ECS("network.packets"), OCSF("cumulative_traffic.packets")),
	F("vlan", ID, "", "VLAN id", AT(U16, vlan), ECS("network.vlan.id"),
		OCSF("dst_endpoint.vlan_uid"), ZEEK("vlan", FIELD_AS_NUMBER)),

	/* Its ends. */
	FORM("source_address", IP, "orig_addr", AT(ADDRESS, orig_addr), ECS("source.address")),
	F("orig_addr", IP, "", "originator's address", AT(ADDRESS, orig_addr), ECS("source.ip"),
		OCSF("src_endpoint.ip"), ZEEKN("id.orig_h", 3), SYSMON("SourceIp", 0, 11),
		TEXT("left of ->")),
	F("orig_port", PORT, "", "originator's port", AT(U16, orig_port), .none = UINT32_MAX,
		.need = FIELD_HAVE_PORTS, ECS("source.port"), OCSF("src_endpoint.port"),
		SYSMON("SourcePort", 0, 13), TEXT("left of ->")),
	FORM("orig_p", PORT, "port, or ICMP type", AT(U16, orig_port), .none = UINT32_MAX,
		ZEEKN("id.orig_p", 4)),
	F("orig_name", STRING, "",
		"name this host last resolved to the originator's address, if that is remote",
		AT(STR, name), WITH(ORIG_NAME), ECS("source.domain"), OCSF("src_endpoint.hostname"),
		ZEEK("orig_name")),
	F("orig_bytes", NUMBER, "bytes", "payload the originator sent", AT(ALWAYS, orig_bytes),
		.need = RECORD_FLAG_ORIG_BYTES, ECS("source.bytes"),
		OCSF("cumulative_traffic.bytes_out"), ZEEK("orig_bytes", FIELD_AS_LASTING, 10),
		TEXT("SENT/received")),
	F("orig_packets", NUMBER, "packets", "packets of the originator captured",
		AT(ALWAYS, orig_packets), ECS("source.packets"),
		OCSF("cumulative_traffic.packets_out"), ZEEKN("orig_pkts", 17)),
	FORM("destination_address", IP, "resp_addr", AT(ADDRESS, resp_addr),
		ECS("destination.address")),
	F("resp_addr", IP, "", "responder's address", AT(ADDRESS, resp_addr), ECS("destination.ip"),
		OCSF("dst_endpoint.ip"), ZEEKN("id.resp_h", 5), SYSMON("DestinationIp", 0, 15),
		TEXT("right of ->")),
	F("resp_port", PORT, "", "responder's port", AT(U16, resp_port), .none = UINT32_MAX,
		.need = FIELD_HAVE_PORTS, ECS("destination.port"), OCSF("dst_endpoint.port"),
		SYSMON("DestinationPort", 0, 17), TEXT("right of ->")),
	FORM("resp_p", PORT, "port, or ICMP code", AT(U16, resp_port), .none = UINT32_MAX,
		ZEEKN("id.resp_p", 6)),
	F("resp_name", STRING, "",
		"name this host last resolved to the responder's address, if that is remote",
		AT(STR, name), WITH(RESP_NAME), ECS("destination.domain"),
		OCSF("dst_endpoint.hostname"), ZEEK("resp_name")),
	F("resp_bytes", NUMBER, "bytes", "payload the responder sent", AT(ALWAYS, resp_bytes),
		.need = RECORD_FLAG_RESP_BYTES, ECS("destination.bytes"),
		OCSF("cumulative_traffic.bytes_in"), ZEEK("resp_bytes", FIELD_AS_LASTING, 11),
		TEXT("sent/RECEIVED")),
	F("resp_packets", NUMBER, "packets", "packets of the responder captured",
		AT(ALWAYS, resp_packets), ECS("destination.packets"),
		OCSF("cumulative_traffic.packets_in"), ZEEKN("resp_pkts", 19)),

	/* The process. */
	PROCESS_FIELDS(FIELD_OF_PROCESS, "", "", "actor.", "", SYSMON),

	/* Where it was seen, and what was in it. */
	F("interface_out", STRING, "", "interface of a connection this host opened",
		AT(STR, ifname), WITH(WAY_OUT), ECS("observer.egress.interface.name"),
		OCSF("src_endpoint.interface_name")),
	F("interface_in", STRING, "", "interface of any other connection", AT(STR, ifname),
		WITH(WAY_IN), ECS("observer.ingress.interface.name"),
		OCSF("dst_endpoint.interface_name")),
	F("interface", STRING, "", "interface it was seen on", AT(STR, ifname), ZEEK("interface")),
	F("dns_query", STRING, "", "name of the last DNS question", AT(STR, dns_query), WITH(DNS),
		ECS("dns.question.name"), OCSF("unmapped.dns.query"), ZEEK("dns_query")),
	F("dns_type", STRING, "", "type of that question", CALL(field_dns_type), WITH(DNS),
		ECS("dns.question.type"), OCSF("unmapped.dns.type"), ZEEK("dns_type")),
	F("dns_rcode", STRING, "", "response code of the last answer", CALL(field_dns_rcode),
		.need = RECORD_FLAG_DNS_ANSWERED | FIELD_HAVE_DNS, ECS("dns.response_code"),
		OCSF("unmapped.dns.rcode"), ZEEK("dns_rcode")),
	F("dns_answers", STRINGS, "", "addresses and names answered", AT(COMMAS, dns_answers),
		WITH(DNS), ECS("dns.answers", FIELD_AS_DATA), OCSF("unmapped.dns.answers"),
		ZEEK("dns_answers")),
	F("dns_addresses", STRINGS, "", "the addresses among them", CALL(field_dns_addresses),
		WITH(DNS), ECS("dns.resolved_ip", FIELD_AS_ADDRESSES)),
	FORM("tls_version", STRING, "1.3 of QUIC, else unknown", CALL(field_tls_version), WITH(TLS),
		OCSF("tls.version")),
	F("server_name", STRING, "", "server name (SNI) asked for in TLS or QUIC",
		AT(STR, server_name), WITH(TLS), ECS("tls.client.server_name"), OCSF("tls.sni"),
		ZEEK("server_name")),

	/* The flow. */
	F("epoch", NUMBER, "", "how often enrich was started", AT(ALWAYS, epoch), .events = EVERY,
		ECS("flowner.epoch"), OCSF("unmapped.epoch"), ZEEK("epoch"),
		SYSMON("FlownerEpoch", 0, 19)),
	F("flow_id", NUMBER, "", "the same in all records of a connection", AT(ALWAYS, flow_id),
		ECS("flowner.flow_id", FIELD_AS_HEX), OCSF("connection_info.uid", FIELD_AS_HEX)),
	FORM("conn_uid", STRING, "flow_id as zeek writes such", CALL(field_conn_uid),
		ZEEKN("uid", 2)),
	F("direction", STRING, "", "egress: this host opened it, ingress, local: both ends here",
		WORD(direction, direction_name, RECORD_LOCAL + 1), .none = UINT32_MAX,
		ECS("flowner.direction"), ZEEK("direction"),
		TEXT("=> before the process: ingress")),
	F("state", STRING, "", "zeek's conn_state: S0, S1, SF, REJ...",
		WORD(state, state_name, RECORD_STATES), .none = UINT32_MAX,
		ECS("flowner.conn_state"), OCSF("status_code"), ZEEKN("conn_state", 12)),
	F("history", STRING, "", "zeek's history letters", CALL(field_history),
		ECS("flowner.history"), OCSF("connection_info.flag_history"), ZEEKN("history", 16)),
	F("rtt", DURATION, "ns", "from SYN to SYN-ACK", AT(U32, rtt_ns),
		ECS("flowner.handshake_rtt_ns"), OCSF("unmapped.handshake_rtt_ns", FIELD_AS_NUMBER),
		ZEEK("handshake_rtt")),
	F("srtt", DURATION, "ns", "the kernel's smoothed round-trip time", AT(U32, srtt_ns),
		ECS("flowner.srtt_ns"), OCSF("unmapped.srtt_ns", FIELD_AS_NUMBER), ZEEK("srtt")),
	F("retransmits", NUMBER, "packets", "sent again, by the kernel's count",
		AT(U32, retransmits), ECS("flowner.retransmits"), OCSF("unmapped.retransmits"),
		ZEEK("retransmits")),
	F("connections", NUMBER, "", "how many a summary stands for", AT(U32, connections),
		.events = ON(SUMMARY), ECS("flowner.connections"), OCSF("count"),
		ZEEK("connections"), TEXT("xN")),
	F("netns", STRING, "", "network namespace, if not flowner's own", AT(STR, netns),
		ECS("flowner.netns"), OCSF("unmapped.netns"), ZEEK("netns")),
	F("name_age", DURATION, "ns", "since the answer that gave orig_name or resp_name",
		AT(U64, name_age_ns), ECS("flowner.name_age_ns"),
		OCSF("unmapped.name_age_ns", FIELD_AS_NUMBER)),
	F("alpn", STRINGS, "", "protocols offered in TLS or QUIC", AT(COMMAS, alpn), WITH(TLS),
		ECS("flowner.tls.alpn"), OCSF("unmapped.alpn"), ZEEK("alpn")),
	F("icmp_type", NUMBER, "", "ICMP type", AT(U16, orig_port), .none = UINT32_MAX,
		.need = FIELD_HAVE_ICMP, ECS("flowner.icmp.type"), OCSF("unmapped.icmp.type")),
	F("icmp_code", NUMBER, "", "ICMP code", AT(U16, resp_port), .none = UINT32_MAX,
		.need = FIELD_HAVE_ICMP, ECS("flowner.icmp.code"), OCSF("unmapped.icmp.code")),
	F("orig_ip_bytes", NUMBER, "bytes", "IP packets of the originator captured",
		AT(ALWAYS, orig_ip_bytes), .need = RECORD_FLAG_IP_BYTES,
		ECS("flowner.source.ip_bytes"), ZEEKN("orig_ip_bytes", 18)),
	F("resp_ip_bytes", NUMBER, "bytes", "IP packets of the responder captured",
		AT(ALWAYS, resp_ip_bytes), .need = RECORD_FLAG_IP_BYTES,
		ECS("flowner.destination.ip_bytes"), ZEEKN("resp_ip_bytes", 20)),
	F("delta_packets", NUMBER, "packets", "since the flow's last record", /* sums to all */
		AT(ALWAYS, delta_packets), ECS("flowner.delta.packets"), OCSF("traffic.packets")),
	F("delta_bytes", NUMBER, "bytes", "payload both ways since the flow's last record",
		AT(SUM, delta_orig_bytes), .need = BOTH_BYTES, ECS("flowner.delta.bytes"),
		OCSF("traffic.bytes")),
	F("delta_orig_bytes", NUMBER, "bytes", "the originator's", AT(ALWAYS, delta_orig_bytes),
		.need = RECORD_FLAG_ORIG_BYTES, ECS("flowner.delta.source.bytes"),
		OCSF("traffic.bytes_out")),
	F("delta_orig_packets", NUMBER, "packets", "the originator's",
		AT(ALWAYS, delta_orig_packets), ECS("flowner.delta.source.packets"),
		OCSF("traffic.packets_out")),
	F("delta_resp_bytes", NUMBER, "bytes", "the responder's", AT(ALWAYS, delta_resp_bytes),
		.need = RECORD_FLAG_RESP_BYTES, ECS("flowner.delta.destination.bytes"),
		OCSF("traffic.bytes_in")),
	F("delta_resp_packets", NUMBER, "packets", "the responder's",
		AT(ALWAYS, delta_resp_packets), ECS("flowner.delta.destination.packets"),
		OCSF("traffic.packets_in")),
	F("packets_complete", BOOLEAN, "", "packet counts are of all packets, not of some captured",
		CALL(field_complete), ECS("flowner.packets_complete"),
		OCSF("unmapped.packets_complete"), ZEEK("packets_complete")),
	F("kernel_bytes", BOOLEAN, "", "byte counts are the kernel's own", FLAG(KERNEL_BYTES),
		ECS("flowner.kernel_bytes"), OCSF("unmapped.kernel_bytes"), ZEEK("kernel_bytes")),
	F("midstream", BOOLEAN, "", "its beginning was not seen", FLAG(MIDSTREAM),
		ECS("flowner.midstream"), OCSF("unmapped.midstream"), ZEEK("midstream")),
	F("loss_window", BOOLEAN, "", "packets were lost while it was open", FLAG(LOSS_WINDOW),
		ECS("flowner.loss_window"), OCSF("unmapped.loss_window"), ZEEK("loss_window")),
	F("offline", BOOLEAN, "", "from a capture file", FLAG(OFFLINE), ECS("flowner.offline"),
		OCSF("unmapped.offline")),
	F("unchanged", BOOLEAN, "", "nothing new since the flow's last record", FLAG(UNCHANGED),
		ECS("flowner.unchanged"), OCSF("unmapped.unchanged")),
	F("reported", BOOLEAN, "", "an info record of this flow came before", FLAG(REPORTED),
		ECS("flowner.reported"), OCSF("unmapped.reported")),
	F("loss_stage", STRING, "", "where something was lost", CALL(field_loss_stage),
		.events = ON(LOSS), ECS("flowner.loss.stage"), TEXT("in words")),
	F("loss_reason", STRING, "", "and why", CALL(field_loss_reason), .events = ON(LOSS),
		ECS("flowner.loss.reason")),
	F("loss_count", NUMBER, "", "how much", AT(ALWAYS, loss_count), .events = ON(LOSS),
		ECS("flowner.loss.count"), TEXT("LOST ...")),
	F("loss_packets", NUMBER, "packets", "packets in that", AT(ALWAYS, loss_packets),
		.events = ON(LOSS), ECS("flowner.loss.packets")),
	OWNER_FIELDS(FIELD_OF_PROCESS, "", "flowner.", "unmapped.", ""),
	PROCESS_FIELDS(FIELD_OF_RESPONDER, "responder_", "flowner.responder.",
		"unmapped.responder.", "resp_", NOT),
	OWNER_FIELDS(FIELD_OF_RESPONDER, "responder_", "flowner.responder.", "unmapped.responder.",
		"resp_"),

	/* What only ocsf has. */
	FORM("activity_id", NUMBER, "1 open, 2 close, 3 reset, 4 fail, 5 refuse, 6 traffic",
		CALL(field_activity), OCSF("activity_id")),
	FORM("type_uid", NUMBER, "400100 + activity_id", CALL(field_type_uid), OCSF("type_uid")),
	FORM("category_uid", NUMBER, "4", CONST("4"), OCSF("category_uid", FIELD_AS_JSON)),
	FORM("class_uid", NUMBER, "4001", CONST("4001"), OCSF("class_uid", FIELD_AS_JSON)),
	FORM("severity_id", NUMBER, "1, informational", CONST("1"),
		OCSF("severity_id", FIELD_AS_JSON)),
	FORM("ocsf.version", STRING, "version of the schema", CONST("1.9.0-dev"),
		OCSF("metadata.version")),
	FORM("product", STRING, "flowner", CONST("flowner"), OCSF("metadata.product.name")),
	FORM("vendor", STRING, "flowner", CONST("flowner"), OCSF("metadata.product.vendor_name")),
	FORM("direction_id", NUMBER, "0 unknown, 1 ingress, 2 egress, 4 local",
		CALL(field_direction_id), OCSF("connection_info.direction_id")),
	FORM("tcp_flags", NUMBER, "flags of TCP seen, by history", CALL(field_tcp_flags),
		OCSF("connection_info.tcp_flags")),
	FORM("observation_point_id", NUMBER, "0 unknown, 1 source, 2 destination, 4 both",
		CALL(field_observed_at), OCSF("observation_point_id")),
	FORM("ends_known", BOOLEAN, "who opened it is known", CALL(field_ends_known),
		OCSF("is_src_dst_assignment_known")),

	/* What only zeek has. */
	FORM("local_orig", BOOLEAN, "the originator is this host", CALL(field_local_orig),
		.need = FIELD_HAVE_DIRECTION, ZEEKN("local_orig", 13)),
	FORM("local_resp", BOOLEAN, "the responder is this host", CALL(field_local_resp),
		.need = FIELD_HAVE_DIRECTION, ZEEKN("local_resp", 14)),
	FORM("missed_bytes", NUMBER, "not known", CONST(NULL), ZEEKN("missed_bytes", 15)),
	FORM("tunnel_parents", STRINGS, "none", CONST(NULL), ZEEKN("tunnel_parents", 21)),

	/* What only sysmon has. */
	FORM("event_number", NUMBER, "3, a network connection", CONST("3"),
		SYSMON("EventID", FIELD_AS_JSON, 1)),
	FORM("rule", STRING, "-", CONST("-"), SYSMON("RuleName", 0, 2)),
	FORM("process_guid", STRING, "of host, pid and the process's start", CALL(field_guid),
		SYSMON("ProcessGuid", 0, 4)),
	FORM("image", STRING, "exe, else process", CALL(field_image), SYSMON("Image", 0, 6)),
	FORM("user_text", STRING, "user, else uid", CALL(field_user_name), SYSMON("User", 0, 7)),
	FORM("initiated", BOOLEAN, "this host opened it", CALL(field_initiated),
		SYSMON("Initiated", FIELD_AS_TITLE, 9)),
	FORM("source_is_v6", BOOLEAN, "IPv6", CALL(field_is_ipv6),
		SYSMON("SourceIsIpv6", FIELD_AS_TITLE, 10)),
	FORM("source_host", STRING, "host_name of this host, else orig_name", CALL(field_host_orig),
		SYSMON("SourceHostname", 0, 12)),
	FORM("destination_is_v6", BOOLEAN, "IPv6", CALL(field_is_ipv6),
		SYSMON("DestinationIsIpv6", FIELD_AS_TITLE, 14)),
	FORM("destination_host", STRING, "resp_name, else host_name of this host",
		CALL(field_host_resp), SYSMON("DestinationHostname", 0, 16)),

	/* This host. */
	FORM("agent_type", STRING, "flowner", CONST("flowner"), .of = FIELD_OF_CONTEXT,
		.events = EVERY, ECS("agent.type")),
	F("version", STRING, "", "flowner's version", CALL(field_version), .of = FIELD_OF_CONTEXT,
		.events = EVERY, ECS("agent.version"), OCSF("metadata.product.version")),
	F("host_name", STRING, "", "this host's name", HOST(host_name), .events = EVERY,
		ECS("host.hostname"), OCSF("device.hostname")),
	FORM("host.name", STRING, "host_name", HOST(host_name), .events = EVERY, ECS("host.name")),
	F("host_id", STRING, "", "this host's machine id", HOST(host_id), .events = EVERY,
		ECS("host.id"), OCSF("device.uid")),
	F("boot_id", STRING, "", "changes whenever this host is booted", HOST(boot_id),
		.events = EVERY, ECS("host.boot.id"), OCSF("device.boot_uid")),
	FORM("device_type", NUMBER, "1, a server", CONST("1"), .of = FIELD_OF_CONTEXT,
		OCSF("device.type_id", FIELD_AS_JSON)),
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

const struct field *field_at(unsigned i)
{
	return i < COUNT(FIELDS) ? &FIELDS[i] : NULL;
}

const struct field *field_find(const char *name, size_t len)
{
	for (size_t i = 0; i < COUNT(FIELDS); i++)
		if (strlen(FIELDS[i].name) == len && !memcmp(FIELDS[i].name, name, len))
			return &FIELDS[i];
	return NULL;
}

const char *field_type_name(enum field_type t)
{
	static const char *const names[] = {"string", "number", "ip", "port", "time", "duration",
		"boolean", "id", "list of strings", "list of numbers"};

	_Static_assert(COUNT(names) == FIELD_TYPES, "every type has a name");
	return names[t];
}

static const char *const format_names[] = {"ecs", "ocsf", "zeek", "sysmon", "text", "pcapng"};

_Static_assert(COUNT(format_names) == FIELD_FORMATS, "every format has a name");

const char *field_format_name(enum field_format f)
{
	return format_names[f];
}

int field_format_find(const char *name, size_t len)
{
	if (len == 9 && !memcmp(name, "zeek-json", 9))
		len = 4;
	for (int i = 0; i < FIELD_FORMATS; i++)
		if (strlen(format_names[i]) == len && !memcmp(format_names[i], name, len))
			return i;
	return -1;
}
