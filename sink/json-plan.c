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

static struct json_step *push(struct json_plan *plan, enum json_run run)
{
	struct json_step *s = &plan->step[plan->n];

	if (plan->n++ == JSON_PLAN_STEPS)
		abort(); /* the same */
	*s = (struct json_step){.run = (uint8_t)run, .text = plan->used, .next = plan->n};
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
	const struct json_plan *plan, struct json_step *s, uint64_t need, uint8_t events)
{
	s->missing = (plan->style.absent ? 0 : need) | (uint64_t)(uint8_t)~events
							       << JSON_MISSING_EVENT;
}

static uint8_t events_of(const struct json_step *s)
{
	return (uint8_t) ~(s->missing >> JSON_MISSING_EVENT);
}

/* Joins a constant with one right in front of it. */
static void join(struct json_plan *plan)
{
	struct json_step *last = &plan->step[plan->n - 1], *before = last - 1;

	if (plan->n < 2 || before->run != JSON_RUN_COPY || before->missing != last->missing ||
		before->of != last->of || before->text + before->len != last->text)
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
	struct json_step *s = push(plan, JSON_RUN_COPY);
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

/* All members that a field of few values can be. */
static void words(struct json_plan *plan, struct json_step *s, const char *key, size_t len)
{
	const struct field *f = s->field;

	s->text = plan->n_words;
	for (unsigned v = 0; v < f->words; v++) {
		struct json_word *w = &plan->word[plan->n_words];
		const char *name = v == f->none ? "" : f->word(v);

		if (plan->n_words++ == JSON_PLAN_WORDS)
			abort(); /* the table has outgrown the constant */
		*w = (struct json_word){.text = plan->used};
		if (!*name)
			continue;
		put_key(plan, key, len, JSON_OP_STRING);
		put(plan, name, strlen(name));
		put(plan, "\",", 2);
		w->len = (uint16_t)(plan->used - w->text);
	}
}

static enum json_run run_of(const struct json_plan *plan, const struct field *f, enum json_op op)
{
	bool decimal = op == JSON_OP_NUMBER;

	if (plan->style.absent)
		return JSON_RUN_ABSENT;
	switch ((enum field_from)f->from) {
	case FIELD_FROM_U8:
		return JSON_RUN_READ;
	case FIELD_FROM_U16:
		return decimal ? JSON_RUN_U16 : JSON_RUN_READ;
	case FIELD_FROM_U32:
		return decimal ? JSON_RUN_U32 : JSON_RUN_READ;
	case FIELD_FROM_U64:
		return decimal ? JSON_RUN_U64 : JSON_RUN_READ;
	case FIELD_FROM_ALWAYS:
		return decimal ? JSON_RUN_ALWAYS : JSON_RUN_READ;
	case FIELD_FROM_STR:
		return op == JSON_OP_STRING ? JSON_RUN_STR : JSON_RUN_GET;
	case FIELD_FROM_WORD:
		return op == JSON_OP_STRING ? JSON_RUN_WORD : JSON_RUN_GET;
	case FIELD_FROM_ADDRESS:
		return op == JSON_OP_ADDRESS ? JSON_RUN_ADDRESS : JSON_RUN_GET;
	case FIELD_FROM_TRUE:
		return JSON_RUN_COPY;
	case FIELD_FROM_CALL:
		return f->call == field_entity_id && op == JSON_OP_STRING ? JSON_RUN_ENTITY
									  : JSON_RUN_CALL;
	case FIELD_FROM_CONSTANT:
	case FIELD_FROM_SUM:
	case FIELD_FROM_SPAN:
	case FIELD_FROM_LIST:
	case FIELD_FROM_PIDS:
	case FIELD_FROM_COMMAS:
	case FIELD_FROM_CONTEXT:
		break;
	}
	return JSON_RUN_GET;
}

/* What every id of a process begins with. */
static void put_boot(struct json_plan *plan, const struct format_context *ctx)
{
	const char *boot = ctx ? ctx->boot_id : "";
	char text[sizeof(ctx->boot_id) * ESCAPE_EXPANSION];

	put(plan, text,
		(size_t)(escape_json(text, boot, strnlen(boot, sizeof(ctx->boot_id))) - text));
	put(plan, "-", 1);
}

static void value(struct compiler *c, const struct field *f, const char *key, size_t len)
{
	const struct field_value yes = {.number = 1};
	struct json_plan *plan = c->plan;
	enum json_op op = op_of(&plan->style, f);
	struct json_step *s;

	if (f->of == FIELD_OF_CONTEXT || f->from == FIELD_FROM_CONSTANT) {
		constant(c, f, key, len);
		return;
	}
	s = push(plan, run_of(plan, f, op));
	s->field = f;
	s->op = op;
	s->of = f->of;
	s->from = f->from;
	s->offset = f->offset;
	s->none = f->none;
	set_missing(plan, s,
		f->need | FIELD_HAVE_AT_ALL |
			(f->in[plan->style.column].as == FIELD_AS_LASTING ? FIELD_HAVE_LASTING : 0),
		field_events(f));
	if (s->run == JSON_RUN_ADDRESS && s > plan->step && s[-1].run == JSON_RUN_ADDRESS &&
		s[-1].offset == s->offset && s[-1].missing == s->missing)
		s->run = JSON_RUN_AGAIN;
	if (s->run == JSON_RUN_WORD) {
		words(plan, s, key, len);
		return;
	}
	put_key(plan, key, len, op);
	if (s->run == JSON_RUN_COPY) {
		char text[8];

		put(plan, text, (size_t)(json_op_write(op, FIELD_U64, &yes, NULL, text) - text));
	}
	if (s->run == JSON_RUN_ENTITY)
		put_boot(plan, c->ctx);
	s->len = (uint16_t)(plan->used - s->text);
}

/* What all members need is needed for the object. */
static void sum_up(struct json_plan *plan, size_t open)
{
	struct json_step *o = &plan->step[open];
	uint64_t need = plan->step[open + 1].missing;
	uint8_t events = 0;

	o->of = plan->step[open + 1].of;
	for (size_t i = open + 1; i < plan->n; i = plan->step[i].next) {
		const struct json_step *s = &plan->step[i];

		events |= events_of(s);
		need = s->of == o->of ? need & s->missing : 0;
	}
	set_missing(plan, o, need & JSON_MISSING_HAVE, events);
}

static void close_object(struct json_plan *plan, size_t open, bool list)
{
	struct json_step *o = &plan->step[open];

	if (plan->n == open + 1) {
		/* Its key as well: what comes next is joined to what was before it. */
		plan->used = o->text;
		plan->n--;
		return;
	}
	sum_up(plan, open);
	if (plan->n == open + 2 && o[1].run == JSON_RUN_COPY && !list) {
		plan->bytes[plan->used - 1] = '}';
		put(plan, ",", 1);
		o->len = (uint16_t)(plan->used - o->text);
		o->run = JSON_RUN_COPY;
		plan->n--;
		join(plan);
		return;
	}
	/* Reached only from inside. */
	push(plan, list ? JSON_RUN_CLOSE_LIST : JSON_RUN_CLOSE);
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
		push(c->plan, JSON_RUN_OPEN);
		put_key(c->plan, key, (size_t)(dot - key) - (list ? 2 : 0),
			list ? JSON_OP_OPEN_LIST : JSON_OP_OPEN);
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
	plan->n = plan->used = plan->n_words = 0;
	for (unsigned i = 0; (f = field_at(i)); i++)
		if (f->in[style->column].path)
			add_row(&c, f);
	members(&c, "", 0, 0);
	if (!style->absent)
		json_plan_mark(plan);
	plan->step[plan->n] = (struct json_step){.run = JSON_RUN_END};
	json_line_mark(plan);
}
