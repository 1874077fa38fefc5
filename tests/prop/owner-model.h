/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model of processes and sockets that writes the events a kernel would, for prop-owner.c: it
 * knows who ever held what.
 *
 * Events pass the filters that capture sets, in the order and context that they have there. Sockets
 * stay in the namespace they were made in, and processes that hold some do, too.
 */
#pragma once

#include "owner-world.h"

#define PIDS    16u
#define IDENTS  4096u
#define SOCKS   48u
#define SETS    8192u
#define HELD    16u /* processes that ever held one socket */
#define PACKETS 256u
#define FLOWS   256u
#define SPACES  3u
#define SOFTIRQ 0x10

/* A process: its place in the list is its identity. */
struct ident {
	uint32_t pid;
	bool seeded; /* known from the sweep, not from its fork */
	int space;
	uint64_t start_ns, exit_ns;
};

/* Who ever held a socket. */
struct set {
	unsigned n;
	unsigned ident[HELD];
};

struct sock {
	bool used, v6, listening, connected;
	uint8_t proto;
	int space;
	uint8_t local[16], remote[16];
	uint16_t lport, rport;
	uint64_t sk; /* the kernel's address of it */
	unsigned n_holders, holder[HELD];
	struct set *set;
	int flow; /* -1 = none seen by us */
	int peer; /* -1 = gone */
};

/* What the flow table would know. */
struct flow_end {
	struct owner owner;
	struct set *exact, *probable;
};

struct flow {
	bool used;
	uint8_t proto, family;
	uint8_t addr[2][16];
	uint16_t port[2];
	uint64_t start_ns, last_ns;
	struct flow_end end[2];
};

enum what { START, END, DATAGRAM };

struct packet {
	enum what what;
	uint64_t t_ns;
	int flow; /* START, END */
	uint8_t family;
	uint8_t addr[2][16]; /* from, to */
	uint16_t port[2];
	struct set *set[2];
};

extern struct world w;
extern struct ident ident[IDENTS];
extern struct sock sock[SOCKS];
extern struct set sets[SETS];
extern struct flow flow[FLOWS];
extern struct packet packet[PACKETS];
extern unsigned n_ident, n_sets, n_packets, n_alive;
extern unsigned alive[PIDS];
extern bool have_v6;
extern uint64_t netns[SPACES]; /* of each, the host's first */
extern uint64_t random_state;

/* One of 0 to @below - 1. */
uint32_t model_rnd(uint32_t below);
/* NULL = the run has used them all. */
struct set *model_new_set(void);
void model_put_in(struct set *s, unsigned who);
/* Writes w.b into the ring of some CPU. */
void model_put(void);
void model_pass_time(void);
unsigned model_any_process(void);
bool model_holds(const struct sock *s, unsigned who);
bool model_hold(struct sock *s, unsigned who);
/* What may happen in one step. */
void model_fork(void);
void model_setns(void);
void model_exit(void);
void model_let_go(struct sock *s, unsigned who);
void model_listen(void);
void model_connect(void);
void model_udp(void);
void model_something(void);
