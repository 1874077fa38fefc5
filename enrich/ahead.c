/* SPDX-License-Identifier: Apache-2.0 */
/* Frames out of the ring, a few at a time. */
#include "enrich/ahead.h"

int ahead_take(struct ahead *a, struct ring_consumer *ring, const struct pipeline *p)
{
	uint8_t *body = a->bodies;
	int r = 0;

	a->ended = false;
	for (a->n = 0; a->n < AHEAD_FRAMES; a->n++) {
		struct pipeline_seen *s = &a->seen[a->n];

		if (body > a->bodies + sizeof(a->bodies) - RING_BODY_MAX)
			break;
		r = ring_get(ring, body, &s->frame);
		if (r != 0)
			break;
		a->ended |= s->frame.type == RING_FRAME_END;
		s->body = body;
		body += (s->frame.len + 7) & ~7u;
		pipeline_foresee(p, s);
	}
	return r;
}

int ahead_feed(struct ahead *a, struct pipeline *p)
{
	int r = 0;

	for (unsigned i = 0; i < a->n && r == 0; i++)
		r = pipeline_feed(p, &a->seen[i]);
	return r;
}
