/* SPDX-License-Identifier: Apache-2.0 */
/* Rings that were lost with both their ends: what was in them is counted, once, and told. */
#include "tap.h"

#include <fcntl.h>
#include <unistd.h>

#include "sink/tail.h"

#define SIZE RING_DATA_MIN

static struct ledger ledger;
static struct spool spool;
static struct ring_producer *producer;
static struct ring_consumer *ring;

static void let_go(void)
{
	ring_consumer_free(ring);
	ring_producer_free(producer);
	ring = NULL;
	producer = NULL;
}

/* The ring of a life of enrich before which there were @packets and @records. */
static void make_ring(uint64_t epoch, uint64_t packets, uint64_t records)
{
	int fds[RING_FDS];

	let_go();
	if (ring_producer_new(SIZE, epoch, RING_LOSS_RECORD_RING, &producer) < 0)
		tap_bail("no ring");
	ring_producer_set_before(producer, packets, records);
	ring_producer_fds(producer, fds);
	for (int i = 0; i < RING_FDS; i++)
		fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
	if (ring_consumer_new(fds, &ring) < 0)
		tap_bail("no consumer");
}

/* A life of sink attaches to it; false: on from what another had left there. */
static bool attach(struct tail *t)
{
	const struct output *bad;
	bool resumed;

	*t = (struct tail){.spool = &spool, .ledger = &ledger};
	spool_deinit(&spool);
	spool_init(&spool);
	if (tail_attach(t, ring, &resumed, &bad) < 0)
		tap_bail("not attached");
	return !resumed;
}

static void written(struct tail *t, uint64_t records, uint64_t packets)
{
	uint64_t counts[SPOOL_COUNTERS] = {[SPOOL_RECORDS_READ] = records,
		[SPOOL_RECORDS_WRITTEN] = records,
		[SPOOL_PACKETS_WRITTEN] = packets};

	tail_release(t, ring, counts);
}

static void lost_is(uint64_t records, uint64_t packets, const char *what)
{
	tap_is_int(ledger_get(&ledger, LEDGER_sink_records_orphaned), records, "%s: records", what);
	tap_is_int(ledger_get(&ledger, LEDGER_sink_packets_orphaned), packets, "%s: packets", what);
}

static uint64_t to_tell(void)
{
	return spool.open.losses.of[RING_LOSS_FLOWS].count;
}

static void test_lost(void)
{
	struct tail t;

	make_ring(1000, 0, 0);
	tap_ok(attach(&t), "the first ring");
	written(&t, 5, 10);
	make_ring(1001, 30, 12);
	tap_ok(attach(&t), "the next, after both were killed");
	lost_is(7, 20, "what was in the first");
	tap_is_int(to_tell(), 20, "shall be told");
	tap_is_int(spool.open.losses.of[RING_LOSS_FLOWS].first_ns, 1001 * UINT64_C(1000000),
		"as of the time of the ring that says so");
	tap_ok(!attach(&t), "killed itself, it goes on in this ring");
	lost_is(7, 20, "counted once");
	tap_is_int(to_tell(), 20, "still to be told");
	written(&t, 3, 6);
	make_ring(1002, 36, 15);
	tap_ok(attach(&t), "a ring after one that was read to its end");
	lost_is(7, 20, "nothing more");
	tap_is_int(to_tell(), 0, "nothing to tell");
}

static void test_killed_meanwhile(void)
{
	struct tail t;

	make_ring(1003, 40, 17);
	attach(&t);
	lost_is(9, 24, "once more");
	ledger.file->source.epoch = 1002; /* the last step was not done */
	tap_ok(!attach(&t), "killed on the way");
	lost_is(9, 24, "counted once");
	tap_is_int(to_tell(), 4, "told once");
	/* Nothing was done but the ring's checkpoint. */
	ledger.file->source.epoch = 1002;
	ledger.file->value[LEDGER_sink_records_orphaned] -= 2;
	ledger.file->value[LEDGER_sink_packets_orphaned] -= 4;
	tap_ok(!attach(&t), "killed a little earlier");
	lost_is(9, 24, "counted");
	tap_is_int(to_tell(), 4, "told once");
}

static void test_anew(void)
{
	struct tail t;

	make_ring(1004, 0, 0);
	attach(&t);
	lost_is(9, 24, "enrich's ledger begins anew");
	written(&t, 1, 2);
	make_ring(1005, 5, 4);
	attach(&t);
	lost_is(12, 27, "and goes on");
	ledger_close(&ledger);
	if (ledger_open_anonymous(&ledger, LEDGER_OF_SINK) < 0)
		tap_bail("no ledger");
	make_ring(1006, 50, 40);
	attach(&t);
	lost_is(0, 0, "our own begins anew");
	make_ring(1007, 52, 41);
	attach(&t);
	lost_is(1, 2, "and goes on");
	tap_is_int(to_tell(), 2, "which is told");
}

int main(void)
{
	if (ledger_open_anonymous(&ledger, LEDGER_OF_SINK) < 0)
		tap_bail("no ledger");
	spool_init(&spool);
	test_lost();
	test_killed_meanwhile();
	test_anew();
	let_go();
	spool_deinit(&spool);
	ledger_close(&ledger);
	return tap_done();
}
