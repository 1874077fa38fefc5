/* SPDX-License-Identifier: Apache-2.0 */
/* A program's ledger in its log, as SIGUSR2 asks for it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config/daemon.h"
#include "config/log.h"

#define LINE_BYTES 900u /* of counters; more goes to another line */

void daemon_dump(const struct daemon *d)
{
	char line[LINE_BYTES + 128] = "";
	size_t len = 0;

	for (unsigned i = 0; i < ledger_count(d->program); i++) {
		uint64_t value = ledger_get(&d->ledger, i);
		/* Without "sink_": the line says whose it is. */
		const char *name = strchr(ledger_name(d->program, i), '_') + 1;

		if (!value)
			continue;
		len += (size_t)snprintf(
			line + len, sizeof(line) - len, " %s=%" PRIu64, name, value);
		if (len < LINE_BYTES)
			continue;
		log_answer("ledger:%s", line);
		len = 0;
	}
	if (len)
		log_answer("ledger:%s", line);
}
