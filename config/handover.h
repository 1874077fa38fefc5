/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passing descriptors from one of flowner's programs to the next: typed messages with SCM_RIGHTS
 * over a SOCK_SEQPACKET unix socket, both ends checked by SO_PEERCRED.
 *
 * The producer listens at PATH; a consumer connects, gets every message the producer has for it,
 * ending with HANDOVER_DONE, and keeps the connection: its end of file says that the peer is gone.
 * The one message the other way is HANDOVER_FILTER, from enrich to capture.
 * A message must have exactly the length and the number of descriptors its type demands, else the
 * connection is dropped.
 *
 * Threads: one. Blocks: no (every socket is non-blocking; -EAGAIN says poll again). Logs: no.
 * Errors: 0; -EAGAIN; -EPROTO unexpected message; -EACCES wrong peer; -ECONNRESET end of file;
 * -errno.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HANDOVER_FDS_MAX     64u
#define HANDOVER_PAYLOAD_MAX 8192u

enum handover_type {
	HANDOVER_RING = 1,     /* struct handover_ring; RING_FDS descriptors */
	HANDOVER_TAP = 2,      /* struct tap_layout (shm/tap.h); no descriptor */
	HANDOVER_TAP_CPUS = 3, /* struct tap_cpus; its `count` perf ring descriptors */
	HANDOVER_DONE = 4,     /* empty */
	HANDOVER_FILTER = 5,   /* struct tap_filter; no descriptor */
	HANDOVER_NETNS = 6,    /* struct handover_netns; HANDOVER_NETNS_FDS descriptors an entry */
};

struct handover_ring {
	uint64_t epoch;
	uint64_t data_size; /* bytes, what the consumer must find in segment A */
};

#define HANDOVER_NETNS_PATH_MAX  272u /* bytes, NUL included */
#define HANDOVER_NETNS_A_MESSAGE 16u
#define HANDOVER_NETNS_FDS       2u /* NETLINK_SOCK_DIAG; NETLINK_ROUTE with its groups */

/*
 * Another network namespace and how to ask in it. It is to be let go (both sockets closed, for they
 * keep it alive) as soon as it is only held by them: see handover_netns_alive().
 */
struct handover_netns_entry {
	uint64_t inode;
	uint32_t pid;      /* of a process in it, when it has no path */
	uint16_t captured; /* what packet_head.netns says of packets seen in it; 0 = none are */
	uint16_t reserved;
	char path[HANDOVER_NETNS_PATH_MAX]; /* where it is mounted; "" = nowhere */
};

struct handover_netns {
	uint32_t count; /* entries in use, at least one; the others are not looked at */
	uint32_t reserved;
	struct handover_netns_entry entry[HANDOVER_NETNS_A_MESSAGE];
};

/*
 * Whether the mount or the process that the namespace was found by is still there. Needs no
 * privilege.
 */
bool handover_netns_alive(const struct handover_netns_entry *e);

/*
 * Listens at @path (an old socket file there is replaced), mode 0600, owned by @peer_uid so that
 * only this user (and root) can connect. Without root that needs a folder that gives the socket to
 * the peer's group (mode 2755, its group that of @peer_uid): its mode is 0660 then. Returns the
 * listening descriptor in *ret.
 */
int handover_listen(const char *path, uid_t peer_uid, int *ret_fd);

/* Accepts one waiting peer; other users than @peer_uid are closed and reported as -EACCES. */
int handover_accept(int listen_fd, uid_t peer_uid, int *ret_fd);

/* Connects to @path; the listener must run as @peer_uid or have been root when it listened. */
int handover_connect(const char *path, uid_t peer_uid, int *ret_fd);

/* Sends one message. The descriptors stay the caller's. */
int handover_send(int fd, enum handover_type type, const void *payload, size_t len, const int *fds,
	size_t n_fds);

struct handover_message {
	enum handover_type type;
	size_t len;   /* payload bytes, checked against the type */
	size_t n_fds; /* checked against the type; all CLOEXEC, owned by the caller */
	int fds[HANDOVER_FDS_MAX];
	_Alignas(8) uint8_t payload[HANDOVER_PAYLOAD_MAX];
};

/* Receives one message. On any error no descriptor is left open. */
int handover_recv(int fd, struct handover_message *ret);
/* Closes the message's descriptors that the caller has not taken (set to -1). */
void handover_message_close(struct handover_message *m);
