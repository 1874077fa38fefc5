/* SPDX-License-Identifier: Apache-2.0 */
/* Community ID version 1 of a connection. */
#include "sink/community-id.h"

#include <netinet/in.h>
#include <nettle/base64.h>
#include <nettle/sha1.h>
#include <stdbool.h>
#include <string.h>

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

size_t community_id(const struct record *r, char buf[COMMUNITY_ID_MAX])
{
	const size_t size = r->family == 4 ? 4 : 16;
	struct endpoint a = {.addr = r->orig_addr + 16 - size};
	struct endpoint b = {.addr = r->resp_addr + 16 - size};
	uint8_t in[2 + 16 + 16 + 2 + 4] = {0}, *p = in + 2; /* behind the seed */
	uint8_t digest[SHA1_DIGEST_SIZE];
	struct sha1_ctx sha1;

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

	sha1_init(&sha1);
	sha1_update(&sha1, (size_t)(p - in), in);
	sha1_digest(&sha1, sizeof(digest), digest);
	memcpy(buf, "1:", 2);
	base64_encode_raw(buf + 2, sizeof(digest), digest);
	buf[2 + BASE64_ENCODE_RAW_LENGTH(sizeof(digest))] = 0;
	return 2 + BASE64_ENCODE_RAW_LENGTH(sizeof(digest));
}
