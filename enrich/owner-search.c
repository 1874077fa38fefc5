/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `enrich.procfs: keep`: which process holds a socket that no event named, by looking at
 * descriptors, the likeliest first. What is looked for are the inodes of all pending questions;
 * only a descriptor that is the very socket counts.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "enrich/owner-internal.h"

#define FIRST_DESCRIPTOR 3u  /* a client's socket is the first thing it opens ... */
#define LAST_DESCRIPTOR  7u  /* ... after what it inherited */
#define YOUNG_MAX        16u /* processes that are looked at before the others */
#define WHOLE_MAX        16u /* of these, looked at all over */
#define NEWEST_MAX       48u
#define SMALL_CGROUP     32u  /* processes that are worth looking at all of */
#define SMALL_PROCESS    256u /* descriptors, the same */
#define GENERATIONS_MAX  8u   /* from a worker up to who listens */

#define SWEEP_DESCRIPTORS_MAX 100000u
#define SWEEP_SHARE           20u /* sweeps may use one part in this many of the time */
#define SWEEP_PIDS_MAX        65536u
/*
 * What comes before, the same: a quarter of one CPU in the long run. Clients that come all at once
 * may use the quarter of a second's worth beforehand: who waits for more is gone by then.
 */
#define LOOK_SHARE  4u
#define LOOK_NS_MAX UINT64_C(250000000)

struct search {
	struct owners *o;
	size_t missing; /* inodes not yet found */
	size_t n;
	uint32_t *pid;
};

/* Whether @p still has its pid for certain: every event since its start was read. */
static bool is_followed(const struct owners *o, const struct process *p)
{
	return o->connector && p && p->start_ns > o->life_lost_ns && !p->exit_ns;
}

static struct process *process_at(struct owners *o, uint32_t pid, uint64_t t_ns)
{
	struct process *p = process_cache_find(o->processes, pid, t_ns);

	if (is_followed(o, p))
		return p;
	if (procfs_read(o->procfs, pid, PROCFS_ALL, &o->found))
		return o->connector && p && p->start_ns > o->life_lost_ns &&
				       process_alive_at(p, t_ns)
			       ? p
			       : NULL;
	/* Younger than the connection: the pid is another's by now. */
	if (o->found.start_ns > t_ns + PROCESS_START_SLACK_NS)
		return NULL;
	/* It may have gone on to this program since the connection. */
	if (o->connector)
		owners_hear_only(o);
	p = process_cache_found(o->processes, pid, o->found.start_ns);
	if (p && !(p->flags & PROCESS_COMPLETED)) {
		owners_fill_process(o, p, &o->found);
		p->flags |= PROCESS_COMPLETED;
	}
	return p;
}

/* To the front of the list of holders. */
static void remember(
	struct owners *o, struct process *p, const struct owners_pending *w, unsigned fd)
{
	struct owners_holder *h = o->holder, kept = {0};
	size_t at = 0;

	while (at < OWNERS_FOUND_MAX - 1 && h[at].process && h[at].process != p)
		at++;
	if (h[at].process == p)
		kept = h[at];
	process_ref(p);
	process_unref(h[at].process);
	for (; at; at--)
		h[at] = h[at - 1];
	kept.connects |= !w->q.responder;
	kept.accepts |= w->q.responder;
	kept.process = p;
	kept.cgroup_id = w->answer->cgroup_id;
	kept.uid = w->answer->uid;
	kept.fd = fd;
	h[0] = kept;
	for (at = 0; at < o->n_recent; at++)
		if (o->recent[at].pid == p->pid)
			o->recent[at].found = true;
}

/*
 * Workers inherit a listener, at the same descriptor, and are younger: the process that listens is
 * the eldest that holds it. Who of them accepted a connection is another question.
 */
static struct process *eldest(
	struct owners *o, struct process *p, unsigned fd, uint64_t inode, uint64_t t_ns)
{
	uint64_t held;

	for (unsigned i = 0; i < GENERATIONS_MAX && p && p->ppid; i++) {
		struct process *parent;

		if (procfs_socket_at(o->procfs, p->ppid, fd, &held) || held != inode)
			break;
		parent = process_at(o, p->ppid, t_ns);
		if (!parent)
			break;
		p = parent;
	}
	return p;
}

/* @pid holds the socket @inode at @fd. False = nothing is missing any more. */
static bool on_socket(void *arg, uint32_t pid, unsigned fd, uint64_t inode)
{
	struct search *s = arg;
	struct owners *o = s->o;

	for (size_t i = 0; inode && i < o->n_pending; i++) {
		struct owners_pending *w = &o->pending[i];
		struct inode_holder h = {
			.local_port = w->q.local_port,
			.method = RECORD_METHOD_PROCFS,
			.t_ns = w->unproven ? owners_now_ns() : w->q.t_ns,
			.number = inode,
			.fd = fd,
			.cookie = w->cookie,
		};

		if (!w->answer || w->inode != inode)
			continue;
		h.process = process_at(o, pid, w->q.t_ns);
		if (w->match == DIAG_MATCH_LISTENER)
			h.process = eldest(o, h.process, fd, inode, w->q.t_ns);
		if (!h.process)
			continue;
		inodes_add(o->inodes, &h);
		remember(o, h.process, w, fd);
		if (!w->unproven)
			owners_answer(o, &w->q, w->answer, h.process, RECORD_METHOD_PROCFS,
				w->match == DIAG_MATCH_EXACT ? RECORD_CONFIDENCE_EXACT
							     : RECORD_CONFIDENCE_PROBABLE,
				0);
		w->inode = 0;
		s->missing--;
	}
	return s->missing != 0;
}

/* Descriptors @from to @to of @pid. False = there is no such process, or it is not ours to see. */
static bool look_between(struct search *s, uint32_t pid, unsigned from, unsigned to)
{
	unsigned absent = 0;

	for (unsigned fd = from; fd <= to && s->missing; fd++) {
		uint64_t inode;
		int r = procfs_socket_at(s->o->procfs, pid, fd, &inode);

		if (r == 0)
			on_socket(s, pid, fd, inode);
		else if (r != -ENOENT)
			return false;
		else if (++absent == 2)
			break; /* descriptors are given out from below */
	}
	return absent != to - from + 1;
}

static void look_first(struct search *s, uint32_t pid)
{
	(void)look_between(s, pid, FIRST_DESCRIPTOR, LAST_DESCRIPTOR);
}

/* A socket that is new is at the lowest descriptor that was free: near the last one ... */
static void look_near(struct search *s, const struct owners_holder *h)
{
	(void)look_between(s, h->process->pid, h->fd, h->fd + 2);
}

/* ... or at the top. */
static void look_at_holder(struct search *s, const struct owners_holder *h)
{
	uint32_t pid = h->process->pid;
	size_t n = procfs_descriptors(s->o->procfs, pid);

	if (n > SMALL_PROCESS) {
		(void)look_between(s, pid, (unsigned)n - 3, (unsigned)n + 1);
		return;
	}
	n = SMALL_PROCESS;
	(void)procfs_each_socket(s->o->procfs, pid, &n, on_socket, s);
}

static bool is_wanted(const struct search *s, const struct owners_holder *h)
{
	for (size_t i = 0; i < s->o->n_pending; i++) {
		const struct owners_pending *w = &s->o->pending[i];

		if (w->answer && w->inode && (w->q.responder ? h->accepts : h->connects) &&
			w->answer->uid == h->uid && w->answer->cgroup_id == h->cgroup_id)
			return true;
	}
	return false;
}

/* Found sockets move holders to the front: what is walked over is a copy. */
static void look_at_holders(
	struct search *s, void (*look)(struct search *s, const struct owners_holder *h))
{
	struct owners_holder h[OWNERS_FOUND_MAX];

	for (size_t i = 0; i < OWNERS_FOUND_MAX; i++) {
		h[i] = s->o->holder[i];
		process_ref(h[i].process);
	}
	for (size_t i = 0; i < OWNERS_FOUND_MAX; i++) {
		if (s->missing && h[i].process && !h[i].process->exit_ns && is_wanted(s, &h[i]))
			look(s, &h[i]);
		process_unref(h[i].process);
	}
}

/* At most @max of the newest processes that were, or were not, @found to hold a socket before. */
static void look_at_recent(struct search *s, bool found, size_t from, size_t max)
{
	struct owners *o = s->o;

	for (size_t i = 0, n = 0; i < o->n_recent && n < max && s->missing; i++)
		if (o->recent[i].found == found && n++ >= from)
			look_first(s, o->recent[i].pid);
}

static bool look_at_member(void *arg, uint32_t pid)
{
	struct search *s = arg;
	size_t budget = SMALL_PROCESS;

	(void)procfs_each_socket(s->o->procfs, pid, &budget, on_socket, s);
	return s->missing != 0;
}

/* Those that inherited much: a worker that was forked holds what its parent had open. */
static void look_at_recent_whole(struct search *s)
{
	struct owners *o = s->o;

	for (size_t i = 0; i < o->n_recent && i < WHOLE_MAX && s->missing; i++)
		(void)look_at_member(s, o->recent[i].pid);
}

/* Without a connector: the pids given out last. */
static void look_at_newest(struct search *s)
{
	uint32_t pid = procfs_newest(s->o->procfs);

	for (size_t i = 0; i < NEWEST_MAX && pid > 1 && s->missing; i++, pid--)
		look_first(s, pid);
}

static void look_into_cgroups(struct search *s)
{
	uint64_t last = 0;

	for (size_t i = 0; i < s->o->n_pending && s->missing; i++) {
		const struct owners_pending *w = &s->o->pending[i];

		if (!w->answer || !w->inode || w->answer->cgroup_id == last)
			continue;
		last = w->answer->cgroup_id;
		cgroups_each_process(s->o->cgroups, last, SMALL_CGROUP, look_at_member, s);
	}
}

/* A socket still looked for, of our own namespace: in another one nobody would find it here. */
static bool may_be_gone(const struct owners *o, const struct owners_pending *w)
{
	return w->answer && w->inode && !w->q.netns && links_is_local(o->links, w->q.local_addr);
}

/* Sockets closed meanwhile need no further look. */
static void ask_again(struct search *s)
{
	struct owners *o = s->o;
	size_t n = 0, at = 0;

	for (size_t i = 0; i < o->n_pending; i++)
		if (may_be_gone(o, &o->pending[i]))
			owners_query_key(&o->pending[i].q, &o->lookups[n++].key);
	if (!n || !o->diag)
		return;
	(void)diag_lookup(o->diag, o->lookups, n);
	for (size_t i = 0; i < o->n_pending; i++) {
		struct owners_pending *w = &o->pending[i];

		if (!may_be_gone(o, w))
			continue;
		if (o->lookups[at].match == DIAG_MATCH_NONE ||
			o->lookups[at].socket.inode != w->inode) {
			w->inode = 0;
			s->missing--;
		}
		at++;
	}
}

static bool collect(void *arg, uint32_t pid)
{
	struct search *s = arg;

	s->pid[s->n++] = pid;
	return s->n < SWEEP_PIDS_MAX;
}

uint64_t owners_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Everything there is, once for all that is missing. */
static void sweep(struct search *s)
{
	size_t descriptors = SWEEP_DESCRIPTORS_MAX;
	uint64_t start = owners_cpu_ns(), now = owners_now_ns();
	struct owners *o = s->o;

	if (now < o->sweep_ns)
		return;
	s->pid = malloc(SWEEP_PIDS_MAX * sizeof(*s->pid));
	if (!s->pid)
		return;
	(void)procfs_each(o->procfs, collect, s);
	/* /proc lists pids in ascending order: the newest process is the likeliest. */
	for (size_t i = s->n; i && s->missing && descriptors; i--)
		(void)procfs_each_socket(o->procfs, s->pid[i - 1], &descriptors, on_socket, s);
	free(s->pid);
	o->sweep_ns = now + (owners_cpu_ns() - start) * SWEEP_SHARE;
}

/*
 * Looking stays below its share of the time, however many sockets ask for it. What is counted is
 * CPU time: on a busy host we wait for our turn more than we look.
 */
static bool may_look(struct owners *o)
{
	uint64_t now = owners_now_ns();
	uint64_t earned = now > o->search_refill_ns ? (now - o->search_refill_ns) / LOOK_SHARE : 0;

	o->search_refill_ns = now;
	o->search_spent_ns = o->search_spent_ns > earned ? o->search_spent_ns - earned : 0;
	return o->search_spent_ns < LOOK_NS_MAX;
}

/* Whether some of what is missing was opened by its holder: a new process's, more often than not.
 */
static bool has_clients(const struct owners *o)
{
	for (size_t i = 0; i < o->n_pending; i++)
		if (o->pending[i].answer && o->pending[i].inode && !o->pending[i].q.responder)
			return true;
	return false;
}

/* The likeliest first; each step looks for everything that is missing. */
static void look(struct search *s)
{
	struct owners *o = s->o;
	bool clients = has_clients(o);

	if (clients) {
		look_at_recent(s, false, 0, YOUNG_MAX);
		if (s->missing)
			ask_again(s);
	}
	if (s->missing)
		look_at_holders(s, look_near);
	if (s->missing)
		look_at_holders(s, look_at_holder);
	look_at_recent(s, false, clients ? YOUNG_MAX : 0, OWNERS_RECENT_MAX);
	look_at_recent(s, true, 0, OWNERS_RECENT_MAX);
	if (s->missing && !o->connector)
		look_at_newest(s);
	look_at_recent_whole(s);
	if (s->missing)
		look_into_cgroups(s);
}

void owners_search(struct owners *o)
{
	struct search s = {.o = o};
	uint64_t start;

	for (size_t i = 0; i < o->n_pending; i++)
		s.missing += o->pending[i].answer && o->pending[i].inode;
	if (!s.missing || !may_look(o))
		return;
	start = owners_cpu_ns();
	owners_hear(o);
	look(&s);
	o->search_spent_ns += owners_cpu_ns() - start;
	if (s.missing)
		ask_again(&s);
	if (s.missing)
		sweep(&s);
}
