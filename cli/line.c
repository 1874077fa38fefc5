/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of output files back into records. json-c is used here alone. */
#include "cli/line.h"

#include <arpa/inet.h>
#include <errno.h>
#include <json-c/json.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sink/fields-internal.h"
#include "sink/format.h"

#define WORDS_MAX 64u
#define SECOND_NS UINT64_C(1000000000)

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

/* Seconds with decimals as ns, without rounding. */
static uint64_t seconds(const char *s)
{
	char *end;
	uint64_t ns = strtoull(s, &end, 10) * SECOND_NS, unit = SECOND_NS / 10;

	if (*end == '.')
		for (end++; *end >= '0' && *end <= '9'; end++, unit /= 10)
			ns += (uint64_t)(*end - '0') * unit;
	return ns;
}

static uint64_t time_of(const char *s, enum field_format format)
{
	struct tm tm = {0};
	const char *rest = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
	char fraction[32];

	if (!rest)
		rest = strptime(s, "%Y-%m-%d %H:%M:%S", &tm);
	if (!rest)
		return format == FIELD_OCSF ? strtoull(s, NULL, 10) * 1000000 : seconds(s);
	snprintf(fraction, sizeof(fraction), "0%s", rest);
	return (uint64_t)timegm(&tm) * SECOND_NS + seconds(fraction);
}

static uint64_t number_of(const struct line *l, const struct field *f, const char *s)
{
	if (f->type == FIELD_TIME)
		return time_of(s, l->format);
	if (f->type == FIELD_DURATION && l->format == FIELD_ZEEK)
		return seconds(s);
	if (f->type == FIELD_DURATION && l->format == FIELD_OCSF && !strcmp(f->name, "duration"))
		return strtoull(s, NULL, 10) * 1000000;
	return strtoull(s, NULL, f->in[l->format].as == FIELD_AS_HEX ? 16 : 10);
}

static void set_address(struct record *r, const char *s, uint8_t *ret)
{
	memset(ret, 0, 16);
	r->family = strchr(s, ':') ? 6 : 4;
	if (r->family == 6) {
		inet_pton(AF_INET6, s, ret);
		return;
	}
	ret[10] = ret[11] = 0xff;
	inet_pton(AF_INET, s, ret + 12);
}

/* Sysmon's Image is a path, or a name where there is no path; its User a name or a number. */
static void set_sysmon(struct record *r, const struct field *f, const char *s, size_t len)
{
	struct record_process *o = r->direction == RECORD_INGRESS ? &r->resp : &r->orig;
	const char *name = memrchr(s, '/', len);

	if (!strcmp(f->name, "user_text")) {
		if (strspn(s, "0123456789") == len)
			o->uid = (uint32_t)strtoul(s, NULL, 10);
		else
			record_put_str(r, s, len, &o->user);
		return;
	}
	name = name ? name + 1 : s;
	if (*s == '/')
		record_put_str(r, s, len, &o->exe);
	record_put_str(r, name, len - (size_t)(name - s), &o->name);
}

/* Values that the formats work out, as far as records hold what they are made of. */
static void set_worked_out(const struct line *l, const struct field *f, const char *s, size_t len)
{
	static const struct {
		const char *name;
		uint8_t number;
	} proto[] = {{"tcp", 6}, {"udp", 17}, {"icmp", 1}, {"ipv6-icmp", 58}, {"sctp", 132}};
	struct record *r = l->record;

	if (!strcmp(f->name, "duration"))
		r->end_ns = r->start_ns + number_of(l, f, s);
	else if (!strcmp(f->name, "orig_name") || !strcmp(f->name, "resp_name"))
		record_put_str(r, s, len, &r->name);
	else if (!strncmp(f->name, "interface_", 10))
		record_put_str(r, s, len, &r->ifname);
	else if (!strcmp(f->name, "image") || !strcmp(f->name, "user_text"))
		set_sysmon(r, f, s, len);
	else if (!strcmp(f->name, "history") && len < RECORD_HISTORY_MAX)
		memcpy(r->history, s, len);
	else if (!strcmp(f->name, "proto") || !strcmp(f->name, "zeek_proto"))
		for (size_t i = 0; i < sizeof(proto) / sizeof(proto[0]); i++)
			r->proto =
				strcmp(s, proto[i].name) || r->proto ? r->proto : proto[i].number;
	else if (!strcmp(f->name, "loss_stage"))
		for (uint8_t i = 1; i < 8 && !r->loss_stage; i++)
			r->loss_stage = strcmp(s, record_loss_stage_name(i)) ? 0 : i;
}

static void set(const struct line *l, const struct field *f, void *base, const char *s, size_t len)
{
	char *at = (char *)base + f->offset;
	uint64_t n;

	switch ((enum field_from)f->from) {
	case FIELD_FROM_U8:
		*(uint8_t *)at = (uint8_t)number_of(l, f, s);
		break;
	case FIELD_FROM_U16:
		*(uint16_t *)(void *)at = (uint16_t)number_of(l, f, s);
		break;
	case FIELD_FROM_U32:
		*(uint32_t *)(void *)at = (uint32_t)number_of(l, f, s);
		break;
	case FIELD_FROM_U64:
	case FIELD_FROM_ALWAYS:
		n = number_of(l, f, s);
		memcpy(at, &n, sizeof(n));
		break;
	case FIELD_FROM_STR:
	case FIELD_FROM_LIST:
	case FIELD_FROM_COMMAS:
		if (!((struct record_str *)(void *)at)->len ||
			f->in[l->format].as != FIELD_AS_COMMAND)
			record_put_str(l->record, s, len, (struct record_str *)(void *)at);
		break;
	case FIELD_FROM_ADDRESS:
		set_address(l->record, s, (uint8_t *)at);
		break;
	case FIELD_FROM_WORD:
		for (uint8_t i = 0; i < WORDS_MAX; i++) {
			if (strcmp(f->word(i), s) == 0 && strcmp(s, "invalid") != 0)
				*(uint8_t *)at = i;
		}
		break;
	case FIELD_FROM_CALL:
		set_worked_out(l, f, s, len);
		break;
	case FIELD_FROM_TRUE:
	case FIELD_FROM_PIDS:
	case FIELD_FROM_CONSTANT:
	case FIELD_FROM_CONTEXT:
		break;
	}
}

static void set_field(const struct line *l, const struct field *f)
{
	static char buf[65536];
	const char *path = f->in[l->format].path;
	struct record *r = l->record;
	bool ingress = r->direction == RECORD_INGRESS, list = f->from == FIELD_FROM_LIST;
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
	if (f->of == FIELD_OF_RECORD)
		r->flags |= f->need & (RECORD_FLAG_ORIG_BYTES | RECORD_FLAG_RESP_BYTES);
	set(l, f, base, buf, len);
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
