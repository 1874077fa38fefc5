/* SPDX-License-Identifier: Apache-2.0 */
/* What flowner-sink may still do once it writes: system calls, and files in its outputs' folders.
 */
#pragma once

#include "config/sandbox.h"
#include "sink/spool.h"

#define SINK_SANDBOX_PATHS (CHECKPOINT_OUTPUTS + 2)

/* Conditions of the table. */
enum {
	SINK_STARTING = 1, /* until outputs are recovered; then sandbox_narrow() */
	SINK_URING = 2,
	SINK_PLAIN = 4,
	SINK_ROTATES = 8,
	SINK_TIDIES = 16, /* removes or compresses files that were put aside */
	SINK_FRAGMENTS = 32,
	SINK_CLOCK = 64, /* there is no coarse clock in the vDSO */
};

/* Which of them a configuration needs. */
unsigned sink_sandbox_needs(const struct config *c);

/*
 * Whether @next can be taken over within the sandbox that was entered: new outputs lie in folders
 * that files are in already, and nothing is to be done to files that was not to be done before.
 * What cannot be opened at all fits: the attempt says what is wrong.
 */
bool sink_sandbox_fits(
	const struct sandbox *entered, const struct spool *s, const struct config *next);
/* Whether fsync(2) is there; without it, plain writes sync themselves. */
bool sink_sandbox_syncs(const struct sandbox *entered);

/* @file: the configuration's; @paths: room for SINK_SANDBOX_PATHS, to stay while @ret is used. */
void sink_sandbox(const struct config *c, const struct spool *s, const char *file,
	struct sandbox_path *paths, struct sandbox *ret);
