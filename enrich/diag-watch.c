/* SPDX-License-Identifier: Apache-2.0 */
/* The sock_diag multicast of closed sockets. */
#include "enrich/diag-watch.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH        64u
#define MESSAGE_SIZE 1024u      /* bytes; the kernel's have about 400 */
#define BUFFER_SIZE  (4u << 20) /* of the socket: some 6500 closed connections */
#define READ_MAX     (1u << 16) /* messages of one call: new ones come while it reads */

struct diag_watch {
	int fd;
	struct diag_watch_stats stats;
	struct mmsghdr message[BATCH];
	struct iovec iov[BATCH];
	_Alignas(8) char bytes[BATCH][MESSAGE_SIZE];
};

/* Whether another process has seen to it. */
static bool has_room(int fd, int size)
{
	int has = 0;
	socklen_t len = sizeof(has);

	return getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &has, &len) == 0 && has >= size;
}

static int subscribe(int fd)
{
	static const int groups[] = {SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET_UDP_DESTROY,
		SKNLGRP_INET6_TCP_DESTROY, SKNLGRP_INET6_UDP_DESTROY};
	struct sockaddr_nl address = {.nl_family = AF_NETLINK};
	int size = BUFFER_SIZE;

	/* First of all: an unbound socket joins groups without an error and never hears of them. */
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 &&
		!has_room(fd, size) &&
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) < 0)
		return -errno;
	for (unsigned i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
			    sizeof(groups[i])) < 0)
			return -errno;
	}
	return 0;
}

int diag_watch_new(struct diag_watch **ret)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);

	return fd < 0 ? -errno : diag_watch_new_from(fd, ret);
}

int diag_watch_new_from(int fd, struct diag_watch **ret)
{
	struct diag_watch *w = calloc(1, sizeof(*w));
	int r;

	if (!w) {
		close(fd);
		return -ENOMEM;
	}
	w->fd = fd;
	r = subscribe(fd);
	if (r < 0) {
		diag_watch_free(w);
		return r;
	}
	for (unsigned i = 0; i < BATCH; i++) {
		w->iov[i] = (struct iovec){w->bytes[i], MESSAGE_SIZE};
		w->message[i].msg_hdr = (struct msghdr){.msg_iov = &w->iov[i], .msg_iovlen = 1};
	}
	*ret = w;
	return 0;
}

void diag_watch_free(struct diag_watch *w)
{
	if (!w)
		return;
	if (w->fd >= 0)
		close(w->fd);
	free(w);
}

const struct diag_watch_stats *diag_watch_stats(const struct diag_watch *w)
{
	return &w->stats;
}

static void take_in(
	struct diag_watch *w, const char *bytes, size_t len, diag_closed_fn fn, void *arg)
{
	struct diag_message m;
	size_t at = 0;
	int e;

	while (!(e = diag_next(bytes, len, &at, &m))) {
		if (m.kind != DIAG_SOCKET)
			continue;
		w->stats.closed++;
		fn(arg, &m.socket);
	}
	if (e == DIAG_E_MALFORMED)
		w->stats.malformed++;
}

int diag_watch_read(struct diag_watch *w, diag_closed_fn fn, void *arg)
{
	int result = 0;

	for (unsigned total = 0; total < READ_MAX;) {
		int n = recvmmsg(w->fd, w->message, BATCH, MSG_DONTWAIT, NULL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == ENOBUFS) {
			w->stats.overruns++;
			result = DIAG_WATCH_E_OVERRUN;
			continue; /* what was not lost is still to be read */
		}
		if (n < 0)
			return errno == EAGAIN ? result : -errno;
		for (int i = 0; i < n; i++)
			take_in(w, w->bytes[i], w->message[i].msg_len, fn, arg);
		total += (unsigned)n;
		if (n < (int)BATCH)
			return result;
	}
	return result;
}
