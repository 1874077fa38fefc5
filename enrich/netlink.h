/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libmnl does not do as needed here: the length check of a message (libmnl 1.0's
 * mnl_nlmsg_ok() compares lengths as int, so that one of 2 GiB and more passes), and sending and
 * receiving by sendmsg(2) and recvmsg(2), which the sandbox allows already for the hand-over.
 */
#pragma once

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Whether the message at @h lies within @left bytes. */
static inline bool netlink_ok(const struct nlmsghdr *h, size_t left)
{
	return left >= sizeof(*h) && h->nlmsg_len >= sizeof(*h) && h->nlmsg_len <= left;
}

/* Whether @fd is a netlink socket: of another one nothing tells who has sent what it has. */
bool netlink_is(int fd);
/* A socket subscribed to @groups (RTMGRP_*), or -errno. */
int netlink_open(int protocol, uint32_t groups);

/* To the kernel. Bytes, or -1 and errno. */
static inline ssize_t netlink_send(int fd, const void *buf, size_t len)
{
	struct sockaddr_nl to = {.nl_family = AF_NETLINK};
	struct iovec iov = {.iov_base = (void *)buf, .iov_len = len};
	const struct msghdr m = {
		.msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &iov, .msg_iovlen = 1};

	return sendmsg(fd, &m, 0);
}

/* One datagram; @ret_from may be NULL. Bytes, or -1 and errno. */
static inline ssize_t netlink_recv(
	int fd, void *buf, size_t size, int flags, struct sockaddr_nl *ret_from)
{
	struct iovec iov = {.iov_base = buf, .iov_len = size};
	struct msghdr m = {.msg_name = ret_from,
		.msg_namelen = ret_from ? sizeof(*ret_from) : 0,
		.msg_iov = &iov,
		.msg_iovlen = 1};
	ssize_t n = recvmsg(fd, &m, flags);

	if (n >= 0 && ret_from && m.msg_namelen != sizeof(*ret_from))
		ret_from->nl_pid = UINT32_MAX; /* nobody's that we would believe */
	return n;
}

#define NETLINK_FOREIGN_MAX 256u

/*
 * One datagram of the kernel's: > 0 bytes, or -errno. Who has CAP_NET_ADMIN in the socket's
 * namespace, a container's root for instance, can send to it as well: that is dropped, and after
 * NETLINK_FOREIGN_MAX such ones in a row it is -EBADMSG.
 */
ssize_t netlink_take(int fd, void *buf, size_t size, int flags);
