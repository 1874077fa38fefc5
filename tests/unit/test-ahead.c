/* SPDX-License-Identifier: Apache-2.0 */
/* Frames looked at sixteen at a time: an impossible one ends it, what stands before it counts. */
#include <string.h>

#include "enrich/ahead.h"
#include "shm/ledger.h"
#include "shm/packet.h"
#include "shm/ring-internal.h"
#include "tap.h"

#define ARP "\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x08\x06" /* read, and of no connection */

static struct config config;
static struct ledger ledger;

struct body {
	struct packet_head head;
	uint8_t bytes[sizeof(ARP) - 1];
};

static void put(struct ring_producer *in, enum ring_frame_type type, struct body b, size_t len)
{
	memcpy(b.bytes, ARP, sizeof(b.bytes));
	if (ring_put(in, type, 0, 1000, 1, &b, len, NULL, 0) < 0)
		tap_bail("ring_put");
}

#define WHOLE (sizeof(struct packet_head) + sizeof(ARP) - 1)

static const struct {
	const char *name;
	enum ring_frame_type type;
	struct packet_head head;
	size_t len;
} bad[] = {
	{"a record", RING_FRAME_RECORD, {.caplen = 14, .len = 14, .dlt = 1}, WHOLE},
	{"a packet without its head", RING_FRAME_PACKET, {0}, sizeof(struct packet_head) - 1},
	{"more captured than there is", RING_FRAME_PACKET, {.caplen = 15, .len = 15, .dlt = 1},
		WHOLE},
	{"more captured than it had", RING_FRAME_PACKET, {.caplen = 14, .len = 13, .dlt = 1},
		WHOLE},
	{"a namespace that cannot be", RING_FRAME_PACKET,
		{.caplen = 14, .len = 14, .dlt = 1, .netns = PACKET_NETNS_MAX + 1}, WHOLE},
};

/* One of @bad behind @before good ones and in front of three more. */
static void test(size_t which, unsigned before)
{
	static struct ahead ahead;
	const struct body good = {.head = {.caplen = 14, .len = 14, .dlt = 1}};
	struct ring_producer *in, *out;
	struct ring_consumer *reader, *records;
	struct pipeline *p;
	uint64_t read = ledger_get(&ledger, LEDGER_enrich_packets_read);
	int r = 0;

	if (ring_pair_on_memory(RING_DATA_MIN, 1, RING_LOSS_PACKET_RING, &in, &reader) ||
		ring_pair_on_memory(RING_DATA_MIN, 1, RING_LOSS_RECORD_RING, &out, &records) ||
		pipeline_new(&config, &ledger, NULL, out, 7, &p) < 0)
		tap_bail("no pipeline");
	for (unsigned i = 0; i < before + 4; i++)
		if (i == before)
			put(in, bad[which].type, (struct body){.head = bad[which].head},
				bad[which].len);
		else
			put(in, RING_FRAME_PACKET, good, WHOLE);
	ring_commit(in);
	for (unsigned i = 0; i < before + 4 && r == 0; i++) {
		r = ahead_take(&ahead, reader, p);
		if (r == 0 || r == RING_E_EMPTY)
			r = ahead_feed(&ahead, p);
	}
	pipeline_commit(p, false);
	tap_is_int(r, PIPELINE_E_BAD_FRAME, "%s behind %u: refused", bad[which].name, before);
	tap_is_int(ledger_get(&ledger, LEDGER_enrich_packets_read) - read, before,
		"%s behind %u: only those count", bad[which].name, before);
	pipeline_free(p);
	ring_consumer_free(reader);
	ring_producer_free(in);
	ring_consumer_free(records);
	ring_producer_free(out);
}

int main(void)
{
	static const unsigned before[] = {0, 5, AHEAD_FRAMES - 1, AHEAD_FRAMES, 40};

	if (config_init(&config) < 0 || ledger_open_anonymous(&ledger, LEDGER_OF_ENRICH) < 0)
		tap_bail("no ledger");
	config.limits.flows = 16; /* none is opened, and a table of the usual size takes time */
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		for (size_t n = 0; n < sizeof(before) / sizeof(before[0]); n++)
			test(i, before[n]);
	ledger_close(&ledger);
	config_deinit(&config);
	return tap_done();
}
