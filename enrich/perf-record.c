/* SPDX-License-Identifier: Apache-2.0 */
/* One perf record to a typed event. */
#include "enrich/perf-record.h"

#include <arpa/inet.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "enrich/address.h"

/* What a sample may hold; more would have to be skipped by a length nobody knows here. */
#define SAMPLE_KNOWN                                                                               \
	(PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME |            \
		PERF_SAMPLE_ADDR | PERF_SAMPLE_ID | PERF_SAMPLE_STREAM_ID | PERF_SAMPLE_CPU |      \
		PERF_SAMPLE_PERIOD | PERF_SAMPLE_RAW | PERF_SAMPLE_REGS_USER |                     \
		PERF_SAMPLE_STACK_USER | PERF_SAMPLE_CGROUP)

/* common_flags of a tracepoint: hard and soft interrupt, NMI (kernel: enum trace_flag_type). */
#define FLAGS_INTERRUPT 0x58u
#define FLAGS_BH_OFF    0x80u

struct cursor {
	const uint8_t *at;
	size_t left;
};

static bool take(struct cursor *c, void *ret, size_t len)
{
	if (c->left < len)
		return false;
	if (ret)
		memcpy(ret, c->at, len);
	c->at += len;
	c->left -= len;
	return true;
}

/* A string that fills the rest of @c, NUL-padded. */
static struct perf_bytes rest_as_string(const struct cursor *c)
{
	return (struct perf_bytes){
		.bytes = (const char *)c->at,
		.len = strnlen((const char *)c->at, c->left),
	};
}

/* The trailer of every record that is no sample (sample_id_all). */
static size_t trailer_size(uint64_t type)
{
	const uint64_t parts[] = {PERF_SAMPLE_TID, PERF_SAMPLE_TIME, PERF_SAMPLE_ID,
		PERF_SAMPLE_STREAM_ID, PERF_SAMPLE_CPU, PERF_SAMPLE_IDENTIFIER};
	size_t n = 0;

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		n += type & parts[i] ? 8 : 0;
	return n;
}

static bool find_event(const uint64_t ids[TAP_IDS], uint64_t id, enum tap_event *ret)
{
	for (unsigned i = 0; id && i < TAP_IDS; i++) {
		if (ids[i] == id) {
			*ret = (enum tap_event)(
				i < TAP_EVENTS ? i : TAP_FIB + (i - TAP_EVENTS) / TAP_SPARES);
			return true;
		}
	}
	return false;
}

/* Splits the trailer off @c: it says when, and which event's record this is. */
static int take_trailer(const struct tap_layout *l, const uint64_t ids[TAP_IDS], struct cursor *c,
	struct perf_record *r)
{
	enum tap_event event;
	struct cursor tail;
	uint64_t id, type;
	size_t size;

	if (c->left < sizeof(id))
		return PERF_RECORD_E_SHORT;
	memcpy(&id, c->at + c->left - sizeof(id), sizeof(id));
	if (!find_event(ids, id, &event))
		return PERF_RECORD_E_ID;
	type = l->sample_type[event];
	size = trailer_size(type);
	if (c->left < size)
		return PERF_RECORD_E_SHORT;
	c->left -= size;
	tail = (struct cursor){.at = c->at + c->left, .left = size};
	if (type & PERF_SAMPLE_TID) {
		take(&tail, &r->pid, sizeof(r->pid));
		take(&tail, &r->tid, sizeof(r->tid));
	}
	if (type & PERF_SAMPLE_TIME)
		take(&tail, &r->t_ns, sizeof(r->t_ns));
	return 0;
}

static int parse_task(struct cursor c, struct perf_record *r, enum perf_record_kind kind)
{
	uint32_t ids[4]; /* pid, ppid, tid, ptid */

	if (!take(&c, ids, sizeof(ids)) || !take(&c, &r->t_ns, sizeof(r->t_ns)))
		return PERF_RECORD_E_SHORT;
	r->kind = kind;
	r->pid = ids[0];
	r->tid = ids[2];
	r->fork.ppid = ids[1];
	/* A new thread has its maker's pid; of an exit, only the main thread's counts. */
	r->fork.thread = kind == PERF_KIND_FORKED ? ids[0] == ids[1] : ids[0] != ids[2];
	return 0;
}

static int parse_mapped(struct cursor c, struct perf_record *r)
{
	uint64_t skip[6]; /* addr, len, pgoff, device and inode, prot and flags */

	if (!take(&c, &r->pid, 4) || !take(&c, &r->tid, 4) || !take(&c, skip, sizeof(skip)) ||
		!take(&c, NULL, 8))
		return PERF_RECORD_E_SHORT;
	r->path = rest_as_string(&c);
	/* "//anon", "//toolong", "[vdso]": no file. */
	if (r->path.len >= 2 && r->path.bytes[0] == '/' && r->path.bytes[1] != '/')
		r->kind = PERF_KIND_MAPPED;
	return 0;
}

static int parse_namespaces(struct cursor c, struct perf_record *r)
{
	struct {
		uint64_t dev, inode;
	} ns;
	uint64_t n;

	if (!take(&c, &r->pid, 4) || !take(&c, &r->tid, 4) || !take(&c, &n, sizeof(n)))
		return PERF_RECORD_E_SHORT;
	r->ns.net = r->ns.pid = r->ns.user = 0;
	for (uint64_t i = 0; i < n; i++) {
		if (!take(&c, &ns, sizeof(ns)))
			return PERF_RECORD_E_SHORT;
		if (i == NET_NS_INDEX)
			r->ns.net = ns.inode;
		else if (i == PID_NS_INDEX)
			r->ns.pid = ns.inode;
		else if (i == USER_NS_INDEX)
			r->ns.user = ns.inode;
	}
	r->kind = PERF_KIND_NAMESPACES;
	return 0;
}

static int parse_lost(struct cursor c, uint32_t type, struct perf_record *r)
{
	if (type == PERF_RECORD_LOST && !take(&c, NULL, 8))
		return PERF_RECORD_E_SHORT;
	if (!take(&c, &r->lost, sizeof(r->lost)))
		return PERF_RECORD_E_SHORT;
	r->kind = PERF_KIND_DROPPED;
	return 0;
}

static int parse_side_band(const struct tap_layout *l, const uint64_t ids[TAP_IDS],
	const struct perf_event_header *h, struct cursor c, struct perf_record *r)
{
	int e = take_trailer(l, ids, &c, r);

	if (e)
		return e;
	switch (h->type) {
	case PERF_RECORD_FORK:
		return parse_task(c, r, PERF_KIND_FORKED);
	case PERF_RECORD_EXIT:
		return parse_task(c, r, PERF_KIND_EXITED);
	case PERF_RECORD_COMM:
		if (!take(&c, &r->pid, 4) || !take(&c, &r->tid, 4))
			return PERF_RECORD_E_SHORT;
		r->named.comm = rest_as_string(&c);
		r->named.exec = h->misc & PERF_RECORD_MISC_COMM_EXEC;
		r->kind = PERF_KIND_NAMED;
		return 0;
	case PERF_RECORD_MMAP2:
		return parse_mapped(c, r);
	case PERF_RECORD_NAMESPACES:
		return parse_namespaces(c, r);
	case PERF_RECORD_CGROUP:
		if (!take(&c, &r->cgroup.id, sizeof(r->cgroup.id)))
			return PERF_RECORD_E_SHORT;
		r->cgroup.path = rest_as_string(&c);
		r->kind = PERF_KIND_NEW_CGROUP;
		return 0;
	case PERF_RECORD_LOST:
	case PERF_RECORD_LOST_SAMPLES:
		return parse_lost(c, h->type, r);
	default: /* the kernel's enum, not ours: throttling and the like */
		return 0;
	}
}

/* A number that ends near the end of the raw data, or is of an odd size. */
static uint64_t number_of(const uint8_t *at, size_t size)
{
	uint64_t v = 0;

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	memcpy((uint8_t *)&v + sizeof(v) - size, at, size);
#else
	memcpy(&v, at, size);
#endif
	return v;
}

/*
 * Field @f of the raw data as a number; 0 when this kernel has no such field. A dozen are read of
 * each record: in one load wherever eight bytes are left.
 */
static inline uint64_t field_number(struct cursor raw, struct tap_field f)
{
	uint64_t v;

	if (!f.size || f.size > sizeof(v) || f.offset + (size_t)f.size > raw.left)
		return 0;
	if (f.offset + sizeof(v) > raw.left)
		return number_of(raw.at + f.offset, f.size);
	memcpy(&v, raw.at + f.offset, sizeof(v));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	return v >> (64 - 8 * f.size);
#else
	return v & UINT64_MAX >> (64 - 8 * f.size);
#endif
}

/* An address of 4 or 16 bytes as 16; false = no such field. */
static inline bool field_addr(struct cursor raw, struct tap_field f, uint8_t ret[16])
{
	if (f.offset + (size_t)f.size > raw.left)
		return false;
	if (f.size == 16) {
		memcpy(ret, raw.at + f.offset, 16);
	} else if (f.size == 4) {
		address_from_v4(ret, raw.at + f.offset);
	} else {
		return false;
	}
	return true;
}

static void parse_route(
	const struct tap_field f[TAP_FIB_FIELDS], struct cursor raw, struct perf_record *r)
{
	struct perf_record_route *route = &r->route;
	uint8_t flags = (uint8_t)field_number(raw, f[TAP_FIB_FLAGS]);

	r->softirq = flags & FLAGS_INTERRUPT;
	r->bh_off = flags & FLAGS_BH_OFF;
	route->proto = (uint8_t)field_number(raw, f[TAP_FIB_PROTO]);
	route->flags = (uint8_t)field_number(raw, f[TAP_FIB_ROUTE_FLAGS]);
	route->sport = (uint16_t)field_number(raw, f[TAP_FIB_SPORT]);
	route->dport = (uint16_t)field_number(raw, f[TAP_FIB_DPORT]);
	/* TCP without a port: connect's first try. */
	if (!route->proto || (!route->sport && route->proto == IPPROTO_TCP) ||
		!field_addr(raw, f[TAP_FIB_DST], route->dst))
		return;
	if (!field_addr(raw, f[TAP_FIB_SRC], route->src))
		memset(route->src, 0, sizeof(route->src));
	r->kind = PERF_KIND_ROUTE;
}

static void parse_state(
	const struct tap_field f[TAP_STATE_FIELDS], struct cursor raw, struct perf_record *r)
{
	struct perf_record_state *s = &r->state;
	uint8_t flags = (uint8_t)field_number(raw, f[TAP_STATE_FLAGS]);
	bool v6;

	r->softirq = flags & FLAGS_INTERRUPT;
	r->bh_off = flags & FLAGS_BH_OFF;
	s->skaddr = field_number(raw, f[TAP_STATE_SKADDR]);
	s->protocol = f[TAP_STATE_PROTOCOL].size
			      ? (uint16_t)field_number(raw, f[TAP_STATE_PROTOCOL])
			      : IPPROTO_TCP; /* the event was TCP's alone before it had one */
	s->family = (uint16_t)field_number(raw, f[TAP_STATE_FAMILY]);
	s->oldstate = (int32_t)field_number(raw, f[TAP_STATE_OLDSTATE]);
	s->newstate = (int32_t)field_number(raw, f[TAP_STATE_NEWSTATE]);
	s->sport = (uint16_t)field_number(raw, f[TAP_STATE_SPORT]);
	s->dport = (uint16_t)field_number(raw, f[TAP_STATE_DPORT]);
	v6 = s->family == AF_INET6;
	if (!field_addr(raw, f[v6 ? TAP_STATE_SADDR_V6 : TAP_STATE_SADDR], s->src) ||
		!field_addr(raw, f[v6 ? TAP_STATE_DADDR_V6 : TAP_STATE_DADDR], s->dst))
		return;
	r->kind = PERF_KIND_STATE;
}

/* Registers, of which there is one (the stack pointer), and the stack from there on. */
static int parse_exec(
	const struct tap_layout *l, struct cursor *c, uint64_t type, struct perf_record *r)
{
	uint64_t abi = 0, sp = 0, size = 0, used = 0;
	const uint8_t *stack;

	r->exec = (struct perf_record_exec){.uid = UINT32_MAX, .gid = UINT32_MAX};
	r->kind = PERF_KIND_EXEC;
	if (type & PERF_SAMPLE_REGS_USER) {
		if (!take(c, &abi, sizeof(abi)))
			return PERF_RECORD_E_SHORT;
		if (l->regs_user & (l->regs_user - 1))
			return PERF_RECORD_E_LAYOUT;
		if (abi != PERF_SAMPLE_REGS_ABI_NONE && l->regs_user && !take(c, &sp, sizeof(sp)))
			return PERF_RECORD_E_SHORT;
	}
	if (!(type & PERF_SAMPLE_STACK_USER))
		return 0;
	if (!take(c, &size, sizeof(size)) || size > c->left)
		return PERF_RECORD_E_SHORT;
	if (!size)
		return 0;
	stack = c->at;
	take(c, NULL, size);
	if (!take(c, &used, sizeof(used)) || used > size)
		return PERF_RECORD_E_SHORT;
	if (sp)
		perf_record_stack(
			stack, used, sp, abi == PERF_SAMPLE_REGS_ABI_32 ? 4 : 8, &r->exec);
	return 0;
}

/* What may stand between the time and the raw data, 8 bytes each; usually nothing does. */
static bool skip_parts(struct cursor *c, uint64_t type)
{
	const uint64_t parts = PERF_SAMPLE_ADDR | PERF_SAMPLE_ID | PERF_SAMPLE_STREAM_ID |
			       PERF_SAMPLE_CPU | PERF_SAMPLE_PERIOD;

	for (uint64_t left = type & parts; left; left &= left - 1)
		if (!take(c, NULL, 8))
			return false;
	return true;
}

static int parse_sample(const struct tap_layout *l, const uint64_t ids[TAP_IDS], struct cursor c,
	struct perf_record *r)
{
	struct cursor raw = {0};
	enum tap_event event;
	uint64_t id, type;
	uint32_t raw_size;
	int e;

	if (!take(&c, &id, sizeof(id)))
		return PERF_RECORD_E_SHORT;
	if (!find_event(ids, id, &event))
		return PERF_RECORD_E_ID;
	type = l->sample_type[event];
	if (!(type & PERF_SAMPLE_IDENTIFIER) || type & ~(uint64_t)SAMPLE_KNOWN)
		return PERF_RECORD_E_LAYOUT;
	if ((type & PERF_SAMPLE_IP && !take(&c, NULL, 8)) ||
		(type & PERF_SAMPLE_TID && (!take(&c, &r->pid, 4) || !take(&c, &r->tid, 4))) ||
		(type & PERF_SAMPLE_TIME && !take(&c, &r->t_ns, 8)) || !skip_parts(&c, type))
		return PERF_RECORD_E_SHORT;
	if (type & PERF_SAMPLE_RAW) {
		if (!take(&c, &raw_size, sizeof(raw_size)) || raw_size > c.left)
			return PERF_RECORD_E_SHORT;
		raw = (struct cursor){.at = c.at, .left = raw_size};
		take(&c, NULL, raw_size);
	}
	switch (event) {
	case TAP_LIFE: /* a dummy takes no samples */
	case TAP_EVENTS:
		return 0;
	case TAP_EXEC:
		e = parse_exec(l, &c, type, r);
		if (e)
			return e;
		break;
	case TAP_FIB:
		parse_route(l->fib, raw, r);
		break;
	case TAP_FIB6:
		parse_route(l->fib6, raw, r);
		break;
	case TAP_STATE:
		parse_state(l->state, raw, r);
		break;
	}
	if (type & PERF_SAMPLE_CGROUP && !take(&c, &r->cgroup_id, sizeof(r->cgroup_id)))
		return PERF_RECORD_E_SHORT;
	return 0;
}

int perf_record_parse(const struct tap_layout *l, const uint64_t ids[TAP_IDS], const uint8_t *bytes,
	size_t len, struct perf_record *ret)
{
	struct cursor c = {.at = bytes, .left = len};
	struct perf_event_header h;

	if (!take(&c, &h, sizeof(h)) || h.size != len)
		return PERF_RECORD_E_SHORT;
	ret->kind = PERF_KIND_IGNORED;
	ret->t_ns = ret->cgroup_id = 0;
	ret->pid = ret->tid = 0;
	ret->softirq = ret->bh_off = false;
	return h.type == PERF_RECORD_SAMPLE ? parse_sample(l, ids, c, ret)
					    : parse_side_band(l, ids, &h, c, ret);
}
