/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flow table played scripts: packets as words, the events that come out as words.
 *
 * A packet: `>` from the client (10.0.0.1:40000), `<` from the server (10.0.0.2:80), then its
 * flags, its sequence number, `,ack`, `+payload`, `@interface`, and if it is not counted how it is
 * answered:
 * `=late`, `=dup`. `~S` waits S seconds (expiring), `!S` lets S seconds pass without expiring.
 * Events: `start`; `info`;
 * `end:STATE:REASON:HISTORY:ORIG_BYTES/RESP_BYTES:ORIG_PACKETS/RESP_PACKETS` with `-` for unknown
 * bytes, `*` in front when midstream, `<` when the originator is the server.
 */
#include "tap.h"

#include <ctype.h>
#include <netinet/in.h>

#include "enrich/flow.h"

#define SECOND UINT64_C(1000000000)
#define T0     (1000 * SECOND)

static struct {
	struct flow_table *table;
	char log[4096];
	unsigned freed, ended;
	uint64_t delta, counted;
	uint64_t last_event_ns;
	uint32_t rtt_ns;
	bool loss_window;
	struct flow last; /* as of the last event */
} game;

static void log_word(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void log_word(const char *format, ...)
{
	size_t n = strlen(game.log);
	va_list ap;

	if (n + 100 > sizeof(game.log))
		return; /* the tests that get here count instead */
	if (n)
		game.log[n++] = ' ';
	va_start(ap, format);
	vsnprintf(game.log + n, sizeof(game.log) - n, format, ap);
	va_end(ap);
}

static void bytes_text(const struct flow *f, enum flow_side side, char ret[24])
{
	if (f->have_bytes[side])
		snprintf(ret, 24, "%llu", (unsigned long long)f->bytes[side]);
	else
		snprintf(ret, 24, "-");
}

static void on_event(void *arg, struct flow *f, enum flow_event e, uint64_t t_ns)
{
	char o[24], r[24];

	(void)arg;
	game.delta += flow_reported(game.table, f);
	game.last_event_ns = t_ns;
	game.rtt_ns = f->rtt_ns;
	game.loss_window = f->loss_window;
	game.last = *f;
	switch (e) {
	case FLOW_EVENT_START:
		log_word("start");
		return;
	case FLOW_EVENT_INFO:
		log_word("info");
		return;
	case FLOW_EVENT_END:
		bytes_text(f, FLOW_ORIG, o);
		bytes_text(f, FLOW_RESP, r);
		game.ended++;
		log_word("%s%send:%s:%s:%s:%s/%s:%llu/%llu", f->midstream ? "*" : "",
			f->key.addr[0][15] == 2 ? "<" : "", record_state_name(f->state),
			record_end_reason_name(f->end_reason), f->history, o, r,
			(unsigned long long)f->packets[0], (unsigned long long)f->packets[1]);
		return;
	}
}

static void on_free(void *arg, struct flow *f)
{
	(void)arg;
	(void)f;
	game.freed++;
}

static const struct flow_limits usual = {
	.max_flows = 100,
	.tcp_timeout_ns = 3600 * SECOND,
	.tcp_attempt_timeout_ns = 30 * SECOND,
	.udp_timeout_ns = 60 * SECOND,
	.hash_seed = {1, 2},
	.id_base = 77,
};

static void game_start(const struct flow_limits *l)
{
	memset(&game, 0, sizeof(game));
	if (flow_table_new(l, on_event, on_free, NULL, &game.table))
		tap_bail("no flow table");
}

static void game_end(void)
{
	flow_table_free(game.table);
	game.table = NULL;
}

static void address(uint8_t ret[16], unsigned host)
{
	memset(ret, 0, 10);
	ret[10] = ret[11] = 0xff;
	ret[12] = 10;
	ret[13] = ret[14] = 0;
	ret[15] = (uint8_t)host;
}

static struct decoded make(uint8_t proto, bool from_server, uint16_t client_port)
{
	struct decoded d = {.family = 4, .proto = proto};

	address(d.src, from_server ? 2 : 1);
	address(d.dst, from_server ? 1 : 2);
	d.sport = from_server ? 80 : client_port;
	d.dport = from_server ? client_port : 80;
	return d;
}

static enum flow_packet feed(const struct decoded *d, uint32_t ifindex, uint64_t t_ns)
{
	enum flow_packet r = flow_table_packet(game.table, d, ifindex, t_ns);

	game.counted += r == FLOW_PACKET_COUNTED;
	return r;
}

/* Plays one packet word; false: it was answered otherwise than it says. */
static bool play_packet(const char *word, uint8_t proto, uint64_t t_ns)
{
	struct decoded d = make(proto, word[0] == '<', 40000);
	enum flow_packet want = FLOW_PACKET_COUNTED, got;
	const char *p = word + 1;
	uint32_t ifindex = 0;

	for (; isalpha((unsigned char)*p) || *p == '.'; p++) {
		static const char letters[] = "FSRPA";
		const char *at = strchr(letters, *p);

		if (at)
			d.tcp_flags |= (uint8_t)(1 << (at - letters));
	}
	d.seq = (uint32_t)strtoul(p, (char **)&p, 10);
	while (*p && *p != '=') {
		char kind = *p++;
		uint32_t v = (uint32_t)strtoul(p, (char **)&p, 10);

		if (kind == ',')
			d.ack = v;
		else if (kind == '+')
			d.payload_len = v;
		else if (kind == '@')
			ifindex = v;
	}
	if (!strcmp(p, "=late"))
		want = FLOW_PACKET_LATE;
	else if (!strcmp(p, "=dup"))
		want = FLOW_PACKET_DUPLICATE;
	got = feed(&d, ifindex, t_ns);
	if (got != want)
		printf("# %s was answered %d, not %d\n", word, got, want);
	return got == want;
}

/* Plays a script from T0 on, a millisecond between packets; returns the time at its end. */
static uint64_t play(const char *script, uint8_t proto, bool *ret_ok)
{
	char copy[1024], *save, *word;
	uint64_t t_ns = T0;

	*ret_ok = true;
	snprintf(copy, sizeof(copy), "%s", script);
	for (word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		if (word[0] == '~' || word[0] == '!') {
			t_ns += strtoull(word + 1, NULL, 10) * SECOND;
			if (word[0] == '~')
				flow_table_expire(game.table, t_ns);
			continue;
		}
		*ret_ok &= play_packet(word, proto, t_ns);
		t_ns += 1000000;
	}
	return t_ns;
}

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
		"start end:SF:shutdown:ShFf:99/199:2/3"},

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
		">FA70,5 >FA80,5 >FA90,5 >FA95,5 >FA99,5 <FA700,5",
		"start end:SF:shutdown:ShDdFFFFFFFFFFF:8/199:13/3"},
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

	l.first_info_ns = 0;
	game_start(&l);
	play(">S100 <SA500,101 ~59 ~2", IPPROTO_TCP, &ok);
	tap_is_str(game.log, "start info", "without a first info only the active timeout counts");
	game_end();

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

int main(void)
{
	test_scripts(tcp_scripts, sizeof(tcp_scripts) / sizeof(*tcp_scripts), IPPROTO_TCP, "TCP");
	test_scripts(udp_scripts, sizeof(udp_scripts) / sizeof(*udp_scripts), IPPROTO_UDP, "UDP");
	test_reports();
	test_times();
	test_loss();
	test_icmp();
	test_bounds();
	test_ids();
	return tap_done();
}
