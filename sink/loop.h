/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowner-sink's loop: records from enrich's ring into every output, the ring's tail behind them.
 *
 * Threads: one. Blocks: in poll(2), and as its writers do. Logs: start, stop, failing and recovered
 * outputs, a peer that misbehaves.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "config/daemon.h"
#include "sink/spool.h"

#define LOOP_EXIT_OUTPUT_GONE 74 /* EX_IOERR: nobody reads any output any more */
#define LOOP_EXIT_AGAIN       75 /* EX_TEMPFAIL: what is missing, only a start can open */

struct loop_options {
	struct daemon *daemon;
	struct spool *spool;     /* its outputs are open */
	const char *socket_path; /* enrich's */
	const struct format_context *context;
	const struct sandbox *sandbox; /* entered; narrowed once outputs are recovered */
	uid_t uid;                     /* whom we run as */
	uid_t peer;                    /* whom enrich runs as */
	int signal_fd;                 /* daemon_signals() */
	bool offline;                  /* records come from a file */
	bool exit_at_end;              /* end when the producer has said that nothing follows */
};

/* Runs until SIGTERM or SIGINT, or the end; returns the exit status. */
int loop_run(const struct loop_options *options);
