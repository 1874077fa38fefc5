/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors arrive as sent, only between the right users; every malformed message leaves none
 * open. */
#include "config/handover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/ring.h"
#include "shm/tap.h"
#include "tap.h"

#define MAGIC 0x31764f48u

static char folder[] = "/tmp/flowner-test-XXXXXX";
static char path[64];
static struct handover_message m;

static unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void pair(int fds[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		tap_bail("no sockets");
}

/* Any bytes with @n_fds descriptors of /dev/null. */
static void send_raw(int fd, const void *data, size_t len, unsigned n_fds)
{
	char control[CMSG_SPACE(sizeof(int) * 253)] = {0};
	struct iovec iov = {.iov_base = (void *)data, .iov_len = len};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (n_fds) {
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		struct cmsghdr *c = CMSG_FIRSTHDR(&message);
		*c = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
			.cmsg_len = CMSG_LEN(sizeof(int) * n_fds)};
		for (unsigned i = 0; i < n_fds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &null, sizeof(int));
	}
	if (sendmsg(fd, &message, MSG_NOSIGNAL) != (ssize_t)len)
		printf("# sendmsg: %s\n", strerror(errno));
	close(null);
}

static void test_good(void)
{
	struct handover_ring ring = {.epoch = 7, .data_size = 1 << 20};
	static struct tap_layout layout = {.version = TAP_VERSION, .cpus = 65};
	static struct tap_cpus cpus;
	int fds[2], many[TAP_CPUS_A_FD_MESSAGE], ring_fds[RING_FDS];
	unsigned before;
	struct stat a, b;
	bool cloexec = true;

	pair(fds);
	for (unsigned i = 0; i < TAP_CPUS_A_FD_MESSAGE; i++)
		many[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (int i = 0; i < RING_FDS; i++)
		ring_fds[i] = many[i];
	ring_fds[1] = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	before = open_fds();
	tap_is_int(handover_recv(fds[1], &m), -EAGAIN, "nothing there yet, no blocking");
	tap_is_int(handover_send(fds[0], HANDOVER_RING, &ring, sizeof(ring), ring_fds, RING_FDS), 0,
		"send a ring");
	tap_is_int(handover_send(fds[0], HANDOVER_TAP, &layout, sizeof(layout), NULL, 0), 0,
		"send a layout");
	cpus.count = TAP_CPUS_A_FD_MESSAGE;
	tap_is_int(handover_send(fds[0], HANDOVER_TAP_CPUS, &cpus, sizeof(cpus), many,
			   TAP_CPUS_A_FD_MESSAGE),
		0, "send 64 rings of processors");
	cpus.first = TAP_CPUS_A_FD_MESSAGE;
	cpus.count = 1;
	tap_is_int(handover_send(fds[0], HANDOVER_TAP_CPUS, &cpus, sizeof(cpus), many, 1), 0,
		"send one more");
	tap_is_int(handover_send(fds[0], HANDOVER_DONE, NULL, 0, NULL, 0), 0, "send the end");

	tap_is_int(handover_recv(fds[1], &m), 0, "receive the ring");
	tap_ok(m.type == HANDOVER_RING && m.len == sizeof(ring) && m.n_fds == RING_FDS &&
			memcmp(m.payload, &ring, sizeof(ring)) == 0,
		"as sent");
	tap_ok(fstat(m.fds[1], &a) == 0 && fstat(ring_fds[1], &b) == 0 && a.st_rdev == b.st_rdev,
		"descriptors in their order");
	for (size_t i = 0; i < m.n_fds; i++)
		cloexec = cloexec && fcntl(m.fds[i], F_GETFD) & FD_CLOEXEC;
	tap_ok(cloexec, "all close on exec");
	close(m.fds[0]);
	m.fds[0] = -1; /* taken */
	handover_message_close(&m);
	tap_is_int(open_fds(), before, "all closed");
	tap_is_int(handover_recv(fds[1], &m), 0, "receive the layout");
	tap_ok(m.type == HANDOVER_TAP && m.n_fds == 0 && m.len == sizeof(layout) &&
			memcmp(m.payload, &layout, sizeof(layout)) == 0,
		"as sent");
	tap_is_int(handover_recv(fds[1], &m), 0, "receive 64");
	tap_ok(m.type == HANDOVER_TAP_CPUS && m.n_fds == TAP_CPUS_A_FD_MESSAGE, "all of them");
	handover_message_close(&m);
	tap_is_int(handover_recv(fds[1], &m), 0, "receive one");
	tap_ok(m.type == HANDOVER_TAP_CPUS && m.n_fds == 1, "one");
	handover_message_close(&m);
	tap_is_int(handover_recv(fds[1], &m), 0, "receive the end");
	tap_ok(m.type == HANDOVER_DONE && m.len == 0 && m.n_fds == 0, "empty");
	close(fds[0]);
	tap_is_int(handover_recv(fds[1], &m), -ECONNRESET, "end of file");
	tap_is_int(handover_send(fds[1], HANDOVER_DONE, NULL, 0, NULL, 0), -ECONNRESET,
		"nor can anything be sent, without SIGPIPE");
	close(fds[1]);
	close(ring_fds[1]);
	for (unsigned i = 0; i < TAP_CPUS_A_FD_MESSAGE; i++)
		close(many[i]);
}

static void test_wrong_use(void)
{
	struct handover_ring ring = {0};
	static struct tap_cpus cpus = {.count = 2};
	int fds[2], null[] = {0, 0, 0, 0};

	pair(fds);
	tap_is_int(handover_send(fds[0], HANDOVER_RING, &ring, sizeof(ring), null, 2), -EINVAL,
		"too few descriptors");
	tap_is_int(handover_send(fds[0], HANDOVER_RING, &ring, sizeof(ring), null, 4), -EINVAL,
		"too many descriptors");
	tap_is_int(handover_send(fds[0], HANDOVER_RING, &ring, sizeof(ring) - 1, null, 3), -EINVAL,
		"wrong length");
	tap_is_int(handover_send(fds[0], HANDOVER_TAP_CPUS, &cpus, sizeof(cpus), null, 1), -EINVAL,
		"not as many as its count");
	tap_is_int(handover_send(fds[0], HANDOVER_DONE, &ring, 1, NULL, 0), -EINVAL, "not empty");
	tap_is_int(handover_send(fds[0], (enum handover_type)99, NULL, 0, NULL, 0), -EINVAL,
		"unknown type");
	tap_is_int(handover_recv(fds[1], &m), -EAGAIN, "none of them was sent");
	for (int i = 0; i < 1000; i++) {
		if (handover_send(fds[0], HANDOVER_DONE, NULL, 0, NULL, 0))
			break;
	}
	tap_is_int(handover_send(fds[0], HANDOVER_DONE, NULL, 0, NULL, 0), -EAGAIN,
		"a peer that does not read does not block");
	close(fds[0]);
	close(fds[1]);
}

/* Other network namespaces: two descriptors each, paths that end. */
static void test_netns(void)
{
	static struct handover_netns sent = {.count = 2,
		.entry = {{.inode = 5, .path = "/run/netns/x"}, {.inode = 6, .pid = 7}}};
	struct handover_netns_entry e = {.pid = (uint32_t)getpid()};
	struct stat st;
	int fds[2], null[4];

	pair(fds);
	for (unsigned i = 0; i < 4; i++)
		null[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	tap_is_int(handover_send(fds[0], HANDOVER_NETNS, &sent, sizeof(sent), null, 4), 0,
		"send two namespaces");
	tap_is_int(handover_send(fds[0], HANDOVER_NETNS, &sent, sizeof(sent), null, 3), -EINVAL,
		"not with a descriptor too few");
	tap_is_int(handover_recv(fds[1], &m), 0, "receive them");
	tap_ok(m.n_fds == 4 && !memcmp(m.payload, &sent, sizeof(sent)), "as sent");
	handover_message_close(&m);
	memset(sent.entry[1].path, 'x', sizeof(sent.entry[1].path));
	tap_is_int(handover_send(fds[0], HANDOVER_NETNS, &sent, sizeof(sent), null, 4), -EINVAL,
		"a path without an end is none");
	for (unsigned i = 0; i < 4; i++)
		close(null[i]);
	close(fds[0]);
	close(fds[1]);

	tap_ok(handover_netns_alive(&e), "a namespace is alive with its process");
	e.pid = INT32_MAX;
	tap_ok(!handover_netns_alive(&e), "and gone with it");
	if (stat("/proc/self/ns/net", &st) < 0)
		tap_bail("no /proc");
	strcpy(e.path, "/proc/self/ns/net");
	e.inode = st.st_ino;
	tap_ok(handover_netns_alive(&e), "alive while it is at its path");
	e.inode++;
	tap_ok(!handover_netns_alive(&e), "not if another one is");
	strcpy(e.path, "/proc/no-such/ns/net");
	tap_ok(!handover_netns_alive(&e), "nor if nothing is");
}

static void test_malformed(void)
{
	struct {
		uint32_t magic, type;
		union {
			uint8_t bytes[HANDOVER_PAYLOAD_MAX + 64];
			struct tap_cpus cpus;
			struct handover_netns netns;
		};
	} raw = {.magic = MAGIC};
	static const struct {
		const char *name;
		uint32_t type;
		size_t len;
		unsigned n_fds, count;
	} wrong[] = {
		{"a ring with no descriptor", HANDOVER_RING, 16, 0, 0},
		{"a ring with two", HANDOVER_RING, 16, 2, 0},
		{"a ring with four", HANDOVER_RING, 16, 4, 0},
		{"a ring with 253", HANDOVER_RING, 16, 253, 0},
		{"a ring cut short", HANDOVER_RING, 15, 3, 0},
		{"a ring too long", HANDOVER_RING, 17, 3, 0},
		{"a ring with an empty payload", HANDOVER_RING, 0, 3, 0},
		{"a layout with a descriptor", HANDOVER_TAP, sizeof(struct tap_layout), 1, 0},
		{"a layout cut short", HANDOVER_TAP, sizeof(struct tap_layout) - 8, 0, 0},
		{"processors with one too few", HANDOVER_TAP_CPUS, sizeof(struct tap_cpus), 2, 3},
		{"processors with one too many", HANDOVER_TAP_CPUS, sizeof(struct tap_cpus), 4, 3},
		{"processors with none", HANDOVER_TAP_CPUS, sizeof(struct tap_cpus), 0, 0},
		{"33 processors", HANDOVER_TAP_CPUS, sizeof(struct tap_cpus), 33, 33},
		{"32 processors and a descriptor too many", HANDOVER_TAP_CPUS,
			sizeof(struct tap_cpus), 33, 32},
		{"a huge count", HANDOVER_TAP_CPUS, sizeof(struct tap_cpus), 1, UINT32_MAX},
		{"processors cut short", HANDOVER_TAP_CPUS, 8, 1, 1},
		{"an end with a payload", HANDOVER_DONE, 1, 0, 0},
		{"an end with a descriptor", HANDOVER_DONE, 0, 1, 0},
		{"type 0", 0, 0, 0, 0},
		{"a filter without anything", HANDOVER_FILTER, 0, 0, 0},
		{"a filter with a descriptor", HANDOVER_FILTER, sizeof(struct tap_filter), 1, 0},
		{"a filter that is neither yes nor no", HANDOVER_FILTER, sizeof(struct tap_filter),
			0, 2},
		{"namespaces without one", HANDOVER_NETNS, sizeof(struct handover_netns), 0, 0},
		{"a namespace with one descriptor", HANDOVER_NETNS, sizeof(struct handover_netns),
			1, 1},
		{"more namespaces than fit", HANDOVER_NETNS, sizeof(struct handover_netns), 34, 17},
		{"namespaces cut short", HANDOVER_NETNS, sizeof(struct handover_netns) - 8, 2, 1},
		{"what was opened, cut short", HANDOVER_OPENED, sizeof(struct handover_opened) - 8,
			0, 0},
		{"what was opened with a descriptor", HANDOVER_OPENED,
			sizeof(struct handover_opened), 1, 0},
		{"events with one too few", HANDOVER_TAP_CPU, sizeof(struct handover_tap_cpu), 1,
			3},
		{"events with one too many", HANDOVER_TAP_CPU, sizeof(struct handover_tap_cpu), 3,
			3},
		{"events that there are not", HANDOVER_TAP_CPU, sizeof(struct handover_tap_cpu), 1,
			1u << TAP_IDS},
		{"no source", HANDOVER_SOURCES, sizeof(struct handover_sources), 0, 0},
		{"a source with one descriptor", HANDOVER_SOURCES, sizeof(struct handover_sources),
			1, 1},
		{"more sources than fit", HANDOVER_SOURCES, sizeof(struct handover_sources), 64,
			33},
		{"the kernel cut short", HANDOVER_KERNEL, sizeof(struct handover_kernel) - 8, 4, 0},
		{"the kernel with one too few", HANDOVER_KERNEL, sizeof(struct handover_kernel), 3,
			0},
		{"an unknown type", 11, 0, 0, 0},
		{"an unknown type with descriptors", 77, 16, 3, 0},
		{"a huge type", UINT32_MAX, 16, 3, 0},
		{"the largest payload", HANDOVER_DONE, HANDOVER_PAYLOAD_MAX, 0, 0},
		{"a payload larger than that", HANDOVER_RING, HANDOVER_PAYLOAD_MAX + 1, 3, 0},
	};
	unsigned before;
	int fds[2];

	pair(fds);
	before = open_fds();
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		raw.type = wrong[i].type;
		raw.cpus.count = wrong[i].count;
		if (wrong[i].type == HANDOVER_NETNS || wrong[i].type == HANDOVER_SOURCES)
			raw.netns.count = wrong[i].count;
		send_raw(fds[0], &raw, 8 + wrong[i].len, wrong[i].n_fds);
		memset(&m, 0x5a, sizeof(m));
		tap_is_int(handover_recv(fds[1], &m), -EPROTO, "%s", wrong[i].name);
		tap_ok(open_fds() == before && m.n_fds == 0, "leaves none open");
	}
	raw.type = HANDOVER_DONE;
	raw.magic = 1;
	send_raw(fds[0], &raw, 8, 0);
	tap_is_int(handover_recv(fds[1], &m), -EPROTO, "another magic");
	raw.magic = MAGIC;
	send_raw(fds[0], &raw, 7, 1);
	tap_is_int(handover_recv(fds[1], &m), -EPROTO, "half a header");
	send_raw(fds[0], &raw, 0, 3);
	tap_is_int(handover_recv(fds[1], &m), -EPROTO, "an empty message with descriptors");
	tap_is_int(open_fds(), before, "leave none open");
	tap_is_int(
		handover_send(fds[0], HANDOVER_DONE, NULL, 0, NULL, 0), 0, "a good one after all");
	tap_is_int(handover_recv(fds[1], &m), 0, "is received");
	close(fds[0]);
	close(fds[1]);
}

/* No room in the descriptor table: the message is refused, what did arrive is closed. */
static void test_no_room(void)
{
	struct handover_ring ring = {0};
	struct rlimit old, tight;
	int fds[2], null = open("/dev/null", O_RDONLY | O_CLOEXEC), three[] = {null, null, null};
	unsigned before;

	pair(fds);
	before = open_fds();
	handover_send(fds[0], HANDOVER_RING, &ring, sizeof(ring), three, 3);
	getrlimit(RLIMIT_NOFILE, &old);
	tight = old;
	tight.rlim_cur = (rlim_t)fds[1] + 2; /* room for one, perhaps */
	setrlimit(RLIMIT_NOFILE, &tight);
	tap_is_int(handover_recv(fds[1], &m), -EPROTO, "no room for the descriptors");
	setrlimit(RLIMIT_NOFILE, &old);
	tap_is_int(open_fds(), before, "leaves none open");
	close(fds[0]);
	close(fds[1]);
	close(null);
}

static void test_listen(void)
{
	uid_t me = geteuid();
	int listener, client, server, fd;
	struct stat st;

	tap_is_int(handover_connect(path, me, &client), -ENOENT, "nobody listens");
	tap_is_int(handover_listen(path, me, &listener), 0, "listen");
	tap_ok(lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) && (st.st_mode & 07777) == 0600 &&
			st.st_uid == me,
		"the socket is for this user only");
	tap_is_int(handover_accept(listener, me, &server), -EAGAIN, "nobody waits");
	tap_is_int(handover_connect(path, me, &client), 0, "connect");
	tap_is_int(handover_accept(listener, me, &server), 0, "accept");
	tap_is_int(handover_send(server, HANDOVER_DONE, NULL, 0, NULL, 0), 0, "send");
	tap_is_int(handover_recv(client, &m), 0, "receive");
	tap_is_int(handover_recv(client, &m), -EAGAIN, "both ends do not block");
	close(client);
	tap_is_int(handover_recv(server, &m), -ECONNRESET, "the peer's end is seen");
	close(server);
	close(listener);
	tap_is_int(handover_connect(path, me, &client), -ECONNREFUSED, "the listener is gone");
	tap_is_int(handover_listen(path, me, &listener), 0, "its socket file is replaced");
	for (int i = 0; i < 8; i++) {
		if (handover_connect(path, me, &client))
			break;
	}
	tap_is_int(handover_connect(path, me, &client), -EAGAIN, "a full queue does not block");
	close(listener);
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	close(fd);
	tap_is_int(handover_listen(path, me, &listener), -EEXIST, "a plain file is not replaced");
	unlink(path);
	if (symlink("/etc/passwd", path) == 0)
		tap_is_int(handover_listen(path, me, &listener), -EEXIST, "nor a symbolic link");
	unlink(path);
	tap_is_int(handover_listen("/nowhere/socket", me, &listener), -ENOENT, "no such folder");
	char longer[200];
	memset(longer, 'a', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	tap_is_int(handover_listen(longer, me, &listener), -ENAMETOOLONG, "a path too long");
	tap_is_int(handover_connect(longer, me, &client), -ENAMETOOLONG, "here too");
}

/* Connects as @uid in a child that expects @want of connect, and of recv if that went well. */
static pid_t connect_as(uid_t uid, uid_t peer, int want, int want_recv)
{
	pid_t child = fork();
	int fd, r;

	if (child)
		return child;
	if (setresuid(uid, uid, uid))
		_exit(3);
	r = handover_connect(path, peer, &fd);
	if (r != want)
		_exit(1);
	if (r == 0) {
		do {
			r = handover_recv(fd, &m);
		} while (r == -EAGAIN && usleep(1000) == 0);
		if (r != want_recv)
			_exit(2);
	}
	_exit(0);
}

static int wait_for(pid_t child)
{
	int status;

	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int accept_wait(int listener, uid_t peer, int *ret)
{
	int r;

	do {
		r = handover_accept(listener, peer, ret);
	} while (r == -EAGAIN && usleep(1000) == 0);
	return r;
}

static void test_peers(void)
{
	int listener, server = -1, status;
	unsigned before;
	struct stat st;
	pid_t child;

	if (geteuid() != 0) {
		tap_skip("peers of other users", "needs root");
		return;
	}
	chmod(folder, 0755);
	tap_is_int(handover_listen(path, 65534, &listener), 0, "listen for another user");
	tap_ok(lstat(path, &st) == 0 && st.st_uid == 65534 && (st.st_mode & 07777) == 0600,
		"the socket is that user's");
	before = open_fds();
	child = connect_as(65534, 0, 0, 0);
	tap_is_int(accept_wait(listener, 65534, &server), 0, "the right user is let in");
	handover_send(server, HANDOVER_DONE, NULL, 0, NULL, 0);
	tap_is_int(wait_for(child), 0, "and finds root listening");
	close(server);

	tap_is_int(wait_for(connect_as(65533, 0, -EACCES, 0)), 0, "another user cannot connect");
	chmod(path, 0666);
	child = connect_as(65533, 0, 0, -ECONNRESET);
	tap_is_int(accept_wait(listener, 65534, &server), -EACCES, "nor is let in where it could");
	tap_is_int(wait_for(child), 0, "and gets nothing");
	child = connect_as(0, 0, 0, -ECONNRESET);
	tap_is_int(accept_wait(listener, 65534, &server), -EACCES, "root is not that user");
	tap_is_int(wait_for(child), 0, "and gets nothing");
	tap_is_int(open_fds(), before, "refused peers leave no descriptor");
	close(listener);
	unlink(path);

	/* A listener of the wrong user. */
	chmod(folder, 0777);
	child = fork();
	if (child == 0) {
		if (setresuid(65533, 65533, 65533) || handover_listen(path, 65533, &listener))
			_exit(1);
		chmod(path, 0666);
		kill(getpid(), SIGSTOP);
		_exit(0);
	}
	waitpid(child, &status, WUNTRACED);
	tap_is_int(handover_connect(path, 65534, &server), -EACCES, "a false listener is refused");
	tap_is_int(handover_connect(path, 65533, &server), 0, "the expected one is not");
	close(server);
	kill(child, SIGCONT);
	tap_is_int(wait_for(child), 0, "the listener ends");
	unlink(path);
}

/* A service without root cannot give its socket away: its folder does, to the peer's group. */
static void test_by_group(void)
{
	const uid_t own = 2, peer = 65534;
	const struct passwd *entry = getpwuid(peer);
	static const mode_t modes[] = {0755, 02755};

	if (geteuid() != 0 || !entry || !entry->pw_gid) {
		tap_skip("a socket given by its folder", "needs root and a user 65534");
		return;
	}
	for (size_t i = 0; i < 2; i++) {
		int status, listener, want = modes[i] & S_ISGID ? 0 : -EPERM;
		struct stat st;
		pid_t child;

		if (chown(folder, own, entry->pw_gid) || chmod(folder, modes[i]))
			tap_bail("no folder");
		child = fork();
		if (child == 0) {
			umask(077);
			if (setgroups(0, NULL) || setresgid(own, own, own) ||
				setresuid(own, own, own))
				_exit(2);
			_exit(handover_listen(path, peer, &listener) != want);
		}
		waitpid(child, &status, 0);
		tap_is_int(status, 0, want ? "not in an ordinary folder" : "listen as a service");
		if (!want)
			tap_ok(lstat(path, &st) == 0 && (st.st_mode & 07777) == 0660 &&
					st.st_uid == own && st.st_gid == entry->pw_gid,
				"the socket is for the peer's group, too");
		unlink(path);
	}
}

int main(void)
{
	unsigned before = open_fds();

	if (!mkdtemp(folder))
		tap_bail("no folder");
	snprintf(path, sizeof(path), "%s/socket", folder);
	test_good();
	test_netns();
	test_wrong_use();
	test_malformed();
	test_no_room();
	tap_is_int(open_fds(), before, "no descriptor is left");
	test_listen();
	test_peers();
	test_by_group();
	rmdir(folder);
	return tap_done();
}
