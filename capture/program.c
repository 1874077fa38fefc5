/* SPDX-License-Identifier: Apache-2.0 */
/* Which packets flowner looks at and how many bytes of each. */
#include "capture/program.h"

#include <errno.h>
#include <stdio.h>

/*
 * `tcp[...]` never matches IPv6, hence the ip6[] forms: next header at 6, TCP flags at 40 + 13.
 * The first class that accepts decides: narrow ones with more bytes stand before broad ones. A
 * non-first fragment has no ports and is not wanted; a load it does not have would also end the
 * program, so `len`-dependent bytes are read behind a test that they are there.
 */
#define FIRST_FRAGMENT "ip[6:2] & 0x1fff == 0"

#define TCP_EDGE                                                                                   \
	"(ip and tcp[tcpflags] & (tcp-syn|tcp-fin|tcp-rst) != 0)"                                  \
	" or (ip6[6] == 6 and ip6[53] & 7 != 0)"
/* After the classes of TCP: the masses of other segments are done with. */
#define TCP_NO_MORE "not (ip and tcp or ip6[6] == 6)"
#define TCP         "(ip and tcp and " FIRST_FRAGMENT ") or ip6[6] == 6"

#define DNS "udp port 53"
#define QUIC                                                                                       \
	"(ip and udp port 443 and udp[4:2] > 8 and udp[8] & 0x80 != 0)"                            \
	" or (ip6[6] == 17 and (ip6[40:2] == 443 or ip6[42:2] == 443)"                             \
	" and ip6[44:2] > 8 and ip6[48] & 0x80 != 0)"
#define UDP  "(ip and udp and " FIRST_FRAGMENT ") or ip6[6] == 17"
#define ICMP "(ip and icmp and " FIRST_FRAGMENT ") or ip6[6] == 58"

/* INIT, INIT ACK, ABORT, SHUTDOWN, SHUTDOWN ACK, SHUTDOWN COMPLETE. */
#define CHUNK(at)                                                                                  \
	"(" at " == 1 or " at " == 2 or " at " == 6 or " at " == 7 or " at " == 8 or " at " == "   \
	"14)"
#define SCTP_EDGE                                                                                  \
	"(ip and sctp and " FIRST_FRAGMENT                                                         \
	" and " CHUNK("sctp[12]") ")"                                                              \
				  " or (ip6[6] == 132 and " CHUNK("ip6[52]") ")"
#define SCTP "(ip and sctp and " FIRST_FRAGMENT ") or ip6[6] == 132"

/* Rare enough to pass whole chains of them: hop-by-hop, routing, fragment, AH, options. */
#define IP6_EXT "ip6[6] == 0 or ip6[6] == 43 or ip6[6] == 44 or ip6[6] == 51 or ip6[6] == 60"

/*
 * A TLS record of type handshake, version 3.x (RFC 8446, 5.1), then the type ClientHello. The load
 * behind the end of a segment without data rejects it: where that is wanted (TLS_SURE), its length
 * is asked for first.
 */
#define V4_DATA  "((tcp[12] & 0xf0) >> 2)"
#define V6_DATA  "(40 + ((ip6[52] & 0xf0) >> 2))"
#define HELLO_V4 "tcp[" V4_DATA ":2] == 0x1603 and tcp[5 + " V4_DATA "] == 1"
#define HELLO_V6 "ip6[" V6_DATA ":2] == 0x1603 and ip6[5 + " V6_DATA "] == 1"
#define TLS      "(ip and " HELLO_V4 ") or (ip6[6] == 6 and " HELLO_V6 ")"
#define TLS_SURE                                                                                   \
	"(ip and tcp and " FIRST_FRAGMENT " and ip[2:2] > 5 + ((ip[0] & 0xf) << 2) + " V4_DATA     \
	" and " HELLO_V4 ") or (ip6[6] == 6 and 35 + ip6[4:2] > " V6_DATA " and " HELLO_V6 ")"

static const struct program_class handshake[] = {
	{"tcp", TCP_EDGE, 128, "TCP with SYN, FIN or RST: connect, close, abort"},
	{"tcp-no-more", TCP_NO_MORE, 0, "rejects all other TCP"},
	{"dns", DNS, 512, "UDP from or to port 53: names"},
	{"quic", QUIC, 1440, "UDP port 443 with a QUIC long header: handshakes"},
	{"udp", UDP, 96, "all other UDP: its ends and lengths"},
	{"icmp", ICMP, 128, "ICMP and ICMPv6: errors, echo"},
	{"sctp", SCTP_EDGE, 128, "SCTP INIT, ABORT and SHUTDOWN"},
	{"ip6ext", IP6_EXT, 256, "IPv6 extension headers, fragments among them"},
};

static const struct program_class handshake_tls[] = {
	{"tcp", TCP_EDGE, 128, "TCP with SYN, FIN or RST: connect, close, abort"},
	{"tls", TLS, PROGRAM_SNAPLEN_MAX, "TCP that begins a TLS ClientHello: server name"},
	{"tcp-no-more", TCP_NO_MORE, 0, "rejects all other TCP"},
	{"dns", DNS, 512, "UDP from or to port 53: names"},
	{"quic", QUIC, 1440, "UDP port 443 with a QUIC long header: handshakes"},
	{"udp", UDP, 96, "all other UDP: its ends and lengths"},
	{"icmp", ICMP, 128, "ICMP and ICMPv6: errors, echo"},
	{"sctp", SCTP_EDGE, 128, "SCTP INIT, ABORT and SHUTDOWN"},
	{"ip6ext", IP6_EXT, 256, "IPv6 extension headers, fragments among them"},
};

static const struct program_class headers[] = {
	{"tls", TLS_SURE, PROGRAM_SNAPLEN_MAX, "TCP that begins a TLS ClientHello: server name"},
	{"tcp", TCP, 128, "every TCP segment up to its headers"},
	{"dns", DNS, 512, "UDP from or to port 53: names"},
	{"quic", QUIC, 1440, "UDP port 443 with a QUIC long header: handshakes"},
	{"udp", UDP, 96, "all other UDP: its ends and lengths"},
	{"icmp", ICMP, 128, "ICMP and ICMPv6: errors, echo"},
	{"sctp", SCTP, 128, "every SCTP packet up to its headers"},
	{"ip6ext", IP6_EXT, 256, "IPv6 extension headers, fragments among them"},
};

#define COUNT(a) (sizeof(a) / sizeof(*(a)))
static const struct {
	const struct program_class *class;
	size_t n;
} modes[] = {
	[CONFIG_MODE_HANDSHAKE] = {handshake, COUNT(handshake)},
	[CONFIG_MODE_HANDSHAKE_TLS] = {handshake_tls, COUNT(handshake_tls)},
	[CONFIG_MODE_HEADERS] = {headers, COUNT(headers)},
};

#define CLASSES_MAX COUNT(handshake_tls)

_Static_assert(CLASSES_MAX >= COUNT(handshake) && CLASSES_MAX >= COUNT(headers), "parts");
_Static_assert(
	2u + CLASSES_MAX + PROGRAM_TAGS_MAX * (1u + CLASSES_MAX) <= PROGRAM_PARTS_MAX, "parts");

const struct program_class *program_classes(enum config_mode mode, size_t *ret_n)
{
	*ret_n = modes[mode].n;
	return modes[mode].class;
}

uint32_t program_snaplen(enum config_mode mode)
{
	uint32_t longest = 0;

	for (size_t i = 0; i < modes[mode].n; i++)
		if (modes[mode].class[i].snaplen > longest)
			longest = modes[mode].class[i].snaplen;
	return longest;
}

struct parts {
	struct filter_part part[PROGRAM_PARTS_MAX];
	struct program_part is[PROGRAM_PARTS_MAX]; /* what each is */
	size_t n;
};

static const enum filter_frame frames[] = {
	[PROGRAM_ETHERNET] = FILTER_ETHERNET,
	[PROGRAM_SLL] = FILTER_SLL,
	[PROGRAM_SLL2] = FILTER_SLL2,
	[PROGRAM_RAW] = FILTER_RAW,
	[PROGRAM_NULL] = FILTER_NULL,
};

static bool has_ethertype(const struct program_spec *spec)
{
	return spec->link != PROGRAM_RAW && spec->link != PROGRAM_NULL;
}

/* Compiles one of our own expressions and appends it. */
static int parts_add(struct parts *p, const struct program_spec *spec, struct program_part is,
	uint32_t snaplen, const char *expression)
{
	bool ethernet = has_ethertype(spec);
	struct filter_part *part = &p->part[p->n];
	int r = spec->compile(spec->arg, ethernet ? PROGRAM_BASE_ETHERNET : PROGRAM_BASE_RAW,
		expression, &part->program);

	if (r < 0)
		return r;
	part->kind = snaplen ? FILTER_CLASS : FILTER_GATE;
	part->snaplen = snaplen;
	p->is[p->n] = is;
	p->n++;
	return filter_move(
		&part->program, ethernet ? FILTER_ETHERNET : FILTER_RAW, frames[spec->link]);
}

/*
 * Appends the user's expression, compiled for the source itself, so that it may ask for what only
 * that has: addresses, an interface, VLAN tags. Except where libpcap knows IPv6 by this host's
 * address family number alone, while files come from others.
 */
static int parts_add_user(struct parts *p, const struct program_spec *spec)
{
	bool source = has_ethertype(spec);
	struct filter_part *part = &p->part[p->n];
	int r = spec->compile(spec->arg, source ? PROGRAM_BASE_SOURCE : PROGRAM_BASE_RAW,
		spec->user, &part->program);

	if (r < 0)
		return r == -EINVAL ? PROGRAM_E_USER : r;
	part->kind = FILTER_GATE;
	p->is[p->n++].kind = PROGRAM_USER;
	return source ? 0 : filter_move(&part->program, FILTER_RAW, frames[spec->link]);
}

static int parts_add_classes(
	struct parts *p, const struct program_spec *spec, const char *behind, unsigned tags)
{
	size_t n_classes;
	const struct program_class *classes = program_classes(spec->mode, &n_classes);

	for (size_t i = 0; i < n_classes; i++) {
		const struct program_part is = {PROGRAM_CLASS, tags, i};
		char expression[1024];
		int n = snprintf(
			expression, sizeof(expression), "%s(%s)", behind, classes[i].expression);
		int r;

		if (n < 0 || (size_t)n >= sizeof(expression))
			return -EINVAL;
		r = parts_add(p, spec, is, classes[i].snaplen, expression);
		if (r < 0)
			return r;
	}
	return 0;
}

static int parts_fill(struct parts *p, const struct program_spec *spec)
{
	static const struct {
		const char *gate, *behind;
	} tags[PROGRAM_TAGS_MAX] = {
		{"vlan", "vlan and "},
		{"vlan and vlan", "vlan and vlan and "},
	};
	int r;

	if (spec->once_on) {
		p->part[p->n].kind = FILTER_GATE;
		r = filter_once_on(spec->once_on, &p->part[p->n].program);
		if (r < 0)
			return r;
		p->is[p->n++].kind = PROGRAM_ONCE;
	}
	if (spec->user && *spec->user) {
		r = parts_add_user(p, spec);
		if (r)
			return r;
	}
	r = parts_add_classes(p, spec, "", 0);
	for (unsigned i = 0; r == 0 && has_ethertype(spec) && i < PROGRAM_TAGS_MAX; i++) {
		r = parts_add(
			p, spec, (struct program_part){PROGRAM_TAG, i + 1, 0}, 0, tags[i].gate);
		if (r == 0)
			r = parts_add_classes(p, spec, tags[i].behind, i + 1);
	}
	return r;
}

static void parts_tell(const struct parts *p, struct program_layout *ret)
{
	size_t at = 0;

	for (size_t i = 0; i < p->n; i++) {
		ret->part[i] = p->is[i];
		ret->part[i].at = at;
		at = ret->part[i].end = at + p->part[i].program.n;
	}
	ret->n = p->n;
}

int program_build(const struct program_spec *spec, struct filter_program *ret,
	struct program_layout *ret_layout)
{
	struct filter_program program = {0};
	struct parts parts = {.n = 0};
	int r = parts_fill(&parts, spec);

	if (r == 0)
		r = filter_chain(parts.part, parts.n, &program);
	if (r == 0)
		parts_tell(&parts, ret_layout);
	/* A part that failed half-way stands behind the last one counted. */
	for (size_t i = 0; i < PROGRAM_PARTS_MAX; i++)
		filter_deinit(&parts.part[i].program);
	if (r == 0 && spec->cooked && filter_cook(&program, frames[spec->link]) < 0) {
		filter_deinit(&program);
		return PROGRAM_E_COOKED;
	}
	if (r == 0)
		*ret = program;
	return r;
}
