/* SPDX-License-Identifier: Apache-2.0 */
/* Which user a process was at which moment, with and without word of every change. */
#include "enrich/credentials.h"
#include "tap.h"

#define UNWATCHED UINT64_MAX
#define NONE      UINT32_MAX

static struct credentials c;

static void at(uint64_t t, uint64_t watched, int how, uint32_t effective, const char *name)
{
	uint32_t e = 1, r = 1;
	int got = credentials_at(&c, t, watched, &e, &r);

	tap_ok(got == how && e == effective, "%s: %d, %u", name, got, e);
}

static void test_unwatched(void)
{
	credentials_init(&c);
	at(5, UNWATCHED, CREDENTIALS_E_UNKNOWN, NONE, "nothing known");
	credentials_seen(&c, 0, 0, 100);
	at(100, UNWATCHED, 0, 0, "when it was seen");
	at(101, UNWATCHED, CREDENTIALS_E_UNCONFIRMED, 0, "later: it may have changed");
	at(99, UNWATCHED, CREDENTIALS_E_UNCONFIRMED, 0, "before: it may have been another");
	credentials_seen(&c, 0, 0, 200);
	at(150, UNWATCHED, 0, 0, "the same before and after");
	credentials_seen(&c, 33, 33, 300);
	at(150, UNWATCHED, 0, 0, "still that, then");
	at(250, UNWATCHED, CREDENTIALS_E_UNKNOWN, NONE, "one before, another after");
	at(300, UNWATCHED, 0, 33, "the new one");
	at(400, UNWATCHED, CREDENTIALS_E_UNCONFIRMED, 33, "and later");
	credentials_seen(&c, 1, 1, 250);
	at(300, UNWATCHED, 0, 33, "old news");
	credentials_seen(&c, 34, 34, 500);
	at(150, UNWATCHED, CREDENTIALS_E_UNKNOWN, NONE, "too long ago");
}

static void test_watched(void)
{
	credentials_init(&c);
	credentials_seen(&c, 0, 0, 100);
	at(99, 50, 0, 0, "before it was first seen: no change was told");
	at(49, 50, CREDENTIALS_E_UNCONFIRMED, 0, "before anybody told");
	at(1000, 50, 0, 0, "later: no change was told");
	at(1000, 101, CREDENTIALS_E_UNCONFIRMED, 0, "some may not have been");
	credentials_seen(&c, 33, 33, 300);
	at(299, 50, 0, 0, "up to the change");
	at(300, 50, 0, 33, "from the change on");
	at(1000, 50, 0, 33, "and on");
	credentials_lose(&c, 400);
	at(399, 50, 0, 33, "up to where it is lost");
	at(500, 50, CREDENTIALS_E_UNKNOWN, NONE, "unknown from there");
	credentials_seen(&c, 33, 33, 600);
	at(500, 50, CREDENTIALS_E_UNKNOWN, NONE, "also when it is known again");
	at(600, 50, 0, 33, "as it is then");
}

/* An event that is read after a look at /proc that was later. */
static void test_late_word(void)
{
	credentials_init(&c);
	credentials_changed(&c, 5, 5, 100);
	at(99, 50, CREDENTIALS_E_UNKNOWN, NONE, "before a change it was another");
	at(100, UNWATCHED, 0, 5, "from then on it is this");
	credentials_init(&c);
	credentials_seen(&c, 33, 33, 300);
	credentials_changed(&c, 33, 33, 200);
	at(199, 50, CREDENTIALS_E_UNKNOWN, NONE, "it was another before");
	at(200, UNWATCHED, 0, 33, "and this since");
	credentials_changed(&c, 33, 33, 100);
	at(150, 50, 0, 33, "or even longer");
	at(99, 50, CREDENTIALS_E_UNKNOWN, NONE, "but not before");
	credentials_init(&c);
	credentials_seen(&c, 0, 0, 100);
	credentials_seen(&c, 33, 33, 300);
	credentials_changed(&c, 33, 33, 200);
	at(199, 50, 0, 0, "what it was before is known, too");
	at(200, 50, 0, 33, "and when it changed");
	credentials_init(&c);
	credentials_seen(&c, 33, 33, 300);
	credentials_changed(&c, 7, 7, 200);
	credentials_changed(&c, 33, 33, 250);
	at(300, 50, 0, 33, "two changes before it was seen");
	at(250, 50, 0, 33, "the second");
	at(249, 50, 0, 7, "the first");
	at(199, 50, CREDENTIALS_E_UNKNOWN, NONE, "one value back is all that is kept");
	credentials_changed(&c, 8, 8, 400);
	at(399, 50, 0, 33, "the next");
	at(400, 50, 0, 8, "is as any other");
}

static void test_children(void)
{
	struct credentials parent;

	credentials_init(&parent);
	credentials_seen(&parent, 0, 0, 100);
	credentials_seen(&parent, 33, 33, 300);
	credentials_init(&c);
	credentials_inherit(&c, &parent, 200);
	at(400, 50, 0, 0, "a child of before the change");
	at(400, UNWATCHED, CREDENTIALS_E_UNKNOWN, NONE, "nobody tells of its own");
	credentials_inherit(&c, &parent, 350);
	at(400, 50, 0, 33, "a child of after it");
	at(350, UNWATCHED, CREDENTIALS_E_UNKNOWN, NONE, "nobody saw it at its fork");
	credentials_seen(&c, 33, 33, 400);
	at(370, 50, 0, 33, "seen as inherited");
	credentials_inherit(&c, &parent, 10);
	at(10, UNWATCHED, CREDENTIALS_E_UNCONFIRMED, 0, "a child of before its parent was seen");
	credentials_init(&parent);
	credentials_inherit(&c, &parent, 10);
	at(10, 5, CREDENTIALS_E_UNKNOWN, NONE, "a child of an unknown parent");
	credentials_seen(&c, 7, 8, 20);
	at(15, 5, 0, 7, "until it is seen itself");
}

static void test_real(void)
{
	uint32_t e, r;

	credentials_init(&c);
	credentials_seen(&c, 5, NONE, 10);
	credentials_seen(&c, 5, 6, 20);
	credentials_seen(&c, 5, NONE, 30);
	tap_ok(credentials_at(&c, 25, UNWATCHED, &e, &r) == 0 && e == 5 && r == 6,
		"who does not know the real id leaves it as it is");
	credentials_seen(&c, 7, NONE, 40);
	tap_ok(credentials_at(&c, 40, UNWATCHED, &e, &r) == 0 && e == 7 && r == NONE,
		"with another effective one it is unknown");
}

int main(void)
{
	test_unwatched();
	test_watched();
	test_late_word();
	test_children();
	test_real();
	return tap_done();
}
