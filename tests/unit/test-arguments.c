/* SPDX-License-Identifier: Apache-2.0 */
/* `flowner run`'s command line: what is accepted means what it should (what is refused:
 * cli_command_lines.py). */
#include "cli/arguments.h"

#include "tap.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static void test_duration(void)
{
	static const struct {
		const char *text;
		uint64_t ns; /* 0 = refused */
	} cases[] = {
		{"1", 1000000000},
		{"90", UINT64_C(90000000000)},
		{"1.5s", 1500000000},
		{"500ms", 500000000},
		{"2m", UINT64_C(120000000000)},
		{"1h", UINT64_C(3600000000000)},
		{"0.000000001", 1},
		{"0", 0},
		{"0.0s", 0},
		{"", 0},
		{"s", 0},
		{"-1", 0},
		{"+1", 0},
		{" 1", 0},
		{"1 ", 0},
		{"1d", 0},
		{"1e3", 0},
		{"0x10", 0},
		{"nan", 0},
		{"1.2.3", 0},
		{"1ss", 0},
		{"99999999999999999999h", 0},
	};

	for (size_t i = 0; i < N(cases); i++) {
		uint64_t ns = 7;
		bool ok = arguments_duration(cases[i].text, &ns);

		if (cases[i].ns)
			tap_ok(ok && ns == cases[i].ns, "\"%s\" is a duration", cases[i].text);
		else
			tap_ok(!ok && ns == 7, "\"%s\" is none", cases[i].text);
	}
}

static void test_all(void)
{
	char *argv[] = {"run", "-c", "f.yaml", "tcp", "-i", "lo", "port", "--interface=eth0", "80",
		"-o", "text:-", "-o", "ecs:a:b", "-d5", "--set", "limits.flows=64",
		"--set=a.b=", "--netns", "web", "--stats", "--", "curl", "-o", "--", "x", NULL};
	struct arguments a;
	char why[256];
	int r = arguments_parse(&a, N(argv) - 1, argv, why, sizeof(why));

	tap_is_int(r, 0, "every option at once");
	tap_is_str(a.config_file, "f.yaml", "-c");
	tap_is_str(a.filter, "tcp port 80", "the filter's words are joined, wherever they stand");
	tap_ok(a.interfaces.n == 2 && !strcmp(a.interfaces.item[0], "lo") &&
			!strcmp(a.interfaces.item[1], "eth0"),
		"-i twice, in order");
	tap_ok(a.outputs.n == 2 && !strcmp(a.outputs.item[1], "ecs:a:b"),
		"-o twice; a path may have colons");
	tap_ok(a.sets.n == 2 && !strcmp(a.sets.item[1], "a.b="),
		"--set twice; a value may be empty");
	tap_ok(a.netns.n == 1 && !strcmp(a.netns.item[0], "web"), "--netns");
	tap_ok(a.duration_ns == UINT64_C(5000000000), "-d");
	tap_ok(a.stats && !a.help && !a.file, "--stats");
	tap_ok(a.command == argv + 21 && !strcmp(a.command[1], "-o") && !a.command[4],
		"the command's options are its own, also a second --");
	arguments_deinit(&a);
}

static void test_few(void)
{
	char *none[] = {"run", NULL}, *help[] = {"run", "--help", "--bogus", NULL};
	struct arguments a;
	char why[256];

	tap_is_int(arguments_parse(&a, 1, none, why, sizeof(why)), 0, "no argument at all");
	tap_ok(!a.filter && !a.command && !a.duration_ns && !a.outputs.n, "means all defaults");
	arguments_deinit(&a);
	tap_is_int(arguments_parse(&a, 3, help, why, sizeof(why)), 0, "help comes first");
	tap_ok(a.help, "and is asked for");
	arguments_deinit(&a);
}

static void test_bounds(void)
{
	char *argv[2 + 2 * (ARGUMENTS_LIST_MAX + 1)] = {"run"}, why[32];
	struct arguments a;

	for (size_t i = 0; i < ARGUMENTS_LIST_MAX + 1; i++) {
		argv[1 + 2 * i] = "-i";
		argv[2 + 2 * i] = "lo";
	}
	tap_is_int(arguments_parse(&a, 1 + 2 * ARGUMENTS_LIST_MAX, argv, why, sizeof(why)), 0,
		"as many interfaces as a list takes");
	arguments_deinit(&a);
	tap_is_int(arguments_parse(&a, 1 + 2 * (ARGUMENTS_LIST_MAX + 1), argv, why, sizeof(why)),
		ARGUMENTS_E_USAGE, "one more is refused");
	tap_is_str(why, "-i is given too often", "and it says why");
	arguments_deinit(&a);
}

int main(void)
{
	test_duration();
	test_all();
	test_few();
	test_bounds();
	return tap_done();
}
