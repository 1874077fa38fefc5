/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Netlink sockets and the start-up sweep by two processes: `flowner-enrich --open` makes them, in
 * the host's network namespace and while it may, and leaves them with the service manager
 * (config/opened.h); enrich itself has no privilege and a network namespace of its own.
 *
 * Threads: one. Blocks: for the sweep. Logs: no. Errors: 0, -errno.
 */
#pragma once

#include "config/config.h"
#include "config/handover.h"

/* Which descriptor is what; -1 = there is none (any more). */
enum inherited_fd {
	INHERITED_ROUTE,
	INHERITED_DIAG,
	INHERITED_CLOSED, /* sock_diag, not yet bound */
	INHERITED_SWEEP,  /* enrich/seed-file.h */
	INHERITED_CONNECTOR,
	INHERITED_WAKE,
};

struct inherited {
	struct handover_kernel about;
	int fds[HANDOVER_KERNEL_FDS];
};

/* All but the sweep. */
int inherited_open(struct inherited *i);
/* Before it changes of processes are told already. Nothing is swept if @c says so. */
int inherited_sweep(struct inherited *i, const struct config *c);

int inherited_send(const struct inherited *i, int fd);
/* -EPROTO: not what inherited_send() sent. */
int inherited_take(struct inherited *i, int fd);
void inherited_close(struct inherited *i);
/* The descriptor becomes the caller's. */
int inherited_fd(struct inherited *i, enum inherited_fd which);
