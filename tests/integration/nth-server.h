/* SPDX-License-Identifier: Apache-2.0 */
/* Both halves of what is preloaded into a program to make one of its calls fail. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define NTH_CALLS 512

enum nth_kind { NTH_NONE, NTH_MALLOC, NTH_CALL, NTH_URING };

/* Shared with who drives the test; the layout is known to nth.py. */
struct nth_shared {
	uint64_t cured;   /* set from outside: nothing fails any more */
	uint64_t fired;   /* how many calls have failed */
	uint64_t live;    /* allocations that are not freed */
	uint64_t mallocs; /* allocations so far */
	uint64_t uring;   /* operations given to io_uring so far */
	uint64_t ended;   /* exit_group() came */
	uint64_t last;    /* the call that came last: if a filter has killed it, this one */
	uint64_t calls[NTH_CALLS];
};

struct nth_plan {
	enum nth_kind kind;
	uint64_t nr;    /* which call */
	uint64_t n;     /* from 1 */
	bool lasting;   /* all from the n-th on, until cured */
	int64_t result; /* -errno; of io_uring also 1: half of a write */
};

extern struct nth_shared *nth_shared;
extern struct nth_plan nth_plan;

/* Counts a call of @kind; whether it is to fail. */
bool nth_fails(enum nth_kind kind, uint64_t *counter);

/* From here on every system call of this thread is looked at. 0 or -errno. */
int nth_watch_calls(void);
