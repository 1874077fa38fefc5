/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wake-up between two processes that do not trust each other: a pair of UNIX datagram sockets.
 *
 * Why no eventfd and no pipe: O_NONBLOCK belongs to the open file description, which both processes
 * share. A hostile peer clears it, fills the eventfd, and the other one's next write(2) sleeps for
 * ever (measured). MSG_DONTWAIT belongs to the call: nothing the peer does to its end or to a
 * shared end can make these functions block.
 *
 * System calls at run time: sendto (ring), recvfrom (drain). Threads: any. Blocks: never. Logs: no.
 */
#pragma once

#include <stdbool.h>

/* Both descriptors are CLOEXEC. The owner keeps the two; the sleeper gets a duplicate of *ret_poll.
 */
int doorbell_new(int *ret_ring, int *ret_poll);

/* Makes the other end readable. False if it was so already, or the peer has broken it. */
bool doorbell_ring(int fd);

/* Takes away one ring: two before a sleep are rare, and then the next sleep ends at once. */
void doorbell_drain(int fd);

/* 0 if @fd, received from a peer, is a UNIX datagram socket; else -EPROTO. */
int doorbell_check(int fd);
