/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What /proc tells of sockets: /proc/net names inodes, /proc/PID/fd who holds them.
 *
 * Threads: one. Blocks: for as long as /proc takes. Errors: what cannot be read is left out.
 */
#pragma once

#include "bench/methods/observe.h"

struct proc_socket {
	uint8_t proto;
	uint16_t local_port, remote_port;
	unsigned long inode; /* 0: no process holds it */
};

/* Called with each socket; true ends the walk. */
typedef bool (*procs_socket_fn)(const struct proc_socket *s, void *userdata);
/* Called with each descriptor that is a socket; true ends the walk. */
typedef bool (*procs_fd_fn)(pid_t pid, unsigned long inode, void *userdata);

/* Goes through /proc/net/@file ("tcp", "tcp6", "udp", "udp6"): sockets connected to @remote_port.
 */
void procs_each_socket(const char *file, uint16_t remote_port, procs_socket_fn fn, void *userdata);
/* Goes through the sockets of one process. True: @fn ended it. */
bool procs_each_fd(pid_t pid, procs_fd_fn fn, void *userdata);
/* Goes through the sockets of all processes, youngest first. */
void procs_each(procs_fd_fn fn, void *userdata);
/* The process that holds a socket; 0: none found. Looks at the last one found first. */
pid_t procs_owner(unsigned long inode);
