/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packet decoder on any bytes: it stays inside them, answers the same twice, and what it says
 * fits together. Input: link type (2 bytes), length on the wire beyond the captured bytes (2), then
 * the packet.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "enrich/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
	if (!ok)
		abort();
}

static void check_packet(const struct decoded *d, size_t caplen)
{
	check(d->family == 4 || d->family == 6);
	check((size_t)d->payload_off + d->payload_caplen <= caplen);
	check(d->payload_caplen <= d->payload_len);
	check(d->vlan < 4096);
	check(d->proto == 6 || d->proto == 17 || d->proto == 132 ||
		d->proto == (d->family == 4 ? 1 : 58));
	check(d->proto == 6 || d->tcp_flags == 0);
	if (d->family == 4) {
		static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

		check(!memcmp(d->src, mapped, 12) && !memcmp(d->dst, mapped, 12));
	}
}

/* A shorter capture of the same packet decodes the same or is truncated. */
static void check_cut(uint16_t dlt, const uint8_t *packet, size_t caplen, size_t len,
	enum decode_result whole, const struct decoded *d)
{
	size_t cut = caplen ? packet[caplen - 1] % caplen : 0;
	uint8_t *copy = malloc(cut ? cut : 1);
	struct decoded c;
	enum decode_result r;

	memcpy(copy, packet, cut);
	r = decode_packet(dlt, copy, cut, len, &c);
	free(copy);
	check(r == whole || r == DECODE_E_TRUNCATED);
	if (r != DECODE_OK)
		return;
	check_packet(&c, cut);
	check(c.payload_len == d->payload_len && c.sport == d->sport && c.dport == d->dport &&
		c.proto == d->proto && !memcmp(c.src, d->src, 16) && !memcmp(c.dst, d->dst, 16));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct decoded a, b;
	enum decode_result r;
	size_t caplen, len;
	uint16_t dlt;

	if (size < 4)
		return 0;
	dlt = (uint16_t)(data[0] << 8 | data[1]);
	caplen = size - 4;
	len = caplen + (size_t)(data[2] << 8 | data[3]);
	memset(&a, 0, sizeof(a));
	memset(&b, 0xff, sizeof(b));
	r = decode_packet(dlt, data + 4, caplen, len, &a);
	check(r <= DECODE_E_LINKTYPE);
	check(decode_packet(dlt, data + 4, caplen, len, &b) == r);
	if (r == DECODE_OK) {
		check_packet(&a, caplen);
		check(a.payload_len == b.payload_len && a.sport == b.sport && a.dport == b.dport &&
			a.ifindex == b.ifindex && a.pkttype == b.pkttype && a.vlan == b.vlan &&
			!memcmp(a.src, b.src, 16) && !memcmp(a.dst, b.dst, 16));
	}
	if (r != DECODE_E_TRUNCATED)
		check_cut(dlt, data + 4, caplen, len, r, &a);
	return 0;
}
