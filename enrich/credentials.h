/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process's user or group ids over time: what they were at a moment, and how sure that is.
 *
 * A value is learnt at a moment (an exec, a look at /proc, an event) and holds until the next one.
 * Whether it was another in between is known only while somebody tells of every change ("watched").
 *
 * Pure. Threads: one. Blocks: no. Logs: no.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct credential {
	uint32_t effective; /* UINT32_MAX = unknown */
	uint32_t real;
	uint64_t from_ns; /* steady time: since when it may be this; 0 = always */
	uint64_t seen_ns; /* it was for sure from here ... */
	uint64_t to_ns;   /* ... to here */
};

struct credentials {
	struct credential now, was;
};

enum {
	CREDENTIALS_E_UNCONFIRMED = 1, /* true once, and may have changed since */
	CREDENTIALS_E_UNKNOWN,         /* it changed about then, or was never seen of itself */
};

void credentials_init(struct credentials *c);
/* Seen at @t_ns. @real may be UINT32_MAX. What is older than what is known changes nothing. */
void credentials_seen(struct credentials *c, uint32_t effective, uint32_t real, uint64_t t_ns);
/* They became these at @t_ns: they were others before, even if these were seen since. */
void credentials_changed(struct credentials *c, uint32_t effective, uint32_t real, uint64_t t_ns);
/* From @t_ns on nobody knows. */
void credentials_lose(struct credentials *c, uint64_t t_ns);
/* A child forked at @t_ns has those that its parent had. */
void credentials_inherit(
	struct credentials *child, const struct credentials *parent, uint64_t t_ns);
/*
 * Those at @t_ns; every change since @watched_ns has been told (UINT64_MAX = nobody tells). 0 or a
 * positive CREDENTIALS_E_*; both ids are UINT32_MAX when unknown.
 */
int credentials_at(const struct credentials *c, uint64_t t_ns, uint64_t watched_ns,
	uint32_t *ret_effective, uint32_t *ret_real);
