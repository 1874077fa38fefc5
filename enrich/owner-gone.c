/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Without a tap: ends of connections that are over. Most are when their batch comes, and the kernel
 * has no socket of theirs to show: only who listens can still be named, once for all of them.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "enrich/address.h"
#include "enrich/owner-internal.h"

#define QUESTION_NS UINT64_C(3000) /* what the kernel takes for one */
/* Reading all listeners for fewer than that is worth: a fiftieth of one CPU in the long run. */
#define SHARE    50u
#define AHEAD_NS UINT64_C(1000000)

/*
 * Once both FINs are there, the end that sent the earlier one has given its socket up for an entry
 * in TIME_WAIT; the other one keeps it until its own FIN is acknowledged, which on this host is at
 * once. So it is with resets, if they are real ones. A connection that the sweep may have seen is
 * found by the cookie that TIME_WAIT keeps.
 */
bool owners_is_gone(struct owners *o, const struct owner_query *q)
{
	return !o->tap && q->proto == IPPROTO_TCP && q->begun && q->over &&
	       q->start_ns > o->seeded_ns &&
	       (q->first || owners_is_local_addr(o, q->netns, q->remote_addr));
}

void owners_listeners_want(struct owners *o, uint16_t port)
{
	o->listeners.port[port / 64] |= UINT64_C(1) << port % 64;
	o->listeners.wanted++;
}

static void on_listener(void *arg, const struct diag_socket *s)
{
	struct owners_listeners *l = arg;
	uint16_t port = s->key.local_port;

	if (!(l->port[port / 64] & UINT64_C(1) << port % 64))
		return;
	if (l->n < OWNERS_LISTENERS_MAX)
		l->at[l->n] = *s;
	l->n += l->n <= OWNERS_LISTENERS_MAX;
}

bool owners_listeners_read(struct owners *o, struct diag *d)
{
	struct owners_listeners *l = &o->listeners;
	uint64_t now = owners_now_ns(), repaid = (now - l->looked_ns) / SHARE, start;
	bool worth, read = false;

	l->looked_ns = now;
	l->owed_ns -= repaid < l->owed_ns ? repaid : l->owed_ns;
	worth = l->owed_ns <= AHEAD_NS || l->took_ns <= l->wanted * QUESTION_NS;
	l->wanted = l->n = 0;
	if (worth) {
		start = owners_cpu_ns();
		read = diag_dump(d, IPPROTO_TCP, 1u << TCP_LISTEN, on_listener, l) == 0;
		l->took_ns = owners_cpu_ns() - start;
		l->owed_ns += l->took_ns;
	}
	memset(l->port, 0, sizeof(l->port));
	return read && l->n <= OWNERS_LISTENERS_MAX;
}

static bool takes(const struct diag_socket *s, const struct socket_key *k)
{
	bool v4 = address_is_v4(k->local_addr), listens_v4 = address_is_v4(s->key.local_addr);

	return diag_compare(k, s) == DIAG_MATCH_LISTENER &&
	       (v4 ? listens_v4 || !s->v6only : !listens_v4);
}

bool owners_listeners_find(
	const struct owners *o, const struct socket_key *k, struct diag_query *ret)
{
	const struct owners_listeners *l = &o->listeners;
	size_t n = 0;

	ret->match = DIAG_MATCH_NONE;
	for (size_t i = 0; i < l->n; i++) {
		if (!takes(&l->at[i], k))
			continue;
		/* A group, or one for an address, an interface: the kernel knows which it would be.
		 */
		if (n++ || l->at[i].ifindex)
			return false;
		ret->match = DIAG_MATCH_LISTENER;
		ret->socket = l->at[i];
		ret->socket.key.proto = k->proto;
	}
	return true;
}
