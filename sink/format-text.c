/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line a connection for people at a terminal: when, from where to where, how it went, and whose
 * it was. Nothing that steers a terminal ever comes out, except our own colours.
 */
#include <netinet/in.h>

#include "shm/ring.h"
#include "shm/verdict.h"
#include "sink/escape.h"
#include "sink/format.h"
#include "sink/text.h"

#define COLOUR_DIM    "\x1b[2m"
#define COLOUR_NAME   "\x1b[1;32m"
#define COLOUR_WARN   "\x1b[33m"
#define SPAN_NS       UINT64_C(1000000) /* a loss that took at least this long says so */
#define COLOUR_LOSS   "\x1b[1;31m"
#define COLOUR_NORMAL "\x1b[0m"

#define COMMAND_MAX    240u /* bytes of a command line that are shown */
#define NAME_MAX_BYTES 64u  /* and of a host's name */
#define WIDTH_PORT     21u  /* 255.255.255.255:65535 */

#define colour(p, ctx, c) ((ctx)->colour ? text_lit(p, c) : (p))

/* Blanks up to column @width from @from, at least one. */
static char *pad(char *p, const char *from, size_t width)
{
	do {
		*p++ = ' ';
	} while ((size_t)(p - from) <= width);
	return p;
}

static char *protocol(char *p, const struct record *r)
{
	switch (r->proto) {
	case IPPROTO_TCP:
		return text_lit(p, "tcp");
	case IPPROTO_UDP:
		return text_lit(p, "udp");
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return text_lit(p, "icmp");
	case IPPROTO_SCTP:
		return text_lit(p, "sctp");
	}
	return text_u64(text_lit(p, "ip"), r->proto);
}

static char *endpoint(char *p, const struct record *r, const uint8_t addr[16], uint16_t port)
{
	if (r->family == 6)
		*p++ = '[';
	p = text_address(p, addr, r->family);
	if (r->family == 6)
		*p++ = ']';
	if (r->proto == IPPROTO_TCP || r->proto == IPPROTO_UDP || r->proto == IPPROTO_SCTP) {
		*p++ = ':';
		p = text_u64(p, port);
	}
	return p;
}

/* Cuts at @max bytes, not inside a character. */
static size_t cut(const char *s, size_t len, size_t max)
{
	if (len <= max)
		return len;
	while (max && ((uint8_t)s[max] & 0xc0) == 0x80)
		max--;
	return max;
}

/* What that end is called: the client said whom it wants, or an earlier answer of DNS gave it. */
static char *end_name(char *p, const struct record *r, bool resp)
{
	struct record_str s = {0};
	size_t shown;

	if (resp && r->server_name.len)
		s = r->server_name;
	else if (resp != (r->direction == RECORD_INGRESS))
		s = r->name; /* the remote end's */
	if (!s.len)
		return p;
	shown = cut(record_get_str(r, s), s.len, NAME_MAX_BYTES);
	p = text_lit(p, " (");
	p = escape_terminal(p, record_get_str(r, s), shown);
	if (shown < s.len)
		p = text_lit(p, "...");
	*p++ = ')';
	return p;
}

/* What became of the connection, in a word. */
static const char *fate(const struct record *r)
{
	switch ((enum record_end_reason)r->end_reason) {
	case RECORD_END_SHUTDOWN:
		return "closed";
	case RECORD_END_RESET:
		return "reset";
	case RECORD_END_REFUSED:
		return "refused";
	case RECORD_END_TIMEOUT:
		if (r->proto == IPPROTO_TCP && r->state == RECORD_STATE_S0)
			return "no answer";
		return r->proto == IPPROTO_TCP ? "timeout" : "done";
	case RECORD_END_TCP_REUSE:
	case RECORD_END_OWNER_CHANGED:
		return "replaced";
	case RECORD_END_EVICTED:
		return "evicted";
	case RECORD_END_NONE:
	case RECORD_END_FORCED: /* flowner stopped, the connection did not */
	case RECORD_END_REASONS:
		break;
	}
	return "open";
}

static char *bytes_or_dash(char *p, const struct record *r, unsigned flag, uint64_t bytes)
{
	if (r->flags & flag)
		return text_size(p, bytes);
	*p++ = '-';
	return p;
}

/* True if an argument needs no quotes to be told from its neighbours. */
static bool is_plain(const char *arg, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (arg[i] == ' ' || arg[i] == '"' || arg[i] == '\'')
			return false;
	return len > 0;
}

static char *argument(char *p, const char *arg, size_t len)
{
	if (is_plain(arg, len))
		return escape_terminal(p, arg, len);
	*p++ = '"';
	for (;;) {
		const char *quote = memchr(arg, '"', len);
		size_t n = quote ? (size_t)(quote - arg) : len;

		p = escape_terminal(p, arg, n);
		if (!quote)
			break;
		p = text_lit(p, "\\\"");
		arg += n + 1;
		len -= n + 1;
	}
	*p++ = '"';
	return p;
}

static char *command_line(char *p, const struct record *r, const struct record_process *o)
{
	const char *s = record_get_str(r, o->args), *arg;
	size_t shown = cut(s, o->args.len, COMMAND_MAX), pos = 0, len;

	if (!shown)
		return p;
	p = text_lit(p, " '");
	while ((arg = format_next_arg(s, shown, &pos, &len))) {
		if (arg != s)
			*p++ = ' ';
		p = argument(p, arg, len);
	}
	if (shown < o->args.len || o->flags & RECORD_PROCESS_ARGS_CUT)
		p = text_lit(p, "...");
	*p++ = '\'';
	return p;
}

/* Why there is no process, for people. */
static const char *why_unknown(const struct record *r, const struct record_process *o)
{
	/* The refusal itself says that there was never a socket to be found. */
	if (o == &r->resp && o->unknown == RECORD_UNKNOWN_NO_SOCKET &&
		r->end_reason == RECORD_END_REFUSED)
		return "nothing listens there";
	return verdict_unknown((enum record_unknown)o->unknown);
}

static char *unknown_owner(char *p, const struct record *r, const struct record_process *o,
	const struct format_context *ctx)
{
	p = colour(p, ctx, COLOUR_WARN);
	p = text_lit(p, "? (");
	if (o->confidence == RECORD_CONFIDENCE_CGROUP_ONLY)
		p = text_lit(p, "cgroup only");
	else
		p = text_str(p, why_unknown(r, o));
	*p++ = ')';
	p = colour(p, ctx, COLOUR_NORMAL);
	if (o->cgroup.len) {
		p = text_lit(p, " cgroup ");
		p = escape_terminal(p, record_get_str(r, o->cgroup), o->cgroup.len);
	}
	return p;
}

static char *process(char *p, const struct record *r, const struct record_process *o,
	const struct format_context *ctx)
{
	p = colour(p, ctx, COLOUR_NAME);
	p = escape_terminal(p, record_get_str(r, o->name), o->name.len);
	*p++ = '[';
	p = text_u64(p, o->pid);
	*p++ = ']';
	p = colour(p, ctx, COLOUR_NORMAL);
	if (o->exe.len) {
		*p++ = ' ';
		p = escape_terminal(p, record_get_str(r, o->exe), o->exe.len);
	}
	if (o->flags & RECORD_PROCESS_EXE_DELETED)
		p = text_lit(p, " (deleted)");
	return command_line(p, r, o);
}

static char *owner(char *p, const struct record *r, const struct record_process *o,
	const struct format_context *ctx)
{
	const char *remark;

	if (o->pid)
		p = process(p, r, o, ctx);
	else if (o->method == RECORD_METHOD_KERNEL)
		p = colour(text_lit(colour(p, ctx, COLOUR_NAME), "kernel"), ctx, COLOUR_NORMAL);
	else
		p = unknown_owner(p, r, o, ctx);
	if (o->uid != UINT32_MAX && (o->pid || o->confidence != RECORD_CONFIDENCE_UNKNOWN))
		p = text_u64(text_lit(p, " uid "), o->uid);
	if (o->netns)
		p = text_u64(text_lit(p, " netns "), o->netns);
	if (!o->pid)
		return p;
	remark = verdict_remark(
		(enum record_method)o->method, (enum record_confidence)o->confidence);
	if (remark) {
		p = text_lit(p, " (");
		p = text_str(p, remark);
		*p++ = ')';
	}
	return p;
}

static char *when(char *p, const struct record *r, const struct format_context *ctx)
{
	p = colour(p, ctx, COLOUR_DIM);
	p = text_time_of_day(p, r->event == RECORD_LOSS ? r->t_ns : r->start_ns, ctx->utc_offset_s);
	p = colour(p, ctx, COLOUR_NORMAL);
	*p++ = ' ';
	return p;
}

/* What went, behind "LOST " and how much. */
static const char *loss_words(uint32_t stage)
{
	switch ((enum ring_loss_stage)stage) {
	case RING_LOSS_KERNEL:
		return " packets: the kernel dropped them, capture did not keep up";
	case RING_LOSS_PACKET_RING:
		return " packets: the ring to enrich was full";
	case RING_LOSS_RECORD_RING:
		return " connection records: the ring to sink was full";
	case RING_LOSS_TAP:
		return " owner events: some owners may be unknown";
	case RING_LOSS_FLOWS:
		return " packets: enrich was killed with what it held of them";
	case RING_LOSS_NETLINK:
		return " times messages of the kernel about sockets: some facts may be missing";
	case RING_LOSS_FLOW_TABLE:
		return " connections out of sight: the flow table was full (limits.flows)";
	case RING_LOSS_PROCESS_CACHE:
		return " processes out of sight: too many at a time (limits.processes)";
	case RING_LOSS_NAME_CACHE:
		return " names of addresses: too many at a time";
	case RING_LOSS_AGGREGATES:
		return " places for summaries: some stand for less than a whole window";
	case RING_LOSS_OUTPUT:
		return " records of another output: nobody reads it any more";
	case RING_LOSS_INVALID:
		return " records: they made no sense";
	case RING_LOSS_CAPTURE:
		return " packets: the kernel had them for a capture that was killed";
	case RING_LOSS_STAGES:
		break;
	}
	return " of something";
}

static size_t loss_line(const struct record *r, const struct format_context *ctx, char *buf)
{
	uint64_t span_ns = r->loss_last_ns - r->loss_first_ns;
	char *p = when(buf, r, ctx);

	p = colour(p, ctx, COLOUR_LOSS);
	p = text_lit(p, "LOST ");
	p = text_u64(p, r->loss_count);
	p = text_str(p, loss_words(r->loss_stage));
	if (span_ns >= SPAN_NS) {
		p = text_lit(p, " (within ");
		p = text_duration(p, span_ns);
		*p++ = ')';
	}
	p = colour(p, ctx, COLOUR_NORMAL);
	*p++ = '\n';
	return (size_t)(p - buf);
}

static char *columns(char *p, const struct record *r)
{
	char *from = p;

	p = pad(protocol(p, r), from, 4);
	from = p;
	p = endpoint(p, r, r->orig_addr, r->orig_port);
	p = pad(end_name(p, r, false), from, WIDTH_PORT);
	p = text_lit(p, "-> ");
	from = p;
	p = endpoint(p, r, r->resp_addr, r->resp_port);
	p = pad(end_name(p, r, true), from, WIDTH_PORT);
	from = p;
	p = pad(text_str(p, fate(r)), from, 9);
	from = p;
	if (r->flags & RECORD_FLAG_MIDSTREAM)
		*p++ = '>'; /* it is older than its first packet that was seen */
	p = pad(text_duration(p, r->end_ns - r->start_ns), from, 6);
	from = p;
	p = bytes_or_dash(p, r, RECORD_FLAG_ORIG_BYTES, r->orig_bytes);
	*p++ = '/';
	p = bytes_or_dash(p, r, RECORD_FLAG_RESP_BYTES, r->resp_bytes);
	return pad(p, from, 11);
}

/* Of a line that said "open": that it was, without another byte. */
static bool says_nothing_new(const struct record *r)
{
	const unsigned both = RECORD_FLAG_UNCHANGED | RECORD_FLAG_REPORTED;

	return (r->flags & both) == both && r->end_reason != RECORD_END_REFUSED &&
	       (r->proto != IPPROTO_TCP || r->end_reason == RECORD_END_FORCED);
}

static size_t text_record(const struct record *r, const struct format_context *ctx, char *buf)
{
	char *p;

	if (r->event == RECORD_LOSS)
		return loss_line(r, ctx, buf);
	/* A start is told by the end, or by the info record that long connections get. */
	if (r->event == RECORD_START)
		return 0;
	if (r->event == RECORD_END && says_nothing_new(r))
		return 0;
	p = when(buf, r, ctx);
	p = columns(p, r);
	if (r->event == RECORD_SUMMARY) {
		*p++ = 'x';
		p = text_u64(p, r->connections);
		*p++ = ' ';
	}
	if (r->direction == RECORD_EGRESS || r->direction == RECORD_LOCAL) {
		p = owner(p, r, &r->orig, ctx);
		if (r->direction == RECORD_LOCAL)
			*p++ = ' ';
	}
	if (r->direction == RECORD_INGRESS || r->direction == RECORD_LOCAL) {
		p = text_lit(p, "=> ");
		p = owner(p, r, &r->resp, ctx);
	}
	if (r->direction == RECORD_DIRECTION_UNKNOWN)
		p = owner(p, r, format_owners(r).process, ctx);
	if (r->netns.len) {
		p = text_lit(p, " [seen in netns ");
		p = escape_terminal(p, record_get_str(r, r->netns), r->netns.len);
		*p++ = ']';
	}
	*p++ = '\n';
	return (size_t)(p - buf);
}

const struct format format_text = {
	.name = "text",
	.help = "one line a connection for people",
	.begins = "0123456789",
	.record = text_record,
};
