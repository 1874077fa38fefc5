/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TAP producer (testanything.org, version 12 plus directives): one line per check, the plan at
 *the end, exit status 1 if anything failed.
 *
 *	int main(void)
 *	{
 *		tap_ok(x == 1, "x is %d", x);
 *		return tap_done();
 *	}
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned tap_count, tap_failed;

static inline bool tap_line(bool ok, const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static inline bool tap_line(bool ok, const char *file, int line, const char *format, ...)
{
	va_list ap;

	printf("%sok %u - ", ok ? "" : "not ", ++tap_count);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
	if (!ok) {
		tap_failed++;
		printf("# failed at %s:%d\n", file, line);
	}
	fflush(stdout);
	return ok;
}

#define tap_ok(cond, ...) tap_line((cond), __FILE__, __LINE__, __VA_ARGS__)

/* Compare and show both values when they differ. */
#define tap_is_int(got, want, ...)                                                                 \
	({                                                                                         \
		long long _got = (long long)(got), _want = (long long)(want);                      \
		bool _ok = tap_line(_got == _want, __FILE__, __LINE__, __VA_ARGS__);               \
		if (!_ok)                                                                          \
			printf("#      got: %lld\n# expected: %lld\n", _got, _want);               \
		_ok;                                                                               \
	})

#define tap_is_str(got, want, ...)                                                                 \
	({                                                                                         \
		const char *_got = (got), *_want = (want);                                         \
		bool _ok = tap_line(                                                               \
			_got && _want && !strcmp(_got, _want), __FILE__, __LINE__, __VA_ARGS__);   \
		if (!_ok)                                                                          \
			printf("#      got: %s\n# expected: %s\n", _got ? _got : "(null)",         \
				_want ? _want : "(null)");                                         \
		_ok;                                                                               \
	})

/* A check that cannot be done here, with the reason; it is counted as skipped, not as passed. */
static inline void tap_skip(const char *what, const char *why)
{
	printf("ok %u - %s # SKIP %s\n", ++tap_count, what, why);
	fflush(stdout);
}

/* Give up: the rest cannot run. */
static inline void __attribute__((noreturn)) tap_bail(const char *why)
{
	printf("Bail out! %s\n", why);
	exit(1);
}

static inline int tap_done(void)
{
	printf("1..%u\n", tap_count);
	return tap_failed || !tap_count ? 1 : 0;
}
