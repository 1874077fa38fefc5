/* SPDX-License-Identifier: Apache-2.0 */
/* Which process holds a socket inode: reused numbers, sharing, bounds. */
#include "enrich/inodes.h"
#include "shm/record.h"
#include "tap.h"

#define ROOM 200u

static struct inodes *s;
static struct process_cache *cache;

static void begin(size_t max)
{
	static const uint64_t seed[2] = {1, 2};

	if (inodes_new(max, seed, &s) || process_cache_new(1000, &cache))
		tap_bail("no memory");
}

static void end(void)
{
	inodes_free(s);
	process_cache_free(cache);
}

static void add(uint64_t number, uint64_t cookie, uint32_t pid, enum record_method method)
{
	const struct inode_holder h = {.number = number,
		.cookie = cookie,
		.t_ns = 2,
		.process = process_cache_get(cache, pid, 1),
		.fd = pid,
		.method = (uint8_t)method};

	inodes_add(s, &h);
}

static uint32_t pid_of(uint64_t number, uint64_t cookie)
{
	const struct inode_holder *h = inodes_find(s, number, cookie);

	return h ? h->process->pid : 0;
}

/* Inode numbers come again, cookies do not. */
static void test_cookies(void)
{
	begin(8);
	add(7, 70, 48, RECORD_METHOD_SEED);
	tap_is_int(pid_of(7, 70), 48, "the socket of that inode and cookie");
	tap_is_int(pid_of(7, 0), 48, "no cookie asked: by inode alone");
	tap_is_int(pid_of(7, 71), 0, "a later socket of the same number is not its");
	add(7, 71, 49, RECORD_METHOD_SEED);
	tap_ok(pid_of(7, 71) == 49 && !inodes_find(s, 7, 71)->shared,
		"it has its own holder, who shares nothing");
	tap_is_int(pid_of(7, 70), 0, "and the earlier one is forgotten");
	end();
}

static void test_holders(void)
{
	begin(8);
	add(12345, 0, 71, RECORD_METHOD_PROCFS);
	tap_ok(pid_of(12345, 0) == 71 && !inodes_find(s, 12345, 0)->shared, "holder");
	add(12345, 9, 71, RECORD_METHOD_PROCFS);
	tap_ok(!inodes_find(s, 12345, 9)->shared && inodes_find(s, 12345, 9)->cookie == 9,
		"told again it is still one, and its cookie known");
	add(12345, 0, 72, RECORD_METHOD_PROCFS);
	tap_ok(inodes_find(s, 12345, 0)->shared, "two holders share it");
	tap_ok(!inodes_find(s, 1, 0), "nobody holds another");
	inodes_remove(s, 1);
	inodes_remove(s, 12345);
	tap_ok(!inodes_find(s, 12345, 0), "nor this one any more, once it is removed");
	add(12345, 0, 73, RECORD_METHOD_PROCFS);
	process_cache_exit(cache, 73, 1);
	add(12345, 0, 74, RECORD_METHOD_PROCFS);
	tap_ok(pid_of(12345, 0) == 74 && !inodes_find(s, 12345, 0)->shared,
		"after its holder's end it is the next one's alone");
	end();
}

static unsigned known(uint64_t first, uint64_t after)
{
	unsigned n = 0;

	for (uint64_t i = first; i < after; i++)
		n += pid_of(i, 0) == i;
	return n;
}

static void test_bound(void)
{
	begin(ROOM);
	for (uint32_t i = 1; i <= 20; i++)
		add(i, 0, i, RECORD_METHOD_SEED);
	for (uint32_t i = 21; i <= 2 * ROOM; i += 1) {
		add(i, 0, i, RECORD_METHOD_PROCFS);
		if (i % 5 == 0)
			inodes_remove(s, i);
	}
	tap_is_int(known(1, 21), 20, "what the sweep found stays");
	tap_is_int(known(21, ROOM + 21), 0, "of what was found later the oldest made room");
	tap_is_int(known(ROOM + 21, 2 * ROOM + 1), (ROOM - 20) * 4 / 5,
		"the latest are there, but those removed");
	process_cache_exit(cache, 1, 1);
	for (uint32_t i = 1001; i <= 1000 + ROOM; i++)
		add(i, 0, i, RECORD_METHOD_PROCFS);
	tap_ok(!pid_of(1, 0) && pid_of(2, 0) == 2, "the sweep's go once their process has ended");
	end();
}

int main(void)
{
	test_cookies();
	test_holders();
	test_bound();
	return tap_done();
}
