/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets that were closed a moment ago and what the kernel counted on them: a bounded queue, the
 * oldest goes first. Pure.
 *
 * Threads: one. Blocks: no. Logs: no. Errors: 0, -errno.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "enrich/diag-msg.h"

struct closed;

/* @seed keeps peers, who choose ports and addresses, from making entries meet. */
int closed_new(size_t max, const uint64_t seed[2], struct closed **ret);
void closed_free(struct closed *c);

/* It was closed between @from_ns and @to_ns (not 0). Without figures it is not kept. */
void closed_add(struct closed *c, const struct diag_socket *s, uint64_t from_ns, uint64_t to_ns);

/*
 * The figures of the socket @cookie. With cookie 0 of the only one with this tuple that may have
 * been closed since @since_ns; *ret_sure false: it may also have been an earlier connection's. NULL
 * = none or several. Valid until the next closed_add().
 */
const struct diag_info *closed_find(const struct closed *c, uint64_t cookie,
	const struct socket_key *k, uint64_t since_ns, bool *ret_sure);
