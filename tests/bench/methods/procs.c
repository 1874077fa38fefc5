/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What /proc tells of sockets.
 */
#include "bench/methods/procs.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIDS_MAX 65536u /* processes looked at in one walk; the oldest beyond it are not */

/* Skips @n fields of a line. */
static const char *skip(const char *p, unsigned n)
{
	while (n--) {
		while (*p == ' ')
			p++;
		while (*p && *p != ' ')
			p++;
	}
	while (*p == ' ')
		p++;
	return p;
}

/* "sl: LOCAL:PORT REMOTE:PORT ST tx:rx tr:when retrnsmt uid timeout inode". False: another remote
 * port. */
static bool parse(const char *line, uint16_t remote_port, struct proc_socket *ret)
{
	const char *local = skip(line, 1), *remote = skip(local, 1), *colon;

	colon = strchr(remote, ':');
	if (!colon)
		return false;
	ret->remote_port = (uint16_t)strtoul(colon + 1, NULL, 16);
	if (ret->remote_port != remote_port && (ret->remote_port || ret->proto != IPPROTO_UDP))
		return false;
	colon = strchr(local, ':');
	ret->local_port = (uint16_t)strtoul(colon + 1, NULL, 16);
	ret->inode = strtoul(skip(remote, 7), NULL, 10);
	return true;
}

void procs_each_socket(const char *file, uint16_t remote_port, procs_socket_fn fn, void *userdata)
{
	static char buf[1 << 17];
	struct proc_socket s = {.proto = file[0] == 'u' ? IPPROTO_UDP : IPPROTO_TCP};
	char path[32], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/net/%s", file);
	f = fopen(path, "re");
	if (!f)
		return;
	setvbuf(f, buf, _IOFBF, sizeof(buf));
	if (fgets(line, sizeof(line), f)) {
		while (fgets(line, sizeof(line), f)) {
			if (parse(line, remote_port, &s) && fn(&s, userdata))
				break;
		}
	}
	fclose(f);
}

bool procs_each_fd(pid_t pid, procs_fd_fn fn, void *userdata)
{
	char path[32], target[64];
	struct dirent *e;
	bool ended = false;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	d = opendir(path);
	if (!d)
		return false;
	while (!ended && (e = readdir(d))) {
		ssize_t n = readlinkat(dirfd(d), e->d_name, target, sizeof(target) - 1);

		if (n < 9 || memcmp(target, "socket:[", 8) != 0)
			continue;
		target[n] = 0;
		ended = fn(pid, strtoul(target + 8, NULL, 10), userdata);
	}
	closedir(d);
	return ended;
}

static int descending(const void *a, const void *b)
{
	const pid_t *x = a, *y = b;

	return (*x < *y) - (*x > *y);
}

/* Youngest first: whoever just made a connection is likelier to be new. */
void procs_each(procs_fd_fn fn, void *userdata)
{
	static pid_t pids[PIDS_MAX];
	DIR *d = opendir("/proc");
	struct dirent *e;
	size_t n = 0;

	if (!d)
		observe_die("/proc");
	while (n < PIDS_MAX && (e = readdir(d))) {
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
			pids[n++] = atoi(e->d_name);
	}
	closedir(d);
	qsort(pids, n, sizeof(pids[0]), descending);
	for (size_t i = 0; i < n; i++) {
		if (procs_each_fd(pids[i], fn, userdata))
			break;
	}
}

struct search {
	unsigned long inode;
	pid_t found;
};

static bool is_it(pid_t pid, unsigned long inode, void *userdata)
{
	struct search *s = userdata;

	if (inode != s->inode)
		return false;
	s->found = pid;
	return true;
}

pid_t procs_owner(unsigned long inode)
{
	static pid_t last;
	struct search s = {.inode = inode};

	if (last && procs_each_fd(last, is_it, &s))
		return last;
	procs_each(is_it, &s);
	if (s.found)
		last = s.found;
	return s.found;
}
