/* SPDX-License-Identifier: Apache-2.0 */
/* What single events make of the verdict: connects, closes, kernel's own, protocols without ports.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "enrich/owner-internal.h"
#include "put-addr.h"
#include "tap.h"

#define S    UINT64_C(1000000000)
#define HERE "127.0.0.1"
#define FAR  "192.0.2.7"

/* A namespace nobody knows: no claim has to be of it, each local address is one of its own. */
#define NETNS 9u

static struct owners *o;
static struct ledger ledger;
static struct config config;
static struct tap_layout layout;
static uint64_t t0; /* all times are counted from here, in seconds or parts */

static void begin(void)
{
	memset(&config, 0, sizeof(config));
	if (config_init(&config) || ledger_open_anonymous(&ledger, LEDGER_OF_ENRICH))
		tap_bail("no memory");
	config.enrich.sock_diag = false;
	config.enrich.procfs = CONFIG_PROCFS_OFF;
	layout = (struct tap_layout){
		.version = TAP_VERSION, .cpus = 1, .data_pages = 1, .clockid = CLOCK_MONOTONIC};
	if (owners_new(&config, &ledger, &o) || owners_tap_begin(o, &layout))
		tap_bail("no owners");
	t0 = o->tap_ns;
	o->init_pidns = true;
}

static void end(void)
{
	owners_free(o);
	ledger_close(&ledger);
	config_deinit(&config);
}

static struct perf_record event(enum perf_record_kind kind, uint32_t pid, uint64_t t_ns)
{
	return (struct perf_record){.kind = kind, .pid = pid, .tid = pid, .t_ns = t0 + t_ns};
}

static void looks_up(uint32_t pid, uint8_t proto, uint8_t flags, bool bh_off, uint16_t sport,
	const char *to, uint16_t dport, uint64_t t_ns)
{
	struct perf_record r = event(PERF_KIND_ROUTE, pid, t_ns);

	r.bh_off = bh_off;
	r.route = (struct perf_record_route){
		.proto = proto, .flags = flags, .sport = sport, .dport = dport};
	put_addr(r.route.src, "0.0.0.0");
	put_addr(r.route.dst, to);
	owners_apply(o, &r);
}

static void turns(uint32_t pid, uint16_t protocol, int from, int to, bool bh_off, uint16_t sport,
	uint16_t dport, uint64_t t_ns)
{
	struct perf_record r = event(PERF_KIND_STATE, pid, t_ns);

	r.bh_off = bh_off;
	r.state = (struct perf_record_state){.protocol = protocol,
		.family = AF_INET,
		.oldstate = from,
		.newstate = to,
		.sport = sport,
		.dport = dport,
		.skaddr = 0xffff888000000000u + sport};
	put_addr(r.state.src, HERE);
	put_addr(r.state.dst, to == TCP_LISTEN ? "0.0.0.0" : FAR);
	owners_apply(o, &r);
}

static void forks(uint32_t parent, uint32_t pid, uint64_t t_ns)
{
	struct perf_record r = event(PERF_KIND_FORKED, pid, t_ns);

	r.fork.ppid = parent;
	owners_apply(o, &r);
}

static void runs(uint32_t pid, const char *comm, uint64_t t_ns)
{
	struct perf_record r = event(PERF_KIND_NAMED, pid, t_ns);

	r.named.exec = true;
	r.named.comm = (struct perf_bytes){.bytes = comm, .len = strlen(comm)};
	owners_apply(o, &r);
}

static void loses(uint64_t t_ns)
{
	struct perf_record r = event(PERF_KIND_DROPPED, 0, t_ns);

	owners_apply(o, &r);
}

enum end { ORIG, RESP };

static struct owner asked;

/* The same once more: what was answered stays if it is better. */
static uint32_t ask_again(enum end end, uint8_t proto, uint16_t local, uint16_t remote,
	uint64_t start_ns, uint64_t t_ns)
{
	struct owner_query q = {.family = 4,
		.proto = proto,
		.initiator = end == ORIG,
		.responder = end == RESP,
		.netns = NETNS,
		.local_port = local,
		.remote_port = remote,
		.start_ns = t0 + start_ns,
		.t_ns = t0 + t_ns};

	put_addr(q.local_addr, HERE);
	put_addr(q.remote_addr, FAR);
	if (!owners_ask(o, &q, &asked))
		owners_settle(o, true);
	return asked.process ? asked.process->pid : 0;
}

/* Asks as of @t_ns for our end of a connection with FAR begun at @start_ns; its pid, 0 = none. */
static uint32_t ask(enum end end, uint8_t proto, uint16_t local, uint16_t remote, uint64_t start_ns,
	uint64_t t_ns)
{
	owner_deinit(&asked);
	return ask_again(end, proto, local, remote, start_ns, t_ns);
}

static bool is(enum record_method method, enum record_confidence sure)
{
	return asked.method == method && asked.confidence == sure;
}

static void test_connect(void)
{
	begin();
	looks_up(11, IPPROTO_TCP, 0, false, 40000, FAR, 80, S);
	tap_is_int(ask(ORIG, IPPROTO_TCP, 40000, 80, S + 1, S + 1), 11,
		"a kernel without the mark: any lookup with ports is a connect");
	looks_up(12, IPPROTO_TCP, PERF_ROUTE_ANY_SPORT, false, 40001, FAR, 80, 2 * S);
	tap_is_int(ask(ORIG, IPPROTO_TCP, 40001, 80, 2 * S + 1, 2 * S + 1), 12, "a marked connect");
	looks_up(13, IPPROTO_TCP, 0, false, 40001, FAR, 80, 2 * S + 2);
	tap_is_int(ask(ORIG, IPPROTO_TCP, 40001, 80, 2 * S + 3, 2 * S + 3), 12,
		"from then on a question about a route claims nothing");
	turns(14, IPPROTO_TCP, TCP_CLOSE, TCP_SYN_SENT, false, 700, 80, 3 * S);
	tap_is_int(ask(ORIG, IPPROTO_TCP, 700, 80, 3 * S + 1, 3 * S + 1), 14,
		"a connect from a port of the program's choice");
	looks_up(15, IPPROTO_TCP, PERF_ROUTE_ANY_SPORT, false, 80, FAR, 40002, 4 * S);
	tap_is_int(ask(RESP, IPPROTO_TCP, 80, 40002, 4 * S + 1, 4 * S + 1), 0,
		"who connects did not accept");
	end();
}

static void test_close(void)
{
	begin();
	turns(21, IPPROTO_TCP, TCP_CLOSE, TCP_LISTEN, false, 80, 0, S);
	ask(RESP, IPPROTO_TCP, 80, 5000, 2 * S, 2 * S);
	tap_ok(asked.process->pid == 21 && is(RECORD_METHOD_TAP_LISTEN, RECORD_CONFIDENCE_PROBABLE),
		"before it is closed: the listener's");
	turns(22, IPPROTO_TCP, TCP_ESTABLISHED, TCP_CLOSE, false, 80, 5000, 3 * S);
	ask(RESP, IPPROTO_TCP, 80, 5000, 2 * S, 3 * S);
	tap_ok(asked.process->pid == 22 && is(RECORD_METHOD_TAP_CLOSE, RECORD_CONFIDENCE_EXACT),
		"closed by a reset: who did that");
	turns(23, IPPROTO_TCP, TCP_ESTABLISHED, TCP_CLOSE, true, 80, 5001, 3 * S);
	tap_is_int(ask(RESP, IPPROTO_TCP, 80, 5001, 2 * S, 3 * S), 21,
		"killed from outside, or never accepted: not who did that");
	forks(2, 24, 3 * S);
	turns(24, IPPROTO_TCP, TCP_ESTABLISHED, TCP_FIN_WAIT1, false, 80, 5002, 4 * S);
	tap_is_int(ask(RESP, IPPROTO_TCP, 80, 5002, 2 * S, 4 * S), 21,
		"a kernel thread closes what others left");
	forks(22, 25, 5 * S);
	turns(22, IPPROTO_TCP, TCP_CLOSE_WAIT, TCP_LAST_ACK, false, 80, 5003, 6 * S);
	ask(RESP, IPPROTO_TCP, 80, 5003, 4 * S, 6 * S);
	tap_ok(asked.process->pid == 22 && is(RECORD_METHOD_TAP_CLOSE, RECORD_CONFIDENCE_PROBABLE),
		"a child that was made meanwhile may have had it");
	turns(25, IPPROTO_TCP, TCP_CLOSE_WAIT, TCP_LAST_ACK, false, 80, 5004, 6 * S);
	ask(RESP, IPPROTO_TCP, 80, 5004, 4 * S, 6 * S);
	tap_ok(asked.process->pid == 25 && is(RECORD_METHOD_TAP_CLOSE, RECORD_CONFIDENCE_EXACT),
		"if it closes last, it had");
	end();
}

/* A session: its process had a child that may have had the connection, and closes it. */
/* Over: what was told of it makes room, if it was told for certain. */
static void test_over(void)
{
	begin();
	turns(1900, IPPROTO_TCP, TCP_CLOSE, TCP_SYN_SENT, true, 40900, 80, 700 * S);
	tap_is_int(ask(ORIG, IPPROTO_TCP, 40900, 80, 700 * S + 1, 702 * S), 1900, "whose it was");
	asked.confidence = RECORD_CONFIDENCE_PROBABLE;
	owners_over(o, &asked);
	tap_is_int(ask(ORIG, IPPROTO_TCP, 40900, 80, 700 * S + 1, 702 * S), 1900,
		"probably its own is over: what was told stays");
	owners_over(o, &asked);
	tap_is_int(ask(ORIG, IPPROTO_TCP, 40900, 80, 700 * S + 1, 702 * S), 0, "over: it is gone");
	owner_deinit(&asked);
	end();
}

/* Whether what a server's first packet asks, which no record waits for, is put off. */
static bool waits(uint16_t port, bool again)
{
	struct owner_query q = {.family = 4,
		.proto = IPPROTO_TCP,
		.responder = true,
		.begun = true,
		.again = again,
		.netns = NETNS,
		.local_port = port,
		.start_ns = t0 + 2 * S,
		.t_ns = t0 + 2 * S};

	put_addr(q.local_addr, HERE);
	put_addr(q.remote_addr, FAR);
	owner_deinit(&asked);
	return owners_ask(o, &q, &asked) && !asked.process && !asked.unknown;
}

static void test_patience(void)
{
	begin();
	turns(25, IPPROTO_TCP, TCP_CLOSE, TCP_LISTEN, false, 80, 0, S);
	tap_ok(waits(80, true), "who accepts at a listener's port is asked when a record needs it");
	tap_ok(!waits(80, false) && asked.process && asked.process->pid == 25, "which is now");
	tap_ok(!waits(81, true), "where nobody was told to listen it is asked at once");
	loses(3 * S);
	tap_ok(!waits(80, true), "and after a loss");
	turns(25, IPPROTO_TCP, TCP_CLOSE, TCP_LISTEN, false, 80, 0, 4 * S);
	tap_ok(waits(80, true), "until it is told again");
	end();
}

static void test_session(void)
{
	begin();
	turns(26, IPPROTO_TCP, TCP_CLOSE, TCP_LISTEN, false, 22, 0, S);
	tap_is_int(ask(RESP, IPPROTO_TCP, 22, 5000, 2 * S, 2 * S), 26,
		"at first it is the listener's");
	forks(26, 27, 3 * S);
	forks(27, 28, 4 * S);
	turns(27, IPPROTO_TCP, TCP_CLOSE_WAIT, TCP_LAST_ACK, false, 22, 5000, 5 * S);
	ask_again(RESP, IPPROTO_TCP, 22, 5000, 2 * S, 5 * S);
	tap_ok(asked.process->pid == 27 && is(RECORD_METHOD_TAP_CLOSE, RECORD_CONFIDENCE_PROBABLE),
		"at the end who closed it, though not for sure");
	ask_again(RESP, IPPROTO_TCP, 22, 5000, 6 * S, 6 * S);
	tap_ok(asked.process->pid == 27 && is(RECORD_METHOD_TAP_CLOSE, RECORD_CONFIDENCE_PROBABLE),
		"and not the listener again");
	end();
}

static void test_kernel(void)
{
	begin();
	forks(2, 31, S);
	looks_up(31, IPPROTO_TCP, PERF_ROUTE_ANY_SPORT, false, 40000, FAR, 2049, 2 * S);
	tap_ok(!ask(ORIG, IPPROTO_TCP, 40000, 2049, 2 * S, 2 * S + 1) &&
			is(RECORD_METHOD_KERNEL, RECORD_CONFIDENCE_EXACT),
		"a kernel thread's connection is the kernel's");
	runs(31, "modprobe", 3 * S);
	looks_up(31, IPPROTO_TCP, PERF_ROUTE_ANY_SPORT, false, 40001, FAR, 80, 4 * S);
	tap_is_int(ask(ORIG, IPPROTO_TCP, 40001, 80, 4 * S, 4 * S + 1), 31,
		"one that runs a program is a process");
	looks_up(32, IPPROTO_UDP, 0, true, 50000, FAR, 4789, 5 * S);
	tap_ok(!ask(ORIG, IPPROTO_UDP, 50000, 4789, 5 * S, 5 * S + 1) &&
			is(RECORD_METHOD_KERNEL, RECORD_CONFIDENCE_EXACT),
		"a tunnel's outer packet is the kernel's, whoever sent the inner one");
	end();
}

static void test_icmp(void)
{
	begin();
	looks_up(41, IPPROTO_ICMP, 0, false, 0, FAR, 0, S);
	tap_ok(ask(ORIG, IPPROTO_ICMP, 8, 0, S + 1000, S + 1000) == 41 &&
			is(RECORD_METHOD_TAP_SEND, RECORD_CONFIDENCE_EXACT),
		"who sends an echo request");
	tap_ok(!ask(RESP, IPPROTO_ICMP, 0, 8, S + 1000, S + 1000) &&
			is(RECORD_METHOD_KERNEL, RECORD_CONFIDENCE_EXACT),
		"the kernel answers");
	looks_up(42, IPPROTO_ICMP, 0, false, 0, FAR, 0, S + 1000000);
	tap_is_int(ask(ORIG, IPPROTO_ICMP, 8, 0, S + 1000500, S + 1000500), 0,
		"two at once: nobody knows");
	tap_is_int(asked.unknown, RECORD_UNKNOWN_AMBIGUOUS, "and that is said");
	looks_up(42, IPPROTO_ICMP, 0, false, 0, FAR, 0, S + 500000000);
	tap_ok(ask(ORIG, IPPROTO_ICMP, 8, 0, S + 500000500, S + 500000500) == 42 &&
			is(RECORD_METHOD_TAP_SEND, RECORD_CONFIDENCE_PROBABLE),
		"one of them just now: probably that one");
	tap_is_int(ask(ORIG, IPPROTO_ICMP, 8, 0, 9 * S, 9 * S), 0, "nobody lately");
	tap_ok(!ask(ORIG, IPPROTO_ICMP, 3, 3, 9 * S, 9 * S) &&
			is(RECORD_METHOD_KERNEL, RECORD_CONFIDENCE_EXACT),
		"an error of this host's is the kernel's");
	end();
}

static void test_raw(void)
{
	begin();
	looks_up(51, IPPROTO_UDP, 0, false, 0, FAR, 0, S);
	tap_ok(ask(ORIG, IPPROTO_UDP, 33434, 33435, S + 1000, S + 1000) == 51 &&
			is(RECORD_METHOD_TAP_SEND, RECORD_CONFIDENCE_PROBABLE),
		"a raw socket of its protocol");
	looks_up(52, IPPROTO_RAW, 3, false, 0, FAR, 0, 5 * S);
	tap_is_int(ask(ORIG, IPPROTO_TCP, 33434, 80, 5 * S + 1000, 5 * S + 1000), 52,
		"one that writes the whole header");
	tap_is_int(ask(RESP, IPPROTO_TCP, 80, 33434, 5 * S + 1000, 5 * S + 1000), 0,
		"does not answer");
	tap_is_int(ask(ORIG, IPPROTO_TCP, 33435, 80, 5 * S + 2000, 5 * S + 2000), 0,
		"one packet each time, not two");
	tap_is_int(ask(ORIG, IPPROTO_TCP, 33434, 80, 9 * S, 9 * S), 0, "nor sends for ever");
	looks_up(53, IPPROTO_SCTP, 0, false, 0, FAR, 0, 10 * S);
	tap_is_int(ask(ORIG, IPPROTO_SCTP, 5000, 80, 10 * S + 1000, 10 * S + 1000), 53,
		"SCTP: who set up the association");
	turns(54, IPPROTO_SCTP, TCP_CLOSE, TCP_LISTEN, false, 80, 0, 10 * S);
	ask(RESP, IPPROTO_SCTP, 80, 5000, 11 * S, 11 * S);
	tap_ok(asked.process->pid == 54 && is(RECORD_METHOD_TAP_LISTEN, RECORD_CONFIDENCE_PROBABLE),
		"and who listens");
	tap_is_int(ask(RESP, IPPROTO_TCP, 80, 5000, 11 * S, 11 * S), 0, "which is not TCP's");
	end();
}

/* Several raw sockets, one packet of each. */
static void test_raw_several(void)
{
	const uint64_t us = 1000;

	begin();
	for (uint16_t i = 0; i < 3; i++) {
		looks_up(81 + i, IPPROTO_RAW, 3, false, 0, FAR, 0, S + i * 10 * us);
		tap_is_int(ask(ORIG, IPPROTO_UDP, 34000 + i, 33435, S + i * 10 * us + us,
				   S + i * 10 * us + us),
			81 + i, "one after the other: sender %d", i);
	}
	tap_ok(is(RECORD_METHOD_TAP_SEND, RECORD_CONFIDENCE_PROBABLE),
		"a packet socket could be, too");
	looks_up(81, IPPROTO_UDP, 0, false, 0, FAR, 0, S + 50 * us);
	looks_up(82, IPPROTO_RAW, 3, false, 0, FAR, 0, S + 51 * us);
	tap_is_int(ask(ORIG, IPPROTO_UDP, 34010, 33435, S + 52 * us, S + 52 * us), 0,
		"two are about to send: nobody knows which has");
	tap_is_int(asked.unknown, RECORD_UNKNOWN_RAW, "and that is said");
	looks_up(83, IPPROTO_RAW, 3, false, 0, FAR, 0, S + 53 * us);
	tap_is_int(ask_again(ORIG, IPPROTO_UDP, 34010, 33435, S + 52 * us, S + 60 * us), 0,
		"nor is it asked for again");
	tap_is_int(asked.unknown, RECORD_UNKNOWN_RAW, "though the reason stays");
	ask(ORIG, IPPROTO_UDP, 34011, 33435, S + 54 * us, S + 54 * us);
	ask(ORIG, IPPROTO_UDP, 34012, 33435, S + 55 * us, S + 55 * us);
	tap_is_int(asked.unknown, RECORD_UNKNOWN_RAW, "nor of three, the last one's");
	looks_up(82, IPPROTO_RAW, 3, false, 0, FAR, 0, S + 70 * us);
	tap_is_int(ask(ORIG, IPPROTO_UDP, 34013, 33435, S + 71 * us, S + 71 * us), 82,
		"all three have sent: then it is clear again");
	end();
}

/* A datagram at second four of a flow that began at second two. */
static struct owner_query datagram(enum end from, uint16_t local, uint16_t remote)
{
	struct owner_query udp = {.family = 4,
		.proto = IPPROTO_UDP,
		.initiator = from == ORIG,
		.responder = from == RESP,
		.netns = NETNS,
		.local_port = local,
		.remote_port = remote,
		.t_ns = t0 + 4 * S,
		.start_ns = t0 + 2 * S};

	put_addr(udp.local_addr, HERE);
	put_addr(udp.remote_addr, FAR);
	return udp;
}

static void test_loss(void)
{
	struct owner_query udp;

	begin();
	udp = datagram(RESP, 53, 5000);
	forks(1, 61, S);
	runs(61, "server", S);
	looks_up(61, IPPROTO_UDP, 0, false, 53, FAR, 5000, 2 * S);
	tap_is_int(ask(RESP, IPPROTO_UDP, 53, 5000, 2 * S, 2 * S + 1), 61, "who sends");
	tap_ok(!owners_replaced(o, &udp, &asked), "a later datagram is its, too");
	loses(3 * S);
	tap_ok(owners_replaced(o, &udp, &asked), "after a loss it may be another's");
	tap_is_int(ask(RESP, IPPROTO_UDP, 53, 5000, 4 * S, 4 * S), 0,
		"events were lost: the port may be another's");
	looks_up(61, IPPROTO_UDP, 0, false, 53, FAR, 5000, 5 * S);
	tap_is_int(ask(RESP, IPPROTO_UDP, 53, 5000, 5 * S, 5 * S + 1), 0,
		"told again: its pid may be another process's, of any namespace");
	end();
}

static void test_appeared(void)
{
	struct owner_query udp;

	begin();
	udp = datagram(ORIG, 5000, 53);
	forks(1, 71, S);
	runs(71, "second", S);
	tap_is_int(ask(ORIG, IPPROTO_UDP, 5000, 53, 2 * S, 2 * S + 1), 0, "nobody was told of");
	tap_ok(!owners_appeared(o, &udp, &asked, t0 + 2 * S),
		"nor is anybody at the next datagram");
	looks_up(71, IPPROTO_UDP, 0, false, 5000, FAR, 53, 3 * S);
	tap_ok(owners_appeared(o, &udp, &asked, t0 + 2 * S),
		"who sends by the same port since has not sent what came before");
	tap_ok(!owners_appeared(o, &udp, &asked, t0 + 3 * S + 1),
		"whoever was told of before it may have");
	udp.t_ns = t0 + 2 * S + 1;
	tap_ok(!owners_appeared(o, &udp, &asked, t0 + 2 * S), "nobody at a time before that");
	end();
}

static void test_filter(void)
{
	struct tap_filter f = {0};

	begin();
	o->filter.first_port = 32768;
	turns(71, IPPROTO_TCP, TCP_CLOSE, TCP_LISTEN, false, 80, 0, S);
	tap_ok(!owners_filter_wanted(o, &f),
		"a listener below the automatic ports is asked for anyway");
	turns(71, IPPROTO_TCP, TCP_CLOSE, TCP_LISTEN, false, 40000, 0, S);
	turns(71, IPPROTO_TCP, TCP_CLOSE, TCP_LISTEN, false, 40000, 0, S);
	tap_ok(owners_filter_wanted(o, &f) && f.listeners == 1 && f.listener[0] == 40000,
		"one among them is not: its port");
	owners_filter_sent(o, &f);
	tap_ok(!owners_filter_wanted(o, &f), "once");
	for (uint16_t i = 1; i <= TAP_FILTER_PORTS; i++)
		turns(71, IPPROTO_TCP, TCP_CLOSE, TCP_LISTEN, false, 40000 + i, 0, S);
	tap_ok(owners_filter_wanted(o, &f) && f.closers, "more than there is room for: any port");
	if (owners_tap_begin(o, &layout))
		tap_bail("no tap");
	tap_ok(owners_filter_wanted(o, &f) && f.closers, "a new capture is asked again");
	end();
}

int main(void)
{
	test_connect();
	test_close();
	test_over();
	test_patience();
	test_session();
	test_kernel();
	test_icmp();
	test_raw();
	test_raw_several();
	test_loss();
	test_appeared();
	test_filter();
	owner_deinit(&asked);
	return tap_done();
}
