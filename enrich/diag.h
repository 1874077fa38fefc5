/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks the kernel about sockets over a NETLINK_SOCK_DIAG socket: exact lookups in batches, dumps at
 * start. Needs no privilege. The kernel answers before send(2) returns, so nothing here waits.
 *
 * Threads: one. Blocks: no (dumps take milliseconds per 10,000 sockets). Logs: no.
 * Errors: 0, -errno.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "enrich/diag-msg.h"

#define DIAG_BATCH 128u /* replies that fit into a default receive buffer */

struct diag;

struct diag_stats {
	uint64_t requests;
	uint64_t errors; /* malformed replies, overruns */
};

int diag_new(struct diag **ret);
/*
 * Asks in another network namespace: @fd is a NETLINK_SOCK_DIAG socket made there. It becomes ours,
 * and is closed on an error.
 */
int diag_new_from(int fd, struct diag **ret);
void diag_free(struct diag *d);
const struct diag_stats *diag_stats(const struct diag *d);

/* A lookup and its answer. */
struct diag_query {
	struct socket_key key;
	bool want_info;        /* socket.info, too: TCP */
	enum diag_match match; /* NONE: no such socket, or no answer came */
	struct diag_socket socket;
};

/* Answers @n lookups. On an error those not answered stay NONE. */
int diag_lookup(struct diag *d, struct diag_query *q, size_t n);

typedef void (*diag_socket_fn)(void *arg, const struct diag_socket *s);

/* Every socket of @proto of both families in @states; s->key.proto is set. */
int diag_dump(struct diag *d, uint8_t proto, uint32_t states, diag_socket_fn fn, void *arg);
