/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of outputs: what passes, what is counted, what is complained about. */
#include <fcntl.h>
#include <unistd.h>

#include "sink-build.h"
#include "sink/rules.h"
#include "sink/spool.h"
#include "tap.h"

static struct record r;

static char *texts[2][4];
static struct config_output output = {.format = (char *)"text", .path = (char *)"/x\x1b"};

static void set(const char *include, const char *more, const char *exclude)
{
	texts[0][0] = (char *)include;
	texts[0][1] = (char *)more;
	texts[1][0] = (char *)exclude;
	output.include = (struct config_list){texts[0], include ? 1u + !!more : 0};
	output.exclude = (struct config_list){texts[1], !!exclude};
}

static bool passes(const char *include, const char *more, const char *exclude)
{
	struct rules rules;
	char why[400] = "";
	bool is;

	set(include, more, exclude);
	if (rules_init(&rules, &output, why, sizeof(why)) != 0)
		printf("# %s\n", why);
	is = rules_pass(&rules, &r);
	rules_deinit(&rules);
	return is;
}

static void test_pass(void)
{
	build_record(&r);
	tap_ok(passes(NULL, NULL, NULL), "without rules everything passes");
	tap_ok(passes("process:curl", NULL, NULL) && !passes("process:wget", NULL, NULL),
		"included is what matches");
	tap_ok(passes("process:wget", "port:80", NULL) && passes("port:80", "process:wget", NULL),
		"any of the expressions");
	tap_ok(!passes(NULL, NULL, "port:80") && passes(NULL, NULL, "port:81"),
		"excluded is what matches");
	tap_ok(!passes("process:curl", NULL, "port:80"), "exclude wins");
	r.direction = RECORD_LOCAL;
	r.resp.pid = 9;
	build_str(&r, &r.resp.name, "nginx", 5);
	tap_ok(passes("process:nginx", NULL, NULL) && !passes(NULL, NULL, "process:nginx"),
		"the responder's process counts as well");
	build_loss(&r);
	tap_ok(passes("process:curl", NULL, NULL) && passes(NULL, NULL, "not process:curl"),
		"a loss always passes");
}

static void test_complaints(void)
{
	struct rules rules;
	char why[400] = "";

	set("process:curl", "prot:tcp", NULL);
	tap_is_int(rules_init(&rules, &output, why, sizeof(why)), RULES_E_INVALID, "a wrong rule");
	tap_is_str(why,
		"output text:\"/x\\x1b\": include \"prot:tcp\": column 1: unknown key \"prot\" "
		"(did you mean \"proto\"?)",
		"names output, rule and column");
	rules_deinit(&rules);
	set(NULL, NULL, "port:1-2-3");
	tap_is_int(rules_init(&rules, &output, why, sizeof(why)), RULES_E_INVALID,
		"a wrong exclude rule");
	tap_ok(strstr(why, "exclude \"port:1-2-3\": column 6: ") != NULL, "names it");
	rules_deinit(&rules);
}

static const uint64_t *put_all(struct spool *s)
{
	static uint64_t counts[SPOOL_COUNTERS];
	uint64_t pos = 0;

	for (unsigned i = 0; i < 10; i++) {
		build_record(&r);
		r.seq = i + 1;
		r.resp_port = (uint16_t)(i < 3 ? 53 : i < 7 ? 80 : 443);
		if (!spool_has_room(s))
			tap_bail("no room");
		spool_put(s, &r, &KNOWN_NOBODY, pos += 8);
	}
	build_loss(&r);
	spool_has_room(s);
	spool_put(s, &r, &KNOWN_NOBODY, pos += 8);
	memset(counts, 0, sizeof(counts));
	spool_seal(s);
	while (spool_progress(s, 1, counts) == 0)
		;
	return counts;
}

static unsigned lines(const char *path)
{
	static char buf[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, buf, sizeof(buf));
	unsigned count = 0;

	for (ssize_t i = 0; i < n; i++)
		count += buf[i] == '\n';
	close(fd);
	unlink(path);
	return count;
}

/* Two outputs: one wants port 53, the other neither 53 nor 443. */
static void test_counts(void)
{
	static struct spool s;
	static struct format_context ctx;
	char folder[] = "/tmp/flowner-rules-XXXXXX", path[2][64];
	const uint64_t *counts;

	if (!mkdtemp(folder))
		tap_bail("no folder");
	build_context(&ctx);
	spool_init(&s);
	for (unsigned i = 0; i < 2; i++) {
		struct output_error err = {0};
		int why;

		snprintf(path[i], sizeof(path[i]), "%s/%u", folder, i);
		output.path = path[i];
		set(i ? NULL : "port:53", NULL, i ? "port:53,443" : NULL);
		tap_is_int(
			spool_add(&s, &output, &ctx, false, 65536, &why, &err), 0, "output %u", i);
	}
	counts = put_all(&s);
	tap_is_int(counts[SPOOL_RECORDS_READ], 10, "read, without a loss");
	tap_is_int(counts[SPOOL_RECORDS_WRITTEN], 7, "written: wanted by one output at least");
	tap_is_int(counts[SPOOL_RECORDS_EXCLUDED], 3, "left out by both");
	tap_is_int(counts[SPOOL_PACKETS_WRITTEN] + counts[SPOOL_PACKETS_EXCLUDED], 110,
		"packets balance");
	tap_is_int(counts[SPOOL_PACKETS_EXCLUDED], 33, "packets left out");
	spool_deinit(&s);
	tap_is_int(lines(path[0]), 4, "the first has port 53 and the loss");
	tap_is_int(lines(path[1]), 5, "the second port 80 and the loss");
	rmdir(folder);
}

int main(void)
{
	test_pass();
	test_complaints();
	test_counts();
	return tap_done();
}
