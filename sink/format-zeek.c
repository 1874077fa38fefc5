/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Zeek's conn.log as tab-separated values, with our columns behind zeek's.
 *
 * One line a connection, when it ends (or is summed up), as zeek does. Columns, their names and
 * types come from the table of fields. Values are escaped as zeek's ASCII writer does: tabs,
 * control characters and invalid UTF-8 byte by byte as \xHH, a backslash doubled, commas inside of
 * sets and vectors, and what would read as "unset" or "empty"; characters that steer a terminal
 * likewise. Sources: base/protocols/conn/main.zeek, src/threading/formatters/Ascii.cc.
 */
#include <string.h>
#include <threads.h>

#include "sink/escape.h"
#include "sink/fields-internal.h"
#include "sink/format.h"
#include "sink/text.h"

#define COLUMNS_MAX 128u
#define EMPTY       "(empty)"

struct column {
	const struct field *field;
	uint8_t as;
	bool needs_duration; /* zeek leaves it out where nothing lasted */
};

static struct column columns[COLUMNS_MAX];
static unsigned n_columns, epoch_column, seq_column;
static once_flag prepared = ONCE_FLAG_INIT;

static void add_column(const struct field *f)
{
	const struct field_in *in = &f->in[FIELD_ZEEK];
	struct column *c = &columns[n_columns];

	if (n_columns == COLUMNS_MAX)
		return;
	c->field = f;
	c->as = in->as;
	c->needs_duration = strcmp(in->path, "duration") == 0 ||
			    strcmp(in->path, "orig_bytes") == 0 ||
			    strcmp(in->path, "resp_bytes") == 0;
	if (strcmp(in->path, "epoch") == 0)
		epoch_column = n_columns;
	if (strcmp(in->path, "seq") == 0)
		seq_column = n_columns;
	n_columns++;
}

/* Zeek's columns in zeek's order, then ours. */
static void prepare(void)
{
	const struct field *f;

	for (unsigned order = 1; order < COLUMNS_MAX; order++)
		for (unsigned i = 0; (f = field_at(i)); i++)
			if (f->in[FIELD_ZEEK].path && f->in[FIELD_ZEEK].order == order)
				add_column(f);
	for (unsigned i = 0; (f = field_at(i)); i++)
		if (f->in[FIELD_ZEEK].path && !f->in[FIELD_ZEEK].order)
			add_column(f);
}

/* Values ------------------------------------------------------------------------------------ */

static char *hex_bytes(char *p, const char *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		p = text_lit(p, "\\x");
		*p++ = digits[(uint8_t)bytes[i] >> 4];
		*p++ = digits[(uint8_t)bytes[i] & 15];
	}
	return p;
}

static char *escape(char *p, const char *bytes, size_t len, bool element)
{
	const char *end = bytes + len;
	const bool any_comma = element && memchr(bytes, ',', len);

	while (bytes < end) {
		size_t n = any_comma ? 0 : escape_plain(p, bytes, (size_t)(end - bytes));
		uint32_t c = 0;

		p += n;
		bytes += n;
		if (bytes == end)
			break;
		n = escape_utf8(bytes, (size_t)(end - bytes), &c);
		if (!n || escape_is_unsafe(c) || (element && c == ','))
			p = hex_bytes(p, bytes, n ? n : (n = 1));
		else if (c == '\\')
			p = text_lit(p, "\\\\");
		else
			p = text_bytes(p, bytes, n);
		bytes += n;
	}
	return p;
}

/* A whole value, or element of one: none that means something else. */
static char *string(char *p, const char *bytes, size_t len, bool element)
{
	size_t first = 0;

	if (!len)
		return text_lit(p, EMPTY);
	if ((len == 1 && *bytes == '-') ||
		(len == sizeof(EMPTY) - 1 && memcmp(bytes, EMPTY, len) == 0)) {
		p = hex_bytes(p, bytes, 1);
		first = 1;
	}
	return escape(p, bytes + first, len - first, element);
}

static char *next_element(char *p, const char *from, const char *bytes, size_t len)
{
	if (p != from)
		*p++ = ',';
	return string(p, bytes, len, true);
}

static char *list(char *p, const struct field_value *v)
{
	const char *from = p, *item;
	size_t pos = 0, len;

	while ((item = format_next_arg(v->bytes, v->len, &pos, &len)))
		p = next_element(p, from, item, len);
	return p;
}

static char *commas(char *p, const struct field_value *v)
{
	const char *from = p, *at = v->bytes, *end = at + v->len;

	for (size_t len; at < end; at += len + 1) {
		len = field_comma_item(at, end);
		p = next_element(p, from, at, len);
	}
	return p;
}

/* Names, the parent's first. */
static char *ancestors(char *p, const struct record *r, const struct field_value *v)
{
	struct record_str s = {(uint16_t)(v->bytes - r->strings), (uint16_t)v->len};
	const char *from = p, *name;
	size_t pos = 0, len;
	uint32_t pid;

	while ((name = record_next_ancestor(r, s, &pos, &pid, &len)))
		p = next_element(p, from, name, len);
	return p;
}

/* True if a shell reads it back without quotes. */
static bool is_plain(const char *arg, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = arg[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			    strchr("%+,-./:=@_", c)) ||
			!c)
			return false;
	}
	return len > 0;
}

static char *command(char *p, const char *args, size_t args_len)
{
	size_t pos = 0, len;
	const char *arg;

	if (*args == '-' && (args_len == 1 || (args_len == 2 && !args[1])))
		return string(p, args, 1, false);
	while ((arg = format_next_arg(args, args_len, &pos, &len))) {
		if (arg != args)
			*p++ = ' ';
		if (is_plain(arg, len)) {
			p = escape(p, arg, len, false);
			continue;
		}
		*p++ = '\'';
		for (const char *quote; (quote = memchr(arg, '\'', len));) {
			size_t n = (size_t)(quote - arg);

			p = text_lit(escape(p, arg, n, false), "'\\\\''");
			arg += n + 1;
			len -= n + 1;
		}
		p = escape(p, arg, len, false);
		*p++ = '\'';
	}
	return p;
}

/* Seconds with @digits decimals, the rest is cut. */
static char *seconds(char *p, uint64_t ns, unsigned digits)
{
	uint64_t part = ns % UINT64_C(1000000000);

	for (unsigned i = digits; i < 9; i++)
		part /= 10;
	p = text_u64(p, ns / UINT64_C(1000000000));
	*p++ = '.';
	return text_u64_padded(p, part, digits);
}

static char *number(char *p, const struct column *c, uint64_t v)
{
	if (c->as == FIELD_AS_HEX)
		return text_hex64(p, v);
	switch ((enum field_type)c->field->type) {
	case FIELD_TIME:
		return seconds(p, v, 6); /* as zeek's own */
	case FIELD_DURATION:
		return seconds(p, v, 9);
	case FIELD_BOOLEAN:
		*p++ = v ? 'T' : 'F';
		return p;
	case FIELD_STRING:
	case FIELD_NUMBER:
	case FIELD_IP:
	case FIELD_PORT:
	case FIELD_ID:
	case FIELD_STRINGS:
	case FIELD_NUMBERS:
	case FIELD_TYPES:
		break;
	}
	return text_u64(p, v);
}

static char *value(char *p, const struct column *c, const struct field_source *s)
{
	struct field_value v;

	switch (field_get(c->field, s, &v)) {
	case FIELD_NONE:
		break;
	case FIELD_BYTES:
	case FIELD_SAFE:
		return string(p, v.bytes, v.len, false);
	case FIELD_LIST:
		return c->as == FIELD_AS_COMMAND ? command(p, v.bytes, v.len) : list(p, &v);
	case FIELD_PIDS:
		return ancestors(p, s->record, &v);
	case FIELD_COMMAS:
		return commas(p, &v);
	case FIELD_U64:
		return number(p, c, v.number);
	case FIELD_ADDRESS:
		return text_address(p, (const uint8_t *)v.bytes, v.family);
	}
	*p++ = '-';
	return p;
}

/*
 * A loss is no connection: a line of comment, which readers of Zeek's logs pass over. What it says
 * is in the order stage, reason, count, packets, first, last.
 */
static size_t loss_line(const struct record *r, char *buf)
{
	char *p = text_str(text_lit(buf, "#flowner_loss\t"), record_loss_stage_name(r->loss_stage));

	*p++ = '\t';
	p = text_str(p, record_loss_reason_name(r->loss_stage));
	*p++ = '\t';
	p = text_u64(p, r->loss_count);
	*p++ = '\t';
	p = text_u64(p, r->loss_packets);
	*p++ = '\t';
	p = text_time_utc(p, r->loss_first_ns);
	*p++ = '\t';
	p = text_time_utc(p, r->loss_last_ns);
	*p++ = '\n';
	return (size_t)(p - buf);
}

static size_t zeek_record(const struct record *r, const struct format_context *ctx, char *buf)
{
	struct field_source s;
	char *p = buf;

	if (r->event == RECORD_LOSS)
		return loss_line(r, buf);
	if (r->event != RECORD_END && r->event != RECORD_SUMMARY)
		return 0;
	call_once(&prepared, prepare);
	field_source_init(&s, r, ctx);
	for (unsigned i = 0; i < n_columns; i++) {
		if (columns[i].needs_duration && r->end_ns == r->start_ns)
			*p++ = '-';
		else
			p = value(p, &columns[i], &s);
		*p++ = i + 1 < n_columns ? '\t' : '\n';
	}
	return (size_t)(p - buf);
}

/* Head and foot ----------------------------------------------------------------------------- */

static const char *type_name(const struct column *c)
{
	switch ((enum field_type)c->field->type) {
	case FIELD_NUMBER:
		return "count";
	case FIELD_IP:
		return "addr";
	case FIELD_PORT:
		return "port";
	case FIELD_TIME:
		return "time";
	case FIELD_DURATION:
		return "interval";
	case FIELD_BOOLEAN:
		return "bool";
	case FIELD_ID:
		return c->as == FIELD_AS_NUMBER ? "count" : "string";
	case FIELD_STRINGS:
		return strcmp(c->field->name, "tunnel_parents") == 0 ? "set[string]"
								     : "vector[string]";
	case FIELD_NUMBERS:
		return "vector[count]";
	case FIELD_STRING:
	case FIELD_TYPES:
		break;
	}
	return strcmp(c->field->in[FIELD_ZEEK].path, "proto") == 0 ? "enum" : "string";
}

/* "2026-11-27-07-55-00", UTC. */
static char *moment(char *p, uint64_t t_ns)
{
	char time[TEXT_TIME];

	text_time_utc(time, t_ns);
	time[10] = time[13] = time[16] = '-';
	p = text_bytes(p, time, 19);
	*p++ = '\n';
	return p;
}

static size_t zeek_head(const struct format_context *ctx, uint64_t t_ns, char *buf)
{
	char *p = buf;

	call_once(&prepared, prepare);
	p = text_lit(p, "#separator \\x09\n#set_separator\t,\n#empty_field\t" EMPTY
			"\n#unset_field\t-\n#path\tconn\n#open\t");
	p = text_lit(moment(p, ctx->offline ? 0 : t_ns), "#fields");
	for (unsigned i = 0; i < n_columns; i++) {
		*p++ = '\t';
		p = text_str(p, columns[i].field->in[FIELD_ZEEK].path);
	}
	p = text_lit(p, "\n#types");
	for (unsigned i = 0; i < n_columns; i++) {
		*p++ = '\t';
		p = text_str(p, type_name(&columns[i]));
	}
	*p++ = '\n';
	return (size_t)(p - buf);
}

static size_t zeek_foot(const struct format_context *ctx, uint64_t t_ns, char *buf)
{
	return (size_t)(moment(text_lit(buf, "#close\t"), ctx->offline ? 0 : t_ns) - buf);
}

/* Recovery ---------------------------------------------------------------------------------- */

static bool parse(const char *s, const char *end, uint64_t *ret)
{
	uint64_t v = 0;

	if (s == end)
		return false;
	for (; s < end; s++) {
		if (*s < '0' || *s > '9')
			return false;
		v = v * 10 + (uint64_t)(*s - '0');
	}
	*ret = v;
	return true;
}

static bool zeek_last(const char *line, size_t len, uint64_t *ret_epoch, uint64_t *ret_seq)
{
	const char *end = line + len, *tab;
	uint64_t epoch = 0, seq = 0;
	bool epoch_known = false, seq_known = false;
	unsigned i = 0;

	call_once(&prepared, prepare);
	if (!len || *line == '#')
		return false;
	for (; line < end; line = tab + 1, i++) {
		tab = memchr(line, '\t', (size_t)(end - line));
		if (!tab)
			tab = end[-1] == '\n' ? end - 1 : end;
		if (i == epoch_column)
			epoch_known = parse(line, tab, &epoch);
		if (i == seq_column)
			seq_known = parse(line, tab, &seq);
	}
	if (i != n_columns || !epoch_known || !seq_known)
		return false;
	*ret_epoch = epoch;
	*ret_seq = seq;
	return true;
}

/* Before the sandbox: who waits for another thread makes system calls. */
static void zeek_prepare(const struct format_context *ctx)
{
	(void)ctx;
	call_once(&prepared, prepare);
}

const struct format format_zeek = {
	.name = "zeek",
	.help = "Zeek's conn.log with the process, tab-separated",
	.begins = "#0123456789",
	.prepare = zeek_prepare,
	.record = zeek_record,
	.head = zeek_head,
	.foot = zeek_foot,
	.last = zeek_last,
};
