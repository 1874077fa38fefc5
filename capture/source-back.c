/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An interface that goes, and comes back: its packet socket, with buffer and filter, is bound to
 * the new one of that name. That takes no privilege, and the other sources do not notice.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "capture/source-internal.h"

bool source_is_there(const struct source *s)
{
	struct ifreq ifr = {.ifr_ifindex = (int)s->head.ifindex};

	/* All interfaces are never gone, and cannot come back. */
	return !s->head.ifindex || ioctl(source_fd(s), SIOCGIFNAME, &ifr) == 0;
}

int source_kind(const struct source *s, const char *name)
{
	struct ifreq ifr = {0};

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	return ioctl(source_fd(s), SIOCGIFHWADDR, &ifr) < 0 ? -errno : ifr.ifr_hwaddr.sa_family;
}

static int bind_to(const struct source *s, uint32_t ifindex, uint16_t protocol)
{
	struct sockaddr_ll sll = {
		.sll_family = AF_PACKET,
		.sll_ifindex = (int)ifindex,
		.sll_protocol = htons(protocol),
	};

	return bind(source_fd(s), (struct sockaddr *)&sll, sizeof(sll)) < 0 ? -errno : 0;
}

bool source_gone(const struct source *s)
{
	return s->gone;
}

int source_come_back(struct source *s)
{
	struct ifreq ifr = {0};
	int r;

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", s->interface);
	if (ioctl(source_fd(s), SIOCGIFINDEX, &ifr) < 0)
		return SOURCE_E_GONE;
	/* The filter is one for links of the old kind, and locked. */
	if (source_kind(s, s->interface) != s->kind)
		return SOURCE_E_CHANGED;
	r = bind_to(s, (uint32_t)ifr.ifr_ifindex, ETH_P_ALL);
	if (r < 0)
		return r == -ENODEV ? SOURCE_E_GONE : r;
	s->head.ifindex = (uint32_t)ifr.ifr_ifindex;
	s->gone = false;
	return 0;
}

int source_stop(struct source *s)
{
	if (s->file || s->gone)
		return 0;
	/*
	 * The filter is locked; what can still change is the protocol the socket listens to. None
	 * of this one's packets are IP, so nothing matches. The kernel waits for packets on their
	 * way.
	 */
	return bind_to(s, s->head.ifindex, ETH_P_LOOPBACK);
}
