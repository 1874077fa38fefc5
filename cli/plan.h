/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a run consists of before anything is started: merged configuration, users, runtime
 * directory, command lines and environment of the three programs.
 *
 * Threads: one. Blocks: file system. Logs: the line that says why it gives up. Errors: 0, or the
 * exit status to end with.
 */
#pragma once

#include "cli/arguments.h"
#include "cli/runtime.h"
#include "cli/supervise.h"
#include "config/config.h"

struct plan {
	const struct arguments *options;
	struct config config;
	struct runtime runtime;
	uid_t uid[LEDGER_PROGRAMS];
	gid_t gid[LEDGER_PROGRAMS];
	struct child child[LEDGER_PROGRAMS];
	struct child exporter; /* cli/exporter.h; no name = not wanted */
	char **envp; /* of the three programs; owned array of borrowed strings but for the first */
	int notify_fd;
	uint64_t first_info_ns; /* the schema's default of enrich.first_info */
	bool offline;
	bool to_stdout; /* some output is "-" */
	char tree[16];  /* pid of the command, "" = none */
	char config_path[RUNTIME_PATH_MAX + 16];
	char notify[RUNTIME_PATH_MAX + 32]; /* "NOTIFY_SOCKET=..." */
};

/* Call plan_deinit() also after an error. @command_pid 0 = no command. */
int plan_make(struct plan *p, const struct arguments *o, pid_t command_pid);
/*
 * Reads everything again and makes it the programs' configuration. After an error, which is logged,
 * the one before stays.
 */
int plan_reload(struct plan *p);
void plan_deinit(struct plan *p);

/* Loads what `run`, `print-config` and the programs would use; 0 or 78 after saying why. */
int plan_load(struct config *c, const struct config_sources *s);
