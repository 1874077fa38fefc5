/* SPDX-License-Identifier: Apache-2.0 */
/* `flowner status`: the ledgers of every running flowner that can be found. */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/command.h"
#include "cli/instance-json.h"
#include "cli/runtime.h"
#include "config/daemon.h"
#include "config/log.h"
#include "flowner-version.h"

struct found {
	bool json;
	unsigned instances;
	bool broken; /* some program of theirs does not run */
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static bool any_alive(const struct instance *i)
{
	for (unsigned p = 0; p < LEDGER_PROGRAMS; p++)
		if (instance_alive(i, (enum ledger_program)p))
			return true;
	return false;
}

/* With @only_live, counters that ended programs have left are no instance. */
static int show(const char *dir, bool only_live, struct found *found)
{
	struct instance i;
	int r = instance_read_quiet(&i, dir);

	if (r == -EPROTO) {
		log_error("%s: counters of another version of flowner", dir);
		found->broken = true;
		return 1;
	}
	if (r < 0)
		return r;
	if (only_live && !any_alive(&i))
		return 0;
	if (found->instances++)
		putchar(found->json ? ',' : '\n');
	if (found->json)
		instance_print_json(&i, dir, now_ns(), stdout);
	else
		instance_print(&i, dir, command_colour(stdout), now_ns(), stdout);
	for (unsigned p = 0; p < LEDGER_PROGRAMS; p++)
		found->broken |= !instance_alive(&i, (enum ledger_program)p);
	return 0;
}

static int is_run(const struct dirent *e)
{
	return !strncmp(e->d_name, RUNTIME_PREFIX, strlen(RUNTIME_PREFIX));
}

/* The installed services, and every `flowner run` of root that lives. */
static void show_all(struct found *found)
{
	struct dirent **entry;
	int n;

	show(DAEMON_RUNTIME_DIR, true, found);
	n = scandir(DAEMON_RUNTIME_DIR, &entry, is_run, versionsort);
	for (int i = 0; i < n; i++) {
		char path[sizeof(DAEMON_RUNTIME_DIR) + 260];

		snprintf(path, sizeof(path), "%s/%s", DAEMON_RUNTIME_DIR, entry[i]->d_name);
		if (runtime_is_live(path))
			show(path, true, found);
		free(entry[i]);
	}
	if (n >= 0)
		free(entry);
}

static void help(void)
{
	puts("flowner status [--json] [--runtime-dir DIR]\n"
	     "\n"
	     "Shows the programs, counters and losses of every flowner that runs as root on\n"
	     "this machine, or of the one with runtime directory DIR. The numbers are read\n"
	     "while they change: a difference is what is under way, none when all is quiet.\n"
	     "Owners are counted once for each end of a connection, at its end: by the way\n"
	     "they were found, or why they are unknown.\n"
	     "\n"
	     "With --json the same as one JSON object, whose keys stay as they are:\n"
	     "version, and instances, each with runtime_dir, programs (state, pid, uptime),\n"
	     "balance and output_balance (balanced: nothing is missing), losses by stage\n"
	     "and reason, rings, tiers, outputs, and all counters.\n"
	     "\n"
	     "Exit status: 0; 1 a program of theirs does not run; 3 no flowner runs.");
}

int command_status(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"runtime-dir", required_argument, NULL, 'R'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct found found = {0};
	const char *dir = NULL;
	char why[256];
	int c, r = 0;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":h", long_options, NULL)) != -1) {
		switch (c) {
		case 'R':
			dir = optarg;
			break;
		case 'j':
			found.json = true;
			break;
		case 'h':
			help();
			return 0;
		case ':':
			snprintf(why, sizeof(why), "option %s needs a value", argv[optind - 1]);
			return command_usage("status", why);
		default:
			snprintf(why, sizeof(why), "unknown option %s", argv[optind - 1]);
			return command_usage("status", why);
		}
	}
	if (optind < argc) {
		snprintf(why, sizeof(why), "unexpected argument %s", argv[optind]);
		return command_usage("status", why);
	}
	if (found.json)
		fputs("{\"version\":\"" FLOWNER_VERSION "\",\"instances\":[", stdout);
	if (dir)
		r = show(dir, false, &found);
	else
		show_all(&found);
	if (found.json)
		puts("]}");
	if (r < 0 && r != -ENOENT) {
		log_error("%s: %s", dir, strerror(-r));
		return COMMAND_EXIT_OS;
	}
	if (!found.instances && !found.broken) {
		log_error("no flowner is running %s%s",
			dir ? "in " : "as root here: start one with ",
			dir ? dir : "\"flowner run\"");
		return COMMAND_EXIT_NONE;
	}
	return found.broken;
}
