/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readiness for a supervisor: sd_notify(3)'s datagrams to $NOTIFY_SOCKET, written from the
 * protocol's description there.
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
void notify_close(void);
