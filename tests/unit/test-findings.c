/* SPDX-License-Identifier: Apache-2.0 */
/* Findings survive the way through a line of text, whatever bytes they are made of. */
#include "config/findings.h"

#include <string.h>

#include "tap.h"

static bool round_trip(const struct finding *f, struct finding *ret)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	bool ok;

	if (!out)
		tap_bail("no memory");
	finding_print(f, out);
	fclose(out);
	ok = size > 0 && size <= FINDING_LINE_MAX && strchr(text, '\n') == text + size - 1;
	text[size - 1] = '\0';
	ok = ok && finding_parse(text, ret);
	free(text);
	return ok;
}

static void test_round_trip(void)
{
	char longest[3000];
	struct finding f, got;

	for (int v = 0; v < FINDING_VERDICTS; v++) {
		finding_make(&f, (enum finding_verdict)v, "part.thing", v ? "do this" : "",
			"%d processes", 12);
		tap_ok(round_trip(&f, &got) && !memcmp(&f.verdict, &got.verdict, sizeof(f.verdict)),
			"a line comes back");
		tap_is_str(got.what, "12 processes", "what was found");
		tap_is_str(got.remedy, v ? "do this" : "", "what to do");
		tap_is_str(got.id, "part.thing", "who says so");
	}
	finding_make(&f, FINDING_WARN, "a.b", "r\tr\n", "x\ty\n\033[31m\xff");
	tap_ok(round_trip(&f, &got), "foreign bytes do not break the line");
	tap_is_str(got.what, "x\\x09y\\x0a\\x1b[31m\\xff", "they are escaped");
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	finding_make(&f, FINDING_FAIL, longest, longest, "%s", longest);
	tap_ok(round_trip(&f, &got), "what is too long is cut");
}

static void test_wrong(void)
{
	static const char *const wrong[] = {"", "pass", "pass\ta\tb", "pass\ta\tb\tc\td",
		"good\ta\tb\tc", "\ta\tb\tc", "passpasspasspass\ta\tb\tc",
		"flowner-sink: out of memory",
		"pass\tan-id-that-is-longer-than-any-that-there-can-be\tb\tc"};
	struct finding f = {.verdict = FINDING_WARN};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		tap_ok(!finding_parse(wrong[i], &f) && f.verdict == FINDING_WARN, "refused: %s",
			wrong[i]);
	tap_is_str(finding_name(FINDING_VERDICTS), "", "no name beyond the last");
}

int main(void)
{
	test_round_trip();
	test_wrong();
	return tap_done();
}
