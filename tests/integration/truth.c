/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients and servers that report the truth about themselves, to hold flowner's records against.
 *
 *	truth server tcp|udp ADDR PORT		answers each connection or datagram with one byte
 *	truth client tcp|udp ADDR PORT		one connection, one byte, one report, exits at once
 *	truth answer MS ADDR PORT		a TCP server: MS after the first byte comes one back
 *	truth asker tcp|udp ADDR PORT		reports, connects, writes a byte, reads one, exits
 *at once truth ask N PARALLEL tcp|udp ADDR PORT	N askers, each a new process (fork + exec)
 *	truth launch N PARALLEL tcp|udp ADDR PORT	N clients, each a new process (fork + exec)
 *	truth forks N tcp|udp ADDR PORT		N clients, each a forked child without exec
 *	truth pace RATE SECONDS ADDR PORT	one process opening RATE TCP connections a second
 *	truth held RATE MS ADDR PORT		both ends; RATE a second, open for MS/4 to MS
 *	truth syns IFACE N			N distinct TCP SYN frames at full speed (AF_PACKET)
 *
 * A report is one line on standard output in a single write(2):
 * "proto local-port pid uid start-ticks exe".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
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

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct target {
	bool udp;
	union address address;
	socklen_t len;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static struct target parse_target(char **argv)
{
	struct target t = {.udp = !strcmp(argv[0], "udp")};
	uint16_t port = htons((uint16_t)atoi(argv[2]));

	if (strchr(argv[1], ':')) {
		t.address.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port};
		t.len = sizeof(t.address.v6);
		if (inet_pton(AF_INET6, argv[1], &t.address.v6.sin6_addr) != 1)
			die(argv[1]);
	} else {
		t.address.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
		t.len = sizeof(t.address.v4);
		if (inet_pton(AF_INET, argv[1], &t.address.v4.sin_addr) != 1)
			die(argv[1]);
	}
	return t;
}

static int new_socket(const struct target *t)
{
	int fd = socket(t->address.any.sa_family, t->udp ? SOCK_DGRAM : SOCK_STREAM, 0);

	if (fd < 0)
		die("socket");
	return fd;
}

static unsigned long long start_ticks(void)
{
	char buf[1024], *p;
	unsigned long long ticks = 0;
	FILE *f = fopen("/proc/self/stat", "r");

	if (f && fgets(buf, sizeof(buf), f) && (p = strrchr(buf, ')')))
		sscanf(p + 2,
			"%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
			"%*d %llu",
			&ticks);
	if (f)
		fclose(f);
	return ticks;
}

/* What a report says of this process, gathered before the connection so that the exit is quick. */
static void client(const struct target *t)
{
	char exe[256], line[512];
	unsigned long long ticks = start_ticks();
	ssize_t exe_len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	union address self;
	socklen_t len = sizeof(self);
	int fd = new_socket(t), n;

	exe[exe_len > 0 ? exe_len : 0] = 0;
	if (connect(fd, &t->address.any, t->len) < 0)
		die("connect");
	if (getsockname(fd, &self.any, &len) < 0)
		die("getsockname");
	n = snprintf(line, sizeof(line), "%s %u %d %u %llu %s\n", t->udp ? "udp" : "tcp",
		ntohs(self.v4.sin_port), getpid(), getuid(), ticks, exe);
	if (write(1, line, (size_t)n) != n)
		die("report");
	if (send(fd, "x", 1, MSG_NOSIGNAL) != 1)
		_exit(1);
	_exit(0);
}

/* Bound before it connects, so that nothing but the exchange lies between SYN and exit. */
static void asker(const struct target *t)
{
	union address self = {.any.sa_family = t->address.any.sa_family};
	unsigned long long ticks = start_ticks();
	socklen_t len = t->len;
	char exe[256], line[512], c;
	ssize_t exe_len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	int fd = new_socket(t), n;

	exe[exe_len > 0 ? exe_len : 0] = 0;
	if (bind(fd, &self.any, t->len) < 0 || getsockname(fd, &self.any, &len) < 0)
		die("bind");
	n = snprintf(line, sizeof(line), "%s %u %d %u %llu %s\n", t->udp ? "udp" : "tcp",
		ntohs(self.v4.sin_port), getpid(), getuid(), ticks, exe);
	if (write(1, line, (size_t)n) != n)
		die("report");
	if (connect(fd, &t->address.any, t->len) < 0)
		die("connect");
	_exit(send(fd, "x", 1, MSG_NOSIGNAL) != 1 || recv(fd, &c, 1, 0) != 1);
}

static void launch(unsigned n, unsigned parallel, char **target, const char *with_exec)
{
	struct target t = parse_target(target);
	unsigned running = 0;

	for (unsigned i = 0; i < n || running;) {
		if (i < n && running < parallel) {
			pid_t pid = fork();

			if (pid < 0)
				die("fork");
			if (pid == 0 && with_exec) {
				execl("/proc/self/exe", "truth", with_exec, target[0], target[1],
					target[2], (char *)NULL);
				_exit(127);
			}
			if (pid == 0)
				client(&t);
			i++;
			running++;
		} else if (wait(NULL) > 0) {
			running--;
		}
	}
}

static void serve_udp(int fd)
{
	char buf[2048];
	union address from;

	for (;;) {
		socklen_t len = sizeof(from);

		if (recvfrom(fd, buf, sizeof(buf), 0, &from.any, &len) >= 0)
			sendto(fd, "y", 1, 0, &from.any, len);
	}
}

static void serve_tcp(int fd)
{
	char buf[2048];

	for (;;) {
		int c = accept(fd, NULL, NULL);

		if (c < 0)
			continue;
		while (read(c, buf, sizeof(buf)) > 0)
			;
		close(c);
	}
}

static void serve_answer(int fd, unsigned ms)
{
	const struct timespec delay = {ms / 1000, (long)(ms % 1000) * 1000000};
	char buf[2048];

	for (;;) {
		int c = accept(fd, NULL, NULL);

		if (c < 0)
			continue;
		if (recv(c, buf, sizeof(buf), 0) > 0) {
			if (ms)
				nanosleep(&delay, NULL);
			(void)!send(c, "y", 1, MSG_NOSIGNAL);
		}
		while (recv(c, buf, sizeof(buf), 0) > 0)
			;
		close(c);
	}
}

static void server(char **target, int answer_ms)
{
	struct target t = parse_target(target);
	int fd = new_socket(&t), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, &t.address.any, t.len) < 0)
		die("bind");
	if (!t.udp && listen(fd, 4096) < 0)
		die("listen");
	printf("ready %d\n", getpid());
	fflush(stdout);
	if (t.udp)
		serve_udp(fd);
	if (answer_ms >= 0)
		serve_answer(fd, (unsigned)answer_ms);
	serve_tcp(fd);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void pace(unsigned rate, unsigned seconds, char **target)
{
	struct target t = parse_target(target);
	uint64_t start = now_ns(), step = 1000000000 / rate;
	unsigned long done = 0, failed = 0;

	for (unsigned long i = 0; i < (unsigned long)rate * seconds; i++) {
		uint64_t due = start + i * step, now = now_ns();
		int fd;

		if (now < due)
			nanosleep(&(struct timespec){.tv_nsec = (long)(due - now)}, NULL);
		fd = new_socket(&t);
		if (connect(fd, &t.address.any, t.len) < 0 || send(fd, "x", 1, MSG_NOSIGNAL) != 1)
			failed++;
		else
			done++;
		close(fd);
	}
	printf("%lu %lu\n", done, failed);
}

#define HELD_MAX 1024u

/* Until it is killed. A connection for which there is no room is closed at once. */
static void held(unsigned rate, unsigned ms, char **target)
{
	static struct {
		int fd[2];
		uint64_t until;
	} open[HELD_MAX];
	struct target t = parse_target(target);
	uint64_t next = now_ns(), step = 1000000000 / rate;
	int listening = new_socket(&t), on = 1;

	setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listening, &t.address.any, t.len) < 0 || listen(listening, 16) < 0)
		die("listen");
	for (unsigned i = 0;; i = (i + 1) % HELD_MAX) {
		uint64_t now = now_ns();

		if (now < next)
			nanosleep(&(struct timespec){.tv_nsec = (long)(next - now)}, NULL);
		next += step;
		for (unsigned k = 0; k < HELD_MAX; k++) {
			if (!open[k].until || (k != i && now < open[k].until))
				continue;
			close(open[k].fd[0]);
			close(open[k].fd[1]);
			open[k].until = 0;
		}
		open[i].fd[0] = new_socket(&t);
		if (connect(open[i].fd[0], &t.address.any, t.len) < 0)
			die("connect");
		open[i].fd[1] = accept(listening, NULL, NULL);
		open[i].until = now + (uint64_t)ms * 250000 * (i % 4 + 1);
	}
}

/* One minimal IPv4 TCP SYN; source address and port make it distinct. */
static size_t syn_frame(uint8_t *b, uint32_t i)
{
	static const uint8_t head[] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0};
	const uint16_t sport = htons((uint16_t)(1024 + i % 60000));

	memset(b, 0, 60);
	memcpy(b, head, sizeof(head));
	b[14] = 0x45;
	b[17] = 40;
	b[22] = 64;
	b[23] = IPPROTO_TCP;
	b[26] = 10;
	b[27] = 200;
	b[28] = (uint8_t)(i / 60000);
	b[29] = 7;
	memcpy(b + 30, (uint8_t[]){10, 200, 255, 1}, 4);
	memcpy(b + 34, &sport, 2);
	b[37] = 80;
	memcpy(b + 38, &i, 4);
	b[46] = 0x50;
	b[47] = 2;
	return 60;
}

static void syns(const char *iface, unsigned long n)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_halen = 6};
	int fd = socket(AF_PACKET, SOCK_RAW, 0);
	unsigned long sent = 0;
	uint8_t frame[64];

	to.sll_ifindex = (int)if_nametoindex(iface);
	if (fd < 0 || !to.sll_ifindex)
		die(iface);
	while (sent < n) {
		size_t len = syn_frame(frame, (uint32_t)sent);

		if (sendto(fd, frame, len, 0, (struct sockaddr *)&to, sizeof(to)) == (ssize_t)len)
			sent++;
		else if (errno != ENOBUFS && errno != EAGAIN)
			die("sendto");
	}
	printf("%lu\n", sent);
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (!strcmp(verb, "client") && argc == 5) {
		struct target t = parse_target(argv + 2);

		client(&t);
	} else if (!strcmp(verb, "server") && argc == 5) {
		server(argv + 2, -1);
	} else if (!strcmp(verb, "answer") && argc == 5) {
		char *target[] = {(char[]){"tcp"}, argv[3], argv[4]};

		server(target, atoi(argv[2]));
	} else if (!strcmp(verb, "asker") && argc == 5) {
		struct target t = parse_target(argv + 2);

		asker(&t);
	} else if (!strcmp(verb, "launch") && argc == 7) {
		launch((unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]), argv + 4, "client");
	} else if (!strcmp(verb, "ask") && argc == 7) {
		launch((unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]), argv + 4, "asker");
	} else if (!strcmp(verb, "forks") && argc == 6) {
		launch((unsigned)atoi(argv[2]), 1, argv + 3, NULL);
	} else if (!strcmp(verb, "pace") && argc == 6) {
		char *target[] = {(char[]){"tcp"}, argv[4], argv[5]};

		pace((unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]), target);
	} else if (!strcmp(verb, "held") && argc == 6) {
		char *target[] = {(char[]){"tcp"}, argv[4], argv[5]};

		held((unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]), target);
	} else if (!strcmp(verb, "syns") && argc == 4) {
		syns(argv[2], strtoul(argv[3], NULL, 10));
	} else {
		fprintf(stderr, "truth: see the head of its source\n");
		return 64;
	}
	return 0;
}
