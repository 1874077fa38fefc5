/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells a QUIC connection by its first datagram. Pure.
 *
 * Only that it is QUIC: the ClientHello inside is encrypted, with keys anyone can derive, and is
 * not read. Sources: RFC 8999, 9000 (14.1, 17.2), 9369.
 *
 * Threads: any. Blocks: no. Logs: no.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Is a datagram of @len payload bytes, of which @caplen are at @bytes, a client's Initial packet of
 * version 1 or 2? Such a datagram has 1200 bytes at least.
 */
bool quic_is_initial(const uint8_t *bytes, size_t caplen, size_t len);
