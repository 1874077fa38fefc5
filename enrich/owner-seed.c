/* SPDX-License-Identifier: Apache-2.0 */
/* The start-up sweep: processes and sockets that were there before the first event. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "enrich/owner-internal.h"
#include "enrich/seed-file.h"
#include "shm/cleanup.h"

#define SEED_SOCKETS_MAX 262144u

struct sweep {
	struct owners *o;
	size_t n, room;
	struct diag_socket *socket; /* of this host that a process holds; sorted by inode */
	size_t descriptors;         /* that may still be looked at */
	size_t processes;
	struct process *process; /* whose descriptors are read now */
};

static void collect(void *arg, const struct diag_socket *s)
{
	struct sweep *w = arg;
	struct diag_socket *bigger;
	size_t more = w->room ? w->room * 2 : 256;

	if (!s->inode || w->n == SEED_SOCKETS_MAX)
		return;
	if (w->n == w->room) {
		bigger = realloc(w->socket, more * sizeof(*bigger));
		if (!bigger)
			return;
		w->socket = bigger;
		w->room = more;
	}
	w->socket[w->n++] = *s;
}

static int compare_inode(const void *a, const void *b)
{
	uint32_t x = ((const struct diag_socket *)a)->inode;
	uint32_t y = ((const struct diag_socket *)b)->inode;

	return x < y ? -1 : x > y;
}

void owners_fill_process(struct owners *o, struct process *p, const struct procfs_process *from)
{
	uint64_t id;

	p->ppid = p->ppid ? p->ppid : from->ppid;
	if (!p->comm[0])
		process_rename(p, from->comm, sizeof(from->comm));
	if (from->uid != UINT32_MAX) {
		credentials_seen(&p->uids, from->uid, from->ruid, from->read_ns);
		credentials_seen(&p->gids, from->gid, from->rgid, from->read_ns);
		p->inner_pid = from->inner_pid;
	}
	if (from->loginuid != UINT32_MAX)
		p->loginuid = from->loginuid;
	p->sid = from->sid;
	p->tty = from->tty;
	p->flags |= PROCESS_SESSION;
	if (from->cwd_len)
		text_replace(&p->cwd, text_new(from->cwd, from->cwd_len));
	if (!p->exe && from->exe_len)
		process_set_exe(p, from->exe, from->exe_len);
	if ((!p->args || p->flags & PROCESS_ARGS_CUT) && from->args_len)
		process_set_args(p, from->args, from->args_len, o->args_max, from->args_cut);
	if (from->cgroup_len) {
		id = cgroups_id(o->cgroups, from->cgroup, from->cgroup_len);
		if (id) {
			p->cgroup_id = id;
			cgroups_add(o->cgroups, id, from->cgroup, from->cgroup_len);
		}
	}
	if (!p->netns && !(p->flags & PROCESS_NETNS_MIXED))
		p->netns = from->netns;
	p->pidns = p->pidns ? p->pidns : from->pidns;
	p->userns = p->userns ? p->userns : from->userns;
	if (o->userns && p->userns && p->userns != o->userns)
		p->flags |= PROCESS_USERNS_OTHER;
}

static bool on_socket(void *arg, uint32_t pid, unsigned fd, uint64_t inode)
{
	struct sweep *w = arg;
	struct diag_socket key = {.inode = (uint32_t)inode}, *found = NULL;
	struct inode_holder h = {
		.method = RECORD_METHOD_SEED,
		.t_ns = 1,
		.number = inode,
		.fd = fd,
		.process = w->process,
	};

	(void)pid;
	if (inode <= UINT32_MAX && w->n)
		found = bsearch(&key, w->socket, w->n, sizeof(key), compare_inode);
	if (found) {
		h.cookie = found->cookie;
		h.local_port = found->key.local_port;
		inodes_add(w->o->inodes, &h);
	} else {
		owners_seed_later(w->o, w->process, fd, inode);
	}
	return true;
}

/* False: there is no memory. */
static bool on_found(void *arg, const struct procfs_process *found)
{
	struct sweep *w = arg;
	struct owners *o = w->o;
	struct process *p = process_cache_found(o->processes, found->pid, found->start_ns);

	if (!p)
		return false;
	owners_fill_process(o, p, found);
	p->flags |= PROCESS_COMPLETED;
	if (o->init_pidns && (found->ppid == 2 || found->pid == 2) && !found->args_len &&
		!found->exe_len)
		p->flags |= PROCESS_KERNEL;
	w->process = p;
	return true;
}

static bool on_process(void *arg, uint32_t pid)
{
	struct sweep *w = arg;
	struct owners *o = w->o;

	if (procfs_read(o->procfs, pid, PROCFS_ALL, &o->found))
		return true; /* gone meanwhile */
	if (!on_found(w, &o->found))
		return false;
	if (w->descriptors)
		(void)procfs_each_socket(o->procfs, pid, &w->descriptors, on_socket, w);
	return true;
}

void owners_claim(struct owners *o, const struct diag_socket *s, uint64_t netns)
{
	const struct inode_holder *h = inodes_find(o->inodes, s->inode, s->cookie);
	struct socket_claim c;

	if (!h)
		return;
	c = (struct socket_claim){
		.key = s->key,
		.shared = h->shared,
		.v6only = s->v6only,
		.method = (enum record_method)h->method,
		.t_ns = h->t_ns,
		.process = h->process,
		.netns = netns,
		.cgroup_id = s->cgroup_id,
		.cookie = h->cookie,
	};
	if (s->key.proto == IPPROTO_TCP && s->state == TCP_LISTEN) {
		sockets_add_listener(o->sockets, &c);
		owners_filter_listener(o, s->key.local_port);
	} else if (s->key.remote_port)
		sockets_add_connection(o->sockets, &c);
	if (s->key.proto == IPPROTO_UDP && s->key.local_port)
		sockets_add_port(o->sockets, &c);
}

int owners_seed(struct owners *o, int fd)
{
	struct sweep w = {.o = o, .descriptors = OWNERS_SEED_DESCRIPTORS_MAX};
	int r;

	if (!o->procfs)
		return 0;
	if (o->diag) {
		(void)diag_dump(o->diag, IPPROTO_TCP, UINT32_MAX, collect, &w);
		(void)diag_dump(o->diag, IPPROTO_UDP, UINT32_MAX, collect, &w);
	}
	if (w.n)
		qsort(w.socket, w.n, sizeof(*w.socket), compare_inode);
	r = fd < 0 ? procfs_each(o->procfs, on_process, &w)
		   : seed_file_read(fd, on_found, on_socket, &w);
	for (size_t i = 0; i < w.n; i++)
		owners_claim(o, &w.socket[i], o->netns);
	process_cache_name_parents(o->processes);
	o->seeded = r == 0;
	o->seeded_ns = owners_now_ns();
	free(w.socket);
	return r;
}
