/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listens to the kernel's process connector: who forks, executes, renames itself and exits, when
 * no tap tells.
 *
 * Only of the initial pid and user namespace; from another network namespace the initial one is
 * entered for it, where that is allowed. Linux 6.6 and later ask for no privilege,
 * older ones for CAP_NET_ADMIN: open it before privileges go. Threads' events are dropped in the
 * kernel by a socket filter. Forks and exits wait until somebody reads: only a second socket, which
 * gets nothing but exec events, wakes.
 *
 * Threads: one. Blocks: no. Logs: no. Errors: 0, -errno; -EPERM = the kernel did not agree.
 */
#pragma once

#include <stdint.h>

#include "enrich/connector-msg.h"

struct connector;

struct connector_stats {
	uint64_t events;
	uint64_t overruns; /* times the kernel had to drop some */
	uint64_t malformed;
};

int connector_new(struct connector **ret);
/* One that another process has opened, by what its connector_end() gave. They become ours. */
int connector_new_from(const int fds[2], struct connector **ret);
/* Frees @c, but its descriptors go on listening. */
void connector_end(struct connector *c, int ret_fds[2]);
void connector_free(struct connector *c);
/*
 * Tells of changes of user, group and session only from now on, for when a tap tells the rest.
 * Needs no privilege. Unread events stay.
 */
int connector_only_ids(struct connector *c);
/* Readable when a program has started, the one event that cannot wait; when narrowed, at any. */
int connector_fd(const struct connector *c);
const struct connector_stats *connector_stats(const struct connector *c);

/*
 * Hands out at most @max waiting events, oldest first; e->t_ns is the steady time now. Returns how
 * many datagrams were read: @max = there may be more.
 */
typedef void (*connector_fn)(void *arg, const struct connector_event *e);
unsigned connector_read(struct connector *c, unsigned max, connector_fn fn, void *arg);
