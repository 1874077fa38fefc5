/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes beyond 4 GiB: what the packets' 32 bits and the kernel's answers make together. */
#include "tap.h"

#include "flow-play.h"

#define GIB (UINT64_C(1) << 30)

static struct {
	bool answers, ended_answers;
	struct flow_figures figures;
	unsigned asked;
} kernel;

static bool on_figures(void *arg, struct flow *f, bool ended, struct flow_figures *ret)
{
	(void)arg;
	(void)f;
	kernel.asked++;
	if (ended ? !kernel.ended_answers : !kernel.answers)
		return false;
	*ret = kernel.figures;
	return true;
}

static void start(bool all_packets)
{
	struct flow_limits l = usual;

	memset(&kernel, 0, sizeof(kernel));
	l.all_packets = all_packets;
	game_start(&l);
	flow_table_on_figures(game.table, on_figures);
}

static void answer(uint64_t orig, uint64_t resp)
{
	kernel.answers = true;
	kernel.figures = (struct flow_figures){
		.bytes = {orig, resp},
		.have = {true, true},
		.srtt_ns = 5000,
		.retransmits = 7,
	};
}

static void test_wraps(void)
{
	bool ok;

	/* 5 GiB + 6 and 3 bytes: the FIN's number is 1 GiB + 6 after the SYN's, all round once. */
	start(false);
	play(">S100 <SA500,101", IPPROTO_TCP, &ok);
	answer(2 * GIB, 0);
	flow_table_traffic(game.table, 2 * GIB);
	tap_is_int(flow_table_ask_due(game.table, 9), 1, "due after some traffic");
	tap_is_int(flow_table_ask_due(game.table, 9), 0, "and not again before more");
	answer(4 * GIB, 0);
	flow_table_traffic(game.table, 4 * GIB);
	flow_table_ask_due(game.table, 9);
	flow_table_traffic(game.table, 5 * GIB + 100);
	play(">FA1073741931,501 <FA504,1073741932", IPPROTO_TCP, &ok);
	tap_is_int(game.last.bytes[FLOW_ORIG], 5 * GIB + 6, "5 GiB and 6 bytes");
	tap_is_int(game.last.bytes[FLOW_RESP], 3, "and 3 back");
	tap_ok(game.last.have_bytes[0] && game.last.have_bytes[1] && !game.last.doubt, "known");
	tap_ok(!game.last.kernel_bytes, "by the FIN, not by the kernel");
	tap_ok(game.last.srtt_ns == 5000 && game.last.retransmits == 7, "the kernel's figures");
	game_end();

	start(false);
	play(">S100 <SA500,101", IPPROTO_TCP, &ok);
	answer(4 * GIB + 50, 0);
	flow_table_traffic(game.table, 2 * GIB);
	flow_table_ask_due(game.table, 9);
	play("<RA501,251", IPPROTO_TCP, &ok);
	tap_is_int(game.last.bytes[FLOW_ORIG], 4 * GIB + 150, "a RST acknowledges beyond 4 GiB");
	game_end();
}

static void test_doubt(void)
{
	bool ok;

	start(false);
	play(">S100 <SA500,101", IPPROTO_TCP, &ok);
	flow_table_traffic(game.table, FLOW_TRAFFIC_SURE - 1);
	play(">FA201,501 <FA504,202", IPPROTO_TCP, &ok);
	tap_ok(game.last.have_bytes[0] && game.last.bytes[0] == 100,
		"without much traffic the FIN alone is enough");
	game_end();

	start(false);
	play(">S100 <SA500,101", IPPROTO_TCP, &ok);
	flow_table_traffic(game.table, FLOW_TRAFFIC_SURE);
	tap_is_int(flow_table_ask_due(game.table, 9), 1, "asked, without an answer");
	play(">FA201,501 <FA504,202", IPPROTO_TCP, &ok);
	tap_ok(!game.last.have_bytes[0] && !game.last.have_bytes[1] && game.last.doubt,
		"then bytes are unknown, not wrong");
	game_end();

	start(false);
	play(">S100 <SA500,101", IPPROTO_TCP, &ok);
	flow_table_traffic(game.table, 9 * GIB);
	answer(8 * GIB + 100, 4);
	kernel.ended_answers = true;
	kernel.figures.slack[FLOW_RESP] = 1;
	play(">FA201,501 <FA504,202", IPPROTO_TCP, &ok);
	tap_ok(game.last.have_bytes[0] && game.last.bytes[0] == 8 * GIB + 100 &&
			game.last.bytes[1] == 3,
		"what the kernel says of the closed socket settles it; its FIN is no byte");
	game_end();

	start(false);
	for (uint16_t port = 1; port <= 20; port++) {
		struct decoded d = make(IPPROTO_TCP, false, port);

		d.tcp_flags = DECODE_TCP_SYN;
		feed(&d, 0, T0);
	}
	flow_table_traffic(game.table, 2 * GIB);
	tap_is_int(flow_table_ask_due(game.table, 7), 7, "no more than the budget");
	tap_is_int(flow_table_ask_due(game.table, 99), 13, "the others next time");
	tap_is_int(flow_table_ask_due(game.table, 99), 0, "who has no answer is left alone");
	game_end();
}

static void test_all_packets(void)
{
	struct flow_limits l = usual;
	bool ok;
	uint64_t t_ns;

	start(true);
	play(">S100 <SA500,101 >FA101,501 <FA501,102 >A102,502", IPPROTO_TCP, &ok);
	tap_is_int(game.ended, 0, "all packets: the end waits for the last ones");
	flow_table_expire(game.table, T0 + 2 * SECOND);
	tap_is_str(game.log, "start end:SF:shutdown:ShFf:0/0:3/2", "which count");
	game_end();

	l.all_packets = true;
	l.first_info_ns = 3 * SECOND / 2;
	game_start(&l);
	play(">S100 <SA500,101 ~1 >FA101,501 <FA501,102 >A102,502", IPPROTO_TCP, &ok);
	flow_table_expire(game.table, T0 + 9 * SECOND);
	tap_is_str(game.log, "start end:SF:shutdown:ShFf:0/0:3/2",
		"nothing says meanwhile that it is open");
	game_end();
	l.start_after_ns = SECOND / 2;
	game_start(&l);
	play(">S100 <SA500,101 >FA101,501 <FA501,102 >A102,502", IPPROTO_TCP, &ok);
	flow_table_expire(game.table, T0 + 9 * SECOND);
	tap_is_str(game.log, "open end:SF:shutdown:ShFf:0/0:3/2", "nor that it has begun");
	game_end();

	start(true);
	t_ns = play(">S100 <RA0,101 >S900 <RA0,901", IPPROTO_TCP, &ok);
	flow_table_finish(game.table, t_ns);
	tap_is_str(game.log, "start end:REJ:refused:Sr:0/0:1/1 start end:REJ:refused:Sr:0/0:1/1",
		"a new SYN or the end of it all finds it over, for its own reason");
	game_end();

	start(true);
	play(">S100 <SA500,101", IPPROTO_TCP, &ok);
	flow_table_traffic(game.table, 9 * GIB);
	play(">FA201,501 <FA504,202 ~2", IPPROTO_TCP, &ok);
	flow_table_expire(game.table, T0 + 9 * SECOND);
	tap_ok(game.last.have_bytes[0] && game.last.bytes[0] == 100,
		"who sees every packet needs no kernel");
	game_end();
}

int main(void)
{
	test_wraps();
	test_doubt();
	test_all_packets();
	return tap_done();
}
