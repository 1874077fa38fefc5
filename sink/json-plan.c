/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiles a JSON format from the table of fields.
 *
 * Every member ends with a comma, which the end of its object turns into the closing brace; an
 * object that still ends with its opening brace has no members and is taken back.
 */
#include "sink/json-plan.h"

#include <stdlib.h>
#include <string.h>

#include "sink/fields-internal.h"
#include "sink/json-plan-internal.h"
#include "sink/json.h"

struct compiler {
	struct json_plan *plan;
	const struct format_context *ctx;
	const struct field *rows[JSON_PLAN_STEPS];
	bool done[JSON_PLAN_STEPS];
	size_t n;
};

static void put(struct json_plan *plan, const char *bytes, size_t len)
{
	if (plan->used + len > JSON_PLAN_BYTES)
		abort(); /* the table has outgrown the constant */
	memcpy(plan->bytes + plan->used, bytes, len);
	plan->used = (uint16_t)(plan->used + len);
}

static struct json_step *push(struct json_plan *plan, enum json_op op)
{
	struct json_step *s = &plan->step[plan->n];

	if (plan->n++ == JSON_PLAN_STEPS)
		abort(); /* the same */
	*s = (struct json_step){.op = (uint8_t)op, .text = plan->used, .next = plan->n};
	return s;
}

static const char *path_of(const struct compiler *c, const struct field *f)
{
	return f->in[c->plan->style.column].path;
}

/* What has a fixed way of being written, whatever its type. */
static enum json_op op_of_as(const struct json_plan_style *style, const struct field *f)
{
	switch ((enum field_as)f->in[style->column].as) {
	case FIELD_AS_TYPE:
	case FIELD_AS_LASTING:
		break;
	case FIELD_AS_QUOTED:
		return JSON_OP_QUOTED;
	case FIELD_AS_NUMBER:
		return JSON_OP_NUMBER;
	case FIELD_AS_HEX:
		return JSON_OP_HEX;
	case FIELD_AS_JSON:
		return JSON_OP_JSON;
	case FIELD_AS_COMMAND:
		return JSON_OP_COMMAND;
	case FIELD_AS_DATA:
		return JSON_OP_DATA;
	case FIELD_AS_ADDRESSES:
		return JSON_OP_ADDRESSES;
	case FIELD_AS_TITLE:
		return JSON_OP_TITLE;
	}
	return JSON_OP_OPEN;
}

static enum json_op op_of(const struct json_plan_style *style, const struct field *f)
{
	static const enum json_op times[] = {[JSON_PLAN_RFC3339] = JSON_OP_RFC3339,
		[JSON_PLAN_MILLISECONDS] = JSON_OP_MILLISECONDS,
		[JSON_PLAN_SECONDS] = JSON_OP_SECONDS,
		[JSON_PLAN_SPACED] = JSON_OP_SPACED};
	enum json_op op = op_of_as(style, f);

	if (op != JSON_OP_OPEN)
		return op;
	switch ((enum field_type)f->type) {
	case FIELD_STRING:
		return JSON_OP_STRING;
	case FIELD_NUMBER:
	case FIELD_PORT:
		return JSON_OP_NUMBER;
	case FIELD_IP:
		return JSON_OP_ADDRESS;
	case FIELD_TIME:
		return times[style->time];
	case FIELD_DURATION:
		return style->time == JSON_PLAN_RFC3339 ? JSON_OP_NUMBER : times[style->time];
	case FIELD_BOOLEAN:
		return JSON_OP_BOOLEAN;
	case FIELD_ID:
		return style->quoted_ids ? JSON_OP_QUOTED : JSON_OP_NUMBER;
	case FIELD_STRINGS:
		return JSON_OP_LIST;
	case FIELD_NUMBERS:
		return JSON_OP_NUMBERS;
	case FIELD_TYPES:
		break;
	}
	abort();
}

/* The key with what its value begins with. */
static void put_key(struct json_plan *plan, const char *key, size_t len, enum json_op op)
{
	const char *begin = json_op_begin(op);

	put(plan, "\"", 1);
	put(plan, key, len);
	put(plan, "\":", 2);
	put(plan, begin, strlen(begin));
}

static void set_missing(
	const struct json_plan *plan, struct json_step *s, uint32_t need, uint8_t events)
{
	s->events = events;
	s->missing = (plan->style.absent ? 0 : need) | (uint32_t)~events << JSON_MISSING_EVENT;
}

/* Joins a constant with one right in front of it. */
static void join(struct json_plan *plan)
{
	struct json_step *last = &plan->step[plan->n - 1], *before = last - 1;

	if (plan->n < 2 || before->op != JSON_OP_COPY || before->events != last->events ||
		before->text + before->len != last->text)
		return;
	before->len = (uint16_t)(before->len + last->len);
	plan->n--;
}

/* A value that no record changes. */
static void constant(struct compiler *c, const struct field *f, const char *key, size_t len)
{
	static const struct record none = {.version = RECORD_VERSION, .event = RECORD_START};
	struct json_plan *plan = c->plan;
	enum json_op op = op_of(&plan->style, f);
	struct json_step *s = push(plan, JSON_OP_COPY);
	struct field always = *f;
	struct field_source source;
	struct field_value v;
	enum field_kind kind;
	char *end;

	always.events = FIELD_EVENT(RECORD_START);
	field_source_init(&source, &none, c->ctx);
	kind = field_get(&always, &source, &v);
	if (kind == FIELD_NONE) {
		plan->n--;
		return;
	}
	put_key(plan, key, len, op);
	if (plan->used + v.len * ESCAPE_EXPANSION + 2 > JSON_PLAN_BYTES)
		abort();
	end = json_op_write(op, kind, &v, &none, plan->bytes + plan->used);
	plan->used = (uint16_t)(end - plan->bytes);
	s->len = (uint16_t)(plan->used - s->text);
	set_missing(plan, s, 0, field_events(f));
	join(plan);
}

static void value(struct compiler *c, const struct field *f, const char *key, size_t len)
{
	struct json_plan *plan = c->plan;
	struct json_step *s;

	if (f->of == FIELD_OF_CONTEXT || f->from == FIELD_FROM_CONSTANT) {
		constant(c, f, key, len);
		return;
	}
	s = push(plan, op_of(&plan->style, f));
	put_key(plan, key, len, s->op);
	s->field = f;
	s->len = (uint16_t)(plan->used - s->text);
	s->of = f->of;
	s->from = f->from;
	s->offset = f->offset;
	s->none = f->none;
	set_missing(plan, s,
		f->need | FIELD_HAVE_AT_ALL |
			(f->in[plan->style.column].as == FIELD_AS_LASTING ? FIELD_HAVE_LASTING : 0),
		field_events(f));
}

/* What all members need is needed for the object. */
static void sum_up(struct json_plan *plan, size_t open)
{
	struct json_step *o = &plan->step[open];
	uint32_t need = plan->step[open + 1].missing;
	uint8_t events = 0;

	o->of = plan->step[open + 1].of;
	for (size_t i = open + 1; i < plan->n; i = plan->step[i].next) {
		const struct json_step *s = &plan->step[i];

		events |= s->events;
		need = s->of == o->of ? need & s->missing : 0;
	}
	set_missing(plan, o, need & JSON_MISSING_HAVE, events);
}

static void close_object(struct json_plan *plan, size_t open, bool list)
{
	struct json_step *o = &plan->step[open];

	if (plan->n == open + 1) {
		plan->n--;
		return;
	}
	sum_up(plan, open);
	if (plan->n == open + 2 && o[1].op == JSON_OP_COPY && !list) {
		plan->bytes[plan->used - 1] = '}';
		put(plan, ",", 1);
		o->len = (uint16_t)(plan->used - o->text);
		o->op = JSON_OP_COPY;
		plan->n--;
		join(plan);
		return;
	}
	/* Reached only from inside. */
	push(plan, list ? JSON_OP_CLOSE_LIST : JSON_OP_CLOSE);
	o->next = plan->n;
}

/* All rows whose path begins with the @len bytes of @prefix. */
static void members(struct compiler *c, const char *prefix, size_t len, unsigned depth)
{
	if (depth > JSON_PLAN_DEPTH)
		abort();
	for (size_t i = 0; i < c->n; i++) {
		const char *path = path_of(c, c->rows[i]), *key = path + len, *dot;
		size_t open = c->plan->n;
		bool list;

		if (c->done[i] || strncmp(path, prefix, len) != 0)
			continue;
		dot = c->plan->style.flat ? NULL : strchr(key, '.');
		if (!dot) {
			c->done[i] = true;
			value(c, c->rows[i], key, strlen(key));
			continue;
		}
		list = dot - key > 2 && dot[-1] == ']';
		push(c->plan, JSON_OP_OPEN);
		put_key(c->plan, key, (size_t)(dot - key) - (list ? 2 : 0),
			list ? JSON_OP_CLOSE_LIST : JSON_OP_OPEN);
		c->plan->step[open].len = (uint16_t)(c->plan->used - c->plan->step[open].text);
		members(c, path, (size_t)(dot + 1 - path), depth + 1);
		close_object(c->plan, open, list);
	}
}

static unsigned order_of(const struct compiler *c, const struct field *f)
{
	unsigned order = f->in[c->plan->style.column].order;

	return c->plan->style.ordered && order ? order : UINT8_MAX + 1;
}

/* Sorted in, behind those of the same order. */
static void add_row(struct compiler *c, const struct field *f)
{
	size_t at = c->n++;

	for (; at && order_of(c, c->rows[at - 1]) > order_of(c, f); at--)
		c->rows[at] = c->rows[at - 1];
	c->rows[at] = f;
}

void json_plan_compile(struct json_plan *plan, const struct json_plan_style *style,
	const struct format_context *ctx)
{
	struct compiler c = {.plan = plan, .ctx = ctx};
	const struct field *f;

	plan->style = *style;
	plan->n = plan->used = 0;
	for (unsigned i = 0; (f = field_at(i)); i++)
		if (f->in[style->column].path)
			add_row(&c, f);
	members(&c, "", 0, 0);
}
