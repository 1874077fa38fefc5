/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `flowner doctor`: asks the three programs what they find on this machine, adds what it sees
 * itself, and says what to do.
 */
#include "cli/doctor.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <unistd.h>

#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/runtime.h"
#include "cli/supervise.h"
#include "config/log.h"
#include "flowner-version.h"
#include "sink/checks.h"

#define FAILED 1 /* exit status */

struct doctor {
	const char *file;
	const char *set[ARGUMENTS_LIST_MAX];
	size_t n_set;
	const char *runtime_dir;
	bool json, help;
	struct doctor_report report;
};

/* ---- command line ---- */

static void help(void)
{
	puts("flowner doctor [-c FILE] [--set KEY=VALUE]... [--runtime-dir DIR] [--json]\n"
	     "\n"
	     "Checks whether flowner can work on this machine as configured: kernel, ways to\n"
	     "learn owners, privileges, filter, folders and disk, users, services, clock, and\n"
	     "what runs already, without disturbing it. Run it as root. One line a check:\n"
	     "pass, warn (works, but less than it could) or fail, what was found, and what\n"
	     "to do about it.\n"
	     "\n"
	     "  -c, --config FILE      this configuration (" CONFIG_DEFAULT_FILE ")\n"
	     "      --set KEY=VALUE    change one setting (repeatable)\n"
	     "      --runtime-dir DIR  of the instance to look at (default: all of root's)\n"
	     "      --json             one JSON object instead of lines\n"
	     "\n"
	     "Exit status: 0 nothing failed, 1 something did, 64 command line.");
}

/* 0 or the exit status. */
static int parse(struct doctor *d, int argc, char **argv)
{
	static const struct option long_options[] = {
		{"config", required_argument, NULL, 'c'},
		{"set", required_argument, NULL, 's'},
		{"runtime-dir", required_argument, NULL, 'R'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	char why[256];
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":c:h", long_options, NULL)) != -1) {
		switch (c) {
		case 'c':
			d->file = optarg;
			break;
		case 's':
			if (d->n_set == ARGUMENTS_LIST_MAX)
				return command_usage("doctor", "--set is given too often");
			d->set[d->n_set++] = optarg;
			break;
		case 'R':
			d->runtime_dir = optarg;
			break;
		case 'j':
			d->json = true;
			break;
		case 'h':
			d->help = true;
			return 0;
		default:
			return command_usage_option("doctor", c, argv[optind - 1]);
		}
	}
	if (optind < argc) {
		snprintf(why, sizeof(why), "unexpected argument %s", argv[optind]);
		return command_usage("doctor", why);
	}
	return 0;
}

/* ---- configuration ---- */

/* What it says, or the defaults where it is wrong; whether it is good. */
static bool configuration(struct doctor *d, struct config *c)
{
	const struct config_sources s = {.file = d->file,
		.environ = environ,
		.set = d->set,
		.n_set = d->n_set,
		.checks = &sink_checks};
	const char *name = d->file ? d->file : CONFIG_DEFAULT_FILE;
	struct config_error err = {0};
	int r = config_load(c, &s, &err);

	if (r == 0 && !d->file && access(name, F_OK) < 0)
		doctor_add(&d->report, FINDING_PASS, "configuration.good", "",
			"there is no %s: defaults are used", name);
	else if (r == 0)
		doctor_add(&d->report, FINDING_PASS, "configuration.good", "", "%s is good", name);
	else
		doctor_add(&d->report, FINDING_FAIL, "configuration.good",
			"correct it; nothing starts before, and what depends on it is not checked",
			"%s", r > 0 ? err.text : strerror(-r));
	return r == 0;
}

/* ---- the programs ---- */

static void program_line(void *arg, const char *line)
{
	struct doctor_report *r = arg;
	struct finding f;

	if (finding_parse(line, &f))
		doctor_take(r, &f);
}

static void ask(struct doctor *d, unsigned program)
{
	const char *argv[8 + 2 * ARGUMENTS_LIST_MAX];
	char name[32], path[4096], id[40], number[16];
	size_t n = 0;
	int r;

	snprintf(name, sizeof(name), "flowner-%s", runtime_program[program]);
	snprintf(id, sizeof(id), "%s.program", runtime_program[program]);
	if (supervise_find(name, FLOWNER_SBINDIR, path, sizeof(path)) < 0) {
		doctor_add(&d->report, FINDING_FAIL, id, "install all of flowner",
			"%s: not found beside flowner, in " FLOWNER_SBINDIR " or in $PATH", name);
		return;
	}
	argv[n++] = path;
	argv[n++] = "--examine";
	if (d->file) {
		argv[n++] = "-c";
		argv[n++] = d->file;
	}
	for (size_t i = 0; i < d->n_set; i++) {
		argv[n++] = "--set";
		argv[n++] = d->set[i];
	}
	argv[n] = NULL;
	r = doctor_run(argv, false, program_line, &d->report);
	snprintf(number, sizeof(number), "%d", r);
	if (r)
		doctor_add(&d->report, FINDING_FAIL, id,
			"its own message is on standard error; all three must be of one version",
			r < 0 ? "%s --examine did not end well: %s"
			      : "%s --examine did not end well: exit status %s",
			path, r < 0 ? strerror(-r) : number);
}

/* ---- owners ---- */

static bool passes(const struct doctor *d, const char *id)
{
	const struct finding *f = doctor_find(&d->report, id);

	return f && f->verdict == FINDING_PASS;
}

/* The sum of what was found: who could name owners. */
static void tiers(struct doctor *d, const struct config *c)
{
	const struct finding *tap = doctor_find(&d->report, "capture.tap");
	bool has_tap = c->enrich.tap != CONFIG_TAP_OFF && tap && !strncmp(tap->what, "tap", 3);
	bool diag = c->enrich.sock_diag && passes(d, "enrich.sock_diag");
	bool seed = c->enrich.procfs != CONFIG_PROCFS_OFF && passes(d, "enrich.seed");
	bool keep = c->enrich.procfs == CONFIG_PROCFS_KEEP && passes(d, "enrich.procfs");
	char live[128];

	snprintf(live, sizeof(live), "%s%s%s%s", has_tap ? ", tap" : "", diag ? ", sock_diag" : "",
		seed ? ", start-up sweep" : "", keep ? ", procfs" : "");
	if (has_tap)
		doctor_add(&d->report, FINDING_PASS, "owners.tiers", "", "owners come from %s",
			live + 2);
	else if (live[0])
		doctor_add(&d->report, FINDING_WARN, "owners.tiers",
			keep ? "make the tap work for those that close within a millisecond"
			     : "make the tap work, or set enrich.procfs: keep",
			"owners come from %s only: many are not found", live + 2);
	else
		doctor_add(&d->report, FINDING_FAIL, "owners.tiers",
			"see the lines about the tap, sock_diag and the start-up sweep",
			"nothing would name owners");
}

int command_doctor(int argc, char **argv)
{
	static struct doctor d;
	struct config c;
	int r = parse(&d, argc, argv);

	if (r)
		return r;
	if (d.help) {
		help();
		return 0;
	}
	if (config_init(&c) < 0) {
		log_error("out of memory");
		return COMMAND_EXIT_OS;
	}
	doctor_kernel(&d.report);
	if (configuration(&d, &c)) {
		doctor_users(&d.report, &c);
		doctor_sandbox(&d.report, &c);
		doctor_metrics(&d.report, &c);
		for (unsigned p = 0; p < LEDGER_PROGRAMS; p++)
			ask(&d, p);
		tiers(&d, &c);
	}
	doctor_clock(&d.report);
	doctor_units(&d.report);
	doctor_instances(&d.report, d.runtime_dir);
	config_deinit(&c);
	if (d.json)
		doctor_print_json(&d.report, stdout);
	else
		doctor_print(&d.report, command_colour(stdout), stdout);
	return doctor_count(&d.report, FINDING_FAIL) ? FAILED : 0;
}
