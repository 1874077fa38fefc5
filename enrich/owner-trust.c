/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a claim can be believed: a later event may have contradicted it, had it not been lost,
 *and of some changes the kernel tells nothing. What is not the last word for certain needs a proof
 *from the kernel; without one there is no answer.
 *
 *	claim			last word when
 *	connect(2), TCP		the connection is its own: told just before the first packet
 *	send, within the flow	always
 *	send, before it		asked for the sender, as any other would have told by sending; a
 *				receiver can have closed and another bound the port, untold
 *	close, within the flow	always
 *	listen(2)		its end would have been told
 *	start-up sweep		the connection is older than flowner; of a listener as above
 *	UDP port alone		never
 *
 * and never across a loss of events.
 */
#include <netinet/in.h>

#include "enrich/address.h"
#include "enrich/owner-internal.h"

bool owners_trusts(
	const struct owners *o, const struct owner_query *q, const struct socket_claim *c)
{
	const bool certain = sockets_certain(o->sockets, c);
	/* Told again only after the packet, it says nothing about then. */
	const uint64_t seen_ns = c->seen_ns <= q->t_ns ? c->seen_ns : c->t_ns;

	/* Met anew after a loss: it may be of any namespace. */
	if (!c->netns && c->process->sure_ns)
		return false;
	switch (c->method) {
	case RECORD_METHOD_TAP_CONNECT:
		/* Whoever accepted a connection did not open it. */
		return certain && !q->responder;
	case RECORD_METHOD_TAP_LISTEN:
		return certain;
	case RECORD_METHOD_TAP_SEND:
		return seen_ns >= (q->start_ns ? q->start_ns : q->t_ns) ||
		       (q->initiator && certain && owners_filter_trusts(o, c));
	case RECORD_METHOD_TAP_CLOSE:
		return true;
	case RECORD_METHOD_SEED:
		if (q->proto != IPPROTO_UDP && !c->key.remote_port)
			return certain; /* a listener */
		return certain && (q->proto == IPPROTO_UDP ? q->initiator : !q->begun);
	case RECORD_METHOD_NONE:
	case RECORD_METHOD_SOCK_DIAG:
	case RECORD_METHOD_PROCFS:
	case RECORD_METHOD_KERNEL:
	case RECORD_METHODS:
		break;
	}
	return false;
}

const struct socket_claim *owners_candidate(struct owners *o, const struct owner_query *q)
{
	struct socket_scope scope = owners_scope(o, q);
	uint64_t from = q->start_ns ? q->start_ns : q->t_ns;
	const struct socket_claim *c = NULL;
	struct socket_key k;

	owners_query_key(q, &k);
	if (!owners_is_untold(o, q))
		c = sockets_connection(o->sockets, &k, scope, from, q->t_ns);
	/* Nobody has answered, so an IPv6 connect has not told its port. */
	if (!c && q->initiator && q->proto == IPPROTO_TCP && !address_is_v4(q->local_addr))
		c = sockets_connecting_alone(o->sockets, &k, scope,
			from > CONNECT_MAX_NS ? from - CONNECT_MAX_NS : 0, from);
	if (!c && q->proto == IPPROTO_UDP)
		c = sockets_port(o->sockets, &k, scope, q->t_ns);
	if (!c && (q->proto == IPPROTO_TCP || q->proto == IPPROTO_SCTP) && !q->initiator)
		c = sockets_listener(o->sockets, &k, scope, from);
	return c && process_alive_at(c->process, q->t_ns) ? c : NULL;
}

/*
 * A UDP port is free as soon as its socket is closed, and the kernel gives it to the next one that
 * asks: who has it now need not be who sent. Seen before the packet, the very socket was there;
 * else nobody may have ended since. That is told before a process's descriptors are closed (since
 * Linux 6.16).
 */
bool owners_is_as_old(const struct owners *o, const struct owners_pending *w, uint64_t looked_ns)
{
	const struct diag_socket *s = &w->socket;
	uint64_t from = w->q.start_ns ? w->q.start_ns : w->q.t_ns;
	const struct inode_holder *h =
		s->inode && s->cookie ? inodes_find(o->inodes, s->inode, s->cookie) : NULL;

	if (h && h->cookie && h->local_port == w->q.local_port && h->t_ns <= from)
		return true;
	return o->connector && o->heard_ns >= looked_ns && o->watched_ns < from &&
	       o->exited_ns < from;
}
