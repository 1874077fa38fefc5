/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The YAML reader over any bytes: an answer, a complaint that is safe to print, and a configuration
 * that survives being printed and read again.
 */
#include "config/yaml.h"

#include <string.h>

#include "config/schema.h"
#include "tap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "%s\n", what);
		abort();
	}
}

static void check_complaint(int r, const struct config_error *err)
{
	check(r == 0 || r == CONFIG_E_INVALID, "neither taken nor refused");
	if (r == 0)
		return;
	check(memchr(err->text, '\0', sizeof(err->text)) && err->text[0], "no complaint");
	for (const char *p = err->text; *p; p++)
		check((unsigned char)*p >= 0x20 && *p != 0x7f,
			"a control character in a complaint");
}

static char *printed(const struct config *c, size_t *ret_len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, ret_len);

	check(f && config_print(c, f) == 0 && fclose(f) == 0, "no memory");
	return text;
}

static void check_again(const struct config *c)
{
	struct config_error err = {0};
	struct config again;
	size_t len, len_again;
	char *text = printed(c, &len), *text_again;

	check(config_init(&again) == 0, "no memory");
	check(yaml_apply(&again, "print", text, len, &err) == 0, err.text);
	text_again = printed(&again, &len_again);
	check(len == len_again && memcmp(text, text_again, len) == 0, "reads back otherwise");
	config_deinit(&again);
	free(text);
	free(text_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct schema_key *list = &schema_keys[schema_find_path("output.files", 12)];
	struct config_error err = {0};
	struct config c;
	int r;

	if (config_init(&c))
		return 0;
	r = yaml_apply(&c, "file", (const char *)data, size, &err);
	check_complaint(r, &err);
	if (r == 0)
		check_again(&c);
	if (size < 4096) {
		r = yaml_apply_list(&c, list, "--set", (const char *)data, size, &err);
		check_complaint(r, &err);
	}
	config_deinit(&c);
	return 0;
}
