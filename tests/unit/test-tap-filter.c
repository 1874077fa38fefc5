/* SPDX-License-Identifier: Apache-2.0 */
/* What the tap records, as text and for real: ports left out, ports taken in, no spare left. */
#include "capture/tap-filter.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "enrich/tap-reader.h"
#include "tap.h"

enum { QUIET = 15601, LOUD = 15602, SERVER = 40601 };

static struct tap_filter asks(
	unsigned n, const uint16_t *sender, unsigned m, const uint16_t *listener)
{
	struct tap_filter f = {.senders = (uint16_t)n, .listeners = (uint16_t)m};

	for (unsigned i = 0; i < n; i++)
		f.sender[i] = sender[i];
	for (unsigned i = 0; i < m; i++)
		f.listener[i] = listener[i];
	return f;
}

static void test_text(void)
{
	uint16_t ports[TAP_FILTER_PORTS];
	char text[TAP_FILTER_TEXT];
	struct tap_filter f;

	for (unsigned i = 0; i < TAP_FILTER_PORTS; i++)
		ports[i] = (uint16_t)(65520 + i);
	f = asks(TAP_FILTER_PORTS, ports, TAP_FILTER_PORTS, ports);
	tap_filter_text(TAP_FIB, CONFIG_TAP_FULL, &f, text);
	tap_ok(strstr(text, "(sport != 65535 ") && strstr(text, "(sport != 0 || proto != 6)"),
		"sixteen senders fit");
	tap_filter_text(TAP_STATE, CONFIG_TAP_FULL, &f, text);
	tap_ok(strstr(text, "sport == 65535))"), "so do sixteen listeners");
	tap_ok(strstr(text, "sport <"), "beside those below the automatic ports");
	f.closers = 1;
	tap_filter_text(TAP_STATE, CONFIG_TAP_FULL, &f, text);
	tap_ok(!strstr(text, "sport <") && strstr(text, "newstate == 9"), "closers on any port");
	tap_filter_text(TAP_STATE, CONFIG_TAP_CONNECT, &f, text);
	tap_ok(!strstr(text, "newstate == 9") && strstr(text, "newstate == 10"),
		"enrich.tap: connect has listeners and no closers");
	tap_filter_text(TAP_EXEC, CONFIG_TAP_FULL, &f, text);
	tap_is_str(text, "", "nothing to filter of programs");
}

/* Without a processor to switch events on: which event would be. */
static void test_spares(void)
{
	struct tap t = {.spares = TAP_SPARES, .mode = CONFIG_TAP_FULL};
	const uint16_t two[] = {53, 443}, again[] = {443, 53, 53}, one[] = {53};
	uint16_t many[] = {53, 443, 1, 2};
	struct tap_filter f = asks(2, two, 0, NULL);

	tap_is_int(tap_filter_apply(&t, &f), 0, "asked for once");
	tap_is_int(t.senders.at, 1, "the first spare");
	f = asks(3, again, 0, NULL);
	tap_filter_apply(&t, &f);
	tap_ok(t.senders.at == 1 && t.senders.used == 1,
		"the same ports in another order: the same");
	f = asks(0, NULL, 0, NULL);
	tap_filter_apply(&t, &f);
	tap_is_int(t.senders.at, 0, "none: the one that was there first");
	for (uint16_t i = 0; i < 5; i++) {
		many[3] = (uint16_t)(100 + i);
		f = asks(4, many, 0, NULL);
		tap_filter_apply(&t, &f);
	}
	tap_is_int(t.senders.used, TAP_SPARES, "each new set takes one");
	many[2] = 7;
	f = asks(3, many, 0, NULL);
	tap_filter_apply(&t, &f);
	tap_is_int(
		t.senders.at, 1, "none left: the largest set that leaves out no more than asked");
	f = asks(1, one, 0, NULL);
	tap_filter_apply(&t, &f);
	tap_is_int(t.senders.at, 0, "nor anything that was not asked for");
	for (uint16_t i = 0; i < 5; i++) {
		many[0] = (uint16_t)(40000 + i);
		f = asks(0, NULL, 1, many);
		tap_filter_apply(&t, &f);
	}
	tap_is_int(t.closers.at, 5, "five sets of listeners");
	many[0] = 41000;
	f = asks(0, NULL, 1, many);
	tap_filter_apply(&t, &f);
	tap_ok(t.closers.at == TAP_SPARES && t.closers.set[TAP_SPARES - 1].all,
		"then whatever the port");
	many[0] = 40002;
	f = asks(0, NULL, 1, many);
	tap_filter_apply(&t, &f);
	tap_is_int(t.closers.at, 3, "one met before still is there");
	t = (struct tap){.mode = CONFIG_TAP_FULL};
	tap_filter_apply(&t, &f);
	tap_is_int(t.closers.at, 0, "no spares at all: it stays as it is");
}

/* ---- for real ---- */

struct seen {
	pid_t pid;
	unsigned quiet, loud, closed;
};

static void on_event(void *arg, const struct perf_record *r)
{
	struct seen *n = arg;

	if (r->pid != (uint32_t)n->pid)
		return;
	n->quiet += r->kind == PERF_KIND_ROUTE && r->route.sport == QUIET;
	n->loud += r->kind == PERF_KIND_ROUTE && r->route.sport == LOUD;
	n->closed +=
		r->kind == PERF_KIND_STATE && r->state.sport == SERVER &&
		(r->state.newstate == TCP_FIN_WAIT1 || r->state.newstate == TCP_LAST_ACK ||
			(r->state.newstate == TCP_CLOSE && r->state.oldstate == TCP_ESTABLISHED));
}

static void send_from(uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)}, to = a;
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.sin_port = htons(9);
	if (bind(s, (struct sockaddr *)&a, sizeof(a)) ||
		sendto(s, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)) != 1)
		tap_bail("UDP on a port of its own");
	close(s);
}

/* One connection accepted on a high port, and closed by a reset. */
static void serve(void)
{
	const struct linger hard = {.l_onoff = 1};
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(SERVER)};
	int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), s, on = 1;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(l, (struct sockaddr *)&a, sizeof(a)) || listen(l, 1) ||
		connect(c, (struct sockaddr *)&a, sizeof(a)))
		tap_bail("TCP on a high port");
	s = accept(l, NULL, NULL);
	setsockopt(s, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(s);
	close(c);
	close(l);
}

static struct seen act(struct tap_reader *reader)
{
	struct seen n = {.pid = getpid()};

	send_from(QUIET);
	send_from(LOUD);
	serve();
	tap_reader_advance(reader, UINT64_MAX, on_event, &n);
	return n;
}

static struct tap_reader *open_reader(const struct tap *t)
{
	struct tap_reader *reader;

	if (tap_reader_new(&t->layout, &reader))
		tap_bail("no reader");
	for (uint32_t i = 0; i < t->layout.cpus; i++) {
		struct tap_cpus message = {.first = i, .count = 1};
		int fd = dup(t->cpu[i].fd[TAP_LIFE]);

		memcpy(message.id[0], t->cpu[i].id, sizeof(message.id[0]));
		if (tap_reader_add(reader, &message, &fd))
			tap_bail("no ring");
	}
	return reader;
}

static void test_real(void)
{
	const uint16_t quiet = QUIET, server = SERVER;
	struct tap_filter f = asks(1, &quiet, 1, &server);
	struct tap_reader *reader;
	struct seen n;
	struct tap t;

	tap_open(CONFIG_TAP_FULL, &t);
	printf("# %s\n", t.text);
	tap_is_int(t.spares, TAP_SPARES, "spares of every kind are open");
	reader = open_reader(&t);
	/* What follows needs no privilege. */
	if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
		tap_bail("cannot drop privileges");
	n = act(reader);
	tap_ok(n.quiet == 1 && n.loud == 1 && !n.closed, "at first: both senders, no closer there");
	tap_is_int(tap_filter_apply(&t, &f), 0, "asked for something else");
	n = act(reader);
	tap_ok(!n.quiet && n.loud == 1, "one sender is left out, the other is not");
	tap_is_int(n.closed, 1, "who closed on the listener's port is told, by a reset too");
	tap_is_int(tap_filter_apply(&t, &(struct tap_filter){0}), 0, "asked for nothing any more");
	n = act(reader);
	tap_ok(n.quiet == 1 && n.loud == 1 && !n.closed, "as at first");
	tap_is_int(tap_filter_apply(&t, &f), 0, "and again");
	n = act(reader);
	tap_ok(!n.quiet && n.loud == 1 && n.closed == 1, "it can be had again");
	tap_reader_free(reader);
	tap_deinit(&t);
}

int main(void)
{
	test_text();
	test_spares();
	test_real();
	return tap_done();
}
