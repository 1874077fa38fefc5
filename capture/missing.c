/* SPDX-License-Identifier: Apache-2.0 */
/* Looks for what was captured on before. */
#include "capture/missing.h"

#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>

static bool ask(const struct missing *m, int fd, unsigned long what, struct ifreq *ret)
{
	snprintf(ret->ifr_name, sizeof(ret->ifr_name), "%s", m->interface);
	return fd >= 0 && ioctl(fd, what, ret) == 0;
}

/* Whether it is still what could not be captured on. */
static bool is_unfit(struct missing *m, int fd)
{
	struct ifreq ifr = {0};

	m->unfit = m->unfit && ask(m, fd, SIOCGIFHWADDR, &ifr) &&
		   (!m->kind || m->kind == ifr.ifr_hwaddr.sa_family);
	if (m->unfit)
		m->kind = ifr.ifr_hwaddr.sa_family;
	return m->unfit;
}

bool missing_is_there(struct missing *m, const struct netns *netns, int own_fd)
{
	int fd = m->netns_number ? netns_socket(netns, m->netns_number) : own_fd;
	struct ifreq ifr = {0};

	if (!m->interface)
		return netns_exists(netns, m->netns);
	return !is_unfit(m, fd) && ask(m, fd, SIOCGIFFLAGS, &ifr) && ifr.ifr_flags & IFF_UP;
}
