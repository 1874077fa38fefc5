/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to outputs' files beside writing: rotation when it is due or asked for, then
 * retention and compression of what was put aside.
 *
 * Threads: one. Blocks: on the file system, for small steps. Logs: no; see `trouble`.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sink/compress.h"
#include "sink/tail.h"

struct upkeep {
	struct tail *tail;
	bool reopen;       /* asked for: follow the paths */
	bool wanted;       /* somebody else wants rest */
	bool rotating;     /* nothing is read until everything is written and files have changed */
	uint64_t look_ns;  /* when to look at the clock for it; WRITER_NEVER = not */
	uint64_t tidy_ns;  /* when to look for old files */
	uint64_t place_ns; /* when to look whether files have been removed */
	bool homeless;     /* one was, and none could be made in its place: nothing is read */
	bool told;         /* of that */
	bool restart;      /* only our next life can open what is there now */
	bool compressing;  /* there may be files to compress, put aside after these times: */
	uint64_t compressed_ns[CHECKPOINT_OUTPUTS];
	struct compress job;
	struct {
		const struct output *output; /* NULL = none */
		const char *what;
		int error;
	} trouble; /* the last one, for the caller to tell and to clear */
};

void upkeep_init(struct upkeep *u, struct tail *tail);
void upkeep_deinit(struct upkeep *u);

/* After a ring was attached, when every file's place is known. */
void upkeep_attached(struct upkeep *u); /* also after files or the limits of outputs have changed */
/*
 * Whether files are about to change: the caller reads no more, seals and writes. It is called, and
 * upkeep_step(), after each round of writing.
 */
bool upkeep_wants_rest(struct upkeep *u, uint64_t now_ns);
/* Changes files if the spool is clean, removes and compresses. */
void upkeep_step(struct upkeep *u, struct ring_consumer *ring, uint64_t now_ns);
/* When to call again (CLOCK_MONOTONIC) though nothing happens; WRITER_NEVER. */
uint64_t upkeep_due_ns(const struct upkeep *u);
