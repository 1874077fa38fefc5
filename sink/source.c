/* SPDX-License-Identifier: Apache-2.0 */
/* The connection to enrich and the ring it hands over. */
#include "sink/source.h"

#include <errno.h>
#include <string.h>

#include "shm/cleanup.h"

void source_init(struct source *s)
{
	memset(s, 0, sizeof(*s));
	s->fd = -1;
}

int source_connect(struct source *s, const char *path, uid_t peer)
{
	int r = handover_connect(path, peer, &s->fd);

	if (r == -ENOENT || r == -ECONNREFUSED || r == -EAGAIN)
		return SOURCE_E_AGAIN;
	if (r < 0)
		return r;
	s->done = false;
	return 0;
}

static int attach(struct source *s)
{
	int r;

	if (s->ring || s->message.n_fds != RING_FDS)
		return -EPROTO;
	r = ring_consumer_new(s->message.fds, &s->ring);
	if (r < 0)
		return r;
	for (int i = 0; i < RING_FDS; i++)
		s->message.fds[i] = -1; /* the ring's now */
	return 0;
}

/* One message in its place: the ring, then the end of the hand-over, then nothing more. */
static int take(struct source *s)
{
	if (s->done)
		return -EPROTO;
	if (s->message.type == HANDOVER_RING)
		return attach(s);
	if (s->message.type != HANDOVER_DONE || !s->ring)
		return -EPROTO;
	s->done = true;
	return SOURCE_E_ATTACHED;
}

int source_receive(struct source *s)
{
	int r;

	for (;;) {
		r = handover_recv(s->fd, &s->message);
		if (r == -EAGAIN)
			return SOURCE_E_AGAIN;
		if (r == -ECONNRESET)
			return SOURCE_E_GONE;
		if (r < 0)
			return r;
		r = take(s);
		handover_message_close(&s->message);
		if (r)
			return r;
	}
}

void source_disconnect(struct source *s)
{
	cleanup_close(&s->fd);
	s->fd = -1;
}

void source_close(struct source *s)
{
	source_disconnect(s);
	ring_consumer_free(s->ring);
	s->ring = NULL;
	s->done = false;
}
