/* SPDX-License-Identifier: Apache-2.0 */
/* Hand-built perf records as a kernel would write them, for tests of their parser and reader. */
#pragma once

#include <linux/perf_event.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "shm/tap.h"

#define PB_TIMES (PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CGROUP)

static const uint64_t pb_ids[TAP_IDS] = {101, 102, 103, 104, 105};

/* The fields where Linux 6.18 on x86-64 has them. */
static inline struct tap_layout pb_layout(void)
{
	struct tap_layout l = {
		.version = TAP_VERSION,
		.cpus = 2,
		.data_pages = 1,
		.live = (1u << TAP_EVENTS) - 1,
		.clockid = CLOCK_MONOTONIC,
		.regs_user = 1u << 7,
		.fib = {{2, 1}, {24, 1}, {56, 2}, {58, 2}, {28, 4}, {32, 4}},
		.fib6 = {{2, 1}, {68, 1}, {64, 2}, {66, 2}, {31, 16}, {47, 16}},
		.state = {{2, 1}, {8, 8}, {16, 4}, {20, 4}, {24, 2}, {26, 2}, {28, 2}, {30, 2},
			{32, 4}, {36, 4}, {40, 16}, {56, 16}},
	};

	for (int i = 0; i < TAP_EVENTS; i++)
		l.sample_type[i] = PB_TIMES | (i == TAP_LIFE ? 0 : PERF_SAMPLE_RAW);
	l.sample_type[TAP_EXEC] |= PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER;
	return l;
}

struct pb {
	size_t len;
	uint32_t pid, tid;
	uint64_t t_ns;
	uint8_t bytes[65536];
};

static inline void pb_put(struct pb *b, const void *bytes, size_t len)
{
	memcpy(b->bytes + b->len, bytes, len);
	b->len += len;
}

static inline void pb_u64(struct pb *b, uint64_t v)
{
	pb_put(b, &v, sizeof(v));
}

static inline void pb_u32(struct pb *b, uint32_t v)
{
	pb_put(b, &v, sizeof(v));
}

static inline void pb_begin(
	struct pb *b, uint32_t type, uint16_t misc, uint32_t pid, uint32_t tid, uint64_t t_ns)
{
	struct perf_event_header h = {.type = type, .misc = misc};

	b->len = 0;
	b->pid = pid;
	b->tid = tid;
	b->t_ns = t_ns;
	pb_put(b, &h, sizeof(h));
}

static inline void pb_end(struct pb *b)
{
	struct perf_event_header h;

	memcpy(&h, b->bytes, sizeof(h));
	h.size = (uint16_t)b->len;
	memcpy(b->bytes, &h, sizeof(h));
}

/* The trailer of a record that is no sample, always of TAP_LIFE. */
static inline void pb_trailer(struct pb *b)
{
	pb_u32(b, b->pid);
	pb_u32(b, b->tid);
	pb_u64(b, b->t_ns);
	pb_u64(b, pb_ids[TAP_LIFE]);
	pb_end(b);
}

static inline void pb_string(struct pb *b, const char *s)
{
	static const char zeros[8];

	pb_put(b, s, strlen(s) + 1);
	if (b->len % 8)
		pb_put(b, zeros, 8 - b->len % 8);
}

static inline void pb_task(struct pb *b, uint32_t type, uint32_t pid, uint32_t ppid, uint32_t tid,
	uint32_t ptid, uint64_t t_ns)
{
	/* A fork is written by the parent: the trailer names it. */
	pb_begin(b, type, 0, type == PERF_RECORD_FORK ? ppid : pid,
		type == PERF_RECORD_FORK ? ptid : tid, t_ns);
	pb_u32(b, pid);
	pb_u32(b, ppid);
	pb_u32(b, tid);
	pb_u32(b, ptid);
	pb_u64(b, t_ns);
	pb_trailer(b);
}

static inline void pb_comm(
	struct pb *b, uint32_t pid, uint32_t tid, const char *comm, int exec, uint64_t t_ns)
{
	pb_begin(b, PERF_RECORD_COMM, exec ? PERF_RECORD_MISC_COMM_EXEC : 0, pid, tid, t_ns);
	pb_u32(b, pid);
	pb_u32(b, tid);
	pb_string(b, comm);
	pb_trailer(b);
}

static inline void pb_mmap(struct pb *b, uint32_t pid, const char *path, uint64_t t_ns)
{
	pb_begin(b, PERF_RECORD_MMAP2, 0, pid, pid, t_ns);
	pb_u32(b, pid);
	pb_u32(b, pid);
	for (int i = 0; i < 7; i++) /* addr, len, pgoff, device, inode, generation, prot + flags */
		pb_u64(b, (uint64_t)i);
	pb_string(b, path);
	pb_trailer(b);
}

static inline void pb_namespaces(
	struct pb *b, uint32_t pid, uint32_t tid, uint64_t first_inode, uint64_t t_ns)
{
	pb_begin(b, PERF_RECORD_NAMESPACES, 0, pid, tid, t_ns);
	pb_u32(b, pid);
	pb_u32(b, tid);
	pb_u64(b, 7);
	for (uint64_t i = 0; i < 7; i++) {
		pb_u64(b, 4);
		pb_u64(b, first_inode + i);
	}
	pb_trailer(b);
}

static inline void pb_sample(struct pb *b, enum tap_event e, uint32_t pid, uint64_t t_ns)
{
	pb_begin(b, PERF_RECORD_SAMPLE, 0, pid, pid, t_ns);
	pb_u64(b, pb_ids[e]);
	pb_u32(b, pid);
	pb_u32(b, pid);
	pb_u64(b, t_ns);
}

static inline void pb_raw(struct pb *b, const uint8_t *raw, uint32_t len)
{
	uint32_t padded = (len + 4 + 7) / 8 * 8 - 4;

	pb_u32(b, padded);
	pb_put(b, raw, len);
	memset(b->bytes + b->len, 0, padded - len);
	b->len += padded - len;
}

/* IPv4 addresses as host-order numbers. */
static inline void pb_fib(struct pb *b, uint32_t pid, uint8_t flags, uint8_t proto, uint32_t src,
	uint16_t sport, uint32_t dst, uint16_t dport, uint64_t t_ns)
{
	uint8_t raw[76] = {0};

	src = __builtin_bswap32(src);
	dst = __builtin_bswap32(dst);
	raw[2] = flags;
	raw[24] = proto;
	memcpy(raw + 28, &src, 4);
	memcpy(raw + 32, &dst, 4);
	memcpy(raw + 56, &sport, 2);
	memcpy(raw + 58, &dport, 2);
	pb_sample(b, TAP_FIB, pid, t_ns);
	pb_raw(b, raw, sizeof(raw));
	pb_u64(b, 77); /* cgroup */
	pb_end(b);
}

/* Addresses of 16 bytes, as they stand in the record. */
static inline void pb_fib6(struct pb *b, uint32_t pid, uint8_t flags, uint8_t proto,
	const uint8_t src[16], uint16_t sport, const uint8_t dst[16], uint16_t dport, uint64_t t_ns)
{
	uint8_t raw[76] = {0};

	raw[2] = flags;
	raw[68] = proto;
	memcpy(raw + 31, src, 16);
	memcpy(raw + 47, dst, 16);
	memcpy(raw + 64, &sport, 2);
	memcpy(raw + 66, &dport, 2);
	pb_sample(b, TAP_FIB6, pid, t_ns);
	pb_raw(b, raw, sizeof(raw));
	pb_u64(b, 77);
	pb_end(b);
}

static inline void pb_state(struct pb *b, uint32_t pid, uint8_t flags, uint64_t skaddr,
	int32_t oldstate, int32_t newstate, uint16_t family, const uint8_t src[16], uint16_t sport,
	const uint8_t dst[16], uint16_t dport, uint64_t t_ns)
{
	const uint16_t tcp = 6;
	uint8_t raw[72] = {0};

	raw[2] = flags;
	memcpy(raw + 8, &skaddr, 8);
	memcpy(raw + 16, &oldstate, 4);
	memcpy(raw + 20, &newstate, 4);
	memcpy(raw + 24, &sport, 2);
	memcpy(raw + 26, &dport, 2);
	memcpy(raw + 28, &family, 2);
	memcpy(raw + 30, &tcp, 2);
	memcpy(raw + 32, src + 12, 4);
	memcpy(raw + 36, dst + 12, 4);
	memcpy(raw + 40, src, 16);
	memcpy(raw + 56, dst, 16);
	pb_sample(b, TAP_STATE, pid, t_ns);
	pb_raw(b, raw, sizeof(raw));
	pb_u64(b, 77);
	pb_end(b);
}

/* @stack as it lies in memory from @sp on; 8192 bytes are sampled, @used of them could be read. */
static inline void pb_exec(
	struct pb *b, uint32_t pid, uint64_t sp, const uint8_t *stack, size_t used, uint64_t t_ns)
{
	const uint8_t raw[20] = {0};

	pb_sample(b, TAP_EXEC, pid, t_ns);
	pb_raw(b, raw, sizeof(raw));
	pb_u64(b, PERF_SAMPLE_REGS_ABI_64);
	pb_u64(b, sp);
	pb_u64(b, 8192);
	memset(b->bytes + b->len, 0, 8192);
	memcpy(b->bytes + b->len, stack, used);
	b->len += 8192;
	pb_u64(b, used);
	pb_u64(b, 77);
	pb_end(b);
}

/*
 * A new program's stack at @sp: argv and envp pointers, auxv with these ids, then after @gap
 * bytes the strings. Returns its size; NULL-terminated lists.
 */
static inline size_t pb_stack(uint8_t *to, size_t size, uint64_t sp, const char *const *argv,
	const char *const *envp, uint32_t euid, uint32_t egid, size_t gap)
{
	uint64_t aux[] = {11, 4242, 12, euid, 13, 4343, 14, egid, 0, 0};
	size_t argc = 0, envc = 0, words, at;
	uint64_t *w = (uint64_t *)to;

	while (argv[argc])
		argc++;
	while (envp[envc])
		envc++;
	words = 1 + argc + 1 + envc + 1 + sizeof(aux) / 8;
	at = words * 8 + gap;
	memset(to, 0, size);
	*w++ = argc;
	for (size_t i = 0; i < argc + envc; i++) {
		const char *s = i < argc ? argv[i] : envp[i - argc];

		if (i == argc)
			w++; /* NULL behind argv */
		*w++ = sp + at;
		memcpy(to + at, s, strlen(s) + 1);
		at += strlen(s) + 1;
	}
	w += envc ? 1 : 2;
	memcpy(w, aux, sizeof(aux));
	return at;
}
