/* SPDX-License-Identifier: Apache-2.0 */
/* No file of up to 1 MiB keeps the reader busy: every hostile shape is answered, and soon. */
#include "config/yaml.h"

#include <time.h>

#include "tap.h"

#define SIZE    CONFIG_SIZE_MAX
#define BOUND_S 1.0 /* the promise is 100 ms; a loaded test machine gets ten times that */

static char text[SIZE + 1];

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t append(size_t at, const char *bytes, size_t len)
{
	memcpy(text + at, bytes, len);
	return at + len;
}

/* @head, then @unit over and over up to SIZE less @tail, then @tail. */
static size_t fill(const char *head, const char *unit, size_t unit_len, const char *tail)
{
	size_t tail_len = strlen(tail), n = append(0, head, strlen(head));

	while (n + unit_len + tail_len <= SIZE)
		n = append(n, unit, unit_len);
	return append(n, tail, tail_len);
}

static void answer(const char *name, size_t len, int want)
{
	struct config_error err = {.text = "(no complaint)"};
	struct config c;
	double start, took;
	char *exact = malloc(len); /* a sanitizer sees a read of one byte too many */
	int r;

	if (!exact || config_init(&c))
		tap_bail("no memory");
	memcpy(exact, text, len);
	start = seconds();
	r = yaml_apply(&c, "f", exact, len, &err);
	took = seconds() - start;
	printf("# %7.2f ms  %s: %.90s\n", took * 1000, name, err.text);
	tap_ok(r == want && took < BOUND_S, "%s", name);
	config_deinit(&c);
	free(exact);
}

static const struct {
	const char *name, *head, *unit, *tail;
	int want;
} shapes[] = {
	{"[ over and over", "", "[", "", CONFIG_E_INVALID},
	{"{ over and over", "", "{", "", CONFIG_E_INVALID},
	{"[ below a key", "capture: {buffer: ", "[", "", CONFIG_E_INVALID},
	{"{ below a key", "capture: {buffer: ", "{", "", CONFIG_E_INVALID},
	{"{a: below a key", "capture: {buffer: ", "{a: ", "", CONFIG_E_INVALID},
	{"[{ in turn", "", "[{", "", CONFIG_E_INVALID},
	{"- nested", "", "- ", "", CONFIG_E_INVALID},
	{"? nested", "", "? ", "", CONFIG_E_INVALID},
	{"? nested below a key", "capture:\n  buffer:\n    ", "? ", "", CONFIG_E_INVALID},
	{"- nested below a key", "capture:\n  interfaces:\n    ", "- ", "", CONFIG_E_INVALID},
	{": nested", "", ": ", "", CONFIG_E_INVALID},
	{"[? nested", "", "[? ", "", CONFIG_E_INVALID},
	{"one plain word", "", "x", "", CONFIG_E_INVALID},
	{"one plain text of lines", "", "x\n", "", CONFIG_E_INVALID},
	{"one plain text of words", "", "x ", "", CONFIG_E_INVALID},
	{"a plain key of 1 MiB", "", "x", ": 1\n", CONFIG_E_INVALID},
	{"a quoted key of 1 MiB", "\"", "x", "\": 1\n", CONFIG_E_INVALID},
	{"a value of 1 MiB", "capture:\n  filter: ", "x", "\n", CONFIG_E_INVALID},
	{"a quoted value of escapes", "capture:\n  filter: \"", "\\x41", "\"\n", CONFIG_E_INVALID},
	{"a quoted value of lines", "capture:\n  filter: \"", "\n", "\"\n", CONFIG_E_INVALID},
	{"a quoted value of spaces", "capture:\n  filter: \"a", " ", "\"\n", CONFIG_E_INVALID},
	{"a single-quoted value of quotes", "capture:\n  filter: '", "''", "'\n", CONFIG_E_INVALID},
	{"an open quote", "capture:\n  filter: \"", "x", "", CONFIG_E_INVALID},
	{"a literal block of lines", "capture:\n  filter: |\n", "    x\n", "", CONFIG_E_INVALID},
	{"a folded block of lines", "capture:\n  filter: >\n", "    x\n", "", CONFIG_E_INVALID},
	{"a folded block of empty lines", "capture:\n  filter: >\n", "\n", "    x\n",
		CONFIG_E_INVALID},
	{"a literal block of spaces", "capture:\n  filter: |\n", " ", "", 0},
	{"comments", "", "#\n", "", 0},
	{"one comment", "#", "#", "", 0},
	{"empty lines", "", "\n", "", 0},
	{"carriage returns", "", "\r", "", 0},
	{"spaces", "", " ", "", 0},
	{"tabs", "", "\t", "", CONFIG_E_INVALID},
	{"an anchor of 1 MiB", "capture: &", "a", " {}\n", CONFIG_E_INVALID},
	{"anchors", "", "&a ", "", CONFIG_E_INVALID},
	{"an alias of 1 MiB", "capture: *", "a", "\n", CONFIG_E_INVALID},
	{"aliases", "capture: {interfaces: [", "*a, ", "", CONFIG_E_INVALID},
	{"a tag of 1 MiB", "capture: !", "a", " {}\n", CONFIG_E_INVALID},
	{"a tag of escapes", "capture: !<", "%41", "> {}\n", CONFIG_E_INVALID},
	{"tags", "", "!a ", "", CONFIG_E_INVALID},
	{"%TAG directives", "", "%TAG !a! b\n", "", CONFIG_E_INVALID},
	{"%YAML directives", "", "%YAML 1.1\n", "", CONFIG_E_INVALID},
	{"%TAG directives behind the document", "capture:\n...\n", "%TAG !a! b\n", "",
		CONFIG_E_INVALID},
	{"document starts", "", "---\n", "", CONFIG_E_INVALID},
	{"document ends", "", "...\n", "", CONFIG_E_INVALID},
	{"document ends behind the document", "capture:\n", "...\n", "", 0},
	{"a long list", "capture: {interfaces: [", "a,", "", CONFIG_E_INVALID},
	{"a long list of distinct entries", "capture: {interfaces: [", "a, b, c, d, ", "",
		CONFIG_E_INVALID},
	{"a block list", "capture:\n  interfaces:\n", "  - a\n", "", CONFIG_E_INVALID},
	{"a mapping of the same key", "", "capture:\n", "", CONFIG_E_INVALID},
	{"commas", "capture: {interfaces: [", ",", "", CONFIG_E_INVALID},
	{"NUL bytes", "", "\0", "", CONFIG_E_INVALID},
	{"escape characters", "capture: ", "\033[2J", "", CONFIG_E_INVALID},
	{"bytes 0xff", "", "\xff", "", CONFIG_E_INVALID},
	{"half characters", "capture: ", "\xe2\x82", "", CONFIG_E_INVALID},
	{"four-byte characters", "capture:\n  filter: ", "\xf0\x9f\x90\x9f", "\n",
		CONFIG_E_INVALID},
	{"byte order marks", "", "\xef\xbb\xbf", "", CONFIG_E_INVALID},
	{"line separators", "capture:\n  filter: a", "\xe2\x80\xa8", "\n", 0},
	{"UTF-16, little endian", "\xff\xfe", "a\0", "", CONFIG_E_INVALID},
	{"UTF-16, big endian", "\xfe\xff", "\0a", "", CONFIG_E_INVALID},
};

int main(void)
{
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		const char *unit = shapes[i].unit;
		size_t unit_len = strlen(unit);

		/* Units with NUL bytes. */
		if (unit_len == 0 ||
			(unit[0] == 'a' && unit_len == 1 && shapes[i].head[0] == '\xff'))
			unit_len = shapes[i].head[0] ? 2 : 1;
		answer(shapes[i].name, fill(shapes[i].head, unit, unit_len, shapes[i].tail),
			shapes[i].want);
	}
	return tap_done();
}
