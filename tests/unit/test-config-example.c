/* SPDX-License-Identifier: Apache-2.0 */
/*
 * contrib/flowner.yaml documents every key as the schema has it. With --print this program writes
 * what belongs there: test-config-example --print >contrib/flowner.yaml
 */
#include "config/config.h"

#include <unistd.h>

#include "config/schema.h"
#include "tap.h"

#ifndef EXAMPLE
#error "EXAMPLE is the path of contrib/flowner.yaml"
#endif

static const char head[] =
	"# SPDX-License-Identifier: Apache-2.0\n"
	"# flowner's configuration: /etc/flowner/flowner.yaml. Every key stands here with its "
	"default;\n"
	"# remove the # in front of what you change. Files /etc/flowner/conf.d/*.yaml are read "
	"after\n"
	"# this one, in the order of their names, and win, as do the environment (capture.buffer "
	"is\n"
	"# FLOWNER_CAPTURE__BUFFER) and --set capture.buffer=64MiB on the command line.\n"
	"# `flowner check-config` checks it, `flowner print-config` shows what comes out.\n\n";

static char *keys_text(size_t *ret_len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, ret_len);

	if (!f || config_print_keys(f) || fclose(f))
		tap_bail("no memory");
	return text;
}

static char *read_all(const char *path, size_t *ret_len)
{
	FILE *f = fopen(path, "re");
	char *text = calloc(1, CONFIG_SIZE_MAX);

	if (!f || !text)
		tap_bail("contrib/flowner.yaml cannot be read");
	*ret_len = fread(text, 1, CONFIG_SIZE_MAX - 1, f);
	fclose(f);
	return text;
}

/* The configuration that a file leads to, printed. */
static char *loaded(const char *path, bool no_file)
{
	const struct config_sources s = {.file = path, .no_file = no_file};
	struct config_error err = {0};
	struct config c;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f || config_init(&c))
		tap_bail("no memory");
	tap_is_int(
		config_load(&c, &s, &err), 0, "%s loads %s", no_file ? "nothing" : "it", err.text);
	config_print(&c, f);
	fclose(f);
	config_deinit(&c);
	return text;
}

/* Takes the # from every line "  #key: value" into @path. */
static size_t uncomment(const char *text, const char *path)
{
	FILE *f = fopen(path, "we");
	size_t n = 0;

	for (const char *line = text; f && *line;) {
		size_t len = strcspn(line, "\n");
		size_t name = len > 3 ? strspn(line + 3, "abcdefghijklmnopqrstuvwxyz_") : 0;
		bool key = strncmp(line, "  #", 3) == 0 && name && line[3 + name] == ':';

		n += key;
		fprintf(f, "%s%.*s\n", key ? "  " : "", (int)(len - (key ? 3 : 0)),
			line + (key ? 3 : 0));
		line += len + (line[len] == '\n');
	}
	if (!f || fclose(f))
		tap_bail("no file");
	return n;
}

int main(int argc, char **argv)
{
	char open_path[] = "/tmp/flowner-test-XXXXXX";
	size_t keys_len, len;
	char *keys = keys_text(&keys_len), *text, *defaults, *got;

	if (argc == 2 && strcmp(argv[1], "--print") == 0) {
		printf("%s%s", head, keys);
		free(keys);
		return 0;
	}
	text = read_all(EXAMPLE, &len);
	tap_ok(strncmp(text, head, strlen(head)) == 0, "it starts as it should");
	tap_is_str(len > strlen(head) ? text + strlen(head) : "", keys,
		"it documents the schema's keys");
	defaults = loaded(NULL, true);
	got = loaded(EXAMPLE, false);
	tap_is_str(got, defaults, "as it stands it changes nothing");
	free(got);

	close(mkstemp(open_path));
	tap_is_int(
		uncomment(text, open_path), schema_n_keys, "every key is there to be uncommented");
	got = loaded(open_path, false);
	tap_is_str(got, defaults, "and says the default");
	unlink(open_path);
	free(got);
	free(defaults);
	free(text);
	free(keys);
	return tap_done();
}
