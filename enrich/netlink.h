/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The length check of a netlink message. libmnl 1.0's mnl_nlmsg_ok() compares lengths as int, so
 * that one of 2 GiB and more passes.
 */
#pragma once

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>

/* Whether the message at @h lies within @left bytes. */
static inline bool netlink_ok(const struct nlmsghdr *h, size_t left)
{
	return left >= sizeof(*h) && h->nlmsg_len >= sizeof(*h) && h->nlmsg_len <= left;
}
