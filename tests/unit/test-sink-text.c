/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, times and addresses as text, against libc's own printing where it has one. */
#include "tap.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <time.h>

#include "sink/text.h"

static char buf[256];

#define END(call)                                                                                  \
	do {                                                                                       \
		*(call) = 0;                                                                       \
	} while (0)

static uint64_t random64(void)
{
	return (uint64_t)rand() << 42 ^ (uint64_t)rand() << 21 ^ (uint64_t)rand();
}

static void test_numbers(void)
{
	static const uint64_t edges[] = {0, 9, 10, 99, 100, 999999999, 4294967295u, UINT64_MAX};
	bool same = true;
	char want[64];

	for (unsigned i = 0; i < 10000; i++) {
		uint64_t v = i < 8 ? edges[i] : random64() >> (i % 64);

		END(text_u64(buf, v));
		snprintf(want, sizeof(want), "%" PRIu64, v);
		same &= !strcmp(buf, want);
		END(text_hex64(buf, v));
		snprintf(want, sizeof(want), "%016" PRIx64, v);
		same &= !strcmp(buf, want);
	}
	tap_ok(same, "10000 numbers as printf writes them");
	END(text_u64_padded(buf, 42, 4));
	tap_is_str(buf, "0042", "padded");
}

static void test_times(void)
{
	static const struct {
		uint64_t t;
		const char *want;
	} fixed[] = {
		{0, "1970-01-01T00:00:00.000000000Z"},
		{951782399999999999u, "2000-02-28T23:59:59.999999999Z"},
		{951868800000000001u, "2000-03-01T00:00:00.000000001Z"},
		{4107542400000000000u, "2100-03-01T00:00:00.000000000Z"},
		{UINT64_MAX, "2554-07-21T23:34:33.709551615Z"},
	};
	bool same = true;

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		END(text_time_utc(buf, fixed[i].t));
		tap_is_str(buf, fixed[i].want, "time %zu", i);
	}
	for (unsigned i = 0; i < 10000; i++) {
		uint64_t t = random64();
		time_t s = (time_t)(t / 1000000000);
		char want[96];
		struct tm tm;
		size_t n;

		gmtime_r(&s, &tm);
		n = strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S", &tm);
		snprintf(want + n, sizeof(want) - n, ".%09" PRIu64 "Z", t % 1000000000);
		END(text_time_utc(buf, t));
		same &= !strcmp(buf, want);
	}
	tap_ok(same, "10000 times as strftime writes them");
	END(text_time_of_day(buf, 3723456000000u, 0));
	tap_is_str(buf, "01:02:03.456", "time of day in UTC");
	END(text_time_of_day(buf, 3723456000000u, -7200));
	tap_is_str(buf, "23:02:03.456", "two hours west of it");
}

/* Seconds are kept: neither a later one in the same place nor the first of all may be mistaken. */
static void test_times_kept(void)
{
	static const uint64_t seconds[] = {
		0, 16, 0, 1767225600, 1767225616, 1767225600, 1767225632};
	char want[96];
	unsigned wrong = 0;

	for (unsigned i = 0; i < 2 * sizeof(seconds) / sizeof(seconds[0]); i++) {
		time_t s = (time_t)seconds[i / 2];
		struct tm tm;
		size_t n;

		gmtime_r(&s, &tm);
		n = strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S.", &tm);
		snprintf(want + n, sizeof(want) - n, "%09uZ", 7 + i);
		text_time_utc(buf, (uint64_t)s * 1000000000 + 7 + i);
		wrong += memcmp(buf, want, TEXT_TIME) != 0;
	}
	tap_is_int(wrong, 0, "times that share what is kept of a second");
}

static void test_addresses(void)
{
	static const char *const v6[] = {"::", "::1", "2001:db8::1", "2001:db8:0:1:1:1:1:1",
		"2001:0:0:1::1", "2001:db8::1:0:0:1", "fe80::1:2:3:4", "1:2:3:4:5:6:7:0",
		"0:1:2:3:4:5:6:7", "1::", "::ffff:1.2.3.4", "ff02::fb", "1:0:0:2::3"};
	uint8_t a[16];
	bool same = true;

	for (size_t i = 0; i < sizeof(v6) / sizeof(v6[0]); i++) {
		tap_ok(inet_pton(AF_INET6, v6[i], a) == 1, "%s is an address", v6[i]);
		END(text_address(buf, a, 6));
		tap_is_str(buf, v6[i], "and is written as it should be");
	}
	inet_pton(AF_INET6, "::ffff:255.20.3.0", a);
	END(text_address(buf, a, 4));
	tap_is_str(buf, "255.20.3.0", "family 4");
	for (unsigned i = 0; i < 20000; i++) {
		char want[INET6_ADDRSTRLEN];
		int zero = rand(); /* many zero groups, in all patterns */

		for (int g = 0; g < 8; g++) {
			uint16_t v = zero >> g & 1 ? 0 : (uint16_t)(rand() >> (rand() % 16));

			a[2 * g] = (uint8_t)(v >> 8);
			a[2 * g + 1] = (uint8_t)v;
		}
		if (!memcmp(a, (uint8_t[12]){0}, 12))
			continue; /* inet_ntop writes the obsolete ::1.2.3.4 */
		inet_ntop(AF_INET6, a, want, sizeof(want));
		END(text_address(buf, a, 6));
		same &= !strcmp(buf, want);
	}
	tap_ok(same, "20000 addresses as inet_ntop writes them");
}

static void test_short_forms(void)
{
	static const struct {
		uint64_t v;
		const char *want;
	} size[] = {{0, "0B"}, {1023, "1023B"}, {1024, "1.0K"}, {1536, "1.5K"}, {10240, "10K"},
		{1048575, "1023K"}, {1048576, "1.0M"}, {UINT64_MAX, "15E"}},
	  duration[] = {{0, "0us"}, {999999, "999us"}, {1000000, "1.0ms"}, {12345678, "12ms"},
		  {999999999, "999ms"}, {1000000000, "1.0s"}, {59900000000, "59s"},
		  {125000000000, "2m05s"}, {3720000000000, "1h02m"}, {273600000000000, "3d04h"}};

	for (size_t i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
		END(text_size(buf, size[i].v));
		tap_is_str(buf, size[i].want, "%" PRIu64 " bytes", size[i].v);
	}
	for (size_t i = 0; i < sizeof(duration) / sizeof(duration[0]); i++) {
		END(text_duration(buf, duration[i].v));
		tap_is_str(buf, duration[i].want, "%" PRIu64 " ns", duration[i].v);
	}
}

static void test_terminals(void)
{
	static const struct {
		uint32_t tty;
		const char *want;
	} ttys[] = {{0x8803, "pts/3"}, {0x108834, "pts/308"}, {0x401, "tty1"}, {0x440, "ttyS0"},
		{0x501, "console"}, {0x500, "5:0"}, {0xe500, "hvc0"}, {0xcc40, "ttyAMA0"},
		{0xcc3f, "204:63"}, {0xbc02, "ttyUSB2"}, {UINT32_MAX, "4095:1048575"}};
	size_t longest = 0;

	for (size_t i = 0; i < sizeof(ttys) / sizeof(ttys[0]); i++) {
		END(text_tty(buf, ttys[i].tty));
		tap_is_str(buf, ttys[i].want, "terminal %x", ttys[i].tty);
	}
	for (unsigned i = 0; i < 100000; i++) {
		size_t n = (size_t)(text_tty(buf, (uint32_t)random64()) - buf);

		longest = n > longest ? n : longest;
	}
	tap_ok(longest <= TEXT_TTY, "the longest has %zu bytes", longest);
}

int main(void)
{
	srand(1);
	test_numbers();
	test_times();
	test_times_kept();
	test_addresses();
	test_short_forms();
	test_terminals();
	return tap_done();
}
