/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the programs of the truth harness say about themselves: one line in one write(2) on standard
 * output, which is a file opened for appending by all of them.
 *
 *	KIND PROTO LOCAL LPORT REMOTE RPORT PID INNER UID T0 T1 NOTE
 *
 * KIND: "conn" a client's, "acc" a server's. PID in the pid namespace of the mounted /proc, INNER
 *in the process's own; T0..T1 CLOCK_REALTIME ns around the call. NOTE: one word or "-".
 *
 * Threads: any. Blocks: no. Logs: no. Errors: report_die() ends the program.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct report {
	const char *kind;
	const char *proto;
	union address local;
	union address remote;
	uint64_t t0, t1;
	char note[32];
};

void report_die(const char *what) __attribute__((noreturn));
uint64_t report_now_ns(void);
/* "127.0.0.1", "::1", "::ffff:127.0.0.1"; returns the address's length. */
socklen_t report_address(const char *text, const char *port, union address *ret);
socklen_t report_length(const union address *a);
/* Fills in both ends from the socket, as far as it has them. */
void report_ends(int fd, struct report *r);
/* Passes @fd on over the unix socket @channel, and closes it. */
void report_pass(int channel, int fd);
/* One that was passed on; -1 = the other end is gone. */
int report_receive(int channel);
/* With @foreign the pid is looked up in /proc: for processes in another pid namespace. */
void report_write(const struct report *r, bool foreign);
