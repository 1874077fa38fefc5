/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the flow table keeps its flows: a pool of entries, the index by key, the timer queues. No
 * policy: flow.c decides what happens to a flow.
 *
 * One queue per timeout. All flows of a queue wait equally long and the clock never goes back, so
 * the newest deadline is the latest: arming is appending, and what is due stands at the heads. The
 * idle queues are at the same time the least-recently-used order.
 *
 * An entry is free, open (indexed and armed) or ended (neither, memory kept until it is freed).
 * Entries are numbered; pages of the pool are touched only once they are needed.
 *
 * Threads: one. Blocks: no. Logs: no. Errors: 0, -errno.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "enrich/flow-slots.h"
#include "enrich/flow-tcp.h"
#include "enrich/flow.h"

enum flow_queue {
	FLOW_QUEUE_ATTEMPT, /* idle timeouts: an open flow is in one of these four */
	FLOW_QUEUE_TCP,
	FLOW_QUEUE_UDP,
	FLOW_QUEUE_OVER,  /* by FIN or RST; takes in stragglers, not renewed by them */
	FLOW_QUEUE_START, /* what was not told yet, info records: and in at most one of these three
			   */
	FLOW_QUEUE_FIRST,
	FLOW_QUEUE_ACTIVE,
	FLOW_QUEUES_TIME,
	/* The kernel is to be asked: deadlines are bytes of traffic, the caller looks at the head.
	 */
	FLOW_QUEUE_TRAFFIC = FLOW_QUEUES_TIME,
	FLOW_QUEUES, /* not armed */
};

#define FLOW_QUEUES_IDLE 4

enum flow_timer { FLOW_TIMER_IDLE, FLOW_TIMER_REPORT, FLOW_TIMER_TRAFFIC, FLOW_TIMERS };

struct flow_link {
	uint64_t deadline_ns;
	uint32_t prev, next;
	enum flow_queue queue;
};

struct flow_entry {
	struct flow pub; /* first: what callers hold is the entry */
	struct flow_id id;
	struct flow_tcp tcp;
	struct flow_link link[FLOW_TIMERS];
	uint64_t armed_ns; /* the clock at the latest packet */
	uint64_t event_ns; /* time of the latest event */
	uint64_t traffic;  /* the table's when it began or the kernel was asked last */
	uint64_t loss;     /* the table's loss count at its start */
	uint64_t hash;     /* of `id` */
	uint32_t next;     /* in the list of ended, or of free entries */
	bool over;         /* in FLOW_QUEUE_OVER */
	bool swapped;      /* the originator is the second endpoint of `id` */
};

#define FLOW_ENTRY_NONE UINT32_MAX

struct flow_store {
	struct flow_entry *entry;
	struct flow_slots slots;
	uint32_t size;   /* entries there are */
	uint32_t fresh;  /* of these, never used from here on */
	uint32_t free;   /* list of used and freed ones */
	uint32_t ended;  /* list of ended ones */
	uint32_t open;   /* number of open ones */
	uint64_t due_ns; /* no queue's deadline is earlier; they may be later */
	struct {
		uint64_t timeout_ns; /* 0 = nobody is armed here */
		uint32_t head, tail;
	} queue[FLOW_QUEUES];
};

/* @max_open open flows and @max_ended ended ones; timeouts are the caller's to set. */
int flow_store_init(struct flow_store *s, uint32_t max_open, uint32_t max_ended);
void flow_store_deinit(struct flow_store *s);

/* The open flow with this key, or NULL. */
struct flow_entry *flow_store_find(
	const struct flow_store *s, const struct flow_id *id, uint64_t hash);
/* A zeroed entry, indexed under its key and not armed; NULL = no free one. */
struct flow_entry *flow_store_open(struct flow_store *s, const struct flow_id *id, uint64_t hash);
/* Takes an open entry out of index and queues. */
void flow_store_end(struct flow_store *s, struct flow_entry *e);
/* The next ended entry, which then is free, or NULL: to be used before anything else is called. */
struct flow_entry *flow_store_take_ended(struct flow_store *s);

/* Takes @e out of that timer's queue. */
void flow_store_disarm(struct flow_store *s, struct flow_entry *e, enum flow_timer timer);
/* (Re)arms @e in @q, @clock_ns + the queue's timeout from now; disarms it if that timeout is 0. */
void flow_store_arm(
	struct flow_store *s, struct flow_entry *e, enum flow_queue q, uint64_t clock_ns);
/*
 * Another timeout of @q, also for those in it. False: from or to 0 it cannot change, for then
 * nobody is in the queue.
 */
bool flow_store_retime(struct flow_store *s, enum flow_queue q, uint64_t timeout_ns);
/* The queue with the earliest deadline, idle queues first on a tie; FLOW_QUEUES = none. */
enum flow_queue flow_store_due(const struct flow_store *s, uint64_t *ret_deadline_ns);
/* The open flow without a packet for the longest time, or NULL. */
struct flow_entry *flow_store_oldest(const struct flow_store *s);
