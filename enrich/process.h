/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process cache: who had which pid when, and what is known of them.
 *
 * Identity is pid and start time, never the pid alone: all lookups are "as of" a time. Entries are
 * reference-counted; the cache's own reference goes when an exited process has been gone for
 * PROCESS_LINGER_NS or when the cache is full (exited ones first, then the least recently used).
 * Pure: fed by whoever reads the kernel's events.
 *
 * Threads: one. Blocks: no. Logs: no. Errors: 0, -errno; NULL = not known or out of memory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "enrich/credentials.h"
#include "enrich/text.h"

#define PROCESS_COMM_MAX  16u
#define PROCESS_LINGER_NS UINT64_C(30000000000) /* exited entries stay: their packets come late */
/* /proc gives start times in clock ticks of 10 ms: this far apart, two are one process. */
#define PROCESS_START_SLACK_NS UINT64_C(50000000)

enum process_flag {
	PROCESS_IN_TREE = 1 << 0,
	PROCESS_ARGS_CUT = 1 << 1,
	PROCESS_EXE_DELETED = 1 << 2,
	PROCESS_EXE_NEXT = 1 << 3,     /* exec seen: the next executable mapping is the program */
	PROCESS_NETNS_MIXED = 1 << 4,  /* its threads are in different network namespaces */
	PROCESS_COMPLETED = 1 << 5,    /* /proc was asked for what the events did not tell */
	PROCESS_START_ROUGH = 1 << 6,  /* start_ns comes from /proc, not from its fork event */
	PROCESS_USERNS_OTHER = 1 << 7, /* user ids seen inside are not those of the host */
	PROCESS_SESSION = 1 << 8,      /* session and terminal are known to be its own */
	PROCESS_KERNEL = 1 << 9,       /* a thread of the kernel's, no process */
};

/* What a process runs. */
struct program {
	struct text *exe;
	struct text *args;           /* argv, each followed by NUL */
	char comm[PROCESS_COMM_MAX]; /* NUL-padded, not always terminated */
	unsigned flags;              /* of enum process_flag: ARGS_CUT, EXE_DELETED */
};

struct process {
	uint32_t refs;
	uint32_t pid;
	uint32_t ppid;      /* 0 = unknown */
	uint32_t loginuid;  /* UINT32_MAX = never set, unknown */
	uint32_t inner_pid; /* in its own pid namespace; 0 = unknown, the same */
	uint32_t sid;       /* session leader's pid; 0 = unknown */
	uint32_t tty;       /* as in /proc/PID/stat; 0 = none, unknown */
	unsigned flags;     /* enum process_flag */
	uint64_t start_ns;  /* steady time, as all here; 0 = unknown */
	uint64_t seen_ns;   /* first event that named it: it ran then */
	uint64_t exit_ns;   /* 0 = alive as far as known */
	uint64_t fork_ns;   /* its latest child, where that is told; 0 = none */
	uint64_t exec_ns;   /* its latest exec, where that was told; 0 = none known */
	uint64_t sure_ns;   /* all of its events up to here are known, or made up for */
	uint64_t cgroup_id;
	uint64_t netns; /* inode numbers, 0 = unknown */
	uint64_t pidns;
	uint64_t userns;
	struct credentials uids, gids;
	struct text *exe;
	struct text *args;                  /* argv, each followed by NUL */
	struct text *cwd;                   /* as last read: no event tells of a change */
	struct text *ancestors;             /* as in struct record_process, as of the fork */
	char comm[PROCESS_COMM_MAX];        /* NUL-padded, not always terminated */
	char parent_comm[PROCESS_COMM_MAX]; /* the parent's as it was at the fork */

	struct program former; /* what it ran before exec_ns ... */
	uint64_t former_ns;    /* ... and since */

	/* The cache's own. */
	struct text *offspring; /* the ancestors of the children it makes now; NULL = to make */
	struct process *chain;  /* same bucket, newest start first for a pid */
	struct process *prev, *next; /* LRU list, NULL when out of the cache */
};

struct process *process_ref(struct process *p);
/* What stands for the kernel in tables of processes; in no cache. */
struct process *process_new_kernel(void);
void process_unref(struct process *p);

/* Bytes of a NUL-padded comm field. */
size_t process_comm_len(const char comm[PROCESS_COMM_MAX]);
void process_set_comm(char comm[PROCESS_COMM_MAX], const char *bytes, size_t len);
/* Another name, for itself and as an ancestor of children to come. */
void process_rename(struct process *p, const char *comm, size_t len);
/*
 * A new program since @t_ns; what belonged to the old one is asked for by process_program() only.
 * 0 = nobody knows since when: the old one is forgotten.
 */
void process_exec(struct process *p, const char *comm, size_t comm_len, uint64_t t_ns);
/* What it ran at @t_ns; the references stay the process's. False = neither this one nor the former.
 */
bool process_program(const struct process *p, uint64_t t_ns, struct program *ret);
/* It leads a session of its own now, without a terminal. */
void process_lead_session(struct process *p);
/* @path as the kernel prints it; a trailing " (deleted)" becomes the flag. */
void process_set_exe(struct process *p, const char *path, size_t len);
/* Keeps at most @max bytes; @cut says that @bytes are already less than all. */
void process_set_args(struct process *p, const char *bytes, size_t len, size_t max, bool cut);
/* Its network namespace as told for the thread @tid; 0 never matches anything. */
void process_set_netns(struct process *p, uint32_t tid, uint64_t netns);
/* Whether it was running at @t_ns as far as known. */
bool process_alive_at(const struct process *p, uint64_t t_ns);

struct process_cache;

int process_cache_new(size_t max, struct process_cache **ret);
void process_cache_free(struct process_cache *c);
size_t process_cache_count(const struct process_cache *c);
uint64_t process_cache_evicted(const struct process_cache *c);
/* Of these, processes that had not ended: what is known of them may be missed. */
uint64_t process_cache_evicted_alive(const struct process_cache *c);

/*
 * The process that had @pid at @t_ns: the latest that had started by then, exited or not (its
 * last packets and events come after its exit). The reference stays the cache's.
 */
struct process *process_cache_find(struct process_cache *c, uint32_t pid, uint64_t t_ns);
/*
 * The same, made from nothing but the pid when there is none: an event has just named it.
 */
struct process *process_cache_get(struct process_cache *c, uint32_t pid, uint64_t t_ns);
/* The same, but never one that is known: @pid has come to mean somebody unseen. */
struct process *process_cache_replace(struct process_cache *c, uint32_t pid, uint64_t t_ns);
/* A fork: the child starts as a copy of its parent. Told twice, it stays one process. */
struct process *process_cache_fork(
	struct process_cache *c, uint32_t ppid, uint32_t pid, uint64_t t_ns);
/* A process found in /proc, started at about @start_ns: the entry to fill in. */
struct process *process_cache_found(struct process_cache *c, uint32_t pid, uint64_t start_ns);
void process_cache_exit(struct process_cache *c, uint32_t pid, uint64_t t_ns);
/* Events up to @t_ns may be missing: a pid seen after its process's exit is then somebody else's.
 */
void process_cache_lost(struct process_cache *c, uint64_t t_ns);
/* Whether every new session is told: children then are in their parent's. */
void process_cache_sessions_told(struct process_cache *c, bool told);
/* Drops what exited more than PROCESS_LINGER_NS before @now_ns. */
void process_cache_expire(struct process_cache *c, uint64_t now_ns);
/* Marks @pid (made if unknown) and all its known descendants as IN_TREE. */
void process_cache_mark_tree(struct process_cache *c, uint32_t pid, uint64_t t_ns);
/* The pid of a process in namespace @netns of which @runs is true, 0 = there is none. */
uint32_t process_cache_in_netns(
	const struct process_cache *c, uint64_t netns, bool (*runs)(uint32_t pid));
/* Fills in the parent's name and the ancestors where no fork event told, by who is known now. */
void process_cache_name_parent(struct process_cache *c, struct process *p);
/* The same for all (after a sweep of /proc). */
void process_cache_name_parents(struct process_cache *c);
