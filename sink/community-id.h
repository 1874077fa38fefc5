/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Community ID version 1 of a connection, seed 0: the same text for both directions, in every tool
 * that implements github.com/corelight/community-id-spec.
 *
 * "1:" and the base64 of SHA-1 over seed, addresses, protocol, a zero and ports, all in network
 * byte order and the lower endpoint first. ICMP has no ports: a message that has a counterpart
 * (echo request and reply, ...) gives the types of both, any other its type and code, and then the
 * direction counts. Other protocols without ports: addresses and protocol alone. SHA-1 is nettle's,
 * about 0.2 us a record; OpenSSL's takes five times that.
 *
 * Threads: any. Blocks: no. Logs: no. Never fails.
 */
#pragma once

#include <stddef.h>

#include "shm/record.h"

#define COMMUNITY_ID_MAX 32u /* "1:", 28 of base64 and a NUL, rounded up */

/* Writes the ID of @r, terminated; returns its length. */
size_t community_id(const struct record *r, char buf[COMMUNITY_ID_MAX]);
