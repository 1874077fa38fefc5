/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of names joined by commas: a comma with a backslash in front belongs to its name. */
#include "tap.h"

#include "sink-build.h"
#include "sink/fields-internal.h"

static struct format_context ctx;
static struct record r;
static char buf[FORMAT_MAX + 1];

static const char *line(const struct format *f)
{
	buf[f->record(&r, &ctx, buf)] = 0;
	return buf;
}

static void test_item(void)
{
	static const char cut[] = "a\\,b";
	static const struct {
		const char *items;
		size_t len;
	} cases[] = {{"", 0}, {",", 0}, {"h2", 2}, {"h2,h3", 2}, {"a\\,b,c", 4}, {"a\\\\,b", 3},
		{"a\\\\\\,b", 6}, {"a\\", 2}, {"\\,", 2}, {"\\", 1}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *s = cases[i].items;

		tap_is_int(field_comma_item(s, s + strlen(s)), cases[i].len, "first of \"%s\"", s);
	}
	tap_is_int(field_comma_item(cut, cut + 2), 2, "no look beyond the end");
}

static void test_formats(void)
{
	static const char alpn[] = "h2,a\\,b,c\\\\,d", answers[] = "x\\,1.2.3.4,10.0.0.9,y\\.z";

	build_record(&r);
	r.service = RECORD_SERVICE_TLS;
	build_str(&r, &r.alpn, alpn, sizeof(alpn) - 1);
	build_str(&r, &r.dns_query, "q", 1);
	build_str(&r, &r.dns_answers, answers, sizeof(answers) - 1);
	line(&format_ecs);
	tap_ok(strstr(buf, "\"alpn\":[\"h2\",\"a\\\\,b\",\"c\\\\\\\\\",\"d\"]") != NULL,
		"ecs: protocols");
	tap_ok(strstr(buf, "\"answers\":[{\"data\":\"x\\\\,1.2.3.4\"},{\"data\":\"10.0.0.9\"},"
			   "{\"data\":\"y\\\\.z\"}]") != NULL,
		"ecs: answers");
	tap_ok(strstr(buf, "\"resolved_ip\":[\"10.0.0.9\"]") != NULL,
		"ecs: what looks like an address behind a comma of a name is none");
	tap_ok(strstr(line(&format_zeek), "\th2,a\\\\\\x2cb,c\\\\\\\\,d\t") != NULL,
		"zeek: protocols");
	build_record(&r);
	build_str(&r, &r.dns_answers, "x\\,1.2.3.4", 10);
	tap_ok(!strstr(line(&format_ecs), "resolved_ip"), "ecs: no address at all");
}

int main(void)
{
	build_context(&ctx);
	test_item();
	test_formats();
	return tap_done();
}
