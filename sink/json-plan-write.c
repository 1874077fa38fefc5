/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a compiled JSON format: copies what is ready and writes values. */
#include <string.h>

#include "sink/fields-internal.h"
#include "sink/json-plan-internal.h"
#include "sink/json.h"

const char *json_op_begin(enum json_op op)
{
	switch (op) {
	case JSON_OP_OPEN:
		return "{";
	case JSON_OP_OPEN_LIST:
		return "[{";
	case JSON_OP_STRING:
	case JSON_OP_QUOTED:
	case JSON_OP_HEX:
	case JSON_OP_ADDRESS:
	case JSON_OP_TITLE:
	case JSON_OP_RFC3339:
	case JSON_OP_SPACED:
	case JSON_OP_COMMAND:
		return "\"";
	case JSON_OP_LIST:
	case JSON_OP_NUMBERS:
	case JSON_OP_DATA:
	case JSON_OP_ADDRESSES:
		return "[";
	case JSON_OP_NUMBER:
	case JSON_OP_BOOLEAN:
	case JSON_OP_MILLISECONDS:
	case JSON_OP_SECONDS:
	case JSON_OP_JSON:
		break;
	}
	return "";
}

/*
 * Keys are short: two pieces of 16 bytes are cheaper than a call, and what is too much is written
 * over.
 */
static inline char *copy(char *p, const char *bytes, size_t len)
{
	memcpy(p, bytes, 16);
	memcpy(p + 16, bytes + 16, 16);
	if (len > 32)
		memcpy(p + 32, bytes + 32, len - 32);
	return p + len;
}

/* Letters, digits and _@%+=:,./- mean themselves to a shell. */
static bool is_shell_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '+' && c <= ':') || (c >= 'A' && c <= 'Z') ||
	       c == '_' || c == '=' || c == '@' || c == '%';
}

/* One argument the way a POSIX shell would read it back. */
static char *shell_word(char *p, const char *arg, size_t len)
{
	size_t plain = 0;

	while (plain < len && is_shell_plain(arg[plain]))
		plain++;
	if (len && plain == len)
		return text_bytes(p, arg, len);
	*p++ = '\'';
	for (;;) {
		const char *quote = memchr(arg, '\'', len);
		size_t n = quote ? (size_t)(quote - arg) : len;

		p = escape_json(p, arg, n);
		if (!quote)
			break;
		p = text_lit(p, "'\\\\''");
		arg += n + 1;
		len -= n + 1;
	}
	*p++ = '\'';
	return p;
}

static char *command(char *p, const struct field_value *v)
{
	const char *arg;
	size_t pos = 0, len;

	while ((arg = format_next_arg(v->bytes, v->len, &pos, &len))) {
		if (arg != v->bytes)
			*p++ = ' ';
		p = shell_word(p, arg, len);
	}
	return p;
}

/* Names of ancestors, the parent first, or their pids. */
static char *ancestors(char *p, const struct record *r, const struct field_value *v, bool pids)
{
	struct record_str s = {(uint16_t)(v->bytes - r->strings), (uint16_t)v->len};
	const char *name;
	size_t pos = 0, len;
	uint32_t pid;

	while ((name = record_next_ancestor(r, s, &pos, &pid, &len))) {
		p = pids ? text_u64(p, pid) : json_quote_foreign(p, name, len);
		*p++ = ',';
	}
	return p;
}

static char *commas(char *p, enum json_op op, const struct field_value *v)
{
	const char *at = v->bytes, *end = at + v->len;

	for (; at < end; at++) {
		size_t len = field_comma_item(at, end);

		if (len && op == JSON_OP_DATA) {
			p = json_quote_foreign(text_lit(p, "{\"data\":"), at, len);
			p = text_lit(p, "},");
		} else if (len && (op != JSON_OP_ADDRESSES || field_is_address(at, len))) {
			p = json_quote_foreign(p, at, len);
			*p++ = ',';
		}
		at += len;
	}
	return p;
}

/* Items, each with a comma behind it; the last one's is taken back. */
static char *list(char *p, enum json_op op, enum field_kind kind, const struct field_value *v,
	const struct record *r)
{
	char *from = p;

	if (kind == FIELD_PIDS) {
		p = ancestors(p, r, v, op == JSON_OP_NUMBERS);
	} else if (kind == FIELD_COMMAS) {
		p = commas(p, op, v);
	} else {
		const char *item;
		size_t pos = 0, len;

		while ((item = format_next_arg(v->bytes, v->len, &pos, &len))) {
			p = json_quote_foreign(p, item, len);
			*p++ = ',';
		}
	}
	if (p != from)
		p--;
	return text_lit(p, "],");
}

static char *string(char *p, enum field_kind kind, const struct field_value *v)
{
	p = kind == FIELD_SAFE ? text_bytes(p, v->bytes, v->len) : escape_json(p, v->bytes, v->len);
	return text_lit(p, "\",");
}

/* Times and durations in seconds, to the microsecond. */
static char *seconds(char *p, uint64_t ns)
{
	p = text_u64(p, ns / 1000000000);
	*p++ = '.';
	return text_u64_padded(p, ns % 1000000000 / 1000, 6);
}

/* 2026-01-01 00:00:00.000 */
static char *spaced(char *p, uint64_t t_ns)
{
	text_time_utc(p, t_ns);
	p[10] = ' ';
	return p + 23;
}

/* What is written of a number, by those ways that are of numbers. */
static char *write_number(enum json_op op, uint64_t v, char *p)
{
	switch (op) {
	case JSON_OP_NUMBER:
		p = text_u64(p, v);
		break;
	case JSON_OP_QUOTED:
		return text_lit(text_u64(p, v), "\",");
	case JSON_OP_HEX:
		return text_lit(text_hex64(p, v), "\",");
	case JSON_OP_BOOLEAN:
		p = v ? text_lit(p, "true") : text_lit(p, "false");
		break;
	case JSON_OP_TITLE:
		return v ? text_lit(p, "true\",") : text_lit(p, "false\",");
	case JSON_OP_RFC3339:
		return text_lit(text_time_utc(p, v), "\",");
	case JSON_OP_MILLISECONDS:
		p = text_u64(p, v / 1000000);
		break;
	case JSON_OP_SECONDS:
		p = seconds(p, v);
		break;
	case JSON_OP_SPACED:
		return text_lit(spaced(p, v), "\",");
	case JSON_OP_OPEN:
	case JSON_OP_OPEN_LIST:
	case JSON_OP_STRING:
	case JSON_OP_ADDRESS:
	case JSON_OP_LIST:
	case JSON_OP_NUMBERS:
	case JSON_OP_COMMAND:
	case JSON_OP_DATA:
	case JSON_OP_ADDRESSES:
	case JSON_OP_JSON:
		return p;
	}
	*p++ = ',';
	return p;
}

/* Inlined where it counts: the saving of registers would cost as much as the writing. */
static inline __attribute__((always_inline)) char *write_value(enum json_op op,
	enum field_kind kind, const struct field_value *v, const struct record *r, char *p)
{
	switch (op) {
	case JSON_OP_STRING:
		return string(p, kind, v);
	case JSON_OP_ADDRESS:
		p = text_address(p, (const uint8_t *)v->bytes, v->family);
		return text_lit(p, "\",");
	case JSON_OP_LIST:
	case JSON_OP_NUMBERS:
	case JSON_OP_DATA:
	case JSON_OP_ADDRESSES:
		return list(p, op, kind, v, r);
	case JSON_OP_COMMAND:
		return text_lit(command(p, v), "\",");
	case JSON_OP_JSON:
		return text_lit(text_bytes(p, v->bytes, v->len), ",");
	case JSON_OP_NUMBER:
	case JSON_OP_QUOTED:
	case JSON_OP_HEX:
	case JSON_OP_BOOLEAN:
	case JSON_OP_TITLE:
	case JSON_OP_RFC3339:
	case JSON_OP_MILLISECONDS:
	case JSON_OP_SECONDS:
	case JSON_OP_SPACED:
		return write_number(op, v->number, p);
	case JSON_OP_OPEN:
	case JSON_OP_OPEN_LIST:
		break;
	}
	return p;
}

char *json_op_write(enum json_op op, enum field_kind kind, const struct field_value *v,
	const struct record *r, char *p)
{
	return write_value(op, kind, v, r, p);
}

/* What stands for a value that is not there, its key before it. */
static char *absent(char *p, const struct json_plan *plan, const struct json_step *s)
{
	p = copy(p, plan->bytes + s->text, s->len);
	if (*json_op_begin((enum json_op)s->op) != '"')
		return text_lit(p, "0,");
	return text_lit(text_str(p, plan->style.absent), "\",");
}

static inline char *key_of(char *p, const struct json_plan *plan, const struct json_step *s)
{
	return copy(p, plan->bytes + s->text, s->len);
}

/* The string that ends right here, once more. */
static inline char *again(char *p, const struct json_plan *plan, const struct json_step *s)
{
	const char *end = p - 2, *value = end;

	while (value[-1] != '"')
		value--;
	p = key_of(p, plan, s);
	return text_bytes(p, value, (size_t)(end - value) + 2);
}

static inline const void *at_of(const struct json_step *s, const struct field_source *source)
{
	return (const char *)source->base[s->of] + s->offset;
}

static inline char *decimal(
	char *p, const struct json_plan *plan, const struct json_step *s, uint64_t v)
{
	p = text_u64(key_of(p, plan, s), v);
	*p++ = ',';
	return p;
}

static inline char *decimal_known(
	char *p, const struct json_plan *plan, const struct json_step *s, uint64_t v)
{
	return v == s->none ? p : decimal(p, plan, s, v);
}

static inline char *word(
	char *p, const struct json_plan *plan, const struct json_step *s, const void *at)
{
	const struct json_word *w = &plan->word[s->text + *(const uint8_t *)at];

	return w->len ? copy(p, plan->bytes + w->text, w->len) : p;
}

static inline char *foreign(char *p, const struct json_plan *plan, const struct json_step *s,
	const struct record *r, const void *at)
{
	const struct record_str *str = at;

	if (!str->len)
		return p;
	p = escape_json(key_of(p, plan, s), record_get_str(r, *str), str->len);
	return text_lit(p, "\",");
}

static char *number(
	char *p, const struct json_plan *plan, const struct json_step *s, const void *at)
{
	uint64_t v;

	if (s->from == FIELD_FROM_U8)
		v = *(const uint8_t *)at;
	else if (s->from == FIELD_FROM_U16)
		v = *(const uint16_t *)at;
	else if (s->from == FIELD_FROM_U32)
		v = *(const uint32_t *)at;
	else
		v = *(const uint64_t *)at;
	if (v == s->none && s->from != FIELD_FROM_ALWAYS)
		return p;
	return write_number((enum json_op)s->op, v, key_of(p, plan, s));
}

/* field_entity_id(); all that no record changes stands before it. */
static char *entity(char *p, const struct json_plan *plan, const struct json_step *s,
	const struct record_process *o)
{
	if (!o->start_ns)
		return p;
	p = text_u64(key_of(p, plan, s), o->pid);
	*p++ = '-';
	return text_lit(text_u64(p, o->start_ns), "\",");
}

static inline __attribute__((always_inline)) char *any(char *p, const struct json_plan *plan,
	const struct json_step *s, const struct field_source *source)
{
	struct field_value v;
	enum field_kind kind = s->run == JSON_RUN_CALL ? s->field->call(s->field, source, &v)
						       : field_get(s->field, source, &v);

	if (kind == FIELD_NONE)
		return p;
	return write_value((enum json_op)s->op, kind, &v, source->record, key_of(p, plan, s));
}

/* Where every key stands in every line. */
static char *value_or_absent(char *p, const struct json_plan *plan, const struct json_step *s,
	const struct field_source *source)
{
	struct field_value v;
	enum field_kind kind = field_get(s->field, source, &v);

	if (kind == FIELD_NONE)
		return absent(p, plan, s);
	p = copy(p, plan->bytes + s->text, s->len);
	return json_op_write((enum json_op)s->op, kind, &v, source->record, p);
}

/* The comma behind the last member becomes the brace; an object without members goes. */
static char *close_object(char *p, char *opened, bool is_list)
{
	if (p[-1] == '{')
		return opened;
	p[-1] = '}';
	return is_list ? text_lit(p, "],") : text_lit(p, ",");
}

static void states(const struct field_source *source, uint64_t ret_state[FIELD_OFS])
{
	for (unsigned i = 0; i < FIELD_OFS; i++)
		ret_state[i] = (~(uint64_t)source->have[i] & JSON_MISSING_HAVE) |
			       (uint64_t)source->event << JSON_MISSING_EVENT;
}

/* Copies the next text of a process. */
static char *part(char *p, struct json_parts *parts)
{
	size_t len = *parts->len++;

	p = text_bytes(p, parts->text, len);
	parts->text += len;
	return p;
}

/* All of a section: the number in its middle is written anew. */
static char *section(char *p, const struct json_plan *plan, const struct json_step *s,
	struct json_parts *parts, const struct field_source *source)
{
	const struct json_step *hole = &plan->step[s->text];

	p = part(p, parts);
	if (!s->text)
		return p;
	p = decimal_known(p, plan, hole, *(const uint64_t *)at_of(hole, source));
	return part(p - 1, parts);
}

static void part_begins(struct json_parts *parts, const char *p)
{
	if (parts->n < JSON_PLAN_PARTS)
		parts->part[parts->n].from = p;
}

static void part_ends(struct json_parts *parts, const char *p)
{
	if (parts->n == JSON_PLAN_PARTS)
		return;
	parts->part[parts->n].len = (size_t)(p - parts->part[parts->n].from);
	parts->part[parts->n].last = p[-1];
	parts->n++;
}

/* The value of @s, if there was one, is what stands between @before and @p. */
static inline void trace_step(struct json_trace *t, const struct json_plan *plan,
	const struct json_step *s, const char *before, const char *p)
{
	uint16_t i = (uint16_t)(s - plan->step);

	if (!plan->anew[i])
		return;
	t->value[t->values].step = i;
	t->value[t->values].is_there = p != before;
	t->value[t->values].begin = (uint32_t)(before - t->from) + s->len;
	t->value[t->values].end = (uint32_t)(p - t->from) - json_op_behind((enum json_op)s->op);
	t->values++;
}

/* All steps; the place behind what they have written. Inlined for each of two callers. */
static inline __attribute__((always_inline)) char *run_steps(const struct json_plan *plan,
	const struct field_source *source, struct json_parts parts[2], struct json_trace *trace,
	char *p)
{
	const struct json_step *s = plan->step;
	char *opened[JSON_PLAN_DEPTH] = {NULL}, **top = opened;
	const struct record *r = source->record;
	uint64_t state[FIELD_OFS];

	states(source, state);
	for (;; s++) {
		const char *before = p;

		while (s->missing & state[s->of])
			s = plan->step + s->next;
		if (s->run > JSON_RUN_SECTION_END)
			__builtin_unreachable();
		switch ((enum json_run)s->run) {
		case JSON_RUN_OPEN:
			*top++ = p;
			p = key_of(p, plan, s);
			break;
		case JSON_RUN_COPY:
			p = key_of(p, plan, s);
			break;
		case JSON_RUN_CLOSE:
		case JSON_RUN_CLOSE_LIST:
			p = close_object(p, *--top, s->run == JSON_RUN_CLOSE_LIST);
			break;
		case JSON_RUN_WORD:
			p = word(p, plan, s, at_of(s, source));
			break;
		case JSON_RUN_STR:
			p = foreign(p, plan, s, r, at_of(s, source));
			break;
		case JSON_RUN_ADDRESS:
			p = text_address(key_of(p, plan, s), at_of(s, source), r->family);
			p = text_lit(p, "\",");
			break;
		case JSON_RUN_AGAIN:
			p = again(p, plan, s);
			break;
		case JSON_RUN_U16:
			p = decimal_known(p, plan, s, *(const uint16_t *)at_of(s, source));
			break;
		case JSON_RUN_U32:
			p = decimal_known(p, plan, s, *(const uint32_t *)at_of(s, source));
			break;
		case JSON_RUN_U64:
			p = decimal_known(p, plan, s, *(const uint64_t *)at_of(s, source));
			break;
		case JSON_RUN_ALWAYS:
			p = decimal(p, plan, s, *(const uint64_t *)at_of(s, source));
			break;
		case JSON_RUN_READ:
			p = number(p, plan, s, at_of(s, source));
			break;
		case JSON_RUN_ENTITY:
			p = entity(p, plan, s, source->base[s->of]);
			break;
		case JSON_RUN_CALL:
		case JSON_RUN_GET:
			p = any(p, plan, s, source);
			break;
		case JSON_RUN_ABSENT:
			p = value_or_absent(p, plan, s, source);
			break;
		case JSON_RUN_SECTION:
			if (parts[s->op].text) {
				p = section(p, plan, s, &parts[s->op], source);
				s = plan->step + s->next - 1;
			} else {
				part_begins(&parts[s->op], p);
			}
			break;
		case JSON_RUN_HOLE:
		case JSON_RUN_SECTION_END:
			part_ends(&parts[s->op], p);
			break;
		case JSON_RUN_HOLE_END:
			part_begins(&parts[s->op], p - 1);
			break;
		case JSON_RUN_END:
			return p;
		}
		if (trace)
			trace_step(trace, plan, s, before, p);
	}
}

static char *end_line(char *p)
{
	p[-1] = '}';
	*p++ = '\n';
	return p;
}

/* A line that is to be kept is written step by step. */
static __attribute__((noinline)) char *write_traced(struct json_plan *plan,
	const struct json_kind *kind, const struct field_source *source, char *p)
{
	struct json_parts parts[2] = {{.n = JSON_PLAN_PARTS}, {.n = JSON_PLAN_PARTS}};
	struct json_trace trace = {.from = p};

	*p++ = '{';
	p = end_line(run_steps(plan, source, parts, &trace, p));
	json_line_keep(plan, kind, &trace, source, p);
	return p;
}

char *json_plan_write(struct json_plan *plan, const struct record *r, const struct known_ends *ends,
	const struct format_context *ctx, char *p)
{
	const struct known_end *process;
	struct json_parts parts[2];
	struct field_source source;
	struct json_kind kind;
	char *end;

	field_source_init(&source, r, ctx);
	if (json_line_kind(&source, ends, &kind)) {
		bool keep;

		end = json_line_repeat(plan, &kind, &source, p, &keep);
		if (end)
			return end;
		if (keep)
			return write_traced(plan, &kind, &source, p);
	}
	process = source.base[FIELD_OF_PROCESS] == &r->orig ? &ends->orig : &ends->resp;
	json_parts_begin(&parts[0], plan, 0, process);
	json_parts_begin(&parts[1], plan, 1, &ends->resp);
	*p++ = '{';
	end = end_line(run_steps(plan, &source, parts, NULL, p));
	json_parts_end(&parts[0], plan, 0, process);
	json_parts_end(&parts[1], plan, 1, &ends->resp);
	return end;
}
