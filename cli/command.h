/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of `flowner`: each takes argv from its own name on and returns the exit status.
 *
 * Threads: one. Blocks: yes. Logs: yes.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

/* Exit statuses beside 0 and a child's own; names and values of sysexits.h but for the first. */
#define COMMAND_EXIT_NONE   3 /* status: no instance */
#define COMMAND_EXIT_USAGE  64
#define COMMAND_EXIT_SOFT   70 /* one of the three programs failed for good */
#define COMMAND_EXIT_OS     71
#define COMMAND_EXIT_NOPERM 77

int command_run(int argc, char **argv);
int command_status(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_check_config(int argc, char **argv);
int command_print_config(int argc, char **argv);
int command_filter(int argc, char **argv);
int command_fields(int argc, char **argv);
int command_metrics(int argc, char **argv);
int command_tail(int argc, char **argv);

void command_help(FILE *f);
void command_run_help(FILE *f);
void command_tail_help(FILE *f);
void command_expression_help(FILE *f);

/* Says what is wrong with the command line of `flowner COMMAND`; returns COMMAND_EXIT_USAGE. */
int command_usage(const char *command, const char *why);
/* The same of @option, which getopt_long() complained of by @c, ':' or '?'. */
int command_usage_option(const char *command, int c, const char *option);

/* Whether colours may go to @f: a terminal, no $NO_COLOR, not a dumb one. */
bool command_colour(FILE *f);
