/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes the seed corpus of fuzz-ring-frame into a folder: streams as the real producer makes them,
 * and one of each way in which they can be wrong.
 *
 * usage: make-corpus-ring FOLDER
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shm/packet.h"
#include "shm/record.h"
#include "shm/ring-internal.h"

struct input_head {
	uint64_t tail, used, later_used;
	uint32_t geometry[2];
};

static const char *folder;
static struct ring_producer *p;
static struct ring_consumer *c;

static void fail(const char *what)
{
	fprintf(stderr, "make-corpus-ring: %s\n", what);
	exit(1);
}

static void save(const char *name, const struct input_head *in, const void *bytes, size_t len)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "wb");
	if (!f || fwrite(in, sizeof(*in), 1, f) != 1 || (len && fwrite(bytes, len, 1, f) != 1) ||
		fclose(f))
		fail("a file cannot be written");
}

/* Saves what was put since the last save, as a consumer with this @tail would find it. */
static void save_ring(const char *name, uint64_t tail, int64_t more)
{
	struct input_head in = {.tail = tail};
	uint8_t *bytes;

	if (ring_commit(p) < 0)
		fail("commit");
	in.used = p->published + (uint64_t)more;
	in.later_used = in.used;
	bytes = malloc(RING_DATA_MIN);
	if (!bytes)
		fail("no memory");
	memcpy(bytes, p->data, p->published);
	save(name, &in, bytes, p->published);
	free(bytes);
	ring_consumer_free(c);
	ring_producer_free(p);
	if (ring_pair_on_memory(RING_DATA_MIN, 1, RING_LOSS_RECORD_RING, &p, &c))
		fail("no ring");
}

static void put(enum ring_frame_type type, const void *body, size_t len)
{
	if (ring_put(p, type, 0, 1700000000000000000u, 1, body, len, NULL, 0))
		fail("put");
}

static struct record *full_record(void)
{
	static struct record r;

	r = (struct record){
		.version = RECORD_VERSION,
		.event = RECORD_END,
		.direction = RECORD_LOCAL,
		.family = 4,
		.proto = 6,
		.state = RECORD_STATE_SF,
		.end_reason = RECORD_END_SHUTDOWN,
		.seq = 1,
		.epoch = 1,
		.start_ns = 1,
		.end_ns = 2,
		.history = "ShADadfF",
	};
	r.orig.method = RECORD_METHOD_TAP_CONNECT;
	r.orig.confidence = RECORD_CONFIDENCE_EXACT;
	r.resp.unknown = RECORD_UNKNOWN_REMOTE;
	record_put_str(&r, "eth0", 4, &r.ifname);
	record_put_str(&r, "curl", 4, &r.orig.name);
	record_put_str(&r, "/usr/bin/curl", 13, &r.orig.exe);
	record_put_str(&r, "curl\0-s", 8, &r.orig.args);
	record_put_str(&r, "1000 bash\0001 init", 17, &r.orig.ancestors);
	record_put_str(&r, "/home", 5, &r.orig.cwd);
	record_put_str(&r, "a.service", 9, &r.orig.unit);
	record_put_str(&r, "c0ffee", 6, &r.orig.container);
	record_put_str(&r, "\n\033[31m\xff\"", 8, &r.resp.name);
	return &r;
}

static void valid(void)
{
	struct ring_loss loss = {RING_LOSS_KERNEL, 0, 3, 3, 1, 2};
	struct packet_head head = {.caplen = 20, .len = 60, .dlt = 1};
	struct record *r = full_record();
	uint8_t packet[sizeof(head) + 20] = {0};

	memcpy(packet, &head, sizeof(head));
	put(RING_FRAME_PACKET, packet, sizeof(packet));
	ring_put_loss(p, &loss, 5);
	put(RING_FRAME_TIME, NULL, 0);
	put(RING_FRAME_RECORD, r, record_size(r));
	put(RING_FRAME_END, NULL, 0);
	save_ring("valid-all-types", 0, 0);
	put(RING_FRAME_RECORD, r, record_size(r));
	save_ring("valid-wrapped", RING_DATA_MIN - 72, 0);
	put(RING_FRAME_RECORD, r, record_size(r));
	save_ring("valid-indices-overflow", UINT64_MAX - 71, 0);
	r->event = RECORD_LOSS;
	r->family = 0;
	r->loss_stage = RING_LOSS_TAP;
	put(RING_FRAME_RECORD, r, record_size(r));
	save_ring("valid-loss-record", 0, 0);
	save_ring("valid-empty", 0, 0);
}

static void wrong_records(void)
{
	struct record *r = full_record();

	r->resp.exe = (struct record_str){6000, 60000};
	put(RING_FRAME_RECORD, r, record_size(r));
	put(RING_FRAME_RECORD, r, offsetof(struct record, strings) - 1);
	r = full_record();
	r->history[9] = 'x';
	put(RING_FRAME_RECORD, r, record_size(r));
	r = full_record();
	r->orig.method = 200;
	put(RING_FRAME_RECORD, r, record_size(r));
	r = full_record();
	r->strings_len = RECORD_STRINGS_MAX + 1;
	put(RING_FRAME_RECORD, r, sizeof(*r));
	save_ring("wrong-records", 0, 0);
}

static void wrong_frames(void)
{
	static const struct {
		const char *name;
		uint64_t word;
	} frames[] = {
		{"wrong-type-0", 8},
		{"wrong-type-6", (uint64_t)6 << 32 | 8},
		{"wrong-length-max", (uint64_t)RING_FRAME_PACKET << 32 | UINT32_MAX},
		{"wrong-length-over", (uint64_t)RING_FRAME_PACKET << 32 | (RING_BODY_MAX + 1)},
		{"wrong-length-past-head", (uint64_t)RING_FRAME_PACKET << 32 | 1000},
		{"wrong-loss-length", (uint64_t)RING_FRAME_LOSS << 32 | 39},
		{"wrong-end-length", (uint64_t)RING_FRAME_END << 32 | 1},
	};

	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		put(RING_FRAME_PACKET, "12345678", 8);
		*(uint64_t *)p->data = frames[i].word;
		save_ring(frames[i].name, 0, 0);
	}
	put(RING_FRAME_TIME, NULL, 0);
	save_ring("wrong-head-unaligned", 0, 1);
	put(RING_FRAME_TIME, NULL, 0);
	save_ring("wrong-head-half-header", 0, -8);
	put(RING_FRAME_TIME, NULL, 0);
	save_ring("wrong-head-over-a-ring", 0, RING_DATA_MIN);
	put(RING_FRAME_TIME, NULL, 0);
	save_ring("wrong-tail-unaligned", 3, 0);
}

static void wrong_geometry(void)
{
	for (uint32_t word = 0; word < 10; word++) {
		struct input_head in = {.geometry = {word, 1u << word}};
		char name[64];

		snprintf(name, sizeof(name), "wrong-geometry-%u", word);
		save(name, &in, NULL, 0);
	}
	save("later-head-backwards", &(struct input_head){.used = 32, .later_used = 16},
		"\x08\0\0\0\x01\0\0\0"
		"tttttttt"
		"bbbbbbbb"
		"xxxxxxxx",
		32);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		fail("usage: make-corpus-ring FOLDER");
	folder = argv[1];
	if (ring_pair_on_memory(RING_DATA_MIN, 1, RING_LOSS_RECORD_RING, &p, &c))
		fail("no ring");
	valid();
	wrong_records();
	wrong_frames();
	wrong_geometry();
	ring_consumer_free(c);
	ring_producer_free(p);
	return 0;
}
