/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All outputs together: records go in with their place in the ring, and the place up to which every
 * output has written everything comes out.
 *
 * Records are sealed in batches at one place for all outputs, so that for each batch the offset in
 * every file is known: that pair is the checkpoint.
 *
 * Threads: one. Blocks: as its writers do. Logs: no.
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "sink/checkpoint.h"
#include "sink/losses.h"
#include "sink/output.h"

#define SPOOL_MARKS 64u /* sealed batches under way */

/* What a batch amounts to; the order is that of checkpoint_slot.counters. */
enum spool_counter {
	SPOOL_RECORDS_READ,
	SPOOL_RECORDS_WRITTEN,
	SPOOL_RECORDS_LOST,
	SPOOL_RECORDS_INVALID,
	SPOOL_PACKETS_WRITTEN,
	SPOOL_PACKETS_LOST,
	SPOOL_BYTES_WRITTEN,
	SPOOL_RECORDS_EXCLUDED,
	SPOOL_PACKETS_EXCLUDED,
	SPOOL_COUNTERS,
};

_Static_assert((unsigned)SPOOL_COUNTERS <= CHECKPOINT_COUNTERS, "the checkpoint holds them");

struct spool_mark {
	uint64_t pos;                          /* in the ring */
	uint64_t appended[CHECKPOINT_OUTPUTS]; /* bytes of each writer up to here */
	uint64_t counts[SPOOL_COUNTERS];       /* of this batch */
	uint64_t lines[CHECKPOINT_OUTPUTS];    /* likewise, what each output was given */
	struct losses losses;                  /* not told up to here */
};

struct spool {
	struct output output[CHECKPOINT_OUTPUTS];
	unsigned n;
	struct spool_mark open; /* what has been put since the last seal */
	bool dirty;             /* `open` holds anything */
	bool full;              /* a file has reached its size */
	struct spool_mark mark[SPOOL_MARKS];
	unsigned first, marks;  /* the oldest, how many */
	struct spool_mark done; /* the last complete one */
	uint64_t epoch;         /* of enrich, for records of losses */
};

void spool_init(struct spool *s);
void spool_deinit(struct spool *s);

/* Adds an output (output_open(), output_start()). -E2BIG: there are CHECKPOINT_OUTPUTS already. */
int spool_add(struct spool *s, const struct config_output *config, const struct format_context *ctx,
	bool uring, uint64_t buffer, int *ret_why, struct output_error *err);

/*
 * Lets go of the outputs that are not in @keep (by their place) and takes over @n of @fresh, with
 * room for them. Everything is written.
 */
void spool_replace(struct spool *s, const bool *keep, struct output *fresh, unsigned n);

/*
 * Finds every file's place, with the slot of the ring's tail or NULL, before the first record.
 * On an error *ret_output is the output it is about.
 */
int spool_recover(
	struct spool *s, const struct checkpoint_slot *slot, const struct output **ret_output);

/* Starts counting at @pos of a newly attached ring; everything before must be written. */
void spool_rewind(struct spool *s, uint64_t pos);

/* Whether one more record fits everywhere. */
bool spool_has_room(struct spool *s);
/*
 * A record that ends at @pos and has passed known_check(). Only with room. A loss record is ours
 * and counts as none.
 */
void spool_put(
	struct spool *s, const struct record *r, const struct known_ends *ends, uint64_t pos);
/* A loss that shall be told; the frame, or whatever it was, ends at @pos. */
void spool_loss(struct spool *s, const struct ring_loss *loss, uint64_t pos);
/*
 * Puts a record of every loss that is due (sink/losses.h) and for which there is room, with
 * @scratch. Whether there was one.
 */
bool spool_tell(struct spool *s, struct losses_told *told, uint64_t step_ns, uint64_t now_ns,
	struct record *scratch);
/* A frame that is no record, or an @invalid one standing for @packets. */
void spool_pass(struct spool *s, uint64_t pos, bool invalid, uint64_t packets);

/* The largest number of unsealed bytes of any output. */
uint64_t spool_unsealed(const struct spool *s);
/* Everything put so far shall be written. */
void spool_seal(struct spool *s);

/*
 * Lets the writers go on. Returns how many batches have been completed: then spool.done says up to
 * where, and @ret_counts what they amount to.
 */
unsigned spool_progress(struct spool *s, uint64_t now_ns, uint64_t ret_counts[SPOOL_COUNTERS]);

/* Fills in the outputs' part of a slot for spool.done. */
void spool_slot(const struct spool *s, struct checkpoint_slot *ret);

/* Whether a file's time or size has come, and how long (ns) until a time does. */
bool spool_rotation_due(const struct spool *s, uint64_t real_ns);
uint64_t spool_rotation_ns(struct spool *s, uint64_t real_ns);
/*
 * Rotates the output @i if that is due, or follows its path (@reopen); the spool is clean. 1 if the
 * file is another now, 0, -errno.
 */
int spool_rotate(struct spool *s, unsigned i, bool reopen, uint64_t real_ns);
/* What files and streams end with; the spool is clean before, and in the end again. -errno. */
int spool_end(struct spool *s, uint64_t real_ns);

void spool_sync(struct spool *s);
bool spool_is_syncing(const struct spool *s);
/* Gives up: no write is started any more; true once none is under way. */
bool spool_halt(struct spool *s);
/* Then: what a file has beyond its last whole batch, and not all of it, is cut off. */
void spool_cut(struct spool *s);
/* Nothing unsealed and nothing under way. */
bool spool_is_clean(const struct spool *s);
/* No output is left that could ever write again. */
bool spool_is_broken(const struct spool *s);

/* No writer has anything to start when what is under way ends. */
bool spool_is_ending(const struct spool *s);
/* Adds what to poll for; returns how many. */
unsigned spool_poll(const struct spool *s, struct pollfd *fds);
/* CLOCK_MONOTONIC of the next retry, or WRITER_NEVER. */
uint64_t spool_due_ns(const struct spool *s);
