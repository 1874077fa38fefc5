/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readiness and signs of life for a supervisor: sd_notify(3)'s datagrams to $NOTIFY_SOCKET, written
 * from the protocol's description there; or for s6, readiness alone, as a line to the descriptor
 * that $NOTIFY_FD names.
 *
 * Threads: one. Blocks: only where it says so. Logs: no. Errors: 1 sent; 0 no supervisor listens;
 * -errno.
 */
#pragma once

#include <stddef.h>

/*
 * Remembers and unsets $NOTIFY_SOCKET and connects to it, so that later messages need neither a
 * path lookup nor privileges. Call before dropping privileges.
 */
int notify_open(void);
/* "READY=1", "STATUS=...", "STOPPING=1", "WATCHDOG=1". */
int notify_send(const char *state);
/*
 * The same with at most 8 descriptors, which stay the caller's. Waits half a second for a
 * supervisor that has too many messages unread.
 */
int notify_send_fds(const char *state, const int *fds, size_t n);
/* Waits until all that was sent has been taken in. 0, -ETIMEDOUT, -errno. */
int notify_barrier(int timeout_ms);
/*
 * For a loop, before it waits for @timeout_ms (-1 = for ever): says that we live if $WATCHDOG_USEC
 * wants to hear it and half of that time has passed. Returns how long to wait at most so that the
 * next word is in time.
 */
int notify_alive(int timeout_ms);
void notify_close(void);
