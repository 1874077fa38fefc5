/* SPDX-License-Identifier: Apache-2.0 */
/* Tells a QUIC connection by its first datagram. */
#include "enrich/quic.h"

#define CLIENT_MIN 1200u /* bytes of a client's first datagram */
#define ID_MAX     20u   /* bytes of a connection id in these versions */
#define ID_MIN     8u    /* of the first one a client makes up for the server */

#define VERSION_1 UINT32_C(0x00000001)
#define VERSION_2 UINT32_C(0x6b3343cf)

bool quic_is_initial(const uint8_t *bytes, size_t caplen, size_t len)
{
	uint32_t version;
	size_t at = 5;

	if (caplen < 7 || len < CLIENT_MIN || (bytes[0] & 0xc0) != 0xc0)
		return false;
	version = (uint32_t)bytes[1] << 24 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 8 |
		  bytes[4];
	/* The type of packet, Initial, has another number in version 2. */
	if (!(version == VERSION_1 && (bytes[0] & 0x30) == 0x00) &&
		!(version == VERSION_2 && (bytes[0] & 0x30) == 0x10))
		return false;
	if (bytes[at] < ID_MIN || bytes[at] > ID_MAX)
		return false;
	at += 1u + bytes[at];
	return at < caplen && bytes[at] <= ID_MAX;
}
