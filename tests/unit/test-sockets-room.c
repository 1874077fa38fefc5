/* SPDX-License-Identifier: Apache-2.0 */
/* How claims on connections make room: in rounds, and where a connection is over. */
#include "sockets-build.h"

static struct socket_key numbered(unsigned i)
{
	return key(6, "10.0.0.1", (uint16_t)(1 + i), "10.0.0.2", 80);
}

static unsigned known(unsigned first, unsigned after, uint64_t t_ns)
{
	unsigned n = 0;

	for (unsigned i = first; i < after; i++) {
		struct socket_key k = numbered(i);

		n += pid_of(sockets_connection(s, &k, local, t_ns, t_ns)) == 90;
	}
	return n;
}

static uint64_t connect_all(unsigned first, unsigned after, uint64_t t_ns, uint64_t step_ns)
{
	for (unsigned i = first; i < after; i++, t_ns += step_ns)
		connects(numbered(i), 90, HOST, t_ns);
	return t_ns;
}

/* The table goes round in half of itself, unless claims would then go too soon. */
static void test_rounds(void)
{
	struct socket_claim c;
	uint64_t t_ns;

	begin_with(2048);
	t_ns = connect_all(0, 3000, S, S / 100);
	tap_is_int(known(3000 - 1024, 3000, t_ns), 1024, "100 a second: half of it");
	tap_is_int(known(0, 3000 - 1024, t_ns), 0, "and no more");
	t_ns = connect_all(3000, 9000, t_ns, S / 1000);
	tap_is_int(known(9000 - 2000, 9000, t_ns), 2000, "1,000 a second: two seconds");
	t_ns = connect_all(9000, 20000, t_ns, S / 10000);
	tap_is_int(known(20000 - 2048, 20000, t_ns), 2048, "10,000 a second: all of it");
	tap_is_int(known(9000, 20000 - 2048, t_ns), 0, "and no more");
	end();

	begin_with(2048);
	for (unsigned i = 0; i < 1500; i++) {
		c = claim(numbered(i), 90, RECORD_METHOD_SEED, HOST, 1);
		sockets_add_connection(s, &c);
	}
	tap_is_int(known(0, 1500, S), 1500, "all of a sweep has room");
	end();
}

/* What is said about @k, asked from @from_ns to @t_ns. */
static struct socket_told answer(const struct socket_key *k, uint64_t from_ns, uint64_t t_ns)
{
	const struct socket_claim *c = sockets_connection(s, k, local, from_ns, t_ns);

	return c ? sockets_told(s, c) : (struct socket_told){0};
}

static void over(struct socket_key k, uint32_t pid, uint64_t t_ns)
{
	const struct socket_told told = answer(&k, t_ns, t_ns);

	sockets_over(s, &told, process(pid));
}

/* A connection by @pid at numbered(@i) that is over at once. */
static void comes_and_goes(unsigned i, uint32_t pid, uint64_t t_ns)
{
	connects(numbered(i), pid, HOST, t_ns);
	over(numbered(i), pid, t_ns);
}

static void test_over(void)
{
	struct socket_key k = key(6, "10.0.0.1", 40000, "10.0.0.2", 80);
	struct socket_key other = key(6, "10.0.0.1", 40000, "10.0.0.2", 81);
	struct socket_key elsewhere = key(6, "10.0.0.9", 40000, "10.0.0.2", 80);
	struct socket_told first, second;
	struct socket_claim c;

	begin_with(64);
	connects(k, 11, HOST, 2 * S);
	connects(other, 11, HOST, 2 * S);
	connects(elsewhere, 11, HOST, 2 * S);
	over(k, 12, 2 * S);
	tap_is_int(pid_of(sockets_connection(s, &k, local, 2 * S, 2 * S)), 11,
		"somebody else's connection was over");
	connects(k, 12, HOST, 3 * S);
	connects(k, 13, BOX, 3 * S);
	over(k, 12, 4 * S);
	tap_is_int(pid_of(sockets_connection(s, &k, local, 2 * S, 5 * S)), 0,
		"nothing is left, also not of who had the tuple before");
	tap_is_int(pid_of(sockets_connection(s, &other, local, 2 * S, 5 * S)), 11,
		"another connection's claim stays");
	tap_is_int(pid_of(sockets_connection(s, &elsewhere, local, 2 * S, 5 * S)), 11,
		"from another address of ours, too");
	tap_is_int(pid_of(sockets_connection(s, &k,
			   (struct socket_scope){.netns = BOX, .local = true}, 2 * S, 5 * S)),
		13, "another namespace's, too");

	connects(k, 11, HOST, 6 * S);
	first = answer(&k, 6 * S, 6 * S);
	connects(k, 11, HOST, 8 * S);
	sockets_over(s, &first, process(11));
	tap_is_int(pid_of(sockets_connection(s, &k, local, 8 * S, 8 * S)), 11,
		"told again, it is the next connection's as well: it stays");
	first = answer(&k, 8 * S, 8 * S);
	sockets_over(s, &first, process(11));
	connects(k, 11, HOST, 9 * S);
	second = answer(&k, 9 * S, 9 * S);
	tap_is_int(second.place, first.place, "the next one has its place");
	sockets_over(s, &first, process(11));
	tap_is_int(pid_of(sockets_connection(s, &k, local, 9 * S, 9 * S)), 11,
		"over twice is over once");

	k.proto = 17;
	connects(k, 13, HOST, S);
	over(k, 13, S);
	tap_is_int(pid_of(sockets_connection(s, &k, local, 2 * S, 2 * S)), 13, "UDP's stay");
	k.proto = 6;
	c = claim(k, 14, RECORD_METHOD_SEED, HOST, 1);
	c.key.local_port = 7;
	sockets_add_connection(s, &c);
	over(c.key, 14, S);
	tap_is_int(
		pid_of(sockets_connection(s, &c.key, local, S, S)), 14, "what a sweep found stays");
	c = claim(k, 15, RECORD_METHOD_TAP_LISTEN, HOST, 1);
	sockets_add_listener(s, &c);
	first = sockets_told(s, sockets_listener(s, &k, local, S));
	tap_is_int(first.place, 0, "a listener is in another table");
	end();
}

static void test_given(void)
{
	uint64_t t_ns = S;

	begin_with(64);
	connects(numbered(0), 90, HOST, t_ns);
	for (unsigned i = 1; i < 5000; i++, t_ns += S / 1000)
		comes_and_goes(i, 91, t_ns);
	tap_is_int(known(0, 1, t_ns), 1,
		"connections that are over take no room from one that is not");
	tap_is_int(known(1, 5000, t_ns), 0, "they are gone");
	tap_is_int(sockets_evicted(s), 0, "nobody had to go");

	/* Places at the front of the ring, given back and taken again by open connections. */
	t_ns = connect_all(5000, 5020, t_ns, 1);
	for (unsigned i = 5000; i < 5020; i++)
		over(numbered(i), 90, t_ns);
	t_ns = connect_all(6000, 6020, t_ns, 1);
	t_ns = connect_all(7000, 7048, t_ns, 1);
	tap_is_int(
		known(6000, 6020, t_ns), 20, "what is young is stepped over when its turn comes");
	t_ns = connect_all(8000, 8300, t_ns + 3 * S, S / 1000);
	tap_is_int(known(6000, 6020, t_ns), 0, "later it goes like any other");
	end();

	begin_with(64);
	for (unsigned i = 0; i < 64; i++)
		comes_and_goes(i, 91, S + i);
	t_ns = connect_all(100, 164, 2 * S, 1);
	for (unsigned i = 100; i < 164; i++)
		over(numbered(i), 90, t_ns);
	connect_all(200, 264, t_ns, 1);
	tap_is_int(known(200, 264, t_ns + 100), 64, "each place is taken once");
	end();
}

int main(void)
{
	test_rounds();
	test_over();
	test_given();
	return tap_done();
}
