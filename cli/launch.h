/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user's command: forked early, so that its pid is known, and held until everything is ready.
 *
 * It stays in our process group and keeps the terminal, the environment and the user, like under
 * time(1).
 *
 * Threads: one. Blocks: launch_go() until the exec is done. Logs: no. Errors: 0, -errno.
 */
#pragma once

#include <sys/types.h>

struct launch {
	pid_t pid;   /* 0 = none or reaped */
	int go_fd;   /* a byte here lets it run; closing it makes it exit unrun */
	int fail_fd; /* the errno of a failed exec arrives here */
};

#define LAUNCH_NONE ((struct launch){.go_fd = -1, .fail_fd = -1})

int launch_hold(struct launch *l, char *const *argv);
/* Lets it run. 0; the -errno of its exec. */
int launch_go(struct launch *l);
void launch_deinit(struct launch *l);
