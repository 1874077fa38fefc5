/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns flow events into records on the ring to sink, and keeps the books: every packet a flow
 * counted leaves in exactly one record, published, filtered or lost.
 *
 * Threads: one. Blocks: only with patience set (offline input and the final flush), in sleeps of a
 * millisecond. Logs: no. Errors: 0, -EPROTO (the ring's consumer is hostile: make a new ring),
 * -errno.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "enrich/aggregate.h"
#include "enrich/flow.h"
#include "enrich/owner.h"
#include "shm/ledger.h"
#include "shm/ring.h"

#define EMIT_WAIT_NS 1000000 /* one sleep while waiting for room */

struct emit {
	struct ring_producer *ring; /* borrowed */
	uint64_t ring_size;         /* its data area, bytes */
	struct ledger *ledger;      /* borrowed */
	struct owners *owners;      /* borrowed; NULL offline */
	uint64_t epoch;
	uint64_t batch_last_ns;  /* latest event time, the frame time of loss records */
	uint64_t patience_ns;    /* how long a full ring is waited for without progress; 0 = drop */
	void (*wait)(void *arg); /* with patience: sleeps EMIT_WAIT_NS, serving sink meanwhile */
	void *wait_arg;
	bool only_tree;
	bool all_packets;            /* of TCP and SCTP, too, all headers are captured */
	struct aggregate *aggregate; /* borrowed; NULL = every end is a record */
	uint64_t (*open)(void *arg); /* packets of open flows just now; NULL = nobody counts them */
	void *open_arg;
	struct ledger_place from; /* of capture's ring: what is read up to here is in the books */
	uint64_t add[LEDGER_ENRICH_N]; /* since the last commit: emit_count() */
	struct record record;          /* scratch */
};

/*
 * Puts one record for @event of @view (the flow as it was then) with the owners of @live; it covers
 * the packets since the flow's last record, so flow_reported() comes next. Visible to sink after
 * emit_commit().
 */
int emit_flow(struct emit *e, const struct flow *view, const struct flow *live,
	enum flow_event event, uint64_t t_ns);

/* One packet as it was captured. */
struct emit_packet {
	const uint8_t *bytes;
	uint32_t caplen, len; /* captured, on the wire */
	uint16_t dlt;
	enum flow_side sender;
};

/*
 * Puts one packet of @view with the owners of @live. It is beside the books: the packet was or will
 * be covered by a record of emit_flow().
 */
int emit_packet(struct emit *e, const struct flow *view, const struct flow *live,
	const struct emit_packet *packet, uint64_t t_ns);

/* Puts a record as it is: what the aggregate of this emit (@arg) is done with. */
int emit_put(void *arg, struct record *r, uint64_t t_ns);

/* Passes a counted loss on, in-band. */
int emit_loss(struct emit *e, const struct ring_loss *loss, uint64_t t_ns);

/* Adds to a counter with the next commit; only counters that emit.c's table of them names. */
static inline void emit_count(struct emit *e, enum ledger_enrich counter, uint64_t n)
{
	e->add[counter] += n;
}

/*
 * Publishes what was put, counts it and writes down where capture's ring goes on, all or nothing
 * over SIGKILL (shm/journal.h). For a reader of the ledger packets go from open flows to where they
 * belong in one step, too.
 */
int emit_commit(struct emit *e);
