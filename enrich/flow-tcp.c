/* SPDX-License-Identifier: Apache-2.0 */
/* One TCP connection's state from its packets. Source of the states: Zeek's conn.log reference. */
#include "enrich/flow-tcp.h"

#include <string.h>

/* struct flow_tcp_side.letters */
#define LETTER_A 0x01
#define LETTER_D 0x02
#define LETTER_H 0x04
#define LETTER_R 0x08

/*
 * How far beyond what is known a sequence number may be; the rest of the 32 bits is for old
 * segments (RFC 7323: windows are at most 1 GiB).
 */
#define FORWARD UINT32_C(0xc0000000)

void flow_history(struct flow *f, enum flow_side side, char c)
{
	size_t n = strnlen(f->history, sizeof(f->history));

	if (n < sizeof(f->history) - 1)
		f->history[n] = side == FLOW_ORIG ? (char)(c - 'a' + 'A') : c;
}

static void letter_once(
	struct flow *f, enum flow_side side, struct flow_tcp_side *s, uint8_t bit, char c)
{
	if (s->letters & bit)
		return;
	s->letters |= bit;
	flow_history(f, side, c);
}

/* These repeat on a new sequence number. */
static void letter_at(struct flow *f, enum flow_side side, struct flow_tcp_side *s, uint8_t bit,
	char c, uint32_t seq)
{
	uint32_t *last = bit == LETTER_H ? &s->h_seq : &s->r_seq;

	if (s->letters & bit && *last == seq)
		return;
	s->letters |= bit;
	*last = seq;
	flow_history(f, side, c);
}

/* Whether @ack answers the SYN of @s; data in a SYN (RFC 7413) may be taken or not. */
static bool acks_syn(const struct flow_tcp_side *s, uint32_t ack)
{
	return ack - (s->isn + 1) <= s->syn_payload;
}

bool flow_tcp_is_new(const struct flow_tcp *t, enum flow_side side, const struct decoded *d)
{
	const struct flow_tcp_side *s = &t->side[side], *peer = &t->side[!side];
	bool answers;

	if (!(d->tcp_flags & DECODE_TCP_SYN) || d->tcp_flags & DECODE_TCP_RST)
		return false;
	if (s->flags & FLOW_TCP_HAVE_ISN && s->isn == d->seq)
		return false;
	if (!(peer->flags & FLOW_TCP_HAVE_ISN))
		return true;
	answers = d->tcp_flags & DECODE_TCP_ACK && acks_syn(peer, d->ack);
	if (answers)
		return false;
	/* While the peer's SYN is unanswered: a simultaneous open, or an old segment's ghost. */
	return s->flags & FLOW_TCP_HAVE_ISN || peer->state != FLOW_TCP_SYN_SENT;
}

/* Moves the 64-bit count @n up to where its low half is @offset, unless that is further back. */
static void count_up(struct flow_tcp_side *s, uint64_t *n, uint32_t offset)
{
	uint32_t more = offset - (uint32_t)*n;

	if (!more || more >= FORWARD)
		return;
	*n += more;
	s->flags &= (uint8_t)~FLOW_TCP_KERNEL;
}

/* The side has sent everything below sequence number @end. */
static void saw_sent(struct flow_tcp_side *s, uint32_t end)
{
	uint32_t offset = end - s->isn - 1;

	if (!(s->flags & FLOW_TCP_HAVE_ISN))
		return;
	if (!(s->flags & FLOW_TCP_HAVE_SENT)) {
		s->flags |= FLOW_TCP_HAVE_SENT;
		s->sent = offset == UINT32_MAX ? 0 : offset; /* a keep-alive stands one before */
	} else {
		count_up(s, &s->sent, offset);
	}
}

static void saw_acked(struct flow_tcp_side *s, uint32_t ack)
{
	uint32_t offset = ack - s->isn - 1;

	if (!(s->flags & FLOW_TCP_HAVE_ISN))
		return;
	if (!(s->flags & FLOW_TCP_HAVE_ACKED) && !s->acked)
		s->acked = offset;
	else
		count_up(s, &s->acked, offset);
	s->flags |= FLOW_TCP_HAVE_ACKED;
}

static void on_syn(struct flow_tcp *t, struct flow *f, enum flow_side side, const struct decoded *d,
	uint64_t t_ns)
{
	struct flow_tcp_side *s = &t->side[side], *peer = &t->side[!side];
	bool is_ack = d->tcp_flags & DECODE_TCP_ACK;
	bool known = s->flags & FLOW_TCP_HAVE_ISN;

	if (is_ack && peer->flags & FLOW_TCP_HAVE_ISN && !acks_syn(peer, d->ack))
		return;
	if (known && s->isn != d->seq) { /* somebody else's answer to the same SYN */
		if (is_ack)
			letter_at(f, side, s, LETTER_H, 'h', d->seq);
		return;
	}
	s->isn = d->seq;
	s->flags |= FLOW_TCP_HAVE_ISN;
	if (!is_ack) {
		if (s->state == FLOW_TCP_INACTIVE) {
			/* A SYN that comes after its own SYN-ACK was only overtaken. */
			s->state = t->answered ? FLOW_TCP_ESTABLISHED : FLOW_TCP_SYN_SENT;
			s->syn_ns = t_ns;
			s->syn_payload = d->payload_len;
			f->midstream = false;
			flow_history(f, side, 's');
			if (d->payload_len)
				letter_once(f, side, s, LETTER_D, 'd');
		} else {
			s->flags |= FLOW_TCP_SYN_AGAIN;
		}
		return;
	}
	letter_at(f, side, s, LETTER_H, 'h', d->seq);
	if (s->state < FLOW_TCP_ESTABLISHED)
		s->state = FLOW_TCP_ESTABLISHED;
	t->answered = true;
	if (peer->state == FLOW_TCP_SYN_SENT) {
		peer->state = FLOW_TCP_ESTABLISHED;
		if (!(peer->flags & FLOW_TCP_SYN_AGAIN) && t_ns > peer->syn_ns)
			f->rtt_ns = t_ns - peer->syn_ns < UINT32_MAX
					    ? (uint32_t)(t_ns - peer->syn_ns)
					    : UINT32_MAX;
	} else if (!(peer->flags & FLOW_TCP_HAVE_ISN)) {
		peer->isn = d->ack - 1;
		peer->flags |= FLOW_TCP_HAVE_ISN;
	}
}

static bool on_rst(struct flow_tcp *t, struct flow *f, enum flow_side side, const struct decoded *d)
{
	struct flow_tcp_side *s = &t->side[side], *peer = &t->side[!side];
	bool is_ack = d->tcp_flags & DECODE_TCP_ACK;

	letter_at(f, side, s, LETTER_R, 'r', d->seq);
	if (s->state == FLOW_TCP_INACTIVE && peer->state == FLOW_TCP_SYN_SENT &&
		(!is_ack || !acks_syn(peer, d->ack)))
		return false;
	/* 0 with an acknowledgement is what an end without a connection answers, not a count. */
	if ((d->seq || !is_ack) && !(s->flags & FLOW_TCP_HAVE_FIN))
		saw_sent(s, d->seq); /* after a FIN it counts that, too */
	if (is_ack)
		saw_acked(peer, d->ack);
	s->state = FLOW_TCP_RESET;
	f->over = FLOW_OVER_RESET;
	return true;
}

static bool on_segment(
	struct flow_tcp *t, struct flow *f, enum flow_side side, const struct decoded *d)
{
	struct flow_tcp_side *s = &t->side[side], *peer = &t->side[!side];
	bool is_fin = d->tcp_flags & DECODE_TCP_FIN, is_ack = d->tcp_flags & DECODE_TCP_ACK;
	uint32_t end = d->seq + d->payload_len;

	if (s->state <= FLOW_TCP_SYN_SENT)
		s->state = s->flags & FLOW_TCP_HAVE_ISN ? FLOW_TCP_ESTABLISHED : FLOW_TCP_PARTIAL;
	if (d->payload_len)
		letter_once(f, side, s, LETTER_D, 'd');
	else if (is_ack && !is_fin)
		letter_once(f, side, s, LETTER_A, 'a');
	if (s->state != FLOW_TCP_CLOSED) /* later ones acknowledge only: one past the FIN */
		saw_sent(s, end);
	if (is_ack)
		saw_acked(peer, d->ack);
	if (!is_fin || (s->state == FLOW_TCP_CLOSED && s->fin == end))
		return false;
	flow_history(f, side, 'f');
	s->fin = end;
	s->flags |= FLOW_TCP_HAVE_FIN;
	s->state = FLOW_TCP_CLOSED;
	if (peer->state != FLOW_TCP_CLOSED)
		return false;
	f->over = side == FLOW_ORIG ? FLOW_OVER_ORIG : FLOW_OVER_RESP;
	return true;
}

bool flow_tcp_packet(struct flow_tcp *t, struct flow *f, enum flow_side side,
	const struct decoded *d, uint64_t t_ns)
{
	if (d->tcp_flags & DECODE_TCP_RST)
		return on_rst(t, f, side, d);
	if (d->tcp_flags & DECODE_TCP_SYN) {
		on_syn(t, f, side, d, t_ns);
		return false;
	}
	return on_segment(t, f, side, d);
}

bool flow_tcp_is_answered(const struct flow_tcp *t)
{
	return t->answered ||
	       (t->side[0].state > FLOW_TCP_SYN_SENT && t->side[1].state > FLOW_TCP_SYN_SENT);
}

/* Zeek's `^?S[^HAFGIQ]*R`: the originator's SYN, then nothing of it but perhaps data, then a RST.
 */
static bool is_reset_attempt(const char *history)
{
	history += *history == '^';
	return history[0] == 'S' && history[1 + strcspn(history + 1, "HAFGIQR")] == 'R';
}

static enum record_state conn_state(const struct flow_tcp *t, const struct flow *f)
{
	enum flow_tcp_end orig = t->side[FLOW_ORIG].state, resp = t->side[FLOW_RESP].state;

	if (resp == FLOW_TCP_RESET) {
		if (orig == FLOW_TCP_SYN_SENT)
			return RECORD_STATE_REJ;
		return orig == FLOW_TCP_INACTIVE ? RECORD_STATE_RSTRH : RECORD_STATE_RSTR;
	}
	if (orig == FLOW_TCP_RESET) {
		if (resp != FLOW_TCP_INACTIVE)
			return RECORD_STATE_RSTO;
		return is_reset_attempt(f->history) ? RECORD_STATE_RSTOS0 : RECORD_STATE_OTH;
	}
	if (orig == FLOW_TCP_CLOSED && resp == FLOW_TCP_CLOSED)
		return RECORD_STATE_SF;
	if (orig == FLOW_TCP_CLOSED)
		return resp == FLOW_TCP_INACTIVE ? RECORD_STATE_SH : RECORD_STATE_S2;
	if (resp == FLOW_TCP_CLOSED)
		return orig == FLOW_TCP_INACTIVE ? RECORD_STATE_SHR : RECORD_STATE_S3;
	if (orig == FLOW_TCP_SYN_SENT && resp == FLOW_TCP_INACTIVE)
		return RECORD_STATE_S0;
	if (orig == FLOW_TCP_ESTABLISHED && resp == FLOW_TCP_ESTABLISHED)
		return RECORD_STATE_S1;
	return RECORD_STATE_OTH;
}

/* A last word @n whose upper half may be missing, seen after the kernel had counted @least. */
static uint64_t above(uint64_t n, uint64_t least)
{
	uint32_t more = (uint32_t)n - (uint32_t)least;

	return n >= least ? n : more < FORWARD ? least + more : least;
}

void flow_tcp_figures(struct flow_tcp *t, const struct flow_figures *k)
{
	bool reset = t->side[0].state == FLOW_TCP_RESET || t->side[1].state == FLOW_TCP_RESET;

	for (unsigned i = 0; i < 2; i++) {
		struct flow_tcp_side *s = &t->side[i];
		uint64_t least = k->bytes[i] > k->slack[i] ? k->bytes[i] - k->slack[i] : 0;
		bool sent = s->flags & FLOW_TCP_HAVE_SENT, acked = s->flags & FLOW_TCP_HAVE_ACKED;

		if (!k->have[i] || !(s->flags & FLOW_TCP_HAVE_ISN))
			continue;
		if (s->acked < least)
			s->acked = reset && acked ? above(s->acked, least) : least;
		if (sent && (reset || s->flags & FLOW_TCP_HAVE_FIN)) {
			s->sent = above(s->sent, least);
		} else if (!k->slack[i] && (!sent || s->sent < k->bytes[i])) {
			s->sent = k->bytes[i];
			s->flags |= FLOW_TCP_HAVE_SENT | FLOW_TCP_KERNEL;
		}
	}
}

void flow_tcp_settle(const struct flow_tcp *t, bool doubt, struct flow *f)
{
	bool reset = t->side[0].state == FLOW_TCP_RESET || t->side[1].state == FLOW_TCP_RESET;

	f->state = conn_state(t, f);
	f->kernel_bytes = true;
	for (unsigned i = 0; i < 2; i++) {
		const struct flow_tcp_side *s = &t->side[i];
		bool sent = s->flags & FLOW_TCP_HAVE_SENT, acked = s->flags & FLOW_TCP_HAVE_ACKED;

		f->kernel_bytes &= (s->flags & FLOW_TCP_KERNEL) != 0;
		/* Only a reset makes the last acknowledgement the last word on what arrived. */
		f->have_bytes[i] = sent || (acked && reset);
		if (sent && (s->flags & FLOW_TCP_HAVE_FIN || !acked || s->sent > s->acked))
			f->bytes[i] = s->sent;
		else if (f->have_bytes[i])
			f->bytes[i] = s->acked;
		f->have_bytes[i] &= !doubt;
		if (f->state == RECORD_STATE_REJ) {
			f->have_bytes[i] = true;
			f->bytes[i] = 0;
		}
	}
}
