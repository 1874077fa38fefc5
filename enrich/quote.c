/* SPDX-License-Identifier: Apache-2.0 */
/* The packet quoted in an ICMP error. */
#include "enrich/quote.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#define LINKTYPE_RAW 101 /* the quotation begins with an IP header */

static bool is_port_unreachable(const struct decoded *d)
{
	if (d->proto == IPPROTO_ICMP)
		return d->icmp_type == ICMP_DEST_UNREACH && d->icmp_code == ICMP_PORT_UNREACH;
	return d->proto == IPPROTO_ICMPV6 && d->icmp_type == ICMP6_DST_UNREACH &&
	       d->icmp_code == ICMP6_DST_UNREACH_NOPORT;
}

bool quote_refused(const struct decoded *d, const uint8_t *data, struct decoded *ret)
{
	if (!is_port_unreachable(d) ||
		decode_packet(LINKTYPE_RAW, data + d->payload_off, d->payload_caplen,
			d->payload_caplen, ret) != DECODE_OK)
		return false;
	/* Only the host it was sent to knows its ports. */
	if (ret->proto != IPPROTO_UDP || memcmp(ret->src, d->dst, sizeof(ret->src)) != 0 ||
		memcmp(ret->dst, d->src, sizeof(ret->dst)) != 0)
		return false;
	ret->vlan = d->vlan;
	ret->netns = d->netns;
	return true;
}
