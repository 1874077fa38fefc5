/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owners by looking, for real: this process and its children hold sockets, pass them on and close
 * them, and whoever holds one when it is asked for is named. Needs no privilege.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "enrich/owner-internal.h"
#include "enrich/process.h"
#include "tap.h"

#define HIGH_FD     700
#define PATIENCE_NS UINT64_C(15000000000)

static struct owners *owners;
static struct sockaddr_in server;
static int listener;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void mapped(uint8_t ret[16], struct in_addr a)
{
	memset(ret, 0, 16);
	ret[10] = ret[11] = 0xff;
	memcpy(ret + 12, &a, 4);
}

/* A connection to our own listener; its peer's end is closed at once. Returns the local port. */
static uint16_t connect_one(int *ret_fd)
{
	struct sockaddr_in self;
	socklen_t len = sizeof(self);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&server, sizeof(server)) ||
		getsockname(fd, (struct sockaddr *)&self, &len))
		tap_bail("cannot connect to ourselves");
	*ret_fd = fd;
	return ntohs(self.sin_port);
}

/* Who has the client's end of the connection from @port? */
static struct owner_query query(uint16_t port)
{
	struct owner_query q = {
		.family = 4,
		.proto = IPPROTO_TCP,
		.initiator = true,
		.local_port = port,
		.remote_port = ntohs(server.sin_port),
		.t_ns = now_ns(),
	};

	mapped(q.local_addr, server.sin_addr);
	mapped(q.remote_addr, server.sin_addr);
	return q;
}

static struct owner ask(uint16_t port)
{
	struct owner_query q = query(port);
	struct owner answer = {0};

	if (!owners_ask(owners, &q, &answer))
		owners_settle(owners, true);
	return answer;
}

/* Asks until somebody is named: a sweep of /proc is only made every so often. */
static struct owner ask_until_named(uint16_t port)
{
	struct owner a = ask(port);

	for (int i = 0; i < 500 && !a.process; i++) {
		owner_deinit(&a);
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
		a = ask(port);
	}
	return a;
}

static bool names(const struct owner *a, pid_t pid)
{
	return a->process && a->process->pid == (uint32_t)pid;
}

/* A child that holds what we had open until it is killed. */
static pid_t heir(void)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void test_own(void)
{
	struct owner a;
	int fd, high;
	uint16_t port = connect_one(&fd);

	a = ask(port);
	tap_ok(names(&a, getpid()), "who holds the socket is named");
	tap_ok(a.method == RECORD_METHOD_PROCFS && a.confidence == RECORD_CONFIDENCE_EXACT,
		"for certain, by looking");
	tap_is_int(a.uid, getuid(), "with the socket's user");
	owner_deinit(&a);
	a = ask(port);
	tap_ok(names(&a, getpid()) && a.method == RECORD_METHOD_SOCK_DIAG,
		"asked again, it is looked at where it was found");
	owner_deinit(&a);

	high = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
	close(fd);
	a = ask_until_named(port);
	tap_ok(high >= HIGH_FD && names(&a, getpid()), "moved to another descriptor it is found");
	owner_deinit(&a);
	close(high);
	a = ask(port);
	tap_ok(!a.process, "closed, it is nobody's");
	owner_deinit(&a);
}

static void test_passed_on(void)
{
	struct owner a;
	int fd;
	uint16_t port = connect_one(&fd);
	pid_t child;

	a = ask(port);
	tap_ok(names(&a, getpid()), "before it is passed on, we are named");
	owner_deinit(&a);
	child = heir();
	close(fd);
	a = ask_until_named(port);
	tap_ok(names(&a, child), "who closed it is not named again: the child is");
	owner_deinit(&a);
	end(child);
	a = ask(port);
	tap_ok(!a.process, "with the child gone nobody is");
	tap_ok(a.unknown != RECORD_UNKNOWN_NONE || a.confidence == RECORD_CONFIDENCE_CGROUP_ONLY,
		"and it is said why");
	owner_deinit(&a);
}

/* A descriptor beyond the first ones of a process that is new. */
static void test_many(void)
{
	struct owner a;
	int fd[64];
	uint16_t port[64];
	unsigned right = 0;
	pid_t child;

	for (int i = 0; i < 64; i++)
		port[i] = connect_one(&fd[i]);
	child = heir();
	for (int i = 0; i < 64; i++)
		close(fd[i]);
	for (int i = 0; i < 64; i++) {
		a = ask_until_named(port[i]);
		right += names(&a, child);
		owner_deinit(&a);
	}
	tap_is_int(right, 64, "each of 64 sockets of a child");
	end(child);
}

/* A process of its own with one connection, as a client that waits for its answer. */
static pid_t client(uint16_t *ret_port)
{
	int ends[2], fd;
	pid_t pid;

	if (pipe(ends))
		tap_bail("no pipe");
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], STDIN_FILENO);
		close_range(3, ~0u, 0);
		*ret_port = connect_one(&fd);
		if (write(STDIN_FILENO, ret_port, sizeof(*ret_port)) != sizeof(*ret_port))
			_exit(1);
		for (;;)
			pause();
	}
	close(ends[1]);
	if (read(ends[0], ret_port, sizeof(*ret_port)) != sizeof(*ret_port))
		tap_bail("a client did not connect");
	close(ends[0]);
	return pid;
}

#define BURST 40 /* more than are looked at before the others */

/* Many new clients that wait for their answer together: one look is for all of them. */
static void test_burst(void)
{
	struct owner answer[BURST] = {0};
	unsigned at_once = 0, right = 0;
	uint16_t port[BURST];
	pid_t pid[BURST];

	for (int i = 0; i < BURST; i++)
		pid[i] = client(&port[i]);
	for (int i = 0; i < BURST; i++) {
		struct owner_query q = query(port[i]);

		(void)owners_ask(owners, &q, &answer[i]);
	}
	owners_settle(owners, true);
	for (int i = 0; i < BURST; i++) {
		at_once += answer[i].process != NULL;
		if (!answer[i].process) {
			owner_deinit(&answer[i]);
			answer[i] = ask_until_named(port[i]);
		}
		right += names(&answer[i], pid[i]);
		owner_deinit(&answer[i]);
	}
	printf("# of %d clients %u at the first look\n", BURST, at_once);
	tap_is_int(right, BURST, "each of many clients that wait together is named");
	for (int i = 0; i < BURST; i++)
		end(pid[i]);
}

/* A connection that begins and ends within a batch asks twice, or goes away before anybody looks.
 */
static void test_asked_again(void)
{
	struct owner answer[3] = {0};
	uint16_t port[3];
	pid_t pid[3];

	for (int i = 0; i < 3; i++)
		pid[i] = client(&port[i]);
	for (int i = 0; i < 6; i++) {
		struct owner_query q = query(port[i % 3]);

		(void)owners_ask(owners, &q, &answer[i % 3]);
	}
	tap_is_int(owners->n_pending, 3, "who asks again while it waits is one question");
	owners_forget(owners, &answer[0]);
	owners_forget(owners, &answer[0]);
	tap_is_int(owners->n_pending, 2, "a withdrawn one is none");
	for (int i = 1; i < 3; i++) {
		struct owner_query q = query(port[i]);

		(void)owners_ask(owners, &q, &answer[i]);
	}
	tap_is_int(owners->n_pending, 2, "the others still wait where they are found");
	owners_settle(owners, true);
	tap_ok(!answer[0].process && answer[0].unknown == RECORD_UNKNOWN_NONE,
		"it is not answered any more");
	for (int i = 0; i < 3; i++) {
		if (i && !answer[i].process) {
			owner_deinit(&answer[i]);
			answer[i] = ask_until_named(port[i]);
		}
		if (i)
			tap_ok(names(&answer[i], pid[i]), "client %d is named", i);
		owner_deinit(&answer[i]);
		end(pid[i]);
	}
}

/* A UDP socket at @port, 0 = any. */
static uint16_t bind_one(uint16_t port, int *ret_fd)
{
	struct sockaddr_in self = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(0x7f000001)};
	socklen_t len = sizeof(self);

	*ret_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (bind(*ret_fd, (struct sockaddr *)&self, len) ||
		getsockname(*ret_fd, (struct sockaddr *)&self, &len))
		tap_bail("cannot bind");
	return ntohs(self.sin_port);
}

static struct owner ask_udp(uint16_t port, uint64_t t_ns)
{
	struct owner_query q = query(port);
	struct owner answer = {0};

	q.proto = IPPROTO_UDP;
	q.t_ns = t_ns;
	if (!owners_ask(owners, &q, &answer))
		owners_settle(owners, true);
	return answer;
}

/* A port that has passed to us after its sender's packet, and before anybody looked. */
static void test_port_passed(void)
{
	struct owner a;
	int fd, named = 0;
	uint16_t port = bind_one(0, &fd);
	pid_t sender = heir();
	uint64_t sent = now_ns();

	close(fd);
	end(sender);
	(void)bind_one(port, &fd);
	a = ask_udp(port, sent);
	tap_ok(!a.process, "who has the port of a sender that is gone is not named");
	tap_is_int(a.unknown, RECORD_UNKNOWN_AMBIGUOUS, "as it could be another's packet");
	tap_is_int(a.confidence, RECORD_CONFIDENCE_CGROUP_ONLY,
		"the socket's user and cgroup are told, as what they are");
	owner_deinit(&a);
	/* Looks have a share of the time: on a busy machine the next may be seconds away. */
	for (uint64_t until = now_ns() + PATIENCE_NS; !named && now_ns() < until;) {
		a = ask_udp(port, now_ns());
		named = names(&a, getpid());
		owner_deinit(&a);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	tap_ok(named, "of packets from then on it is");
	a = ask_udp(port, sent);
	tap_ok(!a.process, "and still not of the one before");
	owner_deinit(&a);
	sent = now_ns();
	end(heir());
	a = ask_udp(port, sent);
	tap_ok(names(&a, getpid()), "once seen, it stays the owner whoever ends");
	owner_deinit(&a);
	close(fd);
}

/* The next one may get a port at once: its packets are not those of the one before. */
static void test_port_passed_later(void)
{
	int fd;
	uint16_t port = bind_one(0, &fd);
	pid_t sender = heir();
	struct owner_query q = query(port);
	struct owner a = {0};

	close(fd);
	q.proto = IPPROTO_UDP;
	for (uint64_t until = now_ns() + PATIENCE_NS; !names(&a, sender) && now_ns() < until;) {
		owner_deinit(&a);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		a = ask_udp(port, now_ns());
	}
	tap_ok(names(&a, sender), "who sends by a port is named");
	q.start_ns = q.t_ns = now_ns();
	tap_ok(!owners_replaced(owners, &q, &a), "its next packet is its own");
	end(sender);
	q.t_ns = now_ns();
	tap_ok(!(owners_tiers(owners) & OWNERS_TIER_CONNECTOR) || owners_replaced(owners, &q, &a),
		"a packet just after its end is not, where such ends are told");
	owner_deinit(&a);
}

static void start(void)
{
	socklen_t len = sizeof(server);
	struct config config;
	struct ledger ledger;

	if (config_init(&config) || ledger_open_anonymous(&ledger, LEDGER_OF_ENRICH))
		tap_bail("no configuration or ledger");
	config.enrich.tap = CONFIG_TAP_OFF;
	config.enrich.procfs = CONFIG_PROCFS_KEEP;
	if (owners_new(&config, &ledger, &owners))
		tap_bail("no owners");
	config_deinit(&config);
	server = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&server, sizeof(server)) || listen(listener, 128) ||
		getsockname(listener, (struct sockaddr *)&server, &len))
		tap_bail("cannot listen");
}

int main(void)
{
	start();
	tap_ok(owners_tiers(owners) & OWNERS_TIER_SOCK_DIAG, "sock_diag is there");
	tap_ok(owners_tiers(owners) & OWNERS_TIER_PROCFS, "and /proc");
	test_own();
	test_passed_on();
	test_many();
	test_burst();
	test_asked_again();
	test_port_passed();
	test_port_passed_later();
	owners_free(owners);
	return tap_done();
}
