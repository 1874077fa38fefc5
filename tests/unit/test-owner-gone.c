/* SPDX-License-Identifier: Apache-2.0 */
/* Without a tap, for real: what the kernel is asked about connections that are over, and when. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "enrich/owner-internal.h"
#include "tap.h"

static struct owners *owners;
static struct sockaddr_in server;
static int listener;

static void mapped(uint8_t ret[16], uint32_t addr)
{
	memset(ret, 0, 16);
	ret[10] = ret[11] = 0xff;
	memcpy(ret + 12, &addr, 4);
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len);
	return cookie;
}

static int listen_on(struct sockaddr_in *a)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	socklen_t len = sizeof(*a);

	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)a, sizeof(*a)) || listen(fd, 16) ||
		getsockname(fd, (struct sockaddr *)a, &len))
		tap_bail("cannot listen");
	return fd;
}

/* A connection to the listener, from @ret_port. */
static int connect_one(uint16_t *ret_port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in self;
	socklen_t len = sizeof(self);

	if (connect(fd, (struct sockaddr *)&server, sizeof(server)) ||
		getsockname(fd, (struct sockaddr *)&self, &len))
		tap_bail("cannot connect to ourselves");
	*ret_port = ntohs(self.sin_port);
	return fd;
}

/* One end of the connection from @port, which began a moment ago. */
static struct owner_query end_of(uint16_t port, bool responder, bool over)
{
	struct owner_query q = {
		.family = 4,
		.proto = IPPROTO_TCP,
		.initiator = !responder,
		.responder = responder,
		.begun = true,
		.over = over,
		.local_port = responder ? ntohs(server.sin_port) : port,
		.remote_port = responder ? port : ntohs(server.sin_port),
		.t_ns = owners_now_ns(),
	};

	q.start_ns = q.t_ns;
	mapped(q.local_addr, htonl(INADDR_LOOPBACK));
	mapped(q.remote_addr, htonl(INADDR_LOOPBACK));
	return q;
}

static uint64_t asked(void)
{
	return owners_diag_stats(owners).requests;
}

static void test_patient(void)
{
	uint16_t first, second;
	int a = connect_one(&first), b = connect_one(&second);
	struct owner_query patient = end_of(first, false, false);
	struct owner_query due = end_of(second, false, false);
	struct owner open[3] = {0}, told = {0};

	patient.patient = true;
	for (size_t i = 0; i < 2; i++)
		tap_ok(!owners_ask(owners, &patient, &open[i]), "a patient question waits");
	tap_ok(!owners_ask(owners, &due, &told), "and one that is not");
	tap_ok(!owners_ask(owners, &patient, &open[2]), "and another patient one");
	owners_settle(owners, false);
	tap_ok(told.cookie == cookie_of(b), "who cannot wait is answered");
	tap_ok(!open[0].cookie && !open[1].cookie && !open[2].cookie, "nobody else");
	owners_forget(owners, &open[1]);
	patient.patient = false;
	tap_ok(!owners_ask(owners, &patient, &open[2]), "asked again, for a record now");
	owners_settle(owners, false);
	tap_ok(open[2].cookie == cookie_of(a) && !open[0].cookie, "then that one is, too");
	owners_settle(owners, true);
	tap_ok(open[0].cookie == cookie_of(a), "the last one at the end");
	tap_ok(!open[1].cookie, "and nobody who was withdrawn");
	close(a);
	close(b);
}

static void test_client(void)
{
	struct owner_query q = end_of(40000, false, true);
	struct owner answer = {0};
	uint64_t before = asked();

	tap_ok(owners_ask(owners, &q, &answer) && answer.unknown == RECORD_UNKNOWN_NO_SOCKET,
		"the client of a connection that is over has no socket");
	answer = (struct owner){0};
	mapped(q.remote_addr, inet_addr("192.0.2.1"));
	q.first = true;
	tap_ok(owners_ask(owners, &q, &answer), "nor has who closed first towards another host");
	tap_is_int((int)(asked() - before), 0, "which is known without asking");
	q.first = false;
	answer = (struct owner){0};
	tap_ok(!owners_ask(owners, &q, &answer), "who closed last waits for an acknowledgement");
	owners_forget(owners, &answer);
	q = end_of(40000, false, true);
	q.begun = false;
	tap_ok(!owners_ask(owners, &q, &answer), "one whose beginning was not seen is asked about");
	owners_forget(owners, &answer);
	q.begun = true;
	q.start_ns = owners->seeded_ns;
	tap_ok(!owners_ask(owners, &q, &answer), "and one that the sweep can have seen");
	owners_forget(owners, &answer);
}

/* How the server's end of @n connections is answered; returns how many name the socket of @cookie.
 */
static int servers(int n, uint64_t cookie)
{
	struct owner answer[8] = {0};
	int named = 0;

	for (int i = 0; i < n; i++) {
		struct owner_query q = end_of((uint16_t)(40000 + i), true, true);

		owners_ask(owners, &q, &answer[i]);
	}
	owners_settle(owners, true);
	for (int i = 0; i < n; i++)
		named += answer[i].cookie == cookie;
	return named;
}

static void test_servers(void)
{
	uint64_t before = asked();
	int other;

	tap_is_int(servers(8, cookie_of(listener)), 8, "who listens is found for all of them");
	tap_is_int((int)(asked() - before), 0, "by one look");
	owners->listeners.took_ns = owners->listeners.owed_ns = UINT64_C(1000000000);
	tap_is_int(servers(8, cookie_of(listener)), 8, "and where looking takes a second");
	tap_is_int((int)(asked() - before), 8, "by asking for each");
	owners->listeners.looked_ns -= UINT64_C(60000000000);
	tap_is_int(servers(8, cookie_of(listener)), 8, "a minute later again");
	tap_is_int((int)(asked() - before), 8, "by one look");
	owners->listeners.took_ns = 1000;
	owners->listeners.owed_ns = UINT64_C(1000000000);
	tap_is_int(servers(8, cookie_of(listener)), 8, "or where it takes less");
	tap_is_int((int)(asked() - before), 8, "than as many questions");
	owners->listeners.owed_ns = 0;
	other = listen_on(&server);
	tap_is_int(servers(8, cookie_of(listener)) + servers(8, cookie_of(other)), 8,
		"each has its own of two that share the port");
	tap_is_int((int)(asked() - before), 24, "which only the kernel knows");
	close(other);
	close(listener);
	owners->listeners.owed_ns = 0;
	tap_is_int(servers(8, 0), 8, "nobody listens any more: none of them is named");
}

int main(void)
{
	struct config config;
	struct ledger ledger;

	if (config_init(&config) || ledger_open_anonymous(&ledger, LEDGER_OF_ENRICH))
		tap_bail("no configuration or ledger");
	config.enrich.tap = CONFIG_TAP_OFF;
	if (owners_new(&config, &ledger, &owners))
		tap_bail("no owners");
	config_deinit(&config);
	server = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	listener = listen_on(&server);
	test_patient();
	test_client();
	test_servers();
	owners_free(owners);
	return tap_done();
}
