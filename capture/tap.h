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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/online.h"
#include "config/config.h"
#include "shm/tap.h"

struct tap_cpu {
	int number;
	int fd[TAP_EVENTS]; /* -1 = not opened */
	int spare[TAP_FILTERED]
		 [TAP_SPARES]; /* of TAP_FIB, TAP_FIB6, TAP_STATE: asleep, without a filter */
	uint64_t id[TAP_IDS];
	void *ring;
};

struct tap_ports {
	unsigned n;
	bool all;                        /* closers: whatever the port */
	uint16_t port[TAP_FILTER_PORTS]; /* sorted */
};

/* Which of several events of one kind is recording (capture/tap-filter.c). */
struct tap_switch {
	unsigned at;                      /* 0 the one opened first, i + 1 the spare i */
	unsigned used;                    /* spares that have their filter */
	struct tap_ports set[TAP_SPARES]; /* and for which ports */
};

struct tap {
	struct tap_layout layout; /* live == 0: there is no tap */
	struct tap_cpu *cpu;      /* layout.cpus of them */
	size_t ring_size;         /* bytes mapped of each */
	enum config_tap mode;
	unsigned spares; /* of each kind, on every CPU */
	struct tap_switch senders, closers;
	struct online online; /* since it was started; of a live one */
	int error;            /* -errno of what could not be opened; 0 = nothing, or off */
	char text[256];       /* for the log: what is live, and why the rest is not */
};

/*
 * Opens what @mode asks for and this kernel allows. Never fails: what is missing is said in
 * @ret->text. Free with tap_deinit().
 */
void tap_open(enum config_tap mode, struct tap *ret);
/* Only opens: nothing is mapped, nor recorded. What tap_open() does beyond needs no privilege. */
void tap_open_only(enum config_tap mode, struct tap *ret);

/*
 * The same by two processes: one sends what tap_open_only() opened, which the other takes, by
 * message, to start it. -EPROTO: not what tap_give() sends.
 */
int tap_give(const struct tap *t, uint32_t netns_missed, int fd);
struct handover_message;
int tap_take(struct tap *t, struct handover_message *m);
/* After all of them. */
void tap_start(struct tap *t);
void tap_deinit(struct tap *t);

/* Sends layout and ring descriptors to a consumer (config/handover.h); nothing if not live. */
int tap_send(const struct tap *t, int peer_fd);
