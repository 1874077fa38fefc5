/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which packets flowner looks at and how many bytes of each: the table of classes, and the one
 * filter program made of it.
 *
 * What the modes take (capture.mode), and what can be known from that:
 *
 * handshake: TCP segments with SYN, FIN or RST; all UDP and ICMP; DNS, and QUIC's long headers on
 * port 443, with their contents; SCTP's handshakes. Known: who connected to whom, when, whether it
 * was answered, how it ended, the bytes TCP carried (from its sequence numbers), names by DNS. Not
 * known: packets of TCP and SCTP, retransmissions, data in the history, TLS's server name, DNS over
 * TCP.
 *
 * handshake+tls: also TCP segments that begin with a TLS record (22, 3) that begins with a
 * ClientHello (1), on any port: one a connection, its client's. Known: server name and ALPN, if
 * they are in that segment; what a sender leaves to its card to split is seen whole, of a hello
 * received in two segments only the first. Not known: the encrypted one (of ECH the public name is
 * seen); TLS that begins inside a segment, as after STARTTLS it may.
 *
 * headers: every TCP, UDP, ICMP and SCTP packet up to its headers, and the contents handshake+tls
 * takes. Known: also the packets of all protocols, exactly, and the whole history. Not known:
 * other contents.
 *
 * In no mode: QUIC's server name, which is encrypted and not deciphered here; later fragments,
 * which have no ports; packets behind three and more VLAN tags.
 *
 * Order of the program: [user's expression] [classes] [a VLAN tag?] [classes behind one tag]
 * [a second tag?] [classes behind two]. Inside the kernel one tag is already out of the way, so
 * the same program covers one tag more there. Where there is no Ethernet type (RAW, NULL) it ends
 * after the first classes.
 *
 * Threads: any. Blocks: no. Logs: no. The compiler is libpcap, called through a function pointer.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/filter.h"
#include "config/config.h"

#define PROGRAM_SNAPLEN_MAX 2000u /* longest snap length of a class, bytes */

struct program_class {
	const char *name;
	const char *expression; /* pcap-filter(7), for IP packets */
	/* Bytes from the start of the link header; 0 = a gate: what does not match is rejected. */
	uint32_t snaplen;
	const char *words; /* what it takes and why, for people */
};

/* The classes of a mode in the order they are tried. */
const struct program_class *program_classes(enum config_mode mode, size_t *ret_n);
/* The longest snap length of a mode, bytes. */
uint32_t program_snaplen(enum config_mode mode);

/* Link header of the source. Class expressions are compiled for Ethernet or RAW, and moved to it.
 */
enum program_link { PROGRAM_ETHERNET, PROGRAM_SLL, PROGRAM_SLL2, PROGRAM_RAW, PROGRAM_NULL };

/* What an expression can be compiled for. */
enum program_base { PROGRAM_BASE_SOURCE, PROGRAM_BASE_ETHERNET, PROGRAM_BASE_RAW, PROGRAM_BASES };

struct program_spec {
	enum config_mode mode;
	enum program_link link;
	const char *user; /* user's expression, NULL or "" = everything */
	bool cooked;      /* for the filter of a SOCK_DGRAM packet socket */
	uint32_t once_on; /* ifindex of loopback, 0 = no such rule; in the kernel only */
	/* Compiles @expression. 0; -EINVAL: libpcap's message is kept; -ENOMEM. */
	int (*compile)(void *arg, enum program_base base, const char *expression,
		struct filter_program *ret);
	void *arg;
};

/* Positive results of program_build(). */
enum {
	PROGRAM_E_USER = 1,   /* the user's expression does not compile */
	PROGRAM_E_COOKED = 2, /* it reads header bytes the kernel does not show on this source */
};

#define PROGRAM_PARTS_MAX 32u
#define PROGRAM_TAGS_MAX  2u /* VLAN tags in the bytes a program sees */

enum program_part_kind {
	PROGRAM_ONCE, /* the gate against the loopback interface's second copies */
	PROGRAM_USER, /* the user's expression */
	PROGRAM_CLASS,
	PROGRAM_TAG, /* whether there is one more VLAN tag */
};

/* Instructions [at, end) of a program. */
struct program_part {
	enum program_part_kind kind;
	unsigned tags; /* VLAN tags it looks behind; TAG: or for */
	size_t class;  /* CLASS: index in program_classes() */
	size_t at, end;
};

/* The parts of a program in their order; one instruction that rejects is behind the last. */
struct program_layout {
	struct program_part part[PROGRAM_PARTS_MAX];
	size_t n;
};

/* Free @ret with filter_deinit(). 0, PROGRAM_E_*, -EINVAL, -E2BIG, -ENOMEM. */
int program_build(const struct program_spec *spec, struct filter_program *ret,
	struct program_layout *ret_layout);
