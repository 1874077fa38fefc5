/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A consumer under another uid, given the descriptors as the daemons give them (SCM_RIGHTS), tries
 * every way to write the producer's segment or to resize either: all are refused, while reading and
 * releasing work. Root is needed to become another uid.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/ring.h"
#include "shm/segment.h"
#include "tap.h"

#define OTHER 65534

/* One attempt: what it is, and whether it went as it must. */
struct attempt {
	char what[80];
	bool right;
	int error;
};

static int report_fd;

static void tell(const char *what, bool right)
{
	struct attempt a = {.right = right, .error = errno};

	snprintf(a.what, sizeof(a.what), "%s", what);
	if (write(report_fd, &a, sizeof(a)) != sizeof(a))
		_exit(4);
}

static void send_fds(int sock, const int fds[RING_FDS])
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int) * RING_FDS)];
	} control = {0};
	struct iovec iov = {.iov_base = "r", .iov_len = 1};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * RING_FDS);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * RING_FDS);
	if (sendmsg(sock, &m, 0) != 1)
		tap_bail("sendmsg");
}

static void receive_fds(int sock, int ret_fds[RING_FDS])
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int) * RING_FDS)];
	} control = {0};
	char byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};

	if (recvmsg(sock, &m, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&m))
		_exit(4);
	memcpy(ret_fds, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int) * RING_FDS);
}

static int reopen(int fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags | O_CLOEXEC);
}

static void attack_data(int fd)
{
	size_t len = RING_PAGE + RING_DATA_MIN;
	void *m;

	m = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	tell("A: mmap for writing is refused", m == MAP_FAILED && errno == EACCES);
	m = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
	tell("A: mmap for reading works", m != MAP_FAILED);
	tell("A: mprotect to writable is refused",
		mprotect(m, len, PROT_READ | PROT_WRITE) < 0 && errno == EACCES);
	tell("A: madvise(MADV_REMOVE) is refused", madvise(m, RING_PAGE, MADV_REMOVE) < 0);
	tell("A: reopen for reading and writing is refused",
		reopen(fd, O_RDWR) < 0 && errno == EACCES);
	tell("A: reopen for writing is refused", reopen(fd, O_WRONLY) < 0 && errno == EACCES);
	tell("A: reopen with O_TRUNC is refused", reopen(fd, O_RDONLY | O_TRUNC) < 0);
	tell("A: fchmod is refused", fchmod(fd, 0666) < 0 && errno == EPERM);
	tell("A: write is refused", pwrite(fd, "x", 1, 0) < 0 && errno == EBADF);
	tell("A: ftruncate is refused", ftruncate(fd, 0) < 0);
	tell("A: fallocate is refused", fallocate(fd, 0, 0, 1 << 20) < 0);
	tell("A: adding a seal is refused",
		fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0 && errno == EPERM);
	tell("A: it cannot be executed", faccessat(fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS) < 0);
}

static void attack_control(int fd)
{
	tell("B: ftruncate to 0 is refused", ftruncate(fd, 0) < 0 && errno == EPERM);
	tell("B: ftruncate to more is refused", ftruncate(fd, 1 << 20) < 0 && errno == EPERM);
	tell("B: adding a seal is refused",
		fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0 && errno == EPERM);
}

static void attack_peer_memory(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)getppid());
	tell("the producer's memory cannot be opened", open(path, O_RDWR | O_CLOEXEC) < 0);
}

static void child(int sock)
{
	static uint8_t body[RING_BODY_MAX];
	struct ring_consumer *c;
	struct ring_frame f;
	int fds[RING_FDS];

	if (setgroups(0, NULL) || setresgid(OTHER, OTHER, OTHER) || setresuid(OTHER, OTHER, OTHER))
		_exit(4);
	receive_fds(sock, fds);
	attack_data(fds[RING_FD_DATA]);
	attack_control(fds[RING_FD_CONTROL]);
	attack_peer_memory();
	tell("the ring can be attached to", ring_consumer_new(fds, &c) == 0);
	tell("and read", ring_get(c, body, &f) == 0 && f.t_ns == 42);
	ring_release(c);
	_exit(0);
}

/* The seals alone, against somebody of the producer's own uid, who may reopen anything. */
static void test_same_uid(int fd)
{
	int rw = reopen(fd, O_RDWR);

	tap_ok(rw >= 0, "same uid: A can be reopened");
	tap_ok(mmap(NULL, RING_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, rw, 0) == MAP_FAILED,
		"same uid: but not mapped for writing");
	tap_ok(pwrite(rw, "x", 1, 0) < 0, "same uid: nor written");
	tap_ok(ftruncate(rw, 0) < 0, "same uid: nor truncated");
	tap_ok((fcntl(fd, F_GET_SEALS) & SEGMENT_SEALS_DATA) == SEGMENT_SEALS_DATA,
		"all seals are there");
	close(rw);
}

int main(void)
{
	int pair[2], report[2], fds[RING_FDS], status = -1;
	struct ring_producer *p;
	struct attempt a;
	uint64_t used;
	pid_t pid;

	if (ring_producer_new(RING_DATA_MIN, 1, RING_LOSS_PACKET_RING, &p) ||
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) ||
		pipe2(report, O_CLOEXEC))
		tap_bail("no ring, socket or pipe");
	ring_producer_fds(p, fds);
	test_same_uid(fds[RING_FD_DATA]);
	if (geteuid() != 0) {
		tap_skip("a consumer under another uid", "needs root");
		return tap_done();
	}
	ring_put(p, RING_FRAME_PACKET, 0, 42, 1, "x", 1, NULL, 0);
	ring_commit(p);
	pid = fork();
	if (pid == 0) {
		close(report[0]);
		report_fd = report[1];
		/* Only what the socket brings: none of the inherited descriptors. */
		for (int i = 0; i < RING_FDS; i++)
			close(fds[i]);
		child(pair[1]);
	}
	close(report[1]);
	send_fds(pair[0], fds);
	while (read(report[0], &a, sizeof(a)) == (ssize_t)sizeof(a))
		tap_ok(a.right, "%s%s%s", a.what, a.right ? "" : ": ",
			a.right ? "" : strerror(a.error));
	waitpid(pid, &status, 0);
	tap_is_int(status, 0, "the other process ran to its end");
	tap_ok(ring_producer_used(p, &used) == 0 && used == 0, "and its release arrived");
	ring_producer_free(p);
	return tap_done();
}
