/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is left of TCP connections for a few seconds after their end, so that stragglers are known
 * as such: a bounded first-in first-out of small entries with a hash index.
 *
 * Threads: one. Blocks: no. Logs: no. Errors: 0, -errno.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "enrich/flow-slots.h"

struct flow_linger_entry {
	struct flow_id id;
	uint64_t until_ns;
	uint32_t hash;
	uint32_t ifindex[2]; /* where the first, second endpoint of `id` was seen */
	uint32_t isn[2];     /* their initial sequence numbers */
	bool has_isn[2];
	bool gone; /* forgotten out of order; its place is freed in order */
};

struct flow_linger {
	struct flow_slots slots;
	struct flow_linger_entry *entry; /* a ring: from the place of the oldest on */
	uint32_t size;     /* of the part in use: a ring goes through all it has, needed or not */
	uint32_t size_max; /* of all there is */
	uint32_t oldest;
	uint32_t count;
	uint64_t evicted;
};

/* At most @n entries. */
int flow_linger_init(struct flow_linger *l, uint64_t n);
void flow_linger_deinit(struct flow_linger *l);
/* Copies @e; until_ns never decreases from one to the next. A full ring forgets its oldest. */
void flow_linger_add(struct flow_linger *l, const struct flow_linger_entry *e);
/* NULL = none, or over at @now_ns. Valid until the next call of this module. */
struct flow_linger_entry *flow_linger_find(
	struct flow_linger *l, const struct flow_id *id, uint32_t hash, uint64_t now_ns);
void flow_linger_forget(struct flow_linger *l, struct flow_linger_entry *e);
void flow_linger_expire(struct flow_linger *l, uint64_t now_ns);
