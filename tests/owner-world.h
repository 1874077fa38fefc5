/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owners fed by perf rings in ordinary memory, for tests of the verdict: nothing but the tap is
 * live, and what it tells is written by the test.
 *
 * Time is what the test says.
 */
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "enrich/owner-internal.h"
#include "perf-build.h"
#include "put-addr.h"
#include "tap.h"

#define WORLD_CPUS 2u
#define WORLD_MS   UINT64_C(1000000)

struct world_cpu {
	struct perf_event_mmap_page *page;
	uint64_t lost; /* to be told with the next record */
};

struct world {
	struct owners *o;
	struct ledger ledger;
	struct config config;
	struct tap_layout layout;
	struct world_cpu cpu[WORLD_CPUS];
	uint64_t t_ns;  /* now */
	uint64_t netns; /* our own network namespace */
	uint64_t size;  /* of a ring */
	uint64_t dropped;
	struct pb b;
};

static uint64_t world_now_ns; /* what the reader takes for now */

static inline uint64_t world_clock(clockid_t id)
{
	(void)id;
	return world_now_ns;
}

/* Gives up the tap that @w had, as when capture is started anew; @pages are those of each ring. */
static inline void world_tap(struct world *w, uint32_t pages)
{
	size_t page_size = (size_t)sysconf(_SC_PAGESIZE);

	w->layout = pb_layout();
	w->layout.cpus = WORLD_CPUS;
	w->layout.data_pages = pages;
	w->size = pages * page_size;
	if (owners_tap_begin(w->o, &w->layout))
		tap_bail("no tap");
	tap_reader_set_clock(w->o->tap, world_clock);
	for (unsigned i = 0; i < WORLD_CPUS; i++) {
		free(w->cpu[i].page);
		w->cpu[i] = (struct world_cpu){.page = calloc(pages + 1, page_size)};
		if (!w->cpu[i].page || tap_reader_add_memory(w->o->tap, w->cpu[i].page, pb_ids))
			tap_bail("no rings");
	}
	w->o->tap_ns = w->t_ns;
}

static inline void world_open(struct world *w, uint32_t pages)
{
	memset(w, 0, sizeof(*w));
	if (config_init(&w->config) || ledger_open_anonymous(&w->ledger, LEDGER_OF_ENRICH))
		tap_bail("no memory");
	w->config.enrich.sock_diag = false;
	w->config.enrich.procfs = CONFIG_PROCFS_OFF;
	if (owners_new(&w->config, &w->ledger, &w->o))
		tap_bail("no owners");
	w->netns = w->o->netns;
	w->t_ns = (owners_now_ns() / 1000000000 + 3600) * 1000000000;
	world_tap(w, pages);
}

static inline void world_close(struct world *w)
{
	owners_free(w->o);
	for (unsigned i = 0; i < WORLD_CPUS; i++)
		free(w->cpu[i].page);
	ledger_close(&w->ledger);
	config_deinit(&w->config);
}

static inline void world_copy_in(struct world_cpu *c, uint64_t size, const void *bytes, size_t len)
{
	uint8_t *data = (uint8_t *)c->page + sysconf(_SC_PAGESIZE);
	size_t at = c->page->data_head & (size - 1);
	size_t first = size - at < len ? size - at : len;

	memcpy(data + at, bytes, first);
	memcpy(data, (const uint8_t *)bytes + first, len - first);
	c->page->data_head += len;
}

/* Puts w->b into the ring of @cpu as a kernel does: a full ring drops it, the next one says so. */
static inline bool world_put(struct world *w, unsigned cpu)
{
	struct world_cpu *c = &w->cpu[cpu % WORLD_CPUS];
	const size_t lost_size = 8 + 16 + 32;
	uint64_t room = w->size - (c->page->data_head - c->page->data_tail);
	struct pb lost;

	if (room < w->b.len + (c->lost ? lost_size : 0)) {
		c->lost++;
		w->dropped++;
		return false;
	}
	if (c->lost) {
		pb_begin(&lost, PERF_RECORD_LOST, 0, 0, 0, w->b.t_ns);
		pb_u64(&lost, pb_ids[TAP_LIFE]);
		pb_u64(&lost, c->lost);
		pb_trailer(&lost);
		world_copy_in(c, w->size, lost.bytes, lost.len);
		c->lost = 0;
	}
	world_copy_in(c, w->size, w->b.bytes, w->b.len);
	return true;
}

/* A pid's process as the sweep at start would have found it. */
static inline struct process *world_seed(
	struct world *w, uint32_t pid, uint64_t start_ns, uint64_t netns)
{
	struct process *p = process_cache_found(w->o->processes, pid, start_ns);

	if (!p)
		tap_bail("no memory");
	p->netns = netns;
	return p;
}
