/* SPDX-License-Identifier: Apache-2.0 */
/* Passing descriptors between flowner's programs: typed messages over a unix socket. */
#include "config/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/privileges.h"
#include "shm/cleanup.h"
#include "shm/ring.h"
#include "shm/tap.h"

#define HANDOVER_MAGIC 0x31764f48u /* "HOv1", little endian */
#define BACKLOG        4

struct head {
	uint32_t magic;
	uint32_t type;
};

_Static_assert(sizeof(struct tap_cpus) <= HANDOVER_PAYLOAD_MAX, "TAP_CPUS fits a message");
_Static_assert(TAP_CPUS_A_FD_MESSAGE <= HANDOVER_FDS_MAX, "and so do its descriptors");

_Static_assert(sizeof(struct handover_opened) <= HANDOVER_PAYLOAD_MAX, "OPENED fits a message");
_Static_assert(TAP_IDS <= 32 && TAP_IDS <= HANDOVER_FDS_MAX, "a CPU's events fit TAP_CPU");
_Static_assert(sizeof(struct handover_sources) <= HANDOVER_PAYLOAD_MAX, "SOURCES fits a message");
_Static_assert(HANDOVER_SOURCES_A_MESSAGE *HANDOVER_SOURCE_FDS <= HANDOVER_FDS_MAX, "its fds too");

_Static_assert(sizeof(struct handover_netns) <= HANDOVER_PAYLOAD_MAX, "NETNS fits a message");
_Static_assert(HANDOVER_NETNS_A_MESSAGE *HANDOVER_NETNS_FDS <= HANDOVER_FDS_MAX, "its fds too");

static bool is_netns(const void *payload, size_t len, size_t n_fds)
{
	struct handover_netns m;

	if (len != sizeof(m))
		return false;
	memcpy(&m, payload, sizeof(m));
	if (!m.count || m.count > HANDOVER_NETNS_A_MESSAGE || n_fds != m.count * HANDOVER_NETNS_FDS)
		return false;
	for (uint32_t i = 0; i < m.count; i++)
		if (!memchr(m.entry[i].path, 0, sizeof(m.entry[i].path)))
			return false;
	return true;
}

static bool is_opened(const void *payload, size_t len, size_t n_fds)
{
	struct handover_opened m;

	if (len != sizeof(m) || n_fds)
		return false;
	memcpy(&m, payload, sizeof(m));
	return m.layout.cpus <= TAP_CPUS_MAX && m.spares <= TAP_SPARES &&
	       m.first_port <= UINT16_MAX && memchr(m.text, 0, sizeof(m.text));
}

static bool is_tap_cpu(const void *payload, size_t len, size_t n_fds)
{
	struct handover_tap_cpu m;

	if (len != sizeof(m))
		return false;
	memcpy(&m, payload, sizeof(m));
	return !(m.there >> TAP_IDS) && n_fds == (size_t)__builtin_popcount(m.there);
}

static bool is_sources(const void *payload, size_t len, size_t n_fds)
{
	struct handover_sources m;

	if (len != sizeof(m))
		return false;
	memcpy(&m, payload, sizeof(m));
	if (!m.count || m.count > HANDOVER_SOURCES_A_MESSAGE ||
		n_fds != m.count * HANDOVER_SOURCE_FDS)
		return false;
	for (uint32_t i = 0; i < m.count; i++)
		if (!memchr(m.entry[i].name, 0, sizeof(m.entry[i].name)) ||
			!memchr(m.entry[i].space, 0, sizeof(m.entry[i].space)))
			return false;
	return true;
}

static bool is_kernel(const void *payload, size_t len, size_t n_fds)
{
	struct handover_kernel m;

	if (len != sizeof(m))
		return false;
	memcpy(&m, payload, sizeof(m));
	return n_fds == (m.watched_ns ? HANDOVER_KERNEL_FDS : HANDOVER_KERNEL_FDS - 2) &&
	       m.first_port <= UINT16_MAX;
}

/* Whether @len bytes and @n_fds descriptors are exactly what @type demands. */
static bool is_well_formed(uint32_t type, const void *payload, size_t len, size_t n_fds)
{
	struct tap_filter filter;
	struct tap_cpus cpus;

	switch (type) {
	case HANDOVER_RING:
		return len == sizeof(struct handover_ring) && n_fds == RING_FDS;
	case HANDOVER_TAP:
		return len == sizeof(struct tap_layout) && n_fds == 0;
	case HANDOVER_TAP_CPUS:
		if (len != sizeof(cpus))
			return false;
		memcpy(&cpus, payload, sizeof(cpus));
		return n_fds == cpus.count && n_fds > 0 && n_fds <= TAP_CPUS_A_FD_MESSAGE;
	case HANDOVER_DONE:
		return len == 0 && n_fds == 0;
	case HANDOVER_FILTER:
		if (len != sizeof(filter) || n_fds)
			return false;
		memcpy(&filter, payload, sizeof(filter));
		return filter.senders <= TAP_FILTER_PORTS && filter.listeners <= TAP_FILTER_PORTS &&
		       filter.closers <= 1 && !filter.reserved;
	case HANDOVER_NETNS:
		return is_netns(payload, len, n_fds);
	case HANDOVER_OPENED:
		return is_opened(payload, len, n_fds);
	case HANDOVER_TAP_CPU:
		return is_tap_cpu(payload, len, n_fds);
	case HANDOVER_SOURCES:
		return is_sources(payload, len, n_fds);
	case HANDOVER_KERNEL:
		return is_kernel(payload, len, n_fds);
	}
	return false;
}

bool handover_netns_alive(const struct handover_netns_entry *e)
{
	struct stat st;

	if (e->path[0]) {
		if (stat(e->path, &st) == 0)
			return st.st_ino == e->inode;
		/* A folder that is closed to us does not tell. */
		return errno != ENOENT && errno != ENOTDIR;
	}
	return kill((pid_t)e->pid, 0) == 0 || errno != ESRCH;
}

static int address_of(const char *path, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(ret->sun_path))
		return -ENAMETOOLONG;
	strcpy(ret->sun_path, path);
	return 0;
}

/* A socket left by an earlier run goes; anything else at that path stays and is an error. */
static int remove_old(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

/*
 * Gives the socket at @path to @uid, through a descriptor: should someone who may write in this
 * folder swap the path meanwhile, no other file changes its owner.
 */
static int give_to(const char *path, uid_t uid)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1)
		return -EEXIST;
	if (st.st_uid != uid && fchownat(fd, "", uid, (gid_t)-1, AT_EMPTY_PATH) < 0)
		return -errno;
	return 0;
}

/*
 * Whether what is made in @path's folder belongs to @peer_uid's group. A program without root
 * cannot give a socket away; such a folder does it: of ours, with that group and the set-group-ID
 * bit.
 */
static bool folder_gives_to(const char *path, uid_t peer_uid)
{
	const char *slash = strrchr(path, '/');
	char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct stat st;
	gid_t gid;

	if (!slash || slash == path || geteuid() == 0 || peer_uid == geteuid())
		return false;
	snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
	if (lstat(folder, &st) < 0 || !S_ISDIR(st.st_mode) || !(st.st_mode & S_ISGID))
		return false;
	return privileges_group_of(peer_uid, &gid) == 0 && gid == st.st_gid && gid != 0;
}

int handover_listen(const char *path, uid_t peer_uid, int *ret_fd)
{
	_cleanup_close_ int fd = -1;
	struct sockaddr_un address;
	int r = address_of(path, &address);
	bool by_group;
	mode_t mask;

	if (r == 0)
		r = remove_old(path);
	if (r)
		return r;
	by_group = folder_gives_to(path, peer_uid);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* unix(7): the file is born with the socket's own mode, less the umask; never wider. */
	if (fchmod(fd, by_group ? 0660 : 0600) < 0)
		return -errno;
	mask = umask(by_group ? 0117 : 0177);
	r = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(mask);
	if (r)
		return r;
	r = by_group ? 0 : give_to(path, peer_uid);
	if (r)
		return r;
	if (listen(fd, BACKLOG) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

static int peer_of(int fd, uid_t *ret_uid)
{
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	if (len != sizeof(peer))
		return -EPROTO;
	*ret_uid = peer.uid;
	return 0;
}

int handover_accept(int listen_fd, uid_t peer_uid, int *ret_fd)
{
	_cleanup_close_ int fd = -1;
	uid_t uid = (uid_t)-1;
	int r;

	do {
		fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	} while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	if (fd < 0)
		return -errno;
	r = peer_of(fd, &uid);
	if (r)
		return r;
	if (uid != peer_uid)
		return -EACCES;
	*ret_fd = take_fd(&fd);
	return 0;
}

int handover_connect(const char *path, uid_t peer_uid, int *ret_fd)
{
	_cleanup_close_ int fd = -1;
	struct sockaddr_un address;
	uid_t uid = (uid_t)-1;
	int r = address_of(path, &address);

	if (r)
		return r;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	r = peer_of(fd, &uid);
	if (r)
		return r;
	if (uid != peer_uid && uid != 0)
		return -EACCES;
	*ret_fd = take_fd(&fd);
	return 0;
}

int handover_send(int fd, enum handover_type type, const void *payload, size_t len, const int *fds,
	size_t n_fds)
{
	struct head head = {HANDOVER_MAGIC, type};
	struct iovec iov[] = {
		{.iov_base = &head, .iov_len = sizeof(head)},
		{.iov_base = (void *)payload, .iov_len = len},
	};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int) * HANDOVER_FDS_MAX)];
	} control = {0};
	struct msghdr message = {.msg_iov = iov, .msg_iovlen = len ? 2 : 1};
	ssize_t n;

	if (!is_well_formed(type, payload, len, n_fds))
		return -EINVAL;
	if (n_fds) {
		control.header = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
			.cmsg_len = CMSG_LEN(sizeof(int) * n_fds)};
		memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * n_fds);
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
	}
	do {
		n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EPIPE ? -ECONNRESET : -errno;
	return 0;
}

/* Collects the descriptors; false if there is any other ancillary data. */
static bool take_fds(struct msghdr *message, struct handover_message *m)
{
	bool ok = true;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			ok = false;
			continue;
		}
		/* The control buffer holds no more than HANDOVER_FDS_MAX, in however many parts. */
		for (size_t i = 0; i < n && m->n_fds < HANDOVER_FDS_MAX; i++)
			memcpy(&m->fds[m->n_fds++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
	return ok;
}

int handover_recv(int fd, struct handover_message *ret)
{
	struct head head = {0};
	struct iovec iov[] = {
		{.iov_base = &head, .iov_len = sizeof(head)},
		{.iov_base = ret->payload, .iov_len = sizeof(ret->payload)},
	};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int) * HANDOVER_FDS_MAX)];
	} control;
	struct msghdr message = {.msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	bool ok;
	ssize_t n;

	ret->n_fds = 0;
	do {
		n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	ok = take_fds(&message, ret) && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC));
	if (n == 0 && ret->n_fds == 0)
		return -ECONNRESET;
	if (ok && n >= (ssize_t)sizeof(head) && head.magic == HANDOVER_MAGIC &&
		is_well_formed(head.type, ret->payload, (size_t)n - sizeof(head), ret->n_fds)) {
		ret->type = (enum handover_type)head.type;
		ret->len = (size_t)n - sizeof(head);
		return 0;
	}
	handover_message_close(ret);
	return -EPROTO;
}

void handover_message_close(struct handover_message *m)
{
	for (size_t i = 0; i < m->n_fds; i++) {
		if (m->fds[i] >= 0)
			close(m->fds[i]);
		m->fds[i] = -1;
	}
	m->n_fds = 0;
}
