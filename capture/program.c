/* SPDX-License-Identifier: Apache-2.0 */
/* Which packets flowner looks at and how many bytes of each. */
#include "capture/program.h"

#include <errno.h>
#include <stdio.h>

#define FIRST_FRAGMENT "ip[6:2] & 0x1fff == 0"
#define SCTP_V4(type)  "sctp[12] == " #type
#define SCTP_V6(type)  "ip6[52] == " #type

/*
 * `tcp[...]` never matches IPv6, hence the ip6[] forms: next header at 6, TCP flags at 40 + 13.
 * The first class that accepts decides: narrow ones with more bytes stand before broad ones. A
 * non-first fragment has no ports and is not wanted; a load it does not have would also end the
 * program, so `len`-dependent bytes are read behind a test that they are there.
 */
static const struct program_class classes[] =
	{
		{"tcp",
			"(ip and tcp[tcpflags] & (tcp-syn|tcp-fin|tcp-rst) != 0)"
			" or (ip6[6] == 6 and ip6[53] & 7 != 0)",
			128},
		{"dns", "udp port 53", 512},
		{"quic",
			"(ip and udp port 443 and udp[4:2] > 8 and udp[8] & 0x80 != 0)"
			" or (ip6[6] == 17 and (ip6[40:2] == 443 or ip6[42:2] == 443)"
			" and ip6[44:2] > 8 and ip6[48] & 0x80 != 0)",
			PROGRAM_SNAPLEN_MAX},
		{"udp", "(ip and udp and " FIRST_FRAGMENT ") or ip6[6] == 17", 96},
		{"icmp", "(ip and icmp and " FIRST_FRAGMENT ") or ip6[6] == 58", 128},
		/* INIT, INIT ACK, ABORT, SHUTDOWN, SHUTDOWN ACK, SHUTDOWN COMPLETE. */
		{"sctp",
			"(ip and sctp and " FIRST_FRAGMENT
			" and (" SCTP_V4(1) " or " SCTP_V4(2) " or " SCTP_V4(6) " or " SCTP_V4(7) " or " SCTP_V4(8) " or " SCTP_V4(
				14) "))"
				    " or (ip6[6] == 132 and (" SCTP_V6(1) " or " SCTP_V6(
					    2) " or " SCTP_V6(6) " or " SCTP_V6(7) " or " SCTP_V6(8) " or " SCTP_V6(14) "))",
			128},
		/* Rare enough to pass whole chains of them: hop-by-hop, routing, fragment, AH,
		   options. */
		{"ip6ext",
			"ip6[6] == 0 or ip6[6] == 43 or ip6[6] == 44 or ip6[6] == 51 or ip6[6] == "
			"60",
			256},
};

#define N_CLASSES (sizeof(classes) / sizeof(*classes))
#define TAGS_MAX  2u /* VLAN tags in the bytes a program sees */
#define PARTS_MAX (2u + N_CLASSES + TAGS_MAX * (1u + N_CLASSES))

const struct program_class *program_classes(size_t *ret_n)
{
	*ret_n = N_CLASSES;
	return classes;
}

struct parts {
	struct filter_part part[PARTS_MAX];
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
static int parts_add(struct parts *p, const struct program_spec *spec, enum filter_part_kind kind,
	uint32_t snaplen, const char *expression)
{
	bool ethernet = has_ethertype(spec);
	struct filter_part *part = &p->part[p->n];
	int r = spec->compile(spec->arg, ethernet ? PROGRAM_BASE_ETHERNET : PROGRAM_BASE_RAW,
		expression, &part->program);

	if (r < 0)
		return r;
	part->kind = kind;
	part->snaplen = snaplen;
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
	p->n++;
	return source ? 0 : filter_move(&part->program, FILTER_RAW, frames[spec->link]);
}

static int parts_add_classes(struct parts *p, const struct program_spec *spec, const char *behind)
{
	for (size_t i = 0; i < N_CLASSES; i++) {
		char expression[1024];
		int n = snprintf(
			expression, sizeof(expression), "%s(%s)", behind, classes[i].expression);
		int r;

		if (n < 0 || (size_t)n >= sizeof(expression))
			return -EINVAL;
		r = parts_add(p, spec, FILTER_CLASS, classes[i].snaplen, expression);
		if (r < 0)
			return r;
	}
	return 0;
}

static int parts_fill(struct parts *p, const struct program_spec *spec)
{
	static const struct {
		const char *gate, *behind;
	} tags[TAGS_MAX] = {
		{"vlan", "vlan and "},
		{"vlan and vlan", "vlan and vlan and "},
	};
	int r;

	if (spec->once_on) {
		p->part[p->n].kind = FILTER_GATE;
		r = filter_once_on(spec->once_on, &p->part[p->n].program);
		if (r < 0)
			return r;
		p->n++;
	}
	if (spec->user && *spec->user) {
		r = parts_add_user(p, spec);
		if (r)
			return r;
	}
	r = parts_add_classes(p, spec, "");
	for (size_t i = 0; r == 0 && has_ethertype(spec) && i < TAGS_MAX; i++) {
		r = parts_add(p, spec, FILTER_GATE, 0, tags[i].gate);
		if (r == 0)
			r = parts_add_classes(p, spec, tags[i].behind);
	}
	return r;
}

int program_build(const struct program_spec *spec, struct filter_program *ret)
{
	struct filter_program program = {0};
	struct parts parts = {.n = 0};
	int r = parts_fill(&parts, spec);

	if (r == 0)
		r = filter_chain(parts.part, parts.n, &program);
	/* A part that failed half-way stands behind the last one counted. */
	for (size_t i = 0; i < PARTS_MAX; i++)
		filter_deinit(&parts.part[i].program);
	if (r == 0 && spec->cooked && filter_cook(&program, frames[spec->link]) < 0) {
		filter_deinit(&program);
		return PROGRAM_E_COOKED;
	}
	if (r == 0)
		*ret = program;
	return r;
}
