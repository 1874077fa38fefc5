/* SPDX-License-Identifier: Apache-2.0 */
/* sock_diag over a netlink socket: batched lookups and dumps. */
#include "enrich/diag.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "enrich/netlink.h"

#define RECEIVE_SIZE 65536u

struct diag {
	int fd;
	struct diag_stats stats;
	uint32_t seq; /* of the last request */
};

/* One for all: there is one thread, and up to hundreds of namespaces. */
static _Alignas(8) char received[RECEIVE_SIZE];
static _Alignas(8) char requests[DIAG_BATCH * DIAG_REQUEST_SIZE];

/* Takes @fd. */
static int init(int fd, struct diag **ret)
{
	struct diag *d = calloc(1, sizeof(*d));

	if (!d) {
		close(fd);
		return -ENOMEM;
	}
	d->fd = fd;
	*ret = d;
	return 0;
}

int diag_new(struct diag **ret)
{
	int fd = netlink_open(NETLINK_SOCK_DIAG, 0);

	return fd < 0 ? fd : init(fd, ret);
}

void diag_free(struct diag *d)
{
	if (!d)
		return;
	close(d->fd);
	free(d);
}

const struct diag_stats *diag_stats(const struct diag *d)
{
	return &d->stats;
}

/* Bytes received, 0 = nothing is waiting, -errno. */
static ssize_t receive(struct diag *d, int flags)
{
	ssize_t n = netlink_take(d->fd, received, RECEIVE_SIZE, flags);

	return n == -EAGAIN ? 0 : n;
}

int diag_new_from(int fd, struct diag **ret)
{
	int e = init(fd, ret);
	ssize_t n;

	if (e)
		return e;
	/* What an earlier reader of this socket left carries the numbers we are about to use. */
	do {
		n = receive(*ret, MSG_DONTWAIT);
	} while (n > 0 || n == -ENOBUFS);
	if (n < 0) {
		diag_free(*ret);
		*ret = NULL;
	}
	return (int)n;
}

static void answer(struct diag_query *q, const struct diag_message *m)
{
	enum diag_match match;

	if (m->kind != DIAG_SOCKET)
		return;
	match = diag_compare(&q->key, &m->socket);
	if (match == DIAG_MATCH_NONE)
		return;
	q->match = match;
	q->socket = m->socket;
	q->socket.key.proto = q->key.proto;
}

static int lookup_batch(struct diag *d, struct diag_query *q, size_t n)
{
	uint32_t first = d->seq + 1;
	size_t len = 0, answered = 0;
	ssize_t got;

	for (size_t i = 0; i < n; i++) {
		size_t at = len;

		len += diag_request(requests + len, &q[i].key, ++d->seq);
		if (q[i].want_info)
			diag_request_info(requests + at);
	}
	d->stats.requests += n;
	if (netlink_send(d->fd, requests, len) < 0)
		return -errno;
	while (answered < n && (got = receive(d, MSG_DONTWAIT))) {
		struct diag_message m;
		size_t at = 0;
		int e;

		if (got < 0) {
			d->stats.errors++;
			if (got == -ENOBUFS)
				continue; /* replies were lost, not the ones still to be read */
			return (int)got;
		}
		while (!(e = diag_next(received, (size_t)got, &at, &m))) {
			/* A late answer to an earlier batch has another number. */
			if (m.seq - first >= n)
				continue;
			answer(&q[m.seq - first], &m);
			answered++;
		}
		if (e == DIAG_E_MALFORMED)
			d->stats.errors++;
	}
	return 0;
}

int diag_lookup(struct diag *d, struct diag_query *q, size_t n)
{
	for (size_t i = 0; i < n; i++)
		q[i].match = DIAG_MATCH_NONE;
	for (size_t i = 0; i < n; i += DIAG_BATCH) {
		int e = lookup_batch(d, q + i, n - i < DIAG_BATCH ? n - i : DIAG_BATCH);

		if (e)
			return e;
	}
	return 0;
}

static int dump_family(struct diag *d, uint8_t family, uint8_t proto, uint32_t states,
	diag_socket_fn fn, void *arg)
{
	uint32_t seq = ++d->seq;
	size_t len = diag_dump_request(requests, family, proto, states, seq);

	if (netlink_send(d->fd, requests, len) < 0)
		return -errno;
	for (;;) {
		ssize_t got = receive(d, 0);
		struct diag_message m;
		size_t at = 0;
		int e;

		if (got <= 0)
			return got ? (int)got : -EPROTO;
		while (!(e = diag_next(received, (size_t)got, &at, &m))) {
			if (m.seq != seq)
				continue;
			if (m.kind == DIAG_DONE)
				return 0;
			if (m.kind == DIAG_ERROR)
				return m.error ? m.error : 0;
			if (m.kind == DIAG_SOCKET) {
				m.socket.key.proto = proto;
				fn(arg, &m.socket);
			}
		}
		if (e == DIAG_E_MALFORMED)
			d->stats.errors++;
	}
}

int diag_dump(struct diag *d, uint8_t proto, uint32_t states, diag_socket_fn fn, void *arg)
{
	int e = dump_family(d, AF_INET, proto, states, fn, arg);

	/* A kernel without IPv6 has no such sockets. */
	if (!e) {
		e = dump_family(d, AF_INET6, proto, states, fn, arg);
		if (e == -ENOENT || e == -EINVAL)
			e = 0;
	}
	return e;
}
