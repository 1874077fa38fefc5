/* SPDX-License-Identifier: Apache-2.0 */
/* Filters of the tap's events. */
#include "capture/tap-filter.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shm/cleanup.h"

/* common_flags 0x10: in softirq, where `current` is somebody else. */
#define SOFTIRQ "!(common_flags & 0x10)"
/* 0x80 as well: bottom halves off. So a listener closes what nobody accepted, and `ss -K` kills. */
#define NOT_OWN "!(common_flags & 0x90)"

unsigned tap_filter_first_port(unsigned known)
{
	static unsigned port;
	_cleanup_fclose_ FILE *f = NULL;

	if (known)
		port = known;
	if (!port)
		f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	if (!port && (!f || fscanf(f, "%u", &port) != 1 || !port))
		port = 32768;
	return port;
}

static void add(char *buf, const char *format, unsigned v)
{
	size_t len = strlen(buf);

	snprintf(buf + len, TAP_FILTER_TEXT - len, format, v);
}

/*
 * iif 1 is the kernel's own mark of a lookup for an outgoing packet. TCP without a source port is
 * connect's first try. ICMP and raw sockets have none at all; 0 is nobody's protocol.
 */
static void route_text(const struct tap_filter *f, bool v6, char *buf)
{
	/* First what is met most: a busy sender pays for every test before the one that fails. */
	for (unsigned i = 0; f && i < f->senders && i < TAP_FILTER_PORTS; i++)
		add(buf, "(sport != %u || proto != 17) && ", f->sender[i]);
	add(buf, "iif == 1 && " SOFTIRQ " && proto != 0", 0);
	/* An IPv6 connect has no source port here, see TAP_STATE. */
	add(buf, v6 ? " && proto != 6" : " && (sport != 0 || proto != 6)", 0);
}

static void closers_text(const struct tap_filter *f, char *buf)
{
	/* FIN_WAIT1, LAST_ACK; or straight to CLOSE, which sends a reset. */
	add(buf,
		" || ((newstate == 4 || newstate == 9 || (newstate == 7 && (oldstate == 1 || "
		"oldstate == 8))) && " NOT_OWN,
		0);
	if (!f || !f->closers) {
		add(buf, " && (sport < %u", tap_filter_first_port(0));
		for (unsigned i = 0; f && i < f->listeners && i < TAP_FILTER_PORTS; i++)
			add(buf, " || sport == %u", f->listener[i]);
		add(buf, ")", 0);
	}
	add(buf, ")", 0);
}

void tap_filter_text(enum tap_event e, enum config_tap mode, const struct tap_filter *f, char *buf)
{
	buf[0] = 0;
	switch (e) {
	case TAP_FIB:
	case TAP_FIB6:
		route_text(f, e == TAP_FIB6, buf);
		break;
	case TAP_STATE:
		/* Listeners; IPv6 connects, and those of IPv4 from a port of the program's choice,
		 * whose route lookup is like anybody's question about a route. */
		add(buf,
			"newstate == 10 || (oldstate == 10 && newstate == 7) || (newstate == 2 && "
			"(family == 10 || sport != 0)) || (family == 10 && oldstate == 2)",
			0);
		if (mode == CONFIG_TAP_FULL)
			closers_text(f, buf);
		break;
	case TAP_LIFE:
	case TAP_EXEC:
	case TAP_EVENTS:
		break;
	}
}

/* ---- spares ---- */

static void spare_close(struct tap_cpu *c, unsigned kind, unsigned i)
{
	if (c->spare[kind][i] >= 0)
		close(c->spare[kind][i]);
	c->spare[kind][i] = -1;
	c->id[TAP_EVENTS + kind * TAP_SPARES + i] = 0;
}

void tap_filter_forget(struct tap_cpu *c)
{
	for (unsigned kind = 0; kind < TAP_FILTERED; kind++)
		for (unsigned i = 0; i < TAP_SPARES; i++)
			spare_close(c, kind, i);
}

static bool spare_open(
	struct tap_cpu *c, unsigned kind, unsigned i, const struct perf_event_attr *attr)
{
	int fd = (int)syscall(SYS_perf_event_open, attr, -1, c->number, -1, PERF_FLAG_FD_CLOEXEC);

	c->spare[kind][i] = fd;
	return fd >= 0;
}

static bool spare_start(struct tap_cpu *c, unsigned kind, unsigned i)
{
	int fd = c->spare[kind][i];

	return fd < 0 ||
	       (!ioctl(fd, PERF_EVENT_IOC_ID, &c->id[TAP_EVENTS + kind * TAP_SPARES + i]) &&
		       !ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, c->fd[TAP_LIFE]));
}

/* The spare @i of every kind that is live, on every CPU. */
static bool open_everywhere(
	struct tap *t, unsigned i, const struct perf_event_attr *const attr[TAP_FILTERED])
{
	for (uint32_t c = 0; c < t->layout.cpus; c++)
		for (unsigned kind = 0; kind < TAP_FILTERED; kind++)
			if (t->layout.live & 1u << (TAP_FIB + kind) &&
				!spare_open(&t->cpu[c], kind, i, attr[kind]))
				return false;
	return true;
}

void tap_filter_prepare(struct tap *t, const struct perf_event_attr *const attr[TAP_FILTERED])
{
	for (unsigned i = 0; i < TAP_SPARES; i++) {
		if (open_everywhere(t, i, attr)) {
			t->spares++;
			continue;
		}
		for (uint32_t c = 0; c < t->layout.cpus; c++)
			for (unsigned kind = 0; kind < TAP_FILTERED; kind++)
				spare_close(&t->cpu[c], kind, i);
		break;
	}
}

static bool start_everywhere(struct tap *t, unsigned i)
{
	for (uint32_t c = 0; c < t->layout.cpus; c++)
		for (unsigned kind = 0; kind < TAP_FILTERED; kind++)
			if (!spare_start(&t->cpu[c], kind, i))
				return false;
	return true;
}

void tap_filter_start(struct tap *t)
{
	for (unsigned i = 0; i < t->spares; i++)
		if (!start_everywhere(t, i)) {
			t->spares = i; /* those behind it are not chosen */
			return;
		}
}

/* ---- while running ---- */

static int compare(const void *a, const void *b)
{
	return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

static bool has(const struct tap_ports *p, uint16_t port)
{
	return bsearch(&port, p->port, p->n, sizeof(port), compare);
}

/* Sorted, and each once. */
static void take_ports(const uint16_t *port, unsigned n, struct tap_ports *ret)
{
	*ret = (struct tap_ports){0};
	for (unsigned i = 0; i < n && i < TAP_FILTER_PORTS; i++)
		ret->port[ret->n++] = port[i];
	qsort(ret->port, ret->n, sizeof(*port), compare);
	for (unsigned i = 1; i < ret->n;) {
		if (ret->port[i] != ret->port[i - 1]) {
			i++;
			continue;
		}
		ret->n--;
		memmove(ret->port + i, ret->port + i + 1, (ret->n - i) * sizeof(*port));
	}
}

static bool is_same(const struct tap_ports *a, const struct tap_ports *b)
{
	return a->all == b->all && a->n == b->n &&
	       !memcmp(a->port, b->port, a->n * sizeof(*a->port));
}

static bool is_within(const struct tap_ports *a, const struct tap_ports *b)
{
	for (unsigned i = 0; i < a->n; i++)
		if (!has(b, a->port[i]))
			return false;
	return true;
}

/*
 * Which event serves @want: 0 the one opened with its filter, i + 1 the spare i. A set met before,
 * an unused one, else what records more than is wanted; @want says so then.
 */
static unsigned choose(const struct tap *t, const struct tap_switch *s, struct tap_ports *want)
{
	unsigned best = 0;

	if (!want->n && !want->all)
		return 0;
	for (unsigned i = 0; i < s->used; i++)
		if (is_same(&s->set[i], want))
			return i + 1;
	if (s == &t->closers && !want->all && s->used + 1 >= t->spares) {
		/* The last one is kept for this. */
		*want = (struct tap_ports){.all = true};
		return choose(t, s, want);
	}
	if (s->used < t->spares)
		return s->used + 1;
	for (unsigned i = 0; i < s->used; i++)
		if (s->set[i].n && is_within(&s->set[i], want) &&
			(!best || s->set[i].n > s->set[best - 1].n))
			best = i + 1;
	return best;
}

static int *slot(struct tap_cpu *c, enum tap_event e, unsigned i)
{
	return i ? &c->spare[e - TAP_FIB][i - 1] : &c->fd[e];
}

static void switch_off(struct tap *t, enum tap_event e, unsigned i)
{
	for (uint32_t c = 0; c < t->layout.cpus; c++)
		if (*slot(&t->cpu[c], e, i) >= 0)
			(void)ioctl(*slot(&t->cpu[c], e, i), PERF_EVENT_IOC_DISABLE, 0);
}

static int switch_on(struct tap *t, enum tap_event e, unsigned i, const char *filter)
{
	for (uint32_t c = 0; c < t->layout.cpus; c++) {
		int fd = *slot(&t->cpu[c], e, i);

		if (fd < 0)
			continue;
		if ((filter && ioctl(fd, PERF_EVENT_IOC_SET_FILTER, filter)) ||
			ioctl(fd, PERF_EVENT_IOC_ENABLE, 0)) {
			int r = -errno;

			switch_off(t, e, i);
			return r;
		}
	}
	return 0;
}

/* Lets the events of @s, from @first to @last, record @want. */
static int turn(struct tap *t, struct tap_switch *s, enum tap_event first, enum tap_event last,
	struct tap_ports *want, const struct tap_filter *f)
{
	unsigned to = choose(t, s, want);
	bool fresh = to > s->used;
	char text[TAP_FILTER_TEXT];
	int r = 0;

	if (to == s->at)
		return 0;
	for (enum tap_event e = first; e <= last && r == 0; e++) {
		if (fresh)
			tap_filter_text(e, CONFIG_TAP_FULL, f, text);
		if (t->layout.live & 1u << e)
			r = switch_on(t, e, to, fresh ? text : NULL);
	}
	if (fresh) {
		/* A filter cannot be set twice: after a failure this one is never chosen again. */
		s->set[to - 1] = r ? (struct tap_ports){0} : *want;
		s->used = to;
	}
	for (enum tap_event e = first; e <= last; e++)
		if (t->layout.live & 1u << e)
			switch_off(t, e, r ? to : s->at);
	if (r == 0)
		s->at = to;
	return r;
}

int tap_filter_apply(struct tap *t, const struct tap_filter *f)
{
	struct tap_filter wanted = *f;
	struct tap_ports ports;
	int r, q = 0;

	take_ports(f->sender, f->senders, &ports);
	r = turn(t, &t->senders, TAP_FIB, TAP_FIB6, &ports, f);
	if (t->mode == CONFIG_TAP_FULL) {
		take_ports(f->listener, f->closers ? 0 : f->listeners, &ports);
		ports.all = f->closers;
		(void)choose(t, &t->closers, &ports);
		wanted.closers = ports.all;
		q = turn(t, &t->closers, TAP_STATE, TAP_STATE, &ports, &wanted);
	}
	return r ? r : q;
}
