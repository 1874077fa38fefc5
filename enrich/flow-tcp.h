/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One TCP connection's state from its packets: Zeek's conn_state and history, bytes from sequence
 * numbers. Works the same whether every packet is seen or only those with SYN, FIN or RST.
 *
 * Answers that the kernel itself would not accept (a RST or SYN-ACK that does not acknowledge the
 * SYN, RFC 9293 3.10.7.3) are counted by the caller but change nothing.
 *
 * Threads: one. Blocks: no. Logs: no. Errors: none.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "enrich/decode.h"
#include "enrich/flow.h"

enum flow_tcp_end {
	FLOW_TCP_INACTIVE = 0, /* nothing seen */
	FLOW_TCP_SYN_SENT,
	FLOW_TCP_PARTIAL, /* seen without its SYN */
	FLOW_TCP_ESTABLISHED,
	FLOW_TCP_CLOSED, /* FIN */
	FLOW_TCP_RESET,
};

#define FLOW_TCP_HAVE_ISN   0x01
#define FLOW_TCP_HAVE_SENT  0x02
#define FLOW_TCP_HAVE_ACKED 0x04
#define FLOW_TCP_SYN_AGAIN  0x08 /* retransmitted: no round-trip time */
#define FLOW_TCP_HAVE_FIN   0x10
#define FLOW_TCP_KERNEL     0x20 /* `sent` is the kernel's count, no packet went beyond it */

struct flow_tcp_side {
	uint64_t sent;  /* payload bytes by its own sequence numbers */
	uint64_t acked; /* and by the peer's acknowledgements */
	uint64_t syn_ns;
	uint32_t isn;
	uint32_t fin; /* sequence number of its FIN */
	uint32_t syn_payload;
	uint32_t h_seq, r_seq; /* of the latest SYN-ACK and RST in the history */
	uint8_t state;         /* enum flow_tcp_end */
	uint8_t flags;
	uint8_t letters; /* history letters it already has */
};

struct flow_tcp {
	struct flow_tcp_side side[2];
	bool answered; /* a SYN-ACK was accepted */
};

/* Whether @d (not in @t's packets yet) opens another connection on the same 5-tuple. */
bool flow_tcp_is_new(const struct flow_tcp *t, enum flow_side side, const struct decoded *d);

/* Applies @d; true: the connection is over (both FINs, or a RST). Writes history, rtt, midstream.
 */
bool flow_tcp_packet(struct flow_tcp *t, struct flow *f, enum flow_side side,
	const struct decoded *d, uint64_t t_ns);

/* Whether both sides were heard: the long timeout applies. */
bool flow_tcp_is_answered(const struct flow_tcp *t);

/*
 * What the kernel counted, not later than now: sequence numbers have 32 bits, from here on they
 * count above this.
 */
void flow_tcp_figures(struct flow_tcp *t, const struct flow_figures *k);

/*
 * Sets state, bytes, have_bytes and kernel_bytes of @f as of now. @doubt: sequence numbers may have
 * gone round unseen.
 *
 * A side's bytes are the payload it sent: up to its FIN, else up to the highest sequence number
 * seen from it or, once there is a reset, acknowledged to it. What it sent beyond and nobody
 * acknowledged is not known.
 */
void flow_tcp_settle(const struct flow_tcp *t, bool doubt, struct flow *f);

/* Appends @c (lower case) to the history, in upper case for the originator, if there is room. */
void flow_history(struct flow *f, enum flow_side side, char c);
