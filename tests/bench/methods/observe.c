/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches connections to one port in the way named, for comparison with flowner.
 *
 *	observe METHOD PORT [IFACE [PERIOD_MS|GROUP]]
 *
 * Prints a line a sighting until SIGTERM or SIGINT, and "ready" on standard error once it watches.
 */
#include "bench/methods/observe.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct method {
	const char *name;
	void (*run)(const struct observe_options *o);
} methods[] = {
	{"connector", connector_run}, /* process connector, newest process guessed */
	{"poll", poll_run},           /* /proc/net and a /proc walk, every PERIOD_MS */
	{"nflog", nflog_run},         /* netfilter's log GROUP, which carries the uid */
	{"walk", walk_run},           /* libpcap, /proc/net and a /proc walk a packet */
	{"diag", diag_run},           /* libpcap, sock_diag and a /proc walk a packet */
	{"packets", packets_run},     /* libpcap alone: no owners */
};

static sigset_t while_waiting;
static volatile sig_atomic_t ending;

void observe_die(const char *what)
{
	perror(what);
	exit(1);
}

uint64_t observe_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void observe_ready(void)
{
	fprintf(stderr, "ready\n");
}

bool observe_wait(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct timespec t = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};

	if (ppoll(&p, 1, timeout_ms < 0 ? NULL : &t, &while_waiting) < 0 && errno != EINTR)
		observe_die("ppoll");
	return !ending;
}

void observe_report(uint64_t t_ns, uint8_t proto, uint16_t local_port, pid_t pid, uid_t uid)
{
	const char *name = proto == IPPROTO_UDP ? "udp" : "tcp";

	if (pid || uid == (uid_t)-1)
		printf("%llu %s %u %d\n", (unsigned long long)t_ns, name, local_port, pid);
	else
		printf("%llu %s %u uid:%u\n", (unsigned long long)t_ns, name, local_port, uid);
}

static void on_signal(int sig)
{
	(void)sig;
	ending = 1;
}

/* The signals are only let in while waiting, so that none comes between a look at `ending` and the
 * wait. */
static void catch_signals(void)
{
	struct sigaction sa = {.sa_handler = on_signal};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, &while_waiting);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
}

int main(int argc, char **argv)
{
	struct observe_options o = {.iface = "lo"};

	if (argc >= 3 && argc <= 5) {
		o.port = (uint16_t)atoi(argv[2]);
		if (argc > 3)
			o.iface = argv[3];
		if (argc > 4) {
			o.period_ms = (unsigned)atoi(argv[4]);
			o.group = (uint16_t)atoi(argv[4]);
		}
		for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
			if (strcmp(argv[1], methods[i].name))
				continue;
			catch_signals();
			methods[i].run(&o);
			return fflush(stdout) ? 1 : 0;
		}
	}
	fprintf(stderr, "usage: observe METHOD PORT [IFACE [PERIOD_MS|GROUP]]\n");
	return 64;
}
