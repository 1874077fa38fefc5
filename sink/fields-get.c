/* SPDX-License-Identifier: Apache-2.0 */
/* Reads values of the table of fields out of a record. */
#include <netinet/in.h>
#include <string.h>

#include "sink/fields-internal.h"

static uint32_t process_have(const struct record_process *p)
{
	uint32_t have = p->flags | FIELD_HAVE_AT_ALL;

	if (p->tty)
		have |= FIELD_HAVE_TERMINAL;
	if (p->container.len | p->runtime)
		have |= FIELD_HAVE_CONTAINER;
	if (p->unit.len | p->user_unit.len)
		have |= FIELD_HAVE_UNIT;
	if (p->netns | p->pidns)
		have |= FIELD_HAVE_NAMESPACES;
	if (p->ancestors.len)
		have |= FIELD_HAVE_ANCESTORS;

	/* All zero: uid 0 is not root here. */
	if (p->pid || p->confidence != RECORD_CONFIDENCE_UNKNOWN)
		have |= FIELD_HAVE_KNOWN;
	return p->pid ? have | FIELD_HAVE_PID : have;
}

static uint32_t direction_have(enum record_direction d)
{
	uint32_t have = d == RECORD_DIRECTION_UNKNOWN ? 0 : FIELD_HAVE_DIRECTION;

	have |= d == RECORD_INGRESS ? FIELD_HAVE_ORIG_NAME : FIELD_HAVE_RESP_NAME;
	return have |
	       (d == RECORD_EGRESS || d == RECORD_LOCAL ? FIELD_HAVE_WAY_OUT : FIELD_HAVE_WAY_IN);
}

void field_source_init(
	struct field_source *s, const struct record *r, const struct format_context *ctx)
{
	struct format_owners o = format_owners(r);
	bool ports = r->proto == IPPROTO_TCP || r->proto == IPPROTO_UDP || r->proto == IPPROTO_SCTP;

	s->record = r;
	s->ctx = ctx;
	s->event = (uint8_t)FIELD_EVENT(r->event);
	s->base[FIELD_OF_RECORD] = r;
	s->base[FIELD_OF_PROCESS] = o.process;
	s->base[FIELD_OF_RESPONDER] = o.second;
	s->base[FIELD_OF_CONTEXT] = ctx;
	s->have[FIELD_OF_RECORD] = r->flags | FIELD_HAVE_AT_ALL |
				   (ports ? FIELD_HAVE_PORTS : FIELD_HAVE_ICMP) |
				   direction_have((enum record_direction)r->direction);
	if (r->end_ns > r->start_ns)
		s->have[FIELD_OF_RECORD] |= FIELD_HAVE_LASTING;
	if (r->dns_query.len | r->dns_answers.len | r->dns_type |
		(r->flags & RECORD_FLAG_DNS_ANSWERED))
		s->have[FIELD_OF_RECORD] |= FIELD_HAVE_DNS;
	if (r->server_name.len | r->alpn.len)
		s->have[FIELD_OF_RECORD] |= FIELD_HAVE_TLS;
	s->have[FIELD_OF_PROCESS] = process_have(o.process);
	s->have[FIELD_OF_RESPONDER] = o.second ? process_have(o.second) : 0;
	s->have[FIELD_OF_CONTEXT] = ctx ? FIELD_HAVE_AT_ALL : 0;
}

static enum field_kind get_str(
	const struct field_source *s, const void *at, enum field_kind kind, struct field_value *ret)
{
	const struct record_str *str = at;

	ret->bytes = record_get_str(s->record, *str);
	ret->len = str->len;
	return str->len ? kind : FIELD_NONE;
}

static enum field_kind get_safe(const char *text, enum field_kind kind, struct field_value *ret)
{
	if (!text)
		return FIELD_NONE;
	ret->bytes = text;
	ret->len = (uint32_t)strlen(text);
	return ret->len ? kind : FIELD_NONE;
}

static enum field_kind get_number(uint64_t v, const struct field *f, struct field_value *ret)
{
	ret->number = v;
	return v != f->none ? FIELD_U64 : FIELD_NONE;
}

enum field_kind field_get(
	const struct field *f, const struct field_source *s, struct field_value *ret)
{
	const char *at = s->base[f->of];

	if (!at || !(s->event & field_events(f)) || f->need & ~s->have[f->of])
		return FIELD_NONE;
	at += f->offset;
	switch ((enum field_from)f->from) {
	case FIELD_FROM_CONSTANT:
		return get_safe(f->constant, FIELD_SAFE, ret);
	case FIELD_FROM_U8:
		return get_number(*(const uint8_t *)at, f, ret);
	case FIELD_FROM_U16:
		return get_number(*(const uint16_t *)(const void *)at, f, ret);
	case FIELD_FROM_U32:
		return get_number(*(const uint32_t *)(const void *)at, f, ret);
	case FIELD_FROM_U64:
		return get_number(*(const uint64_t *)(const void *)at, f, ret);
	case FIELD_FROM_ALWAYS:
		ret->number = *(const uint64_t *)(const void *)at;
		return FIELD_U64;
	case FIELD_FROM_SUM:
		ret->number = field_sum(at);
		return FIELD_U64;
	case FIELD_FROM_SPAN:
		ret->number = field_span(at);
		return FIELD_U64;
	case FIELD_FROM_TRUE:
		ret->number = 1;
		return FIELD_U64;
	case FIELD_FROM_STR:
		return get_str(s, at, FIELD_BYTES, ret);
	case FIELD_FROM_LIST:
		return get_str(s, at, FIELD_LIST, ret);
	case FIELD_FROM_PIDS:
		return get_str(s, at, FIELD_PIDS, ret);
	case FIELD_FROM_COMMAS:
		return get_str(s, at, FIELD_COMMAS, ret);
	case FIELD_FROM_ADDRESS:
		ret->bytes = at;
		ret->family = s->record->family;
		return FIELD_ADDRESS;
	case FIELD_FROM_WORD:
		if (*(const uint8_t *)at == f->none)
			return FIELD_NONE;
		return get_safe(f->word(*(const uint8_t *)at), FIELD_SAFE, ret);
	case FIELD_FROM_CONTEXT:
		return get_safe(at, FIELD_BYTES, ret);
	case FIELD_FROM_CALL:
		return f->call(f, s, ret);
	}
	return FIELD_NONE;
}
