/* SPDX-License-Identifier: Apache-2.0 */
/* Reading processes and their sockets out of /proc. */
#include "enrich/procfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "config/transfer.h"
#include "enrich/steady.h"
#include "shm/cleanup.h"

struct procfs {
	int root_fd;
	uint64_t tick_ns;
	uint64_t pidns, userns;
};

static void cleanup_closedir(DIR **d)
{
	if (*d)
		closedir(*d);
}

#define _cleanup_closedir_ _cleanup_(cleanup_closedir)

static uint64_t inode_at(int dir_fd, const char *path)
{
	struct stat st;

	return fstatat(dir_fd, path, &st, 0) ? 0 : st.st_ino;
}

int procfs_new(const char *root, struct procfs **ret)
{
	struct procfs *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (p->root_fd < 0) {
		free(p);
		return -errno;
	}
	p->tick_ns = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
	p->pidns = inode_at(p->root_fd, "self/ns/pid");
	p->userns = inode_at(p->root_fd, "self/ns/user");
	*ret = p;
	return 0;
}

void procfs_free(struct procfs *p)
{
	if (!p)
		return;
	close(p->root_fd);
	free(p);
}

uint64_t procfs_own_userns(const struct procfs *p)
{
	return p->userns;
}

uint64_t procfs_own_pidns(const struct procfs *p)
{
	return p->pidns;
}

/* Up to @size bytes of a file; *ret_more = there were more. Bytes read or -errno. */
static ssize_t read_at(int dir_fd, const char *name, char *buf, size_t size, bool *ret_more)
{
	_cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	ssize_t got;
	char extra;

	if (fd < 0)
		return -errno;
	do {
		got = transfer_read(fd, buf + n, size - n, TRANSFER_HERE);
		if (got < 0)
			return -errno;
		n += (size_t)got;
	} while (got && n < size);
	if (ret_more)
		*ret_more = n == size && transfer_read(fd, &extra, 1, TRANSFER_HERE) == 1;
	return (ssize_t)n;
}

int procfs_parse_stat(
	const char *text, size_t len, struct procfs_process *ret, uint64_t *ret_start_ticks)
{
	const char *open = memchr(text, '(', len);
	const char *close = memrchr(text, ')', len);
	char rest[512];
	uint32_t ppid, tty;
	int32_t sid;
	size_t n;

	if (!open || !close || close < open)
		return -EPROTO;
	n = (size_t)(text + len - close) - 1;
	n = n < sizeof(rest) ? n : sizeof(rest) - 1;
	memcpy(rest, close + 1, n);
	rest[n] = '\0';
	/* state ppid pgrp session tty_nr, then 14 fields up to starttime, the 22nd of the line */
	if (sscanf(rest,
		    " %*c %" SCNu32 " %*d %" SCNd32 " %" SCNu32
		    " %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %" SCNu64,
		    &ppid, &sid, &tty, ret_start_ticks) != 4)
		return -EPROTO;
	ret->ppid = ppid;
	ret->sid = sid > 0 ? (uint32_t)sid : 0;
	ret->tty = tty;
	process_set_comm(ret->comm, open + 1, (size_t)(close - open) - 1);
	return 0;
}

/* "NSpid:", the pid in each namespace from ours down to the process's own. */
static uint32_t parse_inner_pid(const char *text)
{
	const char *line = strstr(text, "\nNSpid:");
	const char *end, *last;

	if (!line)
		return 0;
	line += strlen("\nNSpid:");
	end = line + strcspn(line, "\n");
	last = memrchr(line, '\t', (size_t)(end - line));
	/* One number only: it is in no other namespace. */
	if (!last || !memchr(line, '\t', (size_t)(last - line)))
		return 0;
	return (uint32_t)strtoul(last, NULL, 10);
}

static void parse_ids(const char *text, struct procfs_process *ret)
{
	const char *uid = strstr(text, "\nUid:");
	const char *gid = strstr(text, "\nGid:");

	/* real, effective, saved, filesystem */
	if (!uid || sscanf(uid, "\nUid: %" SCNu32 " %" SCNu32, &ret->ruid, &ret->uid) != 2)
		ret->uid = ret->ruid = UINT32_MAX;
	if (!gid || sscanf(gid, "\nGid: %" SCNu32 " %" SCNu32, &ret->rgid, &ret->gid) != 2)
		ret->gid = ret->rgid = UINT32_MAX;
	ret->inner_pid = parse_inner_pid(text);
}

static void read_ids(int dir_fd, struct procfs_process *ret)
{
	char buf[4096];
	ssize_t n = read_at(dir_fd, "status", buf, sizeof(buf) - 1, NULL);

	if (n <= 0)
		return;
	buf[n] = '\0';
	parse_ids(buf, ret);
}

static void read_login(int dir_fd, struct procfs_process *ret)
{
	char buf[16];
	ssize_t n = read_at(dir_fd, "loginuid", buf, sizeof(buf) - 1, NULL);

	if (n <= 0)
		return;
	buf[n] = '\0';
	if (sscanf(buf, "%" SCNu32, &ret->loginuid) != 1)
		ret->loginuid = UINT32_MAX;
}

/* The v2 line is "0::/path"; other hierarchies have other numbers. */
static void read_cgroup(int dir_fd, struct procfs_process *ret)
{
	char buf[2 * PROCFS_PATH_MAX];
	ssize_t n = read_at(dir_fd, "cgroup", buf, sizeof(buf) - 1, NULL);
	const char *line;
	size_t len;

	if (n <= 0)
		return;
	buf[n] = '\0';
	line = buf;
	while (line && strncmp(line, "0::", 3) != 0) {
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	if (!line)
		return;
	len = strcspn(line + 3, "\n");
	if (len > sizeof(ret->cgroup))
		return;
	memcpy(ret->cgroup, line + 3, len);
	ret->cgroup_len = len;
}

static void read_links(int dir_fd, unsigned want, struct procfs_process *ret)
{
	ssize_t n;

	if (want & PROCFS_EXE) {
		n = readlinkat(dir_fd, "exe", ret->exe, sizeof(ret->exe));
		ret->exe_len = n > 0 && (size_t)n < sizeof(ret->exe) ? (size_t)n : 0;
	}
	if (want & PROCFS_CWD) {
		n = readlinkat(dir_fd, "cwd", ret->cwd, sizeof(ret->cwd));
		ret->cwd_len = n > 0 && (size_t)n < sizeof(ret->cwd) ? (size_t)n : 0;
	}
	if (want & PROCFS_NAMESPACES) {
		ret->netns = inode_at(dir_fd, "ns/net");
		ret->pidns = inode_at(dir_fd, "ns/pid");
		ret->userns = inode_at(dir_fd, "ns/user");
	}
}

static int open_process(struct procfs *p, uint32_t pid, int *ret_fd)
{
	char name[16];
	int fd;

	snprintf(name, sizeof(name), "%" PRIu32, pid);
	fd = openat(p->root_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	*ret_fd = fd;
	return 0;
}

int procfs_read(struct procfs *p, uint32_t pid, unsigned want, struct procfs_process *ret)
{
	_cleanup_close_ int dir_fd = -1;
	char stat[1024];
	uint64_t ticks;
	ssize_t n;
	int e;

	e = open_process(p, pid, &dir_fd);
	if (e)
		return e;
	n = read_at(dir_fd, "stat", stat, sizeof(stat), NULL);
	if (n < 0)
		return n == -ENOENT ? -ESRCH : (int)n;
	ret->pid = pid;
	ret->uid = ret->gid = ret->ruid = ret->rgid = ret->loginuid = UINT32_MAX;
	ret->inner_pid = 0;
	ret->netns = ret->pidns = ret->userns = 0;
	ret->exe_len = ret->args_len = ret->cwd_len = ret->cgroup_len = 0;
	ret->args_cut = false;
	e = procfs_parse_stat(stat, (size_t)n, ret, &ticks);
	if (e)
		return e;
	ret->start_ns = steady_of_boottime(ticks * p->tick_ns);
	ret->read_ns = steady_now_ns();
	if (want & PROCFS_IDS)
		read_ids(dir_fd, ret);
	if (want & PROCFS_LOGIN)
		read_login(dir_fd, ret);
	if (want & PROCFS_ARGS) {
		n = read_at(dir_fd, "cmdline", ret->args, sizeof(ret->args), &ret->args_cut);
		ret->args_len = n > 0 ? (size_t)n : 0;
	}
	if (want & PROCFS_CGROUP)
		read_cgroup(dir_fd, ret);
	read_links(dir_fd, want, ret);
	return 0;
}

/* A name that is a number, else 0 (which no pid and no descriptor we look for is). */
static uint32_t number(const char *name)
{
	unsigned long v = 0;

	for (const char *c = name; *c; c++) {
		if (*c < '0' || *c > '9' || c - name > 9)
			return 0;
		v = v * 10 + (unsigned long)(*c - '0');
	}
	return v <= UINT32_MAX ? (uint32_t)v : 0;
}

int procfs_each(struct procfs *p, procfs_pid_fn fn, void *arg)
{
	_cleanup_closedir_ DIR *d = NULL;
	const struct dirent *entry;
	int fd = openat(p->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return -ENOMEM;
	}
	while ((entry = readdir(d))) {
		uint32_t pid = number(entry->d_name);

		if (pid && !fn(arg, pid))
			break;
	}
	return 0;
}

/* Of "socket:[INODE]", else 0. */
static uint64_t socket_inode(const char *link)
{
	uint64_t inode;

	return sscanf(link, "socket:[%" SCNu64 "]", &inode) == 1 ? inode : 0;
}

int procfs_each_socket(
	struct procfs *p, uint32_t pid, size_t *budget, procfs_inode_fn fn, void *arg)
{
	_cleanup_closedir_ DIR *d = NULL;
	const struct dirent *entry;
	char path[32], link[64];
	int fd;

	snprintf(path, sizeof(path), "%" PRIu32 "/fd", pid);
	fd = openat(p->root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return -ENOMEM;
	}
	while (*budget && (entry = readdir(d))) {
		uint64_t inode;
		ssize_t n;

		if (entry->d_name[0] == '.')
			continue;
		--*budget;
		n = readlinkat(fd, entry->d_name, link, sizeof(link) - 1);
		if (n <= 0)
			continue;
		link[n] = '\0';
		inode = socket_inode(link);
		if (inode && !fn(arg, pid, number(entry->d_name), inode))
			break;
	}
	return 0;
}

int procfs_socket_at(struct procfs *p, uint32_t pid, unsigned fd, uint64_t *ret_inode)
{
	char path[48], link[64];
	ssize_t n;

	snprintf(path, sizeof(path), "%" PRIu32 "/fd/%u", pid, fd);
	n = readlinkat(p->root_fd, path, link, sizeof(link) - 1);
	if (n < 0)
		return -errno;
	link[n] = '\0';
	*ret_inode = socket_inode(link);
	return 0;
}

size_t procfs_descriptors(struct procfs *p, uint32_t pid)
{
	char path[32];
	struct stat st;

	snprintf(path, sizeof(path), "%" PRIu32 "/fd", pid);
	return fstatat(p->root_fd, path, &st, 0) || st.st_size < 0 ? 0 : (size_t)st.st_size;
}

uint32_t procfs_newest(struct procfs *p)
{
	char buf[128];
	ssize_t n = read_at(p->root_fd, "loadavg", buf, sizeof(buf) - 1, NULL);
	uint32_t pid;

	if (n <= 0)
		return 0;
	buf[n] = '\0';
	/* three averages, running/all, the pid */
	return sscanf(buf, "%*s %*s %*s %*s %" SCNu32, &pid) == 1 ? pid : 0;
}
