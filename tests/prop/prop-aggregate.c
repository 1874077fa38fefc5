/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random ended connections through the aggregate against a model: sums over what comes out are sums
 * over what went in, nothing is held longer than its window, and only what is alike is joined.
 */
#include "enrich/aggregate.h"
#include "tap.h"
#include "unit/sink-build.h"

#define SECOND  UINT64_C(1000000000)
#define WINDOW  (10 * SECOND)
#define CLIENTS 40u

struct sums {
	uint64_t connections, packets, delta, orig, resp, delta_bytes, ip, retransmits;
};

struct world {
	struct sums in[CLIENTS], out[CLIENTS];
	uint64_t now_ns, records, wrong, summaries, singles;
};

static struct world world;
static struct record r;

static void add(struct sums *s, const struct record *record)
{
	s->connections += record->connections;
	s->packets += record->orig_packets + record->resp_packets;
	s->delta += record->delta_packets;
	s->orig += record->orig_bytes;
	s->resp += record->resp_bytes;
	s->delta_bytes += record->delta_orig_bytes;
	s->ip += record->resp_ip_bytes;
	s->retransmits += record->retransmits;
}

static int put(void *arg, struct record *record, uint64_t t_ns)
{
	struct world *w = arg;
	unsigned client = record->orig.pid;

	(void)t_ns;

	w->records++;
	w->summaries += record->event == RECORD_SUMMARY && record->connections > 1;
	w->singles += record->event == RECORD_END && record->connections == 1;
	w->wrong += record_check(record, record_size(record)) != 0;
	w->wrong +=
		client >= CLIENTS || record->resp_port != client % 7 || record->state != client % 3;
	if (client < CLIENTS)
		add(&w->out[client], record);
	return 0;
}

static void build_end(unsigned client)
{
	build_record(&r);
	r.orig.pid = client;
	r.resp_port = (uint16_t)(client % 7);
	r.state = (uint8_t)(client % 3);
	r.orig_port = (uint16_t)rand();
	r.orig_bytes = (uint64_t)rand() % 5000;
	r.resp_bytes = (uint64_t)rand() % 5000;
	r.orig_packets = (uint64_t)rand() % 50;
	r.resp_packets = (uint64_t)rand() % 50;
	r.delta_packets = r.orig_packets + r.resp_packets - (uint64_t)rand() % 2 * r.resp_packets;
	r.delta_orig_bytes = r.orig_bytes / 2;
	r.resp_ip_bytes = r.resp_bytes + 40;
	r.retransmits = (uint32_t)rand() % 3;
	r.connections = 1;
	r.end_ns = world.now_ns;
	r.start_ns = world.now_ns - (uint64_t)rand() % SECOND;
	r.t_ns = world.now_ns;
}

static void run(uint32_t max, unsigned n)
{
	const uint64_t seed[2] = {1, 2};
	uint64_t held = 0, unbalanced = 0, overdue = 0, evicted;
	struct aggregate *a = NULL;

	memset(&world, 0, sizeof(world));
	world.now_ns = BUILD_START;
	tap_is_int(aggregate_new(WINDOW, max, seed, put, &world, &a), 0, "%u windows", max);
	for (unsigned i = 0; i < n; i++) {
		unsigned client = (unsigned)rand() % CLIENTS;
		uint64_t in = 0, out = 0;

		world.now_ns += (uint64_t)rand() % (rand() % 50 ? SECOND / 10 : 3 * WINDOW);
		if (rand() % 3 == 0)
			aggregate_expire(a, world.now_ns);
		build_end(client);
		add(&world.in[client], &r);
		aggregate_add(a, &r, world.now_ns);
		overdue += aggregate_next_ns(a) <= world.now_ns;
		for (unsigned c = 0; c < CLIENTS; c++) {
			in += world.in[c].delta;
			out += world.out[c].delta;
		}
		unbalanced += in != out + aggregate_packets(a);
	}
	evicted = aggregate_evicted(a);
	held = aggregate_packets(a);
	tap_ok(held > 0 && aggregate_next_ns(a) != UINT64_MAX, "something is held at the end");
	aggregate_finish(a);
	tap_ok(!aggregate_packets(a) && aggregate_next_ns(a) == UINT64_MAX, "then nothing is");
	tap_is_int(memcmp(world.in, world.out, sizeof(world.in)), 0,
		"of each client, what comes out sums up to what went in");
	tap_is_int(unbalanced, 0, "packets are held or put at any time");
	tap_is_int(overdue, 0, "no window is open after its end");
	tap_is_int(world.wrong, 0, "only like connections were joined");
	tap_ok(world.summaries && world.singles && world.summaries + world.singles == world.records,
		"%d summaries, %d single ones", (int)world.summaries, (int)world.singles);
	tap_ok(max < CLIENTS ? evicted > 0 : evicted == 0, "%d closed early", (int)evicted);
	aggregate_free(a);
}

static struct record last;

static int keep(void *arg, struct record *record, uint64_t t_ns)
{
	(void)t_ns;
	memcpy(&last, record, record_size(record));
	++*(unsigned *)arg;
	return 0;
}

/* Each thing that tells connections apart, and what a summary says of those it joins. */
static void test_alike(void)
{
	static const char *const what[] = {"responder's port", "protocol", "state", "pid",
		"start of the process", "user", "remote address", "direction", "namespace",
		"program", "confidence", "VLAN", "local address", "its port"};
	const uint64_t seed[2] = {3, 4};
	const unsigned cases = sizeof(what) / sizeof(what[0]);

	for (unsigned i = 0; i < cases; i++) {
		struct aggregate *a = NULL;
		unsigned n = 0;

		aggregate_new(WINDOW, 16, seed, keep, &n, &a);
		build_record(&r);
		r.connections = 1;
		aggregate_add(a, &r, 1);
		r.resp_port += i == 0;
		r.proto = i == 1 ? 17 : r.proto;
		r.state = i == 2 ? RECORD_STATE_REJ : r.state;
		r.orig.pid += i == 3;
		r.orig.start_ns += i == 4;
		r.orig.uid += i == 5;
		r.resp_addr[15] ^= i == 6;
		r.direction = i == 7 ? RECORD_LOCAL : r.direction;
		if (i == 8)
			build_str(&r, &r.netns, "x", 1);
		if (i == 9)
			build_str(&r, &r.orig.exe, "/x", 2);
		r.orig.confidence -= i == 10;
		r.vlan += i == 11;
		r.orig_addr[15] ^= i == 12;
		r.orig_port += i == 13;
		aggregate_add(a, &r, 2);
		aggregate_finish(a);
		tap_is_int(n, i == 13 ? 1 : 2, "another %s", what[i]);
		aggregate_free(a);
	}
	tap_ok(last.event == RECORD_SUMMARY && last.connections == 2 && last.orig_bytes == 200 &&
			last.orig_port == 50001,
		"a summary has sums, and the rest of the last");
}

static void test_flags(void)
{
	const uint64_t seed[2] = {3, 4};
	struct aggregate *a = NULL;
	unsigned n = 0;

	aggregate_new(WINDOW, 16, seed, keep, &n, &a);
	build_record(&r);
	r.connections = 1;
	r.flags = RECORD_FLAG_ORIG_BYTES | RECORD_FLAG_LOSS_WINDOW | RECORD_FLAG_UNCHANGED;
	aggregate_add(a, &r, 1);
	r.start_ns -= 500;
	r.end_ns -= 600;
	r.flags = RECORD_FLAG_ORIG_BYTES | RECORD_FLAG_RESP_BYTES | RECORD_FLAG_UNCHANGED;
	aggregate_add(a, &r, 2);
	tap_is_int(aggregate_next_ns(a), WINDOW + 1, "the first opens the window");
	aggregate_expire(a, WINDOW);
	tap_is_int(n, 0, "not over yet");
	aggregate_expire(a, WINDOW + 1);
	tap_is_int(n, 1, "over");
	tap_is_int(last.flags, RECORD_FLAG_ORIG_BYTES | RECORD_FLAG_LOSS_WINDOW,
		"known is what is known of all, a loss that of any");
	tap_ok(last.start_ns == r.start_ns && last.end_ns == r.end_ns + 600,
		"from the first start to the last end");
	aggregate_add(a, &r, 1);
	tap_is_int(aggregate_next_ns(a), 2 * WINDOW + 1, "a clock that goes back stands still");
	aggregate_finish(a);
	tap_ok(last.event == RECORD_END && last.flags == (r.flags | RECORD_FLAG_UNANNOUNCED),
		"one that stayed alone is an end that nothing announced");
	aggregate_free(a);
	aggregate_free(NULL);
}

int main(void)
{
	srand(11);
	run(64, 20000);
	run(7, 20000);
	test_alike();
	test_flags();
	return tap_done();
}
