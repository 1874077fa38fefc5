/* SPDX-License-Identifier: Apache-2.0 */
/* What enrich gets from `flowner-enrich --open`. */
#include "enrich/inherited.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/daemon.h"
#include "enrich/connector.h"
#include "enrich/netlink.h"
#include "enrich/owner.h"
#include "enrich/seed-file.h"
#include "shm/cleanup.h"

static int open_kernel(struct inherited *i)
{
	int size = 4 << 20; /* of what is closed; see diag-watch.c */
	int *fds = i->fds;

	fds[INHERITED_ROUTE] =
		netlink_open(NETLINK_ROUTE, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR);
	if (fds[INHERITED_ROUTE] < 0)
		return fds[INHERITED_ROUTE];
	fds[INHERITED_DIAG] = netlink_open(NETLINK_SOCK_DIAG, 0);
	if (fds[INHERITED_DIAG] < 0)
		return fds[INHERITED_DIAG];
	/* Bound by who listens: from then on the kernel tells, at a price for all who close. */
	fds[INHERITED_CLOSED] =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
	if (fds[INHERITED_CLOSED] < 0)
		return -errno;
	(void)setsockopt(fds[INHERITED_CLOSED], SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	return 0;
}

int inherited_open(struct inherited *i)
{
	struct connector *c;
	struct stat st;
	int r;

	*i = (struct inherited){0};
	memset(i->fds, 0xff, sizeof(i->fds));
	r = open_kernel(i);
	if (r < 0)
		return r;
	i->about.first_port = owners_first_port();
	if (stat("/proc/self/ns/net", &st) == 0)
		i->about.netns = st.st_ino;
	i->about.error = connector_new(&c);
	if (i->about.error == 0) {
		i->about.watched_ns = daemon_realtime_ns();
		connector_end(c, &i->fds[INHERITED_CONNECTOR]);
	}
	return 0;
}

int inherited_sweep(struct inherited *i, const struct config *c)
{
	struct procfs *p;
	int r;

	if (c->enrich.procfs == CONFIG_PROCFS_OFF)
		return seed_file_write(NULL, 0, &i->fds[INHERITED_SWEEP]);
	r = procfs_new("/proc", &p);
	if (r < 0)
		return r;
	r = seed_file_write(p, OWNERS_SEED_DESCRIPTORS_MAX, &i->fds[INHERITED_SWEEP]);
	procfs_free(p);
	return r;
}

int inherited_send(const struct inherited *i, int fd)
{
	size_t n = i->about.watched_ns ? HANDOVER_KERNEL_FDS : HANDOVER_KERNEL_FDS - 2;

	return handover_send(fd, HANDOVER_KERNEL, &i->about, sizeof(i->about), i->fds, n);
}

int inherited_take(struct inherited *i, int fd)
{
	static struct handover_message m; /* large, and there is one */
	int r;

	*i = (struct inherited){0};
	memset(i->fds, 0xff, sizeof(i->fds));
	r = handover_recv(fd, &m);
	if (r < 0)
		return r == -EAGAIN || r == -ECONNRESET ? -EPROTO : r;
	if (m.type != HANDOVER_KERNEL) {
		handover_message_close(&m);
		return -EPROTO;
	}
	memcpy(&i->about, m.payload, sizeof(i->about));
	memcpy(i->fds, m.fds, m.n_fds * sizeof(i->fds[0]));
	return 0;
}

void inherited_close(struct inherited *i)
{
	for (size_t n = 0; n < HANDOVER_KERNEL_FDS; n++)
		if (i->fds[n] >= 0)
			close(take_fd(&i->fds[n]));
}

int inherited_fd(struct inherited *i, enum inherited_fd which)
{
	return take_fd(&i->fds[which]);
}
