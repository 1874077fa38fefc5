/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of `flowner run`: getopt's answers turned into a checked struct. */
#include "cli/arguments.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTION_SET = 256, OPTION_STATS, OPTION_NETNS };

static const struct option long_options[] = {
	{"config", required_argument, NULL, 'c'},
	{"interface", required_argument, NULL, 'i'},
	{"netns", required_argument, NULL, OPTION_NETNS},
	{"read", required_argument, NULL, 'r'},
	{"output", required_argument, NULL, 'o'},
	{"duration", required_argument, NULL, 'd'},
	{"set", required_argument, NULL, OPTION_SET},
	{"stats", no_argument, NULL, OPTION_STATS},
	{"verbose", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

bool arguments_duration(const char *text, uint64_t *ret_ns)
{
	static const struct {
		const char *suffix;
		double ns;
	} units[] = {{"", 1e9}, {"s", 1e9}, {"ms", 1e6}, {"m", 60e9}, {"h", 3600e9}};
	char *end;
	double value, ns;

	if (*text < '0' || *text > '9') /* no sign, blank, "inf" or "nan" */
		return false;
	value = strtod(text, &end);
	if (strspn(text, "0123456789.") != (size_t)(end - text)) /* no exponent, no hexadecimal */
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].suffix) != 0)
			continue;
		ns = value * units[i].ns;
		if (ns < 1 || ns > 1e18) /* 30 years; also keeps the conversion defined */
			return false;
		*ret_ns = (uint64_t)ns;
		return true;
	}
	return false;
}

static int usage(char *why, size_t size, const char *what, const char *arg)
{
	snprintf(why, size, what, arg);
	return ARGUMENTS_E_USAGE;
}

static int list_add(
	struct arguments_list *l, const char *option, const char *arg, char *why, size_t size)
{
	if (!*arg)
		return usage(why, size, "%s needs a value", option);
	if (l->n == ARGUMENTS_LIST_MAX)
		return usage(why, size, "%s is given too often", option);
	l->item[l->n++] = arg;
	return 0;
}

static int single(const char **where, const char *option, const char *arg, char *why, size_t size)
{
	if (!*arg)
		return usage(why, size, "%s needs a value", option);
	if (*where)
		return usage(why, size, "%s can be given only once", option);
	*where = arg;
	return 0;
}

/* FORMAT:PATH; which formats there are is the schema's knowledge, not ours. */
static int add_output(struct arguments *o, const char *arg, char *why, size_t size)
{
	const char *colon = strchr(arg, ':');

	if (!colon || colon == arg || !colon[1])
		return usage(
			why, size, "-o %s: an output is FORMAT:PATH, like text:- or ecs:FILE", arg);
	for (size_t i = 0; i < o->outputs.n; i++)
		if (!strcmp(strchr(o->outputs.item[i], ':'), colon))
			return usage(
				why, size, "-o %s: another output goes to the same place", arg);
	return list_add(&o->outputs, "-o", arg, why, size);
}

static int add_set(struct arguments *o, const char *arg, char *why, size_t size)
{
	const char *equal = strchr(arg, '=');

	if (!equal || equal == arg)
		return usage(why, size, "--set %s: a setting is KEY=VALUE", arg);
	return list_add(&o->sets, "--set", arg, why, size);
}

static int take(struct arguments *o, int c, char **argv, char *why, size_t size)
{
	switch (c) {
	case 'c':
		return single(&o->config_file, "-c", optarg, why, size);
	case 'r':
		return single(&o->file, "-r", optarg, why, size);
	case 'i':
		return list_add(&o->interfaces, "-i", optarg, why, size);
	case OPTION_NETNS:
		return list_add(&o->netns, "--netns", optarg, why, size);
	case 'o':
		return add_output(o, optarg, why, size);
	case 'd':
		if (!arguments_duration(optarg, &o->duration_ns))
			return usage(why, size, "-d %s: not a duration; write 10, 500ms, 5m or 1h",
				optarg);
		return 0;
	case OPTION_SET:
		return add_set(o, optarg, why, size);
	case OPTION_STATS:
		o->stats = true;
		return 0;
	case 'v':
		o->verbose = true;
		return 0;
	case 'h':
		o->help = true;
		return 0;
	case ':':
		return usage(why, size, "option %s needs a value", argv[optind - 1]);
	default:
		/* optopt is the letter of a short option, which may stand in a cluster. */
		if (optopt > 0 && optopt < 256 && strncmp(argv[optind - 1], "--", 2) != 0) {
			char letter[] = {'-', (char)optopt, 0};

			return usage(why, size, "unknown option %s", letter);
		}
		return usage(why, size, "unknown option %s", argv[optind - 1]);
	}
}

static int join(char **words, int n, char **ret)
{
	size_t size = 1;
	char *s, *p;

	for (int i = 0; i < n; i++)
		size += strlen(words[i]) + 1;
	s = p = malloc(size);
	if (!s)
		return -ENOMEM;
	*p = 0;
	for (int i = 0; i < n; i++) {
		if (i)
			*p++ = ' ';
		p = stpcpy(p, words[i]);
	}
	*ret = s;
	return 0;
}

static int check(const struct arguments *o, char *why, size_t size)
{
	if (o->file && o->interfaces.n)
		return usage(
			why, size, "-r and -i exclude each other%s: a file or an interface", "");
	if (o->file && o->netns.n)
		return usage(why, size,
			"-r and --netns exclude each other%s: a file is of no namespace", "");
	if (o->file && o->command)
		return usage(why, size,
			"-r and a command exclude each other%s: a file shows the past", "");
	return 0;
}

int arguments_parse(struct arguments *o, int argc, char **argv, char *why, size_t size)
{
	int n = 1, c, r;

	*o = (struct arguments){0};
	/* The command's own options are none of getopt's business: cut argv at "--" first. */
	while (n < argc && strcmp(argv[n], "--") != 0)
		n++;
	if (n < argc) {
		o->command = argv + n + 1;
		if (n + 1 == argc)
			return usage(why, size, "no command after %s", "--");
	}
	opterr = 0;
	optind = 0; /* GNU: start afresh */
	while ((c = getopt_long(n, argv, ":c:i:r:o:d:vh", long_options, NULL)) != -1) {
		r = take(o, c, argv, why, size);
		if (r || o->help)
			return r;
	}
	if (optind < n) {
		r = join(argv + optind, n - optind, &o->filter);
		if (r < 0)
			return r;
	}
	return check(o, why, size);
}

void arguments_deinit(struct arguments *o)
{
	free(o->filter);
	o->filter = NULL;
}
