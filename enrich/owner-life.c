/* SPDX-License-Identifier: Apache-2.0 */
/* Without a tap: the process connector's events into the process cache. */
#include <errno.h>
#include <string.h>

#include "enrich/owner-internal.h"

#define BATCH_MAX 8192u /* events between two packets: more wait */
#define READ_MAX  256u  /* of these, programs read out of /proc */

static void forget(struct owners *o, uint32_t pid)
{
	size_t i = 0;

	while (i < o->n_recent && o->recent[i].pid != pid)
		i++;
	if (i == o->n_recent)
		return;
	o->n_recent--;
	memmove(&o->recent[i], &o->recent[i + 1], (o->n_recent - i) * sizeof(o->recent[0]));
}

/* To the front: the search looks at them first. A fork and its exec are one process. */
static void remember(struct owners *o, uint32_t pid)
{
	forget(o, pid);
	if (o->n_recent == OWNERS_RECENT_MAX)
		o->n_recent--;
	memmove(&o->recent[1], &o->recent[0], o->n_recent * sizeof(o->recent[0]));
	o->recent[0] = (struct owners_recent){.pid = pid};
	o->n_recent++;
}

/* What is known of the program that was there before; the new one's is read while it lives. */
static void on_exec(struct owners *o, struct process *p, uint64_t t_ns)
{
	process_exec(p, "", 0, t_ns);
	p->flags &= ~(unsigned)PROCESS_EXE_NEXT; /* no event will bring it */
	if (!o->procfs || !o->life_reads)
		return;
	o->life_reads--;
	/* The rest can wait until it owns a connection, which nearly none does. */
	if (procfs_read(o->procfs, p->pid, PROCFS_EXE | PROCFS_ARGS | PROCFS_IDS, &o->found))
		return;
	/* Read too late, it is of a process that has the pid by now. */
	if (p->start_ns && o->found.start_ns > p->start_ns + PROCESS_START_SLACK_NS)
		return;
	owners_fill_process(o, p, &o->found);
}

static void on_event(void *arg, const struct connector_event *e)
{
	struct owners *o = arg;
	struct process *p;

	switch (e->kind) {
	case CONNECTOR_FORK:
		p = process_cache_fork(o->processes, e->ppid, e->pid, e->t_ns);
		if (p && e->pid == o->tree_pid)
			p->flags |= PROCESS_IN_TREE;
		remember(o, e->pid);
		return;
	case CONNECTOR_EXIT:
		process_cache_exit(o->processes, e->pid, e->t_ns);
		if (e->t_ns > o->exited_ns)
			o->exited_ns = e->t_ns;
		forget(o, e->pid);
		if (e->pid == o->tree_pid)
			o->tree_pid = 0; /* the number may come to mean somebody else */
		return;
	case CONNECTOR_EXEC:
		p = process_cache_get(o->processes, e->pid, e->t_ns);
		if (p)
			on_exec(o, p, e->t_ns);
		remember(o, e->pid);
		return;
	case CONNECTOR_COMM:
		p = process_cache_get(o->processes, e->pid, e->t_ns);
		if (p)
			process_rename(p, e->comm, sizeof(e->comm));
		return;
	case CONNECTOR_UID:
	case CONNECTOR_GID:
	case CONNECTOR_SESSION:
		owners_apply_change(o, e);
		return;
	case CONNECTOR_OTHER:
	case CONNECTOR_ACK:
		return;
	}
}

static void hear(struct owners *o, unsigned reads)
{
	uint64_t overruns, now = owners_now_ns();

	owners_hear_changes(o);
	if (!o->connector)
		return;
	overruns = connector_stats(o->connector)->overruns;
	o->life_reads = reads;
	if (connector_read(o->connector, BATCH_MAX, on_event, o) < BATCH_MAX)
		o->heard_ns = now;
	overruns = connector_stats(o->connector)->overruns - overruns;
	if (overruns) {
		ledger_add(o->ledger, LEDGER_enrich_connector_overruns, overruns);
		o->life_lost_ns = o->watched_ns = owners_now_ns();
		process_cache_sessions_told(o->processes, false);
		process_cache_lost(o->processes, o->life_lost_ns);
	}
}

void owners_hear(struct owners *o)
{
	hear(o, READ_MAX);
}

void owners_hear_only(struct owners *o)
{
	hear(o, 0);
}
