/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Servers of every build that tell which of their processes took which connection.
 *
 *	owners-server KIND tcp|udp ADDR PORT [WORKERS [DELAY-MS]]
 *
 * KIND	loop		one process accepts and answers
 *	prefork		WORKERS forked processes accept from the parent's listener
 *	threads		WORKERS threads do
 *	inetd		one process accepts, a new program answers each connection
 *	pass		one process accepts and passes the connection on to WORKERS processes by
 *SCM_RIGHTS reuseport	WORKERS processes, each with a listener of its own udp		answers
 *datagrams (WORKERS sockets by SO_REUSEPORT) dns		the same with an answer that dig
 *understands mute		takes datagrams, answers none
 *
 * "ready PID" once it listens, then a report (report.h) for each connection or datagram: who has
 *it, T0 when; its note is the first number the client sent.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/owners/report.h"

#define WORKERS_MAX 64
#define ANSWER      "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\ny\n"

static struct {
	const char *kind, *proto;
	union address address;
	socklen_t len;
	bool udp;
	int workers;
	long delay_ms;
	char **argv;
} s = {.kind = "", .proto = "", .workers = 1};

static int open_socket(bool reuseport)
{
	int fd = socket(s.address.any.sa_family, s.udp ? SOCK_DGRAM : SOCK_STREAM, 0), on = 1;
	int big = 8 << 20;

	if (fd < 0)
		report_die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big));
	if (reuseport && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
		report_die("SO_REUSEPORT");
	if (bind(fd, &s.address.any, s.len) < 0)
		report_die("bind");
	if (!s.udp && listen(fd, 4096) < 0)
		report_die("listen");
	return fd;
}

static void say_ready(void)
{
	char line[32];
	int n = snprintf(line, sizeof(line), "ready %d\n", getpid());

	if (write(1, line, (size_t)n) != n)
		report_die("ready");
}

/* The first number in what a client sent: its pid, where it is asked to say it. */
static void note(char ret[32], const char *buf, ssize_t len)
{
	ssize_t i = 0;
	size_t n = 0;

	while (i < len && !isdigit((unsigned char)buf[i]))
		i++;
	while (i < len && isdigit((unsigned char)buf[i]) && n < 31)
		ret[n++] = buf[i++];
	ret[n] = 0;
}

static void pause_ms(long ms)
{
	if (ms)
		nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* ---- one connection ---- */

static void answer(int fd)
{
	struct report r = {.kind = "acc", .proto = s.proto, .t0 = report_now_ns()};
	char buf[2048];
	ssize_t n;

	report_ends(fd, &r);
	n = read(fd, buf, sizeof(buf));
	note(r.note, buf, n);
	r.t1 = report_now_ns();
	report_write(&r, false);
	if (n > 0) {
		pause_ms(s.delay_ms);
		(void)send(fd, ANSWER, sizeof(ANSWER) - 1, MSG_NOSIGNAL);
		/* The client closes first, so that no port of ours stays in TIME_WAIT. */
		if (s.delay_ms == 0 && !strcmp(s.kind, "loop"))
			shutdown(fd, SHUT_WR);
		while (read(fd, buf, sizeof(buf)) > 0)
			;
	}
	close(fd);
}

static int accept_one(int listener)
{
	int fd;

	do
		fd = accept(listener, NULL, NULL);
	while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	if (fd < 0)
		report_die("accept");
	return fd;
}

static void accept_loop(int listener)
{
	for (;;)
		answer(accept_one(listener));
}

static void *accept_thread(void *listener)
{
	accept_loop(*(int *)listener);
	return NULL;
}

/* ---- kinds ---- */

static pid_t fork_worker(void)
{
	pid_t pid = fork();

	if (pid < 0)
		report_die("fork");
	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGTERM);
	return pid;
}

static void prefork(void)
{
	int listener = open_socket(false);

	for (int i = 0; i < s.workers; i++)
		if (fork_worker() == 0)
			accept_loop(listener);
	say_ready();
	for (;;)
		pause();
}

static void threads(void)
{
	int listener = open_socket(false);
	pthread_t t;

	for (int i = 1; i < s.workers; i++)
		if (pthread_create(&t, NULL, accept_thread, &listener) != 0)
			report_die("pthread_create");
	say_ready();
	accept_loop(listener);
}

static void inetd(void)
{
	int listener = open_socket(false);

	signal(SIGCHLD, SIG_IGN);
	say_ready();
	for (;;) {
		int fd = accept_one(listener);

		if (fork_worker() == 0) {
			char *argv[] = {s.argv[0], (char[]){"serve-one"}, (char *)s.proto, NULL};

			dup2(fd, 0);
			close(fd);
			close(listener);
			execv("/proc/self/exe", argv);
			report_die("exec");
		}
		close(fd);
	}
}

static void receive_loop(int channel)
{
	for (;;) {
		int fd = report_receive(channel);

		if (fd < 0)
			_exit(0);
		answer(fd);
	}
}

static void pass(void)
{
	int channel[WORKERS_MAX][2] = {0}, listener;

	/* The workers are there before the listener: nothing but the passing joins them to it. */
	for (int i = 0; i < s.workers; i++) {
		if (socketpair(AF_UNIX, SOCK_DGRAM, 0, channel[i]) < 0)
			report_die("socketpair");
		if (fork_worker() == 0)
			receive_loop(channel[i][1]);
		close(channel[i][1]);
	}
	listener = open_socket(false);
	say_ready();
	for (unsigned i = 0;; i++)
		report_pass(channel[i % (unsigned)s.workers][0], accept_one(listener));
}

static void udp_loop(int fd)
{
	bool dns = !strcmp(s.kind, "dns"), mute = !strcmp(s.kind, "mute");

	for (;;) {
		struct report r = {.kind = "acc", .proto = s.proto, .local = s.address};
		socklen_t len = sizeof(r.remote);
		char buf[2048];
		ssize_t n = recvfrom(fd, buf, sizeof(buf), 0, &r.remote.any, &len);

		if (n < 0)
			continue;
		r.t0 = r.t1 = report_now_ns();
		note(r.note, buf + (dns ? 13 : 0), n - (dns ? 13 : 0));
		report_write(&r, false);
		pause_ms(s.delay_ms);
		if (dns && n > 12) {
			buf[2] = (char)0x84; /* an authoritative answer */
			buf[3] = 3;          /* no such name */
			memset(buf + 6, 0, 6);
			(void)sendto(fd, buf, (size_t)n, 0, &r.remote.any, len);
		} else if (!mute) {
			(void)sendto(fd, "y\n", 2, 0, &r.remote.any, len);
		}
	}
}

static void each_its_own(void)
{
	for (int i = 0; i < s.workers; i++) {
		int ready[2];
		char byte;

		if (pipe(ready) < 0)
			report_die("pipe");
		if (fork_worker() == 0) {
			int fd = open_socket(true);

			(void)!write(ready[1], "r", 1);
			if (s.udp)
				udp_loop(fd);
			accept_loop(fd);
		}
		if (read(ready[0], &byte, 1) != 1)
			report_die("worker");
		close(ready[0]);
		close(ready[1]);
	}
	say_ready();
	for (;;)
		pause();
}

static void run(void)
{
	if (!strcmp(s.kind, "prefork"))
		prefork();
	else if (!strcmp(s.kind, "threads"))
		threads();
	else if (!strcmp(s.kind, "inetd"))
		inetd();
	else if (!strcmp(s.kind, "pass"))
		pass();
	else if (s.workers > 1)
		each_its_own();
	else {
		int fd = open_socket(false);

		say_ready();
		if (s.udp)
			udp_loop(fd);
		accept_loop(fd);
	}
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc == 3 && !strcmp(argv[1], "serve-one")) {
		s.kind = "inetd";
		s.proto = argv[2];
		answer(0);
		return 0;
	}
	if (argc < 5)
		return 64;
	s.argv = argv;
	s.kind = argv[1];
	s.proto = argv[2];
	s.udp = !strcmp(s.proto, "udp");
	s.len = report_address(argv[3], argv[4], &s.address);
	if (argc > 5)
		s.workers = atoi(argv[5]);
	if (argc > 6)
		s.delay_ms = atol(argv[6]);
	if (s.workers < 1 || s.workers > WORKERS_MAX)
		return 64;
	run();
	return 0;
}
