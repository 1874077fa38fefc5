/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Servers of every kind that report who accepted what, and senders of every kind of packet.
 *
 *	servers prefork|threads|inetd|session|reuseport N HOW ADDR PORT
 *		N workers; each reports every connection it closes. HOW: fin (after the client),
 *		first (before it), reset (SO_LINGER 0), unread (data left: the kernel resets),
 *		shutdown (before, then waits), hold (never; to be killed)
 *	servers connect COUNT MS ADDR PORT	clients of one process, one after another
 *	servers ping dgram|raw COUNT ADDR	echo requests
 *	servers raw udp|header ADDR PORT SPORT	one UDP datagram from a raw socket
 *	servers packet|syn IF ADDR PORT SPORT	one UDP datagram, or TCP SYN, by AF_PACKET
 *	servers pass ADDR PORT	a parent connects, its child sends and closes
 *	servers flood MS ADDR PORT	datagrams, each sent when the last was answered
 *	servers mptcp ADDR PORT	one MPTCP connection
 *
 * A report is one line on standard output in a single write(2): "what local-port remote-port pid".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static union address target;
static socklen_t target_len;
static const char *how = "fin";

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void parse_target(const char *addr, const char *port)
{
	uint16_t p = htons((uint16_t)atoi(port));

	if (strchr(addr, ':')) {
		target.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = p};
		target_len = sizeof(target.v6);
		if (inet_pton(AF_INET6, addr, &target.v6.sin6_addr) != 1)
			die(addr);
	} else {
		target.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = p};
		target_len = sizeof(target.v4);
		if (inet_pton(AF_INET, addr, &target.v4.sin_addr) != 1)
			die(addr);
	}
}

static void report(const char *what, unsigned local, unsigned remote)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "%s %u %u %d\n", what, local, remote, getpid());

	if (write(1, line, (size_t)n) != n)
		die("report");
}

static unsigned local_port(int fd)
{
	union address a = {0};
	socklen_t len = sizeof(a);

	getsockname(fd, &a.any, &len);
	return ntohs(a.v4.sin_port);
}

static unsigned peer_port(int fd)
{
	union address a = {0};
	socklen_t len = sizeof(a);

	getpeername(fd, &a.any, &len);
	return ntohs(a.v4.sin_port);
}

static void pause_ms(unsigned ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

/* ---- servers ---- */

static void serve_one(int c)
{
	const struct linger hard = {.l_onoff = 1};
	char buf[256];

	report("accepted", local_port(c), peer_port(c));
	if (!strcmp(how, "hold"))
		for (;;)
			pause();
	if (!strcmp(how, "unread")) {
		/* Once it is there, it must not be read. */
		(void)recv(c, buf, 1, MSG_PEEK);
	} else {
		(void)!read(c, buf, sizeof(buf));
		(void)!write(c, "y", 1);
	}
	if (!strcmp(how, "fin"))
		while (read(c, buf, sizeof(buf)) > 0)
			;
	if (!strcmp(how, "reset"))
		setsockopt(c, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	if (!strcmp(how, "shutdown")) {
		shutdown(c, SHUT_WR);
		while (read(c, buf, sizeof(buf)) > 0)
			;
	}
	close(c);
}

static void *serve(void *arg)
{
	int l = (int)(intptr_t)arg;

	for (;;) {
		int c = accept(l, NULL, NULL);

		if (c >= 0)
			serve_one(c);
	}
	return NULL;
}

/* A session has children, which hold the connection for a while. */
static void have_child(void)
{
	if (fork() == 0)
		_exit(0);
	(void)wait(NULL);
}

static void serve_inetd(int l, bool sessions)
{
	for (;;) {
		int c = accept(l, NULL, NULL);

		if (c < 0)
			continue;
		if (fork() == 0) {
			close(l);
			if (sessions)
				have_child();
			serve_one(c);
			_exit(0);
		}
		close(c);
	}
}

static int listener(bool group)
{
	int fd = socket(target.any.sa_family, SOCK_STREAM, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, group ? SO_REUSEPORT : SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, &target.any, target_len) < 0 || listen(fd, 4096) < 0)
		die("listen");
	return fd;
}

static void serve_all(const char *kind, unsigned n)
{
	bool group = !strcmp(kind, "reuseport"), sessions = !strcmp(kind, "session");
	bool workers = strcmp(kind, "threads") && strcmp(kind, "inetd") && !sessions;
	int l = group ? -1 : listener(false);

	signal(SIGCHLD, SIG_IGN);
	for (unsigned i = 0; i < n && workers; i++) {
		if (fork() == 0) {
			if (group)
				l = listener(true);
			report("worker", 0, 0);
			serve((void *)(intptr_t)l);
		}
	}
	report("ready", 0, 0);
	if (sessions || !strcmp(kind, "inetd"))
		serve_inetd(l, sessions);
	for (unsigned i = 0; i < n && !strcmp(kind, "threads"); i++) {
		pthread_t t;

		pthread_create(&t, NULL, serve, (void *)(intptr_t)l);
	}
	for (;;)
		pause();
}

/* ---- clients ---- */

static void send_and_wait(int fd)
{
	char buf[16];

	(void)send(fd, "x", 1, MSG_NOSIGNAL);
	if (!strcmp(how, "fin"))
		(void)!read(fd, buf, 1);
	else
		while (read(fd, buf, sizeof(buf)) > 0)
			;
}

static void connect_all(unsigned n, unsigned ms)
{
	for (unsigned i = 0; i < n; i++) {
		int fd = socket(target.any.sa_family, SOCK_STREAM, 0);

		if (connect(fd, &target.any, target_len) < 0)
			die("connect");
		report("connected", local_port(fd), peer_port(fd));
		send_and_wait(fd);
		close(fd);
		pause_ms(ms);
	}
}

static uint16_t checksum(const void *bytes, size_t len)
{
	const uint16_t *w = bytes;
	uint32_t sum = 0;

	for (size_t i = 0; i < len / 2; i++)
		sum += w[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void ping(const char *type, unsigned n)
{
	bool v6 = target.any.sa_family == AF_INET6, raw = !strcmp(type, "raw");
	int fd = socket(target.any.sa_family, raw ? SOCK_RAW : SOCK_DGRAM,
		v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	struct icmphdr h = {.type = v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO};

	if (fd < 0)
		die("ping socket");
	h.un.echo.id = htons((uint16_t)getpid());
	for (unsigned i = 0; i < n; i++) {
		h.un.echo.sequence = htons((uint16_t)i);
		h.checksum = 0;
		h.checksum = v6 ? 0 : checksum(&h, sizeof(h));
		if (sendto(fd, &h, sizeof(h), 0, &target.any, target_len) < 0)
			die("ping");
		if (i + 1 < n)
			pause_ms(50);
	}
	report("ping", raw ? (unsigned)getpid() & 0xffff : local_port(fd), 0);
}

/* A UDP datagram, or a TCP SYN, with its IPv4 header, from and to the target's address. */
static size_t datagram(uint8_t *b, uint16_t sport, bool syn)
{
	struct iphdr ip = {.version = 4, .ihl = 5, .ttl = 64};
	struct udphdr udp = {.source = htons(sport), .dest = target.v4.sin_port};
	struct tcphdr tcp = {
		.source = htons(sport), .dest = target.v4.sin_port, .doff = 5, .syn = 1};
	size_t len = sizeof(ip) + (syn ? sizeof(tcp) : sizeof(udp) + 1);

	ip.protocol = syn ? IPPROTO_TCP : IPPROTO_UDP;
	ip.tot_len = htons((uint16_t)len);
	ip.saddr = ip.daddr = target.v4.sin_addr.s_addr;
	ip.check = checksum(&ip, sizeof(ip));
	udp.len = htons(sizeof(udp) + 1);
	memset(b, 'x', len);
	memcpy(b, &ip, sizeof(ip));
	if (syn)
		memcpy(b + sizeof(ip), &tcp, sizeof(tcp));
	else
		memcpy(b + sizeof(ip), &udp, sizeof(udp));
	return len;
}

static void raw(const char *type, uint16_t sport)
{
	bool header = !strcmp(type, "header");
	int fd = socket(AF_INET, SOCK_RAW, header ? IPPROTO_RAW : IPPROTO_UDP);
	union address to = target;
	uint8_t b[64];
	size_t len = datagram(b, sport, false);
	size_t skip = header ? 0 : sizeof(struct iphdr);

	to.v4.sin_port = 0;
	if (fd < 0 || sendto(fd, b + skip, len - skip, 0, &to.any, sizeof(to.v4)) < 0)
		die("raw");
	report("raw", sport, ntohs(target.v4.sin_port));
}

static void packet(const char *iface, uint16_t sport, bool syn)
{
	int fd = socket(AF_PACKET, SOCK_DGRAM, 0);
	struct sockaddr_ll to = {.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_IP),
		.sll_ifindex = (int)if_nametoindex(iface),
		.sll_halen = 6};
	uint8_t b[64];
	size_t len = datagram(b, sport, syn);

	if (fd < 0 || sendto(fd, b, len, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("packet");
	report("packet", sport, ntohs(target.v4.sin_port));
}

static void send_fd(int over, int fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS,
			     .cmsg_len = CMSG_LEN(sizeof(int))}};
	char byte = 'f';
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	if (sendmsg(over, &m, 0) != 1)
		die("sendmsg");
}

static int recv_fd(int over)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	int fd;

	if (recvmsg(over, &m, 0) != 1)
		die("recvmsg");
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	return fd;
}

static void pass(void)
{
	int pair[2], fd;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		die("socketpair");
	if (fork() == 0) {
		fd = recv_fd(pair[1]);
		report("passed", local_port(fd), peer_port(fd));
		send_and_wait(fd);
		_exit(0);
	}
	fd = socket(target.any.sa_family, SOCK_STREAM, 0);
	if (connect(fd, &target.any, target_len) < 0)
		die("connect");
	report("connected", local_port(fd), peer_port(fd));
	send_fd(pair[0], fd);
	close(fd);
	wait(NULL);
}

static void flood(unsigned ms)
{
	const struct timeval patience = {.tv_usec = 100000};
	int fd = socket(target.any.sa_family, SOCK_DGRAM, 0);
	struct timespec start, now;
	unsigned n = 0;
	char byte;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (fd < 0 || connect(fd, &target.any, target_len) < 0)
		die("connect");
	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		n += send(fd, "x", 1, 0) == 1 && recv(fd, &byte, 1, 0) == 1;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 <
		 (long)ms);
	report("answered", n, local_port(fd));
}

static void mptcp(void)
{
	int fd = socket(target.any.sa_family, SOCK_STREAM, IPPROTO_MPTCP);

	if (fd < 0) {
		report("unsupported", 0, 0);
		return;
	}
	if (connect(fd, &target.any, target_len) < 0)
		die("connect");
	report("connected", local_port(fd), peer_port(fd));
	send_and_wait(fd);
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	signal(SIGPIPE, SIG_IGN);
	if (argc == 6 && !strcmp(verb, "connect")) {
		parse_target(argv[4], argv[5]);
		how = getenv("HOW") ? getenv("HOW") : how;
		connect_all((unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]));
	} else if (argc == 6 && !strcmp(verb, "raw")) {
		parse_target(argv[3], argv[4]);
		raw(argv[2], (uint16_t)atoi(argv[5]));
	} else if (argc == 6 && (!strcmp(verb, "packet") || !strcmp(verb, "syn"))) {
		parse_target(argv[3], argv[4]);
		packet(argv[2], (uint16_t)atoi(argv[5]), !strcmp(verb, "syn"));
	} else if (argc == 6) {
		how = argv[3];
		parse_target(argv[4], argv[5]);
		serve_all(verb, (unsigned)atoi(argv[2]));
	} else if (argc == 5 && !strcmp(verb, "ping")) {
		parse_target(argv[4], "0");
		ping(argv[2], (unsigned)atoi(argv[3]));
	} else if (argc == 5 && !strcmp(verb, "flood")) {
		parse_target(argv[3], argv[4]);
		flood((unsigned)atoi(argv[2]));
	} else if (argc == 4 && !strcmp(verb, "pass")) {
		parse_target(argv[2], argv[3]);
		pass();
	} else if (argc == 4 && !strcmp(verb, "mptcp")) {
		parse_target(argv[2], argv[3]);
		mptcp();
	} else {
		fputs("see the head of servers.c\n", stderr);
		return 64;
	}
	return 0;
}
