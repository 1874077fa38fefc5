/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens the perf events of the tap tier (shm/tap.h): who connects, sends, listens, executes. They
 * are set up here while capture may, and read by enrich, which needs no privilege for that.
 *
 * One ring buffer a CPU, mapped here for the life of the process, so that it goes on filling while
 * enrich restarts. Sources: perf_event_open(2), linux/perf_event.h, KERNEL's trace event filters.
 *
 * Threads: start-up; tap_send() from the loop. Blocks: reads tracefs. Logs: no.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "shm/tap.h"

struct tap_cpu {
	int fd[TAP_EVENTS]; /* -1 = not opened */
	uint64_t id[TAP_EVENTS];
	void *ring;
};

struct tap {
	struct tap_layout layout; /* live == 0: there is no tap */
	struct tap_cpu *cpu;      /* layout.cpus of them */
	size_t ring_size;         /* bytes mapped of each */
	int error;                /* -errno of what could not be opened; 0 = nothing, or off */
	char text[256];           /* for the log: what is live, and why the rest is not */
};

/*
 * Opens what @mode asks for and this kernel allows. Never fails: what is missing is said in
 * @ret->text. Free with tap_deinit().
 */
void tap_open(enum config_tap mode, struct tap *ret);
void tap_deinit(struct tap *t);

/* Sends layout and ring descriptors to a consumer (config/handover.h); nothing if not live. */
int tap_send(const struct tap *t, int peer_fd);
