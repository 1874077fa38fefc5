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

#include "shm/tap.h"

#define HANDOVER_FDS_MAX     64u
#define HANDOVER_PAYLOAD_MAX 8192u

enum handover_type {
	HANDOVER_RING = 1,     /* struct handover_ring; RING_FDS descriptors */
	HANDOVER_TAP = 2,      /* struct tap_layout (shm/tap.h); no descriptor */
	HANDOVER_TAP_CPUS = 3, /* struct tap_cpus; its `count` perf ring descriptors */
	HANDOVER_DONE = 4,     /* empty */
	HANDOVER_FILTER = 5,   /* struct tap_filter; no descriptor */
	HANDOVER_NETNS = 6,    /* struct handover_netns; HANDOVER_NETNS_FDS descriptors an entry */

	/* From a program that only opens to the same program without privileges, see opened.h. */
	HANDOVER_OPENED = 7,  /* struct handover_opened; no descriptor */
	HANDOVER_TAP_CPU = 8, /* struct handover_tap_cpu; a descriptor for each bit in `there` */
	HANDOVER_SOURCES = 9, /* struct handover_sources; HANDOVER_SOURCE_FDS an entry */
	HANDOVER_KERNEL =
		10, /* struct handover_kernel; HANDOVER_KERNEL_FDS, less if not `watched` */
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

/* What goes before the tap's events: which there are. */
struct handover_opened {
	struct tap_layout layout; /* live == 0: there is no tap */
	int32_t error;            /* struct tap */
	uint32_t mode;
	uint32_t spares;
	uint32_t netns_missed;
	uint32_t first_port; /* of the automatic ones */
	uint32_t reserved;
	char text[256];
};

/* The events of one CPU: bit n of `there` is the nth of TAP_IDS. */
struct handover_tap_cpu {
	uint32_t number;
	uint32_t there;
};

#define HANDOVER_SOURCES_A_MESSAGE 32u
#define HANDOVER_SOURCE_FDS        2u /* packet sockets, unbound: SOCK_RAW; SOCK_DGRAM */

struct handover_source {
	uint16_t netns; /* struct packet_head */
	uint16_t reserved[3];
	char name[16];   /* of the interface, or "any" */
	char space[200]; /* name of the network namespace, for messages; "" = our own */
};

struct handover_sources {
	uint32_t count; /* at least one */
	uint32_t reserved;
	struct handover_source entry[HANDOVER_SOURCES_A_MESSAGE];
};

/*
 * What enrich asks the kernel by, and what the start-up sweep saw, in this order: rtnetlink,
 * sock_diag, sock_diag for closed sockets, the sweep's file, and if `watched` the two sockets of
 * the process connector.
 */
#define HANDOVER_KERNEL_FDS 6u

struct handover_kernel {
	uint64_t netns;      /* inode of the network namespace they are in */
	uint64_t watched_ns; /* since when the connector tells, 0 = there is none */
	int32_t error;       /* why not */
	uint32_t first_port; /* of the automatic ones */
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
