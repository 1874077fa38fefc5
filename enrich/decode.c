/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decodes one packet: link header, IP, extension headers, transport.
 *
 * One rule keeps it in bounds: `have` is what was captured from `p` on, it shrinks by exactly what
 * `p` moves, and nothing is read before `have` was compared with what is about to be read.
 * `left` is what the headers claim from `p` on; it may exceed `have`, that is what a snap length
 * does.
 */
#include "enrich/decode.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "enrich/address.h"

/* DLT_* and LINKTYPE_* values; this folder does not include pcap.h. */
enum {
	LINK_NULL = 0,
	LINK_EN10MB = 1,
	LINK_DLT_RAW = 12,
	LINK_RAW = 101,
	LINK_LOOP = 108,
	LINK_LINUX_SLL = 113,
	LINK_IPV4 = 228,
	LINK_IPV6 = 229,
	LINK_LINUX_SLL2 = 276,
};

enum {
	ETHERTYPE_V4 = 0x0800,
	ETHERTYPE_V6 = 0x86dd,
	ETHERTYPE_CTAG = 0x8100,
	ETHERTYPE_STAG = 0x88a8,
	ETHERTYPE_OLD_STAG = 0x9100,
};

#define ARPHRD_NETLINK_NUMBER 824 /* linux/if_arp.h: the protocol field is a netlink family */
#define PROTO_SCTP            132
#define TCP_HEAD              20u
#define UDP_HEAD              8u
#define ICMP_HEAD             8u /* every message of ICMP and ICMPv6 has at least these */
#define SCTP_HEAD             12u

struct cursor {
	const uint8_t *p;
	size_t have; /* captured bytes from p on */
	size_t wire; /* bytes on the wire from p on, >= have */
};

static inline uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void skip(struct cursor *c, size_t n)
{
	c->p += n;
	c->have -= n;
	c->wire -= n;
}

/* Skips up to two tags; @type is what stands before the cursor. */
static enum decode_result skip_vlan(struct cursor *c, uint16_t *type, struct decoded *ret)
{
	for (unsigned tags = 0;
		*type == ETHERTYPE_CTAG || *type == ETHERTYPE_STAG || *type == ETHERTYPE_OLD_STAG;
		tags++) {
		if (tags == 2)
			return DECODE_E_NOT_IP;
		if (c->have < 4)
			return DECODE_E_TRUNCATED;
		if (tags == 0)
			ret->vlan = be16(c->p) & 0xfff;
		*type = be16(c->p + 2);
		skip(c, 4);
	}
	return DECODE_OK;
}

/* Address families as the systems that write such files number them; the byte order is theirs. */
static uint16_t null_ethertype(uint32_t af)
{
	if (af > 0xffff)
		af = __builtin_bswap32(af);
	switch (af) {
	case 2:
		return ETHERTYPE_V4;
	case 10: /* Linux */
	case 24: /* NetBSD, OpenBSD */
	case 28: /* FreeBSD */
	case 30: /* Darwin */
		return ETHERTYPE_V6;
	}
	return 0;
}

/* Moves the cursor over the link header. *ret_type 0 = the IP version nibble decides. */
static enum decode_result decode_link(
	uint16_t dlt, struct cursor *c, struct decoded *ret, uint16_t *ret_type)
{
	uint16_t type = 0, hatype = 0;

	ret->vlan = 0;
	ret->netns = 0;
	ret->ifindex = 0;
	ret->pkttype = DECODE_PKTTYPE_NONE;
	switch (dlt) {
	case LINK_EN10MB:
		if (c->have < 14)
			return DECODE_E_TRUNCATED;
		type = be16(c->p + 12);
		skip(c, 14);
		break;
	case LINK_LINUX_SLL2:
		if (c->have < 20)
			return DECODE_E_TRUNCATED;
		type = be16(c->p);
		ret->ifindex = be32(c->p + 4);
		hatype = be16(c->p + 8);
		ret->pkttype = c->p[10];
		skip(c, 20);
		break;
	case LINK_LINUX_SLL:
		if (c->have < 16)
			return DECODE_E_TRUNCATED;
		ret->pkttype = c->p[0] ? DECODE_PKTTYPE_NONE : c->p[1];
		hatype = be16(c->p + 2);
		type = be16(c->p + 14);
		skip(c, 16);
		break;
	case LINK_DLT_RAW:
	case LINK_RAW:
		*ret_type = 0;
		return DECODE_OK;
	case LINK_IPV4:
		*ret_type = ETHERTYPE_V4;
		return DECODE_OK;
	case LINK_IPV6:
		*ret_type = ETHERTYPE_V6;
		return DECODE_OK;
	case LINK_NULL:
	case LINK_LOOP:
		if (c->have < 4)
			return DECODE_E_TRUNCATED;
		*ret_type = null_ethertype(be32(c->p));
		skip(c, 4);
		return *ret_type ? DECODE_OK : DECODE_E_NOT_IP;
	default:
		return DECODE_E_LINKTYPE;
	}
	if (hatype == ARPHRD_NETLINK_NUMBER)
		return DECODE_E_NOT_IP;
	if (type != ETHERTYPE_V4 && type != ETHERTYPE_V6) {
		enum decode_result r = skip_vlan(c, &type, ret);

		if (r)
			return r;
		if (type != ETHERTYPE_V4 && type != ETHERTYPE_V6)
			return DECODE_E_NOT_IP;
	}
	*ret_type = type;
	return DECODE_OK;
}

/* What the network layer found out about the transport header at the cursor. */
struct network {
	struct cursor c;
	size_t left;         /* bytes of the IP packet from the cursor on */
	bool first_fragment; /* more follow */
};

/* Whether the next @bytes can be read. */
static inline enum decode_result has(const struct network *n, size_t bytes)
{
	if (n->left < bytes)
		return DECODE_E_MALFORMED;
	return n->c.have < bytes ? DECODE_E_TRUNCATED : DECODE_OK;
}

static inline enum decode_result take(struct network *n, size_t bytes)
{
	enum decode_result r = has(n, bytes);

	if (r)
		return r;
	skip(&n->c, bytes);
	n->left -= bytes;
	return DECODE_OK;
}

/* Least size of an extension header, 0 = @next is none. IPv4 has only one kind. */
static size_t extension_size(uint8_t next, bool v6)
{
	switch (next) {
	case IPPROTO_AH:
		return 12;
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
	case IPPROTO_FRAGMENT:
		return v6 ? 8 : 0;
	default:
		return 0;
	}
}

/* Walks what stands between the IP header and the transport, starting with header @next. */
static enum decode_result skip_extensions(
	struct network *n, uint8_t next, bool v6, uint8_t *ret_proto)
{
	for (unsigned i = 0; i <= DECODE_EXT_MAX; i++) {
		const uint8_t *p = n->c.p;
		size_t size = extension_size(next, v6);
		enum decode_result r;

		if (!size) {
			*ret_proto = next;
			return DECODE_OK;
		}
		r = has(n, size);
		if (r)
			return r;
		if (next == IPPROTO_FRAGMENT) {
			uint16_t frag = be16(p + 2);

			if (frag & 0xfff8)
				return DECODE_E_FRAGMENT;
			n->first_fragment |= frag & 1;
		} else if (next == IPPROTO_AH) {
			size = ((size_t)p[1] + 2) * 4;
			if (size < 12)
				return DECODE_E_MALFORMED;
		} else {
			size = ((size_t)p[1] + 1) * 8;
		}
		next = p[0];
		r = take(n, size);
		if (r)
			return r;
	}
	return DECODE_E_MALFORMED;
}

static enum decode_result decode_v4(struct network *n, struct decoded *ret)
{
	const uint8_t *p = n->c.p;
	size_t head, total;
	uint16_t frag;
	enum decode_result r;

	if (n->c.have < 20)
		return DECODE_E_TRUNCATED;
	head = (size_t)(p[0] & 0xf) * 4;
	total = be16(p + 2);
	if (!total)
		total = n->c.wire; /* segmentation offload leaves it to the card */
	if (head < 20 || total < head)
		return DECODE_E_MALFORMED;
	ret->family = 4;
	address_from_v4(ret->src, p + 12);
	address_from_v4(ret->dst, p + 16);
	frag = be16(p + 6);
	if (frag & 0x1fff)
		return DECODE_E_FRAGMENT;
	n->first_fragment = frag & 0x2000;
	ret->proto = p[9];
	n->left = total;
	ret->ip_len = (uint32_t)total;
	r = take(n, head);
	if (r || ret->proto != IPPROTO_AH)
		return r;
	return skip_extensions(n, ret->proto, false, &ret->proto);
}

static enum decode_result decode_v6(struct network *n, struct decoded *ret)
{
	const uint8_t *p = n->c.p;
	size_t body;

	if (n->c.have < 40)
		return DECODE_E_TRUNCATED;
	ret->family = 6;
	memcpy(ret->src, p + 8, 16);
	memcpy(ret->dst, p + 24, 16);
	body = be16(p + 4);
	skip(&n->c, 40);
	/* 0: a jumbogram (RFC 2675) or the kernel's BIG TCP; the length on the wire is the real
	 * one. */
	n->left = body ? body : n->c.wire;
	ret->ip_len = (uint32_t)n->left + 40;
	n->first_fragment = false;
	return skip_extensions(n, p[6], true, &ret->proto);
}

static enum decode_result decode_tcp(struct network *n, struct decoded *ret)
{
	const uint8_t *p = n->c.p;
	enum decode_result r = has(n, TCP_HEAD);
	size_t head;

	if (r)
		return r;
	head = (size_t)(p[12] >> 4) * 4;
	if (head < TCP_HEAD || head > n->left)
		return DECODE_E_MALFORMED;
	ret->sport = be16(p);
	ret->dport = be16(p + 2);
	ret->seq = be32(p + 4);
	ret->ack = be32(p + 8);
	ret->tcp_flags = p[13];
	n->left -= head;
	ret->payload_len = (uint32_t)n->left;
	skip(&n->c, head < n->c.have ? head : n->c.have);
	return DECODE_OK;
}

static enum decode_result decode_udp(struct network *n, struct decoded *ret)
{
	const uint8_t *p = n->c.p;
	size_t packet = n->left, size;
	enum decode_result r = take(n, UDP_HEAD);

	if (r)
		return r;
	size = be16(p + 4);
	if (!size)
		size = packet; /* longer than 65535: RFC 2675 */
	else if (size < UDP_HEAD || (n->first_fragment ? size < packet : size > packet))
		return DECODE_E_MALFORMED;
	ret->sport = be16(p);
	ret->dport = be16(p + 2);
	ret->payload_len = (uint32_t)(size - UDP_HEAD);
	return DECODE_OK;
}

static enum decode_result decode_icmp(struct network *n, struct decoded *ret)
{
	const uint8_t *p = n->c.p;
	bool v4 = ret->proto == IPPROTO_ICMP;
	enum decode_result r = take(n, ICMP_HEAD);

	if (r)
		return r;
	ret->icmp_type = p[0];
	ret->icmp_code = p[1];
	if (v4 ? p[0] == 8 || p[0] == 0 : p[0] == 128 || p[0] == 129) {
		ret->sport = ret->dport = be16(p + 4);
	} else {
		ret->sport = p[0];
		ret->dport = p[1];
	}
	ret->payload_len = (uint32_t)n->left;
	return DECODE_OK;
}

static enum decode_result decode_sctp(struct network *n, struct decoded *ret)
{
	const uint8_t *p = n->c.p;
	enum decode_result r = take(n, SCTP_HEAD);

	if (r)
		return r;
	ret->sport = be16(p);
	ret->dport = be16(p + 2);
	ret->payload_len = (uint32_t)n->left;
	return DECODE_OK;
}

static enum decode_result decode_transport(struct network *n, struct decoded *ret)
{
	ret->tcp_flags = 0;
	switch (ret->proto) {
	case IPPROTO_TCP:
		return decode_tcp(n, ret);
	case IPPROTO_UDP:
		return decode_udp(n, ret);
	case IPPROTO_ICMP:
		return ret->family == 4 ? decode_icmp(n, ret) : DECODE_E_PROTO;
	case IPPROTO_ICMPV6:
		return ret->family == 6 ? decode_icmp(n, ret) : DECODE_E_PROTO;
	case PROTO_SCTP:
		return decode_sctp(n, ret);
	default:
		return DECODE_E_PROTO;
	}
}

enum decode_result decode_packet(
	uint16_t dlt, const uint8_t *data, size_t caplen, size_t len, struct decoded *ret)
{
	struct network n;
	enum decode_result r;
	uint16_t type;
	uint8_t version;

	if (caplen > UINT16_MAX)
		caplen = UINT16_MAX; /* offsets are 16 bits; headers end long before */
	n.c = (struct cursor){.p = data, .have = caplen, .wire = len > caplen ? len : caplen};
	r = decode_link(dlt, &n.c, ret, &type);
	if (r)
		return r;
	if (!n.c.have)
		return DECODE_E_TRUNCATED;
	version = n.c.p[0] >> 4;
	if (version == 4 && type != ETHERTYPE_V6)
		r = decode_v4(&n, ret);
	else if (version == 6 && type != ETHERTYPE_V4)
		r = decode_v6(&n, ret);
	else
		return DECODE_E_MALFORMED;
	if (!r)
		r = decode_transport(&n, ret);
	if (r)
		return r;
	/* Captured payload: without the padding of a short frame, without later fragments. */
	if (n.left > ret->payload_len)
		n.left = ret->payload_len;
	ret->payload_off = (uint16_t)(n.c.p - data);
	ret->payload_caplen = (uint16_t)(n.c.have < n.left ? n.c.have : n.left);
	return DECODE_OK;
}
