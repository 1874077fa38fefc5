/* SPDX-License-Identifier: Apache-2.0 */
/* Names by id out of files like /etc/passwd, and files that change. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "enrich/users.h"
#include "tap.h"

#define S    UINT64_C(1000000000)
#define HUGE 70000u

static char passwd[] = "/tmp/flowner-users-XXXXXX", group[sizeof(passwd) + 2];

static void put(const char *path, const char *bytes, size_t len)
{
	char other[64];
	FILE *f;

	/* As tools change these files: a new one takes the name of the old. */
	snprintf(other, sizeof(other), "%s.new", path);
	f = fopen(other, "w");
	if (!f || fwrite(bytes, 1, len, f) != len || fclose(f) || rename(other, path))
		tap_bail("cannot write");
}

static bool is(const struct text *t, const char *want)
{
	return t ? t->len == strlen(want) && !memcmp(t->bytes, want, t->len) : !*want;
}

static void test_lines(struct users *u)
{
	tap_ok(is(users_user(u, 0), "root"), "the first name of an id counts");
	tap_ok(is(users_user(u, 1000), "ann"), "another");
	tap_ok(is(users_user(u, 33), "www\xff"), "bytes as they are");
	tap_ok(is(users_user(u, 5), "short"), "fields may be missing behind the id");
	tap_ok(is(users_user(u, 6), "last"), "the last line needs no newline");
	tap_ok(is(users_user(u, 1), ""), "unknown");
	tap_ok(is(users_user(u, UINT32_MAX), ""), "the id that means none");
	tap_ok(is(users_user(u, 7), "") && is(users_user(u, 8), "") && is(users_user(u, 9), "") &&
			is(users_user(u, 10), "") && is(users_user(u, 705032704), ""),
		"lines that are wrong name nobody");
	tap_ok(is(users_group(u, 4), "adm") && is(users_group(u, 100), "users"), "groups");
	tap_ok(is(users_group(u, 12), ""), "not from the middle of a long line");
}

static void test_change(struct users *u)
{
	static const char changed[] = "toor:x:0:0::/:/bin/sh\n";

	put(passwd, changed, sizeof(changed) - 1);
	tap_ok(is(users_user(u, 0), "root"), "a change is not seen at once");
	users_refresh(u, 100 * S);
	tap_ok(is(users_user(u, 0), "toor") && is(users_user(u, 1000), ""), "but with a refresh");
	tap_ok(is(users_group(u, 4), "adm"), "the other file is as it was");
	unlink(passwd);
	users_refresh(u, 100 * S + 1);
	tap_ok(is(users_user(u, 0), "toor"), "not looked at twice a second");
	users_refresh(u, 102 * S);
	tap_ok(is(users_user(u, 0), ""), "a file that is gone names nobody");
	if (mkfifo(passwd, 0600))
		tap_bail("mkfifo");
	users_refresh(u, 104 * S);
	tap_ok(is(users_user(u, 0), ""), "a fifo is not waited for");
	unlink(passwd);
}

static void test_many(struct users *u)
{
	char *bytes = malloc(HUGE * 32);
	size_t len = 0;

	if (!bytes)
		tap_bail("no memory");
	for (unsigned i = 0; i < HUGE; i++)
		len += (size_t)sprintf(bytes + len, "u%u:x:%u:1::/:\n", i, HUGE - i);
	put(passwd, bytes, len);
	free(bytes);
	users_refresh(u, 200 * S);
	tap_ok(is(users_user(u, HUGE), "u0") && is(users_user(u, HUGE - USERS_MAX + 1), "u65535"),
		"as many lines as there may be");
	tap_ok(is(users_user(u, HUGE - USERS_MAX), ""), "no more");
	unlink(passwd);
}

int main(void)
{
	static const char users[] = "root:x:0:0:root:/root:/bin/bash\n"
				    "toor:x:0:0:root:/root:/bin/bash\n"
				    "# a comment:x:7\n"
				    "\n"
				    ":x:7:7:no name::\n"
				    "minus:x:-8:8:::\n"
				    "+nis:x:9:9:::\n"
				    "blank:x: 8:8:::\n"
				    "tail:x:8x:8:::\n"
				    "none:x::8:::\n"
				    "nocolon:x\n"
				    "big:x:5000000000:8:::\n"
				    "max:x:4294967295:8:::\n"
				    "ann:x:1000:1000:Ann:/srv/annie:/bin/sh\n"
				    "www\xff:x:33:33:::\n"
				    "short:x:5\n"
				    "last:x:6:6";
	char groups[4096] = "adm:x:4:ann,bob\nusers:x:100:";
	size_t at = strlen(groups);
	struct users *u;
	int fd = mkstemp(passwd);

	if (fd < 0)
		tap_bail("mkstemp");
	close(fd);
	snprintf(group, sizeof(group), "%s.g", passwd);
	/* Members for longer than a buffer, looking like lines of their own. */
	while (at < sizeof(groups) - 16)
		at += (size_t)sprintf(groups + at, "mem:x:12:,");
	put(passwd, users, sizeof(users) - 1);
	put(group, groups, at);
	tap_is_int(users_new("/nonexistent", "/nonexistent", &u), 0, "no files: no error");
	tap_ok(!users_user(u, 0) && !users_group(u, 0), "nobody has a name");
	users_free(u);
	tap_is_int(users_new(passwd, group, &u), 0, "files");
	test_lines(u);
	test_change(u);
	test_many(u);
	users_free(u);
	unlink(group);
	return tap_done();
}
