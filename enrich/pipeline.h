/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One frame from capture in, records out: decode, flow table, owners, emit.
 *
 * Owners that need a system call are asked for in batches: from the first such event on, events
 * wait in order (their flow's figures frozen) until pipeline_commit().
 *
 * Threads: one. Blocks: as enrich/emit.h and owners_settle(). Logs: no.
 * Errors: 0; PIPELINE_E_BAD_FRAME; -EPROTO the ring to sink is broken; -errno.
 */
#pragma once

#include <stdint.h>

#include "config/config.h"
#include "enrich/decode.h"
#include "enrich/emit.h"
#include "enrich/flow.h"
#include "enrich/owner.h"
#include "shm/ledger.h"
#include "shm/packet.h"
#include "shm/ring.h"

enum {
	PIPELINE_E_BAD_FRAME = 1, /* a frame capture would never write: drop that ring */
};

struct pipeline;

/* @owners is NULL for packets from a file. @epoch names this run of enrich. All are borrowed. */
int pipeline_new(const struct config *config, struct ledger *ledger, struct owners *owners,
	struct ring_producer *ring, uint64_t epoch, struct pipeline **ret);
void pipeline_free(struct pipeline *p);

/*
 * Takes timeouts, and whether packets are wanted, from a configuration that was read again; between
 * batches. Timeouts that are or would be 0 stay. -ENOMEM: packets stay out.
 */
int pipeline_reconfigure(struct pipeline *p, const struct config *config);

/*
 * Frames come from @ring from now on. What a killed run had read of it, and published what that led
 * to, is skipped.
 */
void pipeline_attach(struct pipeline *p, struct ring_consumer *ring);
/* Releases what was fed and committed. */
void pipeline_release(struct pipeline *p, struct ring_consumer *ring);

/* Only records of the command's process tree are wanted. */
void pipeline_only_tree(struct pipeline *p);

/* A frame, and what can be known of a packet before its turn. */
struct pipeline_seen {
	struct ring_frame frame;
	const uint8_t *body; /* the caller's, valid until it was fed */
	/* Filled in by pipeline_foresee(). */
	bool impossible;
	enum decode_result result;
	struct packet_head head;
	struct decoded decoded;
	struct flow_place place;
};

/* Looks at a frame whose turn comes a few frames later; changes nothing. */
void pipeline_foresee(const struct pipeline *p, struct pipeline_seen *s);
/* Feeds one PACKET, LOSS, TIME or END frame that was foreseen. */
int pipeline_feed(struct pipeline *p, const struct pipeline_seen *s);
/* Both. */
int pipeline_frame(struct pipeline *p, const struct ring_frame *frame, const void *body);

/*
 * Ends a batch: settles waiting owners, emits what waited, publishes it, frees ended flows. With
 * @more to come at once, questions that no record waits for yet are left for then: most of the
 * connections are over by that time, and their ends need not be looked for.
 */
int pipeline_commit(struct pipeline *p, bool more);

/* Fires what is due at @now_ns when no packet came. */
int pipeline_expire(struct pipeline *p, uint64_t now_ns);
/* When that will be, UINT64_MAX = nothing is waiting. */
uint64_t pipeline_next_ns(const struct pipeline *p);

/*
 * Looks how much traffic there was and asks the kernel about connections that may have moved much
 * of it. Returns in how many ns to do so again. Not for packets from a file.
 */
uint64_t pipeline_watch(struct pipeline *p, uint64_t now_ns);

/* Ends all flows (FORCED) and emits them, waiting for a slow sink as long as it makes progress. */
int pipeline_finish(struct pipeline *p, uint64_t now_ns);

/*
 * Tells sink, in-band, of what was lost beside packets since it was last told, also by a run before
 * that was killed: perf records, netlink messages, entries of full tables.
 */
int pipeline_losses(struct pipeline *p, uint64_t now_ns);

/*
 * How long a full ring to sink is waited for without progress (0 = drop and count at once), and
 * what to do for a millisecond meanwhile: @wait sleeps and lets sink attach.
 */
void pipeline_set_patience(
	struct pipeline *p, uint64_t patience_ns, void (*wait)(void *arg), void *wait_arg);

/* Time of the newest packet so far. */
uint64_t pipeline_last_ns(const struct pipeline *p);
