/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hears from the kernel of every socket that is closed (sock_diag's DESTROY multicast), with the
 * final figures of a TCP connection. Needs no privilege, but costs whoever closes a socket a
 * message: several microseconds of a connection's some thirty. So it is opened only on demand.
 *
 * Messages wait in the socket's buffer and are read in batches by diag_watch_read(); nothing wakes
 * for them. Source: sock_diag(7), linux/sock_diag.h.
 *
 * Threads: one. Blocks: no. Logs: no. Errors: 0, -errno.
 */
#pragma once

#include <stdint.h>

#include "enrich/diag-msg.h"

struct diag_watch;

struct diag_watch_stats {
	uint64_t closed; /* sockets heard of */
	uint64_t
		overruns; /* times the kernel dropped messages: what was closed then is not known */
	uint64_t malformed;
};

/* Opened before privileges are dropped its buffer may exceed the system's limit. */
int diag_watch_new(struct diag_watch **ret);
/* @fd: a NETLINK_SOCK_DIAG socket that is not bound yet. It becomes ours. */
int diag_watch_new_from(int fd, struct diag_watch **ret);
void diag_watch_free(struct diag_watch *w);
const struct diag_watch_stats *diag_watch_stats(const struct diag_watch *w);

/* Calls @fn for everything that waits. DIAG_WATCH_E_OVERRUN: and some of it is lost. */
enum { DIAG_WATCH_E_OVERRUN = 1 };
typedef void (*diag_closed_fn)(void *arg, const struct diag_socket *s);
int diag_watch_read(struct diag_watch *w, diag_closed_fn fn, void *arg);
