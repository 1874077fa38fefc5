/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings that outlive both of their ends: a supervisor holds their descriptors for us, and gives
 * them back to our next life.
 *
 * The protocol is systemd's: FDSTORE=1 and FDSTOREREMOVE=1 in sd_notify(3), $LISTEN_FDS and
 * $LISTEN_FDNAMES in sd_listen_fds(3), FileDescriptorStoreMax= in systemd.service(5). `flowner run`
 * speaks it, too. With a supervisor that does not, a ring dies with its second end.
 *
 * A producer stores its ring before it publishes anything. Its next life hands what is left of
 * older rings to the consumer, the oldest first, and then its own. Packet sockets are kept for what
 * they count.
 *
 * Threads: one. Blocks: keeper_save() and keeper_save_socket(), shortly, for a supervisor that is
 * busy. Logs: no. System calls once started: sendto(2) when a ring or a socket is done with,
 * close(2), munmap(2).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/orphan.h"
#include "shm/ring.h"

#define KEEPER_RINGS    16u /* the youngest are taken over; a supervisor holds 3 fds for each */
#define KEEPER_TRIES    10u /* hand-overs without progress until a ring is given up */
#define KEEPER_NAME_MAX 64u
#define KEEPER_SOCKETS  64u /* a descriptor each */

struct keeper {
	struct {
		struct orphan *ring;
		char name[KEEPER_NAME_MAX];
	} kept[KEEPER_RINGS + 1]; /* by epoch */
	size_t n;
	uint64_t tail; /* of the first, when it was handed over last */
	unsigned tries;
	uint64_t given_up; /* bytes in rings that nobody could read */
	int opened_fd;     /* what an opener has left for us (config/opened.h); -1 = nothing */
	struct {
		int fd;
		char name[KEEPER_NAME_MAX];
	} socket[KEEPER_SOCKETS]; /* of a life that did not forget them, so was killed */
	size_t n_sockets;
};

/*
 * Takes what $LISTEN_FDS offers (other descriptors there are left alone, but not passed on to
 * children) and unsets the variables. Call before dropping privileges.
 */
void keeper_open(struct keeper *k);
/* For journal_recover(): how far the producer of the kept ring of @epoch came. @arg: the keeper. */
bool keeper_head(const void *arg, uint64_t epoch, uint64_t *ret_head);
/* Lets go of rings that are empty. */
void keeper_tidy(struct keeper *k);
void keeper_deinit(struct keeper *k);

/* Asks the supervisor to hold our new ring. 1 asked; 0 no supervisor listens; -errno. */
int keeper_save(const int fds[RING_FDS], uint64_t epoch);

/* The same with a packet socket; and that it need no longer be held, while @fd is still open. */
int keeper_save_socket(int fd, uint64_t epoch);
void keeper_forget_socket(int fd, uint64_t epoch);
/* A killed life's are done with, here and at the supervisor. */
void keeper_close_sockets(struct keeper *k);

/*
 * For whoever has connected to us at @fd to read our ring: what is left in an older one comes
 * first. 1: the oldest of these was handed over; close @fd, the peer reads that ring to its end and
 * connects again. 0: there is none (rings that are done with are let go, also by the supervisor).
 * -errno.
 */
int keeper_hand_over(struct keeper *k, int fd);
