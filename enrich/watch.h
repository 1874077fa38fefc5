/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings the kernel's own figures to the flow table: looks how much traffic the interfaces carry,
 * and asks about connections that may have moved so much of it that sequence numbers no longer tell
 * their bytes (flow_table_on_figures()).
 *
 * Threads: one. Blocks: no; a few system calls a look, WATCH_BUDGET connections a second at most.
 * Logs: no. Never fails: a figure that is not to be had is left out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "enrich/flow.h"
#include "enrich/owner.h"
#include "shm/ledger.h"

#define WATCH_BUDGET 1000u /* connections asked about in a second */

struct watch {
	struct ledger *ledger; /* these three: borrowed */
	struct owners *owners;
	struct flow_table *flows;
	bool hears_closed;           /* the kernel tells the figures of closed sockets */
	uint64_t traffic, looked_ns; /* the latest look at the interfaces, steady time */
	uint64_t refill_ns;
	unsigned budget;
	size_t interfaces;
};

/* A flow_figures_fn's work. */
bool watch_figures(struct watch *w, struct flow *f, bool ended, struct flow_figures *ret);

/* Looks, and asks about what is due. Returns in how many ns to do so again. */
uint64_t watch_look(struct watch *w, uint64_t now_ns);
