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

/* X(name, help). Order is the file's layout: append only within one LEDGER_VERSION. */
#define LEDGER_CAPTURE(X)                                                                          \
	X(capture_epoch, "times capture has started")                                              \
	X(capture_packets_matched, "packets that matched the filter, as the kernel counts them")   \
	X(capture_packets_dropped, "of these, dropped by the kernel: capture did not keep up")     \
	X(capture_packets_delivered, "packets libpcap delivered")                                  \
	X(capture_packets_published, "packets put into the ring to enrich")                        \
	X(capture_packets_ring_full, "packets lost because that ring was full")                    \
	X(capture_bytes_published, "captured bytes put into the ring")                             \
	X(capture_wakeups, "wake-ups sent to enrich")                                              \
	X(capture_file_bytes, "size of the capture file being read")                               \
	X(capture_file_offset, "bytes of it read so far")                                          \
	X(capture_tap, "state of the tap: enum ledger_tier")                                       \
	X(capture_tap_events, "its live events, a bit mask in the order of enum tap_event")        \
	X(capture_netns, "other network namespaces whose sockets enrich can ask for")              \
	X(capture_netns_missed, "network namespaces beyond the bound, or not to be entered")

#define LEDGER_ENRICH(X)                                                                           \
	X(enrich_epoch, "times enrich has started")                                                \
	X(enrich_packets_read, "packets taken from the ring")                                      \
	X(enrich_packets_logged, "packets stood for by published records")                         \
	X(enrich_packets_open, "packets of open flows, not yet in a record")                       \
	X(enrich_packets_duplicate, "the same packet seen on a second interface")                  \
	X(enrich_packets_late, "packets of a connection whose end was already logged")             \
	X(enrich_packets_fragment, "non-first IP fragments: no ports, no flow")                    \
	X(enrich_packets_other, "packets without an IP header or without a flow")                  \
	X(enrich_packets_malformed, "packets with an impossible or cut header")                    \
	X(enrich_packets_lost, "packets stood for by records lost to a full record ring")          \
	X(enrich_records_published, "records put into the ring to sink")                           \
	X(enrich_records_lost, "records lost because that ring was full")                          \
	X(enrich_records_filtered, "records not wanted: outside the command's process tree")       \
	X(enrich_packets_filtered, "packets these stood for")                                      \
	X(enrich_seq, "last sequence number given to a record")                                    \
	X(enrich_flows_started, "flows opened")                                                    \
	X(enrich_flows_ended, "flows ended")                                                       \
	X(enrich_flows_evicted, "of these, ended because the flow table was full")                 \
	X(enrich_processes, "processes in the process cache")                                      \
	X(enrich_processes_evicted, "processes evicted from the full process cache")               \
	X(enrich_owners_asked, "ends of connections asked for")                                    \
	X(enrich_owners_remote, "of these, not on this host")                                      \
	X(enrich_owners_tap, "owners from the kernel's tracepoints")                               \
	X(enrich_owners_diag, "owners from sock_diag joined with a known socket")                  \
	X(enrich_owners_seed, "owners from the start-up sweep")                                    \
	X(enrich_owners_procfs, "owners from a /proc search")                                      \
	X(enrich_owners_cgroup, "only uid and cgroup known")                                       \
	X(enrich_owners_unknown, "owner unknown")                                                  \
	X(enrich_tap_events, "perf records read")                                                  \
	X(enrich_tap_lost, "perf records the kernel dropped")                                      \
	X(enrich_tap_malformed, "perf records that made no sense")                                 \
	X(enrich_diag_requests, "sock_diag lookups")                                               \
	X(enrich_diag_errors, "sock_diag replies that made no sense, or overruns")                 \
	X(enrich_wakeups, "wake-ups sent to sink")                                                 \
	X(enrich_tiers, "live owner tiers, a bit mask: 1 tap, 2 sock_diag, 4 seed, 8 procfs")      \
	X(enrich_packets_orphaned, "packets of flows that were open when enrich was killed")       \
	X(enrich_owners_kernel, "sockets of the kernel itself")                                    \
	X(enrich_owners_tap_connect, "owners seen in connect(2)")                                  \
	X(enrich_owners_tap_send, "owners seen sending a datagram")                                \
	X(enrich_owners_tap_listen, "owners seen in listen(2): who accepted is not known")         \
	X(enrich_owners_tap_close, "owners seen closing the connection")                           \
	X(enrich_owners_exact, "owners known for certain")                                         \
	X(enrich_owners_probable, "owners that are the likely ones")                               \
	X(enrich_unknown_none, "unknown without a reason: always 0")                               \
	X(enrich_unknown_no_socket, "unknown: no socket when asked")                               \
	X(enrich_unknown_no_process, "unknown: socket seen, its process not found")                \
	X(enrich_unknown_tap_lost, "unknown: perf records were lost just then")                    \
	X(enrich_unknown_older, "unknown: older than flowner")                                     \
	X(enrich_unknown_offline, "unknown: from a capture file")                                  \
	X(enrich_unknown_off, "unknown: every tier that could tell is off")                        \
	X(enrich_unknown_ambiguous, "unknown: several processes could be meant")                   \
	X(enrich_unknown_netns, "unknown: in a network namespace that cannot be asked")            \
	X(enrich_latency_1ms, "packet to owner known: at most 1 ms")                               \
	X(enrich_latency_2ms, "more than that, at most 2 ms")                                      \
	X(enrich_latency_5ms, "more than that, at most 5 ms")                                      \
	X(enrich_latency_8ms, "more than that, at most 8 ms")                                      \
	X(enrich_latency_10ms, "more than that, at most 10 ms")                                    \
	X(enrich_latency_12ms, "more than that, at most 12 ms")                                    \
	X(enrich_latency_15ms, "more than that, at most 15 ms")                                    \
	X(enrich_latency_20ms, "more than that, at most 20 ms")                                    \
	X(enrich_latency_50ms, "more than that, at most 50 ms")                                    \
	X(enrich_latency_100ms, "more than that, at most 100 ms")                                  \
	X(enrich_latency_1s, "more than that, at most 1 s")                                        \
	X(enrich_latency_more, "more than 1 s")                                                    \
	X(enrich_tier_tap, "state of a tier: enum ledger_tier")                                    \
	X(enrich_tier_sock_diag, "the same of sock_diag")                                          \
	X(enrich_tier_seed, "the same of the start-up sweep")                                      \
	X(enrich_tier_procfs, "the same of searching /proc later")                                 \
	X(enrich_tier_connector, "the same of the process connector")                              \
	X(enrich_closed, "closed sockets the kernel told of (enrich.tcp_info)")                    \
	X(enrich_closed_overruns, "times it dropped such messages: figures are missing")           \
	X(enrich_figures_asked, "open connections whose byte counts the kernel was asked for")     \
	X(enrich_figures_late, "ends without byte counts: 2^32 may have passed unseen")            \
	X(enrich_names, "addresses whose name is remembered")                                      \
	X(enrich_names_evicted, "of these, forgotten early because too many were")                 \
	X(enrich_aggregated, "ended connections gathered by enrich.aggregate")                     \
	X(enrich_aggregates_evicted, "of its windows, closed early because there were too many")   \
	X(enrich_unknown_raw, "unknown: from one of several processes' raw sockets")

#define LEDGER_SINK(X)                                                                             \
	X(sink_epoch, "times sink has started")                                                    \
	X(sink_records_read, "records taken from the ring")                                        \
	X(sink_records_written, "records written to every output that wants them")                 \
	X(sink_records_lost, "records an output refused for good")                                 \
	X(sink_records_invalid, "records that failed validation")                                  \
	X(sink_packets_written, "packets stood for by written records")                            \
	X(sink_packets_lost, "packets stood for by lost or invalid records")                       \
	X(sink_bytes_written, "bytes written over all outputs")                                    \
	X(sink_writes, "write operations submitted")                                               \
	X(sink_write_errors, "write operations that failed and were tried again")                  \
	X(sink_io_uring, "1 while io_uring is in use, 0 with plain writes")                        \
	X(sink_records_excluded, "records that the rules of every output leave out")               \
	X(sink_packets_excluded, "packets these stood for")                                        \
	X(sink_files_rotated, "files that were ended and followed by a new one")                   \
	X(sink_files_compressed, "files of them that were compressed")                             \
	X(sink_files_removed, "old files that were removed")                                       \
	X(sink_file_errors, "rotations, compressions and removals that failed")

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

#define LEDGER_ENUM(name, help) LEDGER_##name,
enum ledger_capture { LEDGER_CAPTURE(LEDGER_ENUM) LEDGER_CAPTURE_N };
enum ledger_enrich { LEDGER_ENRICH(LEDGER_ENUM) LEDGER_ENRICH_N };
enum ledger_sink { LEDGER_SINK(LEDGER_ENUM) LEDGER_SINK_N };

#define LEDGER_MAGIC   UINT64_C(0x726567646c776f6c)
#define LEDGER_VERSION 2
#define LEDGER_MAX     128 /* counters, any program */

/* The file, one page. */
struct ledger_file {
	uint64_t magic;
	uint32_t version;
	uint32_t program;  /* enum ledger_program */
	uint64_t pid;      /* of the writer now running */
	uint64_t start_ns; /* CLOCK_REALTIME of its start */
	uint64_t ready;    /* 1 once it runs its loop */
	uint64_t value[LEDGER_MAX];
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
	__atomic_store_n(v, __atomic_load_n(v, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

/* What a tier's counter holds for @r: 0 = live, -errno. */
static inline uint64_t ledger_tier(int r)
{
	return r < 0 ? LEDGER_TIER_REFUSED + (uint64_t)-r : LEDGER_TIER_LIVE;
}

static inline void ledger_set(struct ledger *l, unsigned counter, uint64_t n)
{
	__atomic_store_n(&l->file->value[counter], n, __ATOMIC_RELAXED);
}

static inline uint64_t ledger_get(const struct ledger *l, unsigned counter)
{
	return __atomic_load_n(&l->file->value[counter], __ATOMIC_RELAXED);
}

/* Says that the program has reached its loop (shown by `flowner status`). */
void ledger_ready(struct ledger *l);

/* Reads a ledger file with read(2). 0, -ENOENT, -EPROTO, -errno. */
int ledger_read(const char *path, enum ledger_program program, struct ledger_file *ret);

unsigned ledger_count(enum ledger_program program);
const char *ledger_name(enum ledger_program program, unsigned counter);
const char *ledger_help(enum ledger_program program, unsigned counter);
