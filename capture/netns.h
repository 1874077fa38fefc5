/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other network namespaces of this host, with a socket in each by which enrich asks about its
 * sockets and one for its addresses. Opened while capture may, as packet sockets are.
 *
 * A socket keeps its namespace alive. So that nobody's `ip netns del` is held up, netns_tidy()
 * closes those whose name, or the process they were found by, is gone.
 *
 * Threads: start-up only (the calling thread changes its namespace and comes back), but
 * netns_send(), netns_tidy(), netns_exists() from the loop. Blocks: reads /proc. Logs: no. Errors:
 * 0, -errno.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/handover.h"

#define NETNS_MAX 256u

#define NETNS_PIDS 32u

struct netns_place {
	struct handover_netns_entry entry;
	uint32_t n_more, more[NETNS_PIDS]; /* other processes in it, when it has no path */
	int fds[HANDOVER_NETNS_FDS];       /* sock_diag, rtnetlink */
};

struct netns {
	int own_fd;
	uint64_t own_inode, own_device;
	bool away; /* in another namespace now */
	size_t n;
	size_t missed; /* found, but more than NETNS_MAX or not to be opened */
	struct netns_place *place;
};

/*
 * Nothing is searched yet. Without network namespaces or /proc there is only ours: netns_find()
 * finds none, netns_enter() fails. -ENOMEM.
 */
int netns_init(struct netns *s);
void netns_deinit(struct netns *s);

/*
 * Goes into the namespace @name (under /run/netns) or the path @name, to capture there; "self" is
 * our own. *ret_number: what packet_head.netns shall say, 0 = it is our own. Its sockets are
 * opened too. Go back with netns_leave(), also after an error. -EINVAL: not a namespace.
 */
int netns_enter(struct netns *s, const char *name, uint16_t *ret_number);
/* An interface's index in the namespace of the socket @fd; 0 = there is none. Returns 0, -errno. */
int netns_ifindex(int fd, const char *name, uint32_t *ret_index);

/* Whether netns_enter() would find it; false also where we may not look. Needs no privilege. */
bool netns_exists(const struct netns *s, const char *name);
/* A socket in the one that netns_enter() gave this number; -1 = there is none any more. */
int netns_socket(const struct netns *s, uint16_t number);

/* 0 also when we are at home. */
int netns_leave(struct netns *s);

/*
 * Finds all others: by name first, then by process. What cannot be opened is counted. Go back with
 * netns_leave().
 */
void netns_find(struct netns *s);

/* Sends them to a consumer; nothing if there are none. */
int netns_send(const struct netns *s, int peer_fd);

/* Takes what netns_send() of another process sent. -EPROTO, -ENOSPC. */
int netns_take(struct netns *s, struct handover_message *m);

/*
 * Lets go of those that nothing but our sockets holds any more. True: one of them was captured in;
 * *ret_number says which, call again.
 */
bool netns_tidy(struct netns *s, uint16_t *ret_number);
