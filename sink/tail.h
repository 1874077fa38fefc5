/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring's tail, the checkpoint beside it and the ledger, kept in step with what is written.
 *
 * Threads: one. Blocks: as output_recover(). Logs: no.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "shm/ledger.h"
#include "shm/ring.h"
#include "sink/spool.h"

struct tail {
	struct spool *spool;
	struct ledger *ledger;
	uint64_t released; /* == the attached ring's tail */
	bool recovered;    /* the files' places have been found */
};

/*
 * Takes over a ring just attached. The first time the place in every file is found, with the
 * checkpoint in @ring where there is one (*ret_resumed), and the ledger goes back to what belongs
 * to it. -errno of output_recover(), *ret_bad says for which output.
 */
int tail_attach(struct tail *t, struct ring_consumer *ring, bool *ret_resumed,
	const struct output **ret_bad);

/* Other files, the same tail: the checkpoint follows. */
void tail_mark(struct tail *t, struct ring_consumer *ring);

/*
 * Everything up to spool.done is in the files: counters and places go into the checkpoint, the
 * ledger follows by @counts, then the tail moves. Killed in between, a successor finds the ledger's
 * values in the checkpoint.
 */
void tail_release(
	struct tail *t, struct ring_consumer *ring, const uint64_t counts[SPOOL_COUNTERS]);
