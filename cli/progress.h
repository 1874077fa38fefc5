/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line of progress for a terminal.
 *
 * Threads: one. Blocks: no. Logs: no. Never fails.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define PROGRESS_MAX 160

/*
 * "\r[#####     ]  50 %  12.3 of 24.6 MB, 3 s left\033[K": @done of @total bytes after @elapsed_ns,
 * @columns wide, without the last column so that it never wraps. Colour only around the bar.
 */
void progress_format(char *ret, size_t size, uint64_t done, uint64_t total, uint64_t elapsed_ns,
	unsigned columns, int colour);
