/* SPDX-License-Identifier: Apache-2.0 */
/* Which ports are busy: one sender's, fast enough, and lately. */
#include "enrich/busy.h"

#include "tap.h"

#define MS UINT64_C(1000000)

static struct busy b;

struct found {
	unsigned n;
	uint16_t port;
	const void *who;
};

static void on_busy(void *arg, uint16_t port, const void *who)
{
	struct found *f = arg;

	f->n++;
	f->port = port;
	f->who = who;
}

static struct found look(uint64_t now_ns)
{
	struct found f = {0};

	busy_each(&b, now_ns, on_busy, &f);
	return f;
}

static void sends(uint16_t port, const void *who, unsigned n, uint64_t from_ns, uint64_t step_ns)
{
	for (unsigned i = 0; i < n; i++)
		busy_count(&b, port, who, from_ns + i * step_ns);
}

int main(void)
{
	const char one = 0, two = 0;
	struct found f;

	sends(53, &one, 999, 10 * MS, MS / 10);
	tap_is_int(look(200 * MS).n, 0, "999 are not many");
	sends(53, &one, 1, 150 * MS, 0);
	f = look(200 * MS);
	tap_ok(f.n == 1 && f.port == 53 && f.who == &one, "one more is");
	tap_is_int(look(5000 * MS).n, 0, "but not long after");
	busy_clear(&b);
	sends(53, &one, 3000, 10 * MS, 2 * MS);
	tap_is_int(look(6000 * MS).n, 0, "500 a second are not, however long");
	busy_clear(&b);
	sends(53, &one, 1500, 10 * MS, MS / 10);
	sends(53, &two, 1, 170 * MS, 0);
	tap_is_int(look(200 * MS).n, 0, "two that send from one port cannot be told apart");
	busy_clear(&b);
	sends(53, &one, 2000, 10 * MS, MS / 10);
	sends(53 + BUSY_SLOTS, &two, 1, 300 * MS, 0);
	tap_is_int(
		look(400 * MS).n, 0, "another port of its slot makes it less busy, not another's");
	sends(53, &one, 2000, 500 * MS, MS / 10);
	tap_is_int(look(800 * MS).port, 53, "until it is");
	return tap_done();
}
