/* SPDX-License-Identifier: Apache-2.0 */
/* Community ID version 1 of a connection. */
#include "sink/community-id.h"

#include <netinet/in.h>
#include <nettle/sha1.h>
#include <stdbool.h>
#include <string.h>

#define INPUT_MAX (2 + 16 + 16 + 2 + 4) /* seed, addresses, protocol and a zero, ports */

#define ID_LEN (2 + 28)
#define KEPT   1024u /* the last ones */

struct endpoint {
	const uint8_t *addr;
	uint16_t port;
};

/* Types that ask and answer each other; the specification's lists. */
static const uint8_t ICMP_PAIRS[][2] = {
	{8, 0},   /* echo */
	{10, 9},  /* router solicitation, advertisement */
	{13, 14}, /* timestamp */
	{15, 16}, /* information */
	{17, 18}, /* address mask */
};

static const uint8_t ICMPV6_PAIRS[][2] = {
	{128, 129}, /* echo */
	{130, 131}, /* multicast listener query, report */
	{133, 134}, /* router solicitation, advertisement */
	{135, 136}, /* neighbour solicitation, advertisement */
	{139, 140}, /* node information */
	{144, 145}, /* home agent address discovery */
};

static bool find_pair(const uint8_t (*pairs)[2], size_t n, uint16_t type, uint16_t *ret_other)
{
	for (size_t i = 0; i < n; i++)
		for (unsigned k = 0; k < 2; k++)
			if (pairs[i][k] == type) {
				*ret_other = pairs[i][!k];
				return true;
			}
	return false;
}

/* What stands for the ports; true: both directions are one connection. */
static bool set_ports(const struct record *r, struct endpoint *orig, struct endpoint *resp)
{
	orig->port = r->orig_port;
	resp->port = r->resp_port;
	if (r->proto == IPPROTO_ICMP)
		return find_pair(ICMP_PAIRS, sizeof(ICMP_PAIRS) / sizeof(ICMP_PAIRS[0]),
			r->orig_port, &resp->port);
	if (r->proto == IPPROTO_ICMPV6)
		return find_pair(ICMPV6_PAIRS, sizeof(ICMPV6_PAIRS) / sizeof(ICMPV6_PAIRS[0]),
			r->orig_port, &resp->port);
	return true;
}

static bool has_ports(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_ICMP:
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_ICMPV6:
	case IPPROTO_SCTP:
		return true;
	}
	return false;
}

static uint8_t *put_u16(uint8_t *p, uint16_t v)
{
	*p++ = (uint8_t)(v >> 8);
	*p++ = (uint8_t)v;
	return p;
}

/* The upper four times six bits of the lower 24. */
static inline char *base64(char *p, uint32_t bits)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	p[0] = alphabet[bits >> 18 & 63];
	p[1] = alphabet[bits >> 12 & 63];
	p[2] = alphabet[bits >> 6 & 63];
	p[3] = alphabet[bits & 63];
	return p + 4;
}

/*
 * The ID of what is hashed. It fits into one block of SHA-1 with its padding, a one bit, zeros and
 * the number of bits: so does without the copies of the general way.
 */
static void hash(const uint8_t *in, size_t len, char buf[COMMUNITY_ID_MAX])
{
	uint8_t block[SHA1_BLOCK_SIZE] = {0};
	uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
	char *p = buf;

	_Static_assert(INPUT_MAX + 1 + 8 <= SHA1_BLOCK_SIZE, "one block");
	memcpy(block, in, len);
	block[len] = 0x80;
	put_u16(block + SHA1_BLOCK_SIZE - 2, (uint16_t)(len * 8));
	nettle_sha1_compress(state, block);
	*p++ = '1';
	*p++ = ':';
	/* Three bytes at a time of the words in big-endian order: 3 + 1, 2 + 2, 1 + 3, ... */
	p = base64(p, state[0] >> 8);
	p = base64(p, (state[0] & 0xff) << 16 | state[1] >> 16);
	p = base64(p, (state[1] & 0xffff) << 8 | state[2] >> 24);
	p = base64(p, state[2] & 0xffffff);
	p = base64(p, state[3] >> 8);
	p = base64(p, (state[3] & 0xff) << 16 | state[4] >> 16);
	p = base64(p, (state[4] & 0xffff) << 8);
	p[-1] = '='; /* 20 bytes, not 21 */
	*p = 0;
}

/* What was hashed before: all records of a connection, in every output, want the same. */
struct kept {
	uint8_t in[INPUT_MAX];
	char text[COMMUNITY_ID_MAX];
	uint8_t len; /* 0: nothing */
};

static struct kept *find_kept(const uint8_t in[INPUT_MAX])
{
	static _Thread_local struct kept kept[KEPT];
	uint64_t w[INPUT_MAX / 8], mixed = 0;

	_Static_assert(sizeof(w) == INPUT_MAX, "whole words");
	memcpy(w, in, sizeof(w));
	for (size_t i = 0; i < INPUT_MAX / 8; i++)
		mixed = (mixed ^ w[i]) * UINT64_C(0x9e3779b97f4a7c15);
	return &kept[(mixed >> 32) % KEPT];
}

size_t community_id(const struct record *r, char buf[COMMUNITY_ID_MAX])
{
	const size_t size = r->family == 4 ? 4 : 16;
	struct endpoint a = {.addr = r->orig_addr + 16 - size};
	struct endpoint b = {.addr = r->resp_addr + 16 - size};
	uint8_t in[INPUT_MAX] = {0}, *p = in + 2; /* behind the seed */
	struct kept *kept;
	size_t len;

	if (set_ports(r, &a, &b)) {
		int order = memcmp(a.addr, b.addr, size);

		if (order > 0 || (order == 0 && a.port > b.port)) {
			struct endpoint lower = b;

			b = a;
			a = lower;
		}
	}
	memcpy(p, a.addr, size);
	memcpy(p + size, b.addr, size);
	p += 2 * size;
	*p++ = r->proto;
	*p++ = 0;
	if (has_ports(r->proto))
		p = put_u16(put_u16(p, a.port), b.port);

	len = (size_t)(p - in);
	if (r->flags & RECORD_FLAG_UNANNOUNCED) {
		hash(in, len, buf); /* the first record of its connection, and the last */
		return ID_LEN;
	}
	kept = find_kept(in);
	if (kept->len != len || memcmp(kept->in, in, sizeof(in)) != 0) {
		memcpy(kept->in, in, sizeof(in));
		kept->len = (uint8_t)len;
		hash(in, len, kept->text);
	}
	memcpy(buf, kept->text, sizeof(kept->text));
	return ID_LEN;
}
