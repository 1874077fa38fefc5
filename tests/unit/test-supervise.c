/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a program that has died, as a table; and the readiness socket. */
#include "cli/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

#define MS        UINT64_C(1000000)
#define S         (1000 * MS)
#define EXITED(n) ((n) << 8)

static void test_policy(void)
{
	static const struct {
		const char *what;
		bool ends, ready, was_ready, stopping;
		int wait_status;
		enum supervise_verdict want;
		int exit_status;
	} cases[] = {
		{"bad configuration at the first start", 0, 0, 0, 0, EXITED(78), SUPERVISE_FATAL,
			78},
		{"any failure at the first start", 0, 0, 0, 0, EXITED(1), SUPERVISE_FATAL, 1},
		{"bad configuration at a later start", 0, 0, 1, 0, EXITED(78), SUPERVISE_FATAL, 78},
		{"a passing failure at a later start", 0, 0, 1, 0, EXITED(1), SUPERVISE_RESTART, 0},
		{"no memory at a later start", 0, 0, 1, 0, EXITED(71), SUPERVISE_RESTART, 0},
		{"a failure while it runs", 0, 1, 1, 0, EXITED(1), SUPERVISE_RESTART, 0},
		{"78 while it runs", 0, 1, 1, 0, EXITED(78), SUPERVISE_RESTART, 0},
		{"an end nobody asked for", 0, 1, 1, 0, EXITED(0), SUPERVISE_RESTART, 0},
		{"killed while it runs", 0, 1, 1, 0, SIGKILL, SUPERVISE_RESTART, 0},
		{"killed at the first start", 0, 0, 0, 0, SIGKILL, SUPERVISE_RESTART, 0},
		{"ended as asked", 0, 1, 1, 1, EXITED(0), SUPERVISE_ENDED, 0},
		{"killed when asked to end", 0, 1, 1, 1, SIGKILL, SUPERVISE_ENDED, 0},
		{"end of the file", 1, 1, 1, 0, EXITED(0), SUPERVISE_ENDED, 0},
		{"end of a short file", 1, 0, 0, 0, EXITED(0), SUPERVISE_ENDED, 0},
		{"an unreadable file", 1, 0, 0, 0, EXITED(66), SUPERVISE_FATAL, 66},
		{"killed in the middle of the file", 1, 1, 1, 0, SIGKILL, SUPERVISE_BROKEN, 70},
		{"failed in the middle of the file", 1, 1, 1, 0, EXITED(65), SUPERVISE_BROKEN, 65},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct child c = {.ends = cases[i].ends,
			.ready = cases[i].ready,
			.was_ready = cases[i].was_ready,
			.stopping = cases[i].stopping,
			.state = CHILD_RUNNING,
			.pid = 1};
		enum supervise_verdict v = supervise_died(&c, cases[i].wait_status, 5 * S);

		tap_ok(v == cases[i].want && c.exit_status == cases[i].exit_status && c.pid == 0 &&
				!c.ready,
			"%s", cases[i].what);
	}
}

static void test_backoff(void)
{
	static const uint64_t wait_ms[] = {0, 100, 200, 400, 800, 1000, 1000};
	struct child c = {.state = CHILD_RUNNING, .ready = true, .was_ready = true};
	uint64_t now = 100 * S;
	bool ok = true;

	for (size_t i = 0; i < sizeof(wait_ms) / sizeof(wait_ms[0]); i++) {
		c.started_ns = now;
		c.ready = true;
		now += 10 * MS; /* a short life */
		supervise_died(&c, SIGKILL, now);
		if (c.start_at_ns != now + wait_ms[i] * MS) {
			tap_ok(false, "restart %zu waits %llu ms", i,
				(unsigned long long)wait_ms[i]);
			ok = false;
		}
		now = c.start_at_ns;
	}
	tap_ok(ok, "the first restart is at once, later ones wait 100 ms, doubling, up to 1 s");
	c.started_ns = now;
	now += 2 * S;
	supervise_died(&c, SIGKILL, now);
	tap_ok(c.start_at_ns == now, "after a longer life it is at once again");
	tap_is_int(c.restarts, 8, "restarts are counted");
}

static void test_give_up(void)
{
	struct child c = {.was_ready = true};
	enum supervise_verdict v = SUPERVISE_RESTART;
	unsigned n = 0;

	for (; v == SUPERVISE_RESTART && n < 1000; n++)
		v = supervise_died(&c, SIGSEGV, n * S);
	tap_is_int(v, SUPERVISE_GAVE_UP, "a program that never gets ready again is given up");
	tap_is_int(n, SUPERVISE_STARTS_MAX, "after so many starts");
	tap_is_int(c.state, CHILD_FAILED, "for good");
	tap_is_int(c.exit_status, 70, "with an exit status of its own");
}

static int send_to(const char *path, const char *text, bool with_fd)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0), r;
	struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.h = {.cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS,
			     .cmsg_len = CMSG_LEN(sizeof(int))}};
	struct msghdr m = {
		.msg_name = &a, .msg_namelen = sizeof(a), .msg_iov = &iov, .msg_iovlen = 1};

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (with_fd) {
		memcpy(CMSG_DATA(&control.h), &fd, sizeof(fd));
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
	}
	r = (int)sendmsg(fd, &m, 0);
	close(fd);
	return r;
}

/* What is kept is at 3 and up in the child, with its name, and not twice. */
static void test_keep(const struct supervise_notice *n)
{
	char *const envp[] = {(char[]){"HOME=/"}, NULL};
	struct keep k = {0};
	int fds[KEEP_MAX], status;
	pid_t child;

	keep_add(&k, n->name, n->fds, n->n_fds);
	for (unsigned i = 0; i < KEEP_MAX; i++)
		fds[i] = dup(n->fds[0]);
	keep_add(&k, "many", fds, KEEP_MAX);
	tap_is_int(k.n, 1, "what does not fit is not kept");
	tap_is_int(fcntl(fds[0], F_GETFD), -1, "but closed");
	fds[0] = dup(n->fds[0]);
	keep_add(&k, "other", fds, 1);
	keep_remove(&k, "other");
	keep_add(&k, "third", (const int[]){dup(n->fds[0])}, 1);
	tap_is_int(k.n, 2, "removed by name");
	fflush(stdout);
	child = fork();
	if (child == 0) {
		char **env = keep_pass(&k, envp), pid[32];

		snprintf(pid, sizeof(pid), "LISTEN_PID=%d", (int)getpid());
		_exit(!env || strcmp(env[0], pid) || strcmp(env[1], "LISTEN_FDS=2") ||
			strcmp(env[2], "LISTEN_FDNAMES=ring-7:third") || strcmp(env[3], "HOME=/") ||
			env[4] || fcntl(3, F_GETFD) || fcntl(4, F_GETFD));
	}
	waitpid(child, &status, 0);
	tap_is_int(status, 0, "the next life finds them");
	keep_deinit(&k);
	tap_is_int(fcntl(n->fds[0], F_GETFD), -1, "and in the end they are closed");
}

static void test_socket(void)
{
	static const struct {
		const char *text;
		int want;
	} cases[] = {
		{"READY=1", 1},
		{"READY=1\n", 1},
		{"STATUS=warm\nREADY=1\nMAINPID=1", 1},
		{"STATUS=attached", 2},
		{"READY=1\nSTATUS=attached\n", 3},
		{"FDSTOREREMOVE=1\nFDNAME=ring-1", 8},
		{"FDSTOREREMOVE=1", 0},
		{"FDSTOREREMOVE=1\nFDNAME=a:b", 0},
		{"FDSTORE=1\nFDNAME=", 0},
		{"STATUS=attached to it", 0},
		{"READY=10", 0},
		{"NOTREADY=1", 0},
		{"STATUS=READY=1", 0},
		{"", 0},
		{"\n\n", 0},
	};
	char path[] = "/tmp/flowner-test-XXXXXX", name[64];
	struct supervise_notice n = {0};
	int fd = -1, next;

	if (!mkdtemp(path))
		tap_bail("mkdtemp failed");
	snprintf(name, sizeof(name), "%s/notify", path);
	tap_is_int(supervise_listen(name, &fd), 0, "listen for readiness");
	tap_is_int(supervise_read(fd, &n), -EAGAIN, "nothing there");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		send_to(name, cases[i].text, false);
		tap_is_int(supervise_read(fd, &n), 0, "message %zu", i);
		tap_is_int(n.said, cases[i].want, "what it says");
		tap_is_int(n.pid, getpid(), "and its sender");
	}
	next = dup(fd);
	close(next);
	send_to(name, "READY=1", true);
	tap_is_int(supervise_read(fd, &n), 0, "a message with a descriptor");
	tap_is_int(n.n_fds, 0, "for nothing");
	tap_is_int(dup(fd), next, "which is not kept");
	close(next);
	send_to(name, "FDSTORE=1\nFDPOLL=0\nFDNAME=ring-7", true);
	tap_is_int(supervise_read(fd, &n), 0, "a message with one to keep");
	tap_is_int(n.said, SUPERVISE_STORE, "says so");
	tap_is_int(n.n_fds, 1, "and has it");
	tap_is_str(n.name, "ring-7", "with its name");
	test_keep(&n);
	close(fd);
	unlink(name);
	rmdir(path);
	tap_is_int(supervise_listen("/nonexistent/notify", &fd), -ENOENT, "no such directory");
}

int main(void)
{
	test_policy();
	test_backoff();
	test_give_up();
	test_socket();
	tap_is_int(supervise_exit_status(EXITED(3)), 3, "an exit status");
	tap_is_int(supervise_exit_status(SIGTERM), 143, "a signal as a shell shows it");
	return tap_done();
}
