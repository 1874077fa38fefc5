/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes a configuration over that was read again while outputs are open: the rules and limits of
 * those that are still in it, and how often is written. They count from the next record on.
 *
 * Threads: one. Blocks: no. Logs: no. Errors: 0; RULES_E_INVALID with the complaint; -ENOMEM; after
 * an error everything is as before.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "sink/spool.h"

/*
 * @now is what was in force and follows @next as far as that is possible. @left takes the keys
 * for which it is not, "output.files, output.buffer", or "".
 */
int reload_apply(struct spool *s, struct config *now, const struct config *next, uint64_t real_ns,
	char *why, char *left, size_t size);
