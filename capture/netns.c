/* SPDX-License-Identifier: Apache-2.0 */
/* The other network namespaces of this host, and sockets in them. */
#include "capture/netns.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/cleanup.h"
#include "shm/packet.h"

#define NAMES    "/run/netns"
#define OWN_PATH "/proc/self/ns/net"

static int path_of(const char *name, char ret[HANDOVER_NETNS_PATH_MAX])
{
	return snprintf(ret, HANDOVER_NETNS_PATH_MAX, "%s%s", name[0] == '/' ? "" : NAMES "/",
		       name) < (int)HANDOVER_NETNS_PATH_MAX
		       ? 0
		       : -ENAMETOOLONG;
}

static int open_netns(const char *path, int *ret_fd, uint64_t *ret_inode)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	*ret_inode = st.st_ino;
	*ret_fd = take_fd(&fd);
	return 0;
}

int netns_init(struct netns *s)
{
	struct stat st;

	*s = (struct netns){.own_fd = -1};
	s->place = calloc(NETNS_MAX, sizeof(*s->place));
	if (!s->place)
		return -ENOMEM;
	if (open_netns(OWN_PATH, &s->own_fd, &s->own_inode) == 0 && fstat(s->own_fd, &st) == 0)
		s->own_device = st.st_dev;
	return 0;
}

int netns_ifindex(int fd, const char *name, uint32_t *ret_index)
{
	struct ifreq r = {0};

	*ret_index = 0;
	if (strlen(name) >= sizeof(r.ifr_name))
		return 0;
	strcpy(r.ifr_name, name);
	if (ioctl(fd, SIOCGIFINDEX, &r) < 0)
		return errno == ENODEV ? 0 : -errno;
	*ret_index = (uint32_t)r.ifr_ifindex;
	return 0;
}

static void close_place(struct netns_place *p)
{
	for (unsigned i = 0; i < HANDOVER_NETNS_FDS; i++)
		close(p->fds[i]);
}

void netns_deinit(struct netns *s)
{
	for (size_t i = 0; i < s->n; i++)
		close_place(&s->place[i]);
	free(s->place);
	if (s->own_fd >= 0)
		close(s->own_fd);
	*s = (struct netns){.own_fd = -1};
}

int netns_leave(struct netns *s)
{
	/* Not even into the own one without the capability. */
	if (s->away && setns(s->own_fd, CLONE_NEWNET) < 0)
		return -errno;
	s->away = false;
	return 0;
}

static int go_into(struct netns *s, int fd)
{
	if (s->own_fd < 0)
		return -ENOSYS;
	if (setns(fd, CLONE_NEWNET) < 0)
		return -errno;
	s->away = true;
	return 0;
}

/* A netlink socket in the namespace we are in, subscribed to @groups. */
static int open_netlink(int protocol, uint32_t groups, int *ret_fd)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = groups};
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

static struct netns_place *find_inode(struct netns *s, uint64_t inode)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->place[i].entry.inode == inode)
			return &s->place[i];
	return NULL;
}

/* Goes into the namespace of @fd and opens its sockets. The caller goes back, in any case. */
static int add(struct netns *s, int fd, uint64_t inode, const char *path, uint32_t pid)
{
	struct netns_place p = {.entry = {.inode = inode, .pid = pid}, .fds = {-1, -1}};
	_cleanup_close_ int diag = -1, route = -1;
	int r;

	if (s->n == NETNS_MAX || strlen(path) >= sizeof(p.entry.path))
		return -ENOSPC;
	strcpy(p.entry.path, path);
	r = go_into(s, fd);
	if (r < 0)
		return r;
	r = open_netlink(NETLINK_SOCK_DIAG, 0, &diag);
	if (r == 0)
		r = open_netlink(NETLINK_ROUTE,
			RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR, &route);
	if (r < 0)
		return r;
	p.fds[0] = take_fd(&diag);
	p.fds[1] = take_fd(&route);
	s->place[s->n++] = p;
	return 0;
}

static uint16_t next_number(const struct netns *s)
{
	uint16_t last = 0;

	for (size_t i = 0; i < s->n; i++)
		if (s->place[i].entry.captured > last)
			last = s->place[i].entry.captured;
	return (uint16_t)(last + 1);
}

int netns_enter(struct netns *s, const char *name, uint16_t *ret_number)
{
	char path[HANDOVER_NETNS_PATH_MAX];
	_cleanup_close_ int fd = -1;
	struct netns_place *p;
	uint64_t inode = 0;
	int r;

	*ret_number = 0;
	if (!strcmp(name, "self"))
		return 0;
	r = path_of(name, path);
	if (r == 0)
		r = open_netns(path, &fd, &inode);
	if (r < 0)
		return r;
	if (inode == s->own_inode)
		return 0;
	p = find_inode(s, inode);
	r = p ? go_into(s, fd) : add(s, fd, inode, path, 0);
	if (r < 0)
		return r;
	if (!p)
		p = &s->place[s->n - 1];
	/* Found by a process of its own, which may end before that path does. */
	if (!p->entry.path[0] && strlen(path) < sizeof(p->entry.path))
		strcpy(p->entry.path, path);
	if (!p->entry.captured) {
		if (next_number(s) > PACKET_NETNS_MAX)
			return -ENOSPC;
		p->entry.captured = next_number(s);
	}
	*ret_number = p->entry.captured;
	return 0;
}

bool netns_exists(const struct netns *s, const char *name)
{
	char path[HANDOVER_NETNS_PATH_MAX];
	struct stat st;

	/* `ip netns add` makes a plain file first. */
	return path_of(name, path) == 0 && stat(path, &st) == 0 && st.st_dev == s->own_device;
}

int netns_socket(const struct netns *s, uint16_t number)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->place[i].entry.captured == number)
			return s->place[i].fds[0];
	return -1;
}

static void look_at(struct netns *s, const char *path, const char *mounted, uint32_t pid)
{
	_cleanup_close_ int fd = -1;
	struct netns_place *p;
	struct stat st;
	uint64_t inode = 0;

	/* Most processes are in a namespace that is known. */
	if (stat(path, &st) < 0 || st.st_ino == s->own_inode)
		return;
	p = find_inode(s, st.st_ino);
	if (p) {
		if (!p->entry.path[0] && p->n_more < NETNS_PIDS)
			p->more[p->n_more++] = pid;
		return;
	}
	if (open_netns(path, &fd, &inode) < 0 || inode != st.st_ino ||
		add(s, fd, inode, mounted, pid) < 0)
		s->missed++;
}

static void find_named(struct netns *s)
{
	char path[sizeof(NAMES) + NAME_MAX + 2];
	DIR *d = opendir(NAMES);
	struct dirent *e;

	if (!d)
		return;
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), NAMES "/%s", e->d_name);
		look_at(s, path, path, 0);
	}
	closedir(d);
}

static void find_running(struct netns *s)
{
	DIR *d = opendir("/proc");
	char path[64];
	struct dirent *e;

	if (!d)
		return;
	while ((e = readdir(d))) {
		unsigned long pid = strtoul(e->d_name, NULL, 10);

		/* We ourselves are wherever we looked last. */
		if (!isdigit((unsigned char)e->d_name[0]) || pid > INT32_MAX ||
			pid == (unsigned long)getpid())
			continue;
		snprintf(path, sizeof(path), "/proc/%lu/ns/net", pid);
		look_at(s, path, "", (uint32_t)pid);
	}
	closedir(d);
}

void netns_find(struct netns *s)
{
	if (s->own_fd < 0)
		return;
	find_named(s);
	find_running(s);
}

int netns_send(const struct netns *s, int peer_fd)
{
	for (size_t at = 0; at < s->n;) {
		int fds[HANDOVER_NETNS_A_MESSAGE * HANDOVER_NETNS_FDS];
		struct handover_netns m = {0};
		size_t n = 0;
		int r;

		for (; at < s->n && m.count < HANDOVER_NETNS_A_MESSAGE; at++) {
			m.entry[m.count++] = s->place[at].entry;
			for (unsigned i = 0; i < HANDOVER_NETNS_FDS; i++)
				fds[n++] = s->place[at].fds[i];
		}
		r = handover_send(peer_fd, HANDOVER_NETNS, &m, sizeof(m), fds, n);
		if (r < 0)
			return r;
	}
	return 0;
}

int netns_take(struct netns *s, struct handover_message *m)
{
	struct handover_netns sent;

	if (m->type != HANDOVER_NETNS)
		return -EPROTO;
	memcpy(&sent, m->payload, sizeof(sent));
	if (s->n + sent.count > NETNS_MAX)
		return -ENOSPC;
	for (uint32_t i = 0; i < sent.count; i++) {
		struct netns_place *p = &s->place[s->n++];

		*p = (struct netns_place){.entry = sent.entry[i]};
		memcpy(p->fds, &m->fds[i * HANDOVER_NETNS_FDS], sizeof(p->fds));
	}
	m->n_fds = 0;
	return 0;
}

/* By the process it was found by, else by another of those that were in it then. */
static bool is_alive(struct netns_place *p)
{
	while (!handover_netns_alive(&p->entry)) {
		if (p->entry.path[0] || !p->n_more)
			return false;
		p->entry.pid = p->more[--p->n_more];
	}
	return true;
}

bool netns_tidy(struct netns *s, uint16_t *ret_number)
{
	for (size_t i = 0; i < s->n;) {
		struct netns_place p;

		if (is_alive(&s->place[i])) {
			i++;
			continue;
		}
		p = s->place[i];
		close_place(&p);
		s->place[i] = s->place[--s->n];
		if (p.entry.captured) {
			*ret_number = p.entry.captured;
			return true;
		}
	}
	return false;
}
