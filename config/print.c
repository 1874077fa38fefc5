/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a configuration, or the reference of all keys, as YAML (declared in config.h, value.h). */
#include "config/config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "config/outputs.h"
#include "config/schema.h"
#include "config/text.h"
#include "config/value.h"

void value_print_number(const struct schema_key *k, uint64_t n, FILE *f)
{
	const struct schema_unit *units = schema_units(k->type), *best = units;

	if (k->type == SCHEMA_COUNT) {
		fprintf(f, "%" PRIu64, n);
		return;
	}
	for (size_t i = 0; units[i].name; i++) {
		if (n % units[i].factor == 0)
			best = &units[i];
	}
	if (n == 0)
		fputs(k->type == SCHEMA_SIZE ? "0B" : "0s", f);
	else
		fprintf(f, "%" PRIu64 "%s", n / best->factor, best->name);
}

/* Inside a double-quoted YAML scalar; what could disturb a terminal is written as an escape. */
static void print_escaped(const char *s, FILE *f)
{
	size_t len = strlen(s);

	for (size_t i = 0; i < len;) {
		char escaped[16];
		uint32_t code = 0;
		size_t n = text_utf8(s + i, len - i, &code);

		if (n == 0) /* cannot come from a source: values are checked to be UTF-8 */
			n = 1, code = 0xfffd;
		text_escape(escaped, sizeof(escaped), s + i, n);
		if (code == '"' || code == '\\')
			fprintf(f, "\\%c", (char)code);
		else if (escaped[0] == '\\')
			fprintf(f, "\\u%04" PRIX32, code); /* none of these is above U+FFFF */
		else
			fwrite(s + i, 1, n, f);
		i += n;
	}
}

/* Plain where no YAML reader could take the text for anything else. */
static void print_string(const char *s, FILE *f)
{
	static const char safe[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./";
	static const char *const taken[] = {
		"null", "true", "false", "yes", "no", "on", "off", "y", "n"};
	bool plain = s[0] && strspn(s, safe) == strlen(s) && s[0] >= 'A' && s[0] != '_';

	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		plain = plain && strcasecmp(s, taken[i]) != 0;
	if (plain) {
		fputs(s, f);
		return;
	}
	fputc('"', f);
	print_escaped(s, f);
	fputc('"', f);
}

/* An output as FORMAT:PATH, or as a flow mapping of what is not as by default. */
static void print_output(const struct config_output *o, FILE *f)
{
	const char *comma = "";

	if (outputs_is_text(o)) {
		fputc('"', f);
		print_escaped(o->format, f);
		fputc(':', f);
		print_escaped(o->path, f);
		fputc('"', f);
		return;
	}
	fputc('{', f);
	for (size_t i = 0; i < schema_n_output_keys; i++) {
		const struct schema_key *k = &schema_output_keys[i];

		if (outputs_is_default(o, k))
			continue;
		fprintf(f, "%s%s: ", comma, k->name);
		value_print(o, k, f);
		comma = ", ";
	}
	fputc('}', f);
}

/* Texts stand on one line; as soon as one is a mapping, each has its own. */
static void print_outputs(const struct config_outputs *list, FILE *f)
{
	bool texts = true;

	for (size_t i = 0; i < list->n; i++)
		texts = texts && outputs_is_text(&list->item[i]);
	for (size_t i = 0; i < list->n; i++) {
		fputs(!texts ? "\n    - " : i ? ", " : "[", f);
		print_output(&list->item[i], f);
	}
	fputs(texts ? "]" : "", f);
}

void value_print(const void *base, const struct schema_key *k, FILE *f)
{
	const void *at = (const char *)base + k->offset;
	const struct config_list *list = at;

	switch (k->type) {
	case SCHEMA_STRING:
		print_string(*(char *const *)at, f);
		break;
	case SCHEMA_LIST:
		fputc('[', f);
		for (size_t i = 0; i < list->n; i++) {
			fputs(i ? ", " : "", f);
			print_string(list->item[i], f);
		}
		fputc(']', f);
		break;
	case SCHEMA_OUTPUTS:
		print_outputs(at, f);
		break;
	case SCHEMA_SIZE:
	case SCHEMA_DURATION:
	case SCHEMA_COUNT:
		value_print_number(k, *(const uint64_t *)at, f);
		break;
	case SCHEMA_BOOL:
		fputs(*(const bool *)at ? "true" : "false", f);
		break;
	case SCHEMA_NAME:
		/* Quoted: to a YAML 1.1 reader a bare off is the boolean false. */
		print_string(k->names[*(const int *)at], f);
		break;
	}
}

int config_print(const struct config *c, FILE *f)
{
	const char *section = "";

	for (size_t i = 0; i < schema_n_keys; i++) {
		const struct schema_key *k = &schema_keys[i];

		if (strcmp(section, k->section) != 0)
			fprintf(f, "%s:\n", k->section);
		section = k->section;
		fprintf(f, "  %s: ", k->name);
		value_print(c, k, f);
		fputc('\n', f);
	}
	return fflush(f) || ferror(f) ? -EIO : 0;
}

static void print_range(const struct schema_key *k, FILE *f)
{
	switch (k->type) {
	case SCHEMA_STRING:
		fprintf(f, "Text of at most %" PRIu64 " bytes", k->max);
		break;
	case SCHEMA_LIST:
		fprintf(f, "List of %d to %u texts of at most %" PRIu64 " bytes", !k->empty,
			CONFIG_LIST_MAX, k->max);
		break;
	case SCHEMA_OUTPUTS:
		fprintf(f, "List of 1 to %u texts FORMAT:PATH or mappings", CONFIG_LIST_MAX);
		break;
	case SCHEMA_SIZE:
	case SCHEMA_DURATION:
	case SCHEMA_COUNT:
		fputs(k->type == SCHEMA_SIZE      ? "Size (B, KiB, MiB, GiB), "
			: k->type == SCHEMA_COUNT ? "Number, "
						  : "Duration (ns, us, ms, s, m, h, d), ",
			f);
		value_print_number(k, k->min, f);
		fputs(" to ", f);
		value_print_number(k, k->max, f);
		fputs(k->power_of_two ? ", a power of two" : "", f);
		break;
	case SCHEMA_BOOL:
		fputs("One of true or false", f);
		break;
	case SCHEMA_NAME:
		for (int i = 0; k->names[i]; i++)
			fprintf(f, "%s%s",
				i == 0            ? "One of "
				: k->names[i + 1] ? ", "
						  : " or ",
				k->names[i]);
		break;
	}
	fputs(".\n", f);
}

/* What a mapping may hold: in a comment, as it stands for no value of its own. */
static void print_output_keys(FILE *f)
{
	struct config_output o;

	fputs("  #\n  # As a mapping an output has more keys than format and path, such as\n"
	      "  #   - format: ecs\n"
	      "  #     path: /var/log/flowner/flowner.ndjson\n"
	      "  #     rotate_size: 64MiB\n"
	      "  #     keep_files: 14\n",
		f);
	if (outputs_init(&o))
		return;
	for (size_t i = 0; i < schema_n_output_keys; i++) {
		const struct schema_key *k = &schema_output_keys[i];

		fprintf(f, "  #\n  #   %s:%s", k->name, k->initial ? " " : "");
		if (k->initial)
			value_print(&o, k, f);
		fprintf(f, "\n  #     %s\n  #     ", k->help);
		print_range(k, f);
	}
	outputs_deinit(&o);
}

int config_print_keys(FILE *f)
{
	struct config c;
	int r = config_init(&c);

	for (size_t s = 0; r == 0 && s < schema_n_sections; s++) {
		fprintf(f, "%s# %s\n%s:\n", s ? "\n\n" : "", schema_sections[s].help,
			schema_sections[s].name);
		for (size_t i = 0; i < schema_n_keys; i++) {
			const struct schema_key *k = &schema_keys[i];

			if (strcmp(k->section, schema_sections[s].name) != 0)
				continue;
			/* Without its # the line is indented right: comments have a space behind
			 * it. */
			fprintf(f, "\n  # %s\n  # ", k->help);
			print_range(k, f);
			if (k->type == SCHEMA_OUTPUTS)
				print_output_keys(f);
			fprintf(f, "  #%s: ", k->name);
			value_print(&c, k, f);
			fputc('\n', f);
		}
	}
	config_deinit(&c);
	if (r == 0 && (fflush(f) || ferror(f)))
		r = -EIO;
	return r;
}
