/* SPDX-License-Identifier: Apache-2.0 */
/* Values of the table of fields that a single format wants: ocsf, zeek or sysmon. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "sink/fields-internal.h"
#include "sink/text.h"

#define WORK(name)                                                                                 \
	enum field_kind field_##name(                                                              \
		const struct field *f, const struct field_source *s, struct field_value *ret)
#define UNUSED (void)f, (void)s

bool field_is_address(const char *text, size_t len)
{
	char copy[INET6_ADDRSTRLEN];
	uint8_t addr[16];

	if (!len || len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = 0;
	return strlen(copy) == len &&
	       (inet_pton(AF_INET, copy, addr) == 1 || inet_pton(AF_INET6, copy, addr) == 1);
}

static enum field_kind number(uint64_t v, struct field_value *ret)
{
	ret->number = v;
	return FIELD_U64;
}

static enum field_kind scratch(const char *end, struct field_value *ret)
{
	ret->bytes = ret->scratch;
	ret->len = (uint32_t)(end - ret->scratch);
	return FIELD_SAFE;
}

static enum field_kind foreign(const struct record *r, struct record_str s, struct field_value *ret)
{
	ret->bytes = record_get_str(r, s);
	ret->len = s.len;
	return s.len ? FIELD_BYTES : FIELD_NONE;
}

static bool opened_here(const struct record *r)
{
	return r->direction == RECORD_EGRESS || r->direction == RECORD_LOCAL;
}

/* OCSF: class 4001 -------------------------------------------------------------------------- */

enum { OPEN = 1, CLOSE, RESET, FAIL, REFUSE, TRAFFIC };

static unsigned activity_of_end(const struct record *r)
{
	switch ((enum record_end_reason)r->end_reason) {
	case RECORD_END_RESET:
		return RESET;
	case RECORD_END_REFUSED:
		return REFUSE;
	case RECORD_END_TIMEOUT:
		/* A SYN that nobody answered; elsewhere the end of talking is an idle time. */
		return r->proto == IPPROTO_TCP && r->state == RECORD_STATE_S0 ? FAIL : CLOSE;
	case RECORD_END_NONE:
	case RECORD_END_SHUTDOWN:
	case RECORD_END_FORCED:
	case RECORD_END_EVICTED:
	case RECORD_END_TCP_REUSE:
	case RECORD_END_OWNER_CHANGED:
	case RECORD_END_REASONS:
		break;
	}
	return CLOSE;
}

static unsigned activity(const struct record *r)
{
	switch ((enum record_event)r->event) {
	case RECORD_START:
		return OPEN;
	case RECORD_END:
		return activity_of_end(r);
	case RECORD_INFO:
	case RECORD_LOSS:
	case RECORD_PACKET:
	case RECORD_SUMMARY:
		break;
	}
	return TRAFFIC;
}

WORK(activity)
{
	UNUSED;
	return number(activity(s->record), ret);
}

WORK(type_uid)
{
	UNUSED;
	return number(400100 + activity(s->record), ret);
}

WORK(direction_id)
{
	static const uint8_t ids[] = {[RECORD_DIRECTION_UNKNOWN] = 0,
		[RECORD_INGRESS] = 1,
		[RECORD_EGRESS] = 2,
		[RECORD_LOCAL] = 4};

	UNUSED;
	return number(ids[s->record->direction], ret);
}

/* Which end this host is. */
WORK(observed_at)
{
	static const uint8_t ids[] = {[RECORD_DIRECTION_UNKNOWN] = 0,
		[RECORD_EGRESS] = 1,
		[RECORD_INGRESS] = 2,
		[RECORD_LOCAL] = 4};

	UNUSED;
	return number(ids[s->record->direction], ret);
}

/* RFC 9293 section 3.1, of zeek's letters: s SYN, h SYN and ACK, a d ACK, f FIN and ACK, r RST. */
WORK(tcp_flags)
{
	const char *h = s->record->history;
	unsigned flags = 0;

	UNUSED;
	if (s->record->proto != IPPROTO_TCP)
		return FIELD_NONE;
	for (unsigned i = 0; i < RECORD_HISTORY_MAX && h[i]; i++) {
		switch (h[i] | 0x20) {
		case 's':
			flags |= 0x02;
			break;
		case 'h':
			flags |= 0x12;
			break;
		case 'a':
		case 'd':
			flags |= 0x10;
			break;
		case 'f':
			flags |= 0x11;
			break;
		case 'r':
			flags |= 0x04;
			break;
		}
	}
	return flags ? number(flags, ret) : FIELD_NONE;
}

WORK(ends_known)
{
	UNUSED;
	return number(!(s->record->flags & RECORD_FLAG_MIDSTREAM), ret);
}

/* Zeek -------------------------------------------------------------------------------------- */

/* "C" and the number in base 62, as zeek's own are; the same flow_id, the same uid. */
WORK(conn_uid)
{
	static const char digits[] =
		"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	uint64_t v = s->record->flow_id;
	char *p = ret->scratch;

	UNUSED;
	*p++ = 'C';
	do {
		*p++ = digits[v % 62];
		v /= 62;
	} while (v);
	return scratch(p, ret);
}

WORK(local_orig)
{
	UNUSED;
	return number(opened_here(s->record), ret);
}

WORK(local_resp)
{
	UNUSED;
	return number(s->record->direction != RECORD_EGRESS, ret);
}

/* Sysmon: event 3 --------------------------------------------------------------------------- */

/* FNV-1a */
static uint32_t hash(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	return h;
}

static char *hex(char *p, uint64_t v, unsigned digits)
{
	char all[16];

	text_hex64(all, v);
	return text_bytes(p, all + 16 - digits, digits);
}

/* {host-start-start-start-start and pid}: no two processes of a host share one. */
WORK(guid)
{
	const struct record_process *o = s->base[FIELD_OF_PROCESS];
	char *p = ret->scratch;

	UNUSED;
	if (!o->pid || !o->start_ns)
		return FIELD_NONE;
	*p++ = '{';
	p = hex(p, s->ctx ? hash(s->ctx->host_id) : 0, 8);
	for (int shift = 48; shift >= 0; shift -= 16) {
		*p++ = '-';
		p = hex(p, o->start_ns >> shift, 4);
	}
	p = hex(p, o->pid, 8);
	*p++ = '}';
	return scratch(p, ret);
}

WORK(image)
{
	const struct record_process *o = s->base[FIELD_OF_PROCESS];

	UNUSED;
	return foreign(s->record, o->exe.len ? o->exe : o->name, ret);
}

WORK(user_name)
{
	const struct record_process *o = s->base[FIELD_OF_PROCESS];

	UNUSED;
	if (!(s->have[FIELD_OF_PROCESS] & FIELD_HAVE_KNOWN))
		return FIELD_NONE;
	if (o->user.len)
		return foreign(s->record, o->user, ret);
	return o->uid == UINT32_MAX ? FIELD_NONE : scratch(text_u64(ret->scratch, o->uid), ret);
}

WORK(initiated)
{
	UNUSED;
	return number(opened_here(s->record), ret);
}

WORK(is_ipv6)
{
	UNUSED;
	return number(s->record->family == 6, ret);
}

static enum field_kind this_host(const struct field_source *s, struct field_value *ret)
{
	if (!s->ctx || !*s->ctx->host_name)
		return FIELD_NONE;
	ret->bytes = s->ctx->host_name;
	ret->len = (uint32_t)strlen(ret->bytes);
	return FIELD_BYTES;
}

WORK(host_orig)
{
	UNUSED;
	if (opened_here(s->record))
		return this_host(s, ret);
	return s->record->direction == RECORD_INGRESS ? foreign(s->record, s->record->name, ret)
						      : FIELD_NONE;
}

WORK(host_resp)
{
	UNUSED;
	if (s->record->direction == RECORD_INGRESS)
		return this_host(s, ret);
	if (s->record->direction == RECORD_LOCAL && !s->record->name.len)
		return this_host(s, ret);
	return foreign(s->record, s->record->name, ret);
}
