/* SPDX-License-Identifier: Apache-2.0 */
/* The process cache: chains by pid, newest start first, and lists for eviction. */
#include "enrich/process.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shm/record.h"

/* Bytes of all ancestors: a pid of ten digits, a blank, a name and a NUL each. */
#define ANCESTORS_SIZE (RECORD_ANCESTORS_MAX * (12u + PROCESS_COMM_MAX))

#define PROGRAM_FLAGS ((unsigned)(PROCESS_ARGS_CUT | PROCESS_EXE_DELETED))

struct list {
	struct process *first, *last; /* first = least recently used */
};

struct process_cache {
	size_t max, count, buckets; /* buckets is a power of two */
	uint64_t evicted, evicted_alive;
	uint64_t lost_ns; /* events may be missing up to here */
	bool sessions_told;
	struct list alive, dead;
	struct process **bucket;
};

struct process *process_ref(struct process *p)
{
	if (p)
		p->refs++;
	return p;
}

struct process *process_new_kernel(void)
{
	struct process *p = calloc(1, sizeof(*p));

	if (p) {
		p->refs = 1;
		p->flags = PROCESS_KERNEL;
	}
	return p;
}

void process_unref(struct process *p)
{
	if (!p || --p->refs)
		return;
	text_unref(p->exe);
	text_unref(p->args);
	text_unref(p->cwd);
	text_unref(p->ancestors);
	text_unref(p->offspring);
	text_unref(p->former.exe);
	text_unref(p->former.args);
	free(p);
}

/* Asked four times a connection, so without a call: all behind its last byte is NUL. */
size_t process_comm_len(const char comm[PROCESS_COMM_MAX])
{
	uint64_t half[2];

	memcpy(half, comm, sizeof(half));
	if (half[1])
		return 16 - (size_t)__builtin_clzll(le64toh(half[1])) / 8;
	return half[0] ? 8 - (size_t)__builtin_clzll(le64toh(half[0])) / 8 : 0;
}

void process_set_comm(char comm[PROCESS_COMM_MAX], const char *bytes, size_t len)
{
	if (len > PROCESS_COMM_MAX)
		len = PROCESS_COMM_MAX;
	memset(comm, 0, PROCESS_COMM_MAX);
	memcpy(comm, bytes, strnlen(bytes, len));
}

void process_rename(struct process *p, const char *comm, size_t len)
{
	process_set_comm(p->comm, comm, len);
	text_replace(&p->offspring, NULL);
}

static struct program current(const struct process *p)
{
	struct program c = {p->exe, p->args, .flags = p->flags & PROGRAM_FLAGS};

	memcpy(c.comm, p->comm, sizeof(c.comm));
	return c;
}

/* Its program becomes the former one. */
static void retire(struct process *p, uint64_t t_ns)
{
	text_unref(p->former.exe);
	text_unref(p->former.args);
	p->former = current(p);
	p->former_ns = p->exec_ns;
	p->exec_ns = t_ns;
	p->exe = p->args = NULL;
	if (t_ns)
		return;
	text_replace(&p->former.exe, NULL);
	text_replace(&p->former.args, NULL);
}

bool process_program(const struct process *p, uint64_t t_ns, struct program *ret)
{
	if (t_ns >= p->exec_ns)
		*ret = current(p);
	else if (t_ns >= p->former_ns)
		*ret = p->former;
	else
		return false;
	return true;
}

void process_exec(struct process *p, const char *comm, size_t comm_len, uint64_t t_ns)
{
	retire(p, t_ns);
	process_rename(p, comm, comm_len);
	text_replace(&p->cwd, NULL); /* it may have changed before, too */
	p->flags &= ~(unsigned)(PROGRAM_FLAGS | PROCESS_COMPLETED | PROCESS_KERNEL);
	p->flags |= PROCESS_EXE_NEXT;
}

void process_lead_session(struct process *p)
{
	p->sid = p->pid;
	p->tty = 0;
	p->flags |= PROCESS_SESSION;
}

void process_set_exe(struct process *p, const char *path, size_t len)
{
	static const char deleted[] = " (deleted)";
	const size_t tail = sizeof(deleted) - 1;

	p->flags &= ~(unsigned)(PROCESS_EXE_DELETED | PROCESS_EXE_NEXT);
	if (len > tail && !memcmp(path + len - tail, deleted, tail)) {
		len -= tail;
		p->flags |= PROCESS_EXE_DELETED;
	}
	text_replace(&p->exe, text_new(path, len));
}

void process_set_args(struct process *p, const char *bytes, size_t len, size_t max, bool cut)
{
	if (len > max) {
		len = max;
		cut = true;
	}
	text_replace(&p->args, text_new(bytes, len));
	p->flags &= ~(unsigned)PROCESS_ARGS_CUT;
	if (cut)
		p->flags |= PROCESS_ARGS_CUT;
}

void process_set_netns(struct process *p, uint32_t tid, uint64_t netns)
{
	if (tid == p->pid) {
		p->netns = netns;
		p->flags &= ~(unsigned)PROCESS_NETNS_MIXED;
	} else if (p->netns != netns) {
		/* Nobody can tell any more which of its threads made a socket where. */
		p->netns = 0;
		p->flags |= PROCESS_NETNS_MIXED;
	}
}

bool process_alive_at(const struct process *p, uint64_t t_ns)
{
	return !p->exit_ns || t_ns <= p->exit_ns;
}

/* ---- the cache ---- */

static void list_remove(struct list *l, struct process *p)
{
	if (p->prev)
		p->prev->next = p->next;
	else
		l->first = p->next;
	if (p->next)
		p->next->prev = p->prev;
	else
		l->last = p->prev;
	p->prev = p->next = NULL;
}

static void list_append(struct list *l, struct process *p)
{
	p->prev = l->last;
	p->next = NULL;
	if (l->last)
		l->last->next = p;
	else
		l->first = p;
	l->last = p;
}

static struct list *list_of(struct process_cache *c, const struct process *p)
{
	return p->exit_ns ? &c->dead : &c->alive;
}

static void touch(struct process_cache *c, struct process *p)
{
	/* The dead stay in the order of their exit. */
	if (p->exit_ns || c->alive.last == p)
		return;
	list_remove(&c->alive, p);
	list_append(&c->alive, p);
}

static struct process **bucket_of(struct process_cache *c, uint32_t pid)
{
	/* pids are handed out in sequence by the kernel: their low bits spread well as they are. */
	return &c->bucket[pid & (c->buckets - 1)];
}

static void forget(struct process_cache *c, struct process *p)
{
	struct process **at = bucket_of(c, p->pid);

	while (*at != p)
		at = &(*at)->chain;
	*at = p->chain;
	p->chain = NULL;
	list_remove(list_of(c, p), p);
	c->count--;
	process_unref(p);
}

static uint64_t since(const struct process *p)
{
	return p->start_ns ? p->start_ns : p->seen_ns;
}

/* Puts @p before the first entry of its pid that is older, so that lookups meet the newest first.
 */
static void link_sorted(struct process_cache *c, struct process *p)
{
	struct process **at = bucket_of(c, p->pid);

	while (*at && ((*at)->pid != p->pid || since(*at) > since(p)))
		at = &(*at)->chain;
	p->chain = *at;
	*at = p;
}

static struct process *add(
	struct process_cache *c, uint32_t pid, uint64_t start_ns, uint64_t seen_ns)
{
	struct process *p;

	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	if (c->count >= c->max) {
		c->evicted_alive += !c->dead.first;
		forget(c, c->dead.first ? c->dead.first : c->alive.first);
		c->evicted++;
	}
	p->refs = 1;
	p->pid = pid;
	credentials_init(&p->uids);
	credentials_init(&p->gids);
	p->loginuid = UINT32_MAX;
	p->start_ns = start_ns;
	p->seen_ns = seen_ns;
	link_sorted(c, p);
	list_append(&c->alive, p);
	c->count++;
	return p;
}

int process_cache_new(size_t max, struct process_cache **ret)
{
	struct process_cache *c;

	if (!max)
		return -EINVAL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->max = max;
	for (c->buckets = 64; c->buckets < max && c->buckets < (1u << 20); c->buckets *= 2)
		;
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
	c->bucket = calloc(c->buckets, sizeof(*c->bucket));
	if (!c->bucket) {
		free(c);
		return -ENOMEM;
	}
	*ret = c;
	return 0;
}

void process_cache_free(struct process_cache *c)
{
	if (!c)
		return;
	while (c->dead.first)
		forget(c, c->dead.first);
	while (c->alive.first)
		forget(c, c->alive.first);
	free(c->bucket);
	free(c);
}

size_t process_cache_count(const struct process_cache *c)
{
	return c->count;
}

uint64_t process_cache_evicted(const struct process_cache *c)
{
	return c->evicted;
}

uint64_t process_cache_evicted_alive(const struct process_cache *c)
{
	return c->evicted_alive;
}

struct process *process_cache_find(struct process_cache *c, uint32_t pid, uint64_t t_ns)
{
	for (struct process *p = *bucket_of(c, pid); p; p = p->chain) {
		/* A rough start may be a tick too late. */
		uint64_t slack = p->flags & PROCESS_START_ROUGH ? PROCESS_START_SLACK_NS : 0;

		if (p->pid == pid && (!p->start_ns || p->start_ns <= t_ns + slack)) {
			touch(c, p);
			return p;
		}
	}
	return NULL;
}

struct process *process_cache_get(struct process_cache *c, uint32_t pid, uint64_t t_ns)
{
	struct process *p = process_cache_find(c, pid, t_ns);

	if (!p)
		return add(c, pid, 0, t_ns);
	if (!p->exit_ns || t_ns <= p->exit_ns + PROCESS_START_SLACK_NS)
		return p;
	/* Long after its exit: the pid may have a new owner whose fork event was lost ... */
	if (c->lost_ns >= p->exit_ns)
		return add(c, pid, 0, t_ns);
	/* ... else only its main thread ended, and the pid is not free while others run. */
	list_remove(&c->dead, p);
	p->exit_ns = 0;
	list_append(&c->alive, p);
	return p;
}

/* Appends "PID NAME" and a NUL at @at. */
static size_t put_ancestor(char *at, const struct process *p)
{
	size_t n = process_comm_len(p->comm);
	char *end = at + sprintf(at, "%" PRIu32 " ", p->pid);

	memcpy(end, p->comm, n);
	end[n] = '\0';
	return (size_t)(end - at) + n + 1;
}

/* The ancestors of a child of @p: itself, then its own as far as there is room. */
static struct text *offspring_of(struct process *p)
{
	char buf[ANCESTORS_SIZE];
	size_t len, left;

	if (p->offspring)
		return p->offspring;
	len = put_ancestor(buf, p);
	if (p->ancestors) {
		const char *at = p->ancestors->bytes, *end = at + p->ancestors->len;

		for (unsigned n = 1; n < RECORD_ANCESTORS_MAX && at < end; n++)
			at += strlen(at) + 1;
		left = (size_t)(at - p->ancestors->bytes);
		memcpy(buf + len, p->ancestors->bytes, left);
		len += left;
	}
	p->offspring = text_new(buf, len);
	return p->offspring;
}

struct process *process_cache_replace(struct process_cache *c, uint32_t pid, uint64_t t_ns)
{
	struct process *p = process_cache_find(c, pid, t_ns);

	if (p && !p->exit_ns)
		process_cache_exit(c, pid, p->sure_ns > p->seen_ns ? p->sure_ns : p->seen_ns);
	return add(c, pid, 0, t_ns);
}

static void inherit(const struct process_cache *c, struct process *child, struct process *parent)
{
	const unsigned passed =
		PROCESS_IN_TREE | PROCESS_ARGS_CUT | PROCESS_EXE_DELETED | PROCESS_USERNS_OTHER;

	child->flags |= parent->flags & passed;
	if (c->sessions_told)
		child->flags |= parent->flags & PROCESS_SESSION;
	credentials_inherit(&child->uids, &parent->uids, child->start_ns);
	credentials_inherit(&child->gids, &parent->gids, child->start_ns);
	child->loginuid = parent->loginuid;
	child->sid = parent->sid;
	child->tty = parent->tty;
	child->cgroup_id = parent->cgroup_id;
	child->netns = parent->netns;
	child->pidns = parent->pidns;
	child->userns = parent->userns;
	child->exe = text_ref(parent->exe);
	child->args = text_ref(parent->args);
	memcpy(child->comm, parent->comm, PROCESS_COMM_MAX);
	memcpy(child->parent_comm, parent->comm, PROCESS_COMM_MAX);
	child->ancestors = text_ref(offspring_of(parent));
}

static bool about(uint64_t a, uint64_t b)
{
	return (a > b ? a - b : b - a) <= PROCESS_START_SLACK_NS;
}

struct process *process_cache_fork(
	struct process_cache *c, uint32_t ppid, uint32_t pid, uint64_t t_ns)
{
	struct process *p = process_cache_find(c, pid, t_ns);
	struct process *parent;

	if (p && p->start_ns && p->start_ns == t_ns)
		return p;
	if (p && p->flags & PROCESS_START_ROUGH && about(p->start_ns, t_ns)) {
		/* The sweep of /proc found it before its fork event was read. */
		p->start_ns = t_ns;
		p->flags &= ~(unsigned)PROCESS_START_ROUGH;
		return p;
	}
	if (p && !p->exit_ns)
		process_cache_exit(c, pid, t_ns);
	parent = process_cache_find(c, ppid, t_ns);
	process_ref(parent); /* making room below could evict it */
	p = add(c, pid, t_ns, t_ns);
	if (p) {
		p->ppid = ppid;
		if (parent) {
			inherit(c, p, parent);
			parent->fork_ns = t_ns;
		}
	}
	process_unref(parent);
	return p;
}

struct process *process_cache_found(struct process_cache *c, uint32_t pid, uint64_t start_ns)
{
	struct process *p = process_cache_find(c, pid, start_ns + PROCESS_START_SLACK_NS);

	if (p && p->start_ns && about(p->start_ns, start_ns))
		return p;
	if (p && !p->start_ns) {
		p->start_ns = start_ns;
		p->flags |= PROCESS_START_ROUGH;
		return p;
	}
	if (p && !p->exit_ns)
		process_cache_exit(c, pid, start_ns);
	p = add(c, pid, start_ns, start_ns);
	if (p)
		p->flags |= PROCESS_START_ROUGH;
	return p;
}

void process_cache_exit(struct process_cache *c, uint32_t pid, uint64_t t_ns)
{
	struct process *p = process_cache_find(c, pid, t_ns);

	if (!p || p->exit_ns)
		return;
	list_remove(&c->alive, p);
	p->exit_ns = t_ns ? t_ns : 1;
	list_append(&c->dead, p);
}

void process_cache_lost(struct process_cache *c, uint64_t t_ns)
{
	if (t_ns > c->lost_ns)
		c->lost_ns = t_ns;
}

void process_cache_sessions_told(struct process_cache *c, bool told)
{
	c->sessions_told = told;
}

void process_cache_expire(struct process_cache *c, uint64_t now_ns)
{
	while (c->dead.first && c->dead.first->exit_ns + PROCESS_LINGER_NS < now_ns)
		forget(c, c->dead.first);
}

uint32_t process_cache_in_netns(
	const struct process_cache *c, uint64_t netns, bool (*runs)(uint32_t pid))
{
	for (const struct process *p = c->alive.first; p; p = p->next)
		if (p->netns == netns && runs(p->pid))
			return p->pid;
	return 0;
}

void process_cache_mark_tree(struct process_cache *c, uint32_t pid, uint64_t t_ns)
{
	struct process *root = process_cache_get(c, pid, t_ns);
	bool more = root != NULL;

	if (root)
		root->flags |= PROCESS_IN_TREE;
	/* Once per generation: a tree is asked for once, and rarely deep by then. */
	while (more) {
		more = false;
		for (struct process *p = c->alive.first; p; p = p->next) {
			const struct process *parent;

			if (p->flags & PROCESS_IN_TREE || !p->ppid)
				continue;
			parent = *bucket_of(c, p->ppid);
			while (parent && (parent->pid != p->ppid || since(parent) > since(p)))
				parent = parent->chain;
			if (parent && parent->flags & PROCESS_IN_TREE) {
				p->flags |= PROCESS_IN_TREE;
				more = true;
			}
		}
	}
}

void process_cache_name_parent(struct process_cache *c, struct process *p)
{
	const struct process *at = p;
	char buf[ANCESTORS_SIZE];
	size_t len = 0;

	if (p->ancestors && p->parent_comm[0])
		return;
	for (unsigned n = 0; n < RECORD_ANCESTORS_MAX && at->ppid && at->ppid != at->pid; n++) {
		const struct process *parent = process_cache_find(c, at->ppid, since(at));

		if (!parent)
			break;
		if (at == p && !p->parent_comm[0])
			memcpy(p->parent_comm, parent->comm, PROCESS_COMM_MAX);
		len += put_ancestor(buf + len, parent);
		at = parent;
	}
	if (len && !p->ancestors)
		p->ancestors = text_new(buf, len);
}

void process_cache_name_parents(struct process_cache *c)
{
	/* Looking one up moves it to the end of the list: by the buckets each is met once. */
	for (size_t i = 0; i < c->buckets; i++)
		for (struct process *p = c->bucket[i]; p; p = p->chain)
			process_cache_name_parent(c, p);
}
