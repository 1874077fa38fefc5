/* SPDX-License-Identifier: Apache-2.0 */
/* Wakes a process that sleeps in poll(2), without ever waiting for it. */
#include "shm/doorbell.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>

int doorbell_new(int *ret_ring, int *ret_poll)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return -errno;
	*ret_ring = fds[0];
	*ret_poll = fds[1];
	return 0;
}

bool doorbell_ring(int fd)
{
	struct iovec iov = {.iov_base = &(char){0}, .iov_len = 1};
	const struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	return sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
}

void doorbell_drain(int fd)
{
	struct iovec iov = {.iov_base = &(char){0}, .iov_len = 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	(void)recvmsg(fd, &m, MSG_DONTWAIT);
}

int doorbell_check(int fd)
{
	int domain, type;
	socklen_t len = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
		return -EPROTO;
	len = sizeof(int);
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		return -EPROTO;
	return domain == AF_UNIX && type == SOCK_DGRAM ? 0 : -EPROTO;
}
