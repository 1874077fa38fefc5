/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client made of steps, which it takes in order and then exits.
 *
 *	owners-client tcp|udp|ping|raw|sctp ADDR PORT STEP...
 *
 * Of the socket:	bind connect refused send sendto read report noreport close ttl=N
 * Of the process:	fork thread setuid=UID rename=NAME unlink kill fds=N wait=MS stdin repeat=N
 *			exec=PATH	goes on as another program with the same socket
 *			receiver, pass	a second process, made before the socket, that gets it
 *passed
 *
 * `fork` and `thread`: the child, the thread go on, the parent waits. `report` says who is behind
 *the socket, `foreign` before it that /proc belongs to another pid namespace.
 */
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/owners/report.h"

static struct {
	const char *proto, *addr, *port;
	union address to;
	socklen_t len;
	int fd; /* -1 = none yet */
	int channel[2];
	bool foreign;
	struct report report;
} c = {.proto = "", .addr = "", .port = "", .fd = -1};

static void steps(char **step);

static int new_socket(void)
{
	int family = c.to.any.sa_family, fd, on = 1;

	if (!strcmp(c.proto, "tcp"))
		fd = socket(family, SOCK_STREAM, 0);
	else if (!strcmp(c.proto, "udp"))
		fd = socket(family, SOCK_DGRAM, 0);
	else if (!strcmp(c.proto, "sctp"))
		fd = socket(family, SOCK_STREAM, IPPROTO_SCTP);
	else if (!strcmp(c.proto, "ping"))
		fd = socket(
			family, SOCK_DGRAM, family == AF_INET ? IPPROTO_ICMP : (int)IPPROTO_ICMPV6);
	else if (!strcmp(c.proto, "rawping"))
		fd = socket(
			family, SOCK_RAW, family == AF_INET ? IPPROTO_ICMP : (int)IPPROTO_ICMPV6);
	else
		fd = socket(family, SOCK_RAW, IPPROTO_UDP);
	if (fd < 0)
		report_die("socket");
	if (!strcmp(c.proto, "raw") && setsockopt(fd, IPPROTO_IP, IP_HDRINCL, &on, sizeof(on)) < 0)
		report_die("IP_HDRINCL");
	return fd;
}

static int fd(void)
{
	if (c.fd < 0)
		c.fd = new_socket();
	return c.fd;
}

static void bind_any(void)
{
	union address any = {.any.sa_family = c.to.any.sa_family};

	if (bind(fd(), &any.any, c.len) < 0)
		report_die("bind");
}

static void connect_to(bool may_fail)
{
	c.report.t0 = report_now_ns();
	if (connect(fd(), &c.to.any, c.len) < 0 && !may_fail)
		report_die("connect");
	c.report.t1 = report_now_ns();
}

static size_t payload(char *buf, size_t size)
{
	return (size_t)snprintf(buf, size, "pid %d\n", getpid());
}

/* An echo request; of a raw socket the identifier is the pid's low half, as ping(8) does. */
static size_t ping_packet(char *buf)
{
	struct icmphdr h = {.type = ICMP_ECHO, .un.echo.id = htons((uint16_t)getpid())};
	uint32_t sum = 0;
	uint16_t words[sizeof(h) / 2];

	if (c.to.any.sa_family == AF_INET6)
		h.type = ICMP6_ECHO_REQUEST;
	memcpy(words, &h, sizeof(h));
	for (size_t i = 0; i < sizeof(h) / 2; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	h.checksum = (uint16_t) ~(sum + (sum >> 16));
	memcpy(buf, &h, sizeof(h));
	return sizeof(h);
}

/* A whole UDP datagram with its own IP header; the source port is made from the pid. */
static size_t raw_packet(char *buf)
{
	struct iphdr ip = {.version = 4,
		.ihl = 5,
		.ttl = 64,
		.protocol = IPPROTO_UDP,
		.saddr = c.to.v4.sin_addr.s_addr,
		.daddr = c.to.v4.sin_addr.s_addr};
	const char text[] = {'r', 'a', 'w', '\n'};
	struct udphdr udp = {.dest = c.to.v4.sin_port, .len = htons(sizeof(udp) + 4)};

	c.report.local = c.to;
	udp.source = c.report.local.v4.sin_port = htons((uint16_t)(1024 + getpid() % 30000));
	memcpy(buf, &ip, sizeof(ip));
	memcpy(buf + sizeof(ip), &udp, sizeof(udp));
	memcpy(buf + sizeof(ip) + sizeof(udp), text, sizeof(text));
	return sizeof(ip) + sizeof(udp) + 4;
}

static void send_it(bool with_address)
{
	char buf[128];
	size_t n;

	if (strstr(c.proto, "ping"))
		n = ping_packet(buf);
	else if (!strcmp(c.proto, "raw"))
		n = raw_packet(buf);
	else
		n = payload(buf, sizeof(buf));
	if (with_address) {
		c.report.t0 = report_now_ns();
		if (sendto(fd(), buf, n, 0, &c.to.any, c.len) != (ssize_t)n)
			report_die("sendto");
		c.report.t1 = report_now_ns();
		c.report.remote = c.to;
	} else if (send(fd(), buf, n, MSG_NOSIGNAL) != (ssize_t)n && errno != ECONNREFUSED) {
		report_die("send");
	}
}

static void report(void)
{
	c.report.kind = "conn";
	c.report.proto = c.proto;
	if (!c.report.remote.any.sa_family)
		c.report.remote = c.to;
	if (strcmp(c.proto, "raw") != 0)
		report_ends(fd(), &c.report);
	if (!strcmp(c.proto, "rawping"))
		c.report.local.v4.sin_port = htons((uint16_t)getpid());
	report_write(&c.report, c.foreign);
}

static void read_it(void)
{
	char buf[2048];

	if (recv(fd(), buf, sizeof(buf), 0) < 0 && errno != ECONNRESET && errno != ECONNREFUSED)
		report_die("recv");
}

static void rename_self(const char *name)
{
	prctl(PR_SET_NAME, name);
}

static void unlink_self(void)
{
	char path[512];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n <= 0)
		report_die("readlink");
	path[n] = 0;
	if (unlink(path) < 0)
		report_die(path);
}

static void many_fds(int n)
{
	struct rlimit l = {(rlim_t)n + 64, (rlim_t)n + 64};

	if (setrlimit(RLIMIT_NOFILE, &l) < 0)
		report_die("setrlimit");
	for (int i = 0; i < n; i++)
		if (dup(0) < 0)
			report_die("dup");
}

static void exec_path(char *path, char **rest)
{
	char *argv[32] = {path, (char *)c.proto, (char *)c.addr, (char *)c.port}, text[24];
	size_t n = 4;

	snprintf(text, sizeof(text), "socket=%d", c.fd);
	argv[n++] = text;
	while (*rest && n < 31)
		argv[n++] = *rest++;
	execv(path, argv);
	report_die(path);
}

/* A process that exists before the socket does; it goes on with the steps behind `pass`. */
static void receiver(char **rest)
{
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, c.channel) < 0)
		report_die("socketpair");
	if (fork() != 0)
		return;
	c.fd = report_receive(c.channel[1]);
	if (c.fd < 0)
		report_die("recvmsg");
	while (*rest && strcmp(*rest, "pass") != 0)
		rest++;
	if (*rest)
		steps(rest + 1);
	_exit(0);
}

/* The parent's part ends here: it waits for the receiver, as a launcher would otherwise miss it. */
static void pass(void)
{
	report_pass(c.channel[0], c.fd);
	wait(NULL);
	_exit(0);
}

static void *run_thread(void *rest)
{
	steps(rest);
	return NULL;
}

static void in_thread(char **rest)
{
	pthread_t t;

	if (pthread_create(&t, NULL, run_thread, rest) != 0)
		report_die("pthread_create");
	pthread_join(t, NULL);
}

static void new_round(void)
{
	if (c.fd >= 0)
		close(c.fd);
	c.fd = -1;
	memset(&c.report, 0, sizeof(c.report));
}

static void wait_ms(long ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static bool socket_step(const char *s)
{
	int ttl;

	if (!strcmp(s, "bind"))
		bind_any();
	else if (!strcmp(s, "connect") || !strcmp(s, "refused"))
		connect_to(*s == 'r');
	else if (!strcmp(s, "send") || !strcmp(s, "sendto"))
		send_it(s[4]);
	else if (!strcmp(s, "read"))
		read_it();
	else if (!strcmp(s, "report"))
		report();
	else if (!strcmp(s, "close"))
		new_round();
	else if (!strncmp(s, "socket=", 7))
		c.fd = atoi(s + 7);
	else if (sscanf(s, "ttl=%d", &ttl) == 1)
		setsockopt(fd(), IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
	else
		return false;
	return true;
}

static bool process_step(const char *s)
{
	char byte;

	if (!strncmp(s, "setuid=", 7)) {
		if (setgid((gid_t)atoi(s + 7)) < 0 || setuid((uid_t)atoi(s + 7)) < 0)
			report_die("setuid");
	} else if (!strncmp(s, "rename=", 7)) {
		rename_self(s + 7);
	} else if (!strcmp(s, "unlink")) {
		unlink_self();
	} else if (!strcmp(s, "kill")) {
		kill(getpid(), SIGKILL);
	} else if (!strncmp(s, "fds=", 4)) {
		many_fds(atoi(s + 4));
	} else if (!strncmp(s, "wait=", 5)) {
		wait_ms(atol(s + 5));
	} else if (!strcmp(s, "stdin")) {
		(void)!read(0, &byte, 1);
	} else if (!strcmp(s, "foreign")) {
		c.foreign = true;
	} else {
		return false;
	}
	return true;
}

/* Those that decide who takes the steps behind them. */
static void steps(char **step)
{
	for (; *step; step++) {
		char *s = *step;

		if (!strcmp(s, "fork")) {
			if (fork() != 0) {
				wait(NULL);
				_exit(0);
			}
		} else if (!strcmp(s, "thread")) {
			in_thread(step + 1);
			return;
		} else if (!strncmp(s, "repeat=", 7)) {
			for (int i = atoi(s + 7); i > 0; i--) {
				steps(step + 1);
				new_round();
			}
			return;
		} else if (!strncmp(s, "exec=", 5)) {
			exec_path(s + 5, step + 1);
		} else if (!strcmp(s, "receiver")) {
			receiver(step + 1);
		} else if (!strcmp(s, "pass")) {
			pass();
		} else if (!socket_step(s) && !process_step(s)) {
			fprintf(stderr, "owners-client: no step %s\n", s);
			_exit(64);
		}
	}
}

int main(int argc, char **argv)
{
	if (argc < 5)
		return 64;
	c.proto = argv[1];
	c.addr = argv[2];
	c.port = argv[3];
	c.len = report_address(c.addr, c.port, &c.to);
	signal(SIGPIPE, SIG_IGN);
	steps(argv + 4);
	_exit(0);
}
