/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the benchmark's observers share: each is one way people have tried to tell which process
 * made a connection, told as one line a sighting.
 *
 * Threads: one. Blocks: yes, in observe_wait(). Logs: errors, to standard error, then exits: these
 * are programs of a benchmark, not parts of flowner.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct observe_options {
	const char *iface;
	uint16_t port;      /* server's port: the only one that is looked at */
	unsigned period_ms; /* of the polling ones; 0 = no pause */
	uint16_t group;     /* of nflog */
};

/* Each runs until observe_wait() says so. */
void connector_run(const struct observe_options *o);
void poll_run(const struct observe_options *o);
void nflog_run(const struct observe_options *o);
void walk_run(const struct observe_options *o);
void diag_run(const struct observe_options *o);
void packets_run(const struct observe_options *o);

/* Says that the observer is attached; from now on it misses nothing it could have seen. */
void observe_ready(void);
/* Waits until @fd (-1: none) can be read or @timeout_ms (-1: for ever) passed. False: time to end.
 */
bool observe_wait(int fd, int timeout_ms);
/* One sighting "t_ns proto local_port pid"; with @pid 0 and a @uid "... uid:UID". */
void observe_report(uint64_t t_ns, uint8_t proto, uint16_t local_port, pid_t pid, uid_t uid);
uint64_t observe_now_ns(void); /* CLOCK_REALTIME, as packets are stamped */
void observe_die(const char *what) __attribute__((noreturn));
