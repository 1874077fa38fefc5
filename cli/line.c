/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of output files back into records. json-c is used here alone. */
#include "cli/line.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/line-set.h"
#include "sink/fields-internal.h"
#include "sink/format.h"

/* One line, however it is written: a JSON tree, or Zeek's columns. */
struct line {
	enum field_format format;
	struct json_object *json; /* NULL: columns */
	const struct line_reader *reader;
	char **cell;
	size_t cells;
	struct record *record;
};

/* The text of a JSON string with U+FFFD and two digits as the byte they stand for. */
static size_t restore(const char *s, size_t len, char *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned byte;

		if (i + 4 < len && !memcmp(s + i, "\xef\xbf\xbd", 3) &&
			sscanf((char[]){s[i + 3], s[i + 4], 0}, "%2x", &byte) == 1) {
			ret[n++] = (char)byte;
			i += 4;
		} else {
			ret[n++] = s[i];
		}
	}
	return n;
}

/* A cell of Zeek's with \xHH and \\ as the bytes they stand for. */
static size_t unescape(const char *s, char *ret)
{
	size_t n = 0;

	while (*s) {
		unsigned byte;

		if (s[0] == '\\' && s[1] == 'x' && s[2] && s[3] &&
			sscanf((char[]){s[2], s[3], 0}, "%2x", &byte) == 1) {
			ret[n++] = (char)byte;
			s += 4;
			continue;
		}
		s += s[0] == '\\' && s[1] == '\\';
		ret[n++] = *s++;
	}
	ret[n] = '\0';
	return n;
}

static struct json_object *json_at(struct json_object *o, const char *path)
{
	char name[128];

	while (o && *path) {
		size_t len = strcspn(path, ".");
		bool list = len > 2 && !memcmp(path + len - 2, "[]", 2);

		if (len >= sizeof(name))
			return NULL;
		snprintf(name, sizeof(name), "%.*s", (int)(list ? len - 2 : len), path);
		if (!json_object_is_type(o, json_type_object) ||
			!json_object_object_get_ex(o, name, &o))
			return NULL;
		if (list)
			o = json_object_is_type(o, json_type_array)
				    ? json_object_array_get_idx(o, 0)
				    : NULL;
		path += len + (path[len] == '.');
	}
	return o;
}

static struct json_object *json_of(const struct line *l, const char *path)
{
	struct json_object *o = NULL;

	if (l->format == FIELD_ECS || l->format == FIELD_OCSF)
		return json_at(l->json, path);
	json_object_object_get_ex(l->json, path, &o);
	return o;
}

/* The value at @path as text, items of a list joined by @join. 0: there is none. */
static size_t text_of(const struct line *l, const char *path, char join, char *buf, size_t size)
{
	struct json_object *o;
	size_t n = 0;

	if (!l->json) {
		for (size_t i = 0; i < l->cells && i < l->reader->columns; i++)
			if (!strcmp(l->reader->column[i], path) && strcmp(l->cell[i], "-") &&
				strcmp(l->cell[i], "(empty)") && strlen(l->cell[i]) < size)
				return unescape(l->cell[i], buf);
		return 0;
	}
	o = json_of(l, path);
	if (!o)
		return 0;
	/* What stands for all that is not known. */
	if (l->format == FIELD_SYSMON && json_object_is_type(o, json_type_string) &&
		!strcmp(json_object_get_string(o), "-"))
		return 0;
	for (size_t i = 0;
		!json_object_is_type(o, json_type_array) ? i < 1 : i < json_object_array_length(o);
		i++) {
		struct json_object *item = json_object_is_type(o, json_type_array)
						   ? json_object_array_get_idx(o, i)
						   : o;
		const char *s = json_object_get_string(item);
		size_t len = s ? strlen(s) : 0;

		if (json_object_is_type(item, json_type_string))
			len = (size_t)json_object_get_string_len(item);
		if (!s || n + len + 1 >= size)
			break;
		n += restore(s, len, buf + n);
		if (join == '\0' || (json_object_is_type(o, json_type_array) &&
					    i + 1 < json_object_array_length(o)))
			buf[n++] = join;
	}
	buf[n] = '\0';
	return n;
}

static void set_field(const struct line *l, const struct field *f)
{
	static char buf[65536];
	const char *path = f->in[l->format].path;
	struct record *r = l->record;
	bool ingress = r->direction == RECORD_INGRESS, pids = f->from == FIELD_FROM_PIDS;
	bool list = pids || f->from == FIELD_FROM_LIST;
	void *base = r;
	size_t len;

	if (!path || f->of == FIELD_OF_CONTEXT || f->from == FIELD_FROM_CONSTANT)
		return;
	if (f->of == FIELD_OF_PROCESS)
		base = ingress ? &r->resp : &r->orig;
	else if (f->of == FIELD_OF_RESPONDER)
		base = &r->resp;
	len = text_of(l, path, list ? '\0' : ',', buf, sizeof(buf));
	if (!len)
		return;
	/* A command line as one text: its blanks are all that is left of its arguments. */
	for (size_t i = 0; list && f->in[l->format].as == FIELD_AS_COMMAND && i < len; i++)
		buf[i] = buf[i] == ' ' ? '\0' : buf[i];
	/* A column's elements. */
	for (size_t i = 0; pids && !l->json && i < len; i++)
		buf[i] = buf[i] == ',' ? '\0' : buf[i];
	len += pids && !l->json; /* the NUL behind the last one */
	if (f->of == FIELD_OF_RECORD)
		r->flags |= f->need & (RECORD_FLAG_ORIG_BYTES | RECORD_FLAG_RESP_BYTES);
	line_set(l->format, f, r, base, buf, len);
}

/* Who opened it, and what the line is about: before all else. */
static bool set_kind(struct line *l)
{
	static const uint8_t by_id[] = {RECORD_DIRECTION_UNKNOWN, RECORD_INGRESS, RECORD_EGRESS,
		RECORD_DIRECTION_UNKNOWN, RECORD_LOCAL};
	struct record *r = l->record;
	char s[64] = "";
	unsigned long n;

	r->event = RECORD_END;
	switch (l->format) {
	case FIELD_ECS:
		text_of(l, "event.action", ',', s, sizeof(s));
		r->event = 0;
		for (unsigned e = RECORD_START; e <= RECORD_SUMMARY; e++)
			if (!strcmp(s + (strncmp(s, "connection_", 11) ? 0 : 11),
				    record_event_name(e)))
				r->event = (uint8_t)e;
		break;
	case FIELD_OCSF:
		text_of(l, "activity_id", ',', s, sizeof(s));
		r->event = *s == '1' ? RECORD_START : *s == '6' ? RECORD_INFO : RECORD_END;
		if (text_of(l, "connection_info.direction_id", ',', s, sizeof(s))) {
			n = strtoul(s, NULL, 10);
			r->direction = n < sizeof(by_id) ? by_id[n] : by_id[0];
		}
		break;
	case FIELD_SYSMON:
		r->event = RECORD_START;
		text_of(l, "Initiated", ',', s, sizeof(s));
		r->direction = strcmp(s, "true") ? RECORD_INGRESS : RECORD_EGRESS;
		break;
	case FIELD_ZEEK:
		if (text_of(l, "connections", ',', s, sizeof(s)))
			r->event = RECORD_SUMMARY;
		break;
	case FIELD_TEXT:
	case FIELD_PCAPNG:
	case FIELD_FORMATS:
		break;
	}
	set_field(l, field_find("direction", 9));
	return r->event != 0;
}

static int read_line(struct line *l, struct record *r)
{
	memset(r, 0, offsetof(struct record, strings));
	l->record = r;
	r->version = RECORD_VERSION;
	r->family = 4;
	r->connections = 1;
	r->orig.uid = r->orig.gid = r->orig.ruid = r->orig.loginuid = UINT32_MAX;
	r->resp.uid = r->resp.gid = r->resp.ruid = r->resp.loginuid = UINT32_MAX;
	if (!set_kind(l))
		return LINE_E_UNKNOWN;
	for (unsigned i = 0; field_at(i); i++)
		set_field(l, field_at(i));
	if (!r->t_ns)
		r->t_ns = r->start_ns;
	if (r->end_ns < r->start_ns)
		r->end_ns = r->start_ns;
	return format_check(r, record_size(r)) ? LINE_E_UNKNOWN : 0;
}

static int read_json(struct line_reader *reader, const char *text, size_t len, struct record *ret)
{
	struct json_tokener *t = json_tokener_new();
	struct line l = {.reader = reader};
	int r = LINE_E_UNKNOWN;

	if (!t)
		return -ENOMEM;
	l.json = json_tokener_parse_ex(t, text, (int)len);
	if (json_object_is_type(l.json, json_type_object)) {
		l.format = json_object_object_get_ex(l.json, "@timestamp", NULL)  ? FIELD_ECS
			   : json_object_object_get_ex(l.json, "class_uid", NULL) ? FIELD_OCSF
			   : json_object_object_get_ex(l.json, "id.orig_h", NULL) ? FIELD_ZEEK
			   : json_object_object_get_ex(l.json, "UtcTime", NULL)   ? FIELD_SYSMON
										  : FIELD_FORMATS;
		if (l.format != FIELD_FORMATS)
			r = read_line(&l, ret);
	}
	json_object_put(l.json);
	json_tokener_free(t);
	return r;
}

/* Cuts @text at its tabs. */
static size_t cut(char *text, char **cell)
{
	size_t n = 0;

	for (char *s; n < LINE_COLUMNS_MAX && (s = strsep(&text, "\t"));)
		cell[n++] = s;
	return n;
}

static int read_columns(
	struct line_reader *reader, const char *text, size_t len, struct record *ret)
{
	char *cell[LINE_COLUMNS_MAX], *copy = strndup(text, len);
	struct line l = {.format = FIELD_ZEEK, .reader = reader, .cell = cell};
	int r;

	if (!copy)
		return -ENOMEM;
	l.cells = cut(copy, cell);
	r = l.cells == reader->columns ? read_line(&l, ret) : LINE_E_UNKNOWN;
	free(copy);
	return r;
}

int line_read(struct line_reader *l, const char *line, size_t len, struct record *ret)
{
	if (!len)
		return LINE_E_NOTHING;
	if (*line == '{')
		return read_json(l, line, len, ret);
	if (len > 8 && !memcmp(line, "#fields\t", 8)) {
		free(l->header);
		l->header = strndup(line + 8, len - 8);
		if (!l->header)
			return -ENOMEM;
		l->columns = cut(l->header, (char **)l->column);
	}
	if (*line == '#')
		return LINE_E_NOTHING;
	return l->columns ? read_columns(l, line, len, ret) : LINE_E_UNKNOWN;
}

void line_reader_deinit(struct line_reader *l)
{
	free(l->header);
}
