/* SPDX-License-Identifier: Apache-2.0 */
/* `flowner metrics --serve` as a side of a run. */
#include "cli/exporter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "config/log.h"

#define END_STEP_NS  10000000
#define END_STEPS    200u
#define LONG_LIFE_NS UINT64_C(1000000000) /* it did work */

void exporter_plan(
	struct child *e, const struct config *c, const char *config_path, const char *dir)
{
	const char *const argv[] = {
		"flowner", "metrics", "--serve", "-c", config_path, "--runtime-dir", dir};

	if (!*c->metrics.textfile && !*c->metrics.listen)
		return;
	e->name = "flowner metrics";
	snprintf(e->path, sizeof(e->path), "/proc/self/exe");
	for (; e->argc < sizeof(argv) / sizeof(argv[0]); e->argc++)
		e->argv[e->argc] = argv[e->argc];
}

void exporter_start_due(struct child *e, char *const *envp, uint64_t now_ns)
{
	int r;

	if (exporter_due_ns(e) > now_ns)
		return;
	r = supervise_start(e, envp, now_ns);
	if (r < 0) {
		log_error("cannot start %s: %s", e->name, strerror(-r));
		e->state = CHILD_FAILED;
	}
}

uint64_t exporter_due_ns(const struct child *e)
{
	return e->name && e->state == CHILD_DOWN && !e->stopping ? e->start_at_ns : EXPORTER_NEVER;
}

bool exporter_died(struct child *e, pid_t pid, int wait_status, uint64_t now_ns)
{
	if (e->state != CHILD_RUNNING || e->pid != pid)
		return false;
	if (now_ns - e->started_ns >= LONG_LIFE_NS) {
		e->was_ready = true;
		e->failures = 0;
	}
	switch (supervise_died(e, wait_status, now_ns)) {
	case SUPERVISE_ENDED:
		break;
	case SUPERVISE_RESTART:
		log_warning("%s has ended, starting it again", e->name);
		break;
	case SUPERVISE_FATAL: /* it has said why itself */
	case SUPERVISE_GAVE_UP:
	case SUPERVISE_BROKEN:
		log_warning("the counters are not exported: %s does not run", e->name);
		break;
	}
	return true;
}

void exporter_end(struct child *e)
{
	const struct timespec pause = {.tv_nsec = END_STEP_NS};

	supervise_stop(e);
	for (unsigned i = 0; e->state == CHILD_RUNNING && i < END_STEPS; i++) {
		if (waitpid(e->pid, NULL, WNOHANG) != 0)
			e->state = CHILD_ENDED;
		else
			nanosleep(&pause, NULL);
	}
	if (e->state != CHILD_RUNNING)
		return;
	supervise_kill(e);
	waitpid(e->pid, NULL, 0);
	e->state = CHILD_ENDED;
}
