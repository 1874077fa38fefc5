/* SPDX-License-Identifier: Apache-2.0 */
/*
 * enrich's event loop: attach to capture's ring, serve the ring to sink, run the pipeline, stop
 * well.
 *
 * Threads: one. Blocks: in poll(2). Logs: peers coming, going and misbehaving, losses, stop;
 * nothing per packet. Returns 0 after an orderly stop, else -errno.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "config/daemon.h"
#include "enrich/owner.h"
#include "enrich/pipeline.h"
#include "shm/ring.h"

struct loop_setup {
	struct daemon *daemon; /* its keeper's rings go to sink before ours */
	struct owners *owners; /* NULL offline */
	struct pipeline *pipeline;
	struct ring_producer *ring; /* to sink */
	uint64_t epoch;
	int signal_fd;
	int listen_fd; /* where sink asks for the ring */
	uid_t capture_uid;
	uid_t sink_uid;
	bool offline; /* end by itself after the last packet, wait for sink instead of dropping */
};

int loop_run(const struct loop_setup *setup);
