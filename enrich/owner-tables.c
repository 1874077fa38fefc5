/* SPDX-License-Identifier: Apache-2.0 */
/* Answers from what the events told, without a system call. */
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>

#include "enrich/address.h"
#include "enrich/owner-internal.h"

/* A raw packet leaves within the system call that announced it; preempted, a little later. */
#define RAW_NS UINT64_C(10000000)
/* And here it may wait for its neighbour's address. */
#define RAW_LONG_NS UINT64_C(3000000000)

bool owners_take_claim(struct owners *o, const struct owner_query *q, struct owner *answer,
	const struct socket_claim *c, enum record_confidence sure)
{
	/* What the sweep found is current only as long as events tell of changes. */
	if (!c || (c->method == RECORD_METHOD_SEED && !o->tap))
		return false;
	if (c->process->flags & PROCESS_KERNEL) {
		owners_answer(o, q, answer, NULL, RECORD_METHOD_KERNEL, sure, 0);
		return true;
	}
	/* The last to close it closes it: a child may have had it meanwhile, and be done. */
	if (c->shared || (c->method == RECORD_METHOD_TAP_CLOSE &&
				 c->process->fork_ns >= (q->start_ns ? q->start_ns : q->t_ns)))
		sure = RECORD_CONFIDENCE_PROBABLE;
	owners_answer(o, q, answer, c->process, c->method, sure, c->cgroup_id);
	if (answer->process == c->process)
		answer->told = sockets_told(o->sockets, c);
	return true;
}

void owners_over(struct owners *o, const struct owner *answer)
{
	/* Seen in another namespace, too, the same connection is a flow that asks as well. */
	if (answer->confidence == RECORD_CONFIDENCE_EXACT && !netns_captured_elsewhere(o->spaces))
		sockets_over(o->sockets, &answer->told, answer->process);
}

/*
 * Whether @c is about an earlier connection of the same tuple. A SYN leaves within the system call
 * that announced it, however often that is preempted. Over IPv6 the port is told only after the
 * SYN: a younger connect to the same place may be this one.
 */
static bool is_stale(struct owners *o, const struct owner_query *q, const struct socket_key *k,
	const struct socket_claim *c)
{
	uint64_t from = q->start_ns ? q->start_ns : q->t_ns;

	if (q->proto != IPPROTO_TCP || !q->initiator || c->method != RECORD_METHOD_TAP_CONNECT)
		return false;
	if (c->seen_ns + CONNECT_MAX_NS < from)
		return true;
	return !address_is_v4(q->local_addr) &&
	       sockets_connecting_since(o->sockets, k, owners_scope(o, q), c->seen_ns, from);
}

/*
 * No event tells that a socket of the sweep was closed, unless it listens, and its port or tuple
 * may be another's by now. The kernel knows, by its cookie.
 */
static bool is_to_verify(
	struct owners *o, const struct owner_query *q, const struct socket_claim *c)
{
	const struct netns *home = owners_home(o, q);

	return c && c->method == RECORD_METHOD_SEED && home &&
	       owners_can_ask(o, q, links_is_local(home->links, q->local_addr));
}

bool owners_is_untold(const struct owners *o, const struct owner_query *q)
{
	if (q->proto != IPPROTO_TCP || !q->begun)
		return false;
	/* Only the sweep tells. */
	if (!o->tap)
		return q->start_ns > o->seeded_ns;
	/* Whoever answers the first packet has not got it yet. */
	return q->responder && (!q->start_ns || q->t_ns == q->start_ns);
}

bool owners_can_wait(const struct owners *o, const struct owner_query *q)
{
	/* Where nobody was told to listen, the kernel is asked while he does. */
	return q->again && o->tap && owners_is_untold(o, q) &&
	       sockets_listened(o->sockets, q->local_port);
}

bool owners_try_tables(struct owners *o, const struct owner_query *q, struct owner *answer)
{
	struct socket_scope scope = owners_scope(o, q);
	uint64_t from = q->start_ns ? q->start_ns : q->t_ns;
	const struct socket_claim *c = NULL;
	struct socket_key k;

	o->ambiguous = false;
	if (q->proto == IPPROTO_ICMP || q->proto == IPPROTO_ICMPV6)
		return owners_try_icmp(o, q, answer);
	owners_query_key(q, &k);
	if (!owners_is_untold(o, q))
		c = sockets_connection(o->sockets, &k, scope, from, q->t_ns);
	if (c && !is_stale(o, q, &k, c) && owners_trusts(o, q, c)) {
		if (is_to_verify(o, q, c))
			return false;
		if (owners_take_claim(o, q, answer, c, RECORD_CONFIDENCE_EXACT))
			return true;
	}
	if (q->proto == IPPROTO_UDP) /* needs a proof, but notes when several could be meant */
		(void)sockets_port(o->sockets, &k, scope, q->t_ns);
	if ((q->proto != IPPROTO_TCP && q->proto != IPPROTO_SCTP) || q->initiator)
		return false;
	/* Whoever listened when it began: others may by now. */
	c = sockets_listener(o->sockets, &k, scope, from);
	return c && owners_trusts(o, q, c) &&
	       owners_take_claim(o, q, answer, c, RECORD_CONFIDENCE_PROBABLE);
}

/* ---- without ports ---- */

/*
 * Who sent an ICMP message to q's remote end: nobody but one process did so lately, or, less sure,
 * just now. *@ret_several: more than one did.
 */
static bool try_portless(
	struct owners *o, const struct owner_query *q, struct owner *answer, bool *ret_several)
{
	enum record_confidence best = RECORD_CONFIDENCE_EXACT;
	struct socket_scope scope = owners_scope(o, q);
	uint64_t from = q->start_ns ? q->start_ns : q->t_ns;
	const struct socket_claim *c;
	struct socket_key k;
	bool several;

	owners_query_key(q, &k);
	k.local_port = k.remote_port = 0;
	c = sockets_portless(o->sockets, &k, scope, from, RAW_LONG_NS, ret_several);
	if (*ret_several) {
		c = sockets_portless(o->sockets, &k, scope, from, RAW_NS, &several);
		if (several)
			return false;
		best = RECORD_CONFIDENCE_PROBABLE;
	}
	return owners_take_claim(o, q, answer, c, best);
}

/* Types that the kernel itself sends. */
static bool is_kernels(uint8_t proto, uint16_t type)
{
	if (proto == IPPROTO_ICMP)
		return type == ICMP_ECHOREPLY || type == ICMP_DEST_UNREACH ||
		       type == ICMP_SOURCE_QUENCH || type == ICMP_REDIRECT ||
		       type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB ||
		       type == ICMP_TIMESTAMPREPLY;
	return type < ICMP6_ECHO_REQUEST || type == ICMP6_ECHO_REPLY ||
	       (type >= MLD_LISTENER_QUERY && type <= ND_REDIRECT) || type == 143 /* MLDv2 */;
}

bool owners_try_icmp(struct owners *o, const struct owner_query *q, struct owner *answer)
{
	/* Seen from its middle (a reply came first) it is an echo: 8 or 128, and code 0. */
	bool asked = q->initiator || (!q->responder && q->local_port > q->remote_port);
	bool several = false;

	if (asked && try_portless(o, q, answer, &several))
		return true;
	if (!owners_scope(o, q).local || (asked && !is_kernels(q->proto, q->local_port))) {
		if (several && answer->confidence == RECORD_CONFIDENCE_UNKNOWN) {
			answer->unknown = RECORD_UNKNOWN_AMBIGUOUS;
			return true;
		}
		return false;
	}
	/* The kernel answers, and complains. */
	owners_answer(o, q, answer, NULL, RECORD_METHOD_KERNEL,
		several ? RECORD_CONFIDENCE_PROBABLE : RECORD_CONFIDENCE_EXACT, 0);
	return true;
}

/*
 * Who sent further packets of a flow, or was not let, only seems to have some still to come, and
 * keeps others from being named for a while.
 */
bool owners_try_raw(struct owners *o, const struct owner_query *q, struct owner *answer)
{
	const struct socket_claim *c;
	struct socket_key k;
	bool several;

	if (q->responder || !o->tap)
		return false;
	/* Asked again: packets that came since make nobody likelier. */
	if (answer->process || answer->unknown != RECORD_UNKNOWN_NONE)
		return answer->unknown == RECORD_UNKNOWN_RAW;
	owners_query_key(q, &k);
	k.local_port = k.remote_port = 0;
	c = sockets_raw(o->sockets, &k, owners_scope(o, q), q->start_ns ? q->start_ns : q->t_ns,
		RAW_LONG_NS, &several);
	if (several) {
		owners_give_up(o, q, answer, RECORD_UNKNOWN_RAW);
		return true;
	}
	return owners_take_claim(o, q, answer, c, RECORD_CONFIDENCE_PROBABLE);
}
