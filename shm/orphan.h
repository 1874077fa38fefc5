/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring whose producer has died, as the producer's next life sees it: three descriptors, and how
 * much is left in it for a consumer.
 *
 * Only the two index pages are mapped, read-only; after orphan_new() no system call is made.
 * Threads: one. Blocks: no. Logs: no. Errors: 0, -errno; -EPROTO = not a ring of ours.
 */
#pragma once

#include <stdint.h>

#include "shm/ring.h"

struct orphan;

/* Takes ownership of @fds (in the order of ring_producer_fds()) on success only. */
int orphan_new(const int fds[RING_FDS], struct orphan **ret);
void orphan_free(struct orphan *o);

/* Bytes that no consumer has released yet; 0 also if an index is impossible. */
uint64_t orphan_waiting(const struct orphan *o);
/* The consumer's index: it moves while somebody reads. */
uint64_t orphan_tail(const struct orphan *o);
/* How far its producer came with publishing. */
uint64_t orphan_head(const struct orphan *o);
uint64_t orphan_epoch(const struct orphan *o);
uint64_t orphan_size(const struct orphan *o);
/* Borrowed. */
const int *orphan_fds(const struct orphan *o);
