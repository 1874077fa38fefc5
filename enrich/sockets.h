/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which process is behind which socket, as the kernel's events and the seeding sweep told: tables
 * of connections, listeners, bound UDP ports and sockets still connecting.
 *
 * Every table is a bounded queue with a hash over it: the oldest entry makes room. Several entries
 * of one key live side by side, each with its time, and lookups are "as of" the packet. Addresses
 * are 16 bytes, IPv4 as ::ffff:a.b.c.d, so that a v4-mapped socket needs no rule of its own. Pure.
 *
 * Network namespaces: an address of the namespace a packet was seen in (scope.local) belongs to it,
 * and only its sockets may claim it; any other address can only be claimed by a socket of another
 * namespace, not of one known to lack it, and not when two of them could. By a listener's wildcard
 * only where the one namespace that has the address is known.
 *
 * Threads: one. Blocks: no. Logs: no. Errors: 0, -errno.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "enrich/process.h"
#include "shm/record.h"

struct sockets_limits {
	size_t connections;
	size_t ports; /* bound UDP ports */
	size_t listeners;
	size_t connecting;
};

#define SOCKETS_LIMITS_DEFAULT                                                                     \
	{                                                                                          \
		.connections = 65536, .ports = 16384, .listeners = 16384, .connecting = 4096       \
	}

struct socket_key {
	uint8_t proto;
	uint8_t local_addr[16]; /* all zero bytes or ::ffff:0.0.0.0 = any */
	uint8_t remote_addr[16];
	uint8_t reserved; /* 0: keys are compared as bytes */
	uint16_t local_port;
	uint16_t remote_port;
};

_Static_assert(sizeof(struct socket_key) == 38, "socket_key has no padding");

/*
 * One per remembered socket, so it has no holes but the last three bytes; in the order of use: two
 * cache lines hold it, a look-up reads the first.
 */
struct socket_claim {
	struct socket_key key;
	bool shared;               /* several processes hold the socket */
	bool v6only;               /* listener that takes no IPv4 */
	enum record_method method; /* TAP_*, SEED */
	uint32_t losses;           /* the table's own: of how many losses of events it knows */
	uint64_t t_ns;             /* from when on it holds */
	struct process *process;   /* a reference held by the table */
	uint64_t seen_ns;          /* last time it was told again */
	uint64_t end_ns;           /* until when; 0 = not ended as far as known */
	uint64_t netns;            /* 0 = unknown */
	uint64_t cgroup_id;
	uint64_t cookie; /* of a socket of the sweep; 0 = unknown */
	uint64_t number; /* the kernel's address of the socket */
	uint32_t told;   /* the table's own: how often it was told, for sockets_raw() */
	uint32_t spent;  /* of these, how many have led to a packet */
	uint32_t unsure; /* packets that one of these, or of others', has led to */
	bool given;      /* the table's own: in a place that was given back */
};

_Static_assert(sizeof(struct socket_claim) == 128, "two cache lines");

struct sockets;

int sockets_new(const struct sockets_limits *l, const uint64_t seed[2], struct sockets **ret);
void sockets_free(struct sockets *s);
/* Entries that were dropped for room while their process still ran. */
uint64_t sockets_evicted(const struct sockets *s);

/* Counts UDP tuples that passed, or may have passed, from one process to another. */
uint64_t sockets_takeovers(const struct sockets *s);

/*
 * Each copies @c and takes its own reference on c->process. Out of memory does not happen: the
 * tables are allocated at their full size.
 */
void sockets_add_connection(struct sockets *s, const struct socket_claim *c);
/*
 * One with @k comes in a moment: where it will be looked for comes into the cache. Only k's ports
 * and remote end matter here.
 */
void sockets_foresee(const struct sockets *s, const struct socket_key *k);
/* A little later: what is there; @repeats: it may be the same claim once more, which is read. */
void sockets_foresee_next(const struct sockets *s, const struct socket_key *k, bool repeats);
void sockets_add_port(struct sockets *s, const struct socket_claim *c);
void sockets_add_listener(struct sockets *s, const struct socket_claim *c);
/* Whether somebody was told to listen at @port, wherever, and nothing was lost since. */
bool sockets_listened(const struct sockets *s, uint16_t port);
/* An IPv6 connect whose own port is not known yet; found again by c->number. */
void sockets_add_connecting(struct sockets *s, const struct socket_claim *c);

/*
 * Events were lost: whatever was told before may have been contradicted since. Sockets that were
 * connecting are as good as forgotten.
 */
void sockets_lost(struct sockets *s);
/* Whether nothing was lost since @c was told, or last told again. */
bool sockets_certain(const struct sockets *s, const struct socket_claim *c);

/* Where a claim was, and that it was not told again since. */
struct socket_told {
	uint64_t seen_ns;
	uint32_t place; /* 0 = none that could make room */
};

struct socket_told sockets_told(const struct sockets *s, const struct socket_claim *c);
/*
 * The connection about which @told, a claim of @p's, was the answer is over, and nobody will ask
 * again: it makes room for the next one, unless it did so already or was told again. What was told
 * of its tuple before goes with it, or a late packet would be taken for an earlier connection's.
 */
void sockets_over(struct sockets *s, const struct socket_told *told, const struct process *p);

/*
 * The socket at @number, bound to k's local end in @netns (0 = unknown), left LISTEN; one of the
 * sweep, whose number is not known, is told by the latter. Of connections that began earlier it
 * stays the listener.
 */
void sockets_end_listener(struct sockets *s, uint64_t number, const struct socket_key *k,
	uint64_t netns, uint64_t t_ns);
/*
 * Its port became known: takes the latest connect of the socket at @number to k's remote end, begun
 * by @t_ns, out of the table into the connections, with k's local end. False = not known.
 */
bool sockets_connected(
	struct sockets *s, uint64_t number, const struct socket_key *k, uint64_t t_ns);

/* Where a packet was seen, and what its local address is there. */
struct socket_scope {
	uint64_t netns; /* inode of the namespace it was seen in */
	bool initial;   /* that is our own: a claim that does not say its namespace counts too */
	bool local;     /* the key's local address is one of that namespace */
	uint64_t
		owner; /* not local: the only other namespace known to have it; 0 = none, several */
	/* Whether @netns has the address: 1 yes, 0 no, -1 not known. NULL = nothing is known. */
	int (*holds)(const void *arg, uint64_t netns, const uint8_t addr[16]);
	const void *arg;
	bool *ambiguous; /* set when a lookup finds several that could be meant; may be NULL */
};

/*
 * Lookups; NULL = nobody, or more than one could be meant. The answer is valid until the next add.
 * @from_ns: when the connection began. Claims by a close count only from then on (an earlier one
 * was about a former connection of the same tuple), all others up to @t_ns.
 */
const struct socket_claim *sockets_connection(const struct sockets *s, const struct socket_key *k,
	struct socket_scope scope, uint64_t from_ns, uint64_t t_ns);
const struct socket_claim *sockets_port(const struct sockets *s, const struct socket_key *k,
	struct socket_scope scope, uint64_t t_ns);
/* The process that has the UDP port k->local_port in any namespace; NULL also when several do. */
const struct socket_claim *sockets_port_sender(const struct sockets *s, uint16_t port);
/*
 * Who sent to k's remote end without a port at most @window_ns before @t_ns: the latest;
 * *@ret_several when more than one did.
 */
const struct socket_claim *sockets_portless(const struct sockets *s, const struct socket_key *k,
	struct socket_scope scope, uint64_t t_ns, uint64_t window_ns, bool *ret_several);
/*
 * The same for a packet from a raw socket of k's protocol or of none, the first of its flow. Each
 * time it is told stands for one packet, so who has sent as many did not send this one.
 */
const struct socket_claim *sockets_raw(struct sockets *s, const struct socket_key *k,
	struct socket_scope scope, uint64_t t_ns, uint64_t window_ns, bool *ret_several);
/* NULL also when the process that began to listen is gone, and left the socket to another. */
const struct socket_claim *sockets_listener(const struct sockets *s, const struct socket_key *k,
	struct socket_scope scope, uint64_t t_ns);
/* By the kernel's address of the socket: its latest connect, if to k's remote end by @t_ns. */
const struct socket_claim *sockets_connecting(const struct sockets *s, uint64_t number,
	const struct socket_key *k, struct socket_scope scope, uint64_t t_ns);
/*
 * The connect to k's remote end from @since_ns to @t_ns that was said to have k's port; else the
 * latest, if no other process that lives had begun one before @t_ns, however long before, that has
 * no port and of which it is not known that it has ended.
 */
const struct socket_claim *sockets_connecting_alone(const struct sockets *s,
	const struct socket_key *k, struct socket_scope scope, uint64_t since_ns, uint64_t t_ns);
/* Says so of @c, if it is one still connecting. */
void sockets_connecting_from(struct sockets *s, const struct socket_claim *c, uint16_t port);
/* Whether anybody began to connect to k's remote end after @since_ns, up to @t_ns. */
bool sockets_connecting_since(const struct sockets *s, const struct socket_key *k,
	struct socket_scope scope, uint64_t since_ns, uint64_t t_ns);
