/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill -9 of enrich at every instruction of two batches: reading, publishing, counting, releasing.
 * After EVERY instruction the books are looked at as the next life would find and mend them: what
 * is counted as read is what will not be read again, what is counted as published is what sink
 * finds in the ring, packet by packet and loss by loss.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "enrich/pipeline.h"
#include "shm/journal.h"
#include "shm/packet.h"
#include "shm/ring-internal.h"
#include "tap.h"

#define BATCHES 2
#define PACKETS 6 /* of a batch, behind one loss */
#define LOST    3 /* packets in it */
#define EPOCH   77

struct ends {
	struct ring_producer *p;
	struct ring_consumer *c;
	struct ring_page_b *b; /* private copy: looking must not touch the real one */
};

static struct ends in, out;
static struct ledger ledger;
static struct ledger_file copy;
static struct config config;

/* What stands in the ring to sink, in the ring from capture up to some index. */
struct content {
	uint64_t records, packets, told, lost;
};

static uint64_t points, wrong, wrong_unkept, wrong_unmended;

static void put_packet(uint16_t port)
{
	/* UDP 10.0.0.1:port > 10.0.0.2:9, without checksums. */
	uint8_t bytes[28] = {0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2};
	const struct packet_head head = {.caplen = 28, .len = 28, .ifindex = 1, .dlt = 12};

	bytes[20] = (uint8_t)(port >> 8);
	bytes[21] = (uint8_t)port;
	bytes[23] = 9;
	bytes[25] = 8;
	if (ring_put(
		    in.p, RING_FRAME_PACKET, 0, 1000, 1, &head, sizeof(head), bytes, sizeof(bytes)))
		tap_bail("the packet ring is full");
}

static void fill(void)
{
	const struct ring_loss loss = {RING_LOSS_KERNEL, 0, LOST, LOST, 1, 2};

	for (int b = 0; b < BATCHES; b++) {
		if (ring_put_loss(in.p, &loss, 2) < 0)
			tap_bail("no loss");
		for (int i = 0; i < PACKETS; i++) /* two of each connection: one stays open */
			put_packet((uint16_t)(2000 + b * PACKETS + i / 2));
	}
	if (ring_commit(in.p) < 0)
		tap_bail("no commit");
}

static int batch(struct pipeline *pipeline)
{
	static _Alignas(8) uint8_t body[RING_BODY_MAX];
	struct ring_frame frame;

	for (int i = 0; i < PACKETS + 1; i++)
		if (ring_get(in.c, body, &frame) || pipeline_frame(pipeline, &frame, body))
			return -1;
	if (pipeline_commit(pipeline, false) < 0)
		return -1;
	pipeline_release(pipeline, in.c);
	return 0;
}

static void child(void)
{
	struct pipeline *pipeline;

	if (pipeline_new(&config, &ledger, NULL, out.p, EPOCH, &pipeline) < 0)
		_exit(3);
	pipeline_attach(pipeline, in.c);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		_exit(2);
	raise(SIGSTOP);
	for (int i = 0; i < BATCHES; i++)
		if (batch(pipeline))
			_exit(4);
	_exit(0);
}

/* Adds up the frames from the start of the ring to @to. */
static struct content content(const struct ends *e, uint64_t to)
{
	static _Alignas(struct record) uint8_t body[RING_BODY_MAX];
	const struct record *record = (const struct record *)(const void *)body;
	struct content sum = {0};
	struct ring_consumer *c;
	struct ring_frame frame;
	struct ring_loss loss;

	memset(e->b, 0, sizeof(*e->b));
	if (ring_consumer_on_memory(e->p->a, RING_PAGE + RING_DATA_MIN, e->b, -1, &c))
		tap_bail("the ring is broken");
	while (ring_consumer_pos(c) != to && ring_get(c, body, &frame) == 0) {
		if (frame.type == RING_FRAME_LOSS) {
			memcpy(&loss, body, sizeof(loss));
			sum.lost += loss.count;
			sum.told++;
			continue;
		}
		sum.records++;
		sum.packets += frame.type == RING_FRAME_RECORD ? record->delta_packets : 1;
	}
	if (ring_consumer_pos(c) != to)
		tap_bail("no frame ends there");
	ring_consumer_free(c);
	return sum;
}

static bool head_kept(const void *arg, uint64_t epoch, uint64_t *ret_head)
{
	(void)arg;
	*ret_head = __atomic_load_n(&out.p->a->head, __ATOMIC_RELAXED);
	return epoch == EPOCH;
}

static bool head_unknown(const void *arg, uint64_t epoch, uint64_t *ret_head)
{
	(void)arg, (void)epoch, (void)ret_head;
	return false;
}

static bool agree(const struct ledger *l, uint64_t in_pos)
{
	struct content read = content(&in, in_pos);
	struct content sent = content(&out, __atomic_load_n(&out.p->a->head, __ATOMIC_RELAXED));

	return ledger_get(l, LEDGER_enrich_packets_read) == read.packets &&
	       ledger_get(l, LEDGER_enrich_packets_logged) == sent.packets &&
	       ledger_get(l, LEDGER_enrich_records_published) == sent.records &&
	       ledger_get(l, LEDGER_enrich_packets_open) == read.packets - sent.packets &&
	       sent.lost == read.lost;
}

/* The books as the next life finds them. */
static bool is_mended(
	bool (*head_of)(const void *arg, uint64_t epoch, uint64_t *ret_head), uint64_t tail)
{
	struct ledger l = {.file = &copy};
	struct ledger_place from;

	memcpy(&copy, ledger.file, sizeof(copy));
	journal_recover(&l, head_of, NULL);
	from = journal_from(&l);
	if (from.epoch == in.c->epoch && from.tail == tail)
		tail = from.pos;
	return agree(&l, tail);
}

/* The child stands still. Nothing to look at unless something has changed that it leaves behind. */
static void look(void)
{
	static struct ledger_file last;
	static uint64_t last_head, last_tail;
	uint64_t head = __atomic_load_n(&out.p->a->head, __ATOMIC_RELAXED);
	uint64_t tail = __atomic_load_n(&in.c->b->tail, __ATOMIC_RELAXED);

	points++;
	if (points > 1 && head == last_head && tail == last_tail &&
		!memcmp(&last, ledger.file, sizeof(last)))
		return;
	last_head = head;
	last_tail = tail;
	memcpy(&last, ledger.file, sizeof(last));
	wrong += !is_mended(head_kept, tail);
	wrong_unkept += !is_mended(head_unknown, tail);
	wrong_unmended += !agree(&ledger, tail);
}

static int step(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return -1;
	for (;;) {
		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) < 0)
			return -1;
		if (waitpid(pid, &status, 0) != pid)
			return -1;
		if (WIFEXITED(status))
			return WEXITSTATUS(status);
		if (WIFSIGNALED(status) || WSTOPSIG(status) != SIGTRAP)
			return -1;
		look();
	}
}

static void setup(void)
{
	char path[] = "/tmp/flowner-step-XXXXXX";
	int fd = mkstemp(path);

	if (fd < 0 || config_init(&config) < 0 || ledger_open(&ledger, path, LEDGER_OF_ENRICH) < 0)
		tap_bail("no ledger");
	config.enrich.start_after_ns = 0; /* a record at once */
	close(fd);
	unlink(path);
	if (ring_pair_on_memory(RING_DATA_MIN, 5, RING_LOSS_PACKET_RING, &in.p, &in.c) ||
		ring_pair_on_memory(RING_DATA_MIN, EPOCH, RING_LOSS_RECORD_RING, &out.p, &out.c))
		tap_bail("no ring");
	in.b = aligned_alloc(RING_LINE, sizeof(*in.b));
	out.b = aligned_alloc(RING_LINE, sizeof(*out.b));
	if (!in.b || !out.b)
		tap_bail("no memory");
	fill();
}

int main(void)
{
	pid_t pid;

	setup();
	pid = fork();
	if (pid == 0)
		child();
	tap_is_int(step(pid), 0, "enrich's part ran to its end");
	tap_ok(points > 1000, "stepped through %llu instructions", (unsigned long long)points);
	tap_is_int(wrong, 0, "the books agree with the rings at every instruction");
	tap_is_int(wrong_unkept, BATCHES,
		"without a supervisor only one store is in between, once a batch");
	tap_ok(wrong_unmended > 2 * BATCHES, "and would not agree as they were found (%llu times)",
		(unsigned long long)wrong_unmended);
	tap_is_int(
		ledger_get(&ledger, LEDGER_enrich_packets_read), BATCHES * PACKETS, "all was read");
	tap_is_int(ledger_get(&ledger, LEDGER_enrich_packets_logged), BATCHES * PACKETS / 2,
		"the first of each connection is logged");
	tap_is_int(content(&out, out.p->a->head).told, BATCHES, "each loss is told once");
	ring_consumer_free(in.c);
	ring_consumer_free(out.c);
	ring_producer_free(in.p);
	ring_producer_free(out.p);
	ledger_close(&ledger);
	config_deinit(&config);
	free(in.b);
	free(out.b);
	return tap_done();
}
