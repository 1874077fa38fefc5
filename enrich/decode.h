/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decodes the captured bytes of one packet down to its ports. Pure: no state, no allocation, no
 * system call; any input is answered, reads stay inside the caplen bytes.
 *
 * Link types: EN10MB, LINUX_SLL, LINUX_SLL2, RAW, IPV4, IPV6, NULL, LOOP; up to two VLAN tags. IPv4
 * with options, fragments and AH, IPv6 with hop-by-hop, routing, destination, fragment and AH
 * headers (at most DECODE_EXT_MAX of them). TCP, UDP, SCTP ports, ICMP and ICMPv6 type, code and
 * echo id. Checksums are never looked at: offload leaves them wrong on what this host sends.
 * Sources: RFC 791, 8200, 2675, 9293, 768, 792, 4443, 4302, 9260; IEEE 802.1Q; pcap-linktype(7).
 *
 * Threads: any. Blocks: no. Logs: no. Errors: enum decode_result.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define DECODE_TCP_FIN 0x01
#define DECODE_TCP_SYN 0x02
#define DECODE_TCP_RST 0x04
#define DECODE_TCP_PSH 0x08
#define DECODE_TCP_ACK 0x10

#define DECODE_EXT_MAX 8 /* extension headers walked; a longer chain is malformed */

/* Link-layer packet type of SLL and SLL2 (PACKET_* of linux/if_packet.h). */
#define DECODE_PKTTYPE_NONE 0xff

struct decoded {
	uint8_t family;    /* 4 or 6 */
	uint8_t proto;     /* IPPROTO_* after the extension headers */
	uint8_t tcp_flags; /* 0 for other protocols */
	uint8_t pkttype;   /* DECODE_PKTTYPE_NONE where the link header has none */
	uint8_t src[16];   /* IPv4 as ::ffff:a.b.c.d */
	uint8_t dst[16];
	uint16_t
		sport; /* host order; ICMP: echo id for both if it is an echo, else type and code */
	uint16_t dport;
	uint8_t icmp_type; /* ICMP and ICMPv6 only */
	uint8_t icmp_code;
	uint16_t vlan;    /* outermost tag's id, 0 = none */
	uint8_t netns;    /* always 0: for the caller, who may see several network namespaces */
	uint32_t ifindex; /* from SLL2, else 0 */
	uint32_t seq;     /* TCP only */
	uint32_t ack;
	/*
	 * Bytes above the transport header by the IP length (GSO: real, padding excluded). UDP: by
	 * its own length, so that the first fragment stands for the whole datagram. SCTP: all
	 * chunks.
	 */
	uint32_t payload_len;
	uint32_t ip_len;         /* IP header, extension headers and all behind them (GSO: real) */
	uint16_t payload_off;    /* where those bytes start in the capture */
	uint16_t payload_caplen; /* and how many of them were captured; 0 if TCP options were cut */
};

enum decode_result {
	DECODE_OK = 0,
	DECODE_E_NOT_IP,    /* ARP, LLDP, a third VLAN tag, ...: nothing for flowner */
	DECODE_E_PROTO,     /* IP, but a transport without ports that flowner follows */
	DECODE_E_FRAGMENT,  /* a fragment other than the first: no transport header */
	DECODE_E_TRUNCATED, /* the capture ends inside a header (TCP options may be cut) */
	DECODE_E_MALFORMED, /* a length, version or chain of headers is impossible */
	DECODE_E_LINKTYPE,  /* a link type flowner does not know */
};

/*
 * @dlt is a DLT_* or LINKTYPE_* number, @len the length on the wire (>= caplen; only used where the
 * IP header says 0: TSO, jumbograms). On DECODE_E_PROTO family, addresses, proto, vlan, ifindex and
 * pkttype are set; on other errors *ret is unspecified. On DECODE_OK every field is set that its
 * comment does not restrict.
 */
enum decode_result decode_packet(
	uint16_t dlt, const uint8_t *data, size_t caplen, size_t len, struct decoded *ret);
