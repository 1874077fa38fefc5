/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions of every kind through the flow table, as scripts in the words of flow-play.h. */
#include "tap.h"

#include "flow-play.h"

struct script {
	const char *name;
	const char *packets;
	const char *events;
};

static const struct script tcp_scripts[] = {
	/* The twelve states and OTH, as a capture of SYN, FIN and RST packets sees them. */
	{"SF: both FINs", ">S100 <SA500,101 >FA200,501 <FA700,201",
		"start end:SF:shutdown:ShFf:99/199:2/2"},
	{"SF: a FIN carries data", ">S100 <SA500,101 >FA200,501+50 <FA700,251+7",
		"start end:SF:shutdown:ShDFdf:149/206:2/2"},
	{"SF: the server closes first", ">S100 <SA500,101 <FA700,101 >FA101,701",
		"start end:SF:shutdown:ShfF:0/199:2/2"},
	{"S0: no answer", ">S100 ~31", "start end:S0:timeout:S:-/-:1/0"},
	{"S0: retransmitted SYNs", ">S100 ~1 >S100 ~2 >S100 ~4 >S100 ~31",
		"start end:S0:timeout:S:-/-:4/0"},
	{"S1: established, then silence", ">S100 <SA500,101 ~3601",
		"start end:S1:timeout:Sh:-/-:1/1"},
	{"an open connection outlives the attempt timeout", ">S100 <SA500,101 ~3599", "start"},
	{"REJ", ">S100 <RA0,101", "start end:REJ:refused:Sr:0/0:1/1"},
	{"S2: only the client closed", ">S100 <SA500,101 >FA200,501 ~3601",
		"start end:S2:timeout:ShF:99/-:2/1"},
	{"S3: only the server closed", ">S100 <SA500,101 <FA700,101 ~3601",
		"start end:S3:timeout:Shf:-/199:1/2"},
	{"RSTO", ">S100 <SA500,101 >RA200,601", "start end:RSTO:reset:ShR:99/100:2/1"},
	{"RSTR", ">S100 <SA500,101 <RA700,201", "start end:RSTR:reset:Shr:100/199:1/2"},
	{"RSTO after the server's FIN", ">S100 <SA500,101 <FA700,101 >RA200,701",
		"start end:RSTO:reset:ShfR:99/199:2/2"},
	{"RSTR after the client's FIN, a bare RST", ">S100 <SA500,101 >FA200,501 <R501",
		"start end:RSTR:reset:ShFr:99/0:2/2"},
	{"RSTOS0", ">S100 >R101", "start end:RSTOS0:reset:SR:0/-:2/0"},
	{"RSTRH: SYN-ACK, then its sender resets", "<SA500,101 <RA700,201",
		"start *end:RSTRH:reset:^hr:100/199:0/2"},
	{"SH: SYN and FIN, no answer", ">S100 >FA200,501 ~31", "start end:SH:timeout:SF:99/-:2/0"},
	{"SHR: SYN-ACK and FIN of the server only", "<SA500,101 <FA700,201 ~3601",
		"start *end:SHR:timeout:^hf:-/199:0/2"},
	{"OTH: a stray RST of the client", ">RA200,601", "start *end:OTH:reset:R:-/-:1/0"},

	/* Every packet seen. */
	{"SF with data",
		">S100 <SA500,101 >A101,501 >PA101,501+10 <A501,111 <PA501,111+20 "
		">FA111,521 <FA521,112 >A112,522=late",
		"start end:SF:shutdown:ShADadFf:10/20:4/4"},
	{"a letter for data comes once a direction",
		">S100 <SA500,101 >PA101,501+10 >PA111,501+10 "
		"<PA501,121+5 <PA506,121+5 ~3601",
		"start end:S1:timeout:ShDd:20/10:3/3"},
	{"a retransmission is not new data",
		">S100 <SA500,101 >PA101,501+10 >PA101,501+10 <RA501,111",
		"start end:RSTR:reset:ShDr:10/0:3/2"},
	{"a keep-alive stands one byte before", ">S100 <SA500,101 >A100,501 >RA101,501",
		"start end:RSTO:reset:ShAR:0/0:3/1"},
	{"data in the SYN", ">S100+30 <SA500,131 >FA131,501 <FA501,132",
		"start end:SF:shutdown:SDhFf:30/0:2/2"},
	{"data in the SYN, not taken", ">S100+30 <SA500,101 >FA131,501 <FA501,132",
		"start end:SF:shutdown:SDhFf:30/0:2/2"},
	{"sequence numbers wrap", ">S4294967290 <SA4294967295,4294967291 >FA94,100 <FA100,95",
		"start end:SF:shutdown:ShFf:99/100:2/2"},

	/* What is seen twice, late or out of order. */
	{"a retransmitted SYN-ACK", ">S100 <SA500,101 <SA500,101 >FA200,501 <FA700,201",
		"start end:SF:shutdown:ShFf:99/199:2/3"},
	{"a retransmitted FIN", ">S100 <SA500,101 >FA200,501 >FA200,501 <FA700,201",
		"start end:SF:shutdown:ShFf:99/199:3/2"},
	{"a FIN sent again with the data before it",
		">S100 <SA500,101 >FA200,501 >FA150,501+50 "
		"<FA700,201",
		"start end:SF:shutdown:ShFDf:99/199:3/2"},
	{"stragglers after the end",
		">S100 <SA500,101 >FA200,501 <FA700,201 <FA700,201=late "
		">R201=late ~4 >R201=late",
		"start end:SF:shutdown:ShFf:99/199:2/2"},
	{"a straggler after the linger time is a new flow",
		">S100 <SA500,101 >FA200,501 <FA700,201 ~6 >R201",
		"start end:SF:shutdown:ShFf:99/199:2/2 start *end:OTH:reset:R:-/-:1/0"},
	{"the SYN of a refused connection, again", ">S100 <RA0,101 >S100=late <RA0,101=late",
		"start end:REJ:refused:Sr:0/0:1/1"},
	{"a late SYN-ACK", ">S100 <SA500,101 >RA101,501 <SA500,101=late",
		"start end:RSTO:reset:ShR:0/0:2/1"},
	{"the SYN overtaken by its answer", "<SA500,101 >S100 >FA200,501 <FA700,201",
		"start end:SF:shutdown:^hSFf:99/199:2/2"},
	{"a SYN-ACK without its SYN", "<SA500,101 >FA200,501 <FA700,201",
		"start *end:SF:shutdown:^hFf:99/199:1/2"},

	/* What the kernel would not accept changes nothing. */
	{"a RST that does not answer the SYN", ">S100 <RA0,99 <R0 <SA500,101 >RA101,501",
		"start end:RSTO:reset:SrhR:0/0:2/3"},
	{"a SYN-ACK that does not answer the SYN", ">S100 <SA500,99 ~31",
		"start end:S0:timeout:S:-/-:1/1"},

	/* The 5-tuple again. */
	{"reuse after a close, at once", ">S100 <SA500,101 >FA200,501 <FA700,201 >S9000 <RA0,9001",
		"start end:SF:shutdown:ShFf:99/199:2/2 start end:REJ:refused:Sr:0/0:1/1"},
	{"reuse after an unanswered attempt", ">S100 >S900 <RA0,901",
		"start end:S0:tcp_reuse:S:-/-:1/0 start end:REJ:refused:Sr:0/0:1/1"},
	{"reuse of an old connection", ">S100 <SA500,101 ~60 >S900 <RA0,901",
		"start end:S1:tcp_reuse:Sh:-/-:1/1 start end:REJ:refused:Sr:0/0:1/1"},
	{"reuse the other way round", ">S100 <SA500,101 ~60 <S900 >RA0,901",
		"start end:S1:tcp_reuse:Sh:-/-:1/1 start <end:REJ:refused:Sr:0/0:1/1"},
	{"reuse, its SYN not captured", ">S100 <SA500,101 ~60 <SA7000,8001 >RA8001,7001",
		"start end:S1:tcp_reuse:Sh:-/-:1/1 start *end:RSTO:reset:^hR:0/0:1/1"},
	{"a SYN after packets from mid-stream", ">A50,60 <A60,50 >S100 <RA0,101",
		"start *end:OTH:tcp_reuse:Aa:-/-:1/1 start end:REJ:refused:Sr:0/0:1/1"},
	{"somebody else's answer to the same SYN",
		">S100 <SA500,101 <SA600,101 >FA200,501 "
		"<FA700,201",
		"start end:SF:shutdown:ShhFf:99/199:2/3"},

	/* Both ends open. */
	{"a simultaneous open", ">S100 <S500 >SA100,501 <SA500,101 >FA200,501 <FA700,201",
		"start end:SF:shutdown:SsHhFf:99/199:3/3"},
	{"a simultaneous open, refused", ">S100 <S500 <RA501,101",
		"start end:REJ:refused:Ssr:0/0:1/2"},

	/* Older than the capture. */
	{"a stray FIN, then the other", ">FA200,501 <FA700,201",
		"start *end:SF:shutdown:Ff:-/-:1/1"},
	{"a stray FIN of the server", "<FA700,201 ~31", "start *end:SHR:timeout:^f:-/-:0/1"},
	{"a stray RST of the server", "<RA700,201", "start *end:RSTRH:reset:^r:-/-:0/1"},
	{"packets from mid-stream", ">PA10,20+5 <PA20,15+5 ~3601",
		"start *end:OTH:timeout:Dd:-/-:1/1"},

	/* Odd flags. */
	{"no flags at all", ">.100 ~31", "start *end:OTH:timeout::-/-:1/0"},
	{"SYN and RST is a RST", ">SR100", "start *end:OTH:reset:R:-/-:1/0"},
	{"SYN and FIN is a SYN", ">SF100 <RA0,101", "start end:REJ:refused:Sr:0/0:1/1"},
	{"all flags", ">FSRPA100,5", "start *end:OTH:reset:R:-/-:1/0"},

	/* On several interfaces. */
	{"every packet on two interfaces",
		">S100@3 >S100@4=dup <SA500,101@4 <SA500,101@3=dup >FA200,501@3 >FA200,501@4=dup "
		"<FA700,201@4 <FA700,201@3=dup",
		"start end:SF:shutdown:ShFf:99/199:2/2"},
	{"interface 0 counts always", ">S100@3 >S100 <SA500,101 <SA500,101@4 <SA500,101@5=dup",
		"start"},
	{"stragglers know their interface",
		">S100@3 <RA0,101@3 <RA0,101@3=late <RA0,101@4=dup >S100@4=dup",
		"start end:REJ:refused:Sr:0/0:1/1"},

	/* Time. */
	{"a timeout is noticed without expiring", ">S100 !40 >S100 <RA0,101",
		"start end:S0:timeout:S:-/-:1/0 start end:REJ:refused:Sr:0/0:1/1"},
	{"history keeps to its size",
		">S1 <SA500,2 >PA2,501+1 <PA501,3+1 >FA10,5 >FA20,5 >FA30,5 >FA40,5 >FA50,5 "
		">FA60,5 "
		">FA70,5 >FA80,5 >FA90,5 >FA91,5 >FA92,5 >FA93,5 >FA94,5 >FA95,5 >FA96,5 >FA97,5 "
		">FA98,5 >FA99,5 >FA100,5 >FA101,5 >FA102,5 >FA103,5 >FA104,5 >FA105,5 >FA106,5 "
		">FA107,5 >FA108,5 >FA109,5 >FA110,5 <FA700,5",
		"start end:SF:shutdown:ShDdFFFFFFFFFFFFFFFFFFFFFFFFFFF:8/199:31/3"},
	{"a RST after a FIN: the FIN is no byte", ">S100 <SA500,101 >FA102,501 >R103",
		"start end:RSTO:reset:ShFR:1/0:3/1"},
	{"a RST that answers a FIN: nor is it then", ">S100 <SA500,101 >FA102,501 <RA501,103",
		"start end:RSTR:reset:ShFr:1/0:2/2"},
	{"each RST with another number has its letter", ">S100 <RA7,99 <RA8,99 <RA8,99 <RA0,101",
		"start end:REJ:refused:Srrr:0/0:1/4"},
};

static const struct script udp_scripts[] = {
	{"a datagram", ">.0+30 ~61", "start end:S0:timeout:D:30/0:1/0"},
	{"request and reply", ">.0+30 <.0+100 <.0+100 ~61", "start end:SF:timeout:Dd:30/200:1/2"},
	{"idle time counts from the last one", ">.0+1 ~50 <.0+2 ~50 >.0+3 ~61",
		"start end:SF:timeout:Dd:4/2:2/1"},
	{"after the timeout it is a new flow", ">.0+1 !61 >.0+2 ~61",
		"start end:S0:timeout:D:1/0:1/0 start end:S0:timeout:D:2/0:1/0"},
	{"the first sender is the originator", "<.0+1 >.0+2 ~61",
		"start <end:SF:timeout:Dd:1/2:1/1"},
	{"on two interfaces", ">.0+1@2 >.0+1@3=dup <.0+5@3 <.0+5@2=dup ~61",
		"start end:SF:timeout:Dd:1/5:1/1"},
	{"refused", ">.0+30 x >.0+30 x ~61", "start end:S0:refused:D:60/0:2/0"},
	{"refused, then somebody took the port", ">.0+1 x >.0+1 <.0+2 ~61",
		"start end:SF:timeout:Dd:2/2:2/1"},
	{"an answer is refused", ">.0+1 <.0+2 X ~61", "start end:SF:timeout:Dd:1/2:1/1"},
	{"refused, of a flow that is not known", "x >.0+1 ~61", "start end:S0:timeout:D:1/0:1/0"},
};

static void test_scripts(const struct script *s, size_t n, uint8_t proto, const char *what)
{
	for (; n; n--, s++) {
		bool ok;

		game_start(&usual);
		play(s->packets, proto, &ok);
		ok &= !strcmp(game.log, s->events);
		ok &= game.delta + flow_table_open_packets(game.table) == game.counted;
		if (!tap_ok(ok, "%s: %s", what, s->name))
			printf("#      got: %s\n# expected: %s\n", game.log, s->events);
		game_end();
	}
}

int main(void)
{
	test_scripts(tcp_scripts, sizeof(tcp_scripts) / sizeof(*tcp_scripts), IPPROTO_TCP, "TCP");
	test_scripts(udp_scripts, sizeof(udp_scripts) / sizeof(*udp_scripts), IPPROTO_UDP, "UDP");
	return tap_done();
}
