/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of sock_diag requests and replies. Pure: any reply is answered, reads stay inside it.
 *
 * Sources: sock_diag(7), linux/inet_diag.h. What the manual does not say: an exact lookup of UDP
 * wants source and destination swapped, and a TCP tuple that does not exist is answered with the
 * listener of its port; so every reply is compared with what was asked.
 *
 * Threads: any. Blocks: no. Logs: no.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "enrich/sockets.h"

#define DIAG_REQUEST_SIZE 72u /* bytes of one request */

/*
 * What the kernel counted on a TCP connection, as it stands in struct tcp_info. Bytes are sequence
 * numbers: bytes_acked has one more for a FIN that was acknowledged and, of the end that connected,
 * one for its SYN; bytes_received one for the peer's FIN.
 */
struct diag_info {
	uint64_t bytes_acked, bytes_received;
	uint64_t bytes_sent; /* payload without retransmissions: exact; 0 before Linux 4.19 */
	uint32_t segs_out, segs_in;
	uint32_t rtt_us; /* smoothed; 0 = unknown */
	uint32_t retransmits;
};

/* What a reply says about one socket. */
struct diag_socket {
	struct socket_key key; /* proto is in messages of closed sockets only, else 0 */
	uint8_t state;         /* kernel's TCP_* */
	bool v6only;
	uint32_t uid;   /* UINT32_MAX = unknown */
	uint32_t inode; /* 0 = no process holds it (any more, or not yet) */
	uint32_t ifindex;
	uint64_t cookie;
	uint64_t cgroup_id; /* 0 = not told */
	bool have_info;
	struct diag_info info;
};

enum diag_kind { DIAG_SOCKET, DIAG_ERROR, DIAG_DONE, DIAG_OTHER };

struct diag_message {
	enum diag_kind kind;
	uint32_t seq;
	int error; /* -errno of DIAG_ERROR */
	struct diag_socket socket;
};

enum {
	DIAG_E_END = 1,   /* no message left */
	DIAG_E_MALFORMED, /* the rest makes no sense */
};

/* Appends an exact lookup of @k as the kernel wants it. @buf has DIAG_REQUEST_SIZE bytes. */
size_t diag_request(void *buf, const struct socket_key *k, uint32_t seq);
/* Turns a request made by it into one that is answered with figures (struct diag_info) as well. */
void diag_request_info(void *request);
/* Appends a dump of all sockets of @family (AF_*) and @proto in @states (bit per TCP_*). */
size_t diag_dump_request(void *buf, uint8_t family, uint8_t proto, uint32_t states, uint32_t seq);

/* Takes the next message at *@offset of @len received bytes. 0; positive DIAG_E_*. */
int diag_next(const void *bytes, size_t len, size_t *offset, struct diag_message *ret);

enum diag_match {
	DIAG_MATCH_NONE,     /* some other socket */
	DIAG_MATCH_EXACT,    /* this connection's own */
	DIAG_MATCH_BOUND,    /* UDP: the socket bound to the local port, not connected */
	DIAG_MATCH_LISTENER, /* TCP: the listener of the local port */
};

/* How the socket in a reply relates to the tuple that was asked for. */
enum diag_match diag_compare(const struct socket_key *asked, const struct diag_socket *s);
