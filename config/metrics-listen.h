/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where metrics may be asked for: a loopback address with its port, or the path of a unix socket.
 *
 * Threads: any. Blocks: no. Logs: no.
 */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

/*
 * "127.0.0.1:9900", "[::1]:9900" or "/run/flowner/metrics.sock" as an address. -EINVAL: none of
 * these; -EADDRNOTAVAIL: an address that others than this host could reach.
 */
int metrics_listen_parse(const char *text, struct sockaddr_storage *ret, socklen_t *ret_len);
