/* SPDX-License-Identifier: Apache-2.0 */
/* Readiness for a supervisor: sd_notify(3)'s datagrams to $NOTIFY_SOCKET. */
#include "config/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "shm/cleanup.h"

static int notify_fd = -1;

int notify_open(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = getenv("NOTIFY_SOCKET");
	_cleanup_close_ int fd = -1;
	size_t len;

	notify_close();
	if (!path || !path[0])
		return 0;
	len = strlen(path);
	if (path[0] != '/' && path[0] != '@') {
		unsetenv("NOTIFY_SOCKET");
		return -EAFNOSUPPORT;
	}
	if (len >= sizeof(address.sun_path)) {
		unsetenv("NOTIFY_SOCKET");
		return -ENAMETOOLONG;
	}
	memcpy(address.sun_path, path, len);
	unsetenv("NOTIFY_SOCKET");
	/* An abstract name: its first byte is NUL and its length is part of it. */
	if (address.sun_path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		return -errno;
	notify_fd = take_fd(&fd);
	return 1;
}

int notify_send(const char *state)
{
	ssize_t n;

	if (notify_fd < 0)
		return 0;
	do {
		n = send(notify_fd, state, strlen(state), MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 1;
}

void notify_close(void)
{
	if (notify_fd >= 0)
		close(notify_fd);
	notify_fd = -1;
}
