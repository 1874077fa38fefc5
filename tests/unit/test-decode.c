/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder on every link type x network header x transport it knows, cut at every byte, and on
 * packets that are wrong in one place.
 */
#include "tap.h"

#include "decode-build.h"
#include "enrich/decode.h"

/* Decodes a copy of exactly @caplen bytes, so that a sanitizer sees a read of one too many. */
static enum decode_result decode_copy(
	uint16_t dlt, const struct packet *p, size_t caplen, size_t len, struct decoded *ret)
{
	uint8_t *copy = malloc(caplen ? caplen : 1);
	enum decode_result r;

	memcpy(copy, p->bytes, caplen);
	memset(ret, 0xa5, sizeof(*ret));
	r = decode_packet(dlt, copy, caplen, len, ret);
	free(copy);
	return r;
}

#define EXPECT(field, want)                                                                        \
	do {                                                                                       \
		if ((long long)d->field != (long long)(want)) {                                    \
			printf("# %s is %lld, expected %lld\n", #field, (long long)d->field,       \
				(long long)(want));                                                \
			return false;                                                              \
		}                                                                                  \
	} while (0)

static bool is_expected(const struct decoded *d, enum link_kind l, enum net_kind n,
	enum transport_kind k, size_t payload_off, size_t more, size_t caplen)
{
	static const uint8_t v4[2][16] = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1},
		{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 2}};
	static const uint8_t v6[2][16] = {
		{0x20, 0x01, 0x0d, 0xb8, [15] = 1}, {0x20, 0x01, 0x0d, 0xb8, [15] = 2}};
	const struct transport *t = &transports[k];
	unsigned v = net_version(n), six = v == 6;
	bool sll2 = l == L_SLL2 || l == L_SLL2_VLAN, sll = l == L_SLL || l == L_SLL_VLAN;
	size_t off = payload_off < caplen ? payload_off : caplen;
	size_t have = caplen - off < t->payload ? caplen - off : t->payload;

	EXPECT(family, v);
	EXPECT(proto, t->proto[six]);
	EXPECT(pkttype, sll || sll2 ? 4 : DECODE_PKTTYPE_NONE);
	EXPECT(ifindex, sll2 ? 0x01020304 : 0);
	EXPECT(vlan, link_has_vlan(l) ? 100 : 0);
	EXPECT(sport, t->sport[six]);
	EXPECT(dport, t->dport[six]);
	EXPECT(tcp_flags, t->proto[0] == 6 ? 0x18 : 0);
	if (t->proto[0] == 6) {
		EXPECT(seq, 0xfedcba98);
		EXPECT(ack, 0x76543210);
	}
	if (t->proto[0] == 1) {
		EXPECT(icmp_type, t->icmp_type[six]);
		EXPECT(icmp_code, k == T_ICMP_OTHER);
	}
	EXPECT(payload_len, t->payload + more);
	EXPECT(payload_off, off);
	EXPECT(payload_caplen, have);
	if (memcmp(d->src, six ? v6[0] : v4[0], 16) || memcmp(d->dst, six ? v6[1] : v4[1], 16)) {
		printf("# wrong addresses\n");
		return false;
	}
	return true;
}

/* One combination, cut at every byte. */
static bool check_all_cuts(enum link_kind l, enum net_kind n, enum transport_kind k)
{
	const struct transport *t = &transports[k];
	struct packet p = {.len = 0};
	unsigned v = net_version(n), six = v == 6;
	size_t more = net_is_fragment(n) && t->proto[0] == 17 ? 1000 : 0;
	size_t above = t->head + t->payload, head_off, packet_len;
	uint16_t dlt = put_link(&p, l, v);

	put_net(&p, n, t->proto[six], above);
	head_off = p.len;
	put_transport(&p, k, v, more);
	packet_len = p.len;
	if (!net_is_sized_by_wire(n))
		put_zero(&p, 18); /* Ethernet padding, not payload */
	for (size_t caplen = 0; caplen <= p.len; caplen++) {
		size_t len = net_is_sized_by_wire(n) ? packet_len : p.len;
		struct decoded d;
		enum decode_result r = decode_copy(dlt, &p, caplen, len, &d);
		enum decode_result want =
			caplen < head_off + t->need ? DECODE_E_TRUNCATED : DECODE_OK;

		if (r == want && (r || is_expected(&d, l, n, k, head_off + t->head, more, caplen)))
			continue;
		printf("# %s, %s, %s cut to %zu of %zu: %d, expected %d\n", link_names[l],
			net_names[n], t->name, caplen, p.len, r, want);
		return false;
	}
	return true;
}

static void test_combinations(void)
{
	for (enum link_kind l = 0; l < L_KINDS; l++)
		for (enum net_kind n = 0; n < N_KINDS; n++) {
			bool ok = true;

			for (enum transport_kind k = 0; k < T_KINDS; k++)
				ok &= check_all_cuts(l, n, k);
			tap_ok(ok, "%s, %s: every transport, cut at every byte", link_names[l],
				net_names[n]);
		}
}

/* A packet over Ethernet with one or two bytes changed. Offsets: IP 14, transport 34 or 54. */
struct mutation {
	const char *name;
	enum net_kind net;
	enum transport_kind transport;
	size_t at;
	uint16_t value; /* two bytes, big-endian */
	enum decode_result want;
};

static const struct mutation mutations[] = {
	{"ARP", N_V4, T_TCP, 12, 0x0806, DECODE_E_NOT_IP},
	{"a length instead of an ethertype", N_V4, T_TCP, 12, 0x0026, DECODE_E_NOT_IP},
	{"PPPoE", N_V4, T_TCP, 12, 0x8864, DECODE_E_NOT_IP},
	{"a tag with ARP behind it", N_V4, T_TCP, 12, 0x8100, DECODE_E_NOT_IP},
	{"ethertype IPv6, version 4", N_V4, T_TCP, 12, 0x86dd, DECODE_E_MALFORMED},
	{"ethertype IPv4, version 6", N_V6, T_TCP, 12, 0x0800, DECODE_E_MALFORMED},
	{"version 5", N_V4, T_TCP, 14, 0x5500, DECODE_E_MALFORMED},
	{"IPv4 header of 16 bytes", N_V4, T_TCP, 14, 0x4400, DECODE_E_MALFORMED},
	{"IPv4 length below its header", N_V4, T_TCP, 16, 19, DECODE_E_MALFORMED},
	{"IPv4 length ends in its options", N_V4_OPTIONS, T_TCP, 16, 59, DECODE_E_MALFORMED},
	{"IPv4 length ends in the TCP header", N_V4, T_TCP, 16, 39, DECODE_E_MALFORMED},
	{"IPv4 length ends with the TCP header", N_V4, T_TCP, 16, 40, DECODE_OK},
	{"IPv4 length ends in the TCP options", N_V4, T_TCP_OPTIONS, 16, 79, DECODE_E_MALFORMED},
	{"IPv4 length ends in the UDP header", N_V4, T_UDP, 16, 27, DECODE_E_MALFORMED},
	{"IPv4 length ends in the UDP payload", N_V4, T_UDP, 16, 36, DECODE_E_MALFORMED},
	{"IPv4 length ends in the ICMP header", N_V4, T_ICMP_ECHO, 16, 27, DECODE_E_MALFORMED},
	{"IPv4 length ends in the SCTP header", N_V4, T_SCTP, 16, 31, DECODE_E_MALFORMED},
	{"IPv4 length above the wire's (cut file)", N_V4, T_TCP, 16, 1500, DECODE_OK},
	{"IPv4 fragment at 8", N_V4, T_TCP, 20, 0x2001, DECODE_E_FRAGMENT},
	{"IPv4 last fragment", N_V4, T_TCP, 20, 0x1fff, DECODE_E_FRAGMENT},
	{"IPv4 don't fragment, reserved bit", N_V4, T_TCP, 20, 0xc000, DECODE_OK},
	{"IPv4 GRE", N_V4, T_TCP, 22, 0x402f, DECODE_E_PROTO},
	{"IPv4 ESP", N_V4, T_TCP, 22, 0x4032, DECODE_E_PROTO},
	{"IPv4 carrying ICMPv6", N_V4, T_ICMP_ECHO, 22, 0x403a, DECODE_E_PROTO},
	{"IPv4 with protocol 0 is no hop-by-hop", N_V4, T_TCP, 22, 0x4000, DECODE_E_PROTO},
	{"IPv4 with protocol 44 is no fragment", N_V4, T_TCP, 22, 0x402c, DECODE_E_PROTO},
	{"IPv4 AH of 8 bytes", N_V4_AH, T_TCP, 34, 0x0600, DECODE_E_MALFORMED},
	{"IPv4 AH longer than the packet", N_V4_AH, T_TCP, 34, 0x06ff, DECODE_E_MALFORMED},
	{"TCP header of 16 bytes", N_V4, T_TCP, 46, 0x4018, DECODE_E_MALFORMED},
	{"TCP header longer than the packet", N_V4, T_TCP, 46, 0xf018, DECODE_E_MALFORMED},
	{"UDP length 7", N_V4, T_UDP, 38, 7, DECODE_E_MALFORMED},
	{"UDP length 0", N_V4, T_UDP, 38, 0, DECODE_OK},
	{"UDP length above the packet", N_V4, T_UDP, 38, 18, DECODE_E_MALFORMED},
	{"UDP length below the packet", N_V4, T_UDP, 38, 8, DECODE_OK},
	{"UDP fragment with a whole datagram", N_V4_FIRST_FRAGMENT, T_UDP, 38, 16,
		DECODE_E_MALFORMED},
	{"IPv6 payload ends in the TCP header", N_V6, T_TCP, 18, 19, DECODE_E_MALFORMED},
	{"IPv6 payload ends in an extension", N_V6_HOP, T_TCP, 18, 15, DECODE_E_MALFORMED},
	{"IPv6 payload ends in a fragment header", N_V6_FIRST_FRAGMENT, T_TCP, 18, 7,
		DECODE_E_MALFORMED},
	{"IPv6 no next header", N_V6, T_TCP, 20, 0x3b40, DECODE_E_PROTO},
	{"IPv6 carrying ICMPv4", N_V6, T_ICMP_ECHO, 20, 0x0140, DECODE_E_PROTO},
	{"IPv6 extension longer than the packet", N_V6_HOP, T_TCP, 54, 0x06ff, DECODE_E_MALFORMED},
	{"IPv6 extension then unknown", N_V6_HOP, T_TCP, 54, 0xfd01, DECODE_E_PROTO},
	{"IPv6 fragment at 8", N_V6_FIRST_FRAGMENT, T_TCP, 56, 8, DECODE_E_FRAGMENT},
	{"IPv6 reserved fragment bits", N_V6_FIRST_FRAGMENT, T_TCP, 56, 6, DECODE_OK},
	{"IPv6 AH of 8 bytes", N_V6_AH, T_TCP, 54, 0x0600, DECODE_E_MALFORMED},
	{"IPv6 mobility", N_V6, T_TCP, 20, 0x8740, DECODE_E_PROTO},
};

static void test_mutations(void)
{
	for (size_t i = 0; i < sizeof(mutations) / sizeof(*mutations); i++) {
		const struct mutation *m = &mutations[i];
		const struct transport *t = &transports[m->transport];
		struct packet p = {.len = 0};
		unsigned v = net_version(m->net);
		size_t more = net_is_fragment(m->net) && t->proto[0] == 17 ? 1000 : 0;
		struct decoded d;

		put_link(&p, L_ETHER, v);
		put_net(&p, m->net, t->proto[v == 6], t->head + t->payload);
		put_transport(&p, m->transport, v, more);
		p.bytes[m->at] = (uint8_t)(m->value >> 8);
		p.bytes[m->at + 1] = (uint8_t)m->value;
		tap_is_int(decode_copy(1, &p, p.len, p.len, &d), m->want, "%s", m->name);
	}
}

/* A chain of @n destination options headers before TCP. */
static enum decode_result decode_chain(unsigned n, struct decoded *ret)
{
	struct packet p = {.len = 0};

	put_v6(&p, N_V6, 60, n * 8 + 20);
	for (unsigned i = 0; i < n; i++)
		put_ext(&p, i + 1 == n ? 6 : 60, 0, 8);
	put_transport(&p, T_TCP, 6, 0);
	return decode_copy(101, &p, p.len, p.len, ret);
}

static void test_single_cases(void)
{
	struct packet p = {.len = 0};
	struct decoded d;
	uint16_t dlt;

	tap_is_int(decode_chain(DECODE_EXT_MAX, &d), DECODE_OK, "%d extension headers",
		DECODE_EXT_MAX);
	tap_is_int(d.dport, 443, "with the transport behind them");
	tap_is_int(decode_chain(DECODE_EXT_MAX + 1, &d), DECODE_E_MALFORMED, "one too many");

	put_zero(&p, 64);
	tap_is_int(decode_copy(127, &p, 64, 64, &d), DECODE_E_LINKTYPE, "802.11 is not known");
	tap_is_int(decode_copy(0xffff, &p, 64, 64, &d), DECODE_E_LINKTYPE, "nor is 65535");
	tap_is_int(decode_copy(0, &p, 64, 64, &d), DECODE_E_NOT_IP, "address family 0");
	tap_is_int(decode_copy(101, &p, 64, 64, &d), DECODE_E_MALFORMED, "RAW with version 0");
	tap_is_int(decode_copy(1, &p, 0, 0, &d), DECODE_E_TRUNCATED, "an empty packet");
	tap_is_int(decode_packet(1, NULL, 0, 0, &d), DECODE_E_TRUNCATED, "even without an address");

	p.len = 0;
	dlt = put_link(&p, L_SLL2, 4);
	put_zero(&p, 40);
	p.bytes[8] = 824 >> 8;
	p.bytes[9] = 824 & 0xff;
	tap_is_int(decode_copy(dlt, &p, p.len, p.len, &d), DECODE_E_NOT_IP, "netlink in SLL2");

	p.len = 0;
	put_zero(&p, 12);
	put16(&p, 0x88a8);
	put_vlan(&p, 1, 0x8100);
	put_vlan(&p, 2, 0x8100);
	put_vlan(&p, 3, 0x0800);
	put_zero(&p, 40);
	tap_is_int(decode_copy(1, &p, p.len, p.len, &d), DECODE_E_NOT_IP, "three VLAN tags");

	p.len = 0;
	put_v4(&p, N_V4, 47, 100);
	p.bytes[9] = 47;
	tap_is_int(decode_copy(101, &p, p.len, p.len, &d), DECODE_E_PROTO, "GRE");
	tap_ok(d.proto == 47 && d.family == 4 && d.src[15] == 1 && d.dst[15] == 2 && d.vlan == 0 &&
			d.ifindex == 0 && d.pkttype == DECODE_PKTTYPE_NONE,
		"has its addresses and protocol");
}

/* Offloaded segments are longer than any MTU; the sequence numbers count on the real length. */
static void test_offload(void)
{
	struct packet p = {.len = 0};
	struct decoded d;

	put_link(&p, L_ETHER, 4);
	put_v4(&p, N_V4, 6, 65226 - 34);
	put_transport(&p, T_TCP, 4, 0);
	tap_is_int(decode_copy(1, &p, 65, 65226, &d), DECODE_OK, "a 64 KiB segment");
	tap_is_int(d.payload_len, 65226 - 54, "has its whole payload length");
	tap_is_int(d.payload_caplen, 11, "of which little was captured");

	p.len = 0;
	put_link(&p, L_ETHER, 4);
	put_v4(&p, N_V4_TSO, 6, 0);
	put_transport(&p, T_TCP, 4, 0);
	tap_is_int(decode_copy(1, &p, 65, 200000, &d), DECODE_OK, "BIG TCP over IPv4");
	tap_is_int(d.payload_len, 200000 - 54, "takes its length from the wire");

	p.len = 0;
	put_link(&p, L_ETHER, 6);
	put_v6(&p, N_V6_JUMBO, 6, 0);
	put_transport(&p, T_TCP, 6, 0);
	tap_is_int(decode_copy(1, &p, 93, 200000, &d), DECODE_OK, "a jumbogram");
	tap_is_int(d.payload_len, 200000 - 14 - 40 - 8 - 20, "too");
}

int main(void)
{
	test_combinations();
	test_mutations();
	test_single_cases();
	test_offload();
	return tap_done();
}
