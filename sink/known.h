/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes met before: most records are of a process that had others a moment ago, and its part of
 * the record is then the same bytes. They are found here by exactly these bytes, so that nothing
 * ever has to be taken back: what was checked and what was written of them holds again.
 *
 * Not part of the bytes: where the strings lie in the string area, as long as they lie together,
 * and by how much latency_ns differs from 0.
 *
 * Both tables are bounded and give up the oldest. Threads: one at a time for each. Blocks: no.
 * Logs: no. Never fails: what is not found is worked out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/record.h"

#define KNOWN_SETS  128u
#define KNOWN_WAYS  4u
#define KNOWN_SLOTS (KNOWN_SETS * KNOWN_WAYS)
#define KNOWN_LATE  32u
#define KNOWN_BYTES (1u << 20) /* of keys, and of each format's texts */
#define KNOWN_MOST  16384u     /* bytes of one of them */

/* Bytes in a buffer that is written round and round. */
struct known_bytes {
	uint64_t pos; /* where the next ones go, at least; never wraps */
	char area[KNOWN_BYTES];
};

/* @len <= KNOWN_MOST bytes in one piece, which take the place of the oldest; *ret_pos names them.
 */
char *known_bytes_put(struct known_bytes *b, size_t len, uint64_t *ret_pos);
/* Those bytes, or NULL: others have taken their place. */
static inline const char *known_bytes_get(const struct known_bytes *b, uint64_t pos)
{
	return b->pos - pos <= KNOWN_BYTES ? b->area + pos % KNOWN_BYTES : NULL;
}

struct known_slot {
	uint64_t id; /* 0 = empty; whoever is met anew gets another */
	uint64_t pos;
	uint32_t hash;
	uint32_t strings_len; /* of all strings together */
};

/* Where the strings of one met lately lay: a record like its last one needs no key. */
struct known_late {
	struct record_process process; /* as it was in that record */
	uint64_t id;                   /* of its slot; 0: none */
	uint32_t slot, first;          /* `first`: of its strings' bytes, in the area */
};

struct known {
	uint64_t evicted;
	struct known_late late[KNOWN_LATE];
	struct known_slot slot[KNOWN_SLOTS];
	struct known_bytes keys;
};

/* One end of a record: its process's name here. All zero: it has none. */
struct known_end {
	uint64_t id;
	uint32_t slot;
};

/* Both. */
struct known_ends {
	struct known_end orig, resp;
};

static const struct known_ends KNOWN_NOBODY;

/*
 * record_check(), but for processes that are known (@k may be NULL: none is), and the sum of all
 * strings' lengths is at most that of the string area: some may lie inside it and still overlap,
 * which would multiply the output. 0 or a positive RECORD_E_*; *ret_ends then names its processes.
 */
int known_check(struct known *k, const struct record *r, size_t len, struct known_ends *ret_ends);
