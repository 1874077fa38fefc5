/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads YAML text into a configuration, from libyaml's events.
 *
 * libyaml looks ahead and has steps whose cost grows with the square of what it holds, so that
 * a small file can keep it busy for minutes (100 KB of "[" take 16 s). Here each event is checked
 * as it arrives and the first thing the schema does not want ends the work: what libyaml ever holds
 * is a few levels and one scalar. Directives, the one list it builds before the first event, are
 * refused before it starts.
 */
#include "config/yaml.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <yaml.h>

#include "config/error.h"
#include "config/outputs.h"
#include "config/text.h"
#include "config/value.h"

struct reader {
	yaml_parser_t parser;
	yaml_event_t event; /* the current one, deleted by the next advance() */
	struct config *config;
	struct config_error *err;
	const char *source, *text;
	size_t len;
	bool lines; /* complaints carry line and column */
	unsigned depth;
	size_t section_line[SCHEMA_SECTIONS_MAX];
	size_t key_line[SCHEMA_KEYS_MAX]; /* where each key was first set, from 1; 0 = not yet */
	char path[80];                    /* where the reader is, for complaints */
};

static int complain_at(struct reader *r, yaml_mark_t mark, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int complain_at(struct reader *r, yaml_mark_t mark, const char *format, ...)
{
	const struct error_place place = {r->source, r->lines ? mark.line + 1 : 0, mark.column + 1};
	char what[sizeof(r->err->text)];
	va_list ap;

	va_start(ap, format);
	vsnprintf(what, sizeof(what), format, ap);
	va_end(ap);
	return error_complain(r->err, &place, r->path, "%s", what);
}

#define complain(r, ...) complain_at(r, (r)->event.start_mark, __VA_ARGS__)

/* The byte at the mark's index, which libyaml counts in characters; 0 behind the end. */
static char byte_at(const struct reader *r, size_t index)
{
	size_t at = 0;

	while (index-- && at < r->len) {
		uint32_t code;

		at += text_utf8(r->text + at, r->len - at, &code) ?: 1;
	}
	return at < r->len ? r->text[at] : '\0';
}

static int syntax_error(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	const char *context = p->context ? p->context : "";

	if (p->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (p->error != YAML_READER_ERROR && byte_at(r, p->problem_mark.index) == '\t')
		return complain_at(r, p->problem_mark,
			"is not valid YAML: a tab cannot indent or start a value; use spaces");
	return complain_at(r, p->problem_mark, "is not valid YAML: %s%s%s",
		p->problem ? p->problem : "unreadable", context[0] ? " " : "", context);
}

/* Makes the next event the current one, with the checks that hold everywhere in a document. */
static int advance(struct reader *r)
{
	const yaml_char_t *anchor = NULL, *tag = NULL;

	yaml_event_delete(&r->event);
	if (!yaml_parser_parse(&r->parser, &r->event))
		return syntax_error(r);
	switch (r->event.type) {
	case YAML_ALIAS_EVENT:
		return complain(r, "aliases are not supported; write the value out");
	case YAML_SCALAR_EVENT:
		anchor = r->event.data.scalar.anchor;
		tag = r->event.data.scalar.tag;
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = r->event.data.sequence_start.anchor;
		tag = r->event.data.sequence_start.tag;
		r->depth++;
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = r->event.data.mapping_start.anchor;
		tag = r->event.data.mapping_start.tag;
		r->depth++;
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		r->depth--;
		break;
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_START_EVENT:
	case YAML_DOCUMENT_END_EVENT:
		break;
	}
	if (r->depth > CONFIG_DEPTH_MAX)
		return complain(r, "is nested deeper than %u levels", CONFIG_DEPTH_MAX);
	if (anchor)
		return complain(
			r, "anchors are not supported; write the value out where it is needed");
	if (tag)
		return complain(r, "tags are not supported");
	return 0;
}

/* The current event is not what belongs here: says what it is instead. */
static int wrong_type(struct reader *r, const char *expects)
{
	const bool list = r->event.type == YAML_SEQUENCE_START_EVENT;
	const yaml_mark_t mark = r->event.start_mark;

	/* A run of openings tells a file that is nested without sense from a plain mistake. */
	while (r->event.type == YAML_SEQUENCE_START_EVENT ||
		r->event.type == YAML_MAPPING_START_EVENT) {
		if (advance(r))
			return r->depth > CONFIG_DEPTH_MAX
				       ? CONFIG_E_INVALID
				       : complain_at(r, mark, "expects %s, not a %s", expects,
						 list ? "list" : "mapping");
	}
	return complain_at(r, mark, "expects %s, not a %s", expects, list ? "list" : "mapping");
}

static bool is_null(const struct reader *r)
{
	static const char *const words[] = {"", "~", "null", "Null", "NULL"};
	const char *value = (const char *)r->event.data.scalar.value;

	if (r->event.type != YAML_SCALAR_EVENT ||
		r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(words[i], value) == 0)
			return true;
	}
	return false;
}

static int invalid(struct reader *r, int result, const struct value_complaint *why)
{
	return result == CONFIG_E_INVALID ? complain(r, "%s", why->text) : result;
}

/* Appends the key that is the current event to the path: cut, but enough to find it. */
static void enter(struct reader *r, size_t path_len)
{
	const char *name = (const char *)r->event.data.scalar.value;

	if (path_len)
		r->path[path_len++] = '.';
	text_escape(
		r->path + path_len, sizeof(r->path) - path_len, name, r->event.data.scalar.length);
}

static int unknown(struct reader *r, const char *what, const char *meant)
{
	if (meant)
		return complain(r, "unknown %s (did you mean \"%s\"?)", what, meant);
	return complain(r, "unknown %s", what);
}

static int first_time(struct reader *r, size_t *line, const char *what)
{
	if (*line)
		return complain(r, "duplicate %s, already on line %zu", what, *line);
	*line = r->event.start_mark.line + 1;
	return 0;
}

/*
 * The place of the byte @column (from 1) of the scalar that is the current event; false if escapes
 * or line ends make that hard to say.
 */
static bool find_byte(const struct reader *r, size_t column, yaml_mark_t *ret)
{
	const yaml_event_t *e = &r->event;
	const char *value = (const char *)e->data.scalar.value;
	size_t quotes = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? 0 : 1;
	size_t chars = 0, before = 0;

	for (size_t at = 0; at < e->data.scalar.length; chars++) {
		uint32_t code;

		before += at < column - 1;
		at += text_utf8(value + at, e->data.scalar.length - at, &code) ?: 1;
	}
	if (!r->lines || e->start_mark.line != e->end_mark.line ||
		e->data.scalar.style == YAML_LITERAL_SCALAR_STYLE ||
		e->data.scalar.style == YAML_FOLDED_SCALAR_STYLE ||
		e->end_mark.index - e->start_mark.index != chars + 2 * quotes)
		return false;
	*ret = e->start_mark;
	ret->column += quotes + before;
	return true;
}

/* What only the sink understands: a text of an output. */
static int check_text(struct reader *r, const struct schema_key *k)
{
	const struct config_checks *checks = r->config->checks;
	const char *value = (const char *)r->event.data.scalar.value;
	struct config_complaint why = {0};
	yaml_mark_t mark;
	int result;

	if (!checks || k < schema_output_keys || k >= schema_output_keys + schema_n_output_keys)
		return 0;
	result = checks->text(k->name, value, &why);
	if (result != CONFIG_E_INVALID)
		return result;
	if (!why.column)
		return complain(r, "%s", why.text);
	if (find_byte(r, why.column, &mark))
		return complain_at(r, mark, "%s", why.text);
	return complain(r, "%s: column %zu: %s", text_quote(value, strlen(value)).text, why.column,
		why.text);
}

static int read_value(struct reader *r, void *base, const struct schema_key *k);

/* A mapping of an output's keys whose START is current, up to and including its end. */
static int read_output(struct reader *r, struct config_outputs *list)
{
	const yaml_mark_t start = r->event.start_mark;
	const size_t path_len = strlen(r->path);
	size_t line[SCHEMA_OUTPUT_KEYS_MAX] = {0};
	struct value_complaint why;
	struct config_output o;
	int result = outputs_init(&o);

	while (!result && !(result = advance(r)) && r->event.type != YAML_MAPPING_END_EVENT) {
		const char *name = (const char *)r->event.data.scalar.value;
		int k;

		if (r->event.type != YAML_SCALAR_EVENT) {
			result = wrong_type(r, "a key");
			break;
		}
		enter(r, path_len);
		k = schema_find_output(name, r->event.data.scalar.length);
		if (k < 0)
			result = unknown(
				r, "key", schema_suggest_output(name, r->event.data.scalar.length));
		else
			result = first_time(r, &line[k], "key");
		if (!result)
			result = advance(r);
		if (!result)
			result = read_value(r, &o, &schema_output_keys[k]);
		if (!result)
			r->path[path_len] = '\0';
	}
	if (!result) {
		result = outputs_append(list, &o, &why);
		if (!result)
			result = outputs_check(r->config->checks, list, &why);
		if (result == CONFIG_E_INVALID)
			result = complain_at(r, start, "%s", why.text);
	}
	outputs_deinit(&o);
	return result;
}

/* One entry of a list: the current event and what belongs to it. */
static int read_entry(struct reader *r, const struct schema_key *k, union value_list *list)
{
	size_t n = k->type == SCHEMA_OUTPUTS ? list->outputs.n : list->texts.n;
	struct value_complaint why;
	int result;

	if (k->type == SCHEMA_OUTPUTS && r->event.type == YAML_MAPPING_START_EVENT)
		return read_output(r, &list->outputs);
	if (r->event.type != YAML_SCALAR_EVENT)
		return wrong_type(r, k->type == SCHEMA_OUTPUTS ? "texts or mappings as entries"
							       : "texts as entries");
	if (is_null(r))
		return complain(r, "entry %zu has no value", n + 1);
	result = value_append(
		list, k, (char *)r->event.data.scalar.value, r->event.data.scalar.length, &why);
	if (!result && k->type == SCHEMA_OUTPUTS)
		result = outputs_check(r->config->checks, &list->outputs, &why);
	return result ? invalid(r, result, &why) : check_text(r, k);
}

/* The entries of a list whose SEQUENCE_START is current, up to and including its end. */
static int read_list(struct reader *r, void *base, const struct schema_key *k)
{
	const yaml_mark_t start = r->event.start_mark;
	union value_list list = {0};
	struct value_complaint why;
	int result;

	while (!(result = advance(r)) && r->event.type != YAML_SEQUENCE_END_EVENT) {
		result = read_entry(r, k, &list);
		if (result)
			break;
	}
	if (result == 0) {
		result = value_set_list(base, k, &list, &why);
		if (result == CONFIG_E_INVALID)
			result = complain_at(r, start, "%s", why.text);
	}
	value_list_clear(&list, k);
	return result;
}

static int read_value(struct reader *r, void *base, const struct schema_key *k)
{
	const bool list = k->type == SCHEMA_LIST || k->type == SCHEMA_OUTPUTS;
	struct value_complaint why;
	int result;

	if (is_null(r))
		return complain(r, "has no value; expects %s", value_expects(k));
	if (list && r->event.type == YAML_SEQUENCE_START_EVENT)
		return read_list(r, base, k);
	if (r->event.type != YAML_SCALAR_EVENT)
		return wrong_type(r, value_expects(k));
	result = value_set(
		base, k, (char *)r->event.data.scalar.value, r->event.data.scalar.length, &why);
	return result ? invalid(r, result, &why) : check_text(r, k);
}

static int read_key(struct reader *r, const char *section)
{
	const char *name;
	size_t len;
	int k, result;

	if (r->event.type != YAML_SCALAR_EVENT)
		return wrong_type(r, "a key");
	name = (const char *)r->event.data.scalar.value;
	len = r->event.data.scalar.length;
	enter(r, strlen(section));
	k = schema_find(section, name, len);
	if (k < 0)
		return unknown(r, "key", schema_suggest_key(section, name, len));
	result = first_time(r, &r->key_line[k], "key");
	if (result)
		return result;
	result = advance(r);
	return result ? result : read_value(r, r->config, &schema_keys[k]);
}

static int read_section(struct reader *r)
{
	const char *name, *section;
	size_t len;
	int s, result;

	if (r->event.type != YAML_SCALAR_EVENT)
		return wrong_type(r, "a section");
	name = (const char *)r->event.data.scalar.value;
	len = r->event.data.scalar.length;
	enter(r, 0);
	s = schema_find_section(name, len);
	if (s < 0 && schema_find_path(name, len) >= 0)
		return complain(r, "unknown section; write \"%s:\" on a line below \"%.*s:\"",
			strchr(name, '.') + 1, (int)strcspn(name, "."), name);
	if (s < 0)
		return unknown(r, "section", schema_suggest_section(name, len));
	result = first_time(r, &r->section_line[s], "section");
	if (result)
		return result;
	section = schema_sections[s].name;
	result = advance(r);
	if (result || is_null(r)) /* all its keys are commented out */
		return result;
	if (r->event.type == YAML_SCALAR_EVENT)
		return complain(r, "expects keys below it, not a text");
	if (r->event.type != YAML_MAPPING_START_EVENT)
		return wrong_type(r, "keys below it");
	while (!(result = advance(r)) && r->event.type != YAML_MAPPING_END_EVENT) {
		result = read_key(r, section);
		if (result)
			return result;
		snprintf(r->path, sizeof(r->path), "%s", section);
	}
	return result;
}

/* The document whose START is current, up to and including its end. */
static int read_document(struct reader *r)
{
	int result = advance(r);

	if (result)
		return result;
	if (r->event.type == YAML_MAPPING_START_EVENT) {
		while (!(result = advance(r)) && r->event.type != YAML_MAPPING_END_EVENT) {
			result = read_section(r);
			if (result)
				return result;
			r->path[0] = '\0';
		}
	} else if (r->event.type == YAML_SEQUENCE_START_EVENT) {
		return wrong_type(r, "sections such as \"capture:\"");
	} else if (!is_null(r)) {
		return complain(r, "expects sections such as \"capture:\", not a text");
	}
	return result ? result : advance(r);
}

static int read_stream(struct reader *r)
{
	int result = advance(r); /* stream start */

	if (!result)
		result = advance(r);
	if (!result && r->event.type == YAML_DOCUMENT_START_EVENT)
		result = read_document(r);
	if (!result && r->event.type == YAML_DOCUMENT_END_EVENT)
		result = advance(r);
	if (!result && r->event.type == YAML_DOCUMENT_START_EVENT)
		return complain(r, "only one document is supported");
	return result;
}

/* Runs @read over the text. */
static int with_parser(struct reader *r, int (*read)(struct reader *r))
{
	const struct error_place place = {r->source, r->lines, 1};
	int result = yaml_check_text(r->text, r->len, &place, r->path, r->err);

	if (result)
		return result;
	if (!yaml_parser_initialize(&r->parser))
		return -ENOMEM;
	yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r->parser, (const unsigned char *)r->text, r->len);
	result = read(r);
	yaml_event_delete(&r->event);
	yaml_parser_delete(&r->parser);
	return result;
}

int yaml_apply(
	struct config *c, const char *file, const char *text, size_t len, struct config_error *err)
{
	struct reader r = {
		.config = c, .err = err, .source = file, .text = text, .len = len, .lines = true};

	if (len > CONFIG_SIZE_MAX)
		return complain_at(
			&r, (yaml_mark_t){0}, "is larger than %u bytes", CONFIG_SIZE_MAX);
	return with_parser(&r, read_stream);
}

static int read_list_stream(struct reader *r)
{
	const struct schema_key *k = &schema_keys[schema_find_path(r->path, strlen(r->path))];
	int result = 0;

	while (!result && r->event.type != YAML_SEQUENCE_START_EVENT &&
		r->event.type != YAML_STREAM_END_EVENT)
		result = advance(r);
	if (!result && r->event.type == YAML_SEQUENCE_START_EVENT)
		result = read_list(r, r->config, k);
	while (!result && r->event.type != YAML_STREAM_END_EVENT) {
		result = advance(r);
		if (!result && r->event.type == YAML_DOCUMENT_START_EVENT)
			result = complain(r, "only one document is supported");
	}
	return result;
}

int yaml_apply_list(struct config *c, const struct schema_key *k, const char *source,
	const char *text, size_t len, struct config_error *err)
{
	struct reader r = {.config = c, .err = err, .source = source, .text = text, .len = len};

	snprintf(r.path, sizeof(r.path), "%s", k->path);
	return with_parser(&r, read_list_stream);
}
