/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the three daemons do alike before their loop: command line, configuration, signals, runtime
 * directory, ledger, readiness.
 *
 * Common options: -c FILE, --set KEY=VALUE, --runtime-dir DIR, -t/--check-config, --print-config,
 * --examine, --debug, -h/--help, -V/--version; each program adds its own.
 *
 * Threads: one. Blocks: start-up only. Logs: the line that says why it gives up.
 */
#pragma once

#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "config/config.h"
#include "config/keeper.h"
#include "config/sandbox.h"
#include "shm/ledger.h"

#define DAEMON_RUNTIME_DIR "/run/flowner"

/* A program's own long options, beside the common ones. */
struct daemon_option {
	const char *name; /* long name */
	char letter;      /* short form or 0 */
	const char *arg;  /* placeholder for help, NULL = no argument */
	const char *help;
};

struct daemon {
	const char *name; /* "flowner-capture" */
	enum ledger_program program;
	struct config config;
	const char *runtime_dir; /* holds capture/, enrich/, sink/ */
	struct ledger ledger;
	bool ledger_open;
	bool examine;         /* only look at this machine: no ledger, no supervisor */
	const char *opens;    /* only open what takes privileges, in this network namespace
				 (config/opened.h): no ledger; NULL = run */
	struct keeper keeper; /* rings of an earlier life */
	const struct config_checks *checks; /* for config_load(), NULL = none */
	const char *file;                   /* of the command line: -c, NULL: the default */
	const char **set;                   /* and --set, n_set of them */
	size_t n_set;
};

/*
 * Parses the command line into @d, loads the configuration, opens RUNTIME_DIR/PROGRAM/ledger, and
 * connects to the supervisor. Own options go to @own(arg, name, value), which returns 0 or -EINVAL
 * after logging why. Returns -1 to go on, else the exit status to end with (0 help and the like,
 * 64 command line, 78 configuration, 1 other). With --examine (d->examine) nothing but the
 * configuration is read, so that an instance that runs is not disturbed. An own option may set
 * d->opens, which leaves out the ledger and what a supervisor holds.
 */
int daemon_start(struct daemon *d, int argc, char **argv, const struct daemon_option *options,
	int (*own)(void *arg, const char *name, const char *value), void *arg);
void daemon_deinit(struct daemon *d);

/*
 * Reads the configuration from the same sources again into @ret, to be freed with config_deinit()
 * also after an error. 0, or the exit status after logging what is wrong.
 */
int daemon_reload(const struct daemon *d, struct config *ret);

/* Has the supervisor keep our new @ring, so that it outlives us and its consumer. */
void daemon_keep_ring(const struct ring_producer *ring, uint64_t epoch);

/*
 * The values of the keys @live (NULL at the end) in @next become ours, and ours @next's. Each other
 * key that concerns this program and has changed is named in a warning: it needs a restart.
 */
void daemon_take_over(struct daemon *d, struct config *next, const char *const *live);

/* RUNTIME_DIR/@program/@file into @ret (size bytes); -ENAMETOOLONG. */
int daemon_path(
	const struct daemon *d, const char *program, const char *file, char *ret, size_t size);

/*
 * Whom this program runs as once it has dropped its privileges, and whom its neighbour @peer runs
 * as, by their keys in the configuration. Without root nobody can change users: this program stays
 * who it is, and unless that is its own configured user (a service with users of their own), its
 * neighbours are the same. 0; CONFIG_EXIT after logging which key is wrong.
 */
int daemon_own_user(const struct daemon *d, uid_t *ret_uid, gid_t *ret_gid);
int daemon_peer_user(const struct daemon *d, enum ledger_program peer, uid_t *ret_uid);

/*
 * The last step of a start: no more than @s from here on, and the log line that says what this
 * process holds. 0 or the exit status, logged.
 */
int daemon_confine(const struct sandbox *s);

/*
 * Blocks SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 and returns a signalfd for them; ignores
 * SIGPIPE. An error is logged. read_signal returns the next signal number or 0.
 */
int daemon_signals(int *ret_fd);
int daemon_read_signal(int fd);

/*
 * Logs every counter that is not zero, as "ledger: NAME=VALUE ..." in one line or a few; also when
 * FLOWNER_LOG_MAX leaves out information.
 */
void daemon_dump(const struct daemon *d);

/* poll(2) by ppoll(2), which needs no second system call to go on after a stop. */
int daemon_poll(struct pollfd *fds, nfds_t n, int timeout_ms);

/*
 * CLOCK_REALTIME and CLOCK_MONOTONIC in ns. After daemon_use_coarse_clock() as of the last tick of
 * the kernel's timer (up to 10 ms ago), which never takes a system call, whatever keeps the time.
 * False: this machine has no such clock in its vDSO, and the exact ones stay.
 */
bool daemon_use_coarse_clock(void);
uint64_t daemon_realtime_ns(void);
uint64_t daemon_monotonic_ns(void);
