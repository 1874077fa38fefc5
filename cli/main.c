/* SPDX-License-Identifier: Apache-2.0 */
/* The `flowner` command: finds the command named on the command line and calls it. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "config/log.h"
#include "flowner-version.h"

static int command_version(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return command_usage(NULL, "--version takes no argument");
	puts("flowner " FLOWNER_VERSION);
	return 0;
}

static int command_show_help(int argc, char **argv);

static const struct {
	const char *name;
	int (*call)(int argc, char **argv);
} commands[] = {
	{"run", command_run},
	{"status", command_status},
	{"doctor", command_doctor},
	{"check-config", command_check_config},
	{"print-config", command_print_config},
	{"filter", command_filter},
	{"fields", command_fields},
	{"metrics", command_metrics},
	{"tail", command_tail},
	{"help", command_show_help},
	{"--help", command_show_help},
	{"-h", command_show_help},
	{"version", command_version},
	{"--version", command_version},
	{"-V", command_version},
};

static int command_show_help(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "expression")) {
		command_expression_help(stdout);
		return 0;
	}
	/* Of a command what itself says. */
	for (size_t i = 0; argc > 1 && strcmp(commands[i].name, "help") != 0; i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].call(2, (char *[]){argv[1], "--help", NULL});
	if (argc > 1 && *argv[0] != '-' && *argv[1] != '-' && strcmp(argv[1], "help") != 0)
		return command_usage(NULL, "no such topic");
	command_help(stdout);
	return 0;
}

int command_usage(const char *command, const char *why)
{
	log_error("%s; see flowner%s%s --help", why, command ? " " : "", command ? command : "");
	return COMMAND_EXIT_USAGE;
}

int command_usage_option(const char *command, int c, const char *option)
{
	char why[256];

	snprintf(why, sizeof(why), "%s %s", c == ':' ? "missing value of option" : "unknown option",
		option);
	return command_usage(command, why);
}

bool command_colour(FILE *f)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(fileno(f)) && !(no && *no) && !(term && !strcmp(term, "dumb"));
}

/* Nothing that is opened later may become standard output; to write to this one is an error. */
static void fill_standard(void)
{
	int fd;

	do {
		fd = open(
			"/dev/null", O_RDONLY | O_NOCTTY); /* the programs we start have it, too */
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	char why[256];
	int status;

	fill_standard();
	log_init("flowner", LOG_LEVEL_INFO);
	if (argc < 2)
		return command_usage(NULL, "no command given, try \"flowner run\"");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		status = commands[i].call(argc - 1, argv + 1);
		if ((fflush(stdout) == EOF || ferror(stdout)) && !status) {
			log_error("cannot write to standard output");
			status = COMMAND_EXIT_OS;
		}
		return status;
	}
	snprintf(why, sizeof(why), "unknown %s %s", argv[1][0] == '-' ? "option" : "command",
		argv[1]);
	return command_usage(NULL, why);
}
