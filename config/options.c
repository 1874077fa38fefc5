/* SPDX-License-Identifier: Apache-2.0 */
/* The daemons' command line: common options and a program's own, into plain values. */
#include "config/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "config/log.h"
#include "config/schema.h"

static const struct daemon_option common[] = {
	{"config", 'c', "FILE", "configuration file, with conf.d/*.yaml beside it"},
	{"set", 0, "KEY=VALUE", "set one key, over the files and the environment"},
	{"runtime-dir", 0, "DIR", "where the programs of one instance meet"},
	{"check-config", 't', NULL, "check the configuration and exit"},
	{"print-config", 0, NULL, "print the merged configuration and exit"},
	{"examine", 0, NULL, "print what flowner doctor asks for, and exit"},
	{"debug", 0, NULL, "log more"},
	{"help", 'h', NULL, "print this text"},
	{"version", 'V', NULL, "print the version"},
};

#define N_COMMON (sizeof(common) / sizeof(common[0]))
#define ALL_MAX  (N_COMMON + OPTIONS_OWN_MAX)
#define OWN_BASE                                                                                   \
	1000 /* getopt's value of own option 0; values of common ones are their index + 1 */
#define COMMON_BASE 500

struct table {
	struct option longs[ALL_MAX + 1];
	const char *names[ALL_MAX + 1];
	char shorts[2 * ALL_MAX + 3];
	size_t n;
};

static void add(struct table *t, char **end, const struct daemon_option *o, int value)
{
	t->longs[t->n] =
		(struct option){o->name, o->arg ? required_argument : no_argument, NULL, value};
	t->names[t->n++] = o->name;
	if (o->letter) {
		*(*end)++ = o->letter;
		if (o->arg)
			*(*end)++ = ':';
	}
}

static void build(struct table *t, const struct daemon_option *own)
{
	char *end = t->shorts;

	*t = (struct table){0};
	*end++ = ':'; /* a missing argument shows as ':' */
	for (size_t i = 0; i < N_COMMON; i++)
		add(t, &end, &common[i], COMMON_BASE + (int)i);
	for (size_t i = 0; own && own[i].name && i < OPTIONS_OWN_MAX; i++)
		add(t, &end, &own[i], OWN_BASE + (int)i);
}

/* The option that getopt's short letter @value stands for, as its long value. */
static int long_value(const struct daemon_option *own, int value)
{
	for (size_t i = 0; i < N_COMMON; i++) {
		if (value == common[i].letter)
			return COMMON_BASE + (int)i;
	}
	for (size_t i = 0; own && own[i].name && i < OPTIONS_OWN_MAX; i++) {
		if (value == own[i].letter)
			return OWN_BASE + (int)i;
	}
	return value;
}

static int complain_option(const struct table *t, int problem, char **argv)
{
	const char *argument = argv[optind - 1];
	size_t len = strcspn(argument, "="), candidates = 0;
	const char *meant;

	for (size_t i = 0; len > 2 && i < t->n; i++)
		candidates += strncmp(t->names[i], argument + 2, len - 2) == 0;
	if (problem == ':') {
		log_error("option '%s' needs a value; see --help", argument);
	} else if (optopt >= COMMON_BASE) {
		log_error("option '%.*s' takes no value; see --help", (int)len, argument);
	} else if (optopt) {
		log_error("unknown option '-%c'; see --help", optopt);
	} else if (candidates > 1) {
		log_error("option '%.*s' is ambiguous; see --help", (int)len, argument);
	} else {
		meant = len > 2 ? schema_suggest_name(t->names, argument + 2, len - 2) : NULL;
		log_error("unknown option '%.*s'%s%s%s; see --help", (int)len, argument,
			meant ? " (did you mean '--" : "", meant ? meant : "", meant ? "'?)" : "");
	}
	return -EINVAL;
}

static int set_common(struct options *o, const char *name, char *value)
{
	if (strcmp(name, "config") == 0) {
		o->file = value;
	} else if (strcmp(name, "runtime-dir") == 0) {
		o->runtime_dir = value;
	} else if (strcmp(name, "check-config") == 0) {
		o->check_config = true;
	} else if (strcmp(name, "print-config") == 0) {
		o->print_config = true;
	} else if (strcmp(name, "examine") == 0) {
		o->examine = true;
	} else if (strcmp(name, "debug") == 0) {
		o->debug = true;
	} else if (strcmp(name, "help") == 0) {
		o->help = true;
	} else if (strcmp(name, "version") == 0) {
		o->version = true;
	} else if (o->n_set < OPTIONS_SET_MAX) {
		o->set[o->n_set++] = value;
	} else {
		log_error("more than %u options --set", OPTIONS_SET_MAX);
		return -EINVAL;
	}
	return 0;
}

int options_parse(struct options *o, int argc, char **argv, const struct daemon_option *own,
	int (*own_set)(void *arg, const char *name, const char *value), void *arg)
{
	struct table t;
	int value, r = 0;

	*o = (struct options){0};
	build(&t, own);
	opterr = 0;
	optind = 0; /* glibc: start anew, whatever ran before */
	while (r == 0 && (value = getopt_long(argc, argv, t.shorts, t.longs, NULL)) != -1) {
		if (value == '?' || value == ':')
			return complain_option(&t, value, argv);
		value = long_value(own, value);
		if (value >= OWN_BASE)
			r = own_set(arg, own[value - OWN_BASE].name, optarg);
		else
			r = set_common(o, common[value - COMMON_BASE].name, optarg);
	}
	if (r == 0 && optind < argc) {
		log_error("unexpected argument '%s'; see --help", argv[optind]);
		return -EINVAL;
	}
	return r;
}

static void print_option(const struct daemon_option *o)
{
	char left[64];

	snprintf(left, sizeof(left), "  %c%c%s--%s%s%s", o->letter ? '-' : ' ',
		o->letter ? o->letter : ' ', o->letter ? ", " : "  ", o->name, o->arg ? " " : "",
		o->arg ? o->arg : "");
	printf("%-29s  %s\n", left, o->help);
}

void options_help(const char *program, const struct daemon_option *own)
{
	printf("usage: %s [OPTION]...\n\n"
	       "A part of flowner, started by `flowner run` or by a service manager.\n\n",
		program);
	for (size_t i = 0; own && own[i].name; i++)
		print_option(&own[i]);
	for (size_t i = 0; i < N_COMMON; i++)
		print_option(&common[i]);
	printf("\nConfiguration: " CONFIG_DEFAULT_FILE ", conf.d/*.yaml beside it, environment\n"
	       "FLOWNER_SECTION__KEY, --set; later ones win. Runtime directory: " DAEMON_RUNTIME_DIR
	       ".\n"
	       "Exit status: 0 done, 1 failed, 64 wrong command line, 78 wrong configuration.\n");
}
