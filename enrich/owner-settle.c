/* SPDX-License-Identifier: Apache-2.0 */
/* Questions that the tables could not answer: looked up once more, then asked of the kernel. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "enrich/address.h"
#include "enrich/owner-internal.h"

bool owners_is_pending(const struct owners *o, const struct owner *answer)
{
	const size_t at = answer->pending; /* stays when it is answered */

	return at && at <= o->n_pending && o->pending[at - 1].answer == answer;
}

static bool is_connect6(const struct owners_pending *w)
{
	return w->answer && w->q.initiator && w->q.proto == IPPROTO_TCP &&
	       !address_is_v4(w->q.local_addr);
}

/*
 * An IPv6 connect says its port only in the socket's next event, which is younger than the SYN
 * and still waits in the ring.
 */
static void peek_port(void *arg, const struct perf_record *r)
{
	const struct perf_record_state *s = &r->state;
	struct owners *o = arg;

	o->peek_lost |= r->kind == PERF_KIND_DROPPED;
	if (r->kind != PERF_KIND_STATE || s->oldstate != TCP_SYN_SENT || !s->sport)
		return;
	for (size_t i = 0; i < o->n_pending; i++) {
		struct owners_pending *w = &o->pending[i];
		const struct owner_query *q = &w->q;
		struct socket_key k;

		if (!is_connect6(w) || w->peeked || q->local_port != s->sport ||
			q->remote_port != s->dport || memcmp(q->local_addr, s->src, 16) != 0 ||
			memcmp(q->remote_addr, s->dst, 16) != 0)
			continue;
		owners_query_key(q, &k);
		w->peeked =
			sockets_connecting(o->sockets, s->skaddr, &k, owners_scope(o, q), q->t_ns);
	}
}

static void peek_ports(struct owners *o)
{
	o->peek_lost = false;
	tap_reader_peek(o->tap, peek_port, o);
	for (size_t i = 0; i < o->n_pending; i++) {
		struct owners_pending *w = &o->pending[i];
		const struct socket_claim *c = w->peeked;

		/* Behind a loss the socket may be another one at the same place. */
		if (!c || o->peek_lost || !owners_trusts(o, &w->q, c))
			continue;
		owners_answer(o, &w->q, w->answer, c->process, RECORD_METHOD_TAP_CONNECT,
			RECORD_CONFIDENCE_EXACT, c->cgroup_id);
		w->answer = NULL;
	}
}

/* @w as it was asked the last time. */
static struct owner_query last_query(const struct owners_pending *w)
{
	struct owner_query q = w->q;

	q.t_ns = w->again_ns;
	return q;
}

static bool try_tables(struct owners *o, struct owners_pending *w)
{
	bool found = owners_try_tables(o, &w->q, w->answer);

	if (w->again_ns) {
		const struct owner_query q = last_query(w);

		found |= owners_try_tables(o, &q, w->answer);
	}
	return found;
}

static void settle_from_tap(struct owners *o)
{
	bool connect6 = false;

	if (!o->tap)
		return; /* nothing has been applied since it was asked */
	for (size_t i = 0; i < o->n_pending; i++) {
		struct owners_pending *w = &o->pending[i];

		/* Events have been applied since it was asked. */
		if (w->answer && try_tables(o, w))
			w->answer = NULL;
		connect6 |= is_connect6(w);
	}
	if (connect6)
		peek_ports(o);
}

/* What the kernel says about the socket, short of its process. */
static void take_socket(struct owner *a, const struct diag_socket *s)
{
	a->cookie = s->cookie;
	/* Once known it stays: a socket that is closed has forgotten its owner. */
	if (s->uid != UINT32_MAX)
		a->uid = s->uid;
	if (s->cgroup_id)
		a->cgroup_id = s->cgroup_id;
	if (a->confidence == RECORD_CONFIDENCE_UNKNOWN && (s->uid != UINT32_MAX || s->cgroup_id)) {
		a->method = RECORD_METHOD_SOCK_DIAG;
		a->confidence = RECORD_CONFIDENCE_CGROUP_ONLY;
	}
}

/* How sure it is that @p, which had a socket at the start, had it to its end. */
static enum record_confidence kept(struct owners *o, const struct process *p)
{
	if (o->tap)
		return p->fork_ns ? RECORD_CONFIDENCE_PROBABLE : RECORD_CONFIDENCE_EXACT;
	owners_hear(o);
	/* A child may have had it in the end, and nobody would have told. */
	if (!o->connector || p->fork_ns || o->life_lost_ns)
		return RECORD_CONFIDENCE_UNKNOWN;
	return RECORD_CONFIDENCE_PROBABLE;
}

/*
 * A closed connection's socket has no inode any more, but keeps its cookie: by it the sweep knows
 * whose it was, unless it changed hands unseen.
 */
static bool take_swept(struct owners *o, struct owners_pending *w)
{
	uint64_t from = w->q.start_ns ? w->q.start_ns : w->q.t_ns;
	enum record_confidence sure;
	const struct socket_claim *c;
	struct socket_key k;

	if (w->match != DIAG_MATCH_EXACT || w->socket.inode || !w->socket.cookie)
		return false;
	owners_query_key(&w->q, &k);
	c = sockets_connection(o->sockets, &k, owners_scope(o, &w->q), from, w->q.t_ns);
	if (!c || c->method != RECORD_METHOD_SEED || c->cookie != w->socket.cookie)
		return false;
	sure = kept(o, c->process);
	if (sure == RECORD_CONFIDENCE_UNKNOWN)
		return false;
	owners_answer(o, &w->q, w->answer, c->process, RECORD_METHOD_SEED,
		c->shared ? RECORD_CONFIDENCE_PROBABLE : sure, c->cgroup_id);
	w->answer->cookie = c->cookie;
	w->answer = NULL;
	return true;
}

/* The kernel shows a socket of the cgroup whose process claimed it, only not for certain. */
static void take_candidate(struct owners *o, struct owners_pending *w, const struct diag_socket *s)
{
	const struct socket_claim *c = s->cgroup_id ? owners_candidate(o, &w->q) : NULL;

	if (!c || c->cgroup_id != s->cgroup_id)
		return;
	if (!owners_take_claim(o, &w->q, w->answer, c, RECORD_CONFIDENCE_PROBABLE))
		return;
	w->answer->cookie = s->cookie;
	sockets_connecting_from(o->sockets, c, w->q.local_port);
}

/* What the kernel's answers about the socket of @w lead to. */
static void take_reply(struct owners *o, struct owners_pending *w)
{
	const struct diag_socket *s = &w->socket;
	const struct inode_holder *holder;
	struct process *sender;
	enum record_confidence sure = RECORD_CONFIDENCE_PROBABLE;
	enum owners_holds holds = OWNERS_HOLDS_NOT;

	if (w->match == DIAG_MATCH_NONE || w->twice)
		return;
	/* User and cgroup are those of the socket, also where it names no process. */
	if (w->match == DIAG_MATCH_EXACT)
		take_socket(w->answer, s);
	if (take_swept(o, w))
		return;
	sender = owners_filter_holder(o, &w->q, s->cookie);
	if (sender) {
		owners_answer(o, &w->q, w->answer, sender, RECORD_METHOD_TAP_SEND,
			RECORD_CONFIDENCE_EXACT, s->cgroup_id);
		w->answer->cookie = s->cookie;
		w->answer = NULL;
		return;
	}
	/* One socket of a group is as good as another: which one gets it is not known here. */
	if (w->ambiguous && w->match != DIAG_MATCH_EXACT)
		return;
	holder = s->inode ? inodes_find(o->inodes, s->inode, s->cookie) : NULL;
	if (holder)
		holds = owners_still_holds(o, holder, w->q.t_ns);
	if (holder && holds == OWNERS_HOLDS_NOT) {
		inodes_remove(o->inodes, s->inode);
		holder = NULL;
	}
	if (!holder) {
		if (w->match != DIAG_MATCH_EXACT)
			take_socket(w->answer, s);
		/* Also where it is no answer: it is one for what comes after. */
		w->inode = s->inode;
		w->cookie = s->cookie;
		if (!w->unproven)
			take_candidate(o, w, s);
		return;
	}
	if (w->unproven)
		return;
	if (w->match == DIAG_MATCH_EXACT && !holder->shared && holds == OWNERS_HOLDS)
		sure = RECORD_CONFIDENCE_EXACT;
	owners_answer(
		o, &w->q, w->answer, holder->process, RECORD_METHOD_SOCK_DIAG, sure, s->cgroup_id);
	w->answer->cookie = s->cookie;
	w->answer = NULL;
}

/* Of what was found by a UDP port alone, by @looked_ns: whose port it may not have been. */
static void doubt_ports(struct owners *o, uint64_t looked_ns)
{
	bool heard = false;

	for (size_t i = 0; i < o->n_pending; i++) {
		struct owners_pending *w = &o->pending[i];

		if (!w->answer || w->q.proto != IPPROTO_UDP || w->match == DIAG_MATCH_NONE)
			continue;
		if (!heard)
			owners_hear(o);
		heard = true;
		w->unproven = !owners_is_as_old(o, w, looked_ns);
	}
}

static void settle_from_diag(struct owners *o)
{
	for (size_t i = 0; i < o->n_pending; i++)
		o->pending[i].match = DIAG_MATCH_NONE;
	owners_look_up(o);
	if (!o->tap)
		doubt_ports(o, owners_now_ns());
	for (size_t i = 0; i < o->n_pending; i++) {
		struct owners_pending *w = &o->pending[i];
		const struct owner_query first = w->q;

		if (w->answer)
			take_reply(o, w);
		if (w->answer && w->again_ns) {
			w->q = last_query(w);
			take_reply(o, w);
			w->q = first;
		}
	}
}

/* Why @w has no owner after all. */
static enum record_unknown why(const struct owners_pending *w)
{
	if (w->ambiguous || w->unproven)
		return RECORD_UNKNOWN_AMBIGUOUS;
	return w->match == DIAG_MATCH_NONE ? RECORD_UNKNOWN_NO_SOCKET : RECORD_UNKNOWN_NO_PROCESS;
}

static void settle(struct owners *o)
{
	if (!o->n_pending)
		return;
	settle_from_tap(o);
	settle_from_diag(o);
	if (o->keep_procfs)
		owners_search(o);
	for (size_t i = 0; i < o->n_pending; i++) {
		struct owners_pending *w = &o->pending[i];

		/* No socket of its own: a raw one may have sent it. */
		if (w->answer && w->match == DIAG_MATCH_NONE && owners_try_raw(o, &w->q, w->answer))
			continue;
		if (w->answer)
			owners_give_up(o, &w->q, w->answer, why(w));
	}
}

/* Questions that may wait go behind the others; returns how many others there are. */
static size_t sort_patient(struct owners *o)
{
	size_t due = 0;

	for (size_t i = 0; i < o->n_pending; i++) {
		struct owners_pending *w = &o->pending[i], kept;

		if (w->q.patient && w->answer)
			continue;
		if (due != i) {
			kept = *w;
			*w = o->pending[due];
			o->pending[due] = kept;
		}
		due++;
	}
	return due;
}

/* Those behind @due are all that is left. */
static void keep_patient(struct owners *o, size_t due, size_t n)
{
	o->n_pending = n - due;
	memmove(o->pending, o->pending + due, o->n_pending * sizeof(*o->pending));
	for (size_t i = 0; i < o->n_pending; i++)
		o->pending[i].answer->pending = (uint16_t)(i + 1);
}

void owners_settle(struct owners *o, bool all)
{
	size_t n = o->n_pending;

	if (!all)
		o->n_pending = sort_patient(o);
	settle(o);
	keep_patient(o, o->n_pending, n);
}
