/* SPDX-License-Identifier: Apache-2.0 */
/* Closed sockets: joined by cookie, else by tuple if only one can be meant; live from the kernel.
 */
#include "enrich/closed.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "enrich/diag-watch.h"
#include "tap.h"

static const uint64_t seed[2] = {1, 2};

static struct diag_socket socket_of(uint16_t port, uint64_t cookie, uint64_t bytes)
{
	struct diag_socket s = {
		.key = {.proto = IPPROTO_TCP, .local_port = port, .remote_port = 80},
		.cookie = cookie,
		.have_info = true,
		.info = {.bytes_sent = bytes},
	};

	return s;
}

static void test_join(void)
{
	struct diag_socket a = socket_of(1000, 1, 11), b = socket_of(2000, 2, 22);
	struct diag_socket again = socket_of(1000, 3, 33), dumb = socket_of(3000, 4, 0);
	const struct diag_info *i;
	struct closed *c;
	bool sure = false;

	tap_is_int(closed_new(4, seed, &c), 0, "a table of four");
	closed_add(c, &a, 100, 200);
	closed_add(c, &b, 200, 300);
	dumb.have_info = false;
	closed_add(c, &dumb, 200, 300);
	i = closed_find(c, 2, &b.key, 0, &sure);
	tap_ok(i && i->bytes_sent == 22 && sure, "by cookie");
	i = closed_find(c, 0, &a.key, 90, &sure);
	tap_ok(i && i->bytes_sent == 11 && sure, "by tuple, closed after the connection began");
	i = closed_find(c, 0, &a.key, 150, &sure);
	tap_ok(i && !sure, "perhaps closed before it began: not sure");
	tap_ok(!closed_find(c, 0, &a.key, 201, &sure), "surely closed before it began");
	tap_ok(!closed_find(c, 0, &dumb.key, 0, &sure), "without figures it is not kept");
	tap_ok(!closed_find(c, 9, &a.key, 0, &sure), "another cookie is another socket");
	closed_add(c, &again, 300, 400);
	tap_ok(!closed_find(c, 0, &a.key, 0, &sure), "two of one tuple: neither");
	i = closed_find(c, 0, &a.key, 250, &sure);
	tap_ok(i && i->bytes_sent == 33 && sure, "only one of them since");
	for (uint64_t n = 0; n < 4; n++) {
		struct diag_socket s = socket_of((uint16_t)(5000 + n), 50 + n, n);

		closed_add(c, &s, 500, 600);
	}
	tap_ok(!closed_find(c, 1, &a.key, 0, &sure) && !closed_find(c, 3, &a.key, 0, &sure),
		"the oldest make room");
	tap_ok(closed_find(c, 50, &a.key, 0, &sure) && closed_find(c, 53, &a.key, 0, &sure),
		"the latest four stay");
	closed_free(c);
	closed_free(NULL);
}

struct heard {
	uint16_t port;
	struct diag_socket client;
};

static void hear(void *arg, const struct diag_socket *s)
{
	struct heard *h = arg;

	if (s->key.local_port == h->port)
		h->client = *s;
}

/* One connection over loopback: what the kernel tells of its client. */
static void test_kernel(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(address);
	char bytes[777] = {0};
	struct heard h = {0};
	struct diag_watch *w;
	uint64_t cookie = 0;
	socklen_t cookie_len = sizeof(cookie);
	int listener, client, server, r = diag_watch_new(&w);

	if (r < 0) {
		tap_skip("the kernel tells of closed sockets", strerror(-r));
		return;
	}
	listener = socket(AF_INET, SOCK_STREAM, 0);
	client = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&address, len) < 0 || listen(listener, 1) < 0 ||
		getsockname(listener, (struct sockaddr *)&address, &len) < 0 ||
		connect(client, (struct sockaddr *)&address, len) < 0 ||
		getsockname(client, (struct sockaddr *)&address, &len) < 0)
		tap_bail("no connection over loopback");
	h.port = ntohs(address.sin_port);
	server = accept(listener, NULL, NULL);
	getsockopt(client, SOL_SOCKET, SO_COOKIE, &cookie, &cookie_len);
	if (write(client, bytes, sizeof(bytes)) != sizeof(bytes) ||
		recv(server, bytes, sizeof(bytes), MSG_WAITALL) != sizeof(bytes) ||
		write(server, bytes, 333) != 333 || recv(client, bytes, 333, MSG_WAITALL) != 333)
		tap_bail("no bytes over loopback");
	close(client);
	close(server);
	close(listener);
	for (int tries = 0; tries < 2000 && !h.client.cookie; tries++) {
		usleep(1000);
		if (diag_watch_read(w, hear, &h) < 0)
			tap_bail("the watch cannot be read");
	}
	tap_ok(h.client.cookie == cookie && cookie, "the closed socket by its cookie");
	tap_is_int(h.client.key.proto, IPPROTO_TCP, "its protocol");
	tap_ok(h.client.have_info && h.client.info.bytes_sent == 777, "the bytes it sent, exactly");
	tap_ok(h.client.info.bytes_received == 333 || h.client.info.bytes_received == 334,
		"and received, with or without the FIN");
	tap_ok(h.client.info.segs_out && h.client.info.segs_in, "segments");
	tap_ok(diag_watch_stats(w)->closed && !diag_watch_stats(w)->malformed, "counted");
	diag_watch_free(w);
}

int main(void)
{
	test_join();
	test_kernel();
	return tap_done();
}
