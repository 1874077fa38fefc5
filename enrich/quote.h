/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an ICMP error quotes of the packet it complains about.
 *
 * Threads: any. Blocks: no. Logs: no. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "enrich/decode.h"

/*
 * True: @d, decoded from @data, is the answer of a host where nobody has the port that a datagram
 * was sent to (RFC 792, RFC 4443: port unreachable); *ret has that datagram's addresses and ports.
 */
bool quote_refused(const struct decoded *d, const uint8_t *data, struct decoded *ret);
