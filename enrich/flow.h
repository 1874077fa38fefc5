/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bounded table of connections: packets in, start, info and end events out.
 *
 * Open addressing with a seeded hash (peers choose the keys), one entry per 5-tuple and VLAN. TCP
 * state as Zeek's conn_state (flow-tcp.h), bytes from sequence numbers; UDP, SCTP and ICMP by idle
 * time. Time is the packets' own; the caller says how late it is by flow_table_expire(). The
 * table's clock is the latest time it was told and never goes back: timeouts pause while the
 * caller's clock is behind it. Memory is touched only as flows need it.
 *
 * START fires at a flow's first packet, END once; the times of one flow's events never decrease.
 * A connection seen on several interfaces (veth + bridge) is counted once: each side's packets only
 * on the interface that side was first seen on; ifindex 0 counts always. TCP flows that ended by
 * FIN or RST are remembered for FLOW_LINGER_NS: their stragglers are FLOW_PACKET_LATE, a SYN with
 * another sequence number opens a new flow at once.
 *
 * Accounting: every FLOW_PACKET_COUNTED packet is in exactly one flow_reported() result or in
 * flow_table_open_packets().
 *
 * Threads: one. Blocks: no. Logs: no. Errors: 0, -errno.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "enrich/decode.h"
#include "enrich/flow-slots.h"
#include "enrich/owner.h"
#include "shm/record.h"

#define FLOW_LINGER_NS    UINT64_C(5000000000)
#define FLOW_OVER_NS      UINT64_C(1000000000) /* with all_packets: FIN or RST to END */
#define FLOW_MAX_FLOWS    (1u << 28)
#define FLOW_UNREAPED_MAX 16384u /* see flow_table_reap() */

struct flow_key {
	uint8_t addr[2][16]; /* [0] originator, [1] responder; IPv4 as ::ffff:a.b.c.d */
	uint16_t port[2];    /* ICMP: type and code (echo: the request's, whoever was seen first) */
	uint16_t vlan;
	uint8_t proto;
	uint8_t family;
	uint8_t netns; /* where it was seen, as packet_head has it */
};

enum flow_side { FLOW_ORIG, FLOW_RESP };

/* How a TCP connection came to its end. */
enum flow_over {
	FLOW_OVER_NOT = 0,
	FLOW_OVER_RESET,
	FLOW_OVER_ORIG, /* both sent a FIN, the originator's was the later one */
	FLOW_OVER_RESP,
};

/* What the caller may read (and owner, user write). state, bytes, loss_window: as of the event. */
struct flow {
	struct flow_key key; /* originator first */
	uint64_t id;         /* unique per host and boot, never 0 */
	uint64_t start_ns;
	uint64_t last_ns; /* time of the latest packet, >= start_ns */
	uint64_t packets[2];
	uint64_t ip_bytes[2]; /* IP headers and what they carry */
	/*
	 * Payload bytes, valid with have_bytes. TCP: from sequence numbers, so known from FIN, RST
	 * or data on, or once the kernel was asked; modulo 2^32 if neither every packet is seen nor
	 * anybody can be asked (flow_table_on_figures()).
	 */
	uint64_t bytes[2];
	bool have_bytes[2];
	bool kernel_bytes; /* `bytes` are what the kernel answered, no packet went beyond */
	bool midstream;
	bool doubt; /* at END: bytes would be known but for how often 2^32 went by */
	bool loss_window;
	bool reported;                /* an info record went out */
	bool started;                 /* START went out */
	bool refused;                 /* the responder's host says that nobody has the port */
	uint8_t over;                 /* enum flow_over */
	uint64_t reported_packets[2]; /* in records up to now */
	uint64_t reported_bytes[2];
	uint32_t ifindex[2]; /* first interface each side was seen on */
	uint32_t rtt_ns;     /* SYN -> SYN-ACK; 0 = unknown (or the SYN was sent again) */
	uint32_t srtt_ns;    /* the kernel's latest answers; 0 = none */
	uint32_t retransmits;
	uint64_t cookie[2]; /* the caller's: of the socket that was asked, 0 = none yet */
	enum record_state state;
	enum record_end_reason end_reason; /* at END */
	/* NUL-padded and -terminated; a `^` in front: the first packet was the responder's. */
	char history[RECORD_HISTORY_MAX];
	struct owner owner[2];
	void *user; /* the caller's */
};

/*
 * OPEN comes only with start_after_ns, at the first packet; START then when that has passed, which
 * a flow that ends before never gets.
 */
enum flow_event {
	FLOW_EVENT_OPEN = 0,
	FLOW_EVENT_START = 1,
	FLOW_EVENT_INFO = 2,
	FLOW_EVENT_END = 3
};

/*
 * Called for each event, with its time; may call flow_reported() but nothing else of this table.
 * After END the flow is out of the table, but its memory stays valid until the next
 * flow_table_reap(), where `owner` and `user` are released through the free callback (also from
 * flow_table_free(), for every flow).
 */
typedef void (*flow_event_fn)(void *arg, struct flow *f, enum flow_event e, uint64_t t_ns);
typedef void (*flow_free_fn)(void *arg, struct flow *f);

struct flow_limits {
	uint64_t max_flows;      /* 1..FLOW_MAX_FLOWS; a full table ends its least recently used
				    (EVICTED) */
	uint64_t tcp_timeout_ns; /* idle, answered */
	uint64_t tcp_attempt_timeout_ns; /* idle, only one side seen */
	uint64_t udp_timeout_ns;         /* idle, everything that is not TCP */
	uint64_t start_after_ns;         /* START is told so late; 0 = at once */
	uint64_t first_info_ns;          /* from the START event; 0 = none */
	uint64_t active_timeout_ns;      /* from start or the info before; 0 = none */
	uint64_t hash_seed[2];
	uint64_t id_base; /* start of flow ids: unique per start of enrich */
	/*
	 * Every packet of TCP flows is seen: they count by themselves. END comes FLOW_OVER_NS after
	 * a FIN or RST ended it, so that the last acknowledgement is counted, too.
	 */
	bool all_packets;
};

struct flow_table;

/* Neither callback may be NULL. -EINVAL: a limit out of range; -ENOMEM. */
int flow_table_new(const struct flow_limits *l, flow_event_fn event, flow_free_fn free, void *arg,
	struct flow_table **ret);
/* Other timeouts, at once. False: one was or would be 0, it stays; the others have changed. */
bool flow_table_retime(struct flow_table *t, const struct flow_limits *l);
/* Fires no event. NULL is fine. */
void flow_table_free(struct flow_table *t);

/*
 * Asked before a packet joins a flow that has no other sign of a new connection (UDP): true = the
 * sender on @side is somebody else by now; the flow ends (OWNER_CHANGED) and the packet opens a
 * new one. NULL = never asked.
 */
typedef bool (*flow_changed_fn)(void *arg, struct flow *f, enum flow_side side, uint64_t t_ns);
void flow_table_on_changed(struct flow_table *t, flow_changed_fn changed);

/* What the kernel counted on a TCP connection. */
struct flow_figures {
	/* Payload each side has sent; with @slack it may be that much too high. */
	uint64_t bytes[2];
	uint64_t slack[2];
	bool have[2];
	uint32_t srtt_ns, retransmits;
};

/*
 * Asks the kernel about @f, open or (@ended) just over; false = no answer. Called for TCP flows:
 * before an info or end event, and as flow_table_traffic() finds it due.
 *
 * Where only SYN, FIN and RST are captured the sequence number of the last one tells the bytes but
 * for how often 2^32 went by. No connection moves more than all interfaces together: asked again
 * before that much traffic has passed, the kernel's answer settles it. If that failed, have_bytes
 * is false at the end.
 */
typedef bool (*flow_figures_fn)(void *arg, struct flow *f, bool ended, struct flow_figures *ret);
void flow_table_on_figures(struct flow_table *t, flow_figures_fn figures);

#define FLOW_TRAFFIC_DUE (UINT64_C(3) << 29) /* bytes after which a flow is asked about again */
#define FLOW_TRAFFIC_SURE                                                                          \
	(UINT64_C(3) << 30) /* and up to which no sequence number wraps unseen                     \
			     */

/* Bytes that all interfaces have carried so far, not less; never goes back. */
void flow_table_traffic(struct flow_table *t, uint64_t bytes);
/* Asks about at most @budget flows that are due. Returns how many it asked about. */
unsigned flow_table_ask_due(struct flow_table *t, unsigned budget);

/*
 * Told of every counted packet some of whose payload was captured, before the events it fires; may
 * set the flow's `user`. NULL = nobody is told.
 */
typedef void (*flow_payload_fn)(
	void *arg, struct flow *f, enum flow_side side, const struct decoded *d, uint64_t t_ns);
void flow_table_on_payload(struct flow_table *t, flow_payload_fn payload);

enum flow_packet {
	FLOW_PACKET_COUNTED,   /* in the flow's packet count */
	FLOW_PACKET_DUPLICATE, /* the same side was first seen on another interface */
	FLOW_PACKET_LATE,      /* belongs to a flow whose end was already reported */
	FLOW_PACKET_OTHER,     /* a protocol without flows */
};

/* Where a packet's flow is looked for. */
struct flow_place {
	struct flow_id id;
	uint64_t hash;
	bool swapped;
};

/*
 * Beforehand, for packets to come in a moment: where their flows are looked for comes into the
 * cache, so that one waits for memory while others are decoded.
 */
void flow_table_foresee(
	const struct flow_table *t, const struct decoded *d, struct flow_place *ret);

/* Feeds one packet that decoded as DECODE_OK. Events fire from inside, in order. */
enum flow_packet flow_table_packet(
	struct flow_table *t, const struct decoded *d, uint32_t ifindex, uint64_t t_ns);
/* The same for one that was foreseen. */
enum flow_packet flow_table_foreseen(struct flow_table *t, const struct decoded *d,
	const struct flow_place *place, uint32_t ifindex, uint64_t t_ns);

/*
 * The flow that the last FLOW_PACKET_COUNTED packet was counted in, and its sender. Valid until the
 * next call of anything but this.
 */
struct flow *flow_table_counted(const struct flow_table *t, enum flow_side *ret_side);

/*
 * @d, a datagram that was seen or not, was refused: unless its flow is answered all the same, it
 * ends REFUSED when it ends of itself.
 */
void flow_table_refused(struct flow_table *t, const struct decoded *d);

/* Fires the INFO and END events due at @now_ns. Cost is that of what is due, not of the table. */
void flow_table_expire(struct flow_table *t, uint64_t now_ns);
/* Whether any may be due at @now_ns. Cost: none, mostly. */
bool flow_table_is_due(struct flow_table *t, uint64_t now_ns);
/* When the next event may be due, UINT64_MAX = never. */
uint64_t flow_table_next_ns(const struct flow_table *t);
/* Ends every flow: reason FORCED. */
void flow_table_finish(struct flow_table *t, uint64_t now_ns);
/* Marks every open flow: packets were lost in this window. Cost: none. */
void flow_table_loss(struct flow_table *t);
/*
 * Frees flows ended since the last call. To be called after every batch of packets: if more than
 * FLOW_UNREAPED_MAX flows were started without it, starting the next one does it.
 */
void flow_table_reap(struct flow_table *t);

size_t flow_table_count(const struct flow_table *t);
uint64_t flow_table_evicted(const struct flow_table *t);
/* Packets counted in flows but not yet in `reported_packets`. */
uint64_t flow_table_open_packets(const struct flow_table *t);
/*
 * The caller made (or lost) a record for @f: what it has counted up to now is reported. Returns
 * how many packets that newly covers (the record's delta). Valid until @f is reaped.
 */
uint64_t flow_reported(struct flow_table *t, struct flow *f);
