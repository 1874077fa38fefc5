/* SPDX-License-Identifier: Apache-2.0 */
/* Opens the perf events of the tap tier. */
#include "capture/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__) || defined(__i386__) || defined(__aarch64__)
#include <asm/perf_regs.h>
#endif

#include "capture/tap-filter.h"
#include "capture/tracefs.h"
#include "config/handover.h"
#include "shm/cleanup.h"

#define PAGES_MAX   512u        /* of one ring: 2 MiB of 4 KiB pages */
#define PAGES_MIN   16u         /* below that a burst of exec records does not fit */
#define BUDGET      (64u << 20) /* bytes of all rings */
#define STACK_BYTES 8192u       /* of a new program: enough for argv of four in five of them */

/* The register that enrich needs to read argv from the stack; none known: no TAP_EXEC. */
#if defined(__x86_64__) || defined(__i386__)
#define STACK_POINTER (UINT64_C(1) << PERF_REG_X86_SP)
#elif defined(__aarch64__)
#define STACK_POINTER (UINT64_C(1) << PERF_REG_ARM64_SP)
#else
#define STACK_POINTER UINT64_C(0)
#endif

#define SAMPLE (PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_TIME)

/* One event as it is opened on every CPU. */
struct event {
	struct perf_event_attr attr;
	char filter[TAP_FILTER_TEXT]; /* "" = none */
	bool live;
};

static const struct {
	const char *name; /* system/event, NULL = no tracepoint */
	const char *text;
} events[TAP_EVENTS] = {
	[TAP_LIFE] = {NULL, "life"},
	[TAP_EXEC] = {"sched/sched_process_exec", "exec"},
	[TAP_FIB] = {"fib/fib_table_lookup", "fib"},
	[TAP_FIB6] = {"fib6/fib6_table_lookup", "fib6"},
	[TAP_STATE] = {"sock/inet_sock_set_state", "state"},
};

static const char *const fib_fields[TAP_FIB_FIELDS] = {
	[TAP_FIB_FLAGS] = "common_flags",
	[TAP_FIB_PROTO] = "proto",
	[TAP_FIB_SPORT] = "sport",
	[TAP_FIB_DPORT] = "dport",
	[TAP_FIB_SRC] = "src",
	[TAP_FIB_DST] = "dst",
	[TAP_FIB_ROUTE_FLAGS] = "flags",
};

static const char *const state_fields[TAP_STATE_FIELDS] = {
	[TAP_STATE_FLAGS] = "common_flags",
	[TAP_STATE_SKADDR] = "skaddr",
	[TAP_STATE_OLDSTATE] = "oldstate",
	[TAP_STATE_NEWSTATE] = "newstate",
	[TAP_STATE_SPORT] = "sport",
	[TAP_STATE_DPORT] = "dport",
	[TAP_STATE_FAMILY] = "family",
	[TAP_STATE_PROTOCOL] = "protocol",
	[TAP_STATE_SADDR] = "saddr",
	[TAP_STATE_DADDR] = "daddr",
	[TAP_STATE_SADDR_V6] = "saddr_v6",
	[TAP_STATE_DADDR_V6] = "daddr_v6",
};

static void note(struct tap *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(struct tap *t, const char *format, ...)
{
	size_t len = strlen(t->text);
	va_list ap;

	if (len)
		len += (size_t)snprintf(t->text + len, sizeof(t->text) - len, "; ");
	if (len >= sizeof(t->text))
		return;
	va_start(ap, format);
	vsnprintf(t->text + len, sizeof(t->text) - len, format, ap);
	va_end(ap);
}

static int perf_open(const struct perf_event_attr *attr, int cpu)
{
	int fd = (int)syscall(SYS_perf_event_open, attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static void attr_init(struct perf_event_attr *a, enum tap_event e, uint32_t ring_bytes)
{
	memset(a, 0, sizeof(*a));
	a->size = sizeof(*a);
	a->disabled = 1;
	a->sample_period = 1;
	a->sample_type = SAMPLE | PERF_SAMPLE_CGROUP;
	a->watermark = 1; /* one wake-up a record would cost the traffic more than all the rest */
	a->wakeup_watermark = ring_bytes / 2;
	/* Tracepoints may fire where CLOCK_REALTIME cannot be read: the kernel refuses it for them.
	 */
	a->use_clockid = 1;
	a->clockid = CLOCK_MONOTONIC;
	a->sample_id_all = 1;
	if (e != TAP_LIFE) {
		a->type = PERF_TYPE_TRACEPOINT;
		a->sample_type |= PERF_SAMPLE_RAW;
	}
	if (e == TAP_EXEC) {
		a->sample_type |= PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER;
		a->sample_regs_user = STACK_POINTER;
		a->sample_stack_user = STACK_BYTES;
		/* The one event that wakes enrich: in one exec of five the sample ends before argv,
		 * and the command line can only be read while the process lives. */
		a->watermark = 0;
		a->wakeup_events = 1;
	}
	if (e == TAP_LIFE) {
		a->type = PERF_TYPE_SOFTWARE;
		a->config = PERF_COUNT_SW_DUMMY;
		a->task = a->comm = a->comm_exec = 1;
		a->mmap = a->mmap2 = 1; /* executable mappings: the first one is the program */
		a->namespaces = 1;
		a->cgroup = 1;
	}
}

/* Opens on @cpu, giving up what older kernels do not have; what works is left in @ev for all CPUs.
 */
static int event_try(struct event *ev, int cpu)
{
	int fd = perf_open(&ev->attr, cpu);

	if (fd == -EINVAL && ev->attr.cgroup) { /* before 5.7, or built without */
		ev->attr.cgroup = 0;
		fd = perf_open(&ev->attr, cpu);
	}
	if (fd == -EINVAL && ev->attr.sample_type & PERF_SAMPLE_CGROUP) {
		ev->attr.sample_type &= ~(uint64_t)PERF_SAMPLE_CGROUP;
		fd = perf_open(&ev->attr, cpu);
	}
	if (fd == -EACCES && ev->attr.namespaces) {
		ev->attr.namespaces = 0;
		fd = perf_open(&ev->attr, cpu);
	}
	return fd;
}

static void fields(const char *format, const char *const *names, size_t n, struct tap_field *ret)
{
	for (size_t i = 0; i < n; i++)
		(void)tracefs_parse_field(format, names[i], &ret[i]); /* missing: size stays 0 */
}

/* Fills in id and fields of a tracepoint from tracefs. */
static int describe(struct tap *t, struct event *ev, enum tap_event e, int dir_fd)
{
	_cleanup_free_ char *format = malloc(TRACEFS_FORMAT_MAX);
	uint64_t id = 0;
	int r;

	if (!format)
		return -ENOMEM;
	r = tracefs_read_format(dir_fd, events[e].name, format);
	if (r == 0)
		r = tracefs_parse_id(format, &id);
	if (r < 0)
		return r;
	ev->attr.config = id;
	switch (e) {
	case TAP_FIB:
		fields(format, fib_fields, TAP_FIB_FIELDS, t->layout.fib);
		break;
	case TAP_FIB6:
		fields(format, fib_fields, TAP_FIB_FIELDS, t->layout.fib6);
		break;
	case TAP_STATE:
		fields(format, state_fields, TAP_STATE_FIELDS, t->layout.state);
		break;
	case TAP_LIFE:
	case TAP_EXEC:
	case TAP_EVENTS:
		break;
	}
	return 0;
}

static bool wanted(enum tap_event e, enum config_tap mode)
{
	return e != TAP_EXEC || (mode == CONFIG_TAP_FULL && STACK_POINTER != 0);
}

/* Tries each event once, so that what follows opens the same ones on every CPU. */
static int probe(struct tap *t, struct event ev[TAP_EVENTS], enum config_tap mode)
{
	_cleanup_close_ int dir = -1;
	int found = tracefs_open(&dir), r;

	if (found < 0) {
		note(t, "no tracefs: %s", strerror(-found));
		t->error = found;
	}
	for (int e = 0; e < TAP_EVENTS; e++) {
		_cleanup_close_ int fd = -1;

		if (!wanted(e, mode) || (events[e].name && found < 0))
			continue;
		attr_init(&ev[e].attr, e, t->layout.data_pages * (uint32_t)sysconf(_SC_PAGESIZE));
		r = events[e].name ? describe(t, &ev[e], e, dir) : 0;
		if (r == 0) {
			fd = event_try(&ev[e], 0);
			r = fd < 0 ? fd : 0;
		}
		tap_filter_text(e, mode, NULL, ev[e].filter);
		/* Unfiltered it would cost the traffic too much: then rather not at all. */
		if (r == 0 && ev[e].filter[0] && ioctl(fd, PERF_EVENT_IOC_SET_FILTER, ev[e].filter))
			r = -errno;
		if (r == 0) {
			ev[e].live = true;
			t->layout.live |= 1u << e;
			t->layout.sample_type[e] = ev[e].attr.sample_type;
			continue;
		}
		t->error = r;
		note(t, "no %s: %s%s", events[e].text, strerror(-r),
			r == -EACCES || r == -EPERM ? " (needs root or CAP_PERFMON)" : "");
		if (e == TAP_LIFE)
			return r; /* it owns the ring of its CPU */
	}
	return 0;
}

static void cpu_init(struct tap_cpu *c)
{
	*c = (struct tap_cpu){0};
	memset(c->fd, 0xff, sizeof(c->fd));
	memset(c->spare, 0xff, sizeof(c->spare));
}

static int cpu_open(struct tap_cpu *c, int cpu, const struct event ev[TAP_EVENTS])
{
	cpu_init(c);
	c->number = cpu;
	for (int e = 0; e < TAP_EVENTS; e++) {
		if (!ev[e].live)
			continue;
		c->fd[e] = perf_open(&ev[e].attr, cpu);
		if (c->fd[e] < 0)
			return c->fd[e];
		if (ev[e].filter[0] && ioctl(c->fd[e], PERF_EVENT_IOC_SET_FILTER, ev[e].filter))
			return -errno;
	}
	return 0;
}

/* Maps the ring and lets all events of the CPU go into it. Needs no privilege. */
static int cpu_start(struct tap *t, struct tap_cpu *c)
{
	void *ring;

	for (int e = 0; e < TAP_EVENTS; e++) {
		if (c->fd[e] < 0)
			continue;
		if (ioctl(c->fd[e], PERF_EVENT_IOC_ID, &c->id[e]))
			return -errno;
		if (e == TAP_LIFE) {
			/* Writable: the kernel then stops at data_tail instead of overwriting. */
			ring = mmap(NULL, t->ring_size, PROT_READ | PROT_WRITE, MAP_SHARED,
				c->fd[e], 0);
			if (ring == MAP_FAILED)
				return -errno;
			c->ring = ring;
		} else if (ioctl(c->fd[e], PERF_EVENT_IOC_SET_OUTPUT, c->fd[TAP_LIFE])) {
			return -errno;
		}
	}
	for (int e = 0; e < TAP_EVENTS; e++)
		if (c->fd[e] >= 0 && ioctl(c->fd[e], PERF_EVENT_IOC_ENABLE, 0))
			return -errno;
	return 0;
}

static void cpu_close(struct tap *t, struct tap_cpu *c)
{
	if (c->ring)
		munmap(c->ring, t->ring_size);
	for (int e = 0; e < TAP_EVENTS; e++)
		if (c->fd[e] >= 0)
			close(c->fd[e]);
	tap_filter_forget(c);
	*c = (struct tap_cpu){0};
}

static void cpus_close(struct tap *t)
{
	for (uint32_t i = 0; i < t->layout.cpus; i++)
		cpu_close(t, &t->cpu[i]);
	t->layout.cpus = 0;
}

static void set_ring_size(struct tap *t)
{
	t->ring_size = (size_t)(t->layout.data_pages + 1) * (size_t)sysconf(_SC_PAGESIZE);
}

static int cpus_start(struct tap *t)
{
	int r = 0;

	online_open(&t->online, ONLINE_PATH, online_asleep_ns());
	for (uint32_t i = 0; i < t->layout.cpus && r == 0; i++)
		r = cpu_start(t, &t->cpu[i]);
	return r;
}

static int cpus_open(struct tap *t, struct event ev[TAP_EVENTS])
{
	long n = sysconf(_SC_NPROCESSORS_CONF), page = sysconf(_SC_PAGESIZE);
	int r;

	set_ring_size(t);
	for (int e = 0; e < TAP_EVENTS; e++)
		if (ev[e].attr.watermark)
			ev[e].attr.wakeup_watermark = t->layout.data_pages * (uint32_t)page / 2;
	for (int cpu = 0; cpu < n && t->layout.cpus < TAP_CPUS_MAX; cpu++) {
		struct tap_cpu *c = &t->cpu[t->layout.cpus];

		r = cpu_open(c, cpu, ev);
		if (r == 0) {
			t->layout.cpus++;
			continue;
		}
		cpu_close(t, c);
		if (r != -ENODEV) { /* -ENODEV: that CPU is offline */
			cpus_close(t);
			return r;
		}
	}
	return t->layout.cpus ? 0 : -ENODEV;
}

/* Some twenty descriptors a CPU: the usual soft limit of 1024 ends at 40 CPUs. */
static void raise_file_limit(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &l);
	}
}

static int open_all(struct tap *t, struct event ev[TAP_EVENTS], bool start)
{
	int r = cpus_open(t, ev);

	if (r == 0 && start)
		r = cpus_start(t);
	if (r < 0)
		cpus_close(t);
	return r;
}

static void fail(struct tap *t, int r)
{
	note(t, "off: %s", strerror(-r));
	t->error = r;
	cpus_close(t);
	t->layout.live = 0;
}

static void open_tap(enum config_tap mode, bool start, struct tap *ret)
{
	struct event ev[TAP_EVENTS] = {0};
	long cpus = sysconf(_SC_NPROCESSORS_ONLN), page = sysconf(_SC_PAGESIZE);
	int r;

	memset(ret, 0, sizeof(*ret));
	if (mode == CONFIG_TAP_OFF) {
		note(ret, "off by configuration");
		return;
	}
	ret->mode = mode;
	ret->cpu = calloc(TAP_CPUS_MAX, sizeof(*ret->cpu));
	if (!ret->cpu || cpus < 1) {
		note(ret, "off: out of memory");
		ret->error = -ENOMEM;
		return;
	}
	raise_file_limit();
	ret->layout.version = TAP_VERSION;
	ret->layout.clockid = CLOCK_MONOTONIC;
	ret->layout.regs_user = STACK_POINTER;
	ret->layout.data_pages = PAGES_MAX;
	while (ret->layout.data_pages > PAGES_MIN &&
		(uint64_t)ret->layout.data_pages * (uint64_t)page * (uint64_t)cpus > BUDGET)
		ret->layout.data_pages /= 2;
	r = probe(ret, ev, mode);
	/* What names no socket is not worth its price: the process connector tells lives, too. */
	if (r == 0 && !(ret->layout.live & ~(1u << TAP_LIFE | 1u << TAP_EXEC))) {
		note(ret, "off: no event names a socket");
		ret->layout.live = 0;
		return;
	}
	if (r == 0)
		r = open_all(ret, ev, start);
	while (r == -EPERM && ret->layout.data_pages > PAGES_MIN) {
		/* More than perf_event_mlock_kb without CAP_IPC_LOCK. */
		ret->layout.data_pages /= 2;
		r = open_all(ret, ev, start);
	}
	if (r < 0) {
		fail(ret, r);
		return;
	}
	tap_filter_prepare(ret, (const struct perf_event_attr *const[]){&ev[TAP_FIB].attr,
					&ev[TAP_FIB6].attr, &ev[TAP_STATE].attr});
	if (start)
		tap_filter_start(ret);
	note(ret, "live on %u CPUs, %zu KiB each", ret->layout.cpus, ret->ring_size / 1024);
}

void tap_open(enum config_tap mode, struct tap *ret)
{
	open_tap(mode, true, ret);
}

void tap_open_only(enum config_tap mode, struct tap *ret)
{
	open_tap(mode, false, ret);
}

void tap_deinit(struct tap *t)
{
	cpus_close(t);
	free(t->cpu);
	online_close(&t->online);
	*t = (struct tap){0};
}

int tap_send(const struct tap *t, int peer_fd)
{
	int r;

	if (!t->layout.live)
		return 0;
	r = handover_send(peer_fd, HANDOVER_TAP, &t->layout, sizeof(t->layout), NULL, 0);
	for (uint32_t first = 0; r == 0 && first < t->layout.cpus;) {
		struct tap_cpus message = {.first = first};
		int fds[TAP_CPUS_A_FD_MESSAGE];

		for (; first < t->layout.cpus && message.count < TAP_CPUS_A_FD_MESSAGE; first++) {
			fds[message.count] = t->cpu[first].fd[TAP_LIFE];
			memcpy(message.id[message.count], t->cpu[first].id, sizeof(message.id[0]));
			message.count++;
		}
		r = handover_send(
			peer_fd, HANDOVER_TAP_CPUS, &message, sizeof(message), fds, message.count);
	}
	return r;
}

/* ---- by two processes ---- */

/* Where the nth of TAP_IDS is. */
static int *nth(struct tap_cpu *c, unsigned n)
{
	return n < TAP_EVENTS
		       ? &c->fd[n]
		       : &c->spare[(n - TAP_EVENTS) / TAP_SPARES][(n - TAP_EVENTS) % TAP_SPARES];
}

int tap_give(const struct tap *t, uint32_t netns_missed, int fd)
{
	struct handover_opened m = {
		.layout = t->layout,
		.error = t->error,
		.mode = t->mode,
		.spares = t->spares,
		.netns_missed = netns_missed,
		.first_port = tap_filter_first_port(0),
	};
	int r;

	memcpy(m.text, t->text, sizeof(m.text));
	r = handover_send(fd, HANDOVER_OPENED, &m, sizeof(m), NULL, 0);
	for (uint32_t i = 0; r == 0 && i < t->layout.cpus; i++) {
		struct handover_tap_cpu cpu = {.number = (uint32_t)t->cpu[i].number};
		int fds[TAP_IDS];
		size_t n = 0;

		for (unsigned j = 0; j < TAP_IDS; j++) {
			if (*nth(&t->cpu[i], j) < 0)
				continue;
			cpu.there |= 1u << j;
			fds[n++] = *nth(&t->cpu[i], j);
		}
		r = handover_send(fd, HANDOVER_TAP_CPU, &cpu, sizeof(cpu), fds, n);
	}
	return r;
}

static int take_opened(struct tap *t, const struct handover_opened *m)
{
	if (t->cpu)
		return -EPROTO;
	*t = (struct tap){
		.layout = m->layout,
		.error = m->error,
		.mode = m->mode == CONFIG_TAP_FULL ? CONFIG_TAP_FULL : CONFIG_TAP_CONNECT,
		.spares = m->spares,
	};
	memcpy(t->text, m->text, sizeof(t->text));
	(void)tap_filter_first_port(m->first_port);
	raise_file_limit();
	t->layout.cpus = 0; /* until their events have come */
	set_ring_size(t);
	t->cpu = calloc(TAP_CPUS_MAX, sizeof(*t->cpu));
	return t->cpu ? 0 : -ENOMEM;
}

int tap_take(struct tap *t, struct handover_message *m)
{
	struct handover_opened opened;
	struct handover_tap_cpu cpu;
	struct tap_cpu *c;
	size_t n = 0;

	if (m->type == HANDOVER_OPENED) {
		memcpy(&opened, m->payload, sizeof(opened));
		return take_opened(t, &opened);
	}
	if (m->type != HANDOVER_TAP_CPU || !t->cpu || t->layout.cpus == TAP_CPUS_MAX)
		return -EPROTO;
	memcpy(&cpu, m->payload, sizeof(cpu));
	c = &t->cpu[t->layout.cpus++];
	cpu_init(c);
	c->number = (int)cpu.number;
	for (unsigned j = 0; j < TAP_IDS; j++)
		if (cpu.there & 1u << j)
			*nth(c, j) = m->fds[n++];
	m->n_fds = 0;
	return 0;
}

void tap_start(struct tap *t)
{
	int r;

	if (!t->layout.live)
		return;
	r = t->layout.cpus ? cpus_start(t) : -ENODEV;
	if (r < 0)
		fail(t, r);
	else
		tap_filter_start(t);
}
