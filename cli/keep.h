/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors that a program has us keep for its next life, as systemd's descriptor store does.
 *
 * Threads: one. Blocks: no. Logs: no.
 */
#pragma once

#include <stddef.h>

#define KEEP_MAX      112u /* a program's descriptors: 16 rings, 64 packet sockets */
#define KEEP_NAME_MAX 64u

struct keep {
	struct {
		int fd;
		char name[KEEP_NAME_MAX];
	} item[KEEP_MAX];
	unsigned n;
};

/* Keeps all @fds, whose owner is then @k, or closes all when there is no room. */
void keep_add(struct keep *k, const char *name, const int *fds, unsigned n);
void keep_remove(struct keep *k, const char *name);
void keep_deinit(struct keep *k);

/*
 * In the child, between fork and exec: makes them descriptors 3 and up, open over exec, and returns
 * the environment @envp with $LISTEN_PID, $LISTEN_FDS and $LISTEN_FDNAMES in front. NULL: out of
 * memory or descriptors.
 */
char **keep_pass(const struct keep *k, char *const *envp);
