/* SPDX-License-Identifier: Apache-2.0 */
/* Readiness for a supervisor: sd_notify(3)'s datagrams to $NOTIFY_SOCKET. */
#include "config/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "config/transfer.h"
#include "shm/cleanup.h"

#define FDS_MAX 8u
#define WAIT_MS 500

static int notify_fd = -1;
static int ready_fd = -1;           /* s6's */
static uint64_t every_ms, alive_ms; /* words to a watchdog, CLOCK_MONOTONIC of the last one */

/* The number in the variable @name, which is unset; 0 = none. */
static uint64_t take_number(const char *name)
{
	const char *text = getenv(name);
	uint64_t n = text && text[0] >= '0' && text[0] <= '9' ? strtoull(text, NULL, 10) : 0;

	unsetenv(name);
	return n;
}

static void open_watchdog(void)
{
	uint64_t us = take_number("WATCHDOG_USEC"), pid = take_number("WATCHDOG_PID");

	/* Another process's: it passed its environment on. */
	every_ms = pid && pid != (uint64_t)getpid() ? 0 : us / 2000;
	alive_ms = 0;
}

static void open_ready(void)
{
	uint64_t fd = take_number("NOTIFY_FD");

	if (fd > STDERR_FILENO && fd < INT_MAX && fcntl((int)fd, F_SETFD, FD_CLOEXEC) == 0)
		ready_fd = (int)fd;
}

int notify_open(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = getenv("NOTIFY_SOCKET");
	_cleanup_close_ int fd = -1;
	size_t len;

	notify_close();
	open_watchdog();
	open_ready();
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

/* s6 takes a line for readiness, and nothing else. */
static void tell_ready(const char *state)
{
	if (ready_fd < 0 || strcmp(state, "READY=1") != 0)
		return;
	(void)!transfer_write(ready_fd, "\n", 1, TRANSFER_HERE);
	close(ready_fd);
	ready_fd = -1;
}

int notify_send(const char *state)
{
	ssize_t n;

	tell_ready(state);
	if (notify_fd < 0)
		return 0;
	do {
		n = transfer_write(notify_fd, state, strlen(state), TRANSFER_HERE);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 1;
}

int notify_send_fds(const char *state, const int *fds, size_t n)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)state, .iov_len = strlen(state)};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int) * FDS_MAX)];
	} control = {.header = {.cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS,
			     .cmsg_len = CMSG_LEN(sizeof(int) * n)}};
	struct msghdr message = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_SPACE(sizeof(int) * n)};
	struct pollfd room = {.fd = notify_fd, .events = POLLOUT};
	ssize_t sent;

	if (notify_fd < 0)
		return 0;
	if (n > FDS_MAX)
		return -EINVAL;
	memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * n);
	do {
		sent = sendmsg(notify_fd, &message, MSG_NOSIGNAL);
	} while (sent < 0 && (errno == EINTR || (errno == EAGAIN && poll(&room, 1, WAIT_MS) > 0)));
	return sent < 0 ? -errno : 1;
}

int notify_barrier(int timeout_ms)
{
	struct pollfd end = {0};
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	/* It closes the descriptor it got once it has come to this message. */
	r = notify_send_fds("BARRIER=1", &fds[1], 1);
	close(fds[1]);
	end.fd = fds[0];
	if (r > 0) {
		r = poll(&end, 1, timeout_ms);
		r = r < 0 ? -errno : r ? 0 : -ETIMEDOUT;
	}
	close(fds[0]);
	return r;
}

int notify_alive(int timeout_ms)
{
	struct timespec t;
	uint64_t now, left;

	if (!every_ms || notify_fd < 0)
		return timeout_ms;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &t); /* never a system call */
	now = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
	if (now - alive_ms >= every_ms) {
		(void)notify_send("WATCHDOG=1"); /* lost: the next one is in time, too */
		alive_ms = now;
	}
	left = every_ms - (now - alive_ms);
	return timeout_ms < 0 || (uint64_t)timeout_ms > left ? (int)left : timeout_ms;
}

void notify_close(void)
{
	if (ready_fd >= 0)
		close(ready_fd);
	ready_fd = -1;
	if (notify_fd >= 0)
		close(notify_fd);
	notify_fd = -1;
}
