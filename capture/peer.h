/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one consumer of capture's ring: accepted, given ring and tap, heard, and watched until it
 * goes.
 *
 * A consumer that connects takes the place of the one before: its own earlier life, most often.
 * Threads: one. Blocks: no. Logs: no.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "capture/netns.h"
#include "capture/tap.h"
#include "config/keeper.h"
#include "shm/ring.h"

struct peer {
	int listen_fd;
	int fd; /* -1 = nobody is connected */
	uid_t uid;
};

/* What a consumer is given. */
struct peer_gift {
	struct ring_producer *ring;
	uint64_t epoch;
	uint64_t data_size; /* bytes */
	struct tap *tap;
	const struct netns *netns;
	struct keeper *keeper; /* rings of an earlier life, which come first */
};

int peer_listen(struct peer *p, const char *path, uid_t uid);
void peer_deinit(struct peer *p);

/*
 * Accepts one and sends it everything. 0; -EACCES wrong user; -EAGAIN nobody there; -errno;
 * PEER_E_OLDER: it got what is left of an earlier ring, and will come again.
 */
enum { PEER_E_OLDER = 3 };
int peer_accept(struct peer *p, const struct peer_gift *gift);

/*
 * To be called when its descriptor is readable. A consumer may say one thing: what the tap is to
 * record (HANDOVER_FILTER); that is done, or left as it was. 0 still there; positive: it is
 * disconnected.
 */
enum { PEER_E_GONE = 1, PEER_E_TALKS = 2 /* said anything else */ };
int peer_check(struct peer *p, struct tap *tap);
