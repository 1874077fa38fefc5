/* SPDX-License-Identifier: Apache-2.0 */
/* Counting sends by port. */
#include "enrich/busy.h"

#include <string.h>

#define SECOND UINT64_C(1000000000)

void busy_count(struct busy *b, uint16_t port, const void *who, uint64_t t_ns)
{
	struct busy_slot *s = &b->slot[port & (BUSY_SLOTS - 1)];

	/* A busy port keeps its count until somebody has looked at it. */
	if (s->port != port || t_ns > s->since_ns + (s->n < BUSY_SENDS ? SECOND : 2 * SECOND))
		*s = (struct busy_slot){.since_ns = t_ns, .who = who, .port = port};
	s->several |= s->who != who;
	s->n++;
}

void busy_clear(struct busy *b)
{
	memset(b, 0, sizeof(*b));
}

void busy_each(const struct busy *b, uint64_t now_ns, busy_fn fn, void *arg)
{
	for (size_t i = 0; i < BUSY_SLOTS; i++) {
		const struct busy_slot *s = &b->slot[i];

		if (s->n >= BUSY_SENDS && !s->several && now_ns < s->since_ns + 2 * SECOND)
			fn(arg, s->port, s->who);
	}
}
