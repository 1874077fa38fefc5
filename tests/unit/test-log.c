/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines: one line each, foreign bytes escaped, levels only for who reads them. */
#include "config/log.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/text.h"
#include "tap.h"

static char got[8192];
static int saved = -1, fds[2];

static void begin(void)
{
	saved = dup(STDERR_FILENO);
	if (saved < 0 || pipe(fds) < 0)
		tap_bail("no pipe");
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
}

static const char *end(void)
{
	ssize_t n;

	dup2(saved, STDERR_FILENO);
	close(saved);
	n = read(fds[0], got, sizeof(got) - 1);
	close(fds[0]);
	got[n > 0 ? n : 0] = '\0';
	return got;
}

static void test_levels(void)
{
	log_init("flowner-test", LOG_LEVEL_INFO);
	begin();
	log_info("started with %d", 3);
	log_debug("not this");
	log_error("that");
	tap_is_str(end(), "flowner-test: started with 3\nflowner-test: that\n",
		"lines without levels");
	log_init("flowner-test", LOG_LEVEL_DEBUG);
	begin();
	log_debug("now this");
	tap_is_str(end(), "flowner-test: now this\n", "debug lines when asked for");

	setenv("FLOWNER_LOG_MAX", "warning", 1);
	log_init("flowner-test", LOG_LEVEL_INFO);
	begin();
	log_info("not this");
	log_warning("that");
	log_init("flowner-test", LOG_LEVEL_DEBUG);
	log_debug("and this");
	unsetenv("FLOWNER_LOG_MAX");
	tap_is_str(end(), "flowner-test: that\nflowner-test: and this\n",
		"a supervisor can have less said, unless debugging was asked for");

	setenv("FLOWNER_LOG_PREFIX", "1", 1);
	log_init("flowner-test", LOG_LEVEL_INFO);
	unsetenv("FLOWNER_LOG_PREFIX");
	begin();
	log_warning("x");
	log_error("y");
	tap_is_str(end(), "<4>flowner-test: x\n<3>flowner-test: y\n", "levels when asked for");
}

static void test_journal(void)
{
	struct stat st;
	char stream[64];

	setenv("JOURNAL_STREAM", "1:1", 1);
	log_init("t", LOG_LEVEL_INFO);
	begin();
	log_info("x");
	tap_is_str(end(), "t: x\n", "a journal that is not this stderr means nothing");
	begin();
	fstat(STDERR_FILENO, &st);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		(unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init("t", LOG_LEVEL_INFO);
	log_info("x");
	tap_is_str(end(), "<6>t: x\n", "one that is gets levels");
	unsetenv("JOURNAL_STREAM");
	log_init("t", LOG_LEVEL_INFO);
}

static void test_foreign_bytes(void)
{
	char *huge = malloc(100000);
	size_t len;

	begin();
	log_info("%s", "a\nb\r\033[31m\x7f\t\xff\xc2\x9b\xe2\x80\xae\xe2\x80\xa8."
		       "\xc3\xa9\xf0\x9f\x90\x9f\xed\xa0\x80");
	tap_is_str(end(),
		"t: a\\x0ab\\x0d\\x1b[31m\\x7f\\x09\\xff\\xc2\\x9b\\xe2\\x80\\xae\\xe2\\x80\\xa8."
		"\xc3\xa9\xf0\x9f\x90\x9f\\xed\\xa0\\x80\n",
		"control characters, C1, bidi, broken UTF-8 are escaped, other UTF-8 stays");
	begin();
	log_info("%s", "\xc0\xaf \xe0\x80\x80 \xf0\x80\x80\x80 \xf4\x90\x80\x80 \xe2\x82");
	tap_is_str(end(),
		"t: \\xc0\\xaf \\xe0\\x80\\x80 \\xf0\\x80\\x80\\x80 \\xf4\\x90\\x80\\x80 "
		"\\xe2\\x82\n",
		"overlong, too large and cut sequences are not UTF-8");
	if (!huge)
		tap_bail("no memory");
	memset(huge, '\033', 99999);
	huge[99999] = '\0';
	begin();
	log_info("%s", huge);
	len = strlen(end());
	tap_ok(len < 2100 && !strcmp(got + len - 4, "...\n") && strchr(got, '\n') == got + len - 1,
		"a huge line is cut to one line of %zu bytes", len);
	free(huge);
}

static void test_errno(void)
{
	int closed = dup(STDERR_FILENO);

	errno = ENOENT;
	begin();
	log_info("x");
	tap_ok(errno == ENOENT, "errno is left alone");
	end();
	close(STDERR_FILENO);
	errno = ENOENT;
	log_error("nobody reads this");
	tap_ok(errno == ENOENT, "without standard error nothing fails");
	dup2(closed, STDERR_FILENO);
	close(closed);
}

/* Whatever goes in: bounded, terminated, no raw control byte, and as it was if it was clean. */
static void test_escape_property(void)
{
	unsigned seed = 1;
	bool ok = true;

	for (int round = 0; round < 20000; round++) {
		char src[64], dst[64];
		size_t len = (size_t)rand_r(&seed) % sizeof(src);
		size_t size = 8 + (size_t)rand_r(&seed) % (sizeof(dst) - 8);
		bool clean = true;

		for (size_t i = 0; i < len; i++) {
			src[i] = (char)rand_r(&seed);
			if (round % 2)
				src[i] = (char)(' ' + (src[i] & 63));
			clean = clean && src[i] >= ' ' && src[i] < 0x7f;
		}
		memset(dst, 'Z', sizeof(dst));
		text_escape(dst, size, src, len);
		ok = ok && memchr(dst, '\0', size);
		for (size_t i = size; i < sizeof(dst); i++)
			ok = ok && dst[i] == 'Z';
		for (size_t i = 0; ok && dst[i]; i++)
			ok = (unsigned char)dst[i] >= ' ' && dst[i] != 0x7f;
		if (ok && clean && len < size)
			ok = strlen(dst) == len && memcmp(dst, src, len) == 0;
		if (!ok)
			break;
	}
	tap_ok(ok, "escaping is bounded and safe for random bytes");
	tap_is_str(text_quote("x", 1).text, "\"x\"", "a quoted value");
}

int main(void)
{
	test_levels();
	test_journal();
	test_foreign_bytes();
	test_errno();
	test_escape_property();
	return tap_done();
}
