/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts what the programs know themselves into a manual page: copies an scdoc(5) source to standard
 * output, and instead of a line "@keys@" the table of that name. So pages cannot say anything else
 * than the programs do.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/metrics-text.h"
#include "config/config.h"
#include "config/outputs.h"
#include "config/schema.h"
#include "config/value.h"
#include "flowner-version.h"
#include "shm/ledger.h"
#include "shm/record.h"
#include "shm/ring.h"
#include "sink/expression.h"
#include "sink/fields.h"
#include "sink/format.h"

/* Text in which nothing means anything to scdoc, wherever it stands. */
static void put(const char *s)
{
	bool first = true;

	for (; *s; s++, first = false) {
		if (strchr("\\*_", *s) || (first && strchr("-.|[]:;#", *s)))
			putchar('\\');
		putchar(*s);
	}
}

/* ---- configuration ---- */

static void put_type(const struct schema_key *k)
{
	switch (k->type) {
	case SCHEMA_STRING:
		printf("text");
		break;
	case SCHEMA_LIST:
		printf("list of texts");
		break;
	case SCHEMA_OUTPUTS:
		printf("list of outputs");
		break;
	case SCHEMA_SIZE:
		printf("size");
		break;
	case SCHEMA_DURATION:
		printf("duration");
		break;
	case SCHEMA_COUNT:
		printf("number");
		break;
	case SCHEMA_BOOL:
		printf("true or false");
		break;
	case SCHEMA_NAME:
		printf("word");
		break;
	}
}

static void put_range(const struct schema_key *k)
{
	switch (k->type) {
	case SCHEMA_STRING:
		printf("At most %" PRIu64 " bytes.", k->max);
		break;
	case SCHEMA_LIST:
		printf("%d to %u texts of at most %" PRIu64 " bytes.", !k->empty, CONFIG_LIST_MAX,
			k->max);
		break;
	case SCHEMA_OUTPUTS:
		printf("1 to %u outputs, see OUTPUTS.", CONFIG_LIST_MAX);
		break;
	case SCHEMA_SIZE:
	case SCHEMA_DURATION:
	case SCHEMA_COUNT:
		value_print_number(k, k->min, stdout);
		printf(" to ");
		value_print_number(k, k->max, stdout);
		printf("%s.", k->power_of_two ? ", a power of two" : "");
		break;
	case SCHEMA_BOOL:
		break;
	case SCHEMA_NAME:
		printf("One of ");
		for (int i = 0; k->names[i]; i++) {
			printf("%s*", !i ? "" : k->names[i + 1] ? ", " : " or ");
			put(k->names[i]);
			putchar('*');
		}
		putchar('.');
		break;
	}
}

/* @base holds the defaults. */
static void put_key(const struct schema_key *k, const void *base)
{
	char value[256] = "";
	FILE *f = fmemopen(value, sizeof(value) - 1, "w");

	if (f && k->initial)
		value_print(base, k, f);
	if (f)
		fclose(f);
	putchar('*');
	put(k->name);
	printf("* _");
	put_type(k);
	printf("_\n\t");
	put(k->help);
	if (k->type != SCHEMA_BOOL)
		putchar(' ');
	put_range(k);
	if (k->initial) {
		printf(" Default: ");
		put(value);
		putchar('.');
	} else {
		printf(" Has to be given.");
	}
	printf("\n\n");
}

static int put_keys(void)
{
	struct config c;
	int r = config_init(&c);

	for (size_t s = 0; r == 0 && s < schema_n_sections; s++) {
		printf("## ");
		put(schema_sections[s].name);
		printf("\n\n");
		put(schema_sections[s].help);
		printf("\n\n");
		for (size_t i = 0; i < schema_n_keys; i++)
			if (!strcmp(schema_keys[i].section, schema_sections[s].name))
				put_key(&schema_keys[i], &c);
	}
	config_deinit(&c);
	return r;
}

static int put_output_keys(void)
{
	struct config_output o;
	int r = outputs_init(&o);

	for (size_t i = 0; r == 0 && i < schema_n_output_keys; i++)
		put_key(&schema_output_keys[i], &o);
	outputs_deinit(&o);
	return r;
}

/* ---- records ---- */

static int put_fields(void)
{
	const struct field *f;

	for (unsigned i = 0; (f = field_at(i)); i++) {
		const char *before = "";

		printf("%s*", f->format_only ? "(" : "");
		put(f->name);
		printf("*%s, %s%s", f->format_only ? ")" : "",
			field_type_name((enum field_type)f->type), *f->unit ? " in " : "");
		put(f->unit);
		printf("\n\t");
		put(f->meaning);
		printf(". In ");
		for (int k = 0; k < FIELD_FORMATS; k++) {
			if (!f->in[k].path)
				continue;
			printf("%s%s: _", before, field_format_name((enum field_format)k));
			put(f->in[k].path);
			putchar('_');
			before = ", ";
		}
		printf("%s.\n\n", *before ? "" : "no format");
	}
	return 0;
}

static int put_expression_keys(void)
{
	static const char *const types[] = {
		[EXPRESSION_TEXT] = "text",
		[EXPRESSION_NUMBER] = "number",
		[EXPRESSION_SIZE] = "size",
		[EXPRESSION_DURATION] = "duration",
		[EXPRESSION_NAME] = "word",
		[EXPRESSION_PROTO] = "protocol",
		[EXPRESSION_HOST] = "host",
		[EXPRESSION_BARE] = "no value",
	};
	const struct expression_key_info *k;

	for (unsigned i = 0; (k = expression_key_at(i)); i++) {
		printf("*%s* _%s_\n\t", k->name, types[k->type]);
		put(k->help);
		if (k->type == EXPRESSION_NAME) {
			printf(" (");
			for (unsigned w = 0, n = 0; w < k->words; w++) {
				if (!*k->word(w))
					continue;
				printf("%s", n++ ? ", " : "");
				put(k->word(w));
			}
			putchar(')');
		}
		printf("\n\n");
	}
	return 0;
}

static int put_formats(void)
{
	for (unsigned i = 0; format_at(i); i++)
		printf("%s*%s*", i ? ", " : "", format_at(i)->name);
	printf(".\n");
	return 0;
}

static int put_loss_stages(void)
{
	static const char *const help[RING_LOSS_STAGES] = {
		[RING_LOSS_KERNEL] = "packets that the kernel dropped: capture did not keep up",
		[RING_LOSS_PACKET_RING] = "packets that found the ring to enrich full",
		[RING_LOSS_RECORD_RING] = "records that found the ring to the sink full",
		[RING_LOSS_TAP] = "events of tracepoints: owners may be missing, no packet is",
		[RING_LOSS_FLOWS] = "packets of connections that were open when enrich was killed, "
				    "or of what was in a ring that nobody kept",
		[RING_LOSS_NETLINK] = "messages of the kernel about sockets and processes",
		[RING_LOSS_FLOW_TABLE] = "connections ended early: the table of flows was full",
		[RING_LOSS_PROCESS_CACHE] = "processes forgotten early: too many were remembered",
		[RING_LOSS_NAME_CACHE] = "names forgotten early: too many were remembered",
		[RING_LOSS_AGGREGATES] = "summaries closed early: too many were open",
		[RING_LOSS_OUTPUT] = "records that an output refused for good",
		[RING_LOSS_INVALID] = "records that made no sense to the sink",
		[RING_LOSS_CAPTURE] = "packets that the kernel had for a capture that was killed",
	};

	for (uint32_t i = 1; i < RING_LOSS_STAGES; i++) {
		putchar('*');
		put(record_loss_stage_name(i));
		printf("*\n\t%s\n\n", help[i] ? help[i] : "");
	}
	return 0;
}

/* ---- counters ---- */

static int put_counters(void)
{
	for (int p = 0; p < LEDGER_PROGRAMS; p++)
		for (unsigned i = 0; i < ledger_count((enum ledger_program)p); i++) {
			putchar('*');
			put(ledger_name((enum ledger_program)p, i));
			printf("*\n\t");
			put(ledger_help((enum ledger_program)p, i));
			printf("\n\n");
		}
	return 0;
}

static int put_metrics(void)
{
	char *text = NULL, *line, *rest;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return -1;
	metrics_list(f);
	fclose(f);
	for (rest = text; (line = strsep(&rest, "\n")) && *line;) {
		const char *name = strsep(&line, "\t"), *type = strsep(&line, "\t"),
			   *labels = strsep(&line, "\t");

		putchar('*');
		put(name);
		printf("* _%s_%s", type, labels && *labels ? ", by " : "");
		put(labels ? labels : "");
		printf("\n\t");
		put(line ? line : "");
		printf("\n\n");
	}
	free(text);
	return 0;
}

static const struct {
	const char *line;
	int (*put)(void);
} tables[] = {
	{"@keys@", put_keys},
	{"@output-keys@", put_output_keys},
	{"@fields@", put_fields},
	{"@formats@", put_formats},
	{"@expression-keys@", put_expression_keys},
	{"@loss-stages@", put_loss_stages},
	{"@metrics@", put_metrics},
	{"@counters@", put_counters},
};

static int put_line(char *line)
{
	line[strcspn(line, "\n")] = '\0';
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		if (!strcmp(line, tables[i].line))
			return tables[i].put();
	if (line[0] == '@') {
		fprintf(stderr, "there is no table %s\n", line);
		return -1;
	}
	puts(line);
	return 0;
}

int main(int argc, char **argv)
{
	char line[4096];
	FILE *f = argc == 2 ? fopen(argv[1], "r") : NULL;
	int r = 0;

	if (!f) {
		fprintf(stderr, "usage: fill FILE.scd\n");
		return 1;
	}
	while (r == 0 && fgets(line, sizeof(line), f))
		/* The licence's line is no part of the page. */
		r = strncmp(line, "; ", 2) ? put_line(line) : 0;
	fclose(f);
	return r || fflush(stdout) ? 1 : 0;
}
