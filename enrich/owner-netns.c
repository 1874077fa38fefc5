/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owners across network namespaces: where an address belongs, in whose sockets to look, and what
 * was there before we started.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "enrich/owner-internal.h"

#define SEED_INODES_MAX 262144u

/* Sockets of processes that the sweep saw, in no namespace it could ask: matched when they come. */
struct seed_inodes {
	size_t n, room;
	bool sorted;
	struct seed_inode {
		uint32_t inode;
		unsigned fd;
		struct process *process; /* a reference */
	} * at;
};

const struct netns *owners_home(const struct owners *o, const struct owner_query *q)
{
	return q->netns ? netns_captured(o->spaces, q->netns) : netns_at(o->spaces, 0);
}

static int holds(const void *arg, uint64_t netns, const uint8_t addr[16])
{
	const struct owners *o = arg;
	const struct netns *n = netns_by_inode(o->spaces, netns);

	return n ? links_is_local(n->links, addr) : -1;
}

struct socket_scope owners_scope(struct owners *o, const struct owner_query *q)
{
	const struct netns *home = owners_home(o, q);
	struct socket_scope scope = {
		.initial = !q->netns,
		.holds = holds,
		.arg = o,
		.ambiguous = &o->ambiguous,
	};
	const uint16_t *numbers;

	/* A namespace that is no longer known: inode 0 is nobody's. */
	if (!home) {
		scope.local = true;
		return scope;
	}
	scope.netns = home->inode;
	scope.local = links_is_local(home->links, q->local_addr);
	if (!scope.local && netns_holders(o->spaces, q->local_addr, &numbers) == 1)
		scope.owner = netns_at(o->spaces, numbers[0])->inode;
	return scope;
}

/* ---- asking ---- */

/* Whether @w is to be looked up in namespace @number. */
static bool asks(struct owners *o, const struct owners_pending *w, size_t number)
{
	const struct netns *home = owners_home(o, &w->q), *n = netns_at(o->spaces, number);

	if (!home || !n || !n->diag)
		return false;
	if (links_is_local(home->links, w->q.local_addr))
		return n == home;
	return n != home && links_is_local(n->links, w->q.local_addr);
}

bool owners_can_ask(struct owners *o, const struct owner_query *q, bool local)
{
	const struct netns *home = owners_home(o, q);
	const uint16_t *numbers;
	size_t n;

	if (!home || (q->proto != IPPROTO_TCP && q->proto != IPPROTO_UDP))
		return false;
	if (q->initiator && owners_is_gone(o, q))
		return false;
	if (local)
		return home->diag;
	n = netns_holders(o->spaces, q->local_addr, &numbers);
	for (size_t i = 0; i < n; i++)
		if (netns_at(o->spaces, numbers[i])->diag)
			return true;
	return false;
}

/* Another namespace has answered as well, or could have. */
static void merge(struct owners *o, struct owners_pending *w, const struct diag_query *d)
{
	enum diag_match match = d->match;
	const uint16_t *numbers;

	/* Where a connection is not, the kernel shows its listener: that is the other end's. */
	if (match == DIAG_MATCH_LISTENER && w->q.initiator)
		match = DIAG_MATCH_NONE;
	if (match == DIAG_MATCH_NONE)
		return;
	if (match != DIAG_MATCH_EXACT &&
		!links_is_local(owners_home(o, &w->q)->links, w->q.local_addr) &&
		netns_holders(o->spaces, w->q.local_addr, &numbers) > 1) {
		/* That it would take such a packet says nothing while another would too. */
		w->ambiguous = true;
		return;
	}
	if (w->match == DIAG_MATCH_EXACT && match == DIAG_MATCH_EXACT) {
		w->ambiguous = true;
		w->twice = true;
	}
	w->match = match;
	w->socket = d->socket;
}

/* Takes those out of @n lookups that a look at all listeners answers; returns how many are left. */
static size_t look_up_listeners(struct owners *o, struct diag *d, size_t n)
{
	size_t left = 0;

	if (!o->listeners.wanted || !owners_listeners_read(o, d))
		return n;
	for (size_t i = 0; i < n; i++) {
		struct owners_pending *w = &o->pending[o->looked_up[i]];

		if (w->gone && owners_listeners_find(o, &o->lookups[i].key, &o->lookups[i])) {
			merge(o, w, &o->lookups[i]);
			continue;
		}
		o->lookups[left].key = o->lookups[i].key;
		o->looked_up[left++] = o->looked_up[i];
	}
	return left;
}

static void look_up_in(struct owners *o, size_t number)
{
	const struct netns *n = netns_at(o->spaces, number);
	size_t count = 0;

	for (size_t i = 0; i < o->n_pending; i++) {
		const struct owners_pending *w = &o->pending[i];

		if (!w->answer || (w->gone && !w->q.responder) || !asks(o, w, number))
			continue;
		owners_query_key(&w->q, &o->lookups[count].key);
		o->looked_up[count++] = (uint16_t)i;
		if (w->gone)
			owners_listeners_want(o, w->q.local_port);
	}
	count = look_up_listeners(o, n->diag, count);
	if (!count)
		return;
	/* An error leaves the rest without a match, which is what is known of them. */
	(void)diag_lookup(n->diag, o->lookups, count);
	for (size_t i = 0; i < count; i++)
		merge(o, &o->pending[o->looked_up[i]], &o->lookups[i]);
}

void owners_look_up(struct owners *o)
{
	bool wanted[NETNS_MAX] = {false};

	for (size_t i = 0; i < o->n_pending; i++) {
		struct owners_pending *w = &o->pending[i];
		const struct netns *home = owners_home(o, &w->q);
		const uint16_t *numbers;
		size_t n;

		w->gone = owners_is_gone(o, &w->q);
		if (!w->answer || !home || (w->gone && !w->q.responder))
			continue;
		if (links_is_local(home->links, w->q.local_addr)) {
			wanted[netns_number(o->spaces, home)] = true;
			continue;
		}
		n = netns_holders(o->spaces, w->q.local_addr, &numbers);
		for (size_t j = 0; j < n; j++)
			wanted[numbers[j]] = true;
	}
	for (size_t i = 0; i < netns_end(o->spaces); i++)
		if (wanted[i])
			look_up_in(o, i);
}

struct diag_stats owners_diag_stats(const struct owners *o)
{
	struct diag_stats sum = netns_diag_stats(o->spaces);

	if (o->diag) {
		sum.requests += diag_stats(o->diag)->requests;
		sum.errors += diag_stats(o->diag)->errors;
	}
	return sum;
}

/* ---- what was there before us ---- */

void owners_seed_later(struct owners *o, struct process *p, unsigned fd, uint64_t inode)
{
	struct seed_inodes *s = o->seed_inodes;
	struct seed_inode *bigger;

	if (!s) {
		s = o->seed_inodes = calloc(1, sizeof(*s));
		if (!s)
			return;
	}
	if (s->n == SEED_INODES_MAX || inode > UINT32_MAX)
		return;
	if (s->n == s->room) {
		size_t more = s->room ? s->room * 2 : 256;

		bigger = realloc(s->at, more * sizeof(*bigger));
		if (!bigger)
			return;
		s->at = bigger;
		s->room = more;
	}
	s->at[s->n++] = (struct seed_inode){(uint32_t)inode, fd, process_ref(p)};
}

void owners_seed_free(struct owners *o)
{
	struct seed_inodes *s = o->seed_inodes;

	for (size_t i = 0; s && i < s->n; i++)
		process_unref(s->at[i].process);
	if (s)
		free(s->at);
	free(s);
	o->seed_inodes = NULL;
}

static int compare_inode(const void *a, const void *b)
{
	uint32_t x = ((const struct seed_inode *)a)->inode;
	uint32_t y = ((const struct seed_inode *)b)->inode;

	return x < y ? -1 : x > y;
}

struct seeding {
	struct owners *o;
	uint64_t netns;
};

/* A socket of another namespace: of one of the processes the sweep has seen? */
static void on_socket(void *arg, const struct diag_socket *s)
{
	const struct seeding *g = arg;
	struct seed_inodes *seed = g->o->seed_inodes;
	struct seed_inode key = {.inode = s->inode}, *found;

	if (!s->inode || !seed->n)
		return;
	found = bsearch(&key, seed->at, seed->n, sizeof(key), compare_inode);
	if (!found)
		return;
	while (found > seed->at && found[-1].inode == s->inode)
		found--;
	for (; found < seed->at + seed->n && found->inode == s->inode; found++) {
		const struct inode_holder h = {
			.method = RECORD_METHOD_SEED,
			.t_ns = 1,
			.number = s->inode,
			.cookie = s->cookie,
			.local_port = s->key.local_port,
			.fd = found->fd,
			.process = found->process,
		};

		inodes_add(g->o->inodes, &h);
	}
	owners_claim(g->o, s, g->netns);
}

static void seed_netns(struct owners *o, const struct netns *n)
{
	struct seeding g = {.o = o, .netns = n->inode};

	if (!o->seed_inodes || !n->diag)
		return;
	if (!o->seed_inodes->sorted)
		qsort(o->seed_inodes->at, o->seed_inodes->n, sizeof(*o->seed_inodes->at),
			compare_inode);
	o->seed_inodes->sorted = true;
	(void)diag_dump(n->diag, IPPROTO_TCP, UINT32_MAX, on_socket, &g);
	(void)diag_dump(n->diag, IPPROTO_UDP, UINT32_MAX, on_socket, &g);
	o->seeded_ns = owners_now_ns();
}

/* ---- the hand-over ---- */

void owners_netns_begin(struct owners *o)
{
	netns_set_clear(o->spaces);
}

void owners_netns(struct owners *o, const struct handover_netns *m, const int *fds)
{
	for (uint32_t i = 0; i < m->count; i++) {
		size_t number;

		/* Of one that does not come up nothing is known, as if capture had not found it. */
		if (netns_set_add(o->spaces, &m->entry[i], &fds[i * HANDOVER_NETNS_FDS],
			    o->use_diag, &number) == 0)
			seed_netns(o, netns_at(o->spaces, number));
	}
}

void owners_attached(struct owners *o)
{
	/* What a capture that starts later finds is younger than the sweep. */
	owners_seed_free(o);
	/* The rings may have filled up before: what `flowner run` starts now must find room. */
	owners_advance(o, 1);
}

static bool runs(uint32_t pid)
{
	const struct handover_netns_entry e = {.pid = pid};

	return handover_netns_alive(&e);
}

uint32_t owners_heir(void *owners, uint64_t inode)
{
	const struct owners *o = owners;

	return process_cache_in_netns(o->processes, inode, runs);
}

/* ---- names ---- */

bool owners_is_local_addr(struct owners *o, uint8_t netns, const uint8_t addr[16])
{
	const struct netns *home =
		netns ? netns_captured(o->spaces, netns) : netns_at(o->spaces, 0);
	const uint16_t *numbers;

	return home &&
	       (links_is_local(home->links, addr) || netns_holders(o->spaces, addr, &numbers) > 0);
}

const char *owners_ifname(struct owners *o, uint8_t netns, uint32_t ifindex)
{
	const struct netns *home =
		netns ? netns_captured(o->spaces, netns) : netns_at(o->spaces, 0);

	return home ? links_name(home->links, ifindex) : NULL;
}

const char *owners_netns_name(const struct owners *o, uint8_t netns)
{
	const struct netns *home = netns ? netns_captured(o->spaces, netns) : NULL;

	if (!netns)
		return "";
	return home ? netns_name(home) : NULL;
}
