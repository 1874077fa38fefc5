/* SPDX-License-Identifier: Apache-2.0 */
/* One line of progress for a terminal. */
#include "cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MB 1e6

void progress_format(char *ret, size_t size, uint64_t done, uint64_t total, uint64_t elapsed_ns,
	unsigned columns, int colour)
{
	char tail[96], bar[PROGRESS_MAX];
	unsigned percent, width, full;
	double part;

	if (done > total)
		done = total;
	part = total ? (double)done / (double)total : 0;
	percent = (unsigned)(part * 100);
	snprintf(tail, sizeof(tail), " %3u %%  %.1f of %.1f MB", percent, (double)done / MB,
		(double)total / MB);
	if (percent >= 1 && percent < 100) { /* earlier it is a guess, later it is no news */
		double left = (double)elapsed_ns / 1e9 * (1 - part) / part;

		snprintf(tail + strlen(tail), sizeof(tail) - strlen(tail), ", %.0f s left", left);
	}
	if (columns > PROGRESS_MAX - 32)
		columns = PROGRESS_MAX - 32;
	width = columns > strlen(tail) + 12 ? columns - (unsigned)strlen(tail) - 3 : 10;
	full = (unsigned)(part * width);
	memset(bar, '#', full);
	memset(bar + full, ' ', width - full);
	bar[width] = 0;
	snprintf(ret, size, "\r%s[%s]%s%s\033[K", colour ? "\033[32m" : "", bar,
		colour ? "\033[0m" : "", tail);
}
