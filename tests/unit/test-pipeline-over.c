/* SPDX-License-Identifier: Apache-2.0 */
/* When a connection's end is told, its claims make room; not where it may be another flow as well.
 */
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "enrich/owner-internal.h"
#include "enrich/pipeline.h"
#include "enrich/steady.h"
#include "shm/packet.h"
#include "tap.h"

#define CLIENT 101u
#define SERVER 102u
#define PORT   443u
#define TAG    4u /* bytes of a VLAN */
#define STEP   UINT64_C(1000)

static const uint8_t home[16] = {[10] = 0xff, 0xff, 127, 0, 0, 1};

static struct config config;
static struct ledger ledger;
static struct owners *owners;
static struct ring_producer *producer;
static struct ring_consumer *consumer;
static struct pipeline *pipeline;
static uint64_t now_ns; /* the packets' clock */

static void begin(void)
{
	const struct tap_layout layout = {
		.version = TAP_VERSION, .cpus = 1, .data_pages = 1, .clockid = CLOCK_MONOTONIC};
	int fds[RING_FDS];
	struct timespec t;

	memset(&config, 0, sizeof(config));
	if (config_init(&config) || ledger_open_anonymous(&ledger, LEDGER_OF_ENRICH))
		tap_bail("no memory");
	config.enrich.sock_diag = false;
	config.enrich.procfs = CONFIG_PROCFS_OFF;
	if (owners_new(&config, &ledger, &owners) || owners_tap_begin(owners, &layout) ||
		ring_producer_new(RING_DATA_MIN, 1, RING_LOSS_RECORD_RING, &producer))
		tap_bail("no owners");
	owners->tap_ns = 1;
	ring_producer_fds(producer, fds);
	for (int i = 0; i < RING_FDS; i++)
		fds[i] = dup(fds[i]);
	if (ring_consumer_new(fds, &consumer) ||
		pipeline_new(&config, &ledger, owners, producer, 7, &pipeline))
		tap_bail("no pipeline");
	for (uint32_t pid = CLIENT; pid <= SERVER; pid++) {
		struct process *p = process_cache_get(owners->processes, pid, 1);

		p->start_ns = 1000;
		p->netns = owners->netns;
		p->flags |= PROCESS_COMPLETED;
	}
	clock_gettime(CLOCK_REALTIME, &t);
	now_ns = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void end(void)
{
	pipeline_free(pipeline);
	ring_consumer_free(consumer);
	ring_producer_free(producer);
	owners_free(owners);
	ledger_close(&ledger);
	config_deinit(&config);
}

static void tell(uint32_t pid, int from, int to, uint16_t sport, uint16_t dport)
{
	struct perf_record r = {.kind = PERF_KIND_STATE, .pid = pid, .tid = pid};

	now_ns += STEP;
	r.t_ns = steady_of_packet(now_ns);
	r.state = (struct perf_record_state){.protocol = IPPROTO_TCP,
		.family = AF_INET,
		.oldstate = from,
		.newstate = to,
		.sport = sport,
		.dport = dport,
		.skaddr = UINT64_C(0xffff888000000000) + sport};
	memcpy(r.state.src, home, sizeof(home));
	memcpy(r.state.dst, home, sizeof(home));
	owners_apply(owners, &r);
}

static void sees(bool back, uint16_t port, uint8_t flags, uint16_t vlan)
{
	uint16_t sport = htons(back ? PORT : port), dport = htons(back ? port : PORT);
	uint32_t seq = htonl((back ? 1000 : 0) + !(flags & 2)), ack = htonl((back ? 0 : 1000) + 1);
	uint8_t frame[sizeof(struct packet_head) + 14 + TAG + 40] = {0};
	uint32_t len = 14 + 40 + (vlan ? TAG : 0);
	struct packet_head head = {.caplen = len, .len = len, .ifindex = 1, .dlt = 1};
	uint8_t *b = frame + sizeof(head) + 12;
	struct ring_frame f = {.type = RING_FRAME_PACKET, .len = sizeof(head) + len};

	memcpy(frame, &head, sizeof(head));
	if (vlan) {
		memcpy(b, (uint8_t[]){0x81, 0, 0, (uint8_t)vlan}, TAG);
		b += TAG;
	}
	memcpy(b, (uint8_t[]){8, 0, 0x45, 0, 0, 40}, 6);
	b += 2;
	b[8] = 64;
	b[9] = IPPROTO_TCP;
	memcpy(b + 12, home + 12, 4);
	memcpy(b + 16, home + 12, 4);
	memcpy(b + 20, &sport, 2);
	memcpy(b + 22, &dport, 2);
	memcpy(b + 24, &seq, 4);
	memcpy(b + 28, &ack, 4);
	b[32] = 0x50;
	b[33] = flags;
	now_ns += STEP;
	f.t_ns = now_ns;
	if (pipeline_frame(pipeline, &f, frame) != 0)
		tap_bail("a frame was refused");
}

/* How many claims there are on the ends of the connection from @port. */
static unsigned claims(uint16_t port)
{
	const struct socket_scope scope = {.netns = owners->netns, .initial = true, .local = true};
	struct socket_key k = {.proto = IPPROTO_TCP, .local_port = port, .remote_port = PORT};
	uint64_t t_ns = steady_of_packet(now_ns);
	unsigned n;

	memcpy(k.local_addr, home, sizeof(home));
	memcpy(k.remote_addr, home, sizeof(home));
	n = sockets_connection(owners->sockets, &k, scope, 0, t_ns) != NULL;
	k.local_port = PORT;
	k.remote_port = port;
	return n + (sockets_connection(owners->sockets, &k, scope, 0, t_ns) != NULL);
}

static void open_both(uint16_t port, uint16_t vlan)
{
	tell(CLIENT, TCP_CLOSE, TCP_SYN_SENT, port, PORT);
	sees(false, port, 2, vlan);
	sees(true, port, 0x12, vlan);
}

/* The tap is asked about the closes of those who listen only. */
static void close_both(uint16_t port, uint16_t vlan)
{
	sees(false, port, 0x11, vlan);
	tell(SERVER, TCP_CLOSE_WAIT, TCP_LAST_ACK, PORT, port);
	sees(true, port, 0x11, vlan);
}

static void capture_elsewhere(void)
{
	const struct handover_netns_entry e = {.inode = 1, .pid = 1, .captured = 1};
	int fds[2] = {socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG),
		socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)};
	size_t number;

	if (netns_set_add(owners->spaces, &e, fds, false, &number) < 0)
		tap_bail("no namespace");
}

int main(void)
{
	begin();
	open_both(40000, 0);
	tap_is_int(claims(40000), 1, "open: the connect is known");
	close_both(40000, 0);
	tap_is_int(claims(40000), 0, "over: nothing is kept");
	tap_is_int(ledger_get(&ledger, LEDGER_enrich_owners_exact), 2,
		"both ends were named for certain");
	open_both(40001, 0);
	tell(SERVER, TCP_ESTABLISHED, TCP_CLOSE, PORT, 40001);
	sees(true, 40001, 4, 0);
	tap_is_int(claims(40001), 0, "a reset is an end as well");

	open_both(40002, 0);
	open_both(40003, 5);
	close_both(40003, 5);
	tap_is_int(claims(40003), 2, "with a VLAN's tag it may be another flow, too");
	close_both(40002, 0);
	tap_is_int(claims(40002), 2, "and so may one without, from then on");
	end();

	begin();
	capture_elsewhere();
	open_both(40000, 0);
	close_both(40000, 0);
	tap_is_int(claims(40000), 2, "likewise where another namespace is captured in");
	end();
	return tap_done();
}
