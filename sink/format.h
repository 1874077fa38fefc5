/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output formats: pure functions from a checked record to bytes, one file and one table row each.
 *
 * To add one: write sink/format-NAME.c with a `const struct format format_NAME`, declare it here,
 * and add it to the table in sink/format.c.
 *
 * Threads: any. Blocks: no (format_context_init() reads files). Logs: no.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "shm/record.h"
#include "shm/ring.h"
#include "sink/known.h"

/* What all records of one run share. Strings are {0} if unknown; they are raw, not escaped. */
struct format_context {
	const char *version;  /* flowner's */
	char host_name[256];  /* nodename */
	char host_id[64];     /* machine-id */
	char boot_id[64];     /* of /proc/sys/kernel/random/boot_id */
	int32_t utc_offset_s; /* for times people read */
	bool offline;         /* records of a file: nothing tells when and where it is read */
	bool colour;          /* the output is a terminal that wants colours */
};

/*
 * The most bytes one record can need in any format: every byte of its strings escaped, the
 * arguments written twice (as list and as command line), and the fixed parts.
 */
#define FORMAT_MAX (RECORD_STRINGS_MAX * 12u + 20480u)

/* What a file of packets has said since its section began. Zeroed: none has. */
struct format_section {
	bool begun;
	uint8_t interfaces;
	uint8_t interface[16]; /* the format's: 1 + the number of a link type, 0 = not described */
};

struct format {
	const char *name;
	const char *help;   /* one line */
	const char *begins; /* the bytes a line can begin with */
	/*
	 * What is the same in all records of a run, worked out before the first one; the last @ctx
	 * prepared counts. By format_context_prepare(), while nobody else uses the format. NULL:
	 * nothing.
	 */
	void (*prepare)(const struct format_context *ctx);
	/*
	 * Writes @r to @buf, which has FORMAT_MAX bytes, ending with a newline (if it is lines); @r
	 * has passed format_check(), see format_record(). Returns the number of bytes; 0 = this
	 * format has nothing to say about it. NULL: it writes packets.
	 */
	size_t (*record)(const struct record *r, const struct format_context *ctx, char *buf);
	/*
	 * The same for formats of packets, which RECORD_PACKET are: enrich is to send them. What
	 * must stand before the first of its kind is written with it, and is in @section then.
	 */
	size_t (*packet)(const struct record *r, struct format_section *section,
		const struct format_context *ctx, char *buf);
	/*
	 * The same, but what was written of the processes @ends is written again. One thread at a
	 * time. NULL: this format keeps nothing.
	 */
	size_t (*known)(const struct record *r, const struct known_ends *ends,
		const struct format_context *ctx, char *buf);
	/*
	 * What every new file begins with, and what one ends with that will not grow any more
	 * (rotated, or the end of the run), at @t_ns. Both as record(); NULL: nothing.
	 */
	size_t (*head)(const struct format_context *ctx, uint64_t t_ns, char *buf);
	size_t (*foot)(const struct format_context *ctx, uint64_t t_ns, char *buf);
	/*
	 * Not lines: finds the end of the last whole item of a regular file of @size bytes, so that
	 * a torn one can be cut. 0; -EBADMSG: not a file of this format; -errno. NULL: lines.
	 */
	int (*whole)(int fd, uint64_t size, uint64_t *ret_end);
	/* Where the file already has records: the last one's (epoch, seq). NULL: cannot tell. */
	bool (*last)(const char *line, size_t len, uint64_t *ret_epoch, uint64_t *ret_seq);
};

extern const struct format format_ecs;
extern const struct format format_ocsf;
extern const struct format format_pcapng;
extern const struct format format_sysmon;
extern const struct format format_text;
extern const struct format format_zeek;
extern const struct format format_zeek_json;

/* f->record(), of what is for it. */
static inline size_t format_record(
	const struct format *f, const struct record *r, const struct format_context *ctx, char *buf)
{
	return r->event == RECORD_PACKET || !f->record ? 0 : f->record(r, ctx, buf);
}

/* The same with what known_check() told of its processes. */
static inline size_t format_record_known(const struct format *f, const struct record *r,
	const struct known_ends *ends, const struct format_context *ctx, char *buf)
{
	return f->known && r->event != RECORD_PACKET ? f->known(r, ends, ctx, buf)
						     : format_record(f, r, ctx, buf);
}

/* f->packet(), of what is for it. */
static inline size_t format_packet(const struct format *f, const struct record *r,
	struct format_section *section, const struct format_context *ctx, char *buf)
{
	return r->event == RECORD_PACKET && f->packet ? f->packet(r, section, ctx, buf) : 0;
}

/* NULL: no such format. */
const struct format *format_find(const char *name, size_t len);
/* The formats there are, NULL behind the last. */
const struct format *format_at(unsigned i);

/*
 * record_check() and what formats rely on beyond it: strings that together are no longer than the
 * string area. 0 or a positive RECORD_E_*.
 */
int format_check(const struct record *r, size_t len);

/* Fills @r with a loss from the ring: 0 or a positive RECORD_E_*, it is impossible. */
int format_loss(struct record *r, const struct ring_loss *loss, uint64_t epoch, uint64_t t_ns);

/* Host names and ids, time zone, and what follows from them. */
void format_context_init(struct format_context *ctx, const char *version, bool offline);
/* Prepares all formats for the other members. */
void format_context_prepare(const struct format_context *ctx);

/* A connection's process as an output tells it: the originator's where it is local. */
struct format_owners {
	const struct record_process *process; /* never NULL; it may be unknown */
	const struct record_process *second;  /* the responder's where both ends are local */
};
struct format_owners format_owners(const struct record *r);

/*
 * Walks the NUL-separated arguments: returns the next one at *pos (length in *ret_len) and moves
 * *pos behind it, or NULL at the end.
 */
static inline const char *format_next_arg(
	const char *args, size_t len, size_t *pos, size_t *ret_len)
{
	const char *arg = args + *pos, *end;

	if (*pos >= len)
		return NULL;
	end = memchr(arg, 0, len - *pos);
	*ret_len = end ? (size_t)(end - arg) : len - *pos;
	*pos += *ret_len + 1;
	return arg;
}
