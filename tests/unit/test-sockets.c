/* SPDX-License-Identifier: Apache-2.0 */
/* Which process a tuple belongs to: time, wildcards, namespaces, ambiguity, bounds. */
#include "sockets-build.h"

#define BOX2 3u

static const struct socket_scope remote = {.netns = HOST, .initial = true, .local = false};

static void listens(struct socket_key k, uint32_t pid, uint64_t netns, uint64_t t_ns)
{
	struct socket_claim c = claim(k, pid, RECORD_METHOD_TAP_LISTEN, netns, t_ns);

	c.number = 1000 + pid;
	sockets_add_listener(s, &c);
}

static void test_connection(void)
{
	struct socket_key k = key(6, "10.0.0.1", 40000, "10.0.0.2", 80);
	struct socket_key any = key(6, "0.0.0.0", 40000, "10.0.0.2", 80);
	struct socket_key other = key(6, "10.0.0.9", 40000, "10.0.0.2", 80);

	begin();
	connects(k, 11, HOST, 2 * S);
	tap_is_int(pid_of(sockets_connection(s, &k, local, 3 * S, 3 * S)), 11, "the connector");
	tap_is_int(pid_of(sockets_connection(s, &k, local, S, S)), 0, "not before it connected");
	tap_is_int(pid_of(sockets_connection(s, &other, local, 3 * S, 3 * S)), 0,
		"another local address is another socket");
	connects(any, 12, HOST, 4 * S);
	tap_is_int(pid_of(sockets_connection(s, &other, local, 5 * S, 5 * S)), 12,
		"a sender without an address has any");
	connects(k, 13, HOST, 6 * S);
	tap_is_int(pid_of(sockets_connection(s, &k, local, 7 * S, 7 * S)), 13,
		"the tuple used again: the later one");
	tap_is_int(pid_of(sockets_connection(s, &k, local, 5 * S, 5 * S)), 12,
		"as of before: the earlier one");
	for (unsigned i = 0; i < 100; i++)
		connects(k, 13, HOST, (8 + i) * S);
	tap_is_int(pid_of(sockets_connection(s, &k, local, 5 * S, 5 * S)), 12,
		"a claim told again and again takes no room");
	for (uint16_t i = 0; i < 8; i++)
		connects(key(6, "10.0.0.1", 5000 + i, "10.0.0.2", 80), 14, HOST, 200 * S);
	tap_is_int(pid_of(sockets_connection(s, &k, local, 201 * S, 201 * S)), 0,
		"full: the oldest goes");
	tap_ok(sockets_evicted(s) >= 3, "and is counted");
	end();
}

static void test_kept(void)
{
	struct socket_key k = key(6, "10.0.0.1", 40000, "10.0.0.2", 80);
	struct socket_claim c;

	begin();
	c = claim(k, 21, RECORD_METHOD_SEED, HOST, S);
	sockets_add_connection(s, &c);
	for (uint16_t i = 0; i < 30; i++)
		connects(key(6, "10.0.0.1", 5000 + i, "10.0.0.2", 80), 22, HOST, 2 * S);
	tap_is_int(pid_of(sockets_connection(s, &k, local, 3 * S, 3 * S)), 21,
		"what was there at the start outlasts what came later");
	process_cache_exit(cache, 21, 3 * S);
	for (uint16_t i = 0; i < 30; i++)
		connects(key(6, "10.0.0.1", 6000 + i, "10.0.0.2", 80), 22, HOST, 4 * S);
	tap_is_int(pid_of(sockets_connection(s, &k, local, 2 * S, 2 * S)), 0,
		"but not longer than its process");
	for (uint16_t i = 0; i < 9; i++) {
		c = claim(key(6, "10.0.0.1", 7000 + i, "10.0.0.2", 80), 23, RECORD_METHOD_SEED,
			HOST, 5 * S);
		sockets_add_connection(s, &c);
	}
	connects(k, 24, HOST, 6 * S);
	tap_is_int(pid_of(sockets_connection(s, &k, local, 7 * S, 7 * S)), 24,
		"full of those: one of them goes");
	end();
}

static void test_close(void)
{
	struct socket_key k = key(6, "10.0.0.1", 80, "10.0.0.2", 40000);

	begin();
	closes(k, 21, 3 * S);
	tap_is_int(pid_of(sockets_connection(s, &k, local, 2 * S, 4 * S)), 21, "who closed it");
	tap_is_int(pid_of(sockets_connection(s, &k, local, 5 * S, 6 * S)), 0,
		"not a later connection of the same tuple");
	closes(k, 22, 7 * S);
	tap_is_int(pid_of(sockets_connection(s, &k, local, 5 * S, 8 * S)), 22, "but its own");
	end();
}

/* One tuple over and over, or one port from many addresses: no chain of hundreds. */
static void test_alike(void)
{
	static const uint64_t seed[2] = {1, 2};
	const struct sockets_limits l = {
		.connections = 1024, .ports = 8, .listeners = 8, .connecting = 8};
	struct socket_key k = key(6, "10.0.0.1", 80, "10.0.0.2", 40000);
	struct socket_key other = key(6, "10.0.0.1", 80, "10.0.0.2", 40001);
	struct socket_key sender = key(17, "10.0.0.1", 5353, "10.0.0.2", 53), from = sender;
	struct socket_claim c;
	uint64_t takeovers;

	begin();
	sockets_free(s);
	if (sockets_new(&l, seed, &s))
		tap_bail("no memory");
	closes(other, 23, S);
	for (unsigned i = 0; i < 200; i++)
		closes(k, 100 + i, (2 + i) * S);
	tap_is_int(pid_of(sockets_connection(s, &k, local, 201 * S, 202 * S)), 299,
		"closed 200 times: the last one");
	tap_is_int(pid_of(sockets_connection(s, &k, local, 151 * S, 151 * S + 1)), 249,
		"and those before it");
	tap_is_int(pid_of(sockets_connection(s, &k, local, 50 * S, 50 * S + 1)), 0,
		"the oldest are gone, although there is room");
	tap_is_int(pid_of(sockets_connection(s, &other, local, S, 2 * S)), 23,
		"others have their place");

	for (unsigned i = 0; i <= 200; i++) {
		from.local_addr[15] = (uint8_t)(1 + i % 200);
		c = claim(from, 30 + i / 200, RECORD_METHOD_TAP_SEND, HOST, (300 + i) * S);
		takeovers = sockets_takeovers(s);
		sockets_add_connection(s, &c);
	}
	tap_ok(sockets_takeovers(s) > takeovers,
		"a tuple whose owner was forgotten may have passed to another");
	end();
}

static void test_namespaces(void)
{
	struct socket_key k = key(17, "172.17.0.2", 5000, "10.0.0.2", 53);
	struct socket_key any = key(17, "0.0.0.0", 5000, "10.0.0.2", 53);

	begin();
	connects(any, 31, BOX, 2 * S);
	tap_is_int(pid_of(sockets_connection(s, &k, remote, 3 * S, 3 * S)), 31,
		"a container's address is claimed by its process");
	tap_is_int(pid_of(sockets_connection(s, &k, local, 3 * S, 3 * S)), 0,
		"an address of the host is not");
	connects(any, 32, BOX2, 2 * S + 1);
	tap_is_int(pid_of(sockets_connection(s, &k, remote, 3 * S, 3 * S)), 0,
		"two containers could be meant: nobody is");
	end();
	begin();
	connects(any, 33, HOST, 2 * S);
	tap_is_int(pid_of(sockets_connection(s, &k, remote, 3 * S, 3 * S)), 0,
		"the host's sender has no address that is not the host's");
	connects(k, 34, HOST, 3 * S);
	tap_is_int(pid_of(sockets_connection(s, &k, remote, 4 * S, 4 * S)), 34,
		"unless it said so itself");
	end();
}

/* 172.17.0.2 is an address of BOX, and not of BOX2. */
static int holds(const void *arg, uint64_t netns, const uint8_t addr[16])
{
	(void)arg;
	(void)addr;
	return netns == BOX ? 1 : netns == BOX2 ? 0 : -1;
}

static void test_addresses(void)
{
	struct socket_key k = key(17, "172.17.0.2", 5000, "10.0.0.2", 53);
	struct socket_key any = key(17, "0.0.0.0", 5000, "10.0.0.2", 53);
	struct socket_key server = key(6, "172.17.0.2", 80, "10.0.0.2", 40000);
	bool ambiguous = false;
	struct socket_scope scope = {.netns = HOST,
		.initial = true,
		.owner = BOX,
		.holds = holds,
		.ambiguous = &ambiguous};

	begin();
	connects(any, 31, BOX, 2 * S);
	connects(any, 32, BOX2, 2 * S + 1);
	tap_is_int(pid_of(sockets_connection(s, &k, scope, 3 * S, 3 * S)), 31,
		"a namespace that lacks the address does not claim it");
	tap_ok(!ambiguous, "so nothing is ambiguous");
	connects(any, 33, BOX + 100, 2 * S + 2);
	tap_is_int(pid_of(sockets_connection(s, &k, scope, 3 * S, 3 * S)), 0,
		"one that is not known may have it too");
	tap_ok(ambiguous, "which is said");
	end();

	begin();
	listens(key(6, "0.0.0.0", 80, "0.0.0.0", 0), 41, BOX, 1 * S);
	listens(key(6, "0.0.0.0", 80, "0.0.0.0", 0), 42, BOX2, 1 * S);
	listens(key(6, "0.0.0.0", 80, "0.0.0.0", 0), 43, HOST, 1 * S);
	listens(key(6, "0.0.0.0", 80, "0.0.0.0", 0), 44, BOX + 100, 1 * S);
	tap_is_int(pid_of(sockets_listener(s, &server, scope, 2 * S)), 41,
		"a wildcard speaks for the one namespace known to have the address");
	scope.owner = 0;
	tap_is_int(pid_of(sockets_listener(s, &server, scope, 2 * S)), 0,
		"for nobody if there are several");
	scope.owner = BOX;
	scope.netns = BOX;
	scope.initial = false;
	scope.local = true;
	tap_is_int(pid_of(sockets_listener(s, &server, scope, 2 * S)), 41,
		"captured in there it is a local address");
	end();
}

/* A listener of the sweep, whose number in the kernel is not known. */
static void test_seed_listener(void)
{
	struct socket_key in = key(6, "127.0.0.1", 80, "127.0.0.1", 40000);
	struct socket_key any = key(6, "0.0.0.0", 80, "0.0.0.0", 0);
	struct socket_claim c = {
		.key = any, .method = RECORD_METHOD_SEED, .t_ns = 1, .netns = HOST};

	begin();
	c.process = process_cache_get(cache, 47, 1);
	sockets_add_listener(s, &c);
	sockets_end_listener(s, 77, &any, BOX, 2 * S);
	tap_is_int(pid_of(sockets_listener(s, &in, local, 2 * S)), 47,
		"one closed in another namespace is another");
	sockets_end_listener(s, 77, &in, HOST, 2 * S);
	tap_is_int(pid_of(sockets_listener(s, &in, local, 2 * S)), 47, "so is another address");
	sockets_end_listener(s, 77, &any, HOST, 2 * S);
	tap_is_int(pid_of(sockets_listener(s, &in, local, 2 * S)), 0, "closed: it is gone");
	end();
}

static void test_listener(void)
{
	struct socket_key in4 = key(6, "127.0.0.1", 80, "127.0.0.1", 40000);
	struct socket_key in6 = key(6, "::1", 80, "::1", 40000);
	struct socket_key far = key(6, "93.184.216.34", 80, "10.0.0.1", 40000);

	begin();
	listens(key(6, "::", 80, "::", 0), 41, HOST, 1 * S);
	tap_is_int(pid_of(sockets_listener(s, &in6, local, 2 * S)), 41, "[::] takes IPv6");
	tap_is_int(pid_of(sockets_listener(s, &in4, local, 2 * S)), 41, "and IPv4");
	listens(key(6, "0.0.0.0", 80, "0.0.0.0", 0), 42, HOST, 1 * S);
	tap_is_int(pid_of(sockets_listener(s, &in4, local, 2 * S)), 42, "IPv4's own goes first");
	tap_is_int(pid_of(sockets_listener(s, &in6, local, 2 * S)), 41, "and takes no IPv6");
	listens(key(6, "127.0.0.1", 80, "0.0.0.0", 0), 43, HOST, 1 * S);
	tap_is_int(pid_of(sockets_listener(s, &in4, local, 2 * S)), 43, "the exact address wins");
	sockets_end_listener(s, 1043, &in4, HOST, 3 * S / 2);
	tap_is_int(pid_of(sockets_listener(s, &in4, local, 2 * S)), 42, "until it is closed");
	tap_is_int(pid_of(sockets_listener(s, &in4, local, S + 1)), 43,
		"of what began before that it stays the listener");
	tap_is_int(pid_of(sockets_listener(s, &in4, local, S / 2)), 0, "none before it listened");
	listens(key(6, "0.0.0.0", 80, "0.0.0.0", 0), 44, BOX, 1 * S);
	tap_is_int(pid_of(sockets_listener(s, &in4, local, 2 * S)), 42,
		"a container's listener does not count for the host");
	tap_is_int(
		pid_of(sockets_listener(s, &far, remote, 2 * S)), 0, "nor for the whole internet");
	listens(key(6, "0.0.0.0", 80, "0.0.0.0", 0), 45, HOST, 2 * S);
	tap_is_int(pid_of(sockets_listener(s, &in4, local, 3 * S)), 0,
		"two that share a port: either could accept");
	process_cache_exit(cache, 42, 4 * S);
	tap_is_int(pid_of(sockets_listener(s, &in4, local, 5 * S)), 0,
		"one is gone, but its socket was not closed: another holds it");
	sockets_end_listener(s, 1042, &in4, HOST, 4 * S);
	tap_is_int(pid_of(sockets_listener(s, &in4, local, 5 * S)), 45, "until it is closed");
	end();
}

static void test_ports(void)
{
	struct socket_key k = key(17, "127.0.0.1", 53, "127.0.0.1", 40000);
	struct socket_claim c;

	begin();
	c = claim(key(17, "0.0.0.0", 53, "10.0.0.7", 9), 51, RECORD_METHOD_TAP_SEND, HOST, S);
	sockets_add_port(s, &c);
	tap_is_int(pid_of(sockets_port(s, &k, local, 2 * S)), 51, "who sends from a port has it");
	c = claim(key(17, "0.0.0.0", 53, "10.0.0.7", 9), 52, RECORD_METHOD_TAP_SEND, HOST, 3 * S);
	sockets_add_port(s, &c);
	tap_is_int(pid_of(sockets_port(s, &k, local, 4 * S)), 0, "two living ones: nobody knows");
	process_cache_exit(cache, 51, 5 * S);
	tap_is_int(pid_of(sockets_port(s, &k, local, 6 * S)), 52, "until one is gone");
	end();
}

static void test_connecting(void)
{
	struct socket_key start = key(6, "::", 0, "fd00::2", 80);
	struct socket_key full = key(6, "fd00::1", 40000, "fd00::2", 80);
	struct socket_claim c;

	begin();
	c = claim(start, 61, RECORD_METHOD_TAP_CONNECT, HOST, 2 * S);
	c.number = 0xffff8880;
	sockets_add_connecting(s, &c);
	tap_ok(!sockets_connected(s, 0xffff8880, &start, 1 * S), "not before it began");
	tap_ok(sockets_connected(s, 0xffff8880, &full, 3 * S), "its port becomes known");
	tap_is_int(pid_of(sockets_connection(s, &full, local, 2 * S + 1, 2 * S + 1)), 61,
		"from the time on when it began");
	tap_ok(!sockets_connected(s, 0xffff8880, &full, 3 * S), "only once");
	sockets_add_connecting(s, &c);
	c.process = process(62);
	c.number = 0xffff8888;
	sockets_add_connecting(s, &c);
	full.remote_port = 81;
	tap_ok(!sockets_connected(s, 0xffff8888, &full, 3 * S), "another peer is another socket");
	end();
}

static void test_portless(void)
{
	struct socket_key k = key(1, "0.0.0.0", 0, "10.0.0.2", 0);
	struct socket_key from = key(1, "10.0.0.1", 0, "10.0.0.2", 0);
	struct socket_key other = key(1, "10.0.0.1", 0, "10.0.0.3", 0);
	bool several;

	begin();
	connects(k, 91, HOST, S);
	tap_is_int(pid_of(sockets_portless(s, &from, local, S + 1, S, &several)), 91,
		"who sent there just now");
	tap_ok(!several, "nobody else did");
	tap_is_int(pid_of(sockets_portless(s, &other, local, S + 1, S, &several)), 0,
		"nobody sent elsewhere");
	tap_is_int(pid_of(sockets_portless(s, &from, local, 3 * S, S, &several)), 0, "nor lately");
	for (unsigned i = 0; i < 20; i++) {
		connects(k, 91, HOST, (4 + i) * S);
		connects(k, 92, HOST, (4 + i) * S + 5);
	}
	tap_is_int(sockets_evicted(s), 0, "two that send in turn take two places");
	tap_is_int(pid_of(sockets_portless(s, &from, local, 23 * S + 6, S, &several)), 92,
		"the latest of two");
	tap_ok(several, "and that there are two");
	tap_is_int(pid_of(sockets_portless(s, &from, local, S + 1, S, &several)), 91,
		"as of before there was one");
	tap_is_int(sockets_takeovers(s), 0, "none takes anything over");
	end();
}

static void test_port_sender(void)
{
	struct socket_claim c;

	begin();
	c = claim(key(17, "0.0.0.0", 53, "10.0.0.7", 9), 51, RECORD_METHOD_TAP_SEND, HOST, S);
	sockets_add_port(s, &c);
	tap_is_int(pid_of(sockets_port_sender(s, 53)), 51, "the one that sends from a port");
	tap_is_int(pid_of(sockets_port_sender(s, 54)), 0, "nobody from another");
	c.process = process(52);
	c.netns = BOX;
	sockets_add_port(s, &c);
	tap_is_int(pid_of(sockets_port_sender(s, 53)), 0, "two do, if only in two namespaces");
	end();
}

/* Both ends on one host: the same two ports, the other way round. */
static void test_other_end(void)
{
	struct socket_key client = key(6, "127.0.0.1", 40000, "127.0.0.1", 80);
	struct socket_key server = key(6, "127.0.0.1", 80, "127.0.0.1", 40000);

	begin();
	closes(client, 95, 2 * S);
	tap_is_int(pid_of(sockets_connection(s, &server, local, S, 3 * S)), 0,
		"who closed one end did not close the other");
	closes(server, 96, 2 * S);
	tap_is_int(pid_of(sockets_connection(s, &server, local, S, 3 * S)), 96, "who did");
	tap_is_int(pid_of(sockets_connection(s, &client, local, S, 3 * S)), 95, "each its own");
	end();
}

static void test_takeover(void)
{
	struct socket_key udp = key(17, "0.0.0.0", 5000, "10.0.0.2", 53);
	struct socket_key tcp = key(6, "10.0.0.1", 5000, "10.0.0.2", 53);

	begin();
	connects(udp, 81, HOST, S);
	connects(udp, 81, HOST, 2 * S);
	tap_is_int(sockets_takeovers(s), 0, "the same sender again takes nothing over");
	connects(udp, 82, HOST, 3 * S);
	tap_is_int(sockets_takeovers(s), 1, "another one on the same UDP tuple does");
	connects(tcp, 81, HOST, S);
	connects(tcp, 82, HOST, 2 * S);
	tap_is_int(sockets_takeovers(s), 1, "TCP has its SYN to tell");
	for (uint16_t i = 0; i < 8; i++)
		connects(key(6, "10.0.0.1", 6000 + i, "10.0.0.2", 80), 81, HOST, 4 * S);
	connects(udp, 83, HOST, 5 * S);
	tap_is_int(sockets_takeovers(s), 2, "nor is one missed whose former sender is forgotten");
	end();
}

int main(void)
{
	test_takeover();
	test_portless();
	test_port_sender();
	test_other_end();
	test_connection();
	test_kept();
	test_close();
	test_alike();
	test_namespaces();
	test_addresses();
	test_seed_listener();
	test_listener();
	test_ports();
	test_connecting();
	return tap_done();
}
