/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps lines of a compiled JSON format, and makes the next one of the same kind by copying all but
 * the values that differ.
 *
 * A kind is what is known of the processes at both ends, what happened, and what the record has at
 * all. What a step writes is then the same as in the line kept, or, if it is marked so, its value
 * is written anew. Whether there is a value decides what stands around it: if that differs from the
 * line kept, another one must be made.
 */
#include <string.h>

#include "sink/fields-internal.h"
#include "sink/json-plan-internal.h"
#include "sink/text.h"

#define PIECE 64u /* bytes copied at least: what is too much is written over */

/* How a value is written anew. */
enum how {
	HOW_U16, /* numbers in decimal, but for 0, */
	HOW_U32,
	HOW_U64,
	HOW_NO_U16, /* which is no value */
	HOW_NO_U32,
	HOW_NO_U64,
	HOW_ALWAYS_U16,
	HOW_ALWAYS_U64,
	HOW_TIME,
	HOW_ADDRESS,
	HOW_AGAIN, /* the address in front of it */
	HOW_ANY,   /* whatever that step's field has, */
	HOW_NONE,  /* which has no value */
};

/* What is written anew, behind `len` bytes of text. */
struct json_value {
	uint8_t how;
	uint8_t of; /* as the step's */
	uint16_t offset;
	uint16_t step;
	uint16_t len;
};

/* Marking ----------------------------------------------------------------------------------- */

/* Values that are worked out of what a kind is, and nothing else. */
static bool is_call_of_kind(const struct field *f)
{
	static field_call *const calls[] = {field_event_types, field_action, field_outcome,
		field_ip_type, field_transport, field_network_direction, field_complete};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (f->call == calls[i])
			return true;
	return false;
}

static bool is_of_kind(const struct field *f)
{
	switch ((enum field_from)f->from) {
	case FIELD_FROM_CONSTANT:
	case FIELD_FROM_CONTEXT:
	case FIELD_FROM_TRUE: /* what it needs is in `have` */
		return true;
	case FIELD_FROM_U8:
	case FIELD_FROM_WORD:
		return f->offset < sizeof(((struct json_kind *)0)->head) ||
		       f->offset == offsetof(struct record, service);
	case FIELD_FROM_ALWAYS:
		return f->offset == offsetof(struct record, epoch);
	case FIELD_FROM_CALL:
		return is_call_of_kind(f);
	case FIELD_FROM_U16:
	case FIELD_FROM_U32:
	case FIELD_FROM_U64:
	case FIELD_FROM_STR:
	case FIELD_FROM_LIST:
	case FIELD_FROM_PIDS:
	case FIELD_FROM_COMMAS:
	case FIELD_FROM_ADDRESS:
		break;
	}
	return false;
}

static bool is_anew(const struct json_step *s)
{
	const struct field *f = s->field;

	if (!f)
		return false;
	switch ((enum field_of)f->of) {
	case FIELD_OF_RECORD:
		return !is_of_kind(f);
	case FIELD_OF_PROCESS:
	case FIELD_OF_RESPONDER:
		/* All else is in what known_check() compares. */
		return f->offset == offsetof(struct record_process, latency_ns) &&
		       f->from == FIELD_FROM_U64;
	case FIELD_OF_CONTEXT:
	case FIELD_OFS:
		break;
	}
	return false;
}

void json_line_mark(struct json_plan *plan)
{
	for (uint16_t i = 0; i < plan->n; i++)
		plan->anew[i] = is_anew(&plan->step[i]);
	plan->anew[plan->n] = false;
	plan->repeated = 0;
	memset(plan->seen, 0, sizeof(plan->seen));
	if (plan->lines.pos) /* else nothing has been kept: these pages need not be touched */
		memset(plan->line, 0, sizeof(plan->line));
}

/* Kinds ------------------------------------------------------------------------------------- */

bool json_line_kind(
	const struct field_source *source, const struct known_ends *ends, struct json_kind *ret)
{
	const struct record *r = source->record;

	*ret = (struct json_kind){.orig = ends->orig.id,
		.resp = ends->resp.id,
		.epoch = r->epoch,
		.have = source->have[FIELD_OF_RECORD],
		.service = r->service};
	memcpy(&ret->head, r, sizeof(ret->head));
	return ret->orig && ret->resp;
}

static uint32_t hash_of(const struct json_kind *k)
{
	uint64_t h = k->orig ^ k->resp << 32 ^ k->head << 8 ^ k->have ^ (uint64_t)k->service << 48;

	h = (h ^ h >> 29) * UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(h >> 32);
}

static bool is_same(const struct json_kind *a, const struct json_kind *b)
{
	return !((a->orig ^ b->orig) | (a->resp ^ b->resp) | (a->head ^ b->head) |
		 (a->epoch ^ b->epoch) | (a->have ^ b->have) | (a->service ^ b->service));
}

static const struct json_line *find(const struct json_line *set, const struct json_kind *kind)
{
	for (unsigned i = 0; i < JSON_LINE_WAYS; i++)
		if (set[i].values && is_same(&set[i].kind, kind))
			return &set[i];
	return NULL;
}

/* Writing ----------------------------------------------------------------------------------- */

/* Copies @len bytes at *text and moves it behind them. */
static inline char *piece(char *p, const char **text, size_t len)
{
	memcpy(p, *text, PIECE);
	if (len > PIECE)
		memcpy(p + PIECE, *text + PIECE, len - PIECE);
	*text += len;
	return p + len;
}

static inline enum field_kind get(
	const struct json_step *s, const struct field_source *source, struct field_value *ret)
{
	return s->run == JSON_RUN_CALL ? s->field->call(s->field, source, ret)
				       : field_get(s->field, source, ret);
}

static char *any(char *p, const struct json_step *s, const struct field_source *source)
{
	struct field_value v;
	enum field_kind kind = get(s, source, &v);

	if (kind == FIELD_NONE)
		return NULL;
	if (kind == FIELD_SAFE && s->op == JSON_OP_STRING)
		return text_bytes(p, v.bytes, v.len);
	if (kind == FIELD_U64 && s->op == JSON_OP_NUMBER)
		return text_u64(p, v.number);
	p = json_op_write((enum json_op)s->op, kind, &v, source->record, p);
	return p - json_op_behind((enum json_op)s->op);
}

static bool is_none(const struct json_step *s, const struct field_source *source)
{
	struct field_value v;

	return get(s, source, &v) == FIELD_NONE;
}

/* All of the line but its rest; NULL: it is another one. */
static char *write_values(const struct json_plan *plan, const struct json_line *line,
	const char **text, const struct field_source *source, char *p)
{
	const struct json_value *v = (const struct json_value *)*text, *end = v + line->values;
	const char *at = (const char *)end, *address = p, *address_end = p;

	for (; v < end; v++) {
		const void *from = (const char *)source->base[v->of] + v->offset;
		uint64_t n;

		if (v->how > HOW_NONE)
			__builtin_unreachable();
		switch ((enum how)v->how) {
		case HOW_U16:
			n = *(const uint16_t *)from;
			break;
		case HOW_U32:
			n = *(const uint32_t *)from;
			break;
		case HOW_U64:
			n = *(const uint64_t *)from;
			break;
		case HOW_NO_U16:
			if (*(const uint16_t *)from)
				return NULL;
			continue;
		case HOW_NO_U32:
			if (*(const uint32_t *)from)
				return NULL;
			continue;
		case HOW_NO_U64:
			if (*(const uint64_t *)from)
				return NULL;
			continue;
		case HOW_ALWAYS_U16:
			p = text_u64(piece(p, &at, v->len), *(const uint16_t *)from);
			continue;
		case HOW_ALWAYS_U64:
			p = text_u64(piece(p, &at, v->len), *(const uint64_t *)from);
			continue;
		case HOW_TIME:
			p = text_time_utc(piece(p, &at, v->len), *(const uint64_t *)from);
			continue;
		case HOW_ADDRESS:
			address = p = piece(p, &at, v->len);
			address_end = p = text_address(p, from, source->record->family);
			continue;
		case HOW_AGAIN:
			p = piece(p, &at, v->len);
			p = text_bytes(p, address, (size_t)(address_end - address));
			continue;
		case HOW_ANY:
			p = any(piece(p, &at, v->len), plan->step + v->step, source);
			if (!p)
				return NULL;
			continue;
		case HOW_NONE:
			if (!is_none(plan->step + v->step, source))
				return NULL;
			continue;
		}
		if (!n)
			return NULL;
		p = text_u64(piece(p, &at, v->len), n);
	}
	*text = at;
	return p;
}

char *json_line_repeat(struct json_plan *plan, const struct json_kind *kind,
	const struct field_source *source, char *p, bool *ret_keep)
{
	uint32_t hash = hash_of(kind);
	const struct json_line *line = find(plan->line[hash % JSON_LINE_SETS], kind);
	const char *text = line ? known_bytes_get(&plan->lines, line->pos) : NULL;
	struct json_seen *seen;

	if (text)
		p = write_values(plan, line, &text, source, p);
	if (text && p) {
		plan->repeated++;
		return piece(p, &text, line->rest);
	}
	seen = &plan->seen[hash % JSON_LINE_SETS];
	if (seen->hash != hash)
		*seen = (struct json_seen){.hash = hash};
	*ret_keep = ++seen->times % JSON_LINE_TIMES == 0;
	return NULL;
}

/* Keeping ----------------------------------------------------------------------------------- */

/* In the place of the oldest, or of one of the same kind. */
static struct json_line *place_of(struct json_plan *plan, const struct json_kind *kind)
{
	struct json_line *set = plan->line[hash_of(kind) % JSON_LINE_SETS], *oldest = set;

	for (unsigned i = 0; i < JSON_LINE_WAYS; i++) {
		if (is_same(&set[i].kind, kind))
			return &set[i];
		if (set[i].pos < oldest->pos)
			oldest = &set[i];
	}
	return oldest;
}

static enum how how_none(const struct json_step *s)
{
	if (s->none)
		return HOW_NONE;
	switch ((enum json_run)s->run) {
	case JSON_RUN_U16:
		return HOW_NO_U16;
	case JSON_RUN_U32:
		return HOW_NO_U32;
	case JSON_RUN_U64:
		return HOW_NO_U64;
	default:
		return HOW_NONE;
	}
}

static enum how how_of(const struct json_step *s)
{
	switch ((enum json_run)s->run) {
	case JSON_RUN_U16:
		if (s->none == UINT32_MAX)
			return HOW_ALWAYS_U16;
		return s->none ? HOW_ANY : HOW_U16;
	case JSON_RUN_U32:
		return s->none ? HOW_ANY : HOW_U32;
	case JSON_RUN_U64:
		return s->none ? HOW_ANY : HOW_U64;
	case JSON_RUN_ALWAYS:
		return HOW_ALWAYS_U64;
	case JSON_RUN_READ:
		return s->op == JSON_OP_RFC3339 && s->from == FIELD_FROM_ALWAYS ? HOW_TIME
										: HOW_ANY;
	case JSON_RUN_ADDRESS:
		return HOW_ADDRESS;
	case JSON_RUN_AGAIN:
		return HOW_AGAIN;
	default:
		return HOW_ANY;
	}
}

void json_line_keep(struct json_plan *plan, const struct json_kind *kind,
	const struct json_trace *trace, const char *end)
{
	const size_t len = (size_t)(end - trace->from);
	/* Whole values: the next line's begin where this one ends. */
	size_t size = (trace->values + (len + PIECE) / sizeof(struct json_value) + 1) *
		      sizeof(struct json_value);
	struct json_line *line = place_of(plan, kind);
	uint32_t at = 0;
	char *list, *text;

	line->values = 0;
	if (size > KNOWN_MOST || !trace->values)
		return;
	list = known_bytes_put(&plan->lines, size, &line->pos);
	text = list + trace->values * sizeof(struct json_value);
	for (unsigned i = 0; i < trace->values; i++) {
		const struct json_step *s = &plan->step[trace->value[i].step];
		struct json_value v = {.how = (uint8_t)how_none(s),
			.of = s->of,
			.offset = s->offset,
			.step = trace->value[i].step};

		if (trace->value[i].is_there) {
			v.how = (uint8_t)how_of(s);
			v.len = (uint16_t)(trace->value[i].begin - at);
			text = text_bytes(text, trace->from + at, v.len);
			at = trace->value[i].end;
		}
		memcpy(list, &v, sizeof(v));
		list += sizeof(v);
	}
	line->rest = (uint32_t)len - at;
	memcpy(text, trace->from + at, line->rest);
	memset(text + line->rest, 0, PIECE);
	line->kind = *kind;
	line->values = trace->values;
}
