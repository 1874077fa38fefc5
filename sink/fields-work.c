/* SPDX-License-Identifier: Apache-2.0 */
/* Values of the table of fields that are worked out from several members of a record. */
#include <netinet/in.h>
#include <string.h>

#include "sink/community-id.h"
#include "sink/fields-internal.h"
#include "sink/text.h"

/* @text: a constant, or NULL. */
static enum field_kind safe(const char *text, struct field_value *ret)
{
	if (!text)
		return FIELD_NONE;
	ret->bytes = text;
	ret->len = (uint32_t)strlen(text);
	return FIELD_SAFE;
}

/* What was written to the scratch, up to @end. */
static enum field_kind scratch(const char *end, struct field_value *ret)
{
	ret->bytes = ret->scratch;
	ret->len = (uint32_t)(end - ret->scratch);
	return FIELD_SAFE;
}

static enum field_kind number(uint64_t v, struct field_value *ret)
{
	ret->number = v;
	return FIELD_U64;
}

size_t field_comma_item(const char *items, const char *end)
{
	const char *p = items;

	while (p < end && *p != ',')
		p += *p == '\\' && p + 1 < end ? 2 : 1;
	return (size_t)(p - items);
}

#define WORK(name)                                                                                 \
	enum field_kind field_##name(                                                              \
		const struct field *f, const struct field_source *s, struct field_value *ret)
#define UNUSED (void)f, (void)s

static const struct record_process *process_of(const struct field *f, const struct field_source *s)
{
	return s->base[f->of];
}

/* Events ------------------------------------------------------------------------------------ */

WORK(event_types)
{
	const struct record *r = s->record;
	bool denied = r->end_reason == RECORD_END_REFUSED;

	UNUSED;
	switch ((enum record_event)r->event) {
	case RECORD_START:
		return safe(denied ? "[\"connection\",\"start\",\"denied\"]"
				   : "[\"connection\",\"start\"]",
			ret);
	case RECORD_END:
		/* Without a start record it is both. */
		if (r->flags & RECORD_FLAG_UNANNOUNCED)
			return safe(denied ? "[\"connection\",\"start\",\"end\",\"denied\"]"
					   : "[\"connection\",\"start\",\"end\"]",
				ret);
		return safe(
			denied ? "[\"connection\",\"end\",\"denied\"]" : "[\"connection\",\"end\"]",
			ret);
	case RECORD_INFO:
	case RECORD_SUMMARY:
		return safe(denied ? "[\"connection\",\"info\",\"denied\"]"
				   : "[\"connection\",\"info\"]",
			ret);
	case RECORD_LOSS:
		return safe("[\"info\"]", ret);
	case RECORD_PACKET:
		break;
	}
	return FIELD_NONE;
}

WORK(action)
{
	UNUSED;
	switch ((enum record_event)s->record->event) {
	case RECORD_START:
		return safe("connection_start", ret);
	case RECORD_INFO:
		return safe("connection_info", ret);
	case RECORD_END:
		return safe("connection_end", ret);
	case RECORD_SUMMARY:
		return safe("connection_summary", ret);
	case RECORD_LOSS:
		return safe("loss", ret);
	case RECORD_PACKET:
		break;
	}
	return FIELD_NONE;
}

/* +1 success, -1 failure, 0 nobody can tell. */
static int outcome(const struct record *r)
{
	switch ((enum record_state)r->state) {
	case RECORD_STATE_S1:
	case RECORD_STATE_SF:
	case RECORD_STATE_S2:
	case RECORD_STATE_S3:
	case RECORD_STATE_RSTO:
	case RECORD_STATE_RSTR:
		return 1;
	case RECORD_STATE_REJ:
	case RECORD_STATE_RSTOS0:
	case RECORD_STATE_RSTRH:
	case RECORD_STATE_SH:
		return -1;
	case RECORD_STATE_S0:
		/* A SYN that nobody answered failed; a datagram need not be answered. */
		return r->event == RECORD_END && r->proto == IPPROTO_TCP ? -1 : 0;
	case RECORD_STATE_OTH:
	case RECORD_STATE_SHR:
	case RECORD_STATES:
		break;
	}
	return 0;
}

WORK(outcome)
{
	int o = outcome(s->record);

	UNUSED;
	return safe(o > 0 ? "success" : o < 0 ? "failure" : "unknown", ret);
}

WORK(status)
{
	int o = outcome(s->record);

	UNUSED;
	return o ? number(o > 0 ? 1 : 2, ret) : FIELD_NONE;
}

WORK(event_id)
{
	char *p = text_hex64(ret->scratch, s->record->flow_id);

	UNUSED;
	*p++ = '-';
	return scratch(text_u64(p, s->record->seq), ret);
}

WORK(loss_stage)
{
	UNUSED;
	return safe(record_loss_stage_name(s->record->loss_stage), ret);
}

WORK(loss_reason)
{
	UNUSED;
	return safe(record_loss_reason_name(s->record->loss_stage), ret);
}

/* The network ------------------------------------------------------------------------------- */

WORK(ip_type)
{
	UNUSED;
	return safe(s->record->family == 4 ? "ipv4" : "ipv6", ret);
}

WORK(transport)
{
	UNUSED;
	switch (s->record->proto) {
	case IPPROTO_TCP:
		return safe("tcp", ret);
	case IPPROTO_UDP:
		return safe("udp", ret);
	case IPPROTO_ICMP:
		return safe("icmp", ret);
	case IPPROTO_ICMPV6:
		return safe("ipv6-icmp", ret);
	case IPPROTO_SCTP:
		return safe("sctp", ret);
	}
	return FIELD_NONE;
}

WORK(network_name)
{
	UNUSED;
	switch (s->record->proto) {
	case IPPROTO_TCP:
		return safe("tcp", ret);
	case IPPROTO_UDP:
		return safe("udp", ret);
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return safe("icmp", ret);
	}
	return safe("unknown_transport", ret);
}

/* Seen from this host, a connection with both ends here was opened by it, too. */
WORK(network_direction)
{
	UNUSED;
	if (s->record->direction == RECORD_DIRECTION_UNKNOWN)
		return FIELD_NONE;
	return safe(s->record->direction == RECORD_INGRESS ? "ingress" : "egress", ret);
}

WORK(community_id)
{
	size_t len = community_id(s->record, ret->scratch);

	UNUSED;
	return len ? scratch(ret->scratch + len, ret) : FIELD_NONE;
}

WORK(history)
{
	const struct record *r = s->record;

	UNUSED;
	ret->bytes = r->history;
	ret->len = (uint32_t)strnlen(r->history, sizeof(r->history));
	return ret->len ? FIELD_SAFE : FIELD_NONE;
}

WORK(complete)
{
	UNUSED;
	return number((s->record->flags & RECORD_FLAG_ALL_PACKETS) != 0, ret);
}

/* Content ----------------------------------------------------------------------------------- */

/* Source: IANA, Domain Name System (DNS) Parameters: resource record types. */
WORK(dns_type)
{
	static const struct {
		uint16_t type;
		const char *name;
	} types[] = {{1, "A"}, {28, "AAAA"}, {65, "HTTPS"}, {12, "PTR"}, {5, "CNAME"}, {33, "SRV"},
		{16, "TXT"}, {15, "MX"}, {2, "NS"}, {6, "SOA"}, {64, "SVCB"}, {35, "NAPTR"},
		{43, "DS"}, {46, "RRSIG"}, {48, "DNSKEY"}, {52, "TLSA"}, {257, "CAA"},
		{255, "ANY"}};
	uint16_t type = s->record->dns_type;

	UNUSED;
	if (!type)
		return FIELD_NONE;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].type == type)
			return safe(types[i].name, ret);
	/* RFC 3597 section 5 */
	return scratch(text_u64(text_lit(ret->scratch, "TYPE"), type), ret);
}

/* Source: the same, RCODEs. */
WORK(dns_rcode)
{
	static const char *const names[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP",
		"REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE"};
	uint8_t rcode = s->record->dns_rcode;

	UNUSED;
	if (rcode < sizeof(names) / sizeof(names[0]))
		return safe(names[rcode], ret);
	return scratch(text_u64(text_lit(ret->scratch, "RCODE"), rcode), ret);
}

WORK(dns_addresses)
{
	const struct record *r = s->record;
	const char *p = record_get_str(r, r->dns_answers), *end = p + r->dns_answers.len;

	UNUSED;
	ret->bytes = p;
	ret->len = r->dns_answers.len;
	for (size_t len; p < end; p += len + 1) {
		len = field_comma_item(p, end);
		if (field_is_address(p, len))
			return FIELD_COMMAS;
	}
	return FIELD_NONE;
}

/* The schema wants a version where a server name is. */
WORK(tls_version)
{
	UNUSED;
	if (!s->record->server_name.len)
		return FIELD_NONE;
	return safe(s->record->service == RECORD_SERVICE_QUIC ? "1.3" : "unknown", ret);
}

/* Processes --------------------------------------------------------------------------------- */

WORK(real_uid)
{
	const struct record_process *p = process_of(f, s);

	if (p->ruid == UINT32_MAX || p->ruid == p->uid)
		return FIELD_NONE;
	return number(p->ruid, ret);
}

WORK(tty_major)
{
	const struct record_process *p = process_of(f, s);

	return p->tty ? number(text_tty_major(p->tty), ret) : FIELD_NONE;
}

WORK(tty_minor)
{
	const struct record_process *p = process_of(f, s);

	return p->tty ? number(text_tty_minor(p->tty), ret) : FIELD_NONE;
}

WORK(tty)
{
	const struct record_process *p = process_of(f, s);

	return p->tty ? scratch(text_tty(ret->scratch, p->tty), ret) : FIELD_NONE;
}

/* Unique over hosts, boots and reuse of the pid. */
WORK(entity_id)
{
	const struct record_process *p = process_of(f, s);
	const char *boot = s->ctx ? s->ctx->boot_id : "";
	size_t len = strnlen(boot, sizeof(s->ctx->boot_id));
	char *at = ret->scratch;

	if (!p->start_ns)
		return FIELD_NONE;
	at = text_bytes(at, boot, len);
	*at++ = '-';
	at = text_u64(at, p->pid);
	*at++ = '-';
	scratch(text_u64(at, p->start_ns), ret);
	return FIELD_BYTES; /* the kernel wrote the boot id */
}

/* This host --------------------------------------------------------------------------------- */

WORK(version)
{
	UNUSED;
	return safe(s->ctx->version, ret);
}
