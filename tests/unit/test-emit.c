/* SPDX-License-Identifier: Apache-2.0 */
/* What a flow's record says, read back from the ring. */
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "enrich/emit.h"
#include "tap.h"

static struct emit emit;
static struct ledger ledger;
static struct ring_producer *producer;
static struct ring_consumer *consumer;
static _Alignas(struct record) uint8_t body[RING_BODY_MAX];
static struct record record; /* the latest */

static void setup(void)
{
	int fds[RING_FDS];

	if (ledger_open_anonymous(&ledger, LEDGER_OF_ENRICH) < 0 ||
		ring_producer_new(RING_DATA_MIN, 1, RING_LOSS_RECORD_RING, &producer) < 0)
		tap_bail("no ring");
	ring_producer_fds(producer, fds);
	for (int i = 0; i < RING_FDS; i++)
		fds[i] = dup(fds[i]);
	if (ring_consumer_new(fds, &consumer) < 0)
		tap_bail("no consumer");
	emit = (struct emit){.ring = producer, .ring_size = RING_DATA_MIN, .ledger = &ledger};
}

/* What a flow's event becomes: its flags. */
static unsigned told_at(const struct flow *f, enum flow_event event, uint64_t t_ns)
{
	struct ring_frame frame;

	if (emit_flow(&emit, f, f, event, t_ns) || emit_commit(&emit) ||
		ring_get(consumer, body, &frame) || frame.type != RING_FRAME_RECORD ||
		record_check((const struct record *)(const void *)body, frame.len))
		tap_bail("no record");
	memcpy(&record, body, frame.len);
	ring_release(consumer);
	return record.flags;
}

static unsigned told(const struct flow *f)
{
	return told_at(f, FLOW_EVENT_END, f->last_ns);
}

static bool is_complete(uint8_t proto, bool all_packets, bool loss_window)
{
	struct flow f = {
		.key = {.family = 4, .proto = proto},
		.id = 1,
		.start_ns = 5,
		.last_ns = 6,
		.packets = {3, 2},
		.loss_window = loss_window,
	};

	emit.all_packets = all_packets;
	return told(&f) & RECORD_FLAG_ALL_PACKETS;
}

/* Of TCP and SCTP the modes but `headers` capture what opens and ends a connection. */
static void test_complete(void)
{
	static const struct {
		uint8_t proto;
		const char *name;
		bool in_part;
	} protos[] = {{IPPROTO_TCP, "TCP", true}, {IPPROTO_SCTP, "SCTP", true},
		{IPPROTO_UDP, "UDP", false}, {IPPROTO_ICMP, "ICMP", false},
		{IPPROTO_ICMPV6, "ICMPv6", false}};

	for (size_t i = 0; i < sizeof(protos) / sizeof(protos[0]); i++) {
		uint8_t proto = protos[i].proto;

		tap_ok(is_complete(proto, false, false) == !protos[i].in_part,
			"%s: %s all packets are captured", protos[i].name,
			protos[i].in_part ? "not" : "always");
		tap_ok(is_complete(proto, true, false), "%s: all are in mode headers",
			protos[i].name);
		tap_ok(!is_complete(proto, true, true) && !is_complete(proto, false, true),
			"%s: none of these where packets were lost", protos[i].name);
	}
}

static void test_counts(void)
{
	struct flow f = {
		.key = {.family = 6, .proto = IPPROTO_TCP, .port = {40000, 443}},
		.id = 77,
		.start_ns = 1000,
		.last_ns = 3000,
		.packets = {7, 5},
		.reported_packets = {4, 5},
		.bytes = {900, 80},
		.reported_bytes = {1000, 30},
		.have_bytes = {true, true},
		.history = "ShADad",
	};
	unsigned flags = told(&f);

	tap_ok(record.flow_id == 77 && record.orig_port == 40000 && record.resp_port == 443 &&
			record.start_ns == 1000 && record.end_ns == 3000 && record.family == 6,
		"which connection it is");
	tap_ok(record.orig_packets == 7 && record.delta_orig_packets == 3 &&
			record.delta_resp_packets == 0 && record.delta_packets == 3,
		"packets, and those since the last record");
	tap_ok(record.orig_bytes == 900 && record.delta_orig_bytes == 0 &&
			record.delta_resp_bytes == 50,
		"bytes; fewer than before are none");
	tap_ok(!(flags & RECORD_FLAG_UNCHANGED) && flags & RECORD_FLAG_OFFLINE,
		"something is new; without owners it is from a file");
	tap_is_str(record.history, "ShADad", "history");
	f.reported_packets[FLOW_ORIG] = 7;
	f.reported_bytes[FLOW_RESP] = 80;
	tap_ok(told(&f) & RECORD_FLAG_UNCHANGED, "nothing is new");
	f.have_bytes[FLOW_RESP] = false;
	flags = told(&f);
	tap_ok(flags & RECORD_FLAG_ORIG_BYTES && !(flags & RECORD_FLAG_RESP_BYTES) &&
			record.resp_bytes == 0,
		"bytes of one side are not known");
	tap_is_int(ledger_get(&ledger, LEDGER_enrich_records_published), record.seq,
		"each is counted as published");
}

/* Bytes are the kernel's of now: a rate over the time up to the last packet seen would be far off.
 */
static void test_open(void)
{
	struct flow f = {
		.key = {.family = 4, .proto = IPPROTO_TCP}, .id = 1, .start_ns = 5, .last_ns = 6};

	told_at(&f, FLOW_EVENT_INFO, 90);
	tap_ok(record.start_ns == 5 && record.end_ns == 90 && record.t_ns == 90,
		"an open TCP connection goes on after the last packet captured");
	told(&f);
	tap_is_int(record.end_ns, 6, "one that is over ended with its last");
	f.key.proto = IPPROTO_UDP;
	told_at(&f, FLOW_EVENT_INFO, 90);
	tap_is_int(record.end_ns, 6, "of UDP every packet is seen: its last one counts");
}

int main(void)
{
	setup();
	test_complete();
	test_open();
	test_counts();
	ring_consumer_free(consumer);
	ring_producer_free(producer);
	ledger_close(&ledger);
	return tap_done();
}
