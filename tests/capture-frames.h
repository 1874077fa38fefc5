/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crafted Ethernet frames for the filter's tests, each with the class that must take it: one table
 * for the program in user space (unit) and in the kernel (integration).
 *
 * Every frame carries its number in the last byte of its source address, behind c0 ff ee.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define FRAMES_MAX   64
#define FRAMES_MODES 3 /* enum config_mode */

struct frame {
	char name[40];
	/* Name in program_classes() of the mode, "" = must be rejected. */
	const char *class[FRAMES_MODES];
	uint8_t bytes[1600]; /* Ethernet, untagged */
	size_t len;
};

struct frames {
	struct frame frame[FRAMES_MAX];
	size_t n;
};

static inline void frame_put(struct frame *f, const void *bytes, size_t len)
{
	memcpy(f->bytes + f->len, bytes, len);
	f->len += len;
}

static inline void frame_put16(struct frame *f, unsigned v)
{
	frame_put(f, (const uint8_t[]){(uint8_t)(v >> 8), (uint8_t)v}, 2);
}

static inline struct frame *frame_new(
	struct frames *fs, const char *name, const char *class, uint16_t ethertype)
{
	struct frame *f = &fs->frame[fs->n++];

	*f = (struct frame){.class = {class, class, class}};
	snprintf(f->name, sizeof(f->name), "%s", name);
	frame_put(f, "\x02\0\0\0\0\x02\x02\0\0\0\0\x01", 12);
	frame_put16(f, ethertype);
	return f;
}

/* For a frame whose class depends on the mode. */
static inline struct frame *frame_modes(struct frame *f, const char *tls, const char *headers)
{
	f->class[1] = tls;
	f->class[2] = headers;
	return f;
}

/* @offset: the fragment word. @options: bytes of IP options. */
static inline struct frame *frame_v4(struct frames *fs, const char *name, const char *class,
	uint8_t protocol, uint16_t offset, size_t options)
{
	struct frame *f = frame_new(fs, name, class, 0x0800);
	uint8_t h[60] = {
		0x45, 0, 0, 0, 0x12, 0x34, 0, 0, 64, 0, 0, 0, 0xc0, 0xff, 0xee, 0, 10, 9, 9, 9};

	h[0] = (uint8_t)(0x45 + options / 4);
	h[6] = (uint8_t)(offset >> 8);
	h[7] = (uint8_t)offset;
	h[9] = protocol;
	h[15] = (uint8_t)(fs->n - 1);
	memset(h + 20, 1, options); /* no-operation */
	frame_put(f, h, 20 + options);
	return f;
}

static inline struct frame *frame_v6(
	struct frames *fs, const char *name, const char *class, uint8_t next)
{
	struct frame *f = frame_new(fs, name, class, 0x86dd);
	uint8_t h[40] = {0x60, [6] = next, [7] = 64, [8] = 0xfd, [24] = 0xfd, [39] = 9};

	memcpy(h + 20, "\xc0\xff\xee", 3);
	h[23] = (uint8_t)(fs->n - 1);
	frame_put(f, h, sizeof(h));
	return f;
}

/* An extension header of 8 bytes. */
static inline void frame_extension(struct frame *f, uint8_t next)
{
	frame_put(f, (const uint8_t[]){next, 0, 1, 4, 0, 0, 0, 0}, 8);
}

/* @payload bytes behind a header of 20, flags by tcpdump's letters. */
static inline void frame_tcp(struct frame *f, const char *flags, uint16_t dport, size_t payload)
{
	static const char letters[] = "FSRP.";
	uint8_t h[20] = {0x80, 0x01, [12] = 0x50, [14] = 0xff};

	h[2] = (uint8_t)(dport >> 8);
	h[3] = (uint8_t)dport;
	for (size_t i = 0; i < sizeof(letters) - 1; i++)
		h[13] |= strchr(flags, letters[i]) ? (uint8_t)(1u << i) : 0;
	frame_put(f, h, sizeof(h));
	memset(f->bytes + f->len, 0x55, payload);
	f->len += payload;
}

/* @first is the payload's first byte: 0xc3 a QUIC long header, 0x43 a short one. */
static inline void frame_udp(
	struct frame *f, uint16_t sport, uint16_t dport, uint8_t first, size_t payload)
{
	frame_put16(f, sport);
	frame_put16(f, dport);
	frame_put16(f, (unsigned)(8 + payload));
	frame_put16(f, 0);
	memset(f->bytes + f->len, first, payload);
	f->len += payload;
}

/* A segment whose data is a TLS record: @hello is the message's type, 1 for a ClientHello. */
static inline void frame_tls(struct frame *f, const char *flags, uint8_t hello, size_t options)
{
	uint8_t *h = f->bytes + f->len;

	frame_tcp(f, flags, 8443, options);
	memset(f->bytes + f->len - options, 1, options);
	h[12] = (uint8_t)((20 + options) << 2);
	frame_put(f, (const uint8_t[]){0x16, 3, 1, 2, 0, hello, 0, 1, 0xfc}, 9);
	memset(f->bytes + f->len, 0x77, 500);
	f->len += 500;
}

static inline void frame_sctp(struct frame *f, uint8_t chunk)
{
	frame_put(
		f, (const uint8_t[]){0x80, 1, 0, 99, 0, 0, 0, 0, 0, 0, 0, 0, chunk, 0, 0, 20}, 16);
	memset(f->bytes + f->len, 0, 200);
	f->len += 200;
}

/* As the beginning of TLS, and what must not be taken for one. */
static inline void frames_tls(struct frames *fs)
{
	struct frame *f;

	frame_tls(frame_modes(frame_v4(fs, "v4 ClientHello", "", 6, 0, 0), "tls", "tls"), "P.", 1,
		12);
	frame_tls(frame_modes(
			  frame_v4(fs, "v4 ClientHello, all options", "", 6, 0, 40), "tls", "tls"),
		"P.", 1, 40);
	frame_tls(frame_modes(frame_v4(fs, "v4 ServerHello", "", 6, 0, 0), "", "tcp"), "P.", 2, 12);
	frame_tls(
		frame_modes(frame_v4(fs, "v4 ClientHello with SYN", "tcp", 6, 0, 0), "tcp", "tls"),
		"S", 1, 0);
	frame_tls(frame_v4(fs, "v4 later fragment, ClientHello", "", 6, 0x0010, 0), "P.", 1, 0);
	frame_tls(frame_modes(frame_v6(fs, "v6 ClientHello", "", 6), "tls", "tls"), "P.", 1, 12);
	frame_tls(frame_modes(frame_v6(fs, "v6 ClientHello, all options", "", 6), "tls", "tls"),
		"P.", 1, 40);
	frame_tls(frame_modes(frame_v6(fs, "v6 ServerHello", "", 6), "", "tcp"), "P.", 2, 12);
	for (size_t n = 1; n <= 5; n++) {
		f = frame_modes(
			frame_v4(fs, "v4 cut in its record header", "", 6, 0, 0), "", "tcp");
		frame_tcp(f, "P.", 8443, 0);
		frame_put(f, "\x16\3\1\2\0", n);
		f = frame_modes(frame_v6(fs, "v6 cut in its record header", "", 6), "", "tcp");
		frame_tcp(f, "P.", 8443, 0);
		frame_put(f, "\x16\3\1\2\0", n);
	}
}

static inline void frames_v4(struct frames *fs)
{
	frame_tcp(frame_v4(fs, "v4 SYN", "tcp", 6, 0, 0), "S", 80, 0);
	frame_tcp(frame_v4(fs, "v4 SYN with IP options", "tcp", 6, 0, 40), "S", 80, 0);
	frame_tcp(frame_v4(fs, "v4 SYN in a first fragment", "tcp", 6, 0x2000, 0), "S", 80, 40);
	frame_tcp(frame_v4(fs, "v4 SYN-like later fragment", "", 6, 0x0010, 0), "S", 80, 40);
	frame_tcp(frame_v4(fs, "v4 RST", "tcp", 6, 0, 0), "R", 80, 0);
	frame_tcp(frame_v4(fs, "v4 FIN with data", "tcp", 6, 0, 0), "FP.", 80, 1000);
	frame_tcp(frame_modes(frame_v4(fs, "v4 plain ACK", "", 6, 0, 0), "", "tcp"), ".", 80, 0);
	frame_tcp(frame_modes(frame_v4(fs, "v4 data", "", 6, 0, 0), "", "tcp"), "P.", 80, 1000);
	frame_tcp(
		frame_modes(frame_v4(fs, "v4 DNS over TCP", "", 6, 0, 0), "", "tcp"), "P.", 53, 40);
	frame_udp(frame_v4(fs, "v4 DNS", "dns", 17, 0, 0), 4000, 53, 0x12, 700);
	frame_udp(frame_v4(fs, "v4 DNS answer", "dns", 17, 0, 0), 53, 4000, 0x12, 40);
	frame_udp(frame_v4(fs, "v4 QUIC long", "quic", 17, 0, 0), 4000, 443, 0xc3, 1200);
	frame_udp(frame_v4(fs, "v4 QUIC short", "udp", 17, 0, 0), 4000, 443, 0x43, 1200);
	frame_udp(frame_v4(fs, "v4 UDP 443 empty", "udp", 17, 0, 0), 4000, 443, 0, 0);
	frame_udp(frame_v4(fs, "v4 UDP", "udp", 17, 0, 0), 4000, 9999, 0xff, 300);
	frame_udp(frame_v4(fs, "v4 UDP empty", "udp", 17, 0, 0), 4000, 9999, 0, 0);
	frame_udp(frame_v4(fs, "v4 UDP first fragment", "udp", 17, 0x2000, 0), 4000, 9999, 1, 300);
	frame_udp(frame_v4(fs, "v4 UDP later fragment", "", 17, 0x0010, 0), 4000, 443, 0xff, 300);
	frame_put(frame_v4(fs, "v4 ICMP", "icmp", 1, 0, 0), "\x08\0\0\0\0\x01\0\x01", 8);
	frame_sctp(frame_v4(fs, "v4 SCTP INIT", "sctp", 132, 0, 0), 1);
	frame_sctp(frame_v4(fs, "v4 SCTP ABORT", "sctp", 132, 0, 0), 6);
	frame_sctp(frame_modes(frame_v4(fs, "v4 SCTP DATA", "", 132, 0, 0), "", "sctp"), 0);
	frame_put(frame_v4(fs, "v4 IGMP", "", 2, 0, 0), "\x16\0\0\0\xe0\0\0\x01", 8);
	frame_put(frame_new(fs, "ARP", "", 0x0806),
		"\0\1\x08\0\6\4\0\1\2\0\0\0\0\1\12\0\0\1\0\0\0\0\0\0\12\0\0\2", 28);
}

static inline void frames_v6(struct frames *fs)
{
	static const struct {
		const char *name;
		uint8_t header;
	} chains[] = {{"v6 hop-by-hop SYN", 0}, {"v6 routing SYN", 43}, {"v6 fragment SYN", 44},
		{"v6 AH SYN", 51}, {"v6 destination options SYN", 60}};

	frame_tcp(frame_v6(fs, "v6 SYN", "tcp", 6), "S", 80, 0);
	frame_tcp(frame_v6(fs, "v6 RST", "tcp", 6), "R.", 80, 0);
	frame_tcp(frame_v6(fs, "v6 FIN with data", "tcp", 6), "FP.", 80, 1000);
	frame_tcp(frame_modes(frame_v6(fs, "v6 plain ACK", "", 6), "", "tcp"), ".", 80, 0);
	frame_tcp(frame_modes(frame_v6(fs, "v6 data", "", 6), "", "tcp"), "P.", 80, 1000);
	frame_udp(frame_v6(fs, "v6 DNS", "dns", 17), 4000, 53, 0x12, 700);
	frame_udp(frame_v6(fs, "v6 QUIC long", "quic", 17), 4000, 443, 0xc3, 1200);
	frame_udp(frame_v6(fs, "v6 QUIC long answer", "quic", 17), 443, 4000, 0xc3, 1200);
	frame_udp(frame_v6(fs, "v6 QUIC short", "udp", 17), 4000, 443, 0x43, 1200);
	frame_udp(frame_v6(fs, "v6 UDP 443 empty", "udp", 17), 4000, 443, 0, 0);
	frame_udp(frame_v6(fs, "v6 UDP", "udp", 17), 4000, 9999, 0xff, 300);
	frame_put(frame_v6(fs, "v6 ICMPv6", "icmp", 58), "\x80\0\0\0\0\x01\0\x01", 8);
	frame_sctp(frame_v6(fs, "v6 SCTP SHUTDOWN", "sctp", 132), 7);
	frame_sctp(frame_modes(frame_v6(fs, "v6 SCTP SACK", "", 132), "", "sctp"), 3);
	for (size_t i = 0; i < sizeof(chains) / sizeof(*chains); i++) {
		struct frame *f = frame_v6(fs, chains[i].name, "ip6ext", chains[i].header);

		frame_extension(f, 6);
		frame_tcp(f, "S", 80, 400);
	}
}

static inline void frame_lengths(struct frame *f)
{
	size_t ip = f->len - 14;
	unsigned sum = 0;

	if (f->bytes[12] == 0x86) {
		f->bytes[18] = (uint8_t)((ip - 40) >> 8);
		f->bytes[19] = (uint8_t)(ip - 40);
	} else if (f->bytes[13] == 0) {
		f->bytes[16] = (uint8_t)(ip >> 8);
		f->bytes[17] = (uint8_t)ip;
		for (size_t i = 0; i < (size_t)(f->bytes[14] & 15) * 4; i += 2)
			sum += (unsigned)f->bytes[14 + i] << 8 | f->bytes[15 + i];
		sum = (sum >> 16) + (sum & 0xffff);
		sum = ~((sum >> 16) + sum) & 0xffff;
		f->bytes[24] = (uint8_t)(sum >> 8);
		f->bytes[25] = (uint8_t)sum;
	}
}

static inline void frames_make(struct frames *fs)
{
	fs->n = 0;
	frames_v4(fs);
	frames_v6(fs);
	frames_tls(fs);
	for (size_t i = 0; i < fs->n; i++)
		frame_lengths(&fs->frame[i]);
}

/* The frame with @n VLAN tags into @out (at least 1700 bytes); returns its length. */
static inline size_t frame_tagged(const struct frame *f, unsigned n, uint8_t *out)
{
	memcpy(out, f->bytes, 12);
	for (unsigned i = 0; i < n; i++)
		memcpy(out + 12 + 4 * i, i + 1 < n ? "\x88\xa8\0\5" : "\x81\0\0\7", 4);
	memcpy(out + 12 + 4 * n, f->bytes + 12, f->len - 12);
	return f->len + 4 * n;
}
