/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes over a configuration that was read again while outputs are open: which there are, their
 * rules and limits, and how often is written.
 *
 * First everything that can fail is done beside what runs: new outputs are opened, rules are
 * parsed. Then, with everything written that was read, it is exchanged. An output that is no longer
 * wanted gets its foot; between the last record before and the first one behind nothing is lost.
 *
 * Threads: one. Blocks: as output_open() and output_recover(). Logs: no. Errors: 0;
 * RELOAD_E_REFUSED with the complaint; -errno; after an error everything is as before.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "sink/spool.h"

enum { RELOAD_E_REFUSED = 1 };

struct reload {
	bool pending; /* prepared: the rest holds */
	bool again;   /* asked for meanwhile */
	struct config next;
	struct output fresh[CHECKPOINT_OUTPUTS];
	unsigned n_fresh;
	bool keep[CHECKPOINT_OUTPUTS]; /* by an output's place in the spool */
	struct rules rules[CHECKPOINT_OUTPUTS];
};

/*
 * Opens what @next adds and takes @next over; it is {0} then. @recover: also finds the place in new
 * files; else spool_recover() will. New outputs have plain writers: no io_uring can be set up any
 * more.
 */
int reload_prepare(struct reload *r, const struct spool *s, struct config *next,
	const struct format_context *ctx, bool recover, struct output_error *err);

/*
 * Exchanges outputs, rules and limits; everything is written. @recovered: outputs that go have
 * their place and get their foot. What is left of @r->next is the caller's to look at.
 */
void reload_commit(
	struct reload *r, struct spool *s, bool recovered, uint64_t now_ns, uint64_t real_ns);

/* Lets go of what is prepared. */
void reload_deinit(struct reload *r);
