/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads processes out of /proc.
 *
 * What a reader without privileges may not see (exe, namespaces and descriptors of other users'
 * processes) stays unknown; that is no error. A process's files are read through one descriptor of
 * its directory, so that they all are of the same process even when its pid is reused meanwhile.
 * Source: proc(5).
 *
 * Threads: one. Blocks: no. Logs: no. Errors: 0, -errno; -ESRCH = there is no such process.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "enrich/process.h"

struct procfs;

/* @root is "/proc", or a folder that looks like it (tests). */
int procfs_new(const char *root, struct procfs **ret);
void procfs_free(struct procfs *p);

#define PROCFS_PATH_MAX 4096u

struct procfs_process {
	uint32_t pid, ppid;
	uint32_t sid;                  /* session leader's pid; 0 = none in our pid namespace */
	uint32_t tty;                  /* controlling terminal, encoded as in stat; 0 = none */
	uint32_t inner_pid;            /* in its own pid namespace; 0 = unknown or the same */
	uint32_t uid, gid;             /* effective; UINT32_MAX = unknown */
	uint32_t ruid, rgid;           /* real; UINT32_MAX = unknown */
	uint32_t loginuid;             /* UINT32_MAX = unset, unknown */
	uint64_t start_ns;             /* steady time, to a clock tick (10 ms) */
	uint64_t read_ns;              /* steady time when this was true */
	uint64_t netns, pidns, userns; /* inodes; 0 = unknown */
	char comm[PROCESS_COMM_MAX];
	size_t exe_len, args_len, cwd_len, cgroup_len; /* 0 = unknown */
	bool args_cut;
	char exe[PROCFS_PATH_MAX];
	char cwd[PROCFS_PATH_MAX];
	char cgroup[PROCFS_PATH_MAX]; /* path below the cgroup v2 root, "/..." */
	char args[PROCFS_PATH_MAX];
};

enum procfs_want {
	PROCFS_IDS = 1 << 0, /* uid, gid, ruid, inner_pid */
	PROCFS_ARGS = 1 << 1,
	PROCFS_EXE = 1 << 2,
	PROCFS_CGROUP = 1 << 3,
	PROCFS_NAMESPACES = 1 << 4,
	PROCFS_CWD = 1 << 5,
	PROCFS_LOGIN = 1 << 6,
	PROCFS_ALL = (1 << 7) - 1,
};

/* Always reads pid, ppid, comm, session, terminal and start; else what @want (enum procfs_want)
 * says. */
int procfs_read(struct procfs *p, uint32_t pid, unsigned want, struct procfs_process *ret);

/* Calls @fn for each process; it returns false to stop. */
typedef bool (*procfs_pid_fn)(void *arg, uint32_t pid);
int procfs_each(struct procfs *p, procfs_pid_fn fn, void *arg);

/*
 * Calls @fn for each socket among the descriptors of @pid; it returns false to stop. Looks at
 * *budget descriptors at most and takes what it used off it.
 */
typedef bool (*procfs_inode_fn)(void *arg, uint32_t pid, unsigned fd, uint64_t inode);
int procfs_each_socket(
	struct procfs *p, uint32_t pid, size_t *budget, procfs_inode_fn fn, void *arg);

/*
 * The inode of the socket that is descriptor @fd of @pid, 0 = that is none. -ENOENT = no such
 * descriptor or process; -EACCES = not ours to see.
 */
int procfs_socket_at(struct procfs *p, uint32_t pid, unsigned fd, uint64_t *ret_inode);
/* How many descriptors @pid has, 0 = unknown (before Linux 6.2). */
size_t procfs_descriptors(struct procfs *p, uint32_t pid);
/* The pid given out last, 0 = unknown. Threads have pids too. */
uint32_t procfs_newest(struct procfs *p);

/* Inode of a namespace this program is in; 0 = unknown. */
uint64_t procfs_own_userns(const struct procfs *p);
uint64_t procfs_own_pidns(const struct procfs *p);

/* Parses the text of /proc/PID/stat: comm may hold anything, newlines and parentheses included. */
int procfs_parse_stat(
	const char *text, size_t len, struct procfs_process *ret, uint64_t *ret_start_ticks);
