/* SPDX-License-Identifier: Apache-2.0 */
/* Opens netlink sockets. */
#include "enrich/netlink.h"

#include <errno.h>

#include "shm/cleanup.h"

int netlink_open(int protocol, uint32_t groups)
{
	const struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = groups};
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return take_fd(&fd);
}
