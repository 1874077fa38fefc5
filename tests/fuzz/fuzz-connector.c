/* SPDX-License-Identifier: Apache-2.0 */
/* Process connector messages of any bytes: the parser stays inside them, ends, and names a pid. */
#include <stdlib.h>
#include <string.h>

#include "enrich/connector-msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	struct connector_event e;
	size_t at = 0, before = 0;
	int r;

	memcpy(copy, data, size);
	while (!(r = connector_next(copy, size, &at, &e))) {
		check(at > before && at <= size);
		before = at;
		check(e.kind == CONNECTOR_OTHER || e.kind == CONNECTOR_ACK || e.pid);
	}
	check(r == CONNECTOR_E_END || r == CONNECTOR_E_MALFORMED);
	check(r != CONNECTOR_E_END || at == size);
	free(copy);
	return 0;
}
