/* SPDX-License-Identifier: Apache-2.0 */
/* What runs of flowner on this machine: services of systemd, and instances of any kind. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "cli/instance.h"
#include "cli/runtime.h"

/* ---- units ---- */

#define UNITS "flowner-capture.service", "flowner-enrich.service", "flowner-sink.service"

static const char *const unit_names[LEDGER_PROGRAMS] = {UNITS};

struct unit {
	char load[32], active[32], file[32], restarts[16];
};

struct units {
	struct unit unit[LEDGER_PROGRAMS];
	struct unit *now; /* whose lines come */
};

static bool take(const char *line, const char *name, char *ret, size_t size)
{
	size_t len = strlen(name);

	if (strncmp(line, name, len) != 0 || line[len] != '=')
		return false;
	snprintf(ret, size, "%s", line + len + 1);
	return true;
}

/* systemctl puts Id first only if it is asked for alone: the values of a unit end at a blank line.
 */
static void unit_line(void *arg, const char *line)
{
	struct units *u = arg;

	if (!*line) {
		if (u->now < &u->unit[LEDGER_PROGRAMS - 1])
			u->now++;
		return;
	}
	if (!take(line, "LoadState", u->now->load, sizeof(u->now->load)) &&
		!take(line, "ActiveState", u->now->active, sizeof(u->now->active)) &&
		!take(line, "UnitFileState", u->now->file, sizeof(u->now->file)))
		(void)take(line, "NRestarts", u->now->restarts, sizeof(u->now->restarts));
}

static void judge_unit(struct doctor_report *r, const char *name, const struct unit *u)
{
	char remedy[128];

	if (!strcmp(u->load, "not-found")) {
		doctor_add(r, FINDING_WARN, "units.installed",
			"install the package, or meson install; flowner run needs none",
			"%s is not installed", name);
		return;
	}
	if (strcmp(u->load, "loaded") != 0) {
		snprintf(remedy, sizeof(remedy), "systemd-analyze verify %s", name);
		doctor_add(r, FINDING_FAIL, "units.installed", remedy, "%s is %s", name, u->load);
		return;
	}
	if (!strcmp(u->active, "active")) {
		bool on = strcmp(u->file, "disabled") != 0;

		doctor_add(r, on ? FINDING_PASS : FINDING_WARN, "units.active",
			on ? "" : "systemctl enable flowner.target",
			"%s is active, %s, restarted %s times", name, u->file, u->restarts);
		return;
	}
	snprintf(remedy, sizeof(remedy), "journalctl -u %s", name);
	if (!strcmp(u->active, "failed"))
		doctor_add(r, FINDING_FAIL, "units.active", remedy, "%s has failed", name);
	else
		doctor_add(r, FINDING_WARN, "units.active", "systemctl enable --now flowner.target",
			"%s is %s, %s", name, u->active, u->file);
}

void doctor_units(struct doctor_report *r)
{
	static const char *const argv[] = {"systemctl", "show",
		"--property=LoadState,ActiveState,UnitFileState,NRestarts", UNITS, NULL};
	struct units u = {0};
	int e;

	if (access("/run/systemd/system", F_OK) < 0) {
		doctor_add(r, FINDING_PASS, "units.systemd", "",
			"systemd does not run here: nothing to ask about services");
		return;
	}
	u.now = u.unit;
	e = doctor_run(argv, true, unit_line, &u);
	if (e || !u.unit[0].load[0]) {
		doctor_add(r, FINDING_WARN, "units.systemd", "systemctl status 'flowner-*'",
			"systemctl does not tell of the services: %s",
			e < 0 ? strerror(-e) : "it failed");
		return;
	}
	for (unsigned i = 0; i < LEDGER_PROGRAMS; i++)
		judge_unit(r, unit_names[i], &u.unit[i]);
}

/* ---- instances ---- */

/* Whether one lives in @dir. */
static bool look_at(struct doctor_report *r, const char *dir)
{
	static struct instance i;
	unsigned alive = 0, ready = 0;
	int e = instance_read(&i, dir);

	if (e == -EPROTO)
		doctor_add(r, FINDING_WARN, "instances.version",
			"restart flowner there, all three programs",
			"%s: counters of another version of flowner", dir);
	else if (e < 0 && e != -ENOENT)
		doctor_add(r, FINDING_WARN, "instances.readable", "run flowner doctor as root",
			"%s: %s", dir, strerror(-e));
	if (e < 0)
		return e == -EPROTO;
	for (unsigned p = 0; p < LEDGER_PROGRAMS; p++) {
		bool lives = instance_alive(&i, (enum ledger_program)p);

		alive += lives;
		ready += lives && i.ledger[p].ready;
	}
	if (!alive)
		return false;
	for (unsigned p = 0; p < LEDGER_PROGRAMS; p++)
		if (!instance_alive(&i, (enum ledger_program)p))
			doctor_add(r, FINDING_FAIL, "instances.running",
				"start it; its own log says why it ended",
				"%s: flowner-%s does not run", dir, runtime_program[p]);
	if (ready == LEDGER_PROGRAMS)
		doctor_add(r, FINDING_PASS, "instances.running", "", "%s: all three programs run",
			dir);
	else if (alive == LEDGER_PROGRAMS)
		doctor_add(r, FINDING_WARN, "instances.running",
			"wait a moment; else see their logs",
			"%s: not all three programs are ready", dir);
	return true;
}

static int is_run(const struct dirent *e)
{
	return !strncmp(e->d_name, RUNTIME_PREFIX, strlen(RUNTIME_PREFIX));
}

void doctor_instances(struct doctor_report *r, const char *runtime_dir)
{
	struct dirent **entry;
	unsigned n = look_at(r, runtime_dir ? runtime_dir : DAEMON_RUNTIME_DIR);
	int runs = runtime_dir ? -1 : scandir(DAEMON_RUNTIME_DIR, &entry, is_run, versionsort);

	for (int i = 0; i < runs; i++) {
		char path[sizeof(DAEMON_RUNTIME_DIR) + 260];

		snprintf(path, sizeof(path), "%s/%s", DAEMON_RUNTIME_DIR, entry[i]->d_name);
		n += runtime_is_live(path) && look_at(r, path);
		free(entry[i]);
	}
	if (runs >= 0)
		free(entry);
	if (n > 1)
		doctor_add(r, FINDING_WARN, "instances.number",
			"stop those that are not needed: flowner status lists them",
			"%u instances run: each packet is copied and looked at by all of them", n);
	else if (!n)
		doctor_add(r, FINDING_PASS, "instances.number", "", "no flowner runs %s%s",
			runtime_dir ? "in " : "here", runtime_dir ? runtime_dir : "");
}
