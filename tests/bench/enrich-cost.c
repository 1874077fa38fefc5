/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What enrich costs for a connection, without kernel and neighbours: tap events and packets from
 * memory, records into a ring that is emptied unread.
 *
 *	enrich-cost [CONNECTIONS [BATCH [KIB]]]
 *
 * Each connection: one connect and one close told by the tap, four packets (SYN, SYN-ACK, two FIN),
 * two records with both owners. BATCH connections come between two commits; KIB of memory are
 * written in between, as others do to the caches. Prints CPU time per connection without the first
 * third, and how many were named. Under callgrind: instructions.
 */
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "enrich/owner-internal.h"
#include "enrich/pipeline.h"
#include "enrich/steady.h"
#include "shm/packet.h"
#include "shm/ring-internal.h"

#define PAGES      128u
#define CLIENT     101u
#define SERVER     102u
#define PORT       443u
#define FIRST_PORT 32768u
#define PORTS      28232u
#define STEP_NS    UINT64_C(1000) /* less than one takes: packets are from a moment ago */
#define ID_LIFE    1u
#define ID_STATE   2u

struct event {
	struct perf_event_header header;
	uint64_t id;
	uint32_t pid, tid;
	uint64_t t_ns;
	uint32_t raw_size;
	uint32_t flags; /* the raw data: common_flags first */
	uint64_t skaddr;
	int32_t oldstate, newstate;
	uint16_t sport, dport, family, protocol;
	uint8_t saddr[4], daddr[4];
	uint8_t pad[4];
};

#define FIELD(name, size)                                                                          \
	{                                                                                          \
		offsetof(struct event, name) - offsetof(struct event, flags), size                 \
	}

static const struct tap_layout layout = {
	.version = TAP_VERSION,
	.cpus = 1,
	.data_pages = PAGES,
	.clockid = CLOCK_MONOTONIC,
	.live = 1u << TAP_STATE,
	.sample_type[TAP_STATE] =
		PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_RAW,
	.state =
		{
			[TAP_STATE_FLAGS] = FIELD(flags, 1),
			[TAP_STATE_SKADDR] = FIELD(skaddr, 8),
			[TAP_STATE_OLDSTATE] = FIELD(oldstate, 4),
			[TAP_STATE_NEWSTATE] = FIELD(newstate, 4),
			[TAP_STATE_SPORT] = FIELD(sport, 2),
			[TAP_STATE_DPORT] = FIELD(dport, 2),
			[TAP_STATE_FAMILY] = FIELD(family, 2),
			[TAP_STATE_PROTOCOL] = FIELD(protocol, 2),
			[TAP_STATE_SADDR] = FIELD(saddr, 4),
			[TAP_STATE_DADDR] = FIELD(daddr, 4),
		},
};

static struct perf_event_mmap_page *page;
static struct owners *owners;
static struct pipeline *pipeline;
static struct ring_consumer *consumer;

static void die(const char *what)
{
	fprintf(stderr, "enrich-cost: %s\n", what);
	exit(1);
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void begin_process(uint32_t pid, const char *name)
{
	struct process *p = process_cache_get(owners->processes, pid, 1);
	char path[64], args[96];
	int n;

	if (!p)
		die("no process");
	process_set_comm(p->comm, name, strlen(name));
	n = snprintf(path, sizeof(path), "/usr/local/lib/example/bin/%s", name);
	process_set_exe(p, path, (size_t)n);
	n = snprintf(args, sizeof(args), "%s%c--port%c443%c--address%c127.0.0.1", path, 0, 0, 0, 0);
	process_set_args(p, args, (size_t)n + 1, 4096, false);
	p->start_ns = 1000;
	p->ppid = 1;
	p->netns = owners->netns;
	p->flags |= PROCESS_COMPLETED;
}

static void setup(void)
{
	static struct config config;
	static struct ledger ledger;
	const uint64_t ids[TAP_IDS] = {[TAP_LIFE] = ID_LIFE, [TAP_STATE] = ID_STATE};
	static struct ring_producer *producer;
	int fds[RING_FDS];

	if (config_init(&config) < 0 || ledger_open_anonymous(&ledger, LEDGER_OF_ENRICH) < 0)
		die("no configuration");
	config.enrich.procfs = CONFIG_PROCFS_OFF;
	page = mmap(NULL, (1 + PAGES) * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		-1, 0);
	if (page == MAP_FAILED || owners_new(&config, &ledger, &owners) < 0 ||
		owners_tap_begin(owners, &layout) < 0 ||
		tap_reader_add_memory(owners->tap, page, ids) < 0)
		die("no owners");
	owners->tap_ns = 1;
	if (ring_producer_new(config.enrich.ring, 1, RING_LOSS_RECORD_RING, &producer) < 0)
		die("no ring");
	ring_producer_fds(producer, fds);
	for (int i = 0; i < RING_FDS; i++)
		fds[i] = dup(fds[i]);
	if (ring_consumer_new(fds, &consumer) < 0 ||
		pipeline_new(&config, &ledger, owners, producer, 7, &pipeline) < 0)
		die("no pipeline");
	begin_process(CLIENT, "client");
	begin_process(SERVER, "server");
}

static void tell(uint32_t pid, uint64_t t_ns, int from, int to, uint16_t sport, uint16_t dport)
{
	struct event e = {
		.header = {.type = PERF_RECORD_SAMPLE, .size = sizeof(e)},
		.id = ID_STATE,
		.pid = pid,
		.tid = pid,
		.t_ns = t_ns - steady_of_monotonic(0),
		.raw_size = sizeof(e) - offsetof(struct event, flags),
		.skaddr = UINT64_C(0xffff888000000000) + sport,
		.oldstate = from,
		.newstate = to,
		.sport = sport,
		.dport = dport,
		.family = AF_INET,
		.protocol = IPPROTO_TCP,
		.saddr = {127, 0, 0, 1},
		.daddr = {127, 0, 0, 1},
	};
	uint64_t at = page->data_head & (PAGES * 4096 - 1);
	uint8_t *data = (uint8_t *)page + 4096;

	for (size_t i = 0; i < sizeof(e); i++)
		data[(at + i) & (PAGES * 4096 - 1)] = ((uint8_t *)&e)[i];
	__atomic_store_n(&page->data_head, page->data_head + sizeof(e), __ATOMIC_RELEASE);
}

struct packet {
	struct packet_head head;
	uint8_t bytes[16 + 20 + 20];
};

static void make(struct packet *p, bool back, uint16_t port, uint8_t flags, uint32_t n)
{
	uint16_t sport = htons(back ? PORT : port), dport = htons(back ? port : PORT);
	uint32_t seq = htonl(n * 7 + (back ? 1000 : 0) + !(flags & 2)),
		 ack = htonl(n * 7 + (back ? 0 : 1000) + 1);
	uint8_t *b = p->bytes;

	memset(p, 0, sizeof(*p));
	p->head = (struct packet_head){.caplen = sizeof(p->bytes) - 2,
		.len = sizeof(p->bytes) - 2,
		.ifindex = 1,
		.dlt = 1};
	b[12] = 8; /* Ethernet, IPv4 */
	b += 14;
	b[0] = 0x45;
	b[3] = 40;
	b[8] = 64;
	b[9] = IPPROTO_TCP;
	b[12] = b[16] = 127;
	b[15] = b[19] = 1;
	b += 20;
	memcpy(b, &sport, 2);
	memcpy(b + 2, &dport, 2);
	memcpy(b + 4, &seq, 4);
	memcpy(b + 8, &ack, 4);
	b[12] = 0x50;
	b[13] = flags;
}

int main(int argc, char **argv)
{
	unsigned total = argc > 1 ? (unsigned)atoi(argv[1]) : 300000;
	unsigned batch = argc > 2 ? (unsigned)atoi(argv[2]) : 200;
	size_t thrash = (argc > 3 ? (size_t)atoi(argv[3]) : 0) << 10, counted = 0;
	struct packet *packets;
	uint64_t now = steady_now_ns(), spent = 0, begin;
	uint8_t *others = calloc(1, thrash + 1);

	if (!batch || !(packets = calloc(batch, 4 * sizeof(*packets))) || !others)
		die("no memory");
	setup();
	tell(SERVER, now, TCP_CLOSE, TCP_LISTEN, PORT, 0);
	for (unsigned n = 0; n < total; n += batch) {
		steady_look();
		if (steady_now_ns() > now + batch * STEP_NS)
			now = steady_now_ns() - batch * STEP_NS;
		for (unsigned i = 0; i < batch; i++) {
			uint16_t port = (uint16_t)(FIRST_PORT + (n + i) % PORTS);
			struct packet *p = packets + (size_t)4 * i;

			tell(CLIENT, now + 1, TCP_CLOSE, TCP_SYN_SENT, port, PORT);
			tell(SERVER, now + STEP_NS * 8 / 10, TCP_CLOSE_WAIT, TCP_LAST_ACK, PORT,
				port);
			make(p, false, port, 2, n + i);
			make(p + 1, true, port, 0x12, n + i);
			make(p + 2, false, port, 0x11, n + i);
			make(p + 3, true, port, 0x11, n + i);
			now += STEP_NS;
		}
		for (size_t i = 0; i < thrash; i += 64)
			others[i]++;
		begin = cpu_ns();
		for (unsigned i = 0; i < 4 * batch; i++) {
			struct ring_frame f = {.type = RING_FRAME_PACKET,
				.len = sizeof(struct packet_head) + packets[i].head.caplen,
				.t_ns = now - (batch - i / 4) * STEP_NS +
					(i % 4 * 2 + 3) * STEP_NS / 10};

			if (pipeline_frame(pipeline, &f, &packets[i]) != 0)
				die("a frame was refused");
		}
		if (pipeline_commit(pipeline, false) != 0)
			die("commit");
		pipeline_expire(pipeline, now);
		if (n >= total / 3) {
			spent += cpu_ns() - begin;
			counted += batch;
		}
		(void)ring_consumer_waiting(consumer);
		consumer->cursor = consumer->head;
		ring_release(consumer);
	}
	printf("connections %u ns %.0f exact %llu started %llu ended %llu records %llu lost %llu\n",
		total, (double)spent / (double)counted,
		(unsigned long long)ledger_get(owners->ledger, LEDGER_enrich_owners_exact),
		(unsigned long long)ledger_get(owners->ledger, LEDGER_enrich_flows_started),
		(unsigned long long)ledger_get(owners->ledger, LEDGER_enrich_flows_ended),
		(unsigned long long)ledger_get(owners->ledger, LEDGER_enrich_records_published),
		(unsigned long long)ledger_get(owners->ledger, LEDGER_enrich_records_lost));
	return 0;
}
