/* SPDX-License-Identifier: Apache-2.0 */
/* One configuration value: text to typed field with every check of the schema. */
#include "config/value.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/outputs.h"
#include "config/text.h"
#include "shm/cleanup.h"

_Static_assert(sizeof(enum config_tap) == sizeof(int) &&
		       sizeof(enum config_procfs) == sizeof(int) &&
		       sizeof(enum config_io_uring) == sizeof(int) &&
		       sizeof(enum config_compress) == sizeof(int),
	"value_set() writes enums as int");

static void *field(void *base, const struct schema_key *k)
{
	return (char *)base + k->offset;
}

int value_complain(struct value_complaint *ret_why, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(ret_why->text, sizeof(ret_why->text), format, ap);
	va_end(ap);
	return CONFIG_E_INVALID;
}

#define complain(ret_why, ...) value_complain(ret_why, __VA_ARGS__)

const char *value_expects(const struct schema_key *k)
{
	switch (k->type) {
	case SCHEMA_STRING:
		return "a text";
	case SCHEMA_LIST:
	case SCHEMA_OUTPUTS:
		return "a list";
	case SCHEMA_SIZE:
		return "a size with a unit (B, KiB, MiB or GiB)";
	case SCHEMA_DURATION:
		return "a duration with a unit (ns, us, ms, s, m, h or d)";
	case SCHEMA_COUNT:
		return "a whole number";
	case SCHEMA_BOOL:
		return "true or false";
	case SCHEMA_NAME:
		return "one of its names";
	}
	return "";
}

/* Units people write out of habit, and what they are called here. */
static const char *usual_unit(enum schema_type type, const char *unit, size_t len)
{
	static const struct {
		enum schema_type type;
		const char *habit, *unit;
	} usual[] = {
		{SCHEMA_SIZE, "k", "KiB"},
		{SCHEMA_SIZE, "kb", "KiB"},
		{SCHEMA_SIZE, "ki", "KiB"},
		{SCHEMA_SIZE, "m", "MiB"},
		{SCHEMA_SIZE, "mb", "MiB"},
		{SCHEMA_SIZE, "mi", "MiB"},
		{SCHEMA_SIZE, "g", "GiB"},
		{SCHEMA_SIZE, "gb", "GiB"},
		{SCHEMA_SIZE, "gi", "GiB"},
		{SCHEMA_SIZE, "bytes", "B"},
		{SCHEMA_SIZE, "byte", "B"},
		{SCHEMA_DURATION, "msec", "ms"},
		{SCHEMA_DURATION, "usec", "us"},
		{SCHEMA_DURATION, "\xc2\xb5s", "us"},
		{SCHEMA_DURATION, "nsec", "ns"},
		{SCHEMA_DURATION, "sec", "s"},
		{SCHEMA_DURATION, "secs", "s"},
		{SCHEMA_DURATION, "second", "s"},
		{SCHEMA_DURATION, "seconds", "s"},
		{SCHEMA_DURATION, "min", "m"},
		{SCHEMA_DURATION, "mins", "m"},
		{SCHEMA_DURATION, "minute", "m"},
		{SCHEMA_DURATION, "minutes", "m"},
		{SCHEMA_DURATION, "hour", "h"},
		{SCHEMA_DURATION, "hours", "h"},
		{SCHEMA_DURATION, "day", "d"},
		{SCHEMA_DURATION, "days", "d"},
	};
	const struct schema_unit *known = schema_units(type);

	for (size_t i = 0; known[i].name; i++) {
		if (strlen(known[i].name) == len && strncasecmp(known[i].name, unit, len) == 0)
			return known[i].name;
	}
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
		if (usual[i].type == type && strlen(usual[i].habit) == len &&
			strncasecmp(usual[i].habit, unit, len) == 0)
			return usual[i].unit;
	}
	return NULL;
}

/* Digits without a leading zero at the start of @text; 0 of them = not a number. Saturates. */
static size_t parse_digits(const char *text, size_t len, uint64_t *ret)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < len && text[i] >= '0' && text[i] <= '9'; i++) {
		if (__builtin_mul_overflow(n, 10, &n) ||
			__builtin_add_overflow(n, (uint64_t)(text[i] - '0'), &n))
			n = UINT64_MAX;
	}
	if (i > 1 && text[0] == '0')
		return 0;
	*ret = n;
	return i;
}

/* A number of the key's type as a short text, for complaints. */
static void number_text(const struct schema_key *k, uint64_t n, char ret[32])
{
	FILE *f = fmemopen(ret, 32, "w");

	ret[0] = '\0';
	if (!f)
		return;
	value_print_number(k, n, f);
	fclose(f);
}

/* @meant, behind @n bytes of @digits, is what to propose; NULL = no idea. */
static int not_a_number(const struct schema_key *k, const char *text, size_t len,
	const char *digits, size_t n, const char *meant, struct value_complaint *ret_why)
{
	if (!meant)
		return complain(ret_why, "expects %s, not %s", value_expects(k),
			text_quote(text, len).text);
	return complain(ret_why, "expects %s, not %s (did you mean \"%.*s%s\"?)", value_expects(k),
		text_quote(text, len).text, (int)(n < 40 ? n : 40), digits, meant);
}

static int parse_number(const struct schema_key *k, const char *text, size_t len, uint64_t *ret,
	struct value_complaint *ret_why)
{
	uint64_t n = 0;
	size_t digits = parse_digits(text, len, &n), unit_at = digits;
	const struct schema_unit *units = schema_units(k->type);
	const char *meant = NULL;
	char whole[32];
	size_t unit_len;

	if (digits && digits + 1 < len && text[digits] == ' ')
		unit_at++;
	unit_len = len - unit_at;
	if (digits && unit_len == 0 && (k->type == SCHEMA_COUNT || n == 0)) {
		*ret = n;
		return 0;
	}
	if (digits && k->type != SCHEMA_COUNT) {
		for (size_t i = 0; units[i].name; i++) {
			if (strlen(units[i].name) != unit_len ||
				memcmp(units[i].name, text + unit_at, unit_len) != 0)
				continue;
			if (__builtin_mul_overflow(n, units[i].factor, ret))
				*ret = UINT64_MAX;
			return 0;
		}
		meant = usual_unit(k->type, text + unit_at, unit_len);
	}
	if (digits && unit_len == 0 && k->type == SCHEMA_SIZE && n >= k->min && n <= k->max) {
		number_text(k, n, whole); /* surely bytes */
		return not_a_number(k, text, len, "", 0, whole, ret_why);
	}
	return not_a_number(k, text, len, text, digits, meant, ret_why);
}

static int check_number(const struct schema_key *k, const char *text, size_t len, uint64_t n,
	struct value_complaint *ret_why)
{
	char limit[32];
	uint64_t near = 1;

	if (n < k->min || n > k->max) {
		number_text(k, n < k->min ? k->min : k->max, limit);
		return complain(ret_why, "%.*s%s is %s of %s", (int)(len < 40 ? len : 40), text,
			len < 40 ? "" : "...",
			n < k->min ? "below the minimum" : "above the maximum", limit);
	}
	if (k->power_of_two && n & (n - 1)) {
		while (near < n)
			near *= 2;
		number_text(k, near <= k->max ? near : near / 2, limit);
		return complain(ret_why, "%.*s is not a power of two (did you mean \"%s\"?)",
			(int)(len < 40 ? len : 40), text, limit);
	}
	return 0;
}

static int check_bytes(
	const struct schema_key *k, const char *text, size_t len, struct value_complaint *ret_why)
{
	for (size_t i = 0; i < len;) {
		uint32_t code = 0;
		size_t n = text_utf8(text + i, len - i, &code);
		bool line = code == '\n' || code == '\t';

		if (n == 0)
			return complain(
				ret_why, "%s is not valid UTF-8", text_quote(text, len).text);
		if ((code < 0x20 && !(k->lines && line)) || (code >= 0x7f && code < 0xa0))
			return complain(ret_why, "%s contains a control character",
				text_quote(text, len).text);
		i += n;
	}
	return 0;
}

/* A checked copy of a text or an entry of a list. */
static int copy_string(const struct schema_key *k, const char *text, size_t len,
	struct value_complaint *ret_why, char **ret)
{
	_cleanup_free_ char *copy = NULL;
	const char *wrong;
	int r;

	if (len < k->min)
		return complain(ret_why, "must not be empty");
	/* NUL bytes end here, as control characters: the copy is all of the text. */
	r = check_bytes(k, text, len, ret_why);
	if (r)
		return r;
	if (len > k->max)
		return complain(ret_why, "%s is longer than %llu bytes", text_quote(text, len).text,
			(unsigned long long)k->max);
	copy = strndup(text, len);
	if (!copy)
		return -ENOMEM;
	wrong = k->check ? k->check(copy) : NULL;
	if (wrong)
		return complain(ret_why, "%s %s", text_quote(text, len).text, wrong);
	*ret = take_ptr(copy);
	return 0;
}

static int set_string(void *base, const struct schema_key *k, const char *text, size_t len,
	struct value_complaint *ret_why)
{
	char **at = field(base, k), *copy = NULL;
	int r = copy_string(k, text, len, ret_why, &copy);

	if (r)
		return r;
	free(*at);
	*at = copy;
	return 0;
}

static int set_bool(void *base, const struct schema_key *k, const char *text, size_t len,
	struct value_complaint *ret_why)
{
	/* The words of YAML 1.1. */
	static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strlen(words[i]) == len && strncasecmp(words[i], text, len) == 0) {
			*(bool *)field(base, k) = i & 1;
			return 0;
		}
	}
	return complain(ret_why, "expects true or false, not %s", text_quote(text, len).text);
}

static int set_name(void *base, const struct schema_key *k, const char *text, size_t len,
	struct value_complaint *ret_why)
{
	const char *meant = schema_suggest_name(k->names, text, len);
	char all[80] = "";

	for (int i = 0; k->names[i]; i++) {
		if (strlen(k->names[i]) == len && memcmp(k->names[i], text, len) == 0) {
			*(int *)field(base, k) = i;
			return 0;
		}
		if (i)
			strcat(all, k->names[i + 1] ? ", " : " or ");
		strcat(all, k->names[i]);
	}
	if (meant)
		return complain(ret_why, "expects %s, not %s (did you mean \"%s\"?)", all,
			text_quote(text, len).text, meant);
	return complain(ret_why, "expects %s, not %s", all, text_quote(text, len).text);
}

int value_set(void *base, const struct schema_key *k, const char *text, size_t len,
	struct value_complaint *ret_why)
{
	uint64_t n = 0;
	int r;

	switch (k->type) {
	case SCHEMA_STRING:
		return set_string(base, k, text, len, ret_why);
	case SCHEMA_BOOL:
		return set_bool(base, k, text, len, ret_why);
	case SCHEMA_NAME:
		return set_name(base, k, text, len, ret_why);
	case SCHEMA_SIZE:
	case SCHEMA_DURATION:
	case SCHEMA_COUNT:
		r = parse_number(k, text, len, &n, ret_why);
		if (r == 0)
			r = check_number(k, text, len, n, ret_why);
		if (r == 0)
			*(uint64_t *)field(base, k) = n;
		return r;
	case SCHEMA_LIST:
	case SCHEMA_OUTPUTS:
		break;
	}
	return complain(ret_why, "expects a list, not %s", text_quote(text, len).text);
}

static int append_text(struct config_list *list, const struct schema_key *k, const char *text,
	size_t len, struct value_complaint *ret_why)
{
	_cleanup_free_ char *copy = NULL;
	char **more;
	int r;

	if (list->n == CONFIG_LIST_MAX)
		return complain(ret_why, "has more than %u entries", CONFIG_LIST_MAX);
	r = copy_string(k, text, len, ret_why, &copy);
	if (r)
		return r;
	for (size_t i = 0; i < list->n; i++) {
		if (strcmp(list->item[i], copy) == 0)
			return complain(
				ret_why, "has the entry %s twice", text_quote(text, len).text);
	}
	more = reallocarray(list->item, list->n + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	list->item = more;
	list->item[list->n++] = take_ptr(copy);
	return 0;
}

int value_append(union value_list *list, const struct schema_key *k, const char *text, size_t len,
	struct value_complaint *ret_why)
{
	_cleanup_free_ char *copy = NULL;
	int r;

	if (k->type == SCHEMA_LIST)
		return append_text(&list->texts, k, text, len, ret_why);
	r = copy_string(k, text, len, ret_why, &copy);
	return r ? r : outputs_append_text(&list->outputs, copy, ret_why);
}

int value_set_list(void *base, const struct schema_key *k, union value_list *list,
	struct value_complaint *ret_why)
{
	size_t n = k->type == SCHEMA_LIST ? list->texts.n : list->outputs.n;
	union value_list *at = field(base, k);

	if (n == 0 && !k->empty)
		return complain(ret_why, "must not be empty");
	for (size_t i = 0; k->alone && n > 1 && i < n; i++) {
		if (strcmp(list->texts.item[i], k->alone) == 0)
			return complain(
				ret_why, "\"%s\" cannot stand beside other entries", k->alone);
	}
	value_clear(base, k);
	if (k->type == SCHEMA_LIST)
		at->texts = list->texts;
	else
		at->outputs = list->outputs;
	*list = (union value_list){0};
	return 0;
}

static void clear_texts(struct config_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->item[i]);
	free(list->item);
	*list = (struct config_list){0};
}

void value_list_clear(union value_list *list, const struct schema_key *k)
{
	if (k->type == SCHEMA_LIST)
		clear_texts(&list->texts);
	else
		outputs_clear(&list->outputs);
}

void value_clear(void *base, const struct schema_key *k)
{
	char **string = field(base, k);

	if (k->type == SCHEMA_LIST) {
		clear_texts(field(base, k));
	} else if (k->type == SCHEMA_OUTPUTS) {
		outputs_clear(field(base, k));
	} else if (k->type == SCHEMA_STRING) {
		free(*string);
		*string = NULL;
	}
}
