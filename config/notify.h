/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readiness for a supervisor: sd_notify(3)'s datagrams to $NOTIFY_SOCKET, written from the
 * protocol's description there.
 *
 * Threads: one. Blocks: no. Logs: no. Errors: 1 sent; 0 no supervisor listens; -errno.
 */
#pragma once

/*
 * Remembers and unsets $NOTIFY_SOCKET and connects to it, so that later messages need neither a
 * path lookup nor privileges. Call before dropping privileges.
 */
int notify_open(void);
/* "READY=1", "STATUS=...", "STOPPING=1", "WATCHDOG=1". */
int notify_send(const char *state);
void notify_close(void);
