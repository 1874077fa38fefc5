/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of expressions: what each is called and which values a record has under it. */
#include <netinet/in.h>
#include <string.h>

#include "sink/expression-internal.h"

/* Values ---------------------------------------------------------------------------------- */

static const struct record_process *end_of(const struct record *r, unsigned i)
{
	return i == 0 ? &r->orig : &r->resp;
}

static void set_text(const struct record *r, struct record_str s, struct expression_value *ret)
{
	if (!s.len)
		return;
	ret->kind = EXPRESSION_VALUE_TEXT;
	ret->text = record_get_str(r, s);
	ret->len = s.len;
}

static void set_number(uint64_t n, struct expression_value *ret)
{
	ret->kind = EXPRESSION_VALUE_NUMBER;
	ret->number = n;
}

static void set_address(const uint8_t *address, struct expression_value *ret)
{
	ret->kind = EXPRESSION_VALUE_ADDRESS;
	ret->address = address;
}

static struct record_str str_at(const void *base, size_t offset)
{
	struct record_str s;

	memcpy(&s, (const char *)base + offset, sizeof(s));
	return s;
}

static bool process_text(const struct expression_key *k, const struct record *r, unsigned i,
	struct expression_value *ret)
{
	if (i > 1)
		return false;
	set_text(r, str_at(end_of(r, i), k->offset), ret);
	return true;
}

/* The arguments with their NULs between them, without the last. */
static bool process_args(const struct expression_key *k, const struct record *r, unsigned i,
	struct expression_value *ret)
{
	if (!process_text(k, r, i, ret))
		return false;
	if (ret->len && ret->text[ret->len - 1] == '\0')
		ret->len--;
	return true;
}

static bool process_unit(const struct expression_key *k, const struct record *r, unsigned i,
	struct expression_value *ret)
{
	(void)k;
	if (i > 3)
		return false;
	set_text(r, i & 2 ? end_of(r, i & 1)->user_unit : end_of(r, i & 1)->unit, ret);
	return true;
}

static bool process_ancestor(const struct expression_key *k, const struct record *r, unsigned i,
	struct expression_value *ret)
{
	struct record_str s = end_of(r, i & 1)->ancestors;
	const char *name = NULL;
	size_t pos = 0, len = 0;
	uint32_t pid;

	(void)k;
	if (i / 2 >= RECORD_ANCESTORS_MAX)
		return false;
	for (unsigned n = 0; n <= i / 2; n++) {
		name = record_next_ancestor(r, s, &pos, &pid, &len);
		if (!name)
			return true;
	}
	if (len) {
		ret->kind = EXPRESSION_VALUE_TEXT;
		ret->text = name;
		ret->len = len;
	}
	return true;
}

static bool process_u32(const struct expression_key *k, const struct record *r, unsigned i,
	struct expression_value *ret)
{
	const struct record_process *o = end_of(r, i);
	uint32_t n;

	if (i > 1)
		return false;
	memcpy(&n, (const char *)o + k->offset, sizeof(n));
	/* All zero is an end that is not known: its uid 0 is nobody's. */
	if (n != k->absent && (o->pid || o->confidence || o->method))
		set_number(n, ret);
	return true;
}

static bool process_u8(const struct expression_key *k, const struct record *r, unsigned i,
	struct expression_value *ret)
{
	uint8_t n;

	if (i > 1)
		return false;
	memcpy(&n, (const char *)end_of(r, i) + k->offset, sizeof(n));
	if (n != k->absent)
		set_number(n, ret);
	return true;
}

/* The remote end has no owner to be sure of. */
static bool process_confidence(const struct expression_key *k, const struct record *r, unsigned i,
	struct expression_value *ret)
{
	if (i < 2 && end_of(r, i)->unknown == RECORD_UNKNOWN_REMOTE)
		return true;
	return process_u8(k, r, i, ret);
}

static bool record_text(const struct expression_key *k, const struct record *r, unsigned i,
	struct expression_value *ret)
{
	if (i > 0)
		return false;
	set_text(r, str_at(r, k->offset), ret);
	return true;
}

static bool record_u8(const struct expression_key *k, const struct record *r, unsigned i,
	struct expression_value *ret)
{
	uint8_t n;

	if (i > 0)
		return false;
	memcpy(&n, (const char *)r + k->offset, sizeof(n));
	if (n != k->absent)
		set_number(n, ret);
	return true;
}

static bool record_u32(const struct expression_key *k, const struct record *r, unsigned i,
	struct expression_value *ret)
{
	uint32_t n;

	if (i > 0)
		return false;
	memcpy(&n, (const char *)r + k->offset, sizeof(n));
	if (n != k->absent)
		set_number(n, ret);
	return true;
}

static bool has_ports(const struct record *r)
{
	return r->proto == IPPROTO_TCP || r->proto == IPPROTO_UDP || r->proto == IPPROTO_SCTP;
}

static bool port_orig(const struct expression_key *k, const struct record *r, unsigned i,
	struct expression_value *ret)
{
	(void)k;
	if (i == 0 && has_ports(r))
		set_number(r->orig_port, ret);
	return i == 0;
}

static bool port_resp(const struct expression_key *k, const struct record *r, unsigned i,
	struct expression_value *ret)
{
	(void)k;
	if (i == 0 && has_ports(r))
		set_number(r->resp_port, ret);
	return i == 0;
}

static bool port_either(const struct expression_key *k, const struct record *r, unsigned i,
	struct expression_value *ret)
{
	return i < 2 && (i == 0 ? port_orig(k, r, 0, ret) : port_resp(k, r, 0, ret));
}

/* `name` is the remote end's, the responder's where both are local. */
static bool host_orig(const struct expression_key *k, const struct record *r, unsigned i,
	struct expression_value *ret)
{
	(void)k;
	if (i == 0)
		set_address(r->orig_addr, ret);
	else if (i == 1 && r->direction == RECORD_INGRESS)
		set_text(r, r->name, ret);
	return i < 2;
}

static bool host_resp(const struct expression_key *k, const struct record *r, unsigned i,
	struct expression_value *ret)
{
	(void)k;
	if (i == 0)
		set_address(r->resp_addr, ret);
	else if (i == 1 && r->direction != RECORD_INGRESS)
		set_text(r, r->name, ret);
	else if (i == 2)
		set_text(r, r->server_name, ret);
	return i < 3;
}

static bool host_either(const struct expression_key *k, const struct record *r, unsigned i,
	struct expression_value *ret)
{
	return i < 2 ? host_orig(k, r, i, ret) : host_resp(k, r, i - 2, ret);
}

static bool total_bytes(const struct expression_key *k, const struct record *r, unsigned i,
	struct expression_value *ret)
{
	uint64_t n = 0, sum;

	(void)k;
	if (i > 0)
		return false;
	if (r->flags & RECORD_FLAG_ORIG_BYTES)
		n = r->orig_bytes;
	if (r->flags & RECORD_FLAG_RESP_BYTES)
		n = __builtin_add_overflow(n, r->resp_bytes, &sum) ? UINT64_MAX : sum;
	if (r->flags & (RECORD_FLAG_ORIG_BYTES | RECORD_FLAG_RESP_BYTES))
		set_number(n, ret);
	return true;
}

static bool total_packets(const struct expression_key *k, const struct record *r, unsigned i,
	struct expression_value *ret)
{
	uint64_t sum;

	(void)k;
	if (i == 0)
		set_number(__builtin_add_overflow(r->orig_packets, r->resp_packets, &sum)
				   ? UINT64_MAX
				   : sum,
			ret);
	return i == 0;
}

static bool duration(const struct expression_key *k, const struct record *r, unsigned i,
	struct expression_value *ret)
{
	(void)k;
	if (i == 0)
		set_number(r->end_ns - r->start_ns, ret);
	return i == 0;
}

static bool is_loopback(const uint8_t a[16])
{
	static const uint8_t v4[13] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127};
	static const uint8_t v6[16] = {[15] = 1};

	return memcmp(a, v4, sizeof(v4)) == 0 || memcmp(a, v6, sizeof(v6)) == 0;
}

static bool loopback(const struct expression_key *k, const struct record *r, unsigned i,
	struct expression_value *ret)
{
	bool lo = r->ifname.len == 2 && memcmp(record_get_str(r, r->ifname), "lo", 2) == 0;

	(void)k;
	if (i == 0 && (lo || is_loopback(r->orig_addr) || is_loopback(r->resp_addr)))
		set_number(1, ret);
	return i == 0;
}

/* Words ----------------------------------------------------------------------------------- */

#define WORDS(name, type, count)                                                                   \
	static const char *name##_word(unsigned n)                                                 \
	{                                                                                          \
		return n < (count) ? record_##name##_name((enum type)n) : NULL;                    \
	}

WORDS(direction, record_direction, RECORD_LOCAL + 1)
WORDS(state, record_state, RECORD_STATES)
WORDS(end_reason, record_end_reason, RECORD_END_REASONS)
WORDS(method, record_method, RECORD_METHODS)
WORDS(confidence, record_confidence, RECORD_CONFIDENCES)
WORDS(unknown, record_unknown, RECORD_UNKNOWNS)
WORDS(runtime, record_runtime, RECORD_RUNTIMES)
WORDS(service, record_service, RECORD_SERVICES)

static const char *event_word(unsigned n)
{
	if (n == 0)
		return "";
	return n <= RECORD_SUMMARY ? record_event_name((enum record_event)n) : NULL;
}

/* The table ------------------------------------------------------------------------------- */

#define OF_PROCESS(m)  .offset = offsetof(struct record_process, m)
#define OF_RECORD(m)   .offset = offsetof(struct record, m)
#define INFO(n, t, h)  .info = {.name = (n), .type = (t), .help = (h)}
#define NAMED(n, w, h) .info = {.name = (n), .type = EXPRESSION_NAME, .help = (h), .word = (w)}
#define NO_NUMBER      UINT64_MAX /* every number is a value */
#define PROCESS(n, m, h)                                                                           \
	{                                                                                          \
		INFO(n, EXPRESSION_TEXT, h), .value = process_text, OF_PROCESS(m)                  \
	}
#define PROCESS_N(n, m, absent_n, h)                                                               \
	{                                                                                          \
		INFO(n, EXPRESSION_NUMBER, h), .value = process_u32, OF_PROCESS(m),                \
					       .absent = (absent_n)                                \
	}

static const struct expression_key keys[] = {
	{INFO("process", EXPRESSION_TEXT, "process name (comm)"), .alias = "comm",
		.value = process_text, OF_PROCESS(name)},
	PROCESS("exe", exe, "path of the program"),
	{INFO("args", EXPRESSION_TEXT, "its arguments, joined by blanks"), .value = process_args,
		OF_PROCESS(args)},
	PROCESS("cwd", cwd, "its working directory"),
	PROCESS("user", user, "name of its user"),
	PROCESS("group", group, "name of its group"),
	PROCESS_N("uid", uid, UINT32_MAX, "number of its user"),
	PROCESS_N("gid", gid, UINT32_MAX, "number of its group"),
	PROCESS_N("loginuid", loginuid, UINT32_MAX, "number of the user who logged in"),
	PROCESS_N("pid", pid, 0, "process id"),
	PROCESS_N("ppid", ppid, 0, "process id of its parent"),
	PROCESS("parent", parent_name, "name of its parent"),
	{INFO("ancestor", EXPRESSION_TEXT, "name of any process it descends from"),
		.value = process_ancestor},
	PROCESS("cgroup", cgroup, "its cgroup's path"),
	PROCESS("container", container, "id or name of its container"),
	{NAMED("runtime", runtime_word, "what runs that container"), .value = process_u8,
		OF_PROCESS(runtime)},
	PROCESS("pod", pod, "its Kubernetes pod's uid"),
	{INFO("unit", EXPRESSION_TEXT, "its systemd unit, the system's or the user's"),
		.value = process_unit},
	{NAMED("method", method_word, "how the owner was found"), .value = process_u8,
		OF_PROCESS(method)},
	{NAMED("confidence", confidence_word, "how sure the owner is"), .value = process_confidence,
		OF_PROCESS(confidence), .absent = NO_NUMBER},
	{NAMED("unknown", unknown_word, "why an end's owner is unknown"), .value = process_u8,
		OF_PROCESS(unknown)},
	{INFO("host", EXPRESSION_HOST, "either end"), .value = host_either},
	{INFO("src", EXPRESSION_HOST, "the end that opened the connection"), .alias = "orig",
		.value = host_orig},
	{INFO("dst", EXPRESSION_HOST, "the other end"), .alias = "resp", .value = host_resp},
	{INFO("port", EXPRESSION_NUMBER, "port of either end"), .value = port_either},
	{INFO("sport", EXPRESSION_NUMBER, "port of the end that opened it"), .value = port_orig},
	{INFO("dport", EXPRESSION_NUMBER, "port of the other end"), .value = port_resp},
	{INFO("name", EXPRESSION_HOST, "DNS name the remote address was resolved from"),
		.value = record_text, OF_RECORD(name)},
	{INFO("sni", EXPRESSION_HOST, "server name in a TLS or QUIC handshake"),
		.value = record_text, OF_RECORD(server_name)},
	{INFO("query", EXPRESSION_HOST, "name a DNS question asked for"), .value = record_text,
		OF_RECORD(dns_query)},
	{INFO("proto", EXPRESSION_PROTO, "tcp, udp, icmp, sctp, or a protocol number"),
		.value = record_u8, OF_RECORD(proto), .absent = NO_NUMBER},
	{NAMED("service", service_word, "what the payload is, as far as it tells"),
		.value = record_u8, OF_RECORD(service)},
	{NAMED("direction", direction_word, "who opened it"), .value = record_u8,
		OF_RECORD(direction), .absent = NO_NUMBER},
	{INFO("loopback", EXPRESSION_BARE, "never left this host by a cable"), .value = loopback},
	{INFO("interface", EXPRESSION_TEXT, "interface it was seen on"), .value = record_text,
		OF_RECORD(ifname)},
	{INFO("netns", EXPRESSION_TEXT, "network namespace, if not flowner's own"),
		.value = record_text, OF_RECORD(netns)},
	{NAMED("state", state_word, "Zeek's conn_state"), .value = record_u8, OF_RECORD(state),
		.absent = NO_NUMBER},
	{NAMED("event", event_word, "what the record is about"), .value = record_u8,
		OF_RECORD(event), .absent = NO_NUMBER},
	{NAMED("reason", end_reason_word, "how it ended"), .value = record_u8,
		OF_RECORD(end_reason)},
	{INFO("bytes", EXPRESSION_SIZE, "payload of both ends"), .value = total_bytes},
	{INFO("packets", EXPRESSION_NUMBER, "packets captured of both ends"),
		.value = total_packets},
	{INFO("duration", EXPRESSION_DURATION, "from the first packet to the last"),
		.value = duration},
	{INFO("connections", EXPRESSION_NUMBER, "how many a record stands for"),
		.value = record_u32, OF_RECORD(connections)},
};

const struct expression_key_info *expression_key_at(unsigned n)
{
	return n < sizeof(keys) / sizeof(keys[0]) ? &keys[n].info : NULL;
}

static bool is(const char *known, const char *name, size_t len)
{
	return known && strlen(known) == len && memcmp(known, name, len) == 0;
}

const struct expression_key *expression_key_find(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (is(keys[i].info.name, name, len) || is(keys[i].alias, name, len))
			return &keys[i];
	return NULL;
}
