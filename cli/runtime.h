/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The private runtime directory of one `flowner run`: made, found again by others, removed.
 *
 * Holds capture/ enrich/ sink/ (each owned by that program's user), the notify socket, the merged
 * configuration, and `lock`, which is flock()ed as long as its run lives: a directory whose lock is
 * free is left over from a killed one.
 *
 * Threads: one. Blocks: file system. Logs: no. Errors: 0, -errno.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "config/daemon.h"

#define RUNTIME_PATH_MAX 80 /* leaves room for "/capture/handover.sock" in a sockaddr_un */
#define RUNTIME_PREFIX   "run-"

struct runtime {
	char path[RUNTIME_PATH_MAX];
	int lock_fd;
};

/* "capture", "enrich", "sink". */
extern const char *const runtime_program[LEDGER_PROGRAMS];

/*
 * Makes the directory: /run/flowner/run-PID as root, else below $XDG_RUNTIME_DIR, $TMPDIR or /tmp.
 * As root also removes what killed runs left behind.
 */
int runtime_make(
	struct runtime *r, const uid_t uid[LEDGER_PROGRAMS], const gid_t gid[LEDGER_PROGRAMS]);
/* Removes it and everything in it. */
void runtime_remove(struct runtime *r);

/* Whether the run that made @path still lives. */
bool runtime_is_live(const char *path);
