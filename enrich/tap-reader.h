/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the perf rings of all CPUs as one stream of events in time order.
 *
 * The kernel writes into the rings, capture opened them, this is their only reader. A record is
 * copied out, validated, used, and only then given back, so that a killed enrich loses none: its
 * successor reads it again. Reading makes no system call. Times are those of enrich/steady.h.
 *
 * Threads: one. Blocks: no. Logs: no. Errors: 0, -errno; -EPROTO = a layout this code cannot read.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "enrich/perf-record.h"
#include "shm/tap.h"

struct tap_reader;

struct tap_reader_stats {
	uint64_t events;    /* records read */
	uint64_t lost;      /* records the kernel dropped */
	uint64_t malformed; /* records that made no sense, skipped */
	uint64_t full;      /* advances up to which records may be missing, told or not */
	uint64_t forced;    /* applied before their time because a ring was filling up */
};

typedef void (*tap_event_fn)(void *arg, const struct perf_record *r);

/* Announces layout->cpus rings; each comes with tap_reader_add(). */
int tap_reader_new(const struct tap_layout *layout, struct tap_reader **ret);
/* Unmaps and closes. Takes NULL. */
void tap_reader_free(struct tap_reader *t);
/* Maps cpus->count rings. @fds become the reader's, except on failure. */
int tap_reader_add(struct tap_reader *t, const struct tap_cpus *cpus, const int *fds);

/*
 * Hands every event not younger than @t_ns to @fn, oldest first over all CPUs; more when a ring is
 * over half full. Events on one CPU whose times are not in order come as soon as they are met.
 */
void tap_reader_advance(struct tap_reader *t, uint64_t t_ns, tap_event_fn fn, void *arg);
/* Looks at what is waiting in the rings, in no order over the CPUs, without taking it. */
void tap_reader_peek(struct tap_reader *t, tap_event_fn fn, void *arg);
/* The same, but each record only once. */
void tap_reader_preview(struct tap_reader *t, tap_event_fn fn, void *arg);

/*
 * Shows @soon each record a few before its turn on its CPU, and @next those of them that are nearer
 * to it: what a record is about can be got ready, in two steps. Some come by only shortly before.
 */
void tap_reader_foresee(struct tap_reader *t, tap_event_fn soon, tap_event_fn next, void *arg);

const struct tap_reader_stats *tap_reader_stats(const struct tap_reader *t);
/* The rings' descriptors: readable when a ring passed its watermark. */
const int *tap_reader_fds(const struct tap_reader *t, size_t *ret_n);

/*
 * For tests: a ring in ordinary memory instead of a perf descriptor; @page is one page of struct
 * perf_event_mmap_page followed by the data pages, and stays the caller's.
 */
int tap_reader_add_memory(struct tap_reader *t, void *page, const uint64_t ids[TAP_IDS]);
/* For tests: asks @now for the time, which is that of the records, too. */
void tap_reader_set_clock(struct tap_reader *t, uint64_t (*now)(clockid_t id));
