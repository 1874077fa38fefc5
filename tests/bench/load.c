/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network load for benchmarks: both ends on this host, client on the first CPU, server on the last.
 *
 *	load [-n NETNS ADDRESS] VERB ...	the server in the namespace /run/netns/NETNS, at
 *ADDRESS
 *	load tcp RATE SECONDS PORT [MS]	TCP connections over 127.0.0.1 to .4 and PORT to PORT + 7
 *	load tcp6 RATE SECONDS PORT [MS]	the same over ::1
 *	load udp 0 SECONDS PORT [MS]	datagrams that one unconnected socket answers at its maximum
 *
 * RATE connections a second at exact times, 0 = as fast as it goes. Each: connect, 100 bytes, 100
 * bytes back, close by the client, close by the server. Prints on one line
 *
 *	done N failed N elapsed_ns N client_ns N server_ns N
 *
 * the last two being CPU time (softirq work in it: it is charged to whoever runs). In a namespace
 *of its own it needs net.ipv4.tcp_tw_reuse=1 and a small tcp_max_tw_buckets, or ports run out.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PORTS     8u
#define ADDRESSES 4u
#define AT_ONCE   64u  /* connections in flight, at most */
#define PAYLOAD   100u /* bytes each way */
#define FDS_MAX   1024
#define SENDERS   16u /* UDP client sockets */
#define BURST     16u /* datagrams of one of them in one system call */

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct reading {
	uint64_t done, failed, elapsed_ns, client_ns, server_ns;
};

/* Readings summed over even and odd slices of time. */
struct meter {
	uint64_t slice_ns;
	pid_t server;
	unsigned odd;
	struct reading now, last, sum[2];
};

static char payload[PAYLOAD];
/* Where the server is, if not on this namespace's loopback. */
static const char *server_netns;
static in_addr_t server_address;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void pin(bool last)
{
	cpu_set_t all, one;

	if (sched_getaffinity(0, sizeof(all), &all) < 0)
		die("sched_getaffinity");
	CPU_ZERO(&one);
	for (int i = 0; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET(i, &all))
			continue;
		if (last)
			CPU_ZERO(&one);
		CPU_SET(i, &one);
		if (!last)
			break;
	}
	if (sched_setaffinity(0, sizeof(one), &one) < 0)
		die("sched_setaffinity");
}

static socklen_t set_address(union address *a, int family, unsigned host, unsigned port)
{
	memset(a, 0, sizeof(*a));
	if (family == AF_INET6) {
		a->v6.sin6_family = AF_INET6;
		a->v6.sin6_port = htons((uint16_t)port);
		a->v6.sin6_addr = in6addr_loopback;
		return sizeof(a->v6);
	}
	a->v4.sin_family = AF_INET;
	a->v4.sin_port = htons((uint16_t)port);
	if (!host)
		a->v4.sin_addr.s_addr = htonl(INADDR_ANY);
	else
		a->v4.sin_addr.s_addr =
			server_netns ? server_address : htonl(INADDR_LOOPBACK - 1 + host);
	return sizeof(a->v4);
}

static void enter(const char *netns)
{
	int fd = open(netns, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		die(netns);
	close(fd);
}

/* What is opened and forked in between belongs to the server's namespace. */
static int enter_server(void)
{
	int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	char path[256];

	if (own < 0)
		die("/proc/self/ns/net");
	if (!server_netns)
		return own;
	snprintf(path, sizeof(path), "/run/netns/%s", server_netns);
	enter(path);
	return own;
}

static void leave_server(int own)
{
	if (setns(own, CLONE_NEWNET) < 0)
		die("setns");
	close(own);
}

static int open_server(int type, int family, unsigned port)
{
	int fd = socket(family, type, 0), on = 1;
	union address a;
	socklen_t len = set_address(&a, family, 0, port);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
		bind(fd, &a.any, len) < 0)
		die("server");
	return fd;
}

static void watch(int epoll, int fd, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.fd = fd};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		die("epoll_ctl");
}

/* A child that serves until it is killed; its CPU time is read from outside. */
static pid_t start_server(void (*serve)(void *arg), void *arg)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		die("fork");
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	pin(true);
	serve(arg);
	_exit(1);
}

static void stop_server(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static uint64_t cpu_ns(pid_t pid)
{
	clockid_t id;

	if (clock_getcpuclockid(pid, &id))
		die("clock_getcpuclockid");
	return clock_ns(id);
}

/* ---- readings ---- */

static void meter_read(struct meter *m)
{
	m->now.elapsed_ns = clock_ns(CLOCK_MONOTONIC);
	m->now.client_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	m->now.server_ns = cpu_ns(m->server);
}

/* Ends a slice. */
static void meter_add(struct meter *m)
{
	struct reading *s = &m->sum[m->odd];

	meter_read(m);
	s->done += m->now.done - m->last.done;
	s->failed += m->now.failed - m->last.failed;
	s->elapsed_ns += m->now.elapsed_ns - m->last.elapsed_ns;
	s->client_ns += m->now.client_ns - m->last.client_ns;
	s->server_ns += m->now.server_ns - m->last.server_ns;
	m->last = m->now;
}

static void meter_begin(struct meter *m, pid_t server)
{
	m->server = server;
	meter_read(m);
	m->last = m->now;
}

static void meter_tick(struct meter *m, uint64_t now_ns)
{
	unsigned odd = m->slice_ns ? now_ns / m->slice_ns & 1 : 0;

	if (odd == m->odd)
		return;
	meter_add(m);
	m->odd = odd;
}

static void meter_print(const struct meter *m)
{
	for (int i = 0; i <= (m->slice_ns != 0); i++)
		printf("done %lu failed %lu elapsed_ns %lu client_ns %lu server_ns %lu\n",
			(unsigned long)m->sum[i].done, (unsigned long)m->sum[i].failed,
			(unsigned long)m->sum[i].elapsed_ns, (unsigned long)m->sum[i].client_ns,
			(unsigned long)m->sum[i].server_ns);
}

/* ---- TCP ---- */

struct listeners {
	int family;
	int fd[PORTS];
};

static void serve_tcp(void *arg)
{
	const struct listeners *l = arg;
	int epoll = epoll_create1(0);
	bool listens[FDS_MAX] = {false};
	struct epoll_event e[64];
	char buf[2048];

	for (unsigned i = 0; i < PORTS; i++) {
		listens[l->fd[i]] = true;
		watch(epoll, l->fd[i], EPOLLIN);
	}
	for (;;) {
		int n = epoll_wait(epoll, e, 64, -1);

		for (int i = 0; i < n; i++) {
			int fd = e[i].data.fd, c;
			ssize_t got;

			while (listens[fd] && (c = accept4(fd, NULL, NULL, SOCK_NONBLOCK)) >= 0)
				watch(epoll, c, EPOLLIN);
			if (listens[fd])
				continue;
			got = read(fd, buf, sizeof(buf));
			if (got > 0 && send(fd, payload, PAYLOAD, MSG_NOSIGNAL) > 0)
				continue;
			if (got >= 0 || errno != EAGAIN)
				close(fd);
		}
	}
}

struct client {
	int family;
	int epoll;
	unsigned port;
	unsigned in_flight;
	uint64_t started;
	bool sent[FDS_MAX];
	struct meter *meter;
};

static void connect_one(struct client *c)
{
	uint64_t i = c->started++;
	union address a;
	socklen_t len = set_address(&a, c->family, 1 + (unsigned)(i / PORTS % ADDRESSES),
		c->port + (unsigned)(i % PORTS));
	int fd = socket(c->family, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (fd < 0 || fd >= FDS_MAX)
		die("socket");
	if (connect(fd, &a.any, len) < 0 && errno != EINPROGRESS) {
		c->meter->now.failed++;
		close(fd);
		return;
	}
	c->sent[fd] = false;
	c->in_flight++;
	watch(c->epoll, fd, EPOLLIN | EPOLLOUT | EPOLLET);
}

static void end_one(struct client *c, int fd, uint64_t *counter)
{
	close(fd);
	c->in_flight--;
	++*counter;
}

static void on_connection(struct client *c, const struct epoll_event *e)
{
	int fd = e->data.fd;
	char buf[2048];
	ssize_t got;

	if (!c->sent[fd] && e->events & EPOLLOUT) {
		if (send(fd, payload, PAYLOAD, MSG_NOSIGNAL) != PAYLOAD) {
			end_one(c, fd, &c->meter->now.failed);
			return;
		}
		c->sent[fd] = true;
	}
	if (!(e->events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	got = read(fd, buf, sizeof(buf));
	if (got > 0)
		end_one(c, fd, &c->meter->now.done);
	else if (got == 0 || errno != EAGAIN)
		end_one(c, fd, &c->meter->now.failed);
}

/* Rings every time one connection is due. */
static int open_timer(uint64_t rate)
{
	uint64_t step = 1000000000 / rate;
	struct timespec t = {(time_t)(step / 1000000000), (long)(step % 1000000000)};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);

	if (fd < 0 || timerfd_settime(fd, 0, &(struct itimerspec){.it_interval = t, .it_value = t},
			      NULL) < 0)
		die("timerfd");
	return fd;
}

static void run_client(struct client *c, uint64_t rate, uint64_t seconds)
{
	uint64_t end = clock_ns(CLOCK_MONOTONIC) + seconds * 1000000000, due = 0, ticks;
	struct epoll_event e[AT_ONCE + 1];
	int timer = rate ? open_timer(rate) : -1;

	if (rate)
		watch(c->epoll, timer, EPOLLIN);
	for (;;) {
		uint64_t now = clock_ns(CLOCK_MONOTONIC);
		int n;

		meter_tick(c->meter, now);
		if (now >= end && (!c->in_flight || now >= end + 1000000000))
			break;
		while (now < end && c->in_flight < AT_ONCE && (!rate || c->started < due))
			connect_one(c);
		n = epoll_wait(c->epoll, e, AT_ONCE + 1, 100);
		for (int i = 0; i < n; i++) {
			if (e[i].data.fd != timer)
				on_connection(c, &e[i]);
			else if (read(timer, &ticks, sizeof(ticks)) == sizeof(ticks))
				due += ticks;
		}
	}
	meter_add(c->meter);
}

static void tcp(struct meter *m, int family, uint64_t rate, uint64_t seconds, unsigned port)
{
	struct listeners l = {.family = family};
	struct client c = {.family = family, .port = port, .epoll = epoll_create1(0), .meter = m};
	int own = enter_server();
	pid_t server;

	for (unsigned i = 0; i < PORTS; i++) {
		l.fd[i] = open_server(SOCK_STREAM | SOCK_NONBLOCK, family, port + i);
		if (listen(l.fd[i], 4096) < 0)
			die("listen");
	}
	server = start_server(serve_tcp, &l);
	leave_server(own);
	for (unsigned i = 0; i < PORTS; i++)
		close(l.fd[i]);
	pin(false);
	meter_begin(m, server);
	run_client(&c, rate, seconds);
	stop_server(server);
}

/* ---- UDP ---- */

struct udp_server {
	int fd;
	uint64_t answers;
};

static void serve_udp(void *arg)
{
	struct udp_server *s = arg;
	union address from;
	char buf[2048];

	for (;;) {
		socklen_t len = sizeof(from);
		ssize_t got = recvfrom(s->fd, buf, sizeof(buf), 0, &from.any, &len);

		if (got >= 0 && sendto(s->fd, buf, (size_t)got, 0, &from.any, len) == got)
			__atomic_store_n(&s->answers, s->answers + 1, __ATOMIC_RELAXED);
	}
}

/* More questions than can be answered; the rest is dropped by the kernel. */
static void flood(struct meter *m, struct udp_server *s, const int fd[SENDERS], uint64_t end)
{
	struct iovec out = {.iov_base = payload, .iov_len = PAYLOAD};
	char buf[BURST][PAYLOAD];
	struct iovec in[BURST];
	struct mmsghdr ask[BURST] = {0}, answer[BURST] = {0};

	for (unsigned i = 0; i < BURST; i++) {
		in[i] = (struct iovec){.iov_base = buf[i], .iov_len = PAYLOAD};
		ask[i].msg_hdr = (struct msghdr){.msg_iov = &out, .msg_iovlen = 1};
		answer[i].msg_hdr = (struct msghdr){.msg_iov = &in[i], .msg_iovlen = 1};
	}
	for (unsigned i = 0;; i = (i + 1) % SENDERS) {
		uint64_t now = clock_ns(CLOCK_MONOTONIC);

		m->now.done = __atomic_load_n(&s->answers, __ATOMIC_RELAXED);
		meter_tick(m, now);
		if (now >= end)
			break;
		if (sendmmsg(fd[i], ask, BURST, 0) < 0)
			die("sendmmsg");
		while (recvmmsg(fd[i], answer, BURST, MSG_DONTWAIT, NULL) > 0)
			;
	}
}

static void udp(struct meter *m, uint64_t seconds, unsigned port)
{
	struct udp_server *s =
		mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fd[SENDERS], own = enter_server();
	union address a;
	pid_t pid;

	if (s == MAP_FAILED)
		die("mmap");
	s->fd = open_server(SOCK_DGRAM, AF_INET, port);
	pid = start_server(serve_udp, s);
	leave_server(own);
	for (unsigned i = 0; i < SENDERS; i++) {
		socklen_t len = set_address(&a, AF_INET, 1 + i % ADDRESSES, port);

		fd[i] = socket(AF_INET, SOCK_DGRAM, 0);
		if (fd[i] < 0 || connect(fd[i], &a.any, len) < 0)
			die("client");
	}
	pin(false);
	meter_begin(m, pid);
	flood(m, s, fd, clock_ns(CLOCK_MONOTONIC) + seconds * 1000000000);
	meter_add(m);
	stop_server(pid);
}

int main(int argc, char **argv)
{
	unsigned long n[4] = {0};
	struct meter m = {0};
	const char *what;

	if (argc > 3 && !strcmp(argv[1], "-n")) {
		server_netns = argv[2];
		if (inet_pton(AF_INET, argv[3], &server_address) != 1)
			die(argv[3]);
		argv += 3;
		argc -= 3;
	}
	what = argc == 5 || argc == 6 ? argv[1] : "";

	for (int i = 2; i < argc && i < 6; i++)
		n[i - 2] = strtoul(argv[i], NULL, 10);
	m.slice_ns = n[3] * 1000000;
	if (!strcmp(what, "tcp")) {
		tcp(&m, AF_INET, n[0], n[1], (unsigned)n[2]);
	} else if (!strcmp(what, "tcp6")) {
		tcp(&m, AF_INET6, n[0], n[1], (unsigned)n[2]);
	} else if (!strcmp(what, "udp")) {
		udp(&m, n[1], (unsigned)n[2]);
	} else {
		fprintf(stderr, "load: see the head of its source\n");
		return 64;
	}
	meter_print(&m);
	return 0;
}
