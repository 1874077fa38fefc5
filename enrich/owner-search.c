/* SPDX-License-Identifier: Apache-2.0 */
/* `enrich.procfs: keep`: which process holds a socket that no event named. */
#include <stdlib.h>

#include "enrich/owner-internal.h"

#define SEARCH_DESCRIPTORS_MAX 100000u
#define SEARCH_SHARE           20u /* a search may use one part in this many of the time */
#define SEARCH_PIDS_MAX        65536u

struct search {
	struct owners *o;
	size_t missing; /* inodes not yet found */
	size_t n;
	uint32_t *pid;
	size_t descriptors;
};

static bool collect(void *arg, uint32_t pid)
{
	struct search *s = arg;

	s->pid[s->n++] = pid;
	return s->n < SEARCH_PIDS_MAX;
}

static struct process *process_at(struct owners *o, uint32_t pid)
{
	struct process *p;

	if (procfs_read(o->procfs, pid, PROCFS_ALL, &o->found))
		return NULL;
	p = process_cache_found(o->processes, pid, o->found.start_ns);
	if (p && !(p->flags & PROCESS_COMPLETED)) {
		owners_fill_process(o, p, &o->found);
		p->flags |= PROCESS_COMPLETED;
	}
	return p;
}

static bool on_socket(void *arg, uint32_t pid, uint64_t inode)
{
	struct search *s = arg;
	struct owners *o = s->o;
	struct process *p;

	for (size_t i = 0; i < o->n_pending; i++) {
		struct owners_pending *w = &o->pending[i];
		struct socket_claim c = {
			.method = RECORD_METHOD_PROCFS,
			.t_ns = w->q.t_ns,
			.number = inode,
			.netns = o->netns,
		};

		if (!w->answer || w->inode != inode)
			continue;
		p = process_at(o, pid);
		if (!p)
			continue;
		c.process = p;
		sockets_add_inode(o->sockets, &c);
		owners_answer(&w->q, w->answer, p, RECORD_METHOD_PROCFS,
			w->match == DIAG_MATCH_EXACT ? RECORD_CONFIDENCE_EXACT
						     : RECORD_CONFIDENCE_PROBABLE,
			0);
		w->inode = 0;
		s->missing--;
	}
	return s->missing != 0;
}

void owners_search(struct owners *o)
{
	struct search s = {.o = o, .descriptors = SEARCH_DESCRIPTORS_MAX};
	uint64_t start = owners_now_ns();

	for (size_t i = 0; i < o->n_pending; i++)
		s.missing += o->pending[i].answer && o->pending[i].inode;
	if (!s.missing || start < o->sweep_ns)
		return;
	s.pid = malloc(SEARCH_PIDS_MAX * sizeof(*s.pid));
	if (!s.pid)
		return;
	(void)procfs_each(o->procfs, collect, &s);
	/* /proc lists pids in ascending order: the newest process is the likeliest. */
	for (size_t i = s.n; i && s.missing && s.descriptors; i--)
		(void)procfs_each_socket(o->procfs, s.pid[i - 1], &s.descriptors, on_socket, &s);
	free(s.pid);
	o->sweep_ns = start + (owners_now_ns() - start) * SEARCH_SHARE;
}
