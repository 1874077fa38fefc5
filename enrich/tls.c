/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the beginning of a TLS connection, its ClientHello, as far as its bytes go. */
#include "enrich/tls.h"

#include <stdbool.h>
#include <string.h>

enum { RECORD_HANDSHAKE = 22, CLIENT_HELLO = 1, EXT_SERVER_NAME = 0, EXT_ALPN = 16, HOST_NAME = 0 };

#define RANDOM 32u

/* A stretch of the input; `whole` = its end is not cut. */
struct span {
	const uint8_t *bytes;
	size_t len;
	bool whole;
};

/* Takes a number of @size bytes from the front. */
static bool take(struct span *s, size_t size, size_t *ret)
{
	size_t v = 0;

	if (s->len < size)
		return false;
	for (size_t i = 0; i < size; i++)
		v = v << 8 | s->bytes[i];
	s->bytes += size;
	s->len -= size;
	*ret = v;
	return true;
}

/* Takes a vector whose length stands in front in @size bytes. If it is cut, it is the last one. */
static bool take_vector(struct span *s, size_t size, struct span *ret)
{
	size_t len;

	if (!take(s, size, &len))
		return false;
	*ret = (struct span){s->bytes, len, true};
	if (len > s->len) {
		if (s->whole)
			return false; /* it does not fit what it stands in */
		*ret = (struct span){s->bytes, s->len, false};
	}
	s->bytes += ret->len;
	s->len -= ret->len;
	return true;
}

static void read_server_name(struct span s, struct tls_hello *h)
{
	struct span list, name;
	size_t type;

	if (h->server_name || !take_vector(&s, 2, &list))
		return;
	while (take(&list, 1, &type) && take_vector(&list, 2, &name)) {
		if (type != HOST_NAME)
			continue;
		if (name.whole && name.len && name.len <= TLS_NAME_MAX) {
			h->server_name = name.bytes;
			h->server_name_len = name.len;
		}
		return;
	}
}

static bool add_protocol(struct tls_hello *h, const struct span *p)
{
	size_t start = h->alpn_len, at = start;

	if (at && at < TLS_ALPN_MAX)
		h->alpn[at++] = ',';
	for (size_t i = 0; i < p->len; i++) {
		char c = (char)p->bytes[i];
		bool escape = c == ',' || c == '\\';

		if (at + 1 + escape > TLS_ALPN_MAX)
			return false;
		if (escape)
			h->alpn[at++] = '\\';
		h->alpn[at++] = c;
	}
	h->alpn_len = at;
	return true;
}

static void read_alpn(struct span s, struct tls_hello *h)
{
	struct span list, name;

	if (h->alpn_len || !s.whole || !take_vector(&s, 2, &list))
		return;
	while (take_vector(&list, 1, &name) && name.len && add_protocol(h, &name))
		;
}

static void read_extensions(struct span s, struct tls_hello *h)
{
	struct span ext;
	size_t type;

	while (take(&s, 2, &type) && take_vector(&s, 2, &ext)) {
		if (type == EXT_SERVER_NAME)
			read_server_name(ext, h);
		else if (type == EXT_ALPN)
			read_alpn(ext, h);
	}
}

int tls_parse(const uint8_t *bytes, size_t len, struct tls_hello *ret)
{
	struct span s = {bytes, len, false}, record, hello, ignored;
	size_t v;

	if (!take(&s, 1, &v) || v != RECORD_HANDSHAKE || !take(&s, 2, &v) || v >> 8 != 3 ||
		!take_vector(&s, 2, &record))
		return TLS_E_OTHER;
	record.whole = false; /* the hello may go on in the next one */
	if (!take(&record, 1, &v) || v != CLIENT_HELLO || !take_vector(&record, 3, &hello) ||
		!take(&hello, 2, &v) || v >> 8 != 3 || hello.len < RANDOM)
		return TLS_E_OTHER;
	hello.bytes += RANDOM;
	hello.len -= RANDOM;
	*ret = (struct tls_hello){0};
	/* Session id, cipher suites, compression methods. */
	if (take_vector(&hello, 1, &ignored) && take_vector(&hello, 2, &ignored) &&
		take_vector(&hello, 1, &ignored) && take_vector(&hello, 2, &s))
		read_extensions(s, ret);
	return 0;
}
