/* SPDX-License-Identifier: Apache-2.0 */
/* ClientHellos whole, cut at every byte and wrong; QUIC's first datagram. */
#include "enrich/tls.h"

#include <stdlib.h>

#include "enrich/quic.h"
#include "tap.h"

struct build {
	uint8_t bytes[2048];
	size_t len;
};

static void put(struct build *b, const void *bytes, size_t len)
{
	memcpy(b->bytes + b->len, bytes, len);
	b->len += len;
}

static void put16(struct build *b, size_t v)
{
	put(b, (const uint8_t[]){(uint8_t)(v >> 8), (uint8_t)v}, 2);
}

static void put_extension(struct build *b, unsigned type, const void *bytes, size_t len)
{
	put16(b, type);
	put16(b, len);
	put(b, bytes, len);
}

static void put_server_name(struct build *b, const char *name, size_t len)
{
	put16(b, 0);
	put16(b, len + 5);
	put16(b, len + 3);
	put(b, "", 1);
	put16(b, len);
	put(b, name, len);
}

/* @ext between the beginning of a hello with a session id and its end. */
static void hello(struct build *b, const struct build *ext)
{
	static const uint8_t zeros[64];
	size_t body = 2 + 32 + 1 + 32 + 2 + 4 + 2 + 2 + ext->len;

	b->len = 0;
	put(b, "\x16\3\1", 3);
	put16(b, body + 4);
	put(b, "\1\0", 2);
	put16(b, body);
	put(b, "\3\3", 2);
	put(b, zeros, 32);
	put(b, " ", 1);
	put(b, zeros, 32);
	put(b, "\0\4\x13\1\x13\2\1\0", 8);
	put16(b, ext->len);
	put(b, ext->bytes, ext->len);
}

static struct tls_hello h;

static int parse(const struct build *b, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	int r;

	memcpy(copy, b->bytes, len);
	h = (struct tls_hello){0};
	r = tls_parse(copy, len, &h);
	if (r == 0 && h.server_name)
		h.server_name = b->bytes + (h.server_name - copy);
	free(copy);
	return r;
}

static bool has_name(const char *name, size_t len)
{
	return h.server_name && h.server_name_len == len && !memcmp(h.server_name, name, len);
}

static bool has_alpn(const char *alpn)
{
	return h.alpn_len == strlen(alpn) && !memcmp(h.alpn, alpn, h.alpn_len);
}

static void check_whole(void)
{
	struct build ext = {.len = 0}, b;
	size_t name_end, alpn_end;
	unsigned wrong = 0;

	put_extension(&ext, 0x0a0a, "", 0);
	put_server_name(&ext, "www.example.test", 16);
	name_end = ext.len;
	put_extension(&ext, 16, "\0\x0c\2h2\x08http/1.1", 14);
	alpn_end = ext.len;
	put_extension(&ext, 51, "0123456789", 10);
	hello(&b, &ext);
	name_end += b.len - ext.len;
	alpn_end += b.len - ext.len;
	tap_is_int(parse(&b, b.len), 0, "a whole hello");
	tap_ok(has_name("www.example.test", 16), "its server name");
	tap_ok(has_alpn("h2,http/1.1"), "its protocols");
	for (size_t len = 0; len < b.len; len++) {
		int r = parse(&b, len);

		if (r != (len < 9 + 34 ? TLS_E_OTHER : 0))
			wrong++;
		else if (!r && (has_name("www.example.test", 16) != (len >= name_end) ||
				       has_alpn("h2,http/1.1") != (len >= alpn_end) ||
				       (!h.server_name && len >= name_end) ||
				       (h.alpn_len && len < alpn_end)))
			wrong++;
	}
	tap_is_int(wrong, 0, "cut anywhere, each is told once it is whole");
	b.bytes[4] = 200; /* the record is shorter than the hello, which goes on in another */
	b.bytes[3] = 0;
	tap_ok(parse(&b, b.len) == 0 && has_name("www.example.test", 16), "split over records");
}

static void check_names(void)
{
	struct build ext, b;
	char name[300];

	memset(name, 'n', sizeof(name));
	ext.len = 0;
	put_server_name(&ext, "\x1b[31m\0\n\xff", 8);
	hello(&b, &ext);
	tap_ok(parse(&b, b.len) == 0 && has_name("\x1b[31m\0\n\xff", 8), "any bytes are a name");
	ext.len = 0;
	put_server_name(&ext, name, 255);
	hello(&b, &ext);
	tap_ok(parse(&b, b.len) == 0 && has_name(name, 255), "255 bytes");
	ext.len = 0;
	put_server_name(&ext, name, 256);
	hello(&b, &ext);
	tap_ok(parse(&b, b.len) == 0 && !h.server_name, "256 bytes are no name");
	ext.len = 0;
	put_server_name(&ext, "", 0);
	hello(&b, &ext);
	tap_ok(parse(&b, b.len) == 0 && !h.server_name, "no bytes are none");
	ext.len = 0;
	put_extension(&ext, 16, "\0\7\2a,\3\\b\0", 9);
	hello(&b, &ext);
	tap_ok(parse(&b, b.len) == 0 && h.alpn_len == 8 && !memcmp(h.alpn, "a\\,,\\\\b\0", 8),
		"commas and backslashes in protocols are told apart");
	ext.len = 0;
	put16(&ext, 16);
	put16(&ext, 2 + 2 * 201);
	put16(&ext, 2 * 201);
	for (unsigned i = 0; i < 2; i++) {
		put(&ext, "\xc8", 1);
		put(&ext, name, 200);
	}
	hello(&b, &ext);
	tap_ok(parse(&b, b.len) == 0 && h.alpn_len == 200, "what does not fit is left out whole");
}

static void check_wrong(void)
{
	static const struct {
		size_t at;
		uint8_t value;
		const char *what;
	} rows[] = {
		{0, 0x17, "not a handshake"},
		{1, 2, "not version 3"},
		{5, 2, "not a ClientHello"},
		{9, 2, "its version is not 3"},
	};
	struct build ext = {.len = 0}, b;

	put_server_name(&ext, "www.example.test", 16);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		hello(&b, &ext);
		b.bytes[rows[i].at] = rows[i].value;
		tap_is_int(parse(&b, b.len), TLS_E_OTHER, "%s", rows[i].what);
	}
	hello(&b, &ext);
	b.bytes[b.len - ext.len + 8] = 200; /* the name is longer than its list */
	tap_ok(parse(&b, b.len) == 0 && !h.server_name, "lengths that do not fit: no name");
}

static void check_quic(void)
{
	uint8_t b[1200] = {0xc3, 0, 0, 0, 1, 8};

	tap_ok(quic_is_initial(b, 54, 1200), "a client's Initial of version 1");
	tap_ok(!quic_is_initial(b, 54, 1199), "not in a shorter datagram");
	for (size_t n = 0; n < 15; n++)
		if (quic_is_initial(b, n, 1200))
			tap_ok(false, "%zu bytes do not tell", n);
	tap_ok(quic_is_initial(b, 15, 1200), "15 bytes tell");
	b[14] = 21;
	tap_ok(!quic_is_initial(b, 54, 1200), "a connection id of 21 bytes is none");
	b[14] = 0;
	b[5] = 7;
	tap_ok(!quic_is_initial(b, 54, 1200), "nor is the server's with 7");
	b[5] = 20;
	tap_ok(quic_is_initial(b, 54, 1200), "with 20 it is");
	b[0] = 0xd3;
	tap_ok(!quic_is_initial(b, 54, 1200), "another type of packet");
	memcpy(b + 1, "\x6b\x33\x43\xcf", 4);
	tap_ok(quic_is_initial(b, 54, 1200), "which is Initial in version 2");
	b[4]++;
	tap_ok(!quic_is_initial(b, 54, 1200), "an unknown version is not told from anything");
	memset(b + 1, 0, 4);
	tap_ok(!quic_is_initial(b, 54, 1200), "nor is version negotiation");
}

int main(void)
{
	check_whole();
	check_names();
	check_wrong();
	check_quic();
	return tap_done();
}
