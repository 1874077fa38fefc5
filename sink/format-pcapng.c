/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packets themselves as a pcapng file, each with the process it belongs to: option
 * epb_processid_threadid (8) and a comment of "Key: value" lines as other tools write and read
 * them.
 *
 * A link type is described as an interface before its first packet, for programs made with libpcap
 * take a file of one link type alone; the real interface's name is a line of the comment. A file is
 * appended to block by block and may be cut behind any of them: whoever goes on with one does not
 * know what it has described, and begins a section. This machine's byte order, times in
 * nanoseconds. Source: draft-ietf-opsawg-pcapng.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "config/transfer.h"
#include "shm/cleanup.h"
#include "sink/escape.h"
#include "sink/format.h"
#include "sink/text.h"

#define BLOCK_SHB        0x0a0d0d0au
#define BLOCK_IDB        1u
#define BLOCK_EPB        6u
#define BYTE_ORDER_MAGIC 0x1a2b3c4du

#define OPT_END           0
#define OPT_COMMENT       1
#define SHB_USERAPPL      4
#define IF_NAME           2
#define IF_TSRESOL        9
#define EPB_FLAGS         2
#define EPB_PID_TID       8
#define EPB_FLAG_INBOUND  1u
#define EPB_FLAG_OUTBOUND 2u

#define BLOCK_MIN 12u /* type, length, length */
#define PROGRAM   "flowner "

/* DLT_* of the packet, LINKTYPE_* of the file: they differ for RAW. */
static const struct {
	uint16_t dlt, linktype;
	const char *name;
} LINKS[] = {
	{1, 1, "ethernet"},
	{113, 113, "cooked"},
	{276, 276, "cooked2"},
	{12, 101, "raw"},
	{228, 228, "ipv4"},
	{229, 229, "ipv6"},
	{0, 0, "null"},
	{108, 108, "loop"},
};

#define N_LINKS (sizeof(LINKS) / sizeof(LINKS[0]))

_Static_assert(N_LINKS <= sizeof(((struct format_section *)0)->interface), "a number for each");

/* Writing ----------------------------------------------------------------------------------- */

static char *put_u16(char *p, uint16_t v)
{
	return text_bytes(p, (const char *)&v, sizeof(v));
}

static char *put_u32(char *p, uint32_t v)
{
	return text_bytes(p, (const char *)&v, sizeof(v));
}

/* Zeros up to a multiple of four bytes from @from. */
static char *pad(char *p, const char *from)
{
	while ((p - from) & 3)
		*p++ = 0;
	return p;
}

static char *block_begin(char *p, uint32_t type)
{
	return put_u32(put_u32(p, type), 0);
}

static char *block_end(char *p, char *block)
{
	uint32_t len;

	p = put_u32(p, OPT_END);
	len = (uint32_t)(p - block) + 4;
	memcpy(block + 4, &len, sizeof(len));
	return put_u32(p, len);
}

/* An option whose value is written at the result; then option_end(). */
static char *option_begin(char *p, uint16_t code)
{
	return put_u16(put_u16(p, code), 0);
}

static char *option_end(char *p, char *option)
{
	uint16_t len = (uint16_t)(p - option - 4);

	memcpy(option + 2, &len, sizeof(len));
	return pad(p, option);
}

static char *option_str(char *p, uint16_t code, const char *s)
{
	return option_end(text_str(option_begin(p, code), s), p);
}

static char *section_begin(char *p, const struct format_context *ctx)
{
	char *block = p, *from;

	p = put_u32(block_begin(p, BLOCK_SHB), BYTE_ORDER_MAGIC);
	p = put_u16(put_u16(p, 1), 0);                   /* version */
	p = put_u32(put_u32(p, UINT32_MAX), UINT32_MAX); /* section length: not said */
	from = p;
	p = text_lit(option_begin(p, SHB_USERAPPL), PROGRAM);
	p = option_end(text_str(p, ctx->version), from);
	return block_end(p, block);
}

static size_t pcapng_head(const struct format_context *ctx, uint64_t t_ns, char *buf)
{
	(void)t_ns;
	return (size_t)(section_begin(buf, ctx) - buf);
}

static char *interface(char *p, unsigned link)
{
	char *block = p, *from;

	p = block_begin(p, BLOCK_IDB);
	p = put_u16(put_u16(p, LINKS[link].linktype), 0);
	p = put_u32(p, 0); /* snap length: it depends on the packet */
	p = option_str(p, IF_NAME, LINKS[link].name);
	from = p;
	p = option_begin(p, IF_TSRESOL);
	*p++ = 9;
	p = option_end(p, from);
	return block_end(p, block);
}

/* What must stand before a packet of @link. */
static char *describe(
	char *p, unsigned link, struct format_section *section, const struct format_context *ctx)
{
	if (!section->begun) {
		*section = (struct format_section){.begun = true};
		p = section_begin(p, ctx);
	}
	if (section->interface[link])
		return p;
	section->interface[link] = ++section->interfaces;
	return interface(p, link);
}

static char *line_str(
	char *p, const struct record *r, const char *peer, const char *key, struct record_str s)
{
	if (!s.len)
		return p;
	p = text_lit(text_str(text_str(p, peer), key), ": ");
	p = escape_terminal(p, record_get_str(r, s), s.len);
	*p++ = '\n';
	return p;
}

static char *line_u32(char *p, const char *peer, const char *key, uint32_t v)
{
	if (!v)
		return p;
	p = text_u64(text_lit(text_str(text_str(p, peer), key), ": "), v);
	*p++ = '\n';
	return p;
}

static char *line_args(
	char *p, const struct record *r, const char *peer, const struct record_process *o)
{
	const char *s = record_get_str(r, o->args), *arg;
	size_t pos = 0, len;

	if (!o->args.len)
		return p;
	p = text_lit(text_str(p, peer), "Args:");
	while ((arg = format_next_arg(s, o->args.len, &pos, &len))) {
		*p++ = ' ';
		p = escape_terminal(p, arg, len);
	}
	if (o->flags & RECORD_PROCESS_ARGS_CUT)
		p = text_lit(p, " ...");
	*p++ = '\n';
	return p;
}

/* How sure it is, and how it is known or why not. */
static char *line_verdict(char *p, const char *peer, const struct record_process *o)
{
	p = text_lit(text_str(p, peer), "Owner: ");
	p = text_str(p, record_confidence_name((enum record_confidence)o->confidence));
	p = text_lit(p, " (");
	if (o->confidence == RECORD_CONFIDENCE_UNKNOWN)
		p = text_str(p, record_unknown_name((enum record_unknown)o->unknown));
	else
		p = text_str(p, record_method_name((enum record_method)o->method));
	return text_lit(p, ")\n");
}

static char *lines(
	char *p, const struct record *r, const char *peer, const struct record_process *o)
{
	p = line_u32(p, peer, "PID", o->pid);
	p = line_str(p, r, peer, "Cmd", o->exe.len ? o->exe : o->name);
	p = line_args(p, r, peer, o);
	p = line_u32(p, peer, "ParentPID", o->ppid);
	p = line_str(p, r, peer, "ParentCmd", o->parent_name);
	p = line_str(p, r, peer, "ContainerId", o->container);
	return line_verdict(p, peer, o);
}

/* @owner stands for the packet, @peer (or NULL) is at the other end. */
static char *comment(char *p, const struct record *r, const struct record_process *owner,
	const struct record_process *peer)
{
	char *option = p;

	if (r->flags & RECORD_FLAG_OFFLINE)
		return p;
	p = lines(option_begin(p, OPT_COMMENT), r, "", owner);
	if (peer)
		p = lines(p, r, "Peer", peer);
	p = line_str(p, r, "", "Interface", r->ifname);
	p = line_str(p, r, "", "Netns", r->netns);
	return option_end(p - 1, option); /* without the last newline */
}

/* Seen from this host; a packet from here to here has both directions. */
static char *direction(char *p, const struct record *r)
{
	bool out = r->direction == RECORD_EGRESS ? !r->packet_resp : r->packet_resp;

	if (r->direction != RECORD_EGRESS && r->direction != RECORD_INGRESS)
		return p;
	p = put_u16(put_u16(p, EPB_FLAGS), 4);
	return put_u32(p, out ? EPB_FLAG_OUTBOUND : EPB_FLAG_INBOUND);
}

static size_t pcapng_packet(const struct record *r, struct format_section *section,
	const struct format_context *ctx, char *buf)
{
	struct format_owners o = format_owners(r);
	const struct record_process *owner = o.process, *peer = o.second;
	uint32_t link = 0, len = r->packet.len, wire = r->packet_len > len ? r->packet_len : len;
	char *p, *block;

	while (link < N_LINKS && LINKS[link].dlt != r->dlt)
		link++;
	if (link == N_LINKS)
		return 0;
	/* Where both ends are here it is the sender's, known or not. */
	if (peer && r->packet_resp) {
		owner = o.second;
		peer = o.process;
	}
	block = describe(buf, link, section, ctx);
	p = put_u32(block_begin(block, BLOCK_EPB), section->interface[link] - 1u);
	p = put_u32(put_u32(p, (uint32_t)(r->t_ns >> 32)), (uint32_t)r->t_ns);
	p = put_u32(put_u32(p, len), wire);
	p = pad(text_bytes(p, record_get_str(r, r->packet), len), block);
	p = direction(p, r);
	if (owner->pid) {
		p = put_u16(put_u16(p, EPB_PID_TID), 8);
		p = put_u32(put_u32(p, owner->pid), 0); /* which thread: not known */
	}
	p = comment(p, r, owner, peer);
	return (size_t)(block_end(p, block) - buf);
}

/* Recovery ---------------------------------------------------------------------------------- */

/* A window on the file that moves forward. */
struct window {
	int fd;
	uint64_t size; /* of the file */
	uint64_t from; /* place of bytes[0] */
	size_t len;
	char *bytes;
};

#define WINDOW_SIZE (4u * FORMAT_MAX)

/* @len bytes (at most FORMAT_MAX) at @at; NULL = they are not there, or -errno in *ret_error. */
static const char *look(struct window *w, uint64_t at, size_t len, int *ret_error)
{
	if (at > w->size || w->size - at < len)
		return NULL;
	if (at >= w->from && at + len <= w->from + w->len)
		return w->bytes + (at - w->from);
	w->from = at;
	for (w->len = 0; w->len < WINDOW_SIZE;) {
		ssize_t n = transfer_read(
			w->fd, w->bytes + w->len, WINDOW_SIZE - w->len, (off_t)(at + w->len));

		if (n < 0) {
			*ret_error = -errno;
			return NULL;
		}
		if (n == 0)
			break;
		w->len += (size_t)n;
	}
	return w->len >= len ? w->bytes : NULL;
}

/* Length of the whole block at @at; 0 = there is none. */
static uint32_t whole_block(struct window *w, uint64_t at, int *ret_error)
{
	const char *block = look(w, at, BLOCK_MIN, ret_error);
	uint32_t head[2], again;

	if (!block)
		return 0;
	memcpy(head, block, sizeof(head));
	if (head[1] < BLOCK_MIN || head[1] % 4 || head[1] > FORMAT_MAX)
		return 0;
	if (head[0] != BLOCK_SHB && (!at || (head[0] != BLOCK_EPB && head[0] != BLOCK_IDB)))
		return 0;
	block = look(w, at, head[1], ret_error);
	if (!block)
		return 0;
	memcpy(&again, block + head[1] - 4, sizeof(again));
	return again == head[1] ? head[1] : 0;
}

/* Whether the section header at the beginning, or what there is of it, is ours. */
static bool is_ours(const char *bytes, size_t len)
{
	const uint32_t type = BLOCK_SHB, magic = BYTE_ORDER_MAGIC;

	return memcmp(bytes, &type, len < 4 ? len : 4) == 0 &&
	       (len < 12 || memcmp(bytes + 8, &magic, 4) == 0) &&
	       (len < 28 + sizeof(PROGRAM) - 1 ||
		       memcmp(bytes + 28, PROGRAM, sizeof(PROGRAM) - 1) == 0);
}

static int pcapng_whole(int fd, uint64_t size, uint64_t *ret_end)
{
	_cleanup_free_ char *bytes = malloc(WINDOW_SIZE);
	struct window w = {.fd = fd, .size = size, .bytes = bytes};
	size_t first = size < 64 ? (size_t)size : 64;
	uint64_t at = 0;
	const char *head;
	uint32_t len;
	int r = 0;

	if (!bytes)
		return -ENOMEM;
	head = look(&w, 0, first, &r);
	if (!head)
		return r < 0 ? r : -EIO;
	if (!is_ours(head, first))
		return -EBADMSG;
	while ((len = whole_block(&w, at, &r)))
		at += len;
	if (r < 0)
		return r;
	/* What was being written is one block; more than that nobody but a person may cut. */
	if (size - at > FORMAT_MAX)
		return -EBADMSG;
	*ret_end = at;
	return 0;
}

const struct format format_pcapng = {
	.name = "pcapng",
	.help = "the packets as captured, each with its process, for Wireshark and tshark",
	.begins = "\n",
	.packet = pcapng_packet,
	.head = pcapng_head,
	.whole = pcapng_whole,
};
