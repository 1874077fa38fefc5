/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of flowner-sink's loop share.
 *
 * Threads: one. Blocks: only loop.c's sleep, and as its writers do. Logs: see loop.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sink/loop.h"
#include "sink/reload.h"
#include "sink/source.h"
#include "sink/tail.h"
#include "sink/upkeep.h"

#define MS               UINT64_C(1000000)
#define LOOP_CONNECT_NS  (8 * MS) /* first pause between two tries */
#define LOOP_COMPLAIN_NS (10000 * MS)

struct loop {
	const struct loop_options *o;
	struct spool *spool;
	struct ledger *ledger;
	struct source source;
	struct tail tail;
	struct upkeep upkeep;
	uint64_t now_ns;

	uint64_t connect_ns, connect_step_ns; /* next try, pause after it */
	uint64_t sealed_pos;
	uint64_t flush_ns; /* when the next batch is due at the latest; 0 = nothing to write */
	uint64_t sync_ns;  /* when the next sync is due; 0 = nothing to sync */
	uint64_t look_ns;
	bool empty;     /* the ring was, when last read */
	bool ended;     /* the producer has said so */
	bool finishing; /* no more reading: write what there is and go */
	bool stopping;  /* asked by a signal */
	uint64_t stop_ns;
	uint64_t finish_ns; /* when a final write that cannot succeed is given up */
	bool final_sync, ending, given_up;
	int failed; /* exit status of a fatal error, 0 = none */

	uint64_t peer_quiet_ns;
	struct reload reload;

	struct known *known;
	struct losses_told told;
	struct record loss;
	_Alignas(8) char body[RING_BODY_MAX];
	bool narrow; /* the sandbox is as narrow as it gets */
};

/* loop-read.c: from enrich's socket and ring into the spool. */
void loop_connect(struct loop *l);
void loop_receive(struct loop *l);
/* Reads until the ring is empty, a batch is due or there is no room. */
void loop_read(struct loop *l);
/* Puts records of losses that are due; at the end of all. */
void loop_tell(struct loop *l);
/* Lets an orphan ring go that is drained and written. */
void loop_bury_orphan(struct loop *l);
/* Ends the batch. */
void loop_seal(struct loop *l);
/* Gives up: @status is the exit status. */
void loop_fail(struct loop *l, int status);

/* loop-write.c: out of the spool, the ring's tail behind it. */
void loop_write(struct loop *l);
/* Files are changed, removed and compressed between a batch and the next. */
void loop_keep_up(struct loop *l);

/* One line that says where and how an output writes. */
void loop_log_output(const struct output *o);

/* loop-reload.c: SIGHUP. */
void loop_reload(struct loop *l);
/* Takes over what was read once everything is written. */
void loop_reload_step(struct loop *l);
