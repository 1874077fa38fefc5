/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where packets come from: a live interface or a capture file, through libpcap.
 *
 * Live: TPACKET_V3 blocks, or V2 frames when immediate; non-blocking, the caller polls source_fd().
 * The filter is attached by us instead of pcap_setfilter(), which would run it a second time in
 * user space over the first blocks, where the kernel's ancillary loads and the stripped VLAN tag
 * are missing. The start is exact: the socket is shut by a reject-all filter, its counters are
 * read, then the filter opens, and what was counted before is told by its time and passed over.
 *
 * File: never blocks on anything but the disk; the filter runs in user space.
 *
 * The expression is compiled by a process of its own (capture/apart.h): libpcap 1.10 crashes where
 * there is no memory, and it reads what a person wrote.
 *
 * Threads: one per source, opening only where there is one at all. Blocks: no. Logs: no; complaints
 * are a struct source_error, ready to print. No packet byte is looked at outside the filter
 * program.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/config.h"
#include "shm/packet.h"

struct source;

/* Exit statuses of sysexits.h that fit. */
enum source_status {
	SOURCE_BAD_FILTER = 64,    /* EX_USAGE */
	SOURCE_BAD_FILE = 65,      /* EX_DATAERR: not a capture file, or of an unknown link type */
	SOURCE_NO_INPUT = 66,      /* EX_NOINPUT: no such interface or file */
	SOURCE_FAILED = 71,        /* EX_OSERR */
	SOURCE_NO_PERMISSION = 77, /* EX_NOPERM */
};

struct source_error {
	enum source_status status;
	char text[512]; /* one line: what is wrong and what to do */
};

struct source_options {
	const char *name;          /* interface, "any", or file ("-" = standard input) */
	const char *netns;         /* the namespace we are in now, "" = our own; is kept */
	uint16_t netns_number;     /* what packet_head.netns shall say */
	enum config_mode mode;     /* which packets, and how much of each */
	const char *filter;        /* pcap-filter(7), "" = everything */
	uint64_t buffer;           /* bytes of the kernel's packet buffer (live) */
	uint64_t batch_timeout_ns; /* longest time a packet waits in it (live) */
	bool immediate;            /* each packet is there at once, at a wake-up's price (live) */
	uid_t uid;                 /* whom its compiler is run as, if we may; 0: as we are */
	gid_t gid;
};

/* Each opens (live: in the calling thread's network namespace) and compiles; nothing is delivered
 * before source_start(). 0, or -EINVAL with @err. */
int source_open_live(const struct source_options *o, struct source **ret, struct source_error *err);
int source_open_file(const struct source_options *o, struct source **ret, struct source_error *err);
/*
 * Whether @expression is one for some kind of interface, or @err. Compiled here: for a command of
 * the one who wrote it.
 */
bool source_accepts(const char *expression, struct source_error *err);
/* Takes NULL. */
void source_free(struct source *s);

/*
 * Opens the tap: afterwards the counters count from zero and the filter can no longer be changed
 * (SO_LOCK_FILTER). Needs no privilege. 0, or -EINVAL with @err.
 */
int source_start(struct source *s, struct source_error *err);

/* The descriptor to poll for POLLIN; -1 for a file, which is always ready. */
int source_fd(const struct source *s);
/* Whether a poll() must come back within SOURCE_RECHECK_MS: the interface went down. */
bool source_restless(const struct source *s);
#define SOURCE_RECHECK_MS 250

/*
 * Calls @packet for up to @max packets that are ready now; @bytes are head->caplen captured ones.
 * *ret_n says how many libpcap went through, == @max: there may be more. Returns 0, SOURCE_E_END
 * (end of file), SOURCE_E_GONE (interface or rest of file unreadable, see source_why()).
 */
enum { SOURCE_E_END = 1, SOURCE_E_GONE = 2, SOURCE_E_CHANGED = 3 };
typedef void (*source_packet_fn)(
	void *arg, uint64_t t_ns, const struct packet_head *head, const void *bytes);
int source_dispatch(
	struct source *s, unsigned max, source_packet_fn packet, void *arg, unsigned *ret_n);
const char *source_why(const struct source *s);
/* Whether that was because there is no such interface any more; nothing is ready then. */
bool source_gone(const struct source *s);
/*
 * Goes on with the interface that has its name now. Needs no privilege. SOURCE_E_GONE: there is
 * none, SOURCE_E_CHANGED: it is another kind of link, whose packets this source cannot take;
 * -errno.
 */
int source_come_back(struct source *s);

/* Packets that matched since source_start(), and how many of these the kernel dropped. */
int source_count(struct source *s, uint64_t *ret_matched, uint64_t *ret_dropped);

/*
 * Lets nothing more in; what is already in the buffer can still be dispatched (wait for two
 * batch timeouts). Needs no privilege. 0 or -errno.
 */
int source_stop(struct source *s);

/* Whether another of @names has all of the packets of interface @i: it is the same, or "any". */
bool source_is_doubled(const char *const *names, size_t n, size_t i);

/* What packet_head.netns says of its packets. */
uint16_t source_netns(const struct source *s);
/* The namespace as it was given. */
const char *source_netns_name(const struct source *s);

/* For the log and for progress; "NETNS:IFACE" in another namespace. Sizes are 0 where they are
 * unknown. */
const char *source_name(const struct source *s);
const char *source_link(const struct source *s); /* "LINUX_SLL2" */
unsigned source_insns(const struct source *s);
uint64_t source_file_size(const struct source *s);
uint64_t source_file_offset(const struct source *s);

/* Its program, and what that consists of. */
struct filter_program;
struct program_layout;
const struct filter_program *source_filter(
	const struct source *s, const struct program_layout **ret_layout);

/*
 * Calls @packet for every packet of a file, also for those that the filter rejects: @bytes are what
 * the filter is run over, @size of them, @caplen are in the file. 0, or SOURCE_E_GONE (the rest of
 * the file is unreadable, see source_why()).
 */
typedef void (*source_each_fn)(
	void *arg, const void *bytes, uint32_t size, uint32_t caplen, uint32_t len);
int source_each(struct source *s, source_each_fn packet, void *arg);

/*
 * Compiles for a link type, without opening anything: @kernel as a live source attaches it, else as
 * a file is filtered. @o: name, mode and filter count. 0 or -EINVAL with @err.
 */
int source_open_dead(const struct source_options *o, int dlt, bool kernel, struct source **ret,
	struct source_error *err);

/* The program of source_open_dead() alone, for tests. 0 or -EINVAL with @err. */
int source_program(int dlt, bool kernel, enum config_mode mode, const char *filter,
	struct filter_program *ret, struct source_error *err);
