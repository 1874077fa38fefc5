/* SPDX-License-Identifier: Apache-2.0 */
/* ICMP errors: which datagram they say was refused, however much of it they quote. */
#include "enrich/quote.h"

#include <netinet/in.h>

#include "tap.h"
#include "unit/decode-build.h"

enum { TYPE, CODE, FROM, TO, PROTO, WHAT }; /* what a message can have of another kind */

#define USUAL WHAT

/* Host 9 complains to host 1 about its datagram 4000 -> 33434 to host 9, or about nearly that. */
static void build(struct packet *p, bool v6, int other)
{
	unsigned odd = (unsigned)other;

	p->len = 0;
	for (unsigned quoted = 0; quoted < 2; quoted++) {
		unsigned from = quoted ? 1 : 9, to = quoted ? 9 : 1;
		unsigned body = quoted ? 8 + 400 : 8 + 40 + 8;
		unsigned proto = quoted ? 17 : v6 ? 58 : 1;

		if (quoted && odd == PROTO)
			proto = 6;
		if (quoted && odd == FROM)
			from = 2;
		if (quoted && odd == TO)
			to = 2;
		if (v6) {
			put32(p, 0x60000000);
			put16(p, body);
			put8(p, (uint8_t)proto);
			put8(p, 64);
			put_zero(p, 15);
			put8(p, (uint8_t)from);
			put_zero(p, 15);
			put8(p, (uint8_t)to);
		} else {
			put16(p, 0x4500);
			put16(p, 20 + body);
			put32(p, 0);
			put16(p, 64 << 8 | proto);
			put16(p, 0);
			put32(p, 0x0a000000 | from);
			put32(p, 0x0a000000 | to);
		}
		if (!quoted) {
			put8(p, (uint8_t)(odd == TYPE ? 11 : v6 ? 1 : 3));
			put8(p, (uint8_t)(odd == CODE ? 1 : v6 ? 4 : 3));
			put_zero(p, 6);
		}
	}
	put16(p, 4000);
	put16(p, 33434);
	put16(p, 8 + 400);
	put16(p, 0);
}

static bool is_refused(struct packet *p, size_t caplen, struct decoded *ret)
{
	struct decoded d;

	if (decode_packet(101, p->bytes, caplen, p->len, &d) != DECODE_OK)
		return false;
	d.netns = 3;
	return quote_refused(&d, p->bytes, ret);
}

static void test_family(bool v6)
{
	static const char *const names[] = {"another type", "another code", "of another sender",
		"sent to another host", "of another protocol"};
	struct decoded q = {0};
	struct packet p;
	bool cut = false;

	build(&p, v6, USUAL);
	tap_ok(is_refused(&p, p.len, &q), "IPv%d: a datagram was refused", v6 ? 6 : 4);
	tap_ok(q.sport == 4000 && q.dport == 33434 && q.src[15] == 1 && q.dst[15] == 9 &&
			q.proto == IPPROTO_UDP && q.netns == 3,
		"which one");
	for (size_t n = 0; n < p.len; n++)
		cut |= is_refused(&p, n, &q);
	tap_ok(!cut, "with less than its ports nobody knows which");
	for (int i = 0; i < WHAT; i++) {
		build(&p, v6, i);
		tap_ok(!is_refused(&p, p.len, &q), "not: %s", names[i]);
	}
}

int main(void)
{
	test_family(false);
	test_family(true);
	return tap_done();
}
