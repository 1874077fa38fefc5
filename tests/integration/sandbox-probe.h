/* SPDX-License-Identifier: Apache-2.0 */
/* What sandbox-probe tries, and in which surroundings. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "shm/ring.h"
#include "sink/sandbox.h"

#define ABSTRACT "flowner-sandbox-probe"

enum { CAPTURE = 1, ENRICH = 2, SINK = 4, ALL = 7 };

struct world {
	const char *folder;
	unsigned program;
	struct config config;
	struct spool spool; /* of the sink: one output */
	struct sandbox sandbox;
	struct sandbox_path paths[SINK_SANDBOX_PATHS];
	int ring[RING_FDS]; /* as a consumer gets them; root's */
	int inet;           /* an internet socket left open by a mistake */
};

struct act {
	const char *name;
	unsigned programs;
	int (*run)(struct world *w); /* 0 = it works, -errno; ends with 99 where that is not here */
	bool works;                  /* must */
};

extern const struct act acts[];
extern const size_t n_acts;
