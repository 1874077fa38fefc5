/* SPDX-License-Identifier: Apache-2.0 */
/* What an opener leaves with the service manager. */
#include "config/opened.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>

#include "config/notify.h"
#include "shm/cleanup.h"

#define ROOM    (16 << 20) /* bytes that may wait */
#define WAIT_MS 10000

int opened_enter(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 || setns(fd, CLONE_NEWNET) < 0 ? -errno : 0;
}

int opened_new(int ret_fds[2])
{
	int room = ROOM;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret_fds) < 0)
		return -errno;
	/* Refused: then what is usual has to do. */
	(void)setsockopt(ret_fds[1], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	return 0;
}

int opened_store(int fd)
{
	int r = notify_send("FDSTOREREMOVE=1\nFDNAME=" OPENED_NAME);

	/* It must not look at it: that its other end is closed is as it should be. */
	if (r > 0)
		r = notify_send_fds("FDSTORE=1\nFDPOLL=0\nFDNAME=" OPENED_NAME, &fd, 1);
	if (r <= 0)
		return r ? r : -ENOTCONN;
	return notify_barrier(WAIT_MS);
}
