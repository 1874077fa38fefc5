/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where records come from: the connection to enrich and the ring it hands over.
 *
 * Life: nothing -> connected -> attached -> orphan (enrich is gone, its ring still holds records)
 * -> nothing. Threads: one. Blocks: no. Logs: no. Errors: -errno; -EPROTO = a peer that misbehaves.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "config/handover.h"
#include "shm/ring.h"

enum {
	SOURCE_E_AGAIN = 1,    /* nothing now: poll again */
	SOURCE_E_ATTACHED = 2, /* a ring has just been attached */
	SOURCE_E_GONE = 3,     /* the peer has closed its end */
};

struct source {
	int fd;                     /* connection, -1 = none */
	struct ring_consumer *ring; /* NULL = none */
	bool done;                  /* the hand-over is complete */
	struct handover_message message;
};

void source_init(struct source *s);
/* Connects to enrich's socket. SOURCE_E_AGAIN: nobody listens there yet. */
int source_connect(struct source *s, const char *path, uid_t peer);
/* After POLLIN on source.fd: takes messages until one of SOURCE_E_* or an error. */
int source_receive(struct source *s);
/* The connection is gone, the ring stays: an orphan to drain. */
void source_disconnect(struct source *s);
/* Lets go of everything. */
void source_close(struct source *s);
