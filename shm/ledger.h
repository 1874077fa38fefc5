/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each program's counters, in a file it maps from its runtime directory.
 *
 * A count is one relaxed add to mapped memory: no system call, and it survives SIGKILL, so that a
 * restarted program counts on. Readers (`flowner status`) read(2) the file, they never map it: a
 * truncated file is a short read, not a SIGBUS. Only the program's own user can write it.
 *
 * Threads: one writer process. Blocks: open only. Logs: no. Errors: 0, -errno; -EPROTO = not a
 * ledger of this version.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "shm/ledger-counters.h"

/* What the counters of tiers hold. */
enum ledger_tier {
	LEDGER_TIER_UNTRIED,
	LEDGER_TIER_LIVE,
	LEDGER_TIER_OFF,     /* the configuration does not want it */
	LEDGER_TIER_WAITING, /* whoever opens it has not passed it on */
	LEDGER_TIER_OWN,     /* for processes of our own user only: capabilities are missing */
	LEDGER_TIER_REFUSED = 1000, /* + the errno */
};

enum ledger_program { LEDGER_OF_CAPTURE, LEDGER_OF_ENRICH, LEDGER_OF_SINK, LEDGER_PROGRAMS };

#define LEDGER_ENUM(name, family, labels, help) LEDGER_##name,
enum ledger_capture { LEDGER_CAPTURE(LEDGER_ENUM) LEDGER_CAPTURE_N };
enum ledger_enrich { LEDGER_ENRICH(LEDGER_ENUM) LEDGER_ENRICH_N };
enum ledger_sink { LEDGER_SINK(LEDGER_ENUM) LEDGER_SINK_N };

#define LEDGER_FAMILY_ENUM(family, type, name, help) LEDGER_FAMILY_##family,
enum ledger_family_id { LEDGER_FAMILIES(LEDGER_FAMILY_ENUM) LEDGER_FAMILIES_N };

/* What a value is, and what becomes of it in a metric. */
enum ledger_type {
	LEDGER_TYPE_COUNTER, /* only grows */
	LEDGER_TYPE_GAUGE,
	LEDGER_TYPE_STATE,  /* enum ledger_tier; the metric: 1 = live */
	LEDGER_TYPE_BITS,   /* the metric: how many are set */
	LEDGER_TYPE_BUCKET, /* of a histogram, not cumulative; its bound is the label */
	LEDGER_TYPE_SUM,    /* of the histogram of the same name, in ns; the metric: seconds */
};

struct ledger_family {
	const char *name; /* without "flowner_" */
	const char *help;
	enum ledger_type type;
};

struct ledger_counter {
	const char *name; /* with the program's in front */
	const char *help;
	const char *labels; /* as Prometheus writes them; "" = none */
	enum ledger_family_id family;
};

#define LEDGER_MAGIC   UINT64_C(0x726567646c776f6c)
#define LEDGER_VERSION 4
#define LEDGER_MAX     128 /* counters, any program */

#define LEDGER_JOURNAL_VALUES 24u

/* Whose the counters of an output are; terminated, cut; "" = there is none. */
struct ledger_output {
	char format[16];
	char path[112]; /* the end of a longer one */
};

/* How far the ring of another program is read. */
struct ledger_place {
	uint64_t epoch;     /* which ring; 0 = none yet */
	uint64_t tail, pos; /* what was released, what was used */
	uint64_t before;    /* packets that earlier rings held */
	uint64_t packets;   /* used of this one */
};

/* A batch on its way: shm/journal.h. */
struct ledger_slot {
	uint64_t epoch, head;
	struct ledger_place from;
	uint64_t n;
	uint64_t value[LEDGER_JOURNAL_VALUES];
	uint8_t counter[LEDGER_JOURNAL_VALUES];
};

struct ledger_journal {
	uint64_t state;
	struct ledger_slot slot[2];
};

/*
 * Which ring sink reads, and what its producer had published in earlier ones beyond what sink
 * accounts for: unless it begins anew that never grows but by what is lost.
 */
struct ledger_source {
	uint64_t epoch; /* 0 = none yet */
	uint64_t records, packets;
};

/* The file, one page. */
struct ledger_file {
	uint64_t magic;
	uint32_t version;
	uint32_t program;  /* enum ledger_program */
	uint64_t pid;      /* of the writer now running */
	uint64_t start_ns; /* CLOCK_REALTIME of its start */
	uint64_t ready;    /* 1 once it runs its loop */
	uint64_t value[LEDGER_MAX];
	uint64_t turn; /* odd while several counters change as one: ledger_begin() */
	struct ledger_output output[LEDGER_OUTPUTS]; /* sink */
	struct ledger_journal journal;               /* capture, enrich */
	struct ledger_source source;                 /* sink */
};

struct ledger {
	struct ledger_file *file;
};

/*
 * Opens or creates @path (mode 0644), keeps the counters of an earlier run if it is a ledger of
 * this program and version, else starts at zero, and adds one to the first counter (the epoch).
 */
int ledger_open(struct ledger *l, const char *path, enum ledger_program program);
/* Private, unshared counters for tests and tools without a runtime directory. */
int ledger_open_anonymous(struct ledger *l, enum ledger_program program);
void ledger_close(struct ledger *l);

static inline void ledger_add(struct ledger *l, unsigned counter, uint64_t n)
{
	uint64_t *v = &l->file->value[counter];

	/* One writer: a plain load and an atomic store, so that a reader never sees half a value.
	 */
	__atomic_store_n(v, __atomic_load_n(v, __ATOMIC_RELAXED) + n, __ATOMIC_RELEASE);
}

/*
 * Between these, changes belong together: a reader sees all of them or none. Short, and without a
 * call that may block. A kill in between leaves what is done.
 */
static inline void ledger_begin(struct ledger *l)
{
	/* Before any of them, which are stores with release. */
	__atomic_store_n(&l->file->turn, l->file->turn | 1, __ATOMIC_RELAXED);
}

static inline void ledger_end(struct ledger *l)
{
	__atomic_store_n(&l->file->turn, (l->file->turn | 1) + 1, __ATOMIC_RELEASE);
}

/* What a tier's counter holds for @r: 0 = live, -errno. */
static inline uint64_t ledger_tier(int r)
{
	return r < 0 ? LEDGER_TIER_REFUSED + (uint64_t)-r : LEDGER_TIER_LIVE;
}

static inline void ledger_set(struct ledger *l, unsigned counter, uint64_t n)
{
	__atomic_store_n(&l->file->value[counter], n, __ATOMIC_RELEASE);
}

static inline uint64_t ledger_get(const struct ledger *l, unsigned counter)
{
	return __atomic_load_n(&l->file->value[counter], __ATOMIC_RELAXED);
}

/* Says that the program has reached its loop (shown by `flowner status`). */
void ledger_ready(struct ledger *l);

/* Names what the counters of output @i belong to. */
void ledger_name_output(struct ledger *l, unsigned i, const char *format, const char *path);

/*
 * Reads a ledger file with read(2), at a moment between changes that belong together; waits for it
 * a tenth of a second at most. 0, -ENOENT, -EPROTO, -errno.
 */
int ledger_read(const char *path, enum ledger_program program, struct ledger_file *ret);

unsigned ledger_count(enum ledger_program program);
const struct ledger_counter *ledger_counter(enum ledger_program program, unsigned counter);
const struct ledger_family *ledger_family(enum ledger_family_id id);
const char *ledger_name(enum ledger_program program, unsigned counter);
const char *ledger_help(enum ledger_program program, unsigned counter);
