/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of expressions: what each is called and which values a record has under it. Those that
 * are fields are as the table of fields has them; the others combine several.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "sink/expression-internal.h"
#include "sink/fields-internal.h"

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

/* A number of the table's field @f at @at. */
static uint64_t number_at(const struct field *f, const char *at)
{
	uint32_t n;

	if (f->from != FIELD_FROM_U32)
		return *(const uint8_t *)at;
	memcpy(&n, at, sizeof(n));
	return n;
}

/* A field of the table: a process's of both ends. */
static bool plain(const struct expression_key *k, const struct record *r, unsigned i,
	struct expression_value *ret)
{
	const struct field *f = k->plain;
	bool of_process = f->of == FIELD_OF_PROCESS;
	const char *at = of_process ? (const char *)end_of(r, i) : (const char *)r;
	const struct record_process *o = end_of(r, i);
	struct record_str s;
	uint64_t n;

	if (i > (of_process ? 1 : 0))
		return false;
	at += f->offset;
	if (f->from == FIELD_FROM_STR || f->from == FIELD_FROM_LIST) {
		memcpy(&s, at, sizeof(s));
		set_text(r, s, ret);
		/* Arguments with their NULs between them, without the last. */
		if (f->from == FIELD_FROM_LIST && ret->len && ret->text[ret->len - 1] == '\0')
			ret->len--;
		return true;
	}
	n = number_at(f, at);
	/* All zero is an end that is not known: its uid 0 is nobody's. */
	if (n != f->none &&
		(!of_process || f->from == FIELD_FROM_WORD || o->pid || o->confidence || o->method))
		set_number(n, ret);
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

/* The remote end has no owner to be sure of. */
static bool process_confidence(const struct expression_key *k, const struct record *r, unsigned i,
	struct expression_value *ret)
{
	if (i < 2 && end_of(r, i)->unknown == RECORD_UNKNOWN_REMOTE)
		return true;
	return plain(k, r, i, ret);
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

static bool remote_name(const struct expression_key *k, const struct record *r, unsigned i,
	struct expression_value *ret)
{
	(void)k;
	if (i == 0)
		set_text(r, r->name, ret);
	return i == 0;
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

/* The table ------------------------------------------------------------------------------- */

/* What a field of the table is called here, if not as there. */
#define FIELD(n, f)                                                                                \
	{                                                                                          \
		.info = {.name = (n)}, .field = (f), .value = plain                                \
	}
#define PLAIN(n)      FIELD(n, n)
#define INFO(n, t, h) .info = {.name = (n), .type = (t), .help = (h)}

/* Resolved by resolve(), always to the same. */
static struct expression_key keys[] = {
	{.info = {.name = "process"}, .field = "process", .alias = "comm", .value = plain},
	PLAIN("exe"),
	PLAIN("args"),
	PLAIN("cwd"),
	PLAIN("user"),
	PLAIN("group"),
	PLAIN("uid"),
	PLAIN("gid"),
	PLAIN("loginuid"),
	PLAIN("pid"),
	PLAIN("ppid"),
	PLAIN("parent"),
	{INFO("ancestor", EXPRESSION_TEXT, "name of any process it descends from"),
		.value = process_ancestor},
	PLAIN("cgroup"),
	PLAIN("container"),
	PLAIN("runtime"),
	PLAIN("pod"),
	{INFO("unit", EXPRESSION_TEXT, "its systemd unit, the system's or the user's"),
		.value = process_unit},
	PLAIN("method"),
	{.info = {.name = "confidence"}, .field = "confidence", .value = process_confidence},
	FIELD("unknown", "reason"),
	{INFO("host", EXPRESSION_HOST, "either end"), .value = host_either},
	{INFO("src", EXPRESSION_HOST, "the end that opened the connection"), .alias = "orig",
		.value = host_orig},
	{INFO("dst", EXPRESSION_HOST, "the other end"), .alias = "resp", .value = host_resp},
	{INFO("port", EXPRESSION_NUMBER, "port of either end"), .value = port_either},
	{INFO("sport", EXPRESSION_NUMBER, "port of the end that opened it"), .value = port_orig},
	{INFO("dport", EXPRESSION_NUMBER, "port of the other end"), .value = port_resp},
	{INFO("name", EXPRESSION_HOST, "DNS name the remote address was resolved from"),
		.value = remote_name},
	{.info = {.name = "server_name", .type = EXPRESSION_HOST},
		.alias = "sni",
		.field = "server_name",
		.value = plain},
	{.info = {.name = "dns_query", .type = EXPRESSION_HOST},
		.alias = "query",
		.field = "dns_query",
		.value = plain},
	{INFO("proto", EXPRESSION_PROTO,
		 "tcp, udp, icmp (ICMPv6, too), sctp, or a protocol number"),
		.field = "ip_proto", .value = plain},
	PLAIN("service"),
	PLAIN("direction"),
	{INFO("loopback", EXPRESSION_BARE, "never left this host by a cable"), .value = loopback},
	PLAIN("interface"),
	PLAIN("netns"),
	PLAIN("state"),
	PLAIN("event"),
	{.info = {.name = "end_reason", .help = "how it ended"},
		.alias = "reason",
		.field = "end_reason",
		.value = plain},
	{INFO("bytes", EXPRESSION_SIZE, "payload of both ends"), .value = total_bytes},
	{INFO("packets", EXPRESSION_NUMBER, "packets captured of both ends"),
		.value = total_packets},
	{INFO("duration", EXPRESSION_DURATION, "from the first packet to the last"),
		.value = duration},
	PLAIN("connections"),
};

#define N_KEYS (sizeof(keys) / sizeof(keys[0]))

static enum expression_type type_of(const struct field *f)
{
	if (f->from == FIELD_FROM_WORD)
		return EXPRESSION_NAME;
	return f->type == FIELD_STRING || f->type == FIELD_STRINGS ? EXPRESSION_TEXT
								   : EXPRESSION_NUMBER;
}

/* A key with what the table of fields says of it. */
static struct expression_key *resolve(struct expression_key *k)
{
	const struct field *f;

	if (!k->field || k->plain)
		return k;
	f = field_find(k->field, strlen(k->field));
	if (!f)
		abort(); /* a name that the table does not have any more */
	if (!k->info.type)
		k->info.type = type_of(f);
	if (!k->info.help)
		k->info.help = f->meaning;
	if (f->from == FIELD_FROM_WORD) {
		k->info.word = f->word;
		k->info.words = f->words;
	}
	k->plain = f;
	return k;
}

const struct expression_key_info *expression_key_at(unsigned n)
{
	return n < N_KEYS ? &resolve(&keys[n])->info : NULL;
}

static bool is(const char *known, const char *name, size_t len)
{
	return known && strlen(known) == len && memcmp(known, name, len) == 0;
}

const struct expression_key *expression_key_find(const char *name, size_t len)
{
	for (size_t i = 0; i < N_KEYS; i++)
		if (is(keys[i].info.name, name, len) || is(keys[i].alias, name, len))
			return resolve(&keys[i]);
	return NULL;
}
