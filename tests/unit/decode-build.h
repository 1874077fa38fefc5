/* SPDX-License-Identifier: Apache-2.0 */
/* Builds packets layer by layer for the decoder's tests: each variant knows what it should decode
 * to. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct packet {
	uint8_t bytes[512];
	size_t len;
};

static inline void put(struct packet *p, const void *bytes, size_t n)
{
	memcpy(p->bytes + p->len, bytes, n);
	p->len += n;
}

static inline void put_zero(struct packet *p, size_t n)
{
	memset(p->bytes + p->len, 0, n);
	p->len += n;
}

static inline void put8(struct packet *p, uint8_t v)
{
	put(p, &v, 1);
}

static inline void put16(struct packet *p, unsigned v)
{
	put8(p, (uint8_t)(v >> 8));
	put8(p, (uint8_t)v);
}

static inline void put32(struct packet *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p, v & 0xffff);
}

enum link_kind {
	L_ETHER,
	L_ETHER_VLAN,
	L_ETHER_QINQ,
	L_ETHER_OLD_QINQ,
	L_SLL,
	L_SLL_VLAN,
	L_SLL2,
	L_SLL2_VLAN,
	L_RAW_DLT,
	L_RAW,
	L_IP,
	L_NULL_LITTLE,
	L_NULL_BIG,
	L_NULL_BSD,
	L_LOOP,
	L_KINDS,
};

static const char *const link_names[L_KINDS] = {"ethernet", "ethernet, VLAN", "ethernet, QinQ",
	"ethernet, 0x9100", "SLL", "SLL, VLAN", "SLL2", "SLL2, VLAN", "RAW (12)", "RAW (101)",
	"IPV4/IPV6", "NULL little-endian", "NULL big-endian", "NULL FreeBSD", "LOOP"};

static inline void put_vlan(struct packet *p, unsigned tci, unsigned type)
{
	put16(p, tci);
	put16(p, type);
}

/* Appends a link header in front of IP version @v; returns the link type. */
static inline uint16_t put_link(struct packet *p, enum link_kind kind, unsigned v)
{
	unsigned type = v == 4 ? 0x0800 : 0x86dd;
	bool tag = kind == L_ETHER_VLAN || kind == L_SLL_VLAN || kind == L_SLL2_VLAN;

	switch (kind) {
	case L_ETHER:
	case L_ETHER_VLAN:
	case L_ETHER_QINQ:
	case L_ETHER_OLD_QINQ:
		put_zero(p, 12);
		if (kind == L_ETHER_QINQ || kind == L_ETHER_OLD_QINQ) {
			put16(p, kind == L_ETHER_QINQ ? 0x88a8 : 0x9100);
			put_vlan(p, 0x6064, 0x8100);
			put_vlan(p, 7, type);
			return 1;
		}
		put16(p, tag ? 0x8100 : type);
		if (tag)
			put_vlan(p, 0x2064, type);
		return 1;
	case L_SLL:
	case L_SLL_VLAN:
		put16(p, 4); /* PACKET_OUTGOING */
		put16(p, 1);
		put16(p, 6);
		put_zero(p, 8);
		put16(p, tag ? 0x8100 : type);
		if (tag)
			put_vlan(p, 100, type);
		return 113;
	case L_SLL2:
	case L_SLL2_VLAN:
		put16(p, tag ? 0x8100 : type);
		put16(p, 0);
		put32(p, 0x01020304);
		put16(p, 1);
		put8(p, 4);
		put8(p, 6);
		put_zero(p, 8);
		if (tag)
			put_vlan(p, 100, type);
		return 276;
	case L_RAW_DLT:
		return 12;
	case L_RAW:
		return 101;
	case L_IP:
		return v == 4 ? 228 : 229;
	case L_NULL_LITTLE:
		put32(p, v == 4 ? 0x02000000 : 0x0a000000);
		return 0;
	case L_NULL_BIG:
		put32(p, v == 4 ? 2 : 24);
		return 0;
	case L_NULL_BSD:
		put32(p, v == 4 ? 0x02000000 : 0x1c000000);
		return 0;
	case L_LOOP:
		put32(p, v == 4 ? 2 : 30);
		return 108;
	case L_KINDS:
		break;
	}
	return 0xffff;
}

static inline bool link_has_vlan(enum link_kind k)
{
	return (k >= L_ETHER_VLAN && k <= L_ETHER_OLD_QINQ) || k == L_SLL_VLAN || k == L_SLL2_VLAN;
}

enum net_kind {
	N_V4,
	N_V4_OPTIONS,
	N_V4_FIRST_FRAGMENT,
	N_V4_TSO, /* total length 0 */
	N_V4_AH,
	N_V6,
	N_V6_HOP,
	N_V6_ROUTING_DST,
	N_V6_FIRST_FRAGMENT,
	N_V6_ATOMIC_FRAGMENT,
	N_V6_AH,
	N_V6_JUMBO, /* payload length 0 */
	N_KINDS,
};

static const char *const net_names[N_KINDS] = {"IPv4", "IPv4 options", "IPv4 first fragment",
	"IPv4 TSO", "IPv4 AH", "IPv6", "IPv6 hop-by-hop", "IPv6 routing, destination",
	"IPv6 first fragment", "IPv6 atomic fragment", "IPv6 AH", "IPv6 jumbogram"};

static inline unsigned net_version(enum net_kind k)
{
	return k < N_V6 ? 4 : 6;
}

static inline bool net_is_fragment(enum net_kind k)
{
	return k == N_V4_FIRST_FRAGMENT || k == N_V6_FIRST_FRAGMENT;
}

/* Whether bytes after the packet cannot be told from payload. */
static inline bool net_is_sized_by_wire(enum net_kind k)
{
	return k == N_V4_TSO || k == N_V6_JUMBO;
}

static inline void put_v4(struct packet *p, enum net_kind kind, uint8_t proto, size_t above)
{
	size_t options = kind == N_V4_OPTIONS ? 40 : 0, ah = kind == N_V4_AH ? 24 : 0;

	put8(p, (uint8_t)(0x40 | (5 + options / 4)));
	put8(p, 0);
	put16(p, kind == N_V4_TSO ? 0 : (unsigned)(20 + options + ah + above));
	put16(p, 1);
	put16(p, kind == N_V4_FIRST_FRAGMENT ? 0x2000 : 0x4000);
	put8(p, 64);
	put8(p, ah ? 51 : proto);
	put16(p, 0);
	put32(p, 0x0a000001);
	put32(p, 0x0a000002);
	put_zero(p, options);
	if (ah) {
		put8(p, proto);
		put8(p, 4);
		put_zero(p, 22);
	}
}

static inline void put_ext(struct packet *p, uint8_t next, uint8_t size, size_t bytes)
{
	put8(p, next);
	put8(p, size);
	put_zero(p, bytes - 2);
}

static inline void put_v6(struct packet *p, enum net_kind kind, uint8_t proto, size_t above)
{
	static const struct {
		uint8_t next;
		size_t bytes;
	} ext[N_KINDS] = {
		[N_V6_HOP] = {0, 16},
		[N_V6_ROUTING_DST] = {43, 24 + 8},
		[N_V6_FIRST_FRAGMENT] = {44, 8},
		[N_V6_ATOMIC_FRAGMENT] = {44, 8},
		[N_V6_AH] = {51, 24},
		[N_V6_JUMBO] = {0, 8},
	};
	static const uint8_t addr[16] = {0x20, 0x01, 0x0d, 0xb8};

	put32(p, 0x60000000);
	put16(p, kind == N_V6_JUMBO ? 0 : (unsigned)(ext[kind].bytes + above));
	put8(p, ext[kind].bytes ? ext[kind].next : proto);
	put8(p, 64);
	put(p, addr, 15);
	put8(p, 1);
	put(p, addr, 15);
	put8(p, 2);
	switch (kind) {
	case N_V6_HOP:
		put_ext(p, proto, 1, 16);
		break;
	case N_V6_ROUTING_DST:
		put_ext(p, 60, 2, 24);
		put_ext(p, proto, 0, 8);
		break;
	case N_V6_FIRST_FRAGMENT:
	case N_V6_ATOMIC_FRAGMENT:
		put8(p, proto);
		put8(p, 0);
		put16(p, kind == N_V6_FIRST_FRAGMENT);
		put32(p, 77);
		break;
	case N_V6_AH:
		put_ext(p, proto, 4, 24);
		break;
	case N_V6_JUMBO:
		put8(p, proto);
		put8(p, 0);
		put16(p, 0xc204);
		put32(p, (uint32_t)(8 + above));
		break;
	default:
		break;
	}
}

static inline void put_net(struct packet *p, enum net_kind kind, uint8_t proto, size_t above)
{
	if (net_version(kind) == 4)
		put_v4(p, kind, proto, above);
	else
		put_v6(p, kind, proto, above);
}

enum transport_kind {
	T_TCP,
	T_TCP_OPTIONS,
	T_UDP,
	T_UDP_EMPTY,
	T_ICMP_ECHO,
	T_ICMP_REPLY,
	T_ICMP_OTHER,
	T_SCTP,
	T_KINDS,
};

struct transport {
	const char *name;
	uint8_t proto[2]; /* over IPv4, IPv6 */
	size_t head;
	size_t need; /* bytes of the head that must be captured */
	size_t payload;
	uint16_t sport[2], dport[2]; /* over IPv4, IPv6 */
	uint8_t icmp_type[2];
};

static const struct transport transports[T_KINDS] = {
	{"TCP", {6, 6}, 20, 20, 11, {1122, 1122}, {443, 443}, {0}},
	{"TCP options", {6, 6}, 60, 20, 11, {1122, 1122}, {443, 443}, {0}},
	{"UDP", {17, 17}, 8, 8, 9, {1122, 1122}, {443, 443}, {0}},
	{"UDP empty", {17, 17}, 8, 8, 0, {1122, 1122}, {443, 443}, {0}},
	{"ICMP echo", {1, 58}, 8, 8, 16, {999, 999}, {999, 999}, {8, 128}},
	{"ICMP echo reply", {1, 58}, 8, 8, 16, {999, 999}, {999, 999}, {0, 129}},
	{"ICMP other", {1, 58}, 8, 8, 28, {3, 135}, {1, 1}, {3, 135}},
	{"SCTP", {132, 132}, 12, 12, 20, {1122, 1122}, {443, 443}, {0}},
};

/* Appends the transport header and its payload. @more: bytes of a datagram in later fragments. */
static inline void put_transport(
	struct packet *p, enum transport_kind kind, unsigned v, size_t more)
{
	const struct transport *t = &transports[kind];
	unsigned six = v == 6;

	if (t->proto[0] == 1) {
		put8(p, t->icmp_type[six]);
		put8(p, kind == T_ICMP_OTHER);
		put16(p, 0);
		put16(p, 999);
		put16(p, 1);
	} else {
		put16(p, 1122);
		put16(p, 443);
	}
	if (t->proto[0] == 6) {
		put32(p, 0xfedcba98);
		put32(p, 0x76543210);
		put8(p, (uint8_t)(t->head / 4 << 4));
		put8(p, 0x18);
		put_zero(p, t->head - 14);
	} else if (t->proto[0] == 17) {
		put16(p, (unsigned)(8 + t->payload + more));
		put16(p, 0);
	} else if (t->proto[0] == 132) {
		put_zero(p, 8);
	}
	memset(p->bytes + p->len, 'x', t->payload);
	p->len += t->payload;
}
