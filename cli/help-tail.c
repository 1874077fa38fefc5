/* SPDX-License-Identifier: Apache-2.0 */
/* The help texts of `flowner tail` and of expressions. */
#include "cli/command.h"
#include "sink/expression.h"

static const char help[] =
	"flowner tail [OPTION]... [FILE] [EXPRESSION]\n"
	"\n"
	"Shows the records of FILE as text, those that EXPRESSION matches, and goes on\n"
	"with what is written to it, also after a rotation, until Ctrl-C. FILE is of\n"
	"format ecs, ocsf, zeek, zeek-json or sysmon, - is standard input; by default\n"
	"the first file of the configuration. Losses are always shown.\n"
	"\n"
	"  -n N             begin with the last N records that match; all of them with\n"
	"                   -n all or --no-follow, else 10\n"
	"  -f, --follow     go on (the default)\n"
	"      --no-follow  end at the end of FILE\n"
	"      --raw        print the lines of FILE themselves\n"
	"\n"
	"The first argument is FILE unless it has a colon that no slash precedes, or its\n"
	"first word is loopback or not. For EXPRESSION see flowner help expression.\n"
	"\n"
	"  flowner tail process:curl port:443\n"
	"  flowner tail --no-follow old.ndjson host:10.0.0.0/8 not user:root\n"
	"  flowner tail old.ndjson.zst bytes:1MiB-      (unpacked by zstd, not followed)\n";

static const char expression_help[] =
	"Expressions say which records are meant: in flowner tail, and in include and\n"
	"exclude of an output.\n"
	"\n"
	"  KEY:VALUE         the record has VALUE under KEY\n"
	"  KEY:VALUE,VALUE   ... or the other VALUE\n"
	"  TERM TERM         both hold\n"
	"  not TERM          TERM does not hold\n"
	"  TERM or TERM      one of them holds; binds less than the blank\n"
	"\n"
	"Text is compared exactly, * stands for any bytes. A number can be a range: 1-9,\n"
	"1- (at least), -9 (at most); sizes take B, KiB, MiB, GiB, durations need ns, us,\n"
	"ms, s, m, h or d. A host is an address, ADDRESS/BITS, or a name with * (case is\n"
	"ignored). \\ takes the next byte literally, \"...\" blanks and commas. Keys of\n"
	"processes ask both ends. What a record does not have matches nothing.\n"
	"\n";

void command_tail_help(FILE *f)
{
	fputs(help, f);
}

void command_expression_help(FILE *f)
{
	const struct expression_key_info *k;

	fputs(expression_help, f);
	for (unsigned i = 0; (k = expression_key_at(i)); i++)
		fprintf(f, "  %-12s %s\n", k->name, k->help);
}
