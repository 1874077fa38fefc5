/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps lines of a compiled JSON format, and makes the next one of the same kind by copying all but
 * the values that differ.
 *
 * A kind is what is known of the processes at both ends, what happened, and what the record has at
 * all. What a step writes is then the same as in the line kept, or, if it is marked so, its value
 * is compared with the one kept, and written anew if it is another. Whether there is a value
 * decides what stands around it: if that differs from the line kept, another one must be made.
 */
#include <string.h>

#include "sink/escape.h"
#include "sink/fields-internal.h"
#include "sink/json-plan-internal.h"
#include "sink/text.h"

#define PIECE 32u /* bytes copied at least: what is too much is written over */

/* How a value is compared with the one kept, and written anew if it is another. */
enum how {
	HOW_U16, /* numbers in decimal; 0 is no value, */
	HOW_U32,
	HOW_U64,
	HOW_ALWAYS_U16, /* or is one, too */
	HOW_ALWAYS_U64,
	HOW_SUM,
	HOW_SPAN,
	HOW_TIME,
	HOW_ADDRESS, /* the one kept has the next struct json_value's place */
	HOW_STR,     /* foreign bytes */
	HOW_FOUND,   /* what that step's field has: a number, */
	HOW_ANY,     /* anything, */
	HOW_NONE,    /* nothing */
};

/* A value in the text kept. */
struct json_value {
	uint64_t number; /* HOW_STR: whether nothing of it had to be escaped */
	uint8_t how;
	uint16_t at; /* in the record; a step from HOW_FOUND on */
	uint16_t begin, end;
};

_Static_assert(sizeof(struct json_value) == 16, "an address");
_Static_assert(sizeof(struct record) <= UINT16_MAX, "`at` holds every place in it");

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
	case FIELD_FROM_SUM:
	case FIELD_FROM_SPAN:
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

/* Copies what is between @from and @to. */
static inline char *copy(char *p, const char *from, const char *to)
{
	size_t len = (size_t)(to - from);

	memcpy(p, from, PIECE);
	if (len > PIECE)
		memcpy(p + PIECE, from + PIECE, PIECE);
	if (len > 2 * PIECE)
		memcpy(p + 2 * PIECE, from + 2 * PIECE, len - 2 * PIECE);
	return p + len;
}

static inline enum field_kind get(
	const struct json_step *s, const struct field_source *source, struct field_value *ret)
{
	return s->run == JSON_RUN_CALL ? s->field->call(s->field, source, ret)
				       : field_get(s->field, source, ret);
}

/* Whether all of it is there as it is. */
static inline bool is_plain(
	const struct record *r, const struct record_str *str, const char *text, size_t len)
{
	return str->len == len && !memcmp(record_get_str(r, *str), text, len);
}

/*
 * Writes a value behind what is between @from and @begin, unless it is the one kept; then @p is
 * returned. NULL: there is none, or one only now. First of foreign bytes,
 */
static char *foreign(char *p, const struct json_value *v, const struct record *r,
	const struct record_str *str, const char *from, const char *begin)
{
	if (v->number && is_plain(r, str, begin, (size_t)(v->end - v->begin)))
		return p;
	if (!str->len)
		return NULL;
	return escape_json(copy(p, from, begin), record_get_str(r, *str), str->len);
}

/* then what a step finds. */
static char *found(char *p, const struct json_value *v, const struct json_step *s,
	const struct field_source *source, const char *from, const char *begin)
{
	struct field_value f;
	enum field_kind kind = get(s, source, &f);

	if ((v->how == HOW_NONE) != (kind == FIELD_NONE))
		return NULL;
	if (kind == FIELD_NONE ||
		(v->how == HOW_FOUND && kind == FIELD_U64 && f.number == v->number))
		return p;
	p = copy(p, from, begin);
	if (kind == FIELD_SAFE && s->op == JSON_OP_STRING)
		return text_bytes(p, f.bytes, f.len);
	if (kind == FIELD_U64 && s->op == JSON_OP_NUMBER)
		return text_u64(p, f.number);
	p = json_op_write((enum json_op)s->op, kind, &f, source->record, p);
	return p - json_op_behind((enum json_op)s->op);
}

/* The line; NULL: it is another one. */
static char *write_values(const struct json_plan *plan, const struct json_line *line,
	const char *kept, const struct field_source *source, char *p)
{
	const struct json_value *v = (const struct json_value *)(const void *)kept;
	const struct json_value *end = v + line->values;
	const char *const text = (const char *)end, *from = text; /* up to here it is written */
	const struct record *r = source->record;

	for (; v < end; v++) {
		const void *at = (const char *)r + v->at;
		const char *begin = text + v->begin;
		const enum how how = (enum how)v->how;
		uint64_t n;
		char *next;

		if (how > HOW_NONE)
			__builtin_unreachable();
		switch (how) {
		case HOW_U16:
		case HOW_ALWAYS_U16:
			n = *(const uint16_t *)at;
			break;
		case HOW_U32:
			n = *(const uint32_t *)at;
			break;
		case HOW_U64:
		case HOW_ALWAYS_U64:
			n = *(const uint64_t *)at;
			break;
		case HOW_SUM:
			n = field_sum(at);
			break;
		case HOW_SPAN:
			n = field_span(at);
			break;
		case HOW_TIME:
			p = text_time_utc(copy(p, from, begin), *(const uint64_t *)at);
			from = text + v->end;
			continue;
		case HOW_ADDRESS:
			if (memcmp(++v, at, sizeof(*v)) == 0)
				continue;
			p = text_address(copy(p, from, begin), at, r->family);
			from = text + v[-1].end;
			continue;
		case HOW_STR:
		case HOW_FOUND:
		case HOW_ANY:
		case HOW_NONE:
			next = how == HOW_STR
				       ? foreign(p, v, r, at, from, begin)
				       : found(p, v, plan->step + v->at, source, from, begin);
			if (!next)
				return NULL;
			if (next != p)
				from = text + v->end;
			p = next;
			continue;
		}
		if (n == v->number)
			continue;
		if (how < HOW_ALWAYS_U16 && (!n || !v->number))
			return NULL;
		p = text_u64(copy(p, from, begin), n);
		from = text + v->end;
	}
	return copy(p, from, text + line->len);
}

char *json_line_repeat(struct json_plan *plan, const struct json_kind *kind,
	const struct field_source *source, char *p, bool *ret_keep)
{
	uint32_t hash = hash_of(kind);
	const struct json_line *line = find(plan->line[hash % JSON_LINE_SETS], kind);
	const char *kept = line ? known_bytes_get(&plan->lines, line->pos) : NULL;
	struct json_seen *seen;

	if (kept)
		p = write_values(plan, line, kept, source, p);
	if (kept && p) {
		plan->repeated++;
		return p;
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

static enum how how_of(const struct json_step *s)
{
	if (s->op == JSON_OP_NUMBER && s->from == FIELD_FROM_SUM)
		return HOW_SUM;
	if (s->op == JSON_OP_NUMBER && s->from == FIELD_FROM_SPAN)
		return HOW_SPAN;
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
	case JSON_RUN_AGAIN:
		return HOW_ADDRESS;
	case JSON_RUN_STR:
		return HOW_STR;
	default:
		return HOW_ANY;
	}
}

/* A value that is not there: is it still? */
static void set_none(struct json_value *v, const struct json_step *s)
{
	v->how = (uint8_t)how_of(s);
	if (v->how == HOW_STR) {
		v->how = HOW_U16;
		v->at = (uint16_t)(v->at + offsetof(struct record_str, len));
	} else if (v->how > HOW_U64) {
		v->how = HOW_NONE;
	}
}

/* What is compared with the next one's. @text: the line. */
static void set_value(struct json_value *v, const struct json_step *s,
	const struct field_source *source, const char *text)
{
	const void *at = (const char *)source->record + v->at;
	struct field_value f;

	v->how = (uint8_t)how_of(s);
	switch ((enum how)v->how) {
	case HOW_U16:
	case HOW_ALWAYS_U16:
		v->number = *(const uint16_t *)at;
		return;
	case HOW_U32:
		v->number = *(const uint32_t *)at;
		return;
	case HOW_U64:
	case HOW_ALWAYS_U64:
		v->number = *(const uint64_t *)at;
		return;
	case HOW_SUM:
		v->number = field_sum(at);
		return;
	case HOW_SPAN:
		v->number = field_span(at);
		return;
	case HOW_STR:
		v->number =
			is_plain(source->record, at, text + v->begin, (size_t)(v->end - v->begin));
		return;
	case HOW_ANY:
		if (get(s, source, &f) == FIELD_U64) {
			v->how = HOW_FOUND;
			v->number = f.number;
		}
		return;
	case HOW_TIME:
	case HOW_ADDRESS:
	case HOW_FOUND:
	case HOW_NONE:
		return;
	}
}

/* The values of @trace at @list; how many there are. */
static unsigned put_values(const struct json_plan *plan, const struct json_trace *trace,
	const struct field_source *source, struct json_value *list)
{
	struct json_value *v = list;

	for (unsigned i = 0; i < trace->values; i++, v++) {
		uint16_t step = trace->value[i].step;
		const struct json_step *s = &plan->step[step];
		const char *from = (const char *)source->base[s->of] + s->offset;

		*v = (struct json_value){.at = (uint16_t)(from - (const char *)source->record)};
		if (trace->value[i].is_there) {
			v->begin = (uint16_t)trace->value[i].begin;
			v->end = (uint16_t)trace->value[i].end;
			set_value(v, s, source, trace->from);
		} else {
			set_none(v, s);
		}
		if (v->how >= HOW_FOUND)
			v->at = step;
		if (v->how == HOW_ADDRESS)
			memcpy(++v, from, sizeof(*v));
	}
	return (unsigned)(v - list);
}

void json_line_keep(struct json_plan *plan, const struct json_kind *kind,
	const struct json_trace *trace, const struct field_source *source, const char *end)
{
	struct json_value list[2 * JSON_PLAN_STEPS];
	const unsigned values = put_values(plan, trace, source, list);
	const size_t len = (size_t)(end - trace->from);
	/* Whole values: the next line's begin where this one ends. */
	size_t size = (values + (len + 2 * PIECE) / sizeof(list[0]) + 1) * sizeof(list[0]);
	struct json_line *line = place_of(plan, kind);
	char *to;

	line->values = 0;
	if (size > KNOWN_MOST || !values)
		return;
	to = known_bytes_put(&plan->lines, size, &line->pos);
	to = text_bytes(to, (const char *)list, values * sizeof(list[0]));
	to = text_bytes(to, trace->from, len);
	memset(to, 0, 2 * PIECE);
	line->kind = *kind;
	line->values = values;
	line->len = (uint32_t)len;
}
