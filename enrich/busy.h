/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which UDP source ports one process sends from more than BUSY_SENDS times a second. Pure.
 *
 * A table of BUSY_SLOTS ports, one a slot: two busy ports on one slot push each other out, and are
 * then found the less busy. Threads: one. Blocks: no. Logs: no.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUSY_SLOTS 256u /* a power of two */
#define BUSY_SENDS 1000u

struct busy_slot {
	uint64_t since_ns;
	const void *who;
	uint32_t n;
	uint16_t port;
	bool several; /* more than one sends from this port */
};

struct busy {
	struct busy_slot slot[BUSY_SLOTS];
};

/* @who sent from @port at @t_ns. */
void busy_count(struct busy *b, uint16_t port, const void *who, uint64_t t_ns);
/* Forgets what was counted. */
void busy_clear(struct busy *b);

/*
 * Hands each port to @fn that one process, and no other, sent from BUSY_SENDS times within the
 * second it was first counted in, that second not being over for longer than another at @now_ns.
 */
typedef void (*busy_fn)(void *arg, uint16_t port, const void *who);
void busy_each(const struct busy *b, uint64_t now_ns, busy_fn fn, void *arg);
