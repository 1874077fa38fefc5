/* SPDX-License-Identifier: Apache-2.0 */
/* The process connector over a netlink socket. */
#include "enrich/connector.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "enrich/netlink.h"
#include "enrich/steady.h"
#include "shm/cleanup.h"

#define RECEIVE_BUFFER (4 << 20) /* bytes: some 5,000 events of a fork storm */
#define ACK_SEARCH     4096      /* events of others in front of the answer to our request */
#define MESSAGE_MAX    512u

/* Where the fields are in a datagram. */
#define AT(field) (NLMSG_HDRLEN + sizeof(struct cn_msg) + offsetof(struct proc_event, field))

struct connector {
	int fd;
	int wake_fd; /* exec events only, read for nothing but to be woken */
	struct connector_stats stats;
};

static int attach(int fd, struct sock_filter *insn, size_t n)
{
	const struct sock_fprog program = {(unsigned short)n, insn};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno
											   : 0;
}

/* Lets only whole processes' events through, and of these only what connector_next() knows. */
static int attach_filter(int fd)
{
	struct sock_filter insn[] = {
		/* 0*/ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, AT(what)),
		/* 1*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(PROC_EVENT_FORK), 11, 0),
		/* 2*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(PROC_EVENT_EXEC), 15, 0),
		/* 3*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(PROC_EVENT_NONE), 14, 0),
		/* 4*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(PROC_EVENT_EXIT), 4, 0),
		/* 5*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(PROC_EVENT_COMM), 3, 0),
		/* 6*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(PROC_EVENT_UID), 2, 0),
		/* 7*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(PROC_EVENT_GID), 1, 0),
		/* 8*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(PROC_EVENT_SID), 0, 8),
		/* 9*/
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, AT(event_data.exit.process_pid)),
		/*10*/ BPF_STMT(BPF_MISC | BPF_TAX, 0),
		/*11*/
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, AT(event_data.exit.process_tgid)),
		/*12*/ BPF_JUMP(BPF_JMP | BPF_JA, 3, 0, 0),
		/*13*/ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, AT(event_data.fork.child_pid)),
		/*14*/ BPF_STMT(BPF_MISC | BPF_TAX, 0),
		/*15*/
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, AT(event_data.fork.child_tgid)),
		/*16*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 1, 0),
		/*17*/ BPF_STMT(BPF_RET | BPF_K, 0),
		/*18*/ BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};

	return attach(fd, insn, sizeof(insn) / sizeof(insn[0]));
}

/* The same for changes of ids and sessions alone, where the kernel cannot be asked for these. */
static int attach_ids_filter(int fd)
{
	struct sock_filter insn[] = {
		/*0*/ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, AT(what)),
		/*1*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(PROC_EVENT_UID), 2, 0),
		/*2*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(PROC_EVENT_GID), 1, 0),
		/*3*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(PROC_EVENT_SID), 0, 4),
		/*4*/ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, AT(event_data.id.process_pid)),
		/*5*/ BPF_STMT(BPF_MISC | BPF_TAX, 0),
		/*6*/ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, AT(event_data.id.process_tgid)),
		/*7*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 1, 0),
		/*8*/ BPF_STMT(BPF_RET | BPF_K, 0),
		/*9*/ BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};

	return attach(fd, insn, sizeof(insn) / sizeof(insn[0]));
}

static int attach_wake_filter(int fd)
{
	struct sock_filter insn[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, AT(what)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(PROC_EVENT_EXEC), 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 0),
		/* Whole: the kernel would cut it for the listeners after us, too. */
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};

	return attach(fd, insn, sizeof(insn) / sizeof(insn[0]));
}

static int request(int fd, bool listen, uint32_t seq)
{
	char buf[CONNECTOR_REQUEST_SIZE];
	size_t len = connector_request(buf, listen, seq);

	return netlink_send(fd, buf, len) < 0 ? -errno : 0;
}

/* One datagram of the kernel's. Bytes, 0 = none waits or none of the kernel's, -errno. */
static ssize_t receive(int fd, char buf[MESSAGE_MAX])
{
	struct sockaddr_nl from;
	ssize_t n;

	do {
		n = netlink_recv(fd, buf, MESSAGE_MAX, MSG_DONTWAIT, &from);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return from.nl_pid == 0 ? n : 0;
}

/* The kernel answers within send(2): its word is in the buffer, behind events that were faster. */
static int find_answer(int fd, uint32_t seq)
{
	_Alignas(8) char buf[MESSAGE_MAX];
	struct connector_event e;

	for (int i = 0; i < ACK_SEARCH; i++) {
		ssize_t n = receive(fd, buf);
		size_t at = 0;

		if (n == -EAGAIN)
			break; /* it would be here: outside the initial namespaces there is none */
		while (n > 0 && connector_next(buf, (size_t)n, &at, &e) == 0)
			if (e.kind == CONNECTOR_ACK && e.seq == seq)
				return e.error;
	}
	return -EPERM;
}

static int open_bound(int (*filter)(int fd), int *ret_fd)
{
	const struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC};
	int r;

	*ret_fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR);
	if (*ret_fd < 0)
		return -errno;
	r = filter(*ret_fd);
	if (r < 0)
		return r;
	return bind(*ret_fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
}

static int start(struct connector *c)
{
	int size = RECEIVE_BUFFER, r;
	uint32_t seq;

	if (getrandom(&seq, sizeof(seq), 0) != sizeof(seq))
		return -EIO;
	r = open_bound(attach_filter, &c->fd);
	if (r == 0)
		r = open_bound(attach_wake_filter, &c->wake_fd);
	if (r < 0)
		return r;
	if (setsockopt(c->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	r = request(c->fd, true, seq);
	return r < 0 ? r : find_answer(c->fd, seq);
}

static void close_fds(struct connector *c)
{
	if (c->fd >= 0)
		close(c->fd);
	if (c->wake_fd >= 0)
		close(c->wake_fd);
	c->fd = c->wake_fd = -1;
}

struct attempt {
	struct connector *c;
	int r;
};

/* A thread of its own, which ends with it, is in the initial network namespace meanwhile. */
static void *start_initial(void *arg)
{
	struct attempt *a = arg;
	int ns = open("/proc/1/ns/net", O_RDONLY | O_CLOEXEC);

	/* The kernel's threads are in it, too, and hide less. */
	if (ns < 0)
		ns = open("/proc/2/ns/net", O_RDONLY | O_CLOEXEC);
	if (ns >= 0 && setns(ns, CLONE_NEWNET) == 0)
		a->r = start(a->c);
	if (ns >= 0)
		close(ns);
	return NULL;
}

int connector_new(struct connector **ret)
{
	struct connector *c = calloc(1, sizeof(*c));
	struct attempt a = {.c = c};
	pthread_t thread;

	if (!c)
		return -ENOMEM;
	c->fd = c->wake_fd = -1;
	a.r = start(c);
	if (a.r < 0) {
		close_fds(c);
		if (pthread_create(&thread, NULL, start_initial, &a) == 0)
			pthread_join(thread, NULL);
	}
	if (a.r < 0) {
		close_fds(c);
		free(c);
		return a.r;
	}
	*ret = c;
	return 0;
}

int connector_new_from(const int fds[2], struct connector **ret)
{
	struct connector *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fds[0]);
		close(fds[1]);
		return -ENOMEM;
	}
	c->fd = fds[0];
	c->wake_fd = fds[1];
	*ret = c;
	return 0;
}

void connector_end(struct connector *c, int ret_fds[2])
{
	ret_fds[0] = c->fd;
	ret_fds[1] = c->wake_fd;
	free(c);
}

void connector_free(struct connector *c)
{
	if (!c)
		return;
	/* Older kernels count listeners by these requests alone. */
	(void)request(c->fd, false, 0);
	close_fds(c);
	free(c);
}

int connector_only_ids(struct connector *c)
{
	char buf[CONNECTOR_NARROW_SIZE];
	int r = attach_ids_filter(c->fd);

	if (r < 0)
		return r;
	/* Linux 6.6 and later then do not even offer the others; older ones ignore it. */
	(void)netlink_send(c->fd, buf, connector_narrow(buf));
	if (c->wake_fd >= 0)
		close(take_fd(&c->wake_fd));
	return 0;
}

int connector_fd(const struct connector *c)
{
	return c->wake_fd >= 0 ? c->wake_fd : c->fd;
}

const struct connector_stats *connector_stats(const struct connector *c)
{
	return &c->stats;
}

unsigned connector_read(struct connector *c, unsigned max, connector_fn fn, void *arg)
{
	_Alignas(8) char buf[MESSAGE_MAX];
	const uint64_t offset = steady_of_monotonic(0);
	struct connector_event e;
	unsigned read = 0;
	char word;

	while (c->wake_fd >= 0 &&
		netlink_recv(c->wake_fd, &word, sizeof(word), MSG_DONTWAIT, NULL) > 0)
		;
	for (; read < max; read++) {
		ssize_t n = receive(c->fd, buf);
		size_t at = 0;
		int r = 0;

		if (n == -ENOBUFS) {
			c->stats.overruns++;
			continue;
		}
		if (n < 0)
			break;
		while (n > 0 && (r = connector_next(buf, (size_t)n, &at, &e)) == 0) {
			c->stats.events++;
			e.t_ns += offset;
			if (e.kind != CONNECTOR_OTHER && e.kind != CONNECTOR_ACK)
				fn(arg, &e);
		}
		c->stats.malformed += r == CONNECTOR_E_MALFORMED;
	}
	return read;
}
