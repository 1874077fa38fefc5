/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plays scripts to a flow table: packets as words, the events that come out as words.
 *
 * A packet: `>` from the client (10.0.0.1:40000), `<` from the server (10.0.0.2:80), then its
 * flags, its sequence number, `,ack`, `+payload`, `@interface`, and if it is not counted how it is
 * answered:
 * `=late`, `=dup`. `x` says that the last datagram of the client's was refused, `X` of the
 * server's. `~S` waits S seconds (expiring), `!S` lets S seconds pass without expiring.
 * Events: `start`; `info`;
 * `end:STATE:REASON:HISTORY:ORIG_BYTES/RESP_BYTES:ORIG_PACKETS/RESP_PACKETS` with `-` for unknown
 * bytes, `*` in front when midstream, `<` when the originator is the server.
 */
#pragma once

#include <ctype.h>
#include <netinet/in.h>

#include "enrich/flow.h"
#include "tap.h"

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

static inline void log_word(const char *format, ...) __attribute__((format(printf, 1, 2)));

static inline void log_word(const char *format, ...)
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

static inline void bytes_text(const struct flow *f, enum flow_side side, char ret[24])
{
	if (f->have_bytes[side])
		snprintf(ret, 24, "%llu", (unsigned long long)f->bytes[side]);
	else
		snprintf(ret, 24, "-");
}

static inline void on_event(void *arg, struct flow *f, enum flow_event e, uint64_t t_ns)
{
	char o[24], r[24];

	(void)arg;
	game.delta += flow_reported(game.table, f);
	game.last_event_ns = t_ns;
	game.rtt_ns = f->rtt_ns;
	game.loss_window = f->loss_window;
	game.last = *f;
	switch (e) {
	case FLOW_EVENT_OPEN:
		log_word("open");
		return;
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

static inline void on_free(void *arg, struct flow *f)
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

static inline void game_start(const struct flow_limits *l)
{
	memset(&game, 0, sizeof(game));
	if (flow_table_new(l, on_event, on_free, NULL, &game.table))
		tap_bail("no flow table");
}

static inline void game_end(void)
{
	flow_table_free(game.table);
	game.table = NULL;
}

static inline void address(uint8_t ret[16], unsigned host)
{
	memset(ret, 0, 10);
	ret[10] = ret[11] = 0xff;
	ret[12] = 10;
	ret[13] = ret[14] = 0;
	ret[15] = (uint8_t)host;
}

static inline struct decoded make(uint8_t proto, bool from_server, uint16_t client_port)
{
	struct decoded d = {.family = 4, .proto = proto};

	address(d.src, from_server ? 2 : 1);
	address(d.dst, from_server ? 1 : 2);
	d.sport = from_server ? 80 : client_port;
	d.dport = from_server ? client_port : 80;
	return d;
}

static inline enum flow_packet feed(const struct decoded *d, uint32_t ifindex, uint64_t t_ns)
{
	enum flow_packet r = flow_table_packet(game.table, d, ifindex, t_ns);

	game.counted += r == FLOW_PACKET_COUNTED;
	return r;
}

/* Plays one packet word; false: it was answered otherwise than it says. */
static inline bool play_packet(const char *word, uint8_t proto, uint64_t t_ns)
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
static inline uint64_t play(const char *script, uint8_t proto, bool *ret_ok)
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
		if (word[0] == 'x' || word[0] == 'X') {
			struct decoded d = make(proto, word[0] == 'X', 40000);

			flow_table_refused(game.table, &d);
			continue;
		}
		*ret_ok &= play_packet(word, proto, t_ns);
		t_ns += 1000000;
	}
	return t_ns;
}
