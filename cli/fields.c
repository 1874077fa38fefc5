/* SPDX-License-Identifier: Apache-2.0 */
/* flowner fields: prints the table of fields, all of it or one format's part. */
#include "sink/fields.h"

#include <stdio.h>
#include <string.h>

#include "cli/command.h"

static const char help[] =
	"flowner fields [FORMAT]\n"
	"\n"
	"Prints every field that a record can hold: its name, type and unit, what it\n"
	"means, and its name in each format. With FORMAT (ecs, ocsf, zeek, zeek-json,\n"
	"sysmon, text, pcapng): what this format has, one line a field, in columns that\n"
	"are separated by tabs: name in the format, type, unit, name here, meaning.\n"
	"\n"
	"Names here that begin with responder_ are of the process at the responder's end\n"
	"of a connection with both ends on this host; those without are of the other\n"
	"one, or of the only one. In brackets: what a format wants and no record holds.\n"
	"\n"
	"  flowner fields ecs | cut -f 1\n";

static void print_field(const struct field *f)
{
	printf("%s%s%s  %s%s%s\n    %s\n", f->format_only ? "[" : "", f->name,
		f->format_only ? "]" : "", field_type_name((enum field_type)f->type),
		*f->unit ? ", " : "", f->unit, f->meaning);
	for (int i = 0; i < FIELD_FORMATS; i++)
		if (f->in[i].path)
			printf("    %-7s %s\n", field_format_name((enum field_format)i),
				f->in[i].path);
}

static void print_all(void)
{
	const struct field *f;

	for (unsigned i = 0; (f = field_at(i)); i++)
		print_field(f);
}

static void print_format(int format)
{
	const struct field *f;

	for (unsigned i = 0; (f = field_at(i)); i++)
		if (f->in[format].path)
			printf("%s\t%s\t%s\t%s%s%s\t%s\n", f->in[format].path,
				field_type_name((enum field_type)f->type), f->unit,
				f->format_only ? "[" : "", f->name, f->format_only ? "]" : "",
				f->meaning);
}

int command_fields(int argc, char **argv)
{
	char why[160];
	int format;

	if (argc > 2)
		return command_usage("fields", "one FORMAT at most");
	if (argc < 2) {
		print_all();
		return 0;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		fputs(help, stdout);
		return 0;
	}
	format = field_format_find(argv[1], strlen(argv[1]));
	if (format < 0) {
		snprintf(why, sizeof(why), "unknown format \"%.60s\"", argv[1]);
		return command_usage("fields", why);
	}
	print_format(format);
	return 0;
}
