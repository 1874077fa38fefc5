/* SPDX-License-Identifier: Apache-2.0 */
/* The ledgers of a runtime directory as Prometheus text. */
#include "cli/metrics-text.h"

#include <inttypes.h>
#include <string.h>

#include "cli/runtime.h"
#include "flowner-version.h"
#include "sink/escape.h"

#define NS_PER_S   UINT64_C(1000000000)
#define LABELS_MAX 512u

/* What is not in any ledger's counters. */
struct extra {
	const char *name, *type, *labels, *help;
};

enum { BUILD_INFO, UP, START_TIME, UNDER_WAY, EXTRAS };

static const struct extra extras[EXTRAS] = {
	[BUILD_INFO] = {"build_info", "gauge", "version=\"" FLOWNER_VERSION "\"",
		"1; the version that answers is a label."},
	[UP] = {"up", "gauge", "program", "1 while a program runs its loop, else 0."},
	[START_TIME] = {"start_time_seconds", "gauge", "program",
		"When a program was started, in seconds since 1970."},
	[UNDER_WAY] = {"under_way_packets", "gauge", "",
		"Matched packets not yet in an account: 0 when all is quiet, never negative."},
};

static const char *type_name(enum ledger_type type)
{
	switch (type) {
	case LEDGER_TYPE_COUNTER:
		return "counter";
	case LEDGER_TYPE_GAUGE:
	case LEDGER_TYPE_STATE:
	case LEDGER_TYPE_BITS:
		return "gauge";
	case LEDGER_TYPE_BUCKET:
	case LEDGER_TYPE_SUM:
		return "histogram";
	}
	return "untyped";
}

static void print_head(const char *name, const char *type, const char *help, FILE *f)
{
	fprintf(f, "# HELP flowner_%s %s\n# TYPE flowner_%s %s\n", name, help, name, type);
}

static void print_extras(const struct instance *i, FILE *f)
{
	int64_t rest = instance_balance(i).rest;

	print_head(extras[BUILD_INFO].name, extras[BUILD_INFO].type, extras[BUILD_INFO].help, f);
	fprintf(f, "flowner_build_info{%s} 1\n", extras[BUILD_INFO].labels);
	print_head(extras[UP].name, extras[UP].type, extras[UP].help, f);
	for (unsigned p = 0; p < LEDGER_PROGRAMS; p++)
		fprintf(f, "flowner_up{program=\"%s\"} %d\n", runtime_program[p],
			instance_alive(i, (enum ledger_program)p) && i->ledger[p].ready);
	print_head(extras[START_TIME].name, extras[START_TIME].type, extras[START_TIME].help, f);
	for (unsigned p = 0; p < LEDGER_PROGRAMS; p++)
		if (i->present[p])
			fprintf(f,
				"flowner_start_time_seconds{program=\"%s\"} %" PRIu64 ".%09" PRIu64
				"\n",
				runtime_program[p], i->ledger[p].start_ns / NS_PER_S,
				i->ledger[p].start_ns % NS_PER_S);
	print_head(extras[UNDER_WAY].name, extras[UNDER_WAY].type, extras[UNDER_WAY].help, f);
	fprintf(f, "flowner_under_way_packets %" PRId64 "\n", rest);
}

/* Inside quotes: backslash, quote and newline escaped, what is no UTF-8 replaced. */
static void print_label(const char *s, FILE *f)
{
	size_t len = strlen(s);

	while (len) {
		uint32_t c;
		unsigned n = escape_utf8(s, len, &c);

		if (!n)
			fputs("\xef\xbf\xbd", f); /* U+FFFD */
		else if (*s == '\\' || *s == '"')
			fprintf(f, "\\%c", *s);
		else if (*s == '\n')
			fputs("\\n", f);
		else
			fwrite(s, 1, n, f);
		s += n ? n : 1;
		len -= n ? n : 1;
	}
}

/* Counters of an output carry its format and path as well. */
static void print_labels(const struct instance *i, unsigned program, unsigned counter, FILE *f)
{
	const char *labels = ledger_counter((enum ledger_program)program, counter)->labels;
	const struct ledger_output *o;

	if (!*labels)
		return;
	fprintf(f, "{%s", labels);
	if (program == LEDGER_OF_SINK && counter >= LEDGER_sink_output_0_records) {
		o = &i->ledger[program].output[(counter - LEDGER_sink_output_0_records) /
					       LEDGER_OUTPUT_COUNTERS];
		fputs(",format=\"", f);
		print_label(o->format, f);
		fputs("\",path=\"", f);
		print_label(o->path, f);
		fputc('"', f);
	}
	fputc('}', f);
}

static uint64_t metric_value(enum ledger_type type, uint64_t value)
{
	if (type == LEDGER_TYPE_STATE)
		return value == LEDGER_TIER_LIVE || value == LEDGER_TIER_OWN;
	return type == LEDGER_TYPE_BITS ? (uint64_t)__builtin_popcountll(value) : value;
}

static bool is_shown(const struct instance *i, unsigned program, unsigned counter)
{
	unsigned output = counter - LEDGER_sink_output_0_records;

	if (!i->present[program])
		return false;
	return program != LEDGER_OF_SINK || counter < LEDGER_sink_output_0_records ||
	       i->ledger[program].output[output / LEDGER_OUTPUT_COUNTERS].format[0];
}

/* One family's counters, wherever they stand, in the order of the table. */
struct walk {
	unsigned program, counter;
};

static bool next(struct walk *w, enum ledger_family_id family)
{
	for (; w->program < LEDGER_PROGRAMS; w->program++, w->counter = 0)
		for (; w->counter < ledger_count((enum ledger_program)w->program); w->counter++)
			if (ledger_counter((enum ledger_program)w->program, w->counter)->family ==
				family)
				return true;
	return false;
}

static void print_histogram(const struct instance *i, enum ledger_family_id id, FILE *f)
{
	const char *name = ledger_family(id)->name;
	uint64_t total = 0, sum = i->ledger[LEDGER_OF_ENRICH].value[LEDGER_enrich_latency_ns];

	for (struct walk w = {0}; next(&w, id); w.counter++) {
		total += i->ledger[w.program].value[w.counter];
		fprintf(f, "flowner_%s_bucket{%s} %" PRIu64 "\n", name,
			ledger_counter((enum ledger_program)w.program, w.counter)->labels, total);
	}
	fprintf(f, "flowner_%s_sum %" PRIu64 ".%09" PRIu64 "\nflowner_%s_count %" PRIu64 "\n", name,
		sum / NS_PER_S, sum % NS_PER_S, name, total);
}

static void print_family(const struct instance *i, enum ledger_family_id id, FILE *f)
{
	const struct ledger_family *family = ledger_family(id);
	bool headed = false;

	for (struct walk w = {0}; next(&w, id); w.counter++) {
		if (!is_shown(i, w.program, w.counter))
			continue;
		if (!headed)
			print_head(family->name, type_name(family->type), family->help, f);
		headed = true;
		if (family->type == LEDGER_TYPE_BUCKET) {
			print_histogram(i, id, f);
			return;
		}
		fprintf(f, "flowner_%s", family->name);
		print_labels(i, w.program, w.counter, f);
		fprintf(f, " %" PRIu64 "\n",
			metric_value(family->type, i->ledger[w.program].value[w.counter]));
	}
}

void metrics_print(const struct instance *i, FILE *f)
{
	print_extras(i, f);
	for (unsigned id = 0; id < LEDGER_FAMILIES_N; id++)
		if (ledger_family((enum ledger_family_id)id)->type != LEDGER_TYPE_SUM)
			print_family(i, (enum ledger_family_id)id, f);
}

/* The names of the labels of @counter, joined by commas, into @ret. */
static void label_names(const struct ledger_counter *counter, char ret[LABELS_MAX])
{
	size_t n = 0;
	bool quoted = false;

	for (const char *s = counter->labels; *s && n + 32 < LABELS_MAX; s++) {
		if (*s == '"')
			quoted = !quoted;
		else if (!quoted && *s != '=')
			ret[n++] = *s;
	}
	ret[n] = '\0';
	if (strcmp(ret, "output") == 0)
		strcpy(ret + n, ",format,path");
}

void metrics_list(FILE *f)
{
	for (unsigned e = 0; e < EXTRAS; e++)
		fprintf(f, "flowner_%s\t%s\t%s\t%s\n", extras[e].name, extras[e].type,
			e == BUILD_INFO ? "version" : extras[e].labels, extras[e].help);
	for (unsigned id = 0; id < LEDGER_FAMILIES_N; id++) {
		const struct ledger_family *family = ledger_family((enum ledger_family_id)id);
		char labels[LABELS_MAX] = "";
		struct walk w = {0};

		if (family->type == LEDGER_TYPE_SUM || !next(&w, (enum ledger_family_id)id))
			continue;
		label_names(ledger_counter((enum ledger_program)w.program, w.counter), labels);
		fprintf(f, "flowner_%s\t%s\t%s\t%s\n", family->name, type_name(family->type),
			labels, family->help);
	}
}
