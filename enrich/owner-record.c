/* SPDX-License-Identifier: Apache-2.0 */
/* An owner into a record: what the events told, completed from /proc while the process is there. */
#include <string.h>

#include "enrich/owner-internal.h"

/* Asks /proc once per program for what is missing; user ids may have changed since the exec. */
static void complete(struct owners *o, struct process *p)
{
	unsigned want = PROCFS_CWD | PROCFS_LOGIN;
	uint64_t start;

	if (p->flags & PROCESS_COMPLETED || !o->procfs)
		return;
	p->flags |= PROCESS_COMPLETED;
	if (p->exit_ns)
		return;
	if (p->uids.now.to_ns < o->watched_ns || p->gids.now.to_ns < o->watched_ns || !p->pidns ||
		p->pidns != o->pidns)
		want |= PROCFS_IDS;
	want |= p->exe ? 0 : PROCFS_EXE;
	want |= p->args && !(p->flags & PROCESS_ARGS_CUT) ? 0 : PROCFS_ARGS;
	want |= p->cgroup_id ? 0 : PROCFS_CGROUP;
	want |= p->netns || p->flags & PROCESS_NETNS_MIXED ? 0 : PROCFS_NAMESPACES;
	if (procfs_read(o->procfs, p->pid, want, &o->found))
		return;
	/* Somebody else by now? Started later than what is known of this one. */
	start = o->found.start_ns;
	if (start > (p->start_ns ? p->start_ns : p->seen_ns) + PROCESS_START_SLACK_NS)
		return;
	if (p->start_ns && start + PROCESS_START_SLACK_NS < p->start_ns)
		return;
	if (!p->start_ns) {
		p->start_ns = start;
		p->flags |= PROCESS_START_ROUGH;
	}
	/* Another name: it has gone on to another program, whose events are yet to be applied. */
	if (o->tap && p->comm[0] && memcmp(o->found.comm, p->comm, sizeof(p->comm)) != 0)
		o->found.exe_len = o->found.args_len = o->found.cwd_len = 0;
	owners_fill_process(o, p, &o->found);
}

/*
 * Without the tap nobody tells of an exec: what was read of the old program must not name the new
 * one. Its name and the command line are open to all.
 */
static void recheck(struct owners *o, struct process *p)
{
	uint64_t start = p->start_ns;

	if (o->tap || (o->connector && !o->life_lost_ns) || !o->procfs || p->exit_ns ||
		procfs_read(o->procfs, p->pid, 0, &o->found))
		return;
	if (start && (o->found.start_ns > start + PROCESS_START_SLACK_NS ||
			     o->found.start_ns + PROCESS_START_SLACK_NS < start))
		return; /* the pid is another process's by now */
	if (!memcmp(p->comm, o->found.comm, sizeof(p->comm)))
		return;
	process_exec(p, o->found.comm, process_comm_len(o->found.comm), 0);
	p->flags &= ~(unsigned)PROCESS_EXE_NEXT; /* no event will bring it */
}

static void put_text(struct record *r, const struct text *t, struct record_str *ret)
{
	if (t)
		record_put_str(r, t->bytes, t->len, ret);
}

/* Of these a part would be another's. */
static void put_whole(struct record *r, const struct text *t, struct record_str *ret)
{
	if (t && t->len <= RECORD_STRINGS_MAX - r->strings_len)
		record_put_str(r, t->bytes, t->len, ret);
}

static void put_cgroup(const struct cgroup *g, struct record *r, struct record_process *ret)
{
	if (!g)
		return;
	put_text(r, g->path, &ret->cgroup);
	put_whole(r, g->unit, &ret->unit);
	put_whole(r, g->user_unit, &ret->user_unit);
	put_whole(r, g->container, &ret->container);
	put_whole(r, g->pod, &ret->pod);
	ret->runtime = (uint8_t)g->runtime;
}

/*
 * The moment at which the process had to do with the connection: its start, unless the process came
 * later or was only seen closing it.
 */
static uint64_t moment(const struct process *p, const struct record *r, enum record_method method)
{
	uint64_t t = method == RECORD_METHOD_TAP_CLOSE ? r->end_ns : r->start_ns;

	return t < p->start_ns ? p->start_ns : t;
}

/* As whom it ran at @t_ns; the socket knows who made it, and may be surer. */
static void put_users(
	struct owners *o, const struct process *p, uint64_t t_ns, struct record_process *ret)
{
	const uint32_t socket_uid = ret->uid;
	uint64_t watched;
	uint32_t uid, ruid;
	int how;

	if (o->changes && t_ns > o->heard_ns) {
		owners_hear_changes(o);
		owners_apply_changes(o, t_ns);
	}
	watched = t_ns <= o->heard_ns ? o->watched_ns : UINT64_MAX;
	how = credentials_at(&p->uids, t_ns, watched, &uid, &ruid);
	if (how == 0 || socket_uid == UINT32_MAX) {
		ret->uid = uid;
		ret->ruid = ruid;
	}
	if (credentials_at(&p->gids, t_ns, watched, &ret->gid, &ruid) ==
			CREDENTIALS_E_UNCONFIRMED ||
		(how == CREDENTIALS_E_UNCONFIRMED && ret->uid != socket_uid))
		ret->flags |= RECORD_PROCESS_IDS_UNCONFIRMED;
}

static void put_ids(const struct owners *o, const struct process *p, struct record_process *ret)
{
	ret->start_ns = p->start_ns;
	ret->pid = p->pid;
	ret->inner_pid = p->inner_pid;
	ret->ppid = p->ppid;
	ret->loginuid = p->loginuid;
	if (p->flags & PROCESS_SESSION) {
		ret->sid = p->sid;
		ret->tty = p->tty;
	}
	ret->netns = p->netns == o->netns ? 0 : p->netns;
	ret->pidns = p->pidns == o->pidns ? 0 : p->pidns;
	if (p->flags & PROCESS_IN_TREE)
		ret->flags |= RECORD_PROCESS_IN_TREE;
}

/*
 * What it ran at the time of @r: it may have gone on to another program since. Short before long:
 * should the area ever be full, the command line is what is cut.
 */
static void put_strings(const struct process *p, struct record *r, struct record_process *ret)
{
	struct program run = {0};

	(void)process_program(p, r->t_ns, &run);
	if (run.flags & PROCESS_ARGS_CUT)
		ret->flags |= RECORD_PROCESS_ARGS_CUT;
	if (run.flags & PROCESS_EXE_DELETED)
		ret->flags |= RECORD_PROCESS_EXE_DELETED;
	record_put_str(r, run.comm, process_comm_len(run.comm), &ret->name);
	record_put_str(r, p->parent_comm, process_comm_len(p->parent_comm), &ret->parent_name);
	put_whole(r, p->ancestors, &ret->ancestors);
	put_text(r, run.exe, &ret->exe);
	put_text(r, p->cwd, &ret->cwd);
	if (run.args && !record_put_str(r, run.args->bytes, run.args->len, &ret->args))
		ret->flags |= RECORD_PROCESS_ARGS_CUT;
}

/* Without a tap nobody tells of new groups: an unknown one is looked for. */
static const struct cgroup *cgroup_of(struct owners *o, uint64_t id)
{
	const struct cgroup *g = cgroups_find(o->cgroups, id);

	return g || !id || !cgroups_refresh(o->cgroups) ? g : cgroups_find(o->cgroups, id);
}

void owner_to_record(
	struct owners *o, const struct owner *a, struct record *r, struct record_process *ret)
{
	struct process *p = a->process;

	ret->cgroup_id = a->cgroup_id;
	ret->latency_ns = a->latency_ns;
	ret->uid = a->confidence == RECORD_CONFIDENCE_UNKNOWN ? UINT32_MAX : a->uid;
	ret->gid = UINT32_MAX;
	ret->ruid = UINT32_MAX;
	ret->loginuid = UINT32_MAX;
	ret->method = (uint8_t)a->method;
	ret->confidence = (uint8_t)a->confidence;
	ret->unknown = (uint8_t)a->unknown;
	if (p) {
		recheck(o, p);
		complete(o, p);
		process_cache_name_parent(o->processes, p);
		put_ids(o, p, ret);
		put_users(o, p, moment(p, r, a->method), ret);
		if (!ret->cgroup_id)
			ret->cgroup_id = p->cgroup_id;
	}
	put_whole(r, users_user(o->users, ret->uid), &ret->user);
	put_whole(r, users_group(o->users, ret->gid), &ret->group);
	put_cgroup(cgroup_of(o, ret->cgroup_id), r, ret);
	if (p)
		put_strings(p, r, ret);
}

bool owner_in_tree(const struct owner *a)
{
	return a->process && a->process->flags & PROCESS_IN_TREE;
}

void owner_deinit(struct owner *a)
{
	process_unref(a->process);
	*a = (struct owner){0};
}
