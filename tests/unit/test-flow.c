/* SPDX-License-Identifier: Apache-2.0 */
/* The flow table's limits, reports, times, losses and keys; sessions are in test-flow-sessions.c.
 */
#include "tap.h"

#include "enrich/flow-query.h"
#include "flow-play.h"

static void test_reports(void)
{
	struct flow_limits l = usual;
	uint64_t t_ns;
	bool ok;

	l.first_info_ns = 10 * SECOND;
	l.active_timeout_ns = 60 * SECOND;
	game_start(&l);
	t_ns = play(">S100 <SA500,101 ~9", IPPROTO_TCP, &ok);
	tap_is_str(game.log, "start", "no info record before its time");
	tap_is_int(
		flow_table_next_ns(game.table), T0 + 10 * SECOND, "the table says when it is due");
	tap_ok(!game.last.reported && !game.last.started, "nothing was reported at start");
	t_ns += 2 * SECOND;
	flow_table_expire(game.table, t_ns);
	tap_is_str(game.log, "start info", "then one");
	tap_is_int(game.last_event_ns, T0 + 10 * SECOND, "with the time it was due");
	tap_ok(game.last.started && !game.last.reported, "started, no info before it");
	tap_is_int(flow_table_next_ns(game.table), t_ns + 60 * SECOND,
		"the next after the active timeout");
	flow_table_expire(game.table, t_ns + 61 * SECOND);
	tap_is_str(game.log, "start info info", "then another");
	tap_ok(game.last.reported, "which knows of the first");
	flow_table_expire(game.table, t_ns + 1000 * SECOND);
	tap_is_str(game.log, "start info info info", "after a pause one, not many");
	flow_table_expire(game.table, t_ns + 8000 * SECOND);
	tap_is_str(game.log, "start info info info info end:S1:timeout:Sh:-/-:1/1",
		"the end comes after what was due before it");
	tap_is_int(flow_table_next_ns(game.table), -1, "nothing is due any more");
	game_end();

	l.start_after_ns = SECOND;
	game_start(&l);
	t_ns = play(">S100 <SA500,101", IPPROTO_TCP, &ok);
	tap_is_str(game.log, "open", "a start that is put off");
	tap_ok(!game.last.started, "has not been told");
	tap_is_int(flow_table_next_ns(game.table), T0 + SECOND, "it is due after start_after");
	flow_table_expire(game.table, t_ns + SECOND);
	tap_is_str(game.log, "open start", "and told then");
	tap_is_int(flow_table_next_ns(game.table), t_ns + 11 * SECOND, "an info comes after that");
	flow_table_expire(game.table, t_ns + 12 * SECOND);
	tap_is_str(game.log, "open start info", "one");
	l.start_after_ns = 2 * SECOND;
	tap_ok(flow_table_retime(game.table, &l), "start_after changes");
	game_end();
	game_start(&l);
	play(">S100 <SA500,101 >A101,501 ~1 >R101", IPPROTO_TCP, &ok);
	tap_is_str(
		game.log, "open end:RSTO:reset:ShAR:0/0:3/1", "one that ends before is told once");
	tap_ok(!game.last.started, "and known not to have been told");
	game_end();
	l.start_after_ns = 0;

	l.first_info_ns = 0;
	game_start(&l);
	play(">S100 <SA500,101 ~59 ~2", IPPROTO_TCP, &ok);
	tap_is_str(game.log, "start info", "without a first info only the active timeout counts");
	game_end();

	/* Other timeouts count for what is open; 0 stays what it is. */
	game_start(&l);
	t_ns = play(">S100 <SA500,101", IPPROTO_TCP, &ok);
	l.active_timeout_ns = 20 * SECOND;
	tap_ok(flow_table_retime(game.table, &l), "a timeout changes");
	flow_table_expire(game.table, t_ns + 19 * SECOND);
	tap_is_str(game.log, "start", "nothing before it");
	flow_table_expire(game.table, t_ns + 21 * SECOND);
	tap_is_str(game.log, "start info", "an info when it has passed");
	l.first_info_ns = SECOND;
	l.active_timeout_ns = 0;
	tap_ok(!flow_table_retime(game.table, &l), "but not from or to 0");
	flow_table_expire(game.table, t_ns + 42 * SECOND);
	tap_is_str(game.log, "start info info", "that one goes on as before");
	game_end();
	l.first_info_ns = 0;

	l.active_timeout_ns = 0;
	game_start(&l);
	play(">S100 <SA500,101 ~3000", IPPROTO_TCP, &ok);
	tap_is_str(game.log, "start", "without both there are none");
	game_end();
}

static void test_times(void)
{
	struct decoded d = make(IPPROTO_TCP, false, 40000);
	bool ok;

	game_start(&usual);
	play(">S100 !0 <SA500,101", IPPROTO_TCP, &ok);
	flow_table_finish(game.table, T0);
	tap_is_int(game.rtt_ns, 1000000, "the handshake took a millisecond");
	tap_ok(game.last.start_ns == T0 && game.last.last_ns == T0 + 1000000,
		"start and last packet");
	tap_is_int(game.last_event_ns, T0 + 1000000, "no event is before the last packet");
	game_end();

	game_start(&usual);
	play(">S100 >S100 <SA500,101", IPPROTO_TCP, &ok);
	flow_table_finish(game.table, T0 + SECOND);
	tap_is_int(game.rtt_ns, 0, "no round-trip time of a SYN that was sent again");
	tap_is_str(game.log, "start end:S1:forced:Sh:-/-:2/1", "the end is forced at the stop");
	game_end();

	game_start(&usual);
	d.tcp_flags = DECODE_TCP_SYN;
	feed(&d, 0, T0);
	d.tcp_flags = DECODE_TCP_RST;
	feed(&d, 0, T0 - 5 * SECOND);
	tap_ok(game.last.start_ns == T0 && game.last.last_ns == T0 && game.last_event_ns == T0,
		"time does not go backwards in a flow");
	game_end();
}

static void test_loss(void)
{
	bool ok;

	game_start(&usual);
	play(">S100", IPPROTO_TCP, &ok);
	flow_table_loss(game.table);
	play("<RA0,101", IPPROTO_TCP, &ok);
	tap_ok(game.loss_window, "a flow open while packets were lost says so");
	play(">S900 <RA0,901", IPPROTO_TCP, &ok);
	tap_ok(!game.loss_window, "one that came later does not");
	game_end();
}

static void test_icmp(void)
{
	struct decoded d = make(IPPROTO_ICMP, false, 0);

	game_start(&usual);
	d.icmp_type = 8;
	d.sport = d.dport = 3;
	d.payload_len = 56;
	feed(&d, 0, T0);
	d = make(IPPROTO_ICMP, true, 0);
	d.sport = d.dport = 3;
	d.payload_len = 56;
	feed(&d, 0, T0 + 1);
	tap_is_int(flow_table_count(game.table), 1, "echo and reply are one flow");
	d = make(IPPROTO_ICMP, true, 0);
	d.icmp_type = d.icmp_code = 3;
	d.sport = d.dport = 3;
	feed(&d, 0, T0 + 2);
	tap_is_int(flow_table_count(game.table), 2, "an error with the same numbers is another");
	d = make(IPPROTO_ICMP, false, 0);
	d.icmp_type = d.icmp_code = 3;
	d.sport = d.dport = 3;
	feed(&d, 0, T0 + 3);
	tap_is_int(
		flow_table_count(game.table), 3, "one-way flows: a third in the other direction");
	feed(&d, 0, T0 + 4);
	tap_is_int(flow_table_count(game.table), 3, "and more of it is the same");
	flow_table_expire(game.table, T0 + 61 * SECOND);
	tap_is_str(game.log,
		"start start start end:OTH:timeout:Dd:56/56:1/1 <end:OTH:timeout:D:0/0:1/0 "
		"end:OTH:timeout:D:0/0:2/0",
		"all three end by idle time");
	tap_ok(game.last.key.port[0] == 3 && game.last.key.port[1] == 3, "ports are type and code");
	game_end();

	game_start(&usual);
	d = make(IPPROTO_ICMPV6, true, 0);
	d.family = 6;
	d.icmp_type = 129;
	d.sport = d.dport = 3;
	feed(&d, 0, T0);
	flow_table_finish(game.table, T0);
	tap_is_str(game.log, "start *end:OTH:forced:d:0/0:0/1",
		"a reply alone comes from the responder");
	tap_ok(game.last.key.port[0] == 128 && game.last.key.port[1] == 0,
		"and its flow has the request's type");
	game_end();
}

static void test_bounds(void)
{
	struct flow_limits l = usual;
	struct flow_table *t = NULL;
	struct decoded d;

	l.max_flows = 0;
	tap_is_int(
		flow_table_new(&l, on_event, on_free, NULL, &t), -22, "no flows at all is refused");
	l.max_flows = FLOW_MAX_FLOWS + 1;
	tap_is_int(flow_table_new(&l, on_event, on_free, NULL, &t), -22, "so are too many");
	tap_ok(!t, "and nothing is returned");
	flow_table_free(NULL);

	l.max_flows = 2;
	game_start(&l);
	d = make(IPPROTO_TCP, false, 1000);
	d.tcp_flags = DECODE_TCP_SYN;
	feed(&d, 0, T0);
	d = make(IPPROTO_UDP, false, 1001);
	feed(&d, 0, T0 + 1);
	d = make(IPPROTO_TCP, false, 1000);
	d.tcp_flags = DECODE_TCP_SYN;
	feed(&d, 0, T0 + 2);
	d = make(IPPROTO_UDP, false, 1002);
	feed(&d, 0, T0 + 3);
	tap_is_str(game.log, "start start end:S0:evicted:D:0/0:1/0 start",
		"the least recently used goes, whatever its timeout");
	game_end();

	l.max_flows = 3;
	game_start(&l);
	for (uint16_t i = 0; i < 3; i++) {
		d = make(IPPROTO_UDP, false, (uint16_t)(1000 + i));
		feed(&d, 0, T0 + i);
	}
	d = make(IPPROTO_UDP, false, 1000);
	feed(&d, 0, T0 + 10);
	d = make(IPPROTO_TCP, false, 1003);
	d.tcp_flags = DECODE_TCP_SYN;
	feed(&d, 0, T0 + 11);
	tap_is_int(game.last.key.port[0], 1003, "a full table takes a new flow");
	tap_is_str(game.log, "start start start end:S0:evicted:D:0/0:1/0 start",
		"and ends the least recently used");
	tap_is_int(flow_table_count(game.table), 3, "it does not grow");
	tap_is_int(flow_table_evicted(game.table), 1, "and counts that");
	tap_is_int(game.freed, 0, "ended flows stay valid");
	flow_table_reap(game.table);
	tap_is_int(game.freed, 1, "until they are reaped");
	for (uint32_t i = 0; i < 3 * FLOW_UNREAPED_MAX; i++) {
		d = make(IPPROTO_UDP, false, (uint16_t)i);
		d.dst[14] = (uint8_t)(i >> 16);
		feed(&d, 0, T0 + 20 + i);
	}
	tap_ok(game.ended - game.freed <= FLOW_UNREAPED_MAX + 3,
		"a caller that never reaps costs bounded memory");
	tap_is_int(game.delta + flow_table_open_packets(game.table), game.counted,
		"and no packet is lost from the account");
	game_end();
	tap_is_int(game.freed, game.ended + 3, "every flow is freed in the end");
}

static void test_ids(void)
{
	struct flow_limits l = usual;
	bool ok;

	l.id_base = UINT64_MAX;
	game_start(&l);
	play(">S100", IPPROTO_TCP, &ok);
	tap_ok(game.last.id == UINT64_MAX, "ids start at their base");
	play(">S900", IPPROTO_TCP, &ok);
	tap_ok(game.last.id == 1, "and are never 0");
	game_end();
}

/* What is asked about the ends of a connection that is over, and of one that is not. */
static void test_over(void)
{
	static const struct {
		const char *packets, *name;
		bool over, orig_first, resp_first;
	} cases[] = {
		{">S100 <SA500,101 >FA101,501 <FA501,102", "the client's FIN first", true, true,
			false},
		{">S100 <SA500,101 <FA501,101 >FA101,502", "the server's FIN first", true, false,
			true},
		{">S100 <SA500,101 >FA101,501 >FA101,501 <FA501,102", "the first FIN sent again",
			true, true, false},
		{">S100 <SA500,101 >FA101,501 <R501", "a reset after a FIN: neither was first",
			true, false, false},
		{">S100 <RA0,101", "refused", true, false, false},
		{">S100 <SA500,101 >FA101,501 ~3601", "half closed: not over", false, false, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct owner_query orig, resp;
		bool ok;

		game_start(&usual);
		play(cases[i].packets, IPPROTO_TCP, &ok);
		flow_query(&game.last, FLOW_ORIG, T0, &orig);
		flow_query(&game.last, FLOW_RESP, T0, &resp);
		tap_ok(ok && orig.over == cases[i].over && resp.over == cases[i].over &&
				orig.first == cases[i].orig_first &&
				resp.first == cases[i].resp_first,
			"asked: %s", cases[i].name);
		game_end();
	}
}

int main(void)
{
	test_reports();
	test_times();
	test_loss();
	test_icmp();
	test_bounds();
	test_ids();
	test_over();
	return tap_done();
}
