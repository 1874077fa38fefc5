/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tap for real: one process connects, sends, listens, accepts and runs a program, and each of
 * that arrives in the rings, read by a process without any privilege.
 */
#include "tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture/tap.h"

#define MARK "flowner-tap-test-argument"

/* What the reader found of the actor's doings. */
struct found {
	unsigned fork, comm_exec, mmap_true, exit, exec, argument, tcp4, udp4, udp6, listen, tcp6;
	unsigned closed, softirq, foreign, cgroup, lost;
	int error;
};

/* Ports of the actor's sockets, by the tests' own choice. */
enum { TCP4_PORT = 20014, TCP6_PORT = 20016, UDP4_PORT = 20024, UDP6_PORT = 20026 };

static socklen_t address(struct sockaddr_storage *ss, int family, uint16_t port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ss;

	memset(ss, 0, sizeof(*ss));
	ss->ss_family = (sa_family_t)family;
	if (family == AF_INET) {
		v4->sin_port = htons(port);
		v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return sizeof(*v4);
	}
	v6->sin6_port = htons(port);
	v6->sin6_addr = in6addr_loopback;
	return sizeof(*v6);
}

/* A whole connection with itself: listen, connect, accept, both ends closed. */
static bool tcp(int family, uint16_t port)
{
	struct sockaddr_storage ss;
	socklen_t len = address(&ss, family, port);
	int l = socket(family, SOCK_STREAM, 0), c = socket(family, SOCK_STREAM, 0), a, one = 1;

	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(l, (struct sockaddr *)&ss, len) || listen(l, 1) ||
		connect(c, (struct sockaddr *)&ss, len))
		return false;
	a = accept(l, NULL, NULL);
	/* The server's end first: it is the one that goes through FIN_WAIT1. */
	close(a);
	close(c);
	close(l);
	return a >= 0;
}

static bool udp(int family, uint16_t port)
{
	struct sockaddr_storage ss;
	socklen_t len = address(&ss, family, port);
	int s = socket(family, SOCK_DGRAM, 0);
	bool ok = sendto(s, "x", 1, 0, (struct sockaddr *)&ss, len) == 1;

	close(s);
	return ok;
}

static pid_t act(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (!tcp(AF_INET, TCP4_PORT) || !udp(AF_INET, UDP4_PORT))
			_exit(1);
		/* No IPv6 here: the checks that need it then fail, and say so. */
		(void)(tcp(AF_INET6, TCP6_PORT) && udp(AF_INET6, UDP6_PORT));
		execl("/bin/true", "true", MARK, NULL);
		_exit(2);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		tap_bail("the acting process failed");
	return pid;
}

static uint64_t field(const uint8_t *raw, struct tap_field f)
{
	uint64_t v = 0;

	if (f.size && f.size <= sizeof(v))
		memcpy(&v, raw + f.offset, f.size);
	return v;
}

static void fib(const struct tap_field *f, const uint8_t *raw, unsigned *tcp4, unsigned *udp_,
	uint16_t udp_port, struct found *n)
{
	uint64_t dport = field(raw, f[TAP_FIB_DPORT]), proto = field(raw, f[TAP_FIB_PROTO]);

	n->softirq += field(raw, f[TAP_FIB_FLAGS]) & 0x10 ? 1 : 0;
	*tcp4 += proto == IPPROTO_TCP && dport == TCP4_PORT;
	*udp_ += proto == IPPROTO_UDP && dport == udp_port && field(raw, f[TAP_FIB_SPORT]);
}

static void state(const struct tap *t, const uint8_t *raw, struct found *n)
{
	const struct tap_field *f = t->layout.state;
	uint64_t new = field(raw, f[TAP_STATE_NEWSTATE]), sport = field(raw, f[TAP_STATE_SPORT]);

	n->listen += new == TCP_LISTEN && (sport == TCP4_PORT || sport == TCP6_PORT);
	n->tcp6 += new == TCP_SYN_SENT &&field(raw, f[TAP_STATE_DPORT]) ==
		   TCP6_PORT &&field(raw, f[TAP_STATE_SKADDR]);
	n->closed += (new == TCP_FIN_WAIT1 || new == TCP_LAST_ACK) && sport == TCP4_PORT;
}

/* identifier, pid, tid, time, then raw data, registers and stack, cgroup. */
static void sample(const struct tap *t, const struct tap_cpu *c, pid_t pid, const uint8_t *p,
	const uint8_t *end, struct found *n)
{
	uint32_t who, raw_size;
	uint64_t id, cgroup;
	int e = 0;

	memcpy(&id, p, 8);
	memcpy(&who, p + 8, 4);
	memcpy(&raw_size, p + 24, 4);
	while (e < TAP_EVENTS && c->id[e] != id)
		e++;
	n->foreign += e == TAP_EVENTS;
	if ((pid_t)who != pid)
		return;
	if (t->layout.sample_type[TAP_FIB] & PERF_SAMPLE_CGROUP) {
		memcpy(&cgroup, end - 8, 8);
		n->cgroup += cgroup != 0;
	}
	p += 28;
	if (e == TAP_FIB)
		fib(t->layout.fib, p, &n->tcp4, &n->udp4, UDP4_PORT, n);
	if (e == TAP_FIB6)
		fib(t->layout.fib6, p, &n->tcp4, &n->udp6, UDP6_PORT, n);
	if (e == TAP_STATE)
		state(t, p, n);
	if (e == TAP_EXEC) {
		n->exec++;
		p += raw_size;
		n->argument += memmem(p, (size_t)(end - p), MARK, sizeof(MARK)) != NULL;
	}
}

static void record(
	const struct tap *t, const struct tap_cpu *c, pid_t pid, const uint8_t *p, struct found *n)
{
	const struct perf_event_header *h = (const void *)p;
	const uint8_t *body = p + sizeof(*h), *end = p + h->size;
	uint32_t who, parent;

	memcpy(&who, body, 4);
	memcpy(&parent, body + 4, 4);
	switch (h->type) {
	case PERF_RECORD_SAMPLE:
		sample(t, c, pid, body, end, n);
		break;
	case PERF_RECORD_FORK:
		n->fork += (pid_t)who == pid && (pid_t)parent == getppid();
		break;
	case PERF_RECORD_EXIT:
		n->exit += (pid_t)who == pid;
		break;
	case PERF_RECORD_COMM:
		n->comm_exec += (pid_t)who == pid && h->misc & PERF_RECORD_MISC_COMM_EXEC &&
				!strcmp((const char *)body + 8, "true");
		break;
	case PERF_RECORD_MMAP2:
		n->mmap_true += (pid_t)who == pid && strstr((const char *)body + 64, "/true");
		break;
	case PERF_RECORD_LOST:
		n->lost++;
		break;
	default:
		break;
	}
}

/* Reads one ring through a mapping of its own, and gives the space back. */
static int read_ring(const struct tap *t, const struct tap_cpu *c, pid_t pid, struct found *n)
{
	struct perf_event_mmap_page *page =
		mmap(NULL, t->ring_size, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd[TAP_LIFE], 0);
	uint64_t head, tail, size;
	uint8_t *data, *copy;

	if (page == MAP_FAILED)
		return -errno;
	head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
	tail = page->data_tail;
	size = page->data_size;
	data = (uint8_t *)page + page->data_offset;
	copy = malloc(size + 1);
	if (!copy || head - tail > size)
		return -EPROTO;
	for (uint64_t i = tail; i < head; i++)
		copy[i - tail] = data[i % size];
	for (uint64_t at = 0; at < head - tail;) {
		record(t, c, pid, copy + at, n);
		at += ((const struct perf_event_header *)(const void *)(copy + at))->size;
	}
	__atomic_store_n(&page->data_tail, head, __ATOMIC_RELEASE);
	free(copy);
	munmap(page, t->ring_size);
	return 0;
}

/* The reader: nobody, with nothing but the descriptors. */
static struct found read_all(const struct tap *t, pid_t pid)
{
	struct found n = {.error = -EIO};
	int fds[2];

	if (pipe(fds))
		tap_bail("pipe");
	if (fork() == 0) {
		int r = setgroups(0, NULL) || setresgid(65534, 65534, 65534) ||
			setresuid(65534, 65534, 65534);

		for (uint32_t i = 0; r == 0 && i < t->layout.cpus; i++)
			r = read_ring(t, &t->cpu[i], pid, &n);
		n.error = r;
		r = write(fds[1], &n, sizeof(n)) != sizeof(n);
		_exit(r);
	}
	close(fds[1]);
	if (read(fds[0], &n, sizeof(n)) != sizeof(n))
		n.error = -EPIPE;
	close(fds[0]);
	wait(NULL);
	return n;
}

static void check_full(void)
{
	struct tap t;
	struct found n, again;
	pid_t pid;

	tap_open(CONFIG_TAP_FULL, &t);
	printf("# %s\n", t.text);
	tap_is_int(t.layout.live, (1 << TAP_EVENTS) - 1, "every event is open");
	tap_ok(t.layout.cpus > 0 && t.cpu[0].ring, "the rings are mapped");
	pid = act();
	n = read_all(&t, pid);
	tap_is_int(n.error, 0, "nobody, without a capability, maps and reads the rings");
	tap_is_int(n.lost, 0, "no record was lost");
	tap_is_int(n.foreign, 0, "every sample names one of our events");
	tap_ok(n.fork && n.exit, "life: fork with its parent, and exit");
	tap_ok(n.comm_exec, "life: exec names the program");
	tap_ok(n.mmap_true, "life: the program's mapping has its path");
	tap_is_int(n.exec, 1, "exec: one sample");
	tap_is_int(n.tcp4, 1, "fib: one sample for a TCP connect, in the caller");
	tap_is_int(n.udp4, 1, "fib: one sample for a UDP send");
	tap_is_int(n.udp6, 1, "fib6: one sample for a UDP send");
	tap_is_int(n.listen, 2, "state: both listeners");
	tap_is_int(n.tcp6, 1, "state: the IPv6 connect");
	tap_is_int(n.closed, 1, "state: the accepted socket at its close");
	tap_is_int(n.softirq, 0, "no sample comes from softirq");
	printf("# cgroup ids in %u samples; argument found %u times\n", n.cgroup, n.argument);
	again = read_all(&t, pid);
	tap_ok(!again.exec && !again.tcp4, "what was read is gone: the reader moved data_tail");
	tap_deinit(&t);
}

/* argv lies in the 8 KiB that are sampled for about four of five programs: not for every one. */
static void check_arguments(void)
{
	unsigned found = 0;
	struct tap t;

	tap_open(CONFIG_TAP_FULL, &t);
	for (int i = 0; i < 20; i++)
		found += read_all(&t, act()).argument ? 1 : 0;
	tap_ok(found > 0, "exec: the command line is in the sampled stack (%u of 20)", found);
	tap_deinit(&t);
}

static void check_modes(void)
{
	struct tap t;

	tap_open(CONFIG_TAP_CONNECT, &t);
	tap_ok(t.layout.live & 1u << TAP_FIB && !(t.layout.live & 1u << TAP_EXEC),
		"connect: lookups, but no exec samples");
	tap_is_int(read_all(&t, act()).closed, 0, "connect: nothing for accepted sockets");
	tap_deinit(&t);
	tap_open(CONFIG_TAP_OFF, &t);
	tap_ok(!t.layout.live && strstr(t.text, "off"), "off: %s", t.text);
	tap_is_int(tap_send(&t, -1), 0, "off: nothing to send");
	tap_deinit(&t);
}

int main(void)
{
	struct tap t;

	tap_open(CONFIG_TAP_FULL, &t);
	if (!t.layout.live) {
		tap_ok(strstr(t.text, "off"), "without permission it says why: %s", t.text);
		tap_skip("records of the tap", geteuid() ? "needs root" : t.text);
		tap_deinit(&t);
		return tap_done();
	}
	tap_deinit(&t);
	check_full();
	check_arguments();
	check_modes();
	return tap_done();
}
