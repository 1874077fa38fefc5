/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process connector alone: it knows when processes begin and end but nothing of sockets, so
 * each first packet is given to the youngest process that lived at its time.
 *
 * Assumes that whoever connects has begun within the last second; otherwise it names nobody.
 */
#include "bench/methods/packets.h"

#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BIRTHS_MAX   1024u /* youngest processes remembered */
#define YOUNG_NS     1000000000ull
#define RECEIVE_SIZE (4 << 20) /* bytes waiting in the socket */

struct birth {
	pid_t pid;
	uint64_t begin, end; /* CLOCK_MONOTONIC; end 0 = lives */
};

static struct birth births[BIRTHS_MAX]; /* ring */
static size_t n_births;
static int sock;

static struct birth *birth_at(size_t back)
{
	return &births[(n_births - 1 - back) % BIRTHS_MAX];
}

static size_t remembered(void)
{
	return n_births < BIRTHS_MAX ? n_births : BIRTHS_MAX;
}

static void on_event(const struct proc_event *e)
{
	pid_t pid = 0;

	if (e->what == PROC_EVENT_FORK &&
		e->event_data.fork.child_pid == e->event_data.fork.child_tgid)
		pid = e->event_data.fork.child_tgid;
	else if (e->what == PROC_EVENT_EXEC)
		pid = e->event_data.exec.process_tgid;
	if (pid) {
		births[n_births++ % BIRTHS_MAX] = (struct birth){pid, e->timestamp_ns, 0};
		return;
	}
	if (e->what != PROC_EVENT_EXIT ||
		e->event_data.exit.process_pid != e->event_data.exit.process_tgid)
		return;
	pid = e->event_data.exit.process_tgid;
	for (size_t i = 0; i < remembered(); i++) {
		struct birth *b = birth_at(i);

		if (b->pid == pid && !b->end)
			b->end = e->timestamp_ns;
	}
}

static void drain(void)
{
	char buf[8192] __attribute__((aligned(8)));
	ssize_t n;

	while ((n = recv(sock, buf, sizeof(buf), MSG_DONTWAIT)) > 0 || errno == ENOBUFS) {
		const struct nlmsghdr *h = (struct nlmsghdr *)buf;

		for (; n > 0 && NLMSG_OK(h, (size_t)n); h = NLMSG_NEXT(h, n)) {
			const struct cn_msg *m = NLMSG_DATA(h);
			struct proc_event e;

			if (m->len < sizeof(e))
				continue;
			memcpy(&e, m->data, sizeof(e));
			on_event(&e);
		}
	}
}

static void subscribe(void)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC};
	const enum proc_cn_mcast_op op = PROC_CN_MCAST_LISTEN;
	_Alignas(struct nlmsghdr) char q[NLMSG_LENGTH(sizeof(struct cn_msg) + sizeof(op))];
	struct nlmsghdr *h = (struct nlmsghdr *)(void *)q;
	struct cn_msg *m = NLMSG_DATA(h);
	int size = RECEIVE_SIZE;

	*h = (struct nlmsghdr){.nlmsg_len = sizeof(q), .nlmsg_type = NLMSG_DONE};
	*m = (struct cn_msg){.id = {CN_IDX_PROC, CN_VAL_PROC}, .len = sizeof(op)};
	memcpy(m->data, &op, sizeof(op));
	sock = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_CONNECTOR);
	if (sock < 0 || bind(sock, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		send(sock, q, sizeof(q), 0) != sizeof(q))
		observe_die("process connector");
	setsockopt(sock, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
}

static pid_t youngest(uint64_t t)
{
	for (size_t i = 0; i < remembered(); i++) {
		const struct birth *b = birth_at(i);

		if (b->begin <= t && (!b->end || b->end >= t))
			return t - b->begin < YOUNG_NS ? b->pid : 0;
	}
	return 0;
}

void connector_run(const struct observe_options *o)
{
	struct timespec mono;
	struct packet p;

	subscribe();
	packets_open(o);
	observe_ready();
	/* Only packets wake it: the events that matter to one are there before it. The pause bounds
	 * their backlog. */
	for (;;) {
		if (!observe_wait(packets_fd(), 20))
			break;
		clock_gettime(CLOCK_MONOTONIC, &mono);
		uint64_t ahead = observe_now_ns() -
				 ((uint64_t)mono.tv_sec * 1000000000 + (uint64_t)mono.tv_nsec);

		drain();
		while (packets_next(&p)) {
			pid_t pid;

			drain();
			pid = youngest(p.t_ns - ahead);
			if (pid)
				observe_report(p.t_ns, p.proto, p.sport, pid, (uid_t)-1);
		}
	}
	close(sock);
}
