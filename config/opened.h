/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What takes privileges is opened by a short process of its own, `PROGRAM --open NETNS`, and kept
 * by the service manager for the program that runs: that one never has a privilege.
 *
 * The opener sends typed messages (config/handover.h) into a socket pair and stores the end to read
 * from (systemd's FDSTORE protocol); they wait there, descriptors and all. The program finds that
 * end among $LISTEN_FDS, by the name "opened".
 *
 * Threads: one. Blocks: opened_store(), until the manager has it. Logs: no. Errors: 0, -errno.
 */
#pragma once

#define OPENED_NAME "opened"

/*
 * Goes into the network namespace @path, for the opener of a service with PrivateNetwork= is in the
 * service's.
 */
int opened_enter(const char *path);

/* ret_fds[0] is to be stored and read from; what is sent into ret_fds[1] waits. */
int opened_new(int ret_fds[2]);

/*
 * Gives @fd to the service manager in place of what an earlier opener gave. -ENOTCONN: there is
 * none that keeps descriptors.
 */
int opened_store(int fd);
