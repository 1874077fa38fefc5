/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What enrich's lives owe each other: packets that a killed one had read, where it stood in
 * capture's ring, losses that are still to be told.
 *
 * Everything is counted with the next emit_commit().
 *
 * Threads: one. Blocks: as enrich/emit.h. Logs: no. Errors: 0, those of emit_loss().
 */
#pragma once

#include <stdint.h>

#include "enrich/emit.h"
#include "shm/ring.h"

/*
 * Packets that a killed run had read but not accounted for were in open flows: they are lost, and
 * this says so. (Those of a batch it did not commit are read again.)
 */
int books_settle(struct emit *e);

/*
 * Frames come from @ring from now on. What a killed run had read of it, and published what that led
 * to, is skipped. 1: packets are missing before it, which is told.
 */
int books_attach(struct emit *e, struct ring_consumer *ring);
/* Releases what was used and committed. */
void books_release(struct emit *e, struct ring_consumer *ring);

/* Tells of losses of other kinds than packets, between @since_ns and @now_ns. 1: there are any. */
int books_losses(struct emit *e, uint64_t since_ns, uint64_t now_ns);
