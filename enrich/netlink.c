/* SPDX-License-Identifier: Apache-2.0 */
/* Opens netlink sockets. */
#include "enrich/netlink.h"

#include <errno.h>

#include "shm/cleanup.h"

ssize_t netlink_take(int fd, void *buf, size_t size, int flags)
{
	unsigned foreign = 0;

	while (foreign < NETLINK_FOREIGN_MAX) {
		struct sockaddr_nl from = {0};
		ssize_t n = netlink_recv(fd, buf, size, flags, &from);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return -ECONNRESET; /* never of a netlink socket */
		if (from.nl_family != AF_NETLINK || !from.nl_pid)
			return n;
		foreign++;
	}
	return -EBADMSG;
}

bool netlink_is(int fd)
{
	int domain = AF_UNSPEC;
	socklen_t len = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_NETLINK;
}

int netlink_open(int protocol, uint32_t groups)
{
	const struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = groups};
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return take_fd(&fd);
}
