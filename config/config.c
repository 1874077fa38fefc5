/* SPDX-License-Identifier: Apache-2.0 */
/* Puts a configuration together from its sources: defaults, files, environment, command line. */
#include "config/config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>

#include "config/error.h"
#include "config/outputs.h"
#include "config/schema.h"
#include "config/text.h"
#include "config/transfer.h"
#include "config/value.h"
#include "config/yaml.h"
#include "shm/cleanup.h"

#define FRAGMENTS_MAX 256u /* files in conf.d */
#define ENV_PREFIX    "FLOWNER_"

static int append(const struct config *c, union value_list *list, const struct schema_key *k,
	const char *text, size_t len, struct value_complaint *ret_why)
{
	int r = value_append(list, k, text, len, ret_why);

	return r || k->type != SCHEMA_OUTPUTS ? r
					      : outputs_check(c->checks, &list->outputs, ret_why);
}

/* The environment and --set: a list is written with commas or as a YAML flow sequence. */
static int set_text(struct config *c, const struct schema_key *k, const struct error_place *place,
	const char *text, struct config_error *err)
{
	union value_list list = {0};
	struct value_complaint why;
	int r = 0;

	if (k->type != SCHEMA_LIST && k->type != SCHEMA_OUTPUTS) {
		r = value_set(c, k, text, strlen(text), &why);
	} else if (text[0] == '[') {
		return yaml_apply_list(c, k, place->source, text, strlen(text), err);
	} else {
		for (const char *entry = text; r == 0 && *text;) {
			size_t len = strcspn(entry, ",");

			r = append(c, &list, k, entry, len, &why);
			if (entry[len] == '\0')
				break;
			entry += len + 1;
		}
		if (r == 0)
			r = value_set_list(c, k, &list, &why);
		value_list_clear(&list, k);
	}
	return r == CONFIG_E_INVALID ? error_complain(err, place, k->path, "%s", why.text) : r;
}

int config_set_outputs(struct config *c, const char *source, const char *const *text, size_t n,
	struct config_error *err)
{
	const struct schema_key *k = &schema_keys[schema_find("output", "files", 5)];
	const struct error_place place = {.source = source};
	union value_list list = {0};
	struct value_complaint why;
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = append(c, &list, k, text[i], strlen(text[i]), &why);
	if (r == 0)
		r = value_set_list(c, k, &list, &why);
	value_list_clear(&list, k);
	return r == CONFIG_E_INVALID ? error_complain(err, &place, k->path, "%s", why.text) : r;
}

/* Sets the key "section.name" with @len bytes. */
static int set_path(struct config *c, const struct error_place *place, const char *path, size_t len,
	const char *text, struct config_error *err)
{
	int k = schema_find_path(path, len), s;
	size_t dot = strcspn(path, ".=");
	const char *meant;
	char name[80];

	if (k >= 0)
		return set_text(c, &schema_keys[k], place, text, err);
	text_escape(name, sizeof(name), path, len);
	s = schema_find_section(path, dot);
	if (s >= 0 && dot < len)
		meant = schema_suggest_key(schema_sections[s].name, path + dot + 1, len - dot - 1);
	else
		meant = schema_suggest_path(path, len);
	if (s >= 0 && dot == len)
		return error_complain(err, place, name, "is a section; expects SECTION.KEY");
	if (meant)
		return error_complain(
			err, place, name, "unknown key (did you mean \"%s\"?)", meant);
	return error_complain(err, place, name, "unknown key");
}

static int apply_set(struct config *c, const char *set, struct config_error *err)
{
	const struct error_place place = {.source = "--set"};
	const char *equals = strchr(set, '=');

	if (!equals || equals == set)
		return error_complain(err, &place, equals ? "" : set, "expects SECTION.KEY=VALUE");
	return set_path(c, &place, set, (size_t)(equals - set), equals + 1, err);
}

/* FLOWNER_SECTION__KEY=value; other variables are not ours. */
static int apply_environment(struct config *c, const char *variable, struct config_error *err)
{
	const struct error_place place = {.source = "environment"};
	const char *name = variable + strlen(ENV_PREFIX), *equals = strchr(variable, '=');
	const char *middle;
	char path[128];
	size_t n = 0;

	if (strncmp(variable, ENV_PREFIX, strlen(ENV_PREFIX)) != 0 || !equals)
		return 0;
	middle = strstr(name, "__");
	if (!middle || middle > equals || (size_t)(equals - name) >= sizeof(path))
		return 0;
	for (const char *p = name; p < equals; p++) {
		if (p == middle) {
			path[n++] = '.';
			p++;
			continue;
		}
		path[n++] = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
	}
	return set_path(c, &place, path, n, equals + 1, err);
}

static int complain_file(struct config_error *err, const char *file, const char *what, int error)
{
	const struct error_place place = {.source = file};

	return error_complain(err, &place, NULL, "%s: %s", what, strerror(error));
}

/*
 * Reads and applies one file. -ENOENT if there is none, without a complaint. Only one that was
 * @named may be a pipe, which is waited for.
 */
static int apply_file(struct config *c, const char *file, bool named, struct config_error *err)
{
	const int wait = named ? 0 : O_NONBLOCK;
	_cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | wait);
	const struct error_place place = {.source = file};
	_cleanup_free_ char *text = NULL;
	struct stat st;
	size_t len = 0;
	ssize_t n;

	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0)
		return complain_file(err, file, "cannot be opened", errno);
	if (!named && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode))
		return error_complain(err, &place, NULL, "is not a regular file");
	/* One byte more than allowed, so that a larger file shows. */
	text = malloc(CONFIG_SIZE_MAX + 1);
	if (!text)
		return -ENOMEM;
	do {
		n = transfer_read(fd, text + len, CONFIG_SIZE_MAX + 1 - len, TRANSFER_HERE);
		if (n < 0 && errno != EINTR)
			return complain_file(err, file, "cannot be read", errno);
		len += n > 0 ? (size_t)n : 0;
	} while (n != 0 && len <= CONFIG_SIZE_MAX);
	return yaml_apply(c, file, text, len, err);
}

static int is_fragment(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return entry->d_name[0] != '.' && len > 5 && strcmp(entry->d_name + len - 5, ".yaml") == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* A folder that nobody named on the command line must not let a stranger configure a daemon. */
static int check_folder(const char *folder, struct config_error *err)
{
	const struct error_place place = {.source = folder};
	/* Who started us, also when privileges are dropped and this is read again. */
	const uid_t who = (uid_t)getauxval(AT_EUID);
	struct stat st;

	if (stat(folder, &st) < 0)
		return errno == ENOENT || errno == ENOTDIR
			       ? -ENOENT
			       : complain_file(err, folder, "cannot be read", errno);
	if (!S_ISDIR(st.st_mode))
		return complain_file(err, folder, "cannot be read", ENOTDIR);
	if (st.st_uid != 0 && st.st_uid != who)
		return error_complain(err, &place, NULL,
			"belongs to user %u, expects root or user %u", st.st_uid, who);
	if (st.st_mode & S_IWOTH)
		return error_complain(err, &place, NULL, "can be written by everyone");
	return 0;
}

/* conf.d/ *.yaml beside @file, in the order of the bytes of their names. */
static int apply_fragments(struct config *c, const char *file, struct config_error *err)
{
	const char *slash = strrchr(file, '/');
	int prefix = slash ? (int)(slash - file) + 1 : 0;
	struct dirent **entries = NULL;
	char folder[PATH_MAX], path[PATH_MAX];
	int n, r;

	if (snprintf(folder, sizeof(folder), "%.*sconf.d", prefix, file) >= (int)sizeof(folder))
		return complain_file(err, file, "cannot be opened", ENAMETOOLONG);
	r = check_folder(folder, err);
	if (r)
		return r == -ENOENT ? 0 : r;
	n = scandir(folder, &entries, is_fragment, by_bytes);
	if (n < 0)
		return errno == ENOMEM ? -ENOMEM
				       : complain_file(err, folder, "cannot be read", errno);
	if (n > (int)FRAGMENTS_MAX)
		r = complain_file(err, folder, "more than 256 files", E2BIG);
	for (int i = 0; i < n; i++) {
		if (r == 0 && snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name) >=
				      (int)sizeof(path))
			r = complain_file(err, folder, "cannot be opened", ENAMETOOLONG);
		if (r == 0)
			r = apply_file(c, path, false, err);
		if (r == -ENOENT)
			r = complain_file(err, path, "cannot be opened", ENOENT);
		free(entries[i]);
	}
	free(entries);
	return r;
}

int config_init(struct config *c)
{
	const struct error_place place = {.source = "default"};
	struct config_error err;
	int r = 0;

	*c = (struct config){0};
	for (size_t i = 0; r == 0 && i < schema_n_keys; i++)
		r = set_text(c, &schema_keys[i], &place, schema_keys[i].initial, &err);
	return r == CONFIG_E_INVALID ? -EINVAL : r;
}

void config_deinit(struct config *c)
{
	for (size_t i = 0; i < schema_n_keys; i++)
		value_clear(c, &schema_keys[i]);
}

int config_load(struct config *c, const struct config_sources *s, struct config_error *err)
{
	const char *file = s->file ? s->file : CONFIG_DEFAULT_FILE;
	int r = 0;

	c->checks = s->checks;
	if (!s->no_file) {
		r = apply_file(c, file, true, err);
		if (r == -ENOENT)
			r = s->file ? complain_file(err, file, "cannot be opened", ENOENT) : 0;
		if (r == 0)
			r = apply_fragments(c, file, err);
	}
	for (size_t i = 0; r == 0 && s->environ && s->environ[i]; i++)
		r = apply_environment(c, s->environ[i], err);
	for (size_t i = 0; r == 0 && i < s->n_set; i++)
		r = apply_set(c, s->set[i], err);
	return r;
}

bool config_wants_packets(const struct config *c)
{
	for (size_t i = 0; i < c->output.files.n; i++)
		if (strcmp(c->output.files.item[i].format, "pcapng") == 0)
			return true;
	return false;
}
