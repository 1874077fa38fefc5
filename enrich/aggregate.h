/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gathers ended connections that differ in nothing but their ports and times, and lets one record
 * stand for all of them.
 *
 * Alike are connections between the same two addresses to the same port of the responder (ICMP: of
 * the same type and code), of the same protocol, direction, VLAN, network namespace and end (state
 * and reason), whose processes are the same (pid, start, name, executable, user) and as sure. The
 * first of them opens a window; when that is over, those that are alike leave as one
 * RECORD_SUMMARY: bytes, packets, deltas and retransmits are sums, start_ns and end_ns the first
 * and the last, `connections` their number; all the rest is the last connection's. Bytes are known
 * if they are of all. A connection that stayed alone leaves as the record it was,
 * flagged RECORD_FLAG_UNANNOUNCED: its END is the first that anybody hears of it.
 *
 * Bounded: a full table lets its oldest window go early, and counts that. The sum of delta_packets
 * over all that was added is the sum over all that was put and aggregate_packets().
 *
 * Threads: one. Blocks: as the put callback. Logs: no. Errors: 0, -errno, what put returns.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "shm/record.h"

#define AGGREGATE_MAX 8192u /* windows at a time: some 10 MiB */

struct aggregate;

/* Takes a finished record, its own until the next call; @t_ns is the time it leaves at. */
typedef int (*aggregate_put_fn)(void *arg, struct record *r, uint64_t t_ns);

/* At most @max windows, each @window_ns long. @seed: random, peers choose what is alike. */
int aggregate_new(uint64_t window_ns, uint32_t max, const uint64_t seed[2], aggregate_put_fn put,
	void *arg, struct aggregate **ret);
/* What is still held is dropped. NULL is fine. */
void aggregate_free(struct aggregate *a);

/* Adds the RECORD_END @r, which is copied. Time is the latest it was told and never goes back. */
int aggregate_add(struct aggregate *a, const struct record *r, uint64_t t_ns);
/* Lets the windows go that are over at @now_ns. */
int aggregate_expire(struct aggregate *a, uint64_t now_ns);
/* When the next one will be, UINT64_MAX = there is none. */
uint64_t aggregate_next_ns(const struct aggregate *a);
/* Lets all of them go. */
int aggregate_finish(struct aggregate *a);

/* Packets that held records stand for. */
uint64_t aggregate_packets(const struct aggregate *a);
/* Windows closed early because there were too many. */
uint64_t aggregate_evicted(const struct aggregate *a);
