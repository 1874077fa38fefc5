/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parses one record of a perf ring into a typed event. Pure: any bytes are answered, reads stay
 * inside them.
 *
 * Strings and the command line point into the record: they live as long as its bytes. Of the user
 * stack only argv and four numbers of the auxiliary vector are ever looked at; the environment lies
 * behind them and is never returned. Sources: perf_event_open(2), linux/perf_event.h.
 *
 * Threads: any. Blocks: no. Logs: no. Errors: positive PERF_RECORD_E_*.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/tap.h"

enum perf_record_kind {
	PERF_KIND_IGNORED, /* a type of record that says nothing about owners */
	PERF_KIND_FORKED,
	PERF_KIND_EXITED,
	PERF_KIND_NAMED,      /* comm changed, by exec or by itself */
	PERF_KIND_MAPPED,     /* executable mapping */
	PERF_KIND_NAMESPACES, /* namespaces of a thread */
	PERF_KIND_NEW_CGROUP,
	PERF_KIND_DROPPED, /* the kernel lost records here */
	PERF_KIND_EXEC,
	PERF_KIND_ROUTE, /* route lookup of a connect or send */
	PERF_KIND_STATE, /* TCP socket changed state */
};

struct perf_bytes {
	const char *bytes;
	size_t len;
};

struct perf_record_exec {
	struct perf_bytes args; /* argv, each with its NUL; len 0 = not in the sample */
	bool args_cut;          /* there were more */
	bool have_ids;
	uint32_t uid; /* AT_EUID, AT_EGID: as seen in the process's own user namespace */
	uint32_t gid;
	uint32_t ruid, rgid; /* AT_UID, AT_GID; UINT32_MAX = not in the sample */
};

/* Addresses as 16 bytes, IPv4 as ::ffff:a.b.c.d; ports in host order. */
struct perf_record_route {
	uint8_t proto;
	uint8_t flags;         /* of the lookup: PERF_ROUTE_* */
	uint16_t sport, dport; /* 0 for protocols other than TCP and UDP */
	uint8_t src[16];       /* all zero (or ::ffff:0.0.0.0) = any */
	uint8_t dst[16];
};

#define PERF_ROUTE_ANY_SPORT 0x08 /* a connect whose port the kernel chooses (Linux 6.13) */

struct perf_record_state {
	uint64_t skaddr;
	uint16_t protocol;
	uint16_t family; /* AF_INET, AF_INET6 */
	int32_t oldstate, newstate;
	uint16_t sport, dport;
	uint8_t src[16];
	uint8_t dst[16];
};

struct perf_record {
	enum perf_record_kind kind;
	uint64_t t_ns;
	uint64_t cgroup_id; /* of the acting task, 0 = not told */
	uint32_t pid, tid;
	bool softirq; /* in interrupt context: pid and cgroup_id belong to somebody unrelated */
	bool bh_off;  /* bottom halves off: the kernel's doing, on whosever behalf */
	union {
		struct {
			uint32_t ppid;
			bool thread; /* a thread of the same process, not a process */
		} fork;              /* FORKED, EXITED */
		struct {
			struct perf_bytes comm;
			bool exec;
		} named;
		struct perf_bytes path; /* MAPPED */
		struct {
			uint64_t net, pid, user; /* inode numbers, 0 = not told */
		} ns;
		struct {
			uint64_t id;
			struct perf_bytes path;
		} cgroup;
		uint64_t lost;
		struct perf_record_exec exec;
		struct perf_record_route route;
		struct perf_record_state state;
	};
};

enum {
	PERF_RECORD_E_SHORT = 1, /* ends inside a field, or longer than its header says */
	PERF_RECORD_E_ID,        /* an event we did not open */
	PERF_RECORD_E_LAYOUT,    /* a sample_type this parser does not know */
};

/*
 * @ids: PERF_EVENT_IOC_ID of each event on this CPU; 0 = not opened. *@ret is filled in place: it
 * means nothing after an error, and of its union only what belongs to its kind.
 */
int perf_record_parse(const struct tap_layout *l, const uint64_t ids[TAP_IDS], const uint8_t *bytes,
	size_t len, struct perf_record *ret);

/*
 * The new program's stack just after exec: argc, argv, NULL, envp, NULL, auxv, strings. @sp is the
 * address of the first byte, @word 4 or 8. For perf_record_parse() and its tests.
 */
void perf_record_stack(
	const uint8_t *stack, size_t len, uint64_t sp, size_t word, struct perf_record_exec *ret);
