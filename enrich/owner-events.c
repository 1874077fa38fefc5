/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's events into the tables of processes and sockets. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "enrich/owner-internal.h"

/* Whether /proc shows what is known of @p: an exec of the same by the same name may pass for none.
 */
static bool runs_the_same(const struct process *p, const struct procfs_process *found)
{
	const struct text *args = p->args;

	return args && found->args_len >= args->len &&
	       (found->args_len == args->len || p->flags & PROCESS_ARGS_CUT) &&
	       !memcmp(args->bytes, found->args, args->len) &&
	       !memcmp(p->comm, found->comm, sizeof(p->comm));
}

/*
 * Events were lost since @p was last heard of: its pid may be another process's by now, or it may
 * run another program. /proc knows, while it is there.
 */
static struct process *identify(struct owners *o, struct process *p, uint64_t t_ns)
{
	uint64_t start = p->start_ns;

	if (!o->procfs || procfs_read(o->procfs, p->pid, PROCFS_ALL, &o->found) ||
		o->found.start_ns > t_ns + PROCESS_START_SLACK_NS)
		p = process_cache_replace(o->processes, p->pid, t_ns);
	else if (start && o->found.start_ns <= start + PROCESS_START_SLACK_NS &&
		 o->found.start_ns + PROCESS_START_SLACK_NS >= start) {
		if (!runs_the_same(p, &o->found))
			process_exec(p, o->found.comm, process_comm_len(o->found.comm), 0);
	} else {
		p = process_cache_found(o->processes, p->pid, o->found.start_ns);
	}
	if (!p)
		return NULL;
	p->sure_ns = t_ns;
	if (p->pid == o->found.pid && p->start_ns) {
		owners_fill_process(o, p, &o->found);
		p->flags &= ~(unsigned)PROCESS_EXE_NEXT;
		p->flags |= PROCESS_COMPLETED;
	}
	return p;
}

/* The process acting in @r; NULL for the idle task and for tasks outside our pid namespace. */
static struct process *actor(struct owners *o, const struct perf_record *r)
{
	struct process *p;

	if (!r->pid || r->pid == UINT32_MAX)
		return NULL;
	p = process_cache_get(o->processes, r->pid, r->t_ns);
	if (p && p->sure_ns < o->lost_ns && p->seen_ns < o->lost_ns)
		p = identify(o, p, r->t_ns);
	if (p && r->cgroup_id)
		p->cgroup_id = r->cgroup_id;
	return p;
}

static struct socket_claim claim_of(const struct perf_record *r, struct process *p,
	enum record_method method, const struct socket_key *k, uint64_t number)
{
	return (struct socket_claim){
		.key = *k,
		.number = number,
		.method = method,
		.t_ns = r->t_ns,
		.netns = p->netns,
		.cgroup_id = r->cgroup_id ? r->cgroup_id : p->cgroup_id,
		.process = p,
	};
}

/* Kernel threads that take packets in look up routes for the answers. */
static bool is_receiver(const struct process *p)
{
	static const char *const names[] = {"napi/", "backlog_napi", "ksoftirqd/", "irq/"};

	for (size_t i = 0; p->flags & PROCESS_KERNEL && i < sizeof(names) / sizeof(*names); i++)
		if (!strncmp(p->comm, names[i], strlen(names[i])))
			return true;
	return false;
}

static void on_route(struct owners *o, const struct perf_record *r)
{
	const struct perf_record_route *route = &r->route;
	bool udp = route->proto == IPPROTO_UDP, tcp = route->proto == IPPROTO_TCP;
	struct process *p = r->softirq ? NULL : actor(o, r);
	struct socket_claim c;
	struct socket_key k;

	o->any_sport |= route->flags & PERF_ROUTE_ANY_SPORT;
	/* Where connect(2) is marked, no other lookup is one; its bound sockets come as on_state().
	 */
	if (!p || (tcp && (r->bh_off || (o->any_sport && !(route->flags & PERF_ROUTE_ANY_SPORT)))))
		return;
	/* A tunnel's outer packet, made on behalf of whoever sent the inner one; or a thread that
	 * receives packets. */
	if (r->bh_off) {
		if (is_receiver(p))
			return;
		p = o->kernel;
	}
	k = (struct socket_key){
		.proto = route->proto, .local_port = route->sport, .remote_port = route->dport};
	memcpy(k.local_addr, route->src, sizeof(route->src));
	memcpy(k.remote_addr, route->dst, sizeof(route->dst));
	c = claim_of(r, p, tcp ? RECORD_METHOD_TAP_CONNECT : RECORD_METHOD_TAP_SEND, &k, 0);
	sockets_add_connection(o->sockets, &c);
	if (!udp || !route->sport)
		return;
	sockets_add_port(o->sockets, &c);
	busy_count(&o->filter.busy, route->sport, p, r->t_ns);
}

/* Closing tells who had an accepted connection: in its own context, for itself. */
static bool is_close(const struct perf_record *r)
{
	const struct perf_record_state *s = &r->state;

	/* What a listener had not handed out yet, or somebody with the right to kills. */
	if (r->softirq || r->bh_off)
		return false;
	return s->newstate == TCP_FIN_WAIT1 || s->newstate == TCP_LAST_ACK ||
	       (s->newstate == TCP_CLOSE &&
		       (s->oldstate == TCP_ESTABLISHED || s->oldstate == TCP_CLOSE_WAIT));
}

/* Where the process acting in @r is; 0 = not known. */
static uint64_t netns_of(struct owners *o, const struct perf_record *r)
{
	const struct process *p =
		r->softirq ? NULL : process_cache_find(o->processes, r->pid, r->t_ns);

	return p ? p->netns : 0;
}

static void on_state(struct owners *o, const struct perf_record *r)
{
	const struct perf_record_state *s = &r->state;
	struct socket_claim c;
	struct process *p = NULL;
	struct socket_key k = {
		.proto = s->protocol == IPPROTO_SCTP ? IPPROTO_SCTP : IPPROTO_TCP,
		.local_port = s->sport,
		.remote_port = s->dport,
	};

	memcpy(k.local_addr, s->src, sizeof(s->src));
	memcpy(k.remote_addr, s->dst, sizeof(s->dst));
	/* The port of an earlier connect: whoever runs now, the socket says whose it is. */
	if (s->oldstate == TCP_SYN_SENT && s->sport)
		sockets_connected(o->sockets, s->skaddr, &k, r->t_ns);
	if (s->oldstate == TCP_LISTEN && s->newstate == TCP_CLOSE)
		sockets_end_listener(o->sockets, s->skaddr, &k, netns_of(o, r), r->t_ns);
	/* SCTP's other states are of its own numbering; its associations come as on_route(). */
	if (!r->softirq &&
		(s->newstate == TCP_LISTEN ||
			(k.proto == IPPROTO_TCP && (s->newstate == TCP_SYN_SENT || is_close(r)))))
		p = actor(o, r);
	if (!p)
		return;
	if (s->newstate == TCP_LISTEN) {
		c = claim_of(r, p, RECORD_METHOD_TAP_LISTEN, &k, s->skaddr);
		sockets_add_listener(o->sockets, &c);
		owners_filter_listener(o, k.local_port);
	} else if (s->newstate == TCP_SYN_SENT) {
		c = claim_of(r, p, RECORD_METHOD_TAP_CONNECT, &k, s->skaddr);
		sockets_add_connecting(o->sockets, &c);
		if (s->sport)
			sockets_add_connection(o->sockets, &c);
	} else if (!(p->flags & PROCESS_KERNEL)) {
		/* The kernel's threads close what others leave behind. */
		c = claim_of(r, p, RECORD_METHOD_TAP_CLOSE, &k, 0);
		sockets_add_connection(o->sockets, &c);
	}
}

/* How the claim will be found that @r leads to; false = it leads to none. */
static bool tuple_of(const struct perf_record *r, struct socket_key *ret)
{
	if (r->kind == PERF_KIND_STATE) {
		ret->proto = IPPROTO_TCP;
		ret->local_port = r->state.sport;
		ret->remote_port = r->state.dport;
		memcpy(ret->remote_addr, r->state.dst, sizeof(r->state.dst));
	} else if (r->kind == PERF_KIND_ROUTE) {
		ret->proto = r->route.proto;
		ret->local_port = r->route.sport;
		ret->remote_port = r->route.dport;
		memcpy(ret->remote_addr, r->route.dst, sizeof(r->route.dst));
	} else {
		return false;
	}
	return true;
}

void owners_foresee(void *owners, const struct perf_record *r)
{
	const struct owners *o = owners;
	struct socket_key k;

	if (tuple_of(r, &k))
		sockets_foresee(o->sockets, &k);
}

void owners_foresee_next(void *owners, const struct perf_record *r)
{
	const struct owners *o = owners;
	struct socket_key k;

	/* A close is put in front of what is there, unread. */
	if (tuple_of(r, &k))
		sockets_foresee_next(o->sockets, &k,
			r->kind == PERF_KIND_ROUTE || r->state.newstate == TCP_SYN_SENT);
}

static void on_fork(struct owners *o, const struct perf_record *r)
{
	struct process *p;

	if (r->fork.thread || !r->pid || r->pid == UINT32_MAX)
		return;
	p = process_cache_fork(o->processes, r->fork.ppid, r->pid, r->t_ns);
	if (p && r->pid == o->tree_pid)
		p->flags |= PROCESS_IN_TREE;
	/* What the maker of the kernel's threads makes is one, until it runs a program. */
	if (p && o->init_pidns && r->fork.ppid == 2)
		p->flags |= PROCESS_KERNEL;
}

static void on_named(struct owners *o, const struct perf_record *r)
{
	struct process *p;

	/* A thread's own name is not its process's. */
	if (r->pid != r->tid)
		return;
	p = actor(o, r);
	if (!p)
		return;
	if (r->named.exec)
		process_exec(p, r->named.comm.bytes, r->named.comm.len, r->t_ns);
	else
		process_rename(p, r->named.comm.bytes, r->named.comm.len);
}

static void on_namespaces(struct owners *o, const struct perf_record *r)
{
	struct process *p = actor(o, r);

	if (!p)
		return;
	process_set_netns(p, r->tid, r->ns.net);
	if (r->tid != r->pid)
		return;
	p->pidns = r->ns.pid;
	p->userns = r->ns.user;
	p->flags &= ~(unsigned)PROCESS_USERNS_OTHER;
	if (o->userns && p->userns != o->userns)
		p->flags |= PROCESS_USERNS_OTHER;
}

static void on_exec(struct owners *o, const struct perf_record *r)
{
	struct process *p = actor(o, r);

	if (!p)
		return;
	if (r->exec.args.len)
		process_set_args(
			p, r->exec.args.bytes, r->exec.args.len, o->args_max, r->exec.args_cut);
	if (!r->exec.args.len || r->exec.args_cut) {
		bool cut;
		struct text *args = owners_take_early(o, r->pid, r->t_ns, &cut);

		if (args)
			process_set_args(p, args->bytes, args->len, o->args_max, cut);
		text_unref(args);
	}
	/* Inside another user namespace the numbers mean other users. */
	if (r->exec.have_ids && !(p->flags & PROCESS_USERNS_OTHER)) {
		credentials_seen(&p->uids, r->exec.uid, r->exec.ruid, r->t_ns);
		credentials_seen(&p->gids, r->exec.gid, r->exec.rgid, r->t_ns);
	} else if (o->watched_ns == UINT64_MAX) {
		/* The program may be one that runs as its file's owner. */
		credentials_lose(&p->uids, r->t_ns);
		credentials_lose(&p->gids, r->t_ns);
	}
}

void owners_lost(struct owners *o, uint64_t t_ns)
{
	if (t_ns > o->lost_ns)
		o->lost_ns = t_ns;
	o->losses++;
	process_cache_lost(o->processes, t_ns);
	sockets_lost(o->sockets);
}

void owners_apply(void *owners, const struct perf_record *r)
{
	struct owners *o = owners;
	struct process *p;

	owners_apply_changes(o, r->t_ns);
	switch (r->kind) {
	case PERF_KIND_IGNORED:
		break;
	case PERF_KIND_FORKED:
		on_fork(o, r);
		break;
	case PERF_KIND_EXITED:
		if (!r->fork.thread)
			process_cache_exit(o->processes, r->pid, r->t_ns);
		if (!r->fork.thread && r->pid == o->tree_pid)
			o->tree_pid = 0; /* the number may come to mean somebody else */
		break;
	case PERF_KIND_NAMED:
		on_named(o, r);
		break;
	case PERF_KIND_MAPPED:
		p = process_cache_find(o->processes, r->pid, r->t_ns);
		if (p && p->flags & PROCESS_EXE_NEXT)
			process_set_exe(p, r->path.bytes, r->path.len);
		break;
	case PERF_KIND_NAMESPACES:
		on_namespaces(o, r);
		break;
	case PERF_KIND_NEW_CGROUP:
		cgroups_add(o->cgroups, r->cgroup.id, r->cgroup.path.bytes, r->cgroup.path.len);
		break;
	case PERF_KIND_DROPPED:
		owners_lost(o, r->t_ns);
		break;
	case PERF_KIND_EXEC:
		on_exec(o, r);
		break;
	case PERF_KIND_ROUTE:
		on_route(o, r);
		break;
	case PERF_KIND_STATE:
		on_state(o, r);
		break;
	}
}
