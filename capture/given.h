/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packet sockets by two processes: one that may opens them, unbound, and the other, without any
 * privilege, makes sources of them (config/opened.h).
 *
 * libpcap makes its packet sockets itself. While one of these is in use, the program's own
 * socket(2) stands before the C library's and gives libpcap a duplicate of it; all other calls go
 * to the kernel.
 *
 * Threads: one. Blocks: no. Logs: no. Errors: 0, -errno.
 */
#pragma once

#include <stddef.h>

#include "config/handover.h"

#define GIVEN_MAX 64u

struct given {
	size_t n;
	struct handover_source entry[GIVEN_MAX];
	int fds[GIVEN_MAX][HANDOVER_SOURCE_FDS]; /* SOCK_RAW, SOCK_DGRAM; -1 = used up */
};

/*
 * Opens the sockets of one more source in the network namespace we are in. -ENAMETOOLONG: no
 * interface is called @name; -ENOSPC: too many; -EPERM.
 */
int given_open(struct given *g, const char *name, const char *space, uint16_t netns);
int given_send(const struct given *g, int fd);
/* What given_send() sent. -EPROTO. */
int given_take(struct given *g, struct handover_message *m);
void given_deinit(struct given *g);

/* The source @i is opened from now on; none any more. */
void given_use(const struct given *g, size_t i);
void given_use_none(void);
/* Once it is open, or is not to be. */
void given_close(struct given *g, size_t i);
