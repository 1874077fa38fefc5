/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What capture tells enrich about the perf events it opened: the hand-over message of the tap tier.
 *
 * Per CPU there is one ring buffer (PERF_EVENT_IOC_SET_OUTPUT puts all events of a CPU into it);
 * capture keeps it mapped, so that it goes on filling while enrich restarts. Every record carries
 * PERF_SAMPLE_IDENTIFIER, and `id` says which event that is. Field offsets come from tracefs'
 * `format` files, read by capture while it may. Source: perf_event_open(2), linux/perf_event.h.
 */
#pragma once

#include <stdint.h>

#define TAP_VERSION           2
#define TAP_CPUS_MAX          512u
#define TAP_CPUS_A_FD_MESSAGE 32u /* ring fds travel in messages of at most this many */
#define TAP_SPARES            6u  /* further events of each filtered kind, see struct tap_filter */

/* The events of one CPU, in this order. */
enum tap_event {
	TAP_LIFE,  /* software dummy: FORK, EXIT, COMM, MMAP2, NAMESPACES, CGROUP records */
	TAP_EXEC,  /* sched:sched_process_exec with user registers and stack */
	TAP_FIB,   /* fib:fib_table_lookup */
	TAP_FIB6,  /* fib6:fib6_table_lookup */
	TAP_STATE, /* sock:inet_sock_set_state */
	TAP_EVENTS,
};

/* Ids of one CPU's events: TAP_EVENTS, then the spares of TAP_FIB, TAP_FIB6 and TAP_STATE. */
#define TAP_FILTERED 3u
#define TAP_IDS      (TAP_EVENTS + TAP_FILTERED * TAP_SPARES)

/* A field of a tracepoint's raw data. size 0 = not there in this kernel. */
struct tap_field {
	uint16_t offset;
	uint16_t size;
};

/* Fields read by enrich. Any may be missing; the owner code says what it then cannot do. */
enum tap_fib_field {
	TAP_FIB_FLAGS, /* common_flags */
	TAP_FIB_PROTO,
	TAP_FIB_SPORT,
	TAP_FIB_DPORT,
	TAP_FIB_SRC, /* 4 or 16 bytes */
	TAP_FIB_DST,
	TAP_FIB_ROUTE_FLAGS, /* of the lookup: flowi_flags */
	TAP_FIB_FIELDS,
};

enum tap_state_field {
	TAP_STATE_FLAGS, /* common_flags */
	TAP_STATE_SKADDR,
	TAP_STATE_OLDSTATE,
	TAP_STATE_NEWSTATE,
	TAP_STATE_SPORT,
	TAP_STATE_DPORT,
	TAP_STATE_FAMILY,
	TAP_STATE_PROTOCOL,
	TAP_STATE_SADDR,
	TAP_STATE_DADDR,
	TAP_STATE_SADDR_V6,
	TAP_STATE_DADDR_V6,
	TAP_STATE_FIELDS,
};

/*
 * Same for every CPU; sent once, before the ring fds. The kernel refuses CLOCK_REALTIME for
 * tracepoints (it cannot be read in NMI context), so the reader adds the difference of the two
 * clocks.
 */
struct tap_layout {
	uint32_t version;
	uint32_t cpus;       /* ring fds that follow */
	uint32_t data_pages; /* of each ring, a power of two; page size is the system's */
	uint32_t live;       /* bit per enum tap_event: opened */
	uint32_t clockid;    /* attr.clockid of all: CLOCK_MONOTONIC, see below */
	uint32_t reserved;
	uint64_t sample_type[TAP_EVENTS]; /* attr.sample_type as opened */
	uint64_t regs_user;               /* attr.sample_regs_user of TAP_EXEC: the stack pointer */
	struct tap_field fib[TAP_FIB_FIELDS];
	struct tap_field fib6[TAP_FIB_FIELDS];
	struct tap_field state[TAP_STATE_FIELDS];
};

/* Goes with each message of ring fds. */
struct tap_cpus {
	uint32_t first; /* index of the first fd */
	uint32_t count;
	uint64_t id[TAP_CPUS_A_FD_MESSAGE][TAP_IDS]; /* PERF_EVENT_IOC_ID; 0 = not opened */
};

#define TAP_FILTER_PORTS 16u

/*
 * What enrich asks capture to record, back over the hand-over connection, at any time after
 * HANDOVER_DONE. It may only leave out what costs too much (senders) and take in what is left out
 * by default (closers): capture is free to record more than asked, never less.
 *
 * The kernel lets a perf event's filter be set once (-EEXIST after that), and capture can open no
 * event any more: it has TAP_SPARES of each kind open and asleep, one for each set of ports that
 * is ever asked for.
 */
struct tap_filter {
	uint16_t senders;   /* used of `sender`: UDP sports that are not to be recorded */
	uint16_t listeners; /* used of `listener`: TCP sports that belong to servers, although they
			       are in the range of automatic ones */
	uint16_t closers;   /* 1 = record who closes whatever the port */
	uint16_t reserved;  /* 0 */
	uint16_t sender[TAP_FILTER_PORTS];
	uint16_t listener[TAP_FILTER_PORTS];
};
