/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `flowner metrics --serve` as a side of a run: started when the three programs are ready,
 * restarted when it dies, ended last. It can fail without the run failing.
 *
 * Threads: one. Blocks: exporter_end(). Logs: what became of it.
 */
#pragma once

#include <stdbool.h>

#include "cli/supervise.h"
#include "config/config.h"

#define EXPORTER_NEVER UINT64_MAX

/* Its command line; none, and it is never started, unless @c asks for metrics. */
void exporter_plan(
	struct child *e, const struct config *c, const char *config_path, const char *dir);
void exporter_start_due(struct child *e, char *const *envp, uint64_t now_ns);
/* When to call that, or EXPORTER_NEVER. */
uint64_t exporter_due_ns(const struct child *e);
/* Whether @pid was it: then it is to be started again. */
bool exporter_died(struct child *e, pid_t pid, int wait_status, uint64_t now_ns);
/* Asks it to write the file a last time and to end, and waits for that; not for long. */
void exporter_end(struct child *e);
