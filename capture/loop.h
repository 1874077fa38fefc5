/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capture's loop: packets from the sources into the ring, a batch at a time, counted.
 *
 * Live sources are never waited for: a full ring loses packets, counted and told in-band. A file is
 * read only as fast as the ring is emptied, and loses nothing.
 *
 * Threads: one. Blocks: in poll(). Logs: a lost interface, losses (at most one line in ten
 * seconds), a misbehaving consumer, and totals at the end; nothing per packet.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/missing.h"
#include "capture/peer.h"
#include "capture/source.h"
#include "config/daemon.h"

#define LOOP_SOURCES_MAX 64u

struct loop {
	struct daemon *daemon;
	struct source *source[LOOP_SOURCES_MAX];
	size_t n_sources;
	struct missing missing[LOOP_SOURCES_MAX];
	size_t n_missing;
	bool file;
	bool urgent;  /* packets are not gathered: enrich has only them to learn owners in time */
	bool again;   /* an earlier life has opened the sources: some may be gone for now */
	bool waiting; /* they all are, and it was told */
	struct netns *netns;
	struct peer *peer;
	struct peer_gift gift;
	int signal_fd;
	uint64_t interval_ns;  /* how often counters are read */
	uint64_t batch_ns;     /* batch timeout of the live sources */
	uint64_t left_dropped; /* by the kernel, for a killed life; its matches are counted */
};

/* Runs until a signal or the end of the file. 0, or a negative errno that was logged; -ESTALE: to
 * be started again, in good order. */
int loop_run(struct loop *l);
