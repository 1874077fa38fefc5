/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Body of a RING_FRAME_PACKET: this head, then `caplen` captured bytes as libpcap delivered them.
 *
 * Written by capture, which looks at none of the bytes; parsed by enrich. The frame's t_ns is the
 * packet's timestamp. Both programs come from one build: the layout is private to the ring version.
 */
#pragma once

#include <stdint.h>

#define PACKET_CAPLEN_MAX 2048u /* most bytes of one packet that enter the ring */
#define PACKET_NETNS_MAX  63u   /* largest number of a network namespace that is captured in */

struct packet_head {
	uint32_t caplen;  /* bytes that follow */
	uint32_t len;     /* bytes on the wire (GSO: of the whole super-packet) */
	uint32_t ifindex; /* of the source's interface; 0 where the link header has it or unknown */
	uint16_t dlt;     /* DLT_* of <pcap/dlt.h>: how to read the bytes */
	uint16_t netns;   /* network namespace: 0 = capture's own, else as in the hand-over */
};

_Static_assert(sizeof(struct packet_head) == 16, "packet_head is a wire layout");
