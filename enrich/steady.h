/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one time line on which enrich compares what it hears: CLOCK_MONOTONIC, moved once to what
 * CLOCK_REALTIME said at the start. Nobody can set it. Packets come with CLOCK_REALTIME and records
 * leave with it, so that here is known when, and by how much, somebody set that clock since; while
 * nobody has, all three are the same.
 *
 * A packet's stamp does not say which setting of the clock it is of. It is one that leads to a time
 * at which that setting held; of several, the one that goes on from the packet before.
 *
 * One for the whole program, not for packets from a file. Threads: one. Blocks: no. Logs: no.
 * Errors: none. Makes no system call where the vDSO can tell the time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

uint64_t steady_now_ns(void);
/* What the kernel stamped with CLOCK_MONOTONIC. */
uint64_t steady_of_monotonic(uint64_t monotonic_ns);
/*
 * What the kernel stamped with CLOCK_BOOTTIME, which goes on while the machine is suspended: by
 * what both said before the suspension or after it. One that nobody asked before is noticed at the
 * next call.
 */
uint64_t steady_of_boottime(uint64_t boottime_ns);
/* What the kernel stamped with CLOCK_REALTIME, a moment ago or before what is still in a ring. */
uint64_t steady_of_packet(uint64_t real_ns);
/* What CLOCK_REALTIME was then. */
uint64_t steady_to_real(uint64_t steady_ns);
/*
 * Looks whether the clock has been set: often, as its setting then lies between two looks that are
 * close to each other. A packet that does not fit makes us look, too.
 */
void steady_look(void);
/* How often it was set, and by how much the last time. */
uint64_t steady_steps(void);
int64_t steady_step_ns(void);

/* For tests: asks @now for the time, and begins anew. */
void steady_set_clock(uint64_t (*now)(clockid_t id));
