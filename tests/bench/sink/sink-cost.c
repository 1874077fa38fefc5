/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What sink costs for a record, without kernel and neighbours: records out of a ring in this
 * process, lines to a file nobody keeps.
 *
 *	sink-cost [RECORDS [BATCH [KIB [PATH]]]]
 *
 * Each record is a whole connection between two processes of this host with long command lines; its
 * times and numbers are another's, its addresses, ports and sizes sometimes. BATCH come between two
 * writes; KIB of memory are written in between, as others do to the caches. ECS goes to PATH,
 * /dev/null if there is none, by write(2). Prints CPU time per record without the first third.
 * Under callgrind, with --toggle-collect=take: instructions.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shm/ring.h"
#include "sink/loop-internal.h"
#include "unit/sink-build.h"

#define RING (8u << 20)

static struct loop loop;
static struct spool spool;
static struct daemon host;
static struct known known;
static struct record r;
static struct ring_producer *producer;

static void die(const char *what)
{
	fprintf(stderr, "sink-cost: %s\n", what);
	exit(1);
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint32_t below(uint32_t n)
{
	static uint64_t state = 88172645463325252;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 20) % n;
}

/* As many below 2 * @least as below 4, 8, ... times that. */
static uint32_t about(uint32_t least, unsigned doublings)
{
	uint32_t base = least << below(doublings + 1);

	return base + below(base);
}

#define PUT(to, s) build_str(&r, &(to), (s), sizeof(s) - 1)

static void put_process(struct record_process *p, uint32_t pid, enum record_method method)
{
	p->pid = pid;
	p->ppid = p->sid = 900;
	p->start_ns = BUILD_START - pid;
	p->uid = p->ruid = p->gid = 1000;
	p->loginuid = UINT32_MAX;
	p->method = (uint8_t)method;
	p->confidence = RECORD_CONFIDENCE_EXACT;
	p->cgroup_id = 8214;
	PUT(p->user, "service");
	PUT(p->group, "service");
	PUT(p->cgroup, "/system.slice/example.service");
	PUT(p->unit, "example.service");
	PUT(p->name, "example");
	PUT(p->parent_name, "systemd");
	PUT(p->ancestors, "900 run-example\0001 systemd\0");
	PUT(p->exe, "/usr/local/lib/example/bin/example");
	PUT(p->cwd, "/var/lib/example");
	PUT(p->args, "/usr/local/lib/example/bin/example\0--listen=127.0.0.1:8080\0--workers=16\0"
		     "--log-format=json\0--trace-sample=0.01\0");
}

static void build(void)
{
	build_record(&r);
	memset(&r.orig, 0, sizeof(r.orig));
	r.strings_len = 0;
	r.direction = RECORD_LOCAL;
	r.flags |= RECORD_FLAG_UNANNOUNCED | RECORD_FLAG_IP_BYTES;
	r.epoch = 1795824733328;
	r.flow_id = 0x1a21f7ecc9000031;
	r.connections = 1;
	PUT(r.ifname, "veth0");
	put_process(&r.orig, 1063, RECORD_METHOD_TAP_CONNECT);
	put_process(&r.resp, 1009, RECORD_METHOD_TAP_CLOSE);
}

static void vary(void)
{
	r.seq++;
	r.flow_id++;
	r.start_ns += 50000;
	r.end_ns = r.start_ns + about(100000, 10);
	r.t_ns = r.end_ns + about(1000, 6);
	r.rtt_ns = about(8000, 8);
	r.orig.latency_ns = r.resp.latency_ns = about(1000000, 5);
	r.orig_port = (uint16_t)(32768 + below(28000));
	r.resp_port = (uint16_t)(8080 + below(8) * !below(4));
	r.resp_addr[15] = (uint8_t)(1 + below(4) * !below(4));
	r.orig_bytes = r.delta_orig_bytes = below(4) ? 100 : about(16, 12);
	r.resp_bytes = r.delta_resp_bytes = below(2) ? 300 : about(16, 16);
	r.resp_packets = r.delta_resp_packets = 4 + r.resp_bytes / 1448;
	r.orig_packets = r.delta_orig_packets = 4 + r.resp_packets / 4;
	r.delta_packets = r.orig_packets + r.resp_packets;
	r.orig_ip_bytes = r.orig_bytes + 52 * r.orig_packets;
	r.resp_ip_bytes = r.resp_bytes + 52 * r.resp_packets;
}

static void setup(char *path)
{
	static struct format_context ctx;
	static const struct loop_options options = {.daemon = &host, .spool = &spool};
	static char format[] = "ecs";
	const struct config_output output = {.format = format, .path = path};
	const struct output *bad;
	struct output_error err;
	int fds[RING_FDS], why;
	bool resumed;

	build_context(&ctx);
	spool_init(&spool);
	if (config_init(&host.config) < 0 ||
		ledger_open_anonymous(&host.ledger, LEDGER_OF_SINK) < 0)
		die("no configuration");
	if (spool_add(&spool, &output, &ctx, false, host.config.output.buffer, &why, &err))
		die("no output");
	loop.o = &options;
	loop.spool = &spool;
	loop.ledger = &host.ledger;
	loop.known = &known;
	loop.tail = (struct tail){.spool = &spool, .ledger = &host.ledger};
	source_init(&loop.source);
	if (ring_producer_new(RING, 1, RING_LOSS_RECORD_RING, &producer) < 0)
		die("no ring");
	ring_producer_fds(producer, fds);
	for (int i = 0; i < RING_FDS; i++)
		fds[i] = dup(fds[i]);
	if (ring_consumer_new(fds, &loop.source.ring) < 0 ||
		tail_attach(&loop.tail, loop.source.ring, &resumed, &bad) < 0)
		die("no consumer");
	loop.source.done = true;
}

static void put(unsigned batch)
{
	for (unsigned i = 0; i < batch; i++) {
		vary();
		if (ring_put(producer, RING_FRAME_RECORD, 0, r.t_ns, r.delta_packets, &r,
			    record_size(&r), NULL, 0))
			die("the ring is too small for a batch");
	}
	if (ring_commit(producer) < 0)
		die("the ring");
}

/* As loop_run() does it: reads and writes, until all of the batch is written. */
static __attribute__((noinline)) void take(void)
{
	loop.now_ns += 40 * MS;
	do {
		loop.now_ns += MS;
		loop_read(&loop);
		loop_seal(&loop);
		loop_write(&loop);
	} while (!loop.empty || !spool_is_clean(&spool));
	loop.empty = false;
}

int main(int argc, char **argv)
{
	static char nowhere[] = "/dev/null";
	unsigned total = argc > 1 ? (unsigned)atoi(argv[1]) : 300000;
	unsigned batch = argc > 2 ? (unsigned)atoi(argv[2]) : 240;
	size_t thrash = (argc > 3 ? (size_t)atoi(argv[3]) : 0) << 10, counted = 0;
	uint8_t *others = calloc(1, thrash + 1);
	uint64_t spent = 0, begin;

	if (!batch || !others)
		die("no memory");
	setup(argc > 4 ? argv[4] : nowhere);
	build();
	for (unsigned n = 0; n < total; n += batch) {
		put(batch);
		for (size_t i = 0; i < thrash; i += 64)
			others[i]++;
		begin = cpu_ns();
		take();
		if (n >= total / 3) {
			spent += cpu_ns() - begin;
			counted += batch;
		}
	}
	printf("records %llu ns %.0f bytes %.0f invalid %llu\n",
		(unsigned long long)ledger_get(loop.ledger, LEDGER_sink_records_written),
		counted ? (double)spent / (double)counted : 0,
		(double)ledger_get(loop.ledger, LEDGER_sink_bytes_written) /
			(double)ledger_get(loop.ledger, LEDGER_sink_records_written),
		(unsigned long long)ledger_get(loop.ledger, LEDGER_sink_records_invalid));
	return 0;
}
