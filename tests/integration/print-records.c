/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints random records as a whole file of a format: print-records FORMAT COUNT SEED [names].
 *
 * Without "names" every value is random, but possible. With it, records are ordinary but for their
 * strings: names as somebody would choose them who wants to break a line, a format or a terminal.
 * "print-records list" prints the formats there are.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/sink-build.h"

/* Random bytes are hardly ever an address: one behind the other strings of @r. */
static void add_address(struct record *r)
{
	static const char address[] = "192.0.2.1,x";

	r->dns_answers.len = sizeof(address) - 1;
	r->dns_answers.off = (uint16_t)(r->strings_len - r->dns_answers.len);
	memcpy(r->strings + r->dns_answers.off, address, r->dns_answers.len);
}

#define NAME_MAX_LEN 48u

static const uint8_t RARE_EVENTS[] = {RECORD_INFO, RECORD_LOSS, RECORD_SUMMARY};
static const uint16_t LINKS[] = {1, 113, 276, 12, 228, 229, 0, 108};

/* Pieces of hostile names; each with its length, there are zeros among them. */
#define PIECE(s)                                                                                   \
	{                                                                                          \
		s, sizeof(s) - 1                                                                   \
	}
static const struct {
	const char *bytes;
	size_t len;
} PIECES[] = {
	PIECE("\n"),
	PIECE("\r\n"),
	PIECE("\t"),
	PIECE("\0"),
	PIECE("\x1b[2J"),
	PIECE("\x1b]0;x\a"),
	PIECE("\x7f"),
	PIECE("\b\b"),
	PIECE("\""),
	PIECE("'"),
	PIECE("\\"),
	PIECE("\\n"),
	PIECE("\\x09"),
	PIECE(","),
	PIECE("-"),
	PIECE("(empty)"),
	PIECE("#close"),
	PIECE("#fields\t"),
	PIECE("{\"a\":1}"),
	PIECE("}"),
	PIECE("]"),
	PIECE("<script>"),
	PIECE("%s%n"),
	PIECE("$(id)"),
	PIECE("\xc2\x85"),
	PIECE("\xc2\x9b"
	      "31m"),
	PIECE("\xe2\x80\xa8"),
	PIECE("\xe2\x80\xae"),
	PIECE("\xe2\x81\xa6"),
	PIECE("\xef\xbb\xbf"),
	PIECE("\xef\xbf\xbd"),
	PIECE("\xf3\xa0\x80\x81"),
	PIECE("\xc0\xaf"),
	PIECE("\xed\xa0\x80"),
	PIECE("\xf4\x90\x80\x80"),
	PIECE("\x80"),
	PIECE("\xff"),
	PIECE("\xe2\x82"),
	PIECE("\xf0\x9f\x92\xa9"),
	PIECE("\xc3\xa9"),
	PIECE("curl"),
	PIECE("example.com"),
	PIECE(" "),
	PIECE("\n#close\t2026-01-01-00-00-00\n"),
};

static uint64_t state;

static size_t below(size_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (size_t)(state % n);
}

static void put_name(struct record *r, struct record_str *s)
{
	char name[NAME_MAX_LEN];
	size_t len = 0, want = below(NAME_MAX_LEN);

	while (len < want) {
		size_t k = below(sizeof(PIECES) / sizeof(PIECES[0]) + 8);

		if (k >= sizeof(PIECES) / sizeof(PIECES[0])) {
			name[len++] = (char)below(256);
			continue;
		}
		if (len + PIECES[k].len > sizeof(name))
			break;
		memcpy(name + len, PIECES[k].bytes, PIECES[k].len);
		len += PIECES[k].len;
	}
	record_put_str(r, name, len, s);
}

static void put_names(struct record *r, struct record_process *o)
{
	struct record_str *s[] = {&o->name, &o->exe, &o->args, &o->cwd, &o->cgroup, &o->parent_name,
		&o->user, &o->group, &o->unit, &o->user_unit, &o->container, &o->pod};

	for (size_t i = 0; i < sizeof(s) / sizeof(s[0]); i++)
		put_name(r, s[i]);
}

static void build_hostile(struct record *r, uint64_t seq)
{
	struct record_str *s[] = {&r->ifname, &r->netns, &r->name, &r->server_name, &r->alpn,
		&r->dns_query, &r->dns_answers};
	uint8_t packet[64] = {0};

	build_record(r);
	r->strings_len = 0;
	r->seq = seq;
	r->direction = (uint8_t)below(RECORD_LOCAL + 1);
	r->event = below(2) ? RECORD_END : below(8) ? RECORD_START : RARE_EVENTS[below(3)];
	r->connections = 1 + (uint32_t)below(3);
	r->service = (uint8_t)below(RECORD_SERVICES);
	r->loss_stage = 1;
	r->dns_type = (uint16_t)below(70);
	r->resp.pid = 80;
	r->resp.confidence = RECORD_CONFIDENCE_PROBABLE;
	for (size_t i = 0; i < sizeof(s) / sizeof(s[0]); i++)
		put_name(r, s[i]);
	put_names(r, &r->orig);
	put_names(r, &r->resp);
	record_put_str(r, packet, sizeof(packet), &r->packet);
	r->packet_len = sizeof(packet);
}

int main(int argc, char **argv)
{
	static const uint8_t protocols[] = {
		IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_SCTP, 200};
	static struct format_context ctx;
	static struct format_section section;
	static struct record r;
	static char buf[FORMAT_MAX];
	const struct format *f = argc >= 4 ? format_find(argv[1], strlen(argv[1])) : NULL;

	for (unsigned i = 0; argc == 2 && format_at(i); i++)
		puts(format_at(i)->name);
	if (argc == 2)
		return fflush(stdout) ? 1 : 0;
	if (!f)
		return 64;
	build_context(&ctx);
	strcpy(ctx.host_id, "0123");
	format_context_prepare(&ctx);
	srand((unsigned)atoi(argv[3]));
	state = (uint64_t)atoi(argv[3]) * UINT64_C(0x9e3779b97f4a7c15) + 1;
	section.begun = f->head;
	if (f->head)
		fwrite(buf, 1, f->head(&ctx, BUILD_START, buf), stdout);
	for (int i = 0; i < atoi(argv[2]); i++) {
		if (argc == 5) {
			build_hostile(&r, (uint64_t)i + 1);
			if (f->packet)
				r.event = RECORD_PACKET;
		} else {
			build_random(&r, i % 16 ? 400 : RECORD_STRINGS_MAX);
			r.proto = protocols[(size_t)rand() % sizeof(protocols)];
			if (i % 8 == 0)
				add_address(&r);
		}
		r.dlt = LINKS[(size_t)i % (sizeof(LINKS) / sizeof(LINKS[0]))];
		if (format_check(&r, record_size(&r)))
			return 1; /* this program is wrong */
		fwrite(buf, 1,
			f->packet ? format_packet(f, &r, &section, &ctx, buf)
				  : format_record(f, &r, &ctx, buf),
			stdout);
	}
	if (f->foot)
		fwrite(buf, 1, f->foot(&ctx, BUILD_START, buf), stdout);
	return fflush(stdout) ? 1 : 0;
}
