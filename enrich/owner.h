/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which process owns this end of a connection: one question, answered by tiers (tap, sock_diag,
 * seed, procfs), one verdict.
 *
 * The state is "as of" a point in time: owners_advance() applies the kernel's events up to the
 * packet about to be looked at, so a reused port or pid is never mixed up. A wrong owner is worse
 * than none: every answer says method and confidence, or why it is unknown.
 *
 * Threads: one. Blocks: owners_settle() does netlink round trips (bounded). Logs: no.
 * Errors: 0, -errno.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "config/handover.h"
#include "enrich/sockets.h"
#include "shm/ledger.h"
#include "shm/record.h"
#include "shm/tap.h"

struct owners;
struct process; /* enrich/process.h; reference counted */

/* What is known of one end's owner. Zeroed = nothing asked yet. */
struct owner {
	struct process *process; /* a reference, or NULL */
	uint64_t cgroup_id;      /* of the socket or the acting task; 0 = unknown */
	uint64_t cookie;         /* socket cookie, 0 = unknown */
	uint64_t latency_ns;     /* packet -> known */
	uint64_t takeovers;      /* owners_replaced() has looked up to here */
	uint32_t losses;         /* of events, before it was asked for */
	uint32_t uid;            /* UINT32_MAX = unknown */
	enum record_method method;
	enum record_confidence confidence;
	enum record_unknown unknown;
	/* Of use to this module alone. */
	uint16_t pending; /* where its question waits, + 1 */
	struct socket_told told;
};

/* One end of a connection, seen from that end; what is compared as a whole is aligned. */
struct owner_query {
	uint8_t local_addr[16];
	uint8_t remote_addr[16];
	uint64_t t_ns;     /* steady time of the packet that made us ask */
	uint64_t start_ns; /* of the connection's first packet; 0 = t_ns */
	uint16_t local_port;
	uint16_t remote_port;
	uint8_t family; /* 4 or 6 as on the wire */
	uint8_t proto;
	uint8_t netns;  /* where it was seen: packet_head.netns, 0 = our own namespace */
	bool initiator; /* this end opened the connection (sent the SYN, the first datagram) */
	bool responder; /* the other end did, or would have: of two ends one says so */
	bool begun;     /* its first packet was seen: it is no older than start_ns */
	bool over;      /* TCP: both FINs were seen, or a reset */
	bool first;     /* and this end's FIN was the earlier one */
	bool patient;   /* nothing waits for the answer: it may come with a later batch's */
	bool again;     /* and whatever tells of the flow asks again */
};

/*
 * Before privileges are dropped: reads local addresses, opens netlink, sweeps /proc once (as
 * config says) for processes and their inet sockets.
 */
int owners_new(const struct config *config, struct ledger *ledger, struct owners **ret);
/* The same with what another process has opened and seen; @from is empty then. */
struct inherited;
int owners_new_from(const struct config *config, struct ledger *ledger, struct inherited *from,
	struct owners **ret);
#define OWNERS_SEED_DESCRIPTORS_MAX 1000000u /* about 3 s of looking at them */
/* The first of the ports that are given out automatically. */
uint16_t owners_first_port(void);
void owners_free(struct owners *o);

/* Which tiers are live, for the start-up log line and `enrich_tiers`: OWNERS_TIER_*. */
#define OWNERS_TIER_TAP       1u
#define OWNERS_TIER_SOCK_DIAG 2u
#define OWNERS_TIER_SEED      4u
#define OWNERS_TIER_PROCFS    8u
#define OWNERS_TIER_CONNECTOR 16u
unsigned owners_tiers(const struct owners *o);

/*
 * Takes the tap from the hand-over: owners_tap_begin() once per capture process, then one
 * owners_tap_cpus() per message; @fds become the tap's unless it fails. An earlier tap is drained
 * and closed.
 */
int owners_tap_begin(struct owners *o, const struct tap_layout *layout);
int owners_tap_cpus(struct owners *o, const struct tap_cpus *cpus, const int *fds);
/*
 * Takes the other network namespaces from the hand-over: owners_netns_begin() once per capture
 * process, then one owners_netns() per message, whose @fds become the owners' in any case.
 * owners_attached() at the end: processes of the seeding sweep are matched with their sockets, and
 * the tap's rings have room.
 */
void owners_netns_begin(struct owners *o);
void owners_netns(struct owners *o, const struct handover_netns *m, const int *fds);
void owners_attached(struct owners *o);
/*
 * Descriptors to poll so that a tap ring never overflows while no packet comes; *ret_n of them, of
 * which the first *ret_tap are the tap's.
 */
const int *owners_poll_fds(const struct owners *o, size_t *ret_n, size_t *ret_tap);

/*
 * What the tap should record instead of what was asked for last; false = that still holds. To be
 * passed on to capture, and told when that is done.
 */
bool owners_filter_wanted(const struct owners *o, struct tap_filter *ret);
void owners_filter_sent(struct owners *o, const struct tap_filter *f);

/* Marks all descendants of @pid (from now on and, where known, before) as IN_TREE. */
void owners_set_tree(struct owners *o, uint32_t pid);

/* Reads what the kernel has published and applies every event not younger than @t_ns. */
void owners_advance(struct owners *o, uint64_t t_ns);
/*
 * Without packets: applies everything older than @horizon_ns, reads netlink notifications, expires
 * caches. Call when a poll fd is ready or once a second.
 */
void owners_idle(struct owners *o, uint64_t horizon_ns);

/*
 * Instead when only the tap's were ready, a moment before @now_ns: a program has begun, and there
 * may be a thousand of them a second.
 */
void owners_tapped(struct owners *o, uint64_t now_ns, uint64_t horizon_ns);
/*
 * None of owners_poll_fds() was ready a moment before @now_ns. Addresses of other namespaces that
 * have changed are taken in by all three, here at most eleven times a second.
 */
void owners_polled(struct owners *o, uint64_t now_ns);
/*
 * Asks for the owner of one end. Answers at once into @answer when no system call is needed and
 * returns true; else queues the question (answer must stay valid until owners_settle()) and
 * returns false. Asked again while it waits, it is answered as of both times. An answer already
 * EXACT is never replaced by a weaker one.
 */
bool owners_ask(struct owners *o, const struct owner_query *q, struct owner *answer);
/* Whether a question waits for this answer. */
bool owners_is_pending(const struct owners *o, const struct owner *answer);
/*
 * Answers what is queued, in batches: all of it, or only what something waits for. Afterwards those
 * answers have method or unknown set.
 */
void owners_settle(struct owners *o, bool all);
/* Something else was done, or waited for, since the last question. */
void owners_paused(struct owners *o);
/*
 * The connection has come to its end, and nobody will ask about it again: what told for certain who
 * owned this end of it makes room.
 */
void owners_over(struct owners *o, const struct owner *answer);
/* Withdraws a question whose answer is about to go away. */
void owners_forget(struct owners *o, const struct owner *answer);

/*
 * Whether the end that @was owned belongs to another process by now: the kernel names one for the
 * same 5-tuple that neither shares the socket by kinship nor coexists with it. Datagram sockets
 * show no other sign of reuse. Makes no system call with a tap; nearly always it is one
 * comparison. After a loss of events nobody knows: then it may be another's, once. Without a tap it
 * is whoever sends after the end of @was's process.
 */
bool owners_replaced(struct owners *o, const struct owner_query *q, struct owner *was);
/*
 * The same where @was is not known, though that end has sent: whether a process is known at q's
 * time that was not at @before_ns, when it sent. What it was told of since is its own, not that.
 */
bool owners_appeared(
	struct owners *o, const struct owner_query *q, const struct owner *was, uint64_t before_ns);

/*
 * With enrich.tcp_info what the kernel counted on the connection of @q, now closed: of the socket
 * @cookie (owner.cookie), with 0 of the only one with this tuple that was closed since it began;
 * *ret_sure false: or shortly before, then packets must confirm it. NULL = not known. Valid until
 * the next call of anything here.
 */
struct diag_info;
const struct diag_info *owners_closed(
	struct owners *o, const struct owner_query *q, uint64_t cookie, bool *ret_sure);

/*
 * What the kernel has counted on the open connection of @q up to now: two system calls. With a
 * @cookie only of that socket. *ret_cookie: whose figures they are; bytes_received is without the
 * peer's FIN. false = no such socket here.
 */
bool owners_figures(struct owners *o, const struct owner_query *q, uint64_t cookie,
	struct diag_info *ret, uint64_t *ret_cookie);

/*
 * Asks what all interfaces of all namespaces have carried, see links_traffic(). *ret_interfaces:
 * how many there are, which is what it costs. false = not to be had.
 */
bool owners_traffic(struct owners *o, uint64_t *ret_bytes, size_t *ret_interfaces);

/*
 * Whether @addr, seen in namespace @netns (packet_head.netns), belongs to this host: to that
 * namespace or, if it does not, to another one that is known.
 */
bool owners_is_local_addr(struct owners *o, uint8_t netns, const uint8_t addr[16]);
/* Interface name by index, or NULL. */
const char *owners_ifname(struct owners *o, uint8_t netns, uint32_t ifindex);
/* What the namespace is called; "" for our own, NULL when it is no longer known. */
const char *owners_netns_name(const struct owners *o, uint8_t netns);

/* Whether the process behind @a descends from the tree's root. */
bool owner_in_tree(const struct owner *a);
/* Writes @a into one end of @r, which is all zero, with its strings (name, exe, args, ...). */
void owner_to_record(
	struct owners *o, const struct owner *a, struct record *r, struct record_process *ret);
/* Drops the reference and zeroes. */
void owner_deinit(struct owner *a);
