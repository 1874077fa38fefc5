/* SPDX-License-Identifier: Apache-2.0 */
/* `enrich.tcp_info`: what the kernel counted on connections that were just closed. */
#include <sys/random.h>

#include "enrich/inherited.h"
#include "enrich/owner-internal.h"

#define CLOSED_MAX 16384u
#define READ_NS    UINT64_C(100000000) /* the kernel's buffer lasts for some 6500 messages */

void owners_closed_open(struct owners *o)
{
	uint64_t seed[2];

	int r;

	if (getrandom(seed, sizeof(seed), 0) != sizeof(seed))
		return;
	r = o->from ? diag_watch_new_from(inherited_fd(o->from, INHERITED_CLOSED), &o->watch)
		    : diag_watch_new(&o->watch);
	if (r < 0)
		return;
	if (closed_new(CLOSED_MAX, seed, &o->closed) < 0) {
		diag_watch_free(o->watch);
		o->watch = NULL;
	}
}

void owners_closed_free(struct owners *o)
{
	diag_watch_free(o->watch);
	closed_free(o->closed);
}

static void on_closed(void *arg, const struct diag_socket *s)
{
	struct owners *o = arg;

	closed_add(o->closed, s, o->closed_from_ns, o->closed_ns);
}

/*
 * After an overrun figures of some connections are missing, which is all: who holds a socket is
 * told by its cookie, whether or not its end was heard of.
 */
static void look(struct owners *o)
{
	const struct diag_watch_stats *s;

	o->closed_from_ns = o->closed_ns;
	o->closed_ns = owners_now_ns(); /* packets are older than what is heard now */
	(void)diag_watch_read(o->watch, on_closed, o);
	s = diag_watch_stats(o->watch);
	ledger_add(o->ledger, LEDGER_enrich_closed, s->closed - o->closed_counted.closed);
	ledger_add(
		o->ledger, LEDGER_enrich_closed_overruns, s->overruns - o->closed_counted.overruns);
	o->closed_counted = *s;
}

void owners_closed_read(struct owners *o, uint64_t t_ns)
{
	if (o->watch && t_ns >= o->closed_ns + READ_NS)
		look(o);
}

const struct diag_info *owners_closed(
	struct owners *o, const struct owner_query *q, uint64_t cookie, bool *ret_sure)
{
	struct socket_key k;

	/* Those of other namespaces are not heard of; the tuple could be theirs as well. */
	if (!o->watch || q->netns || !links_is_local(o->links, q->local_addr))
		return NULL;
	look(o);
	owners_query_key(q, &k);
	return closed_find(o->closed, cookie, &k, q->start_ns ? q->start_ns : q->t_ns, ret_sure);
}
