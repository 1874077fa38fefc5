/* SPDX-License-Identifier: Apache-2.0 */
/* `flowner check-config` and `flowner print-config`: what the services would read, checked or
 * shown. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "capture/source.h"
#include "cli/command.h"
#include "cli/arguments.h"
#include "cli/plan.h"
#include "config/log.h"

static int out_of_memory(void)
{
	log_error("out of memory");
	return COMMAND_EXIT_OS;
}

int command_check_config(int argc, char **argv)
{
	struct config_sources s = {.environ = environ};
	struct source_error err;
	struct config c;
	int r;

	if (argc > 1 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))) {
		puts("flowner check-config [FILE]\n"
		     "\n"
		     "Checks FILE, by default " CONFIG_DEFAULT_FILE ", and the files of conf.d\n"
		     "beside it. Exit status: 0 good, 78 bad.");
		return 0;
	}
	if (argc > 2 || (argc > 1 && argv[1][0] == '-'))
		return command_usage("check-config", "check-config takes one file");
	s.file = argc > 1 ? argv[1] : NULL;
	if (config_init(&c) < 0)
		return out_of_memory();
	r = plan_load(&c, &s);
	if (!r && !source_accepts(c.capture.filter, &err)) {
		log_error("capture.filter: \"%s\": %s", c.capture.filter, err.text);
		r = CONFIG_EXIT;
	}
	if (!r && !s.file && access(CONFIG_DEFAULT_FILE, F_OK) < 0)
		printf("good; there is no " CONFIG_DEFAULT_FILE "\n");
	else if (!r)
		printf("%s: good\n", s.file ? s.file : CONFIG_DEFAULT_FILE);
	config_deinit(&c);
	return r;
}

static int print(const struct config_sources *s)
{
	struct config c;
	int r;

	if (config_init(&c) < 0)
		return out_of_memory();
	r = plan_load(&c, s);
	/* What cannot be written is told at the end. */
	if (!r && config_print(&c, stdout) < 0 && !ferror(stdout))
		r = out_of_memory();
	config_deinit(&c);
	return r;
}

int command_print_config(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"config", required_argument, NULL, 'c'},
		{"set", required_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct config_sources s = {.environ = environ};
	const char *set[ARGUMENTS_LIST_MAX];
	char why[256];
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":c:h", long_options, NULL)) != -1) {
		switch (c) {
		case 'c':
			s.file = optarg;
			break;
		case 's':
			if (s.n_set == ARGUMENTS_LIST_MAX)
				return command_usage("print-config", "--set is given too often");
			set[s.n_set++] = optarg;
			break;
		case 'h':
			puts("flowner print-config [OPTION]...\n"
			     "\n"
			     "Prints the configuration that results from the defaults, FILE (by "
			     "default\n" CONFIG_DEFAULT_FILE "), conf.d/*.yaml beside it, the\n"
			     "environment (FLOWNER_SECTION__KEY) and --set, later ones "
			     "winning.\n"
			     "\n"
			     "  -c, --config FILE      begin with this file\n"
			     "      --set KEY=VALUE    change one setting (repeatable)");
			return 0;
		default:
			return command_usage_option("print-config", c, argv[optind - 1]);
		}
	}
	if (optind < argc) {
		snprintf(why, sizeof(why), "unexpected argument %s", argv[optind]);
		return command_usage("print-config", why);
	}
	s.set = set;
	return print(&s);
}
