/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wrong configurations and wrong command lines: the exact line a user gets, and the exit status,
 * through what every daemon does first.
 */
#include "config/daemon.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

static char folder[] = "/tmp/flowner-test-XXXXXX";
static char file[64];

static int own(void *arg, const char *name, const char *value)
{
	(void)arg;
	(void)name;
	(void)value;
	return 0;
}

/* Runs daemon_start(); everything it wrote to standard error is in @ret_text. */
static int start(int argc, char **argv, char *ret_text, size_t size)
{
	static const struct daemon_option options[] = {
		{"interface", 'i', "IFACE", "capture on this interface"}, {0}};
	struct daemon d = {.name = "test", .program = LEDGER_OF_CAPTURE};
	int saved = dup(STDERR_FILENO), fds[2], status;
	ssize_t n;

	if (saved < 0 || pipe(fds) < 0)
		tap_bail("no pipe");
	fflush(stdout);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	status = daemon_start(&d, argc, argv, options, own, NULL);
	daemon_deinit(&d);
	dup2(saved, STDERR_FILENO);
	close(saved);
	n = read(fds[0], ret_text, size - 1); /* one line, far less than a pipe holds */
	close(fds[0]);
	ret_text[n > 0 ? n : 0] = '\0';
	return status;
}

static void check(const char *name, int argc, char **argv, int want_status, const char *want)
{
	char got[4096], line[4096];
	int status = start(argc, argv, got, sizeof(got));

	snprintf(line, sizeof(line), "test: %s\n", want);
	tap_ok(status == want_status && strcmp(got, line) == 0, "%d %s", want_status, name);
	if (status != want_status || strcmp(got, line) != 0)
		printf("#      got: %d %s# expected: %d %s", status, got, want_status, line);
}

static void write_file(const char *text, size_t len)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len)
		tap_bail("no file");
	close(fd);
}

static void check_file(const char *text, size_t len, const char *want)
{
	char *argv[] = {"test", "-c", file, "--check-config", NULL};
	char expected[1024];

	write_file(text, len);
	snprintf(expected, sizeof(expected), "%s:%s", file, want);
	check(want, 4, argv, CONFIG_EXIT, expected);
}

/* Text of a file, and the complaint behind its name. */
static const struct {
	const char *text, *want;
} files[] = {
	/* names */
	{"captrue:\n  buffer: 1MiB\n", "1:1: captrue: unknown section (did you mean \"capture\"?)"},
	{"Capture:\n  buffer: 1MiB\n", "1:1: Capture: unknown section (did you mean \"capture\"?)"},
	{"network:\n  buffer: 1MiB\n", "1:1: network: unknown section"},
	{"interfaces: [eth0]\n",
		"1:1: interfaces: unknown section (did you mean \"capture.interfaces\"?)"},
	{"capture.buffer: 1MiB\n", "1:1: capture.buffer: unknown section; write \"buffer:\" on a "
				   "line below \"capture:\""},
	{"capture:\n  bufer: 1MiB\n",
		"2:3: capture.bufer: unknown key (did you mean \"capture.buffer\"?)"},
	{"capture:\n  batch-timeout: 10ms\n", "2:3: capture.batch-timeout: unknown key (did you "
					      "mean \"capture.batch_timeout\"?)"},
	{"capture:\n  flows: 1024\n",
		"2:3: capture.flows: unknown key (did you mean \"limits.flows\"?)"},
	{"capture:\n  frobnicate: 1\n", "2:3: capture.frobnicate: unknown key"},
	{"<<: {}\n", "1:1: <<: unknown section"},
	{"? [a]\n: b\n", "1:3: expects a section, not a list"},
	{"capture:\n  {a: b}: c\n", "2:3: capture: expects a key, not a mapping"},
	{"CAPTURE:\n  BUFFER: 1MiB\n", "1:1: CAPTURE: unknown section (did you mean \"capture\"?)"},
	/* twice */
	{"capture:\n  buffer: 1MiB\n  buffer: 2MiB\n",
		"3:3: capture.buffer: duplicate key, already on line 2"},
	{"capture:\n  buffer: 1MiB\nlimits:\ncapture:\n  ring: 1MiB\n",
		"4:1: capture: duplicate section, already on line 1"},
	{"capture:\n  interfaces: [eth0, eth1, eth0]\n",
		"2:28: capture.interfaces: has the entry \"eth0\" twice"},
	/* types */
	{"- capture\n", "1:1: expects sections such as \"capture:\", not a list"},
	{"just words\n", "1:1: expects sections such as \"capture:\", not a text"},
	{"capture: 5\n", "1:10: capture: expects keys below it, not a text"},
	{"capture: [buffer]\n", "1:10: capture: expects keys below it, not a list"},
	{"capture:\n  buffer: [1MiB]\n", "2:11: capture.buffer: expects a size with a unit (B, "
					 "KiB, MiB or GiB), not a list"},
	{"capture:\n  buffer: {size: 1MiB}\n", "2:11: capture.buffer: expects a size with a unit "
					       "(B, KiB, MiB or GiB), not a mapping"},
	{"capture:\n  buffer:\n", "2:10: capture.buffer: has no value; expects a size with a unit "
				  "(B, KiB, MiB or GiB)"},
	{"capture:\n  user: ~\n", "2:9: capture.user: has no value; expects a text"},
	{"capture:\n  interfaces: eth0\n",
		"2:15: capture.interfaces: expects a list, not \"eth0\""},
	{"capture:\n  interfaces: []\n", "2:15: capture.interfaces: must not be empty"},
	{"capture:\n  interfaces: [eth0, [eth1]]\n",
		"2:22: capture.interfaces: expects texts as entries, not a list"},
	{"capture:\n  interfaces:\n    - eth0\n    -\n",
		"4:6: capture.interfaces: entry 2 has no value"},
	{"capture:\n  interfaces: [any, eth0]\n",
		"2:15: capture.interfaces: \"any\" cannot stand beside other entries"},
	{"capture:\n  interfaces: [\"eth0\\e[2J\"]\n",
		"2:16: capture.interfaces: \"eth0\\x1b[2J\" contains a control character"},
	{"capture:\n  interfaces: [\"eth0\\0eth1\"]\n",
		"2:16: capture.interfaces: \"eth0\\x00eth1\" contains a control character"},
	{"capture:\n  interfaces: [/dev/eth0]\n",
		"2:16: capture.interfaces: \"/dev/eth0\" is not the name of a network interface"},
	{"capture:\n  netns: [self, a/b]\n",
		"2:17: capture.netns: \"a/b\" is neither the name of a network namespace nor an "
		"absolute path"},
	{"capture:\n  netns: [web, web]\n", "2:16: capture.netns: has the entry \"web\" twice"},
	{"capture:\n  netns: []\n", "2:10: capture.netns: must not be empty"},
	{"capture:\n  user: \"\"\n", "2:9: capture.user: must not be empty"},
	{"capture:\n  user: root\n",
		"2:9: capture.user: \"root\" is root: flowner's programs run without privileges"},
	{"capture:\n  user: 0\n",
		"2:9: capture.user: \"0\" is root: flowner's programs run without privileges"},
	{"capture:\n  user: a-name-much-longer-than-a-user-name\n",
		"2:9: capture.user: \"a-name-much-longer-than-a-user-name\" is longer than 32 "
		"bytes"},
	{"enrich:\n  sock_diag: maybe\n",
		"2:14: enrich.sock_diag: expects true or false, not \"maybe\""},
	{"enrich:\n  tap: ful\n", "2:8: enrich.tap: expects off, connect or full, not \"ful\" (did "
				  "you mean \"full\"?)"},
	{"enrich:\n  procfs: always\n",
		"2:11: enrich.procfs: expects off, seed or keep, not \"always\""},
	{"output:\n  files: [/var/log/flows]\n",
		"2:11: output.files: \"/var/log/flows\" is not of the form FORMAT:PATH, such as "
		"ecs:/var/log/flowner/flowner.ndjson"},
	{"output:\n  files: [\"ecs:\"]\n",
		"2:11: output.files: \"ecs:\" is not of the form FORMAT:PATH, such as "
		"ecs:/var/log/flowner/flowner.ndjson"},
	{"output:\n  files:\n  - format: ecs\n    path: /x\n    rotate_sise: 1MiB\n",
		"5:5: output.files.rotate_sise: unknown key (did you mean \"rotate_size\"?)"},
	{"output:\n  files:\n  - format: ecs\n    path: /x\n    zebra: 1MiB\n",
		"5:5: output.files.zebra: unknown key"},
	{"output:\n  files:\n  - format: ecs\n    path: /x\n    rotate_size: 64MB\n",
		"5:18: output.files.rotate_size: expects a size with a unit (B, KiB, MiB or GiB), "
		"not \"64MB\" (did you mean \"64MiB\"?)"},
	{"output:\n  files:\n  - format: ecs\n    path: /x\n    rotate_interval: daily\n",
		"5:22: output.files.rotate_interval: expects a duration with a unit (ns, us, ms, "
		"s, m, h or d), not \"daily\""},
	{"output:\n  files:\n  - format: ecs\n    path: /x\n    compress: gzip\n",
		"5:15: output.files.compress: expects none or zstd, not \"gzip\""},
	{"output:\n  files:\n  - format: ecs\n    path: /x\n    keep_files: -1\n",
		"5:17: output.files.keep_files: expects a whole number, not \"-1\""},
	{"output:\n  files:\n  - format: ecs\n    path: /x\n    path: /y\n",
		"5:5: output.files.path: duplicate key, already on line 4"},
	{"output:\n  files:\n  - format: ecs\n    path: /x\n    include: port:443\n",
		"5:14: output.files.include: expects a list, not \"port:443\""},
	{"output:\n  files:\n  - format: ecs\n    path: /x\n    include: [[a]]\n",
		"5:15: output.files.include: expects texts as entries, not a list"},
	{"output:\n  files:\n  - format: ecs\n    path: /x\n    exclude: [a, a]\n",
		"5:18: output.files.exclude: has the entry \"a\" twice"},
	{"output:\n  files:\n  - format: ecs\n    path: /x\n    exclude: [\"\"]\n",
		"5:15: output.files.exclude: must not be empty"},
	{"output:\n  files:\n  - format: ecs\n    path: /x\n    exclude:\n",
		"5:13: output.files.exclude: has no value; expects a list"},
	{"output:\n  files:\n  - format: ecs\n    path: /x\n    [a]: b\n",
		"5:5: output.files: expects a key, not a list"},
	{"output:\n  files:\n  - format: ecs\n    path: /x\n  - ecs:/x\n",
		"5:5: output.files: has the entry \"ecs:/x\" twice"},
	{"output:\n  files:\n  - format: ecs\n    path: /x\n  - path: /x\n",
		"5:5: output.files: entry 2 has no \"format\""},
	{"output:\n  files:\n  - format: ecs\n    path: /x\n  - {}\n",
		"5:5: output.files: entry 2 has no \"format\""},
	{"output:\n  files:\n  - format: ecs\n", "3:5: output.files: entry 1 has no \"path\""},
	{"output:\n  files:\n  - format: ECS\n    path: /x\n",
		"3:13: output.files.format: \"ECS\" is not the name of a format, such as ecs"},
	{"output:\n  files:\n  - format: {a: b}\n",
		"3:13: output.files.format: expects a text, not a mapping"},
	{"output:\n  files:\n  - {format: ecs, path: \"-\", rotate_size: 1MiB}\n",
		"3:5: output.files: entry 1: standard output cannot be rotated"},
	{"output:\n  files: {format: ecs, path: /x}\n",
		"2:10: output.files: expects a list, not a mapping"},
	{"output:\n  files: [[x]]\n",
		"2:11: output.files: expects texts or mappings as entries, not a list"},
	{"output:\n  io_uring: true\n", "2:13: output.io_uring: expects off or auto, not \"true\""},
	{"limits:\n  flows: many\n", "2:10: limits.flows: expects a whole number, not \"many\""},
	{"limits:\n  flows: 0x1000\n",
		"2:10: limits.flows: expects a whole number, not \"0x1000\""},
	{"limits:\n  flows: 010\n", "2:10: limits.flows: expects a whole number, not \"010\""},
	{"limits:\n  flows: -1\n", "2:10: limits.flows: expects a whole number, not \"-1\""},
	{"limits:\n  flows: 64Ki\n", "2:10: limits.flows: expects a whole number, not \"64Ki\""},
	/* units */
	{"capture:\n  buffer: 33554432\n",
		"2:11: capture.buffer: expects a size with a unit (B, KiB, MiB or GiB), not "
		"\"33554432\" (did you mean \"32MiB\"?)"},
	{"capture:\n  buffer: 32MB\n", "2:11: capture.buffer: expects a size with a unit (B, KiB, "
				       "MiB or GiB), not \"32MB\" (did you mean \"32MiB\"?)"},
	{"capture:\n  buffer: 32mib\n", "2:11: capture.buffer: expects a size with a unit (B, KiB, "
					"MiB or GiB), not \"32mib\" (did you mean \"32MiB\"?)"},
	{"capture:\n  buffer: 1.5MiB\n", "2:11: capture.buffer: expects a size with a unit (B, "
					 "KiB, MiB or GiB), not \"1.5MiB\""},
	{"capture:\n  buffer: big\n", "2:11: capture.buffer: expects a size with a unit (B, KiB, "
				      "MiB or GiB), not \"big\""},
	{"output:\n  flush: 200\n", "2:10: output.flush: expects a duration with a unit (ns, us, "
				    "ms, s, m, h or d), not \"200\""},
	{"output:\n  flush: 1 sec\n", "2:10: output.flush: expects a duration with a unit (ns, us, "
				      "ms, s, m, h or d), not \"1 sec\" (did you mean \"1s\"?)"},
	{"output:\n  flush: 1h30m\n", "2:10: output.flush: expects a duration with a unit (ns, us, "
				      "ms, s, m, h or d), not \"1h30m\""},
	/* ranges */
	{"capture:\n  buffer: 4KiB\n", "2:11: capture.buffer: 4KiB is below the minimum of 512KiB"},
	{"capture:\n  buffer: 2GiB\n", "2:11: capture.buffer: 2GiB is above the maximum of 1GiB"},
	{"capture:\n  buffer: 99999999999999999999999GiB\n",
		"2:11: capture.buffer: 99999999999999999999999GiB is above the maximum of 1GiB"},
	{"capture:\n  buffer: 18446744073709551615GiB\n",
		"2:11: capture.buffer: 18446744073709551615GiB is above the maximum of 1GiB"},
	{"capture:\n  buffer: 17179869185GiB\n", /* 1GiB once 64 bits have overflown */
		"2:11: capture.buffer: 17179869185GiB is above the maximum of 1GiB"},
	{"capture:\n  ring: 5MiB\n",
		"2:9: capture.ring: 5MiB is not a power of two (did you mean \"8MiB\"?)"},
	{"capture:\n  ring: 1000MiB\n",
		"2:9: capture.ring: 1000MiB is not a power of two (did you mean \"1GiB\"?)"},
	{"capture:\n  batch_timeout: 0\n",
		"2:18: capture.batch_timeout: 0 is below the minimum of 1ms"},
	{"limits:\n  flows: 63\n", "2:10: limits.flows: 63 is below the minimum of 64"},
	{"limits:\n  flows: 16777217\n",
		"2:10: limits.flows: 16777217 is above the maximum of 16777216"},
	{"limits:\n  args: 4097B\n", "2:9: limits.args: 4097B is above the maximum of 4KiB"},
	{"metrics:\n  listen: 0.0.0.0:9927\n",
		"2:11: metrics.listen: \"0.0.0.0:9927\" is no loopback address: others than this "
		"host could ask there"},
	{"metrics:\n  listen: '[::]:9927'\n",
		"2:11: metrics.listen: \"[::]:9927\" is no loopback address: others than this "
		"host could ask there"},
	{"metrics:\n  listen: localhost:9927\n",
		"2:11: metrics.listen: \"localhost:9927\" is not 127.0.0.1:PORT, [::1]:PORT or "
		"the absolute path of a unix socket"},
	{"metrics:\n  listen: 127.0.0.1:0\n",
		"2:11: metrics.listen: \"127.0.0.1:0\" is not 127.0.0.1:PORT, [::1]:PORT or the "
		"absolute path of a unix socket"},
	{"metrics:\n  listen: 127.0.0.1:65536\n",
		"2:11: metrics.listen: \"127.0.0.1:65536\" is not 127.0.0.1:PORT, [::1]:PORT or "
		"the absolute path of a unix socket"},
	{"metrics:\n  listen: 9927\n",
		"2:11: metrics.listen: \"9927\" is not 127.0.0.1:PORT, [::1]:PORT or the absolute "
		"path of a unix socket"},
	{"metrics:\n  textfile: flowner.prom\n",
		"2:13: metrics.textfile: \"flowner.prom\" is not the absolute path of a file"},
	{"metrics:\n  user: root\n",
		"2:9: metrics.user: \"root\" is root: flowner's programs run without privileges"},
	{"metrics:\n  losses: 1ms\n", "2:11: metrics.losses: 1ms is below the minimum of 100ms"},
	{"metrics:\n  interval: 1d\n", "2:13: metrics.interval: 1d is above the maximum of 1h"},
	/* YAML */
	{"capture:\n  buffer: &b 1MiB\n  ring: *b\n",
		"2:11: capture.buffer: anchors are not supported; write the value out where it is "
		"needed"},
	{"capture:\n  ring: *b\n",
		"2:9: capture.ring: aliases are not supported; write the value out"},
	{"capture: &c\n  ring: 1MiB\n",
		"1:10: capture: anchors are not supported; write the value out where it is needed"},
	{"capture:\n  buffer: !!str 1MiB\n", "2:11: capture.buffer: tags are not supported"},
	{"capture:\n  buffer: 1MiB\n---\ncapture:\n", "3:1: only one document is supported"},
	{"%YAML 1.1\n---\ncapture:\n",
		"1:1: a line that starts with % (a directive) is not supported"},
	{"capture:\n\tbuffer: 1MiB\n", "2:1: capture: is not valid YAML: a tab cannot indent or "
				       "start a value; use spaces"},
	{"capture:\n  buffer: 1MiB\n ring: 1MiB\n",
		"3:2: is not valid YAML: did not find expected key while parsing a block mapping"},
	{"capture:\n  buffer 1MiB\n", "2:3: capture: expects keys below it, not a text"},
	{"capture:\n  interfaces: [eth0\n",
		"3:1: capture.interfaces: is not valid YAML: did not find expected ',' or ']' "
		"while parsing a flow sequence"},
	{"capture:\n  filter: \"port 80\n",
		"3:1: capture.filter: is not valid YAML: found unexpected end of stream while "
		"scanning a quoted scalar"},
	{"capture:\n  filter: @home\n",
		"2:11: capture.filter: is not valid YAML: found character that cannot start any "
		"token while scanning for the next token"},
	{"capture:\n  buffer: 1MiB: 2\n",
		"2:15: capture: is not valid YAML: mapping values are not allowed in this context"},
	{"capture: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\n",
		"1:41: capture: is nested deeper than 32 levels"},
	{"capture:\n  filter: caf\xe9\n", "2:14: byte 0xe9 is not UTF-8"},
	{"capture:\n  filter: \"\033]0;owned\007\"\n", "2:12: control character 0x1b"},
	{"\xef\xbb\xbf\001", "1:1: control character 0x01"},
	{"\xef\xbb\xbf%YAML 1.1\n",
		"1:1: a line that starts with % (a directive) is not supported"},
	{"#\r\n#\r#\n#\n\r#\xc2\x85#\001", "7:2: control character 0x01"},
	{"capture:\n  filter: \xc1\x81\n", "2:11: byte 0xc1 is not UTF-8"},
	{"\xff\xfe"
	 "c\n",
		"1:1: is in UTF-16, not in UTF-8"},
};

static void check_files(void)
{
	static const char nul[] = "capture:\n  filter: a\0b\n";
	char *big = malloc(CONFIG_SIZE_MAX + 1);

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		check_file(files[i].text, strlen(files[i].text), files[i].want);
	check_file(nul, sizeof(nul) - 1, "2:12: control character 0x00");
	if (!big)
		tap_bail("no memory");
	memset(big, '#', CONFIG_SIZE_MAX + 1);
	check_file(big, CONFIG_SIZE_MAX + 1, "1:1: is larger than 1048576 bytes");
	free(big);
}

/* NAME=VALUE in the environment. */
static const struct {
	const char *name, *value, *want;
} variables[] = {
	{"FLOWNER_CAPTURE__BUFER", "1MiB",
		"environment: capture.bufer: unknown key (did you mean \"capture.buffer\"?)"},
	{"FLOWNER_CAPTUR__BUFFER", "1MiB",
		"environment: captur.buffer: unknown key (did you mean \"capture.buffer\"?)"},
	{"FLOWNER_NET__ZERO", "1", "environment: net.zero: unknown key"},
	{"FLOWNER_CAPTURE__BUFFER", "lots",
		"environment: capture.buffer: expects a size with a unit (B, KiB, MiB or GiB), not "
		"\"lots\""},
	{"FLOWNER_CAPTURE__BUFFER", "",
		"environment: capture.buffer: expects a size with a unit (B, KiB, MiB or GiB), not "
		"\"\""},
	{"FLOWNER_CAPTURE__INTERFACES", "eth0,,eth1",
		"environment: capture.interfaces: must not be empty"},
	{"FLOWNER_CAPTURE__INTERFACES", "", "environment: capture.interfaces: must not be empty"},
	{"FLOWNER_CAPTURE__INTERFACES", "[eth0, {a: b}]",
		"environment: capture.interfaces: expects texts as entries, not a mapping"},
	{"FLOWNER_CAPTURE__INTERFACES", "[eth0",
		"environment: capture.interfaces: is not valid YAML: did not find expected ',' or "
		"']' while parsing a flow sequence"},
	{"FLOWNER_OUTPUT__FILES", "ecs:/a,b",
		"environment: output.files: \"b\" is not of the form FORMAT:PATH, such as "
		"ecs:/var/log/flowner/flowner.ndjson"},
	{"FLOWNER_CAPTURE__FILTER", "\xff",
		"environment: capture.filter: \"\\xff\" is not valid UTF-8"},
};

static const struct {
	const char *set, *want;
} sets[] = {
	{"capture.bufer=1MiB",
		"--set: capture.bufer: unknown key (did you mean \"capture.buffer\"?)"},
	{"captur.buffer=1MiB",
		"--set: captur.buffer: unknown key (did you mean \"capture.buffer\"?)"},
	{"buffer", "--set: buffer: expects SECTION.KEY=VALUE"},
	{"capture.buffer", "--set: capture.buffer: expects SECTION.KEY=VALUE"},
	{"flows=64", "--set: flows: unknown key (did you mean \"limits.flows\"?)"},
	{"capture=1", "--set: capture: is a section; expects SECTION.KEY"},
	{"=", "--set: expects SECTION.KEY=VALUE"},
	{"capture.ring=3MiB",
		"--set: capture.ring: 3MiB is not a power of two (did you mean \"4MiB\"?)"},
	{"capture.interfaces=any,eth0",
		"--set: capture.interfaces: \"any\" cannot stand beside other entries"},
	{"capture.interfaces=[]", "--set: capture.interfaces: must not be empty"},
	{"capture.interfaces=[a] b", "--set: capture.interfaces: is not valid YAML: did not find "
				     "expected <document start>"},
	{"output.files=[{format: ecs}]", "--set: output.files: entry 1 has no \"path\""},
	{"output.files=[{format: ecs, pth: x}]",
		"--set: output.files.pth: unknown key (did you mean \"path\"?)"},
	{"output.files=ecs:/a,b", "--set: output.files: \"b\" is not of the form FORMAT:PATH, such "
				  "as ecs:/var/log/flowner/flowner.ndjson"},
	{"enrich.sock_diag=2", "--set: enrich.sock_diag: expects true or false, not \"2\""},
};

static void check_other_sources(void)
{
	write_file("", 0); /* instead of the host's own */
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
		char *argv[] = {"test", "-t", "-c", file, NULL};

		setenv(variables[i].name, variables[i].value, 1);
		check(variables[i].want, 4, argv, CONFIG_EXIT, variables[i].want);
		unsetenv(variables[i].name);
	}
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		char *argv[] = {"test", "--set", (char *)sets[i].set, "-t", "-c", file, NULL};

		check(sets[i].want, 6, argv, CONFIG_EXIT, sets[i].want);
	}
}

static const struct {
	const char *argv[4];
	const char *want;
} commands[] = {
	{{"test", "--frobnicate"}, "unknown option '--frobnicate'; see --help"},
	{{"test", "--confg", "x"},
		"unknown option '--confg' (did you mean '--config'?); see --help"},
	{{"test", "--print-confg=1"},
		"unknown option '--print-confg' (did you mean '--print-config'?); see --help"},
	{{"test", "--print-config=1"}, "option '--print-config' takes no value; see --help"},
	{{"test", "-q"}, "unknown option '-q'; see --help"},
	{{"test", "-c"}, "option '-c' needs a value; see --help"},
	{{"test", "--set"}, "option '--set' needs a value; see --help"},
	{{"test", "-i"}, "option '-i' needs a value; see --help"},
	{{"test", "eth0"}, "unexpected argument 'eth0'; see --help"},
	{{"test", "-i", "eth0", "tcp"}, "unexpected argument 'tcp'; see --help"},
	{{"test", "--", "x"}, "unexpected argument 'x'; see --help"},
	{{"test", "--c"}, "option '--c' is ambiguous; see --help"},
	{{"test", "\033[2J"}, "unexpected argument '\\x1b[2J'; see --help"},
	{{"test", "--\033[2J"}, "unknown option '--\\x1b[2J'; see --help"},
	{{"test", ""}, "unexpected argument ''; see --help"},
};

static void check_commands(void)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		char *argv[5] = {0};
		int n = 0;

		for (; n < 4 && commands[i].argv[n]; n++)
			argv[n] = (char *)commands[i].argv[n];
		check(commands[i].want, n, argv, 64, commands[i].want);
	}
}

/* Complaints about files and folders as a whole. */
static void check_places(void)
{
	char missing[128], fragments[96], want[256];
	char *argv[] = {"test", "-t", "-c", missing, NULL};

	snprintf(missing, sizeof(missing), "%s/missing.yaml", folder);
	snprintf(want, sizeof(want), "%s: cannot be opened: No such file or directory", missing);
	check("missing file", 4, argv, CONFIG_EXIT, want);
	argv[3] = folder;
	snprintf(want, sizeof(want), "%s: cannot be read: Is a directory", folder);
	check("a folder as the file", 4, argv, CONFIG_EXIT, want);

	write_file("", 0);
	snprintf(fragments, sizeof(fragments), "%s/conf.d", folder);
	argv[3] = file;
	mkdir(fragments, 0700);
	chmod(fragments, 0777);
	snprintf(want, sizeof(want), "%s: can be written by everyone", fragments);
	check("conf.d open to everyone", 4, argv, CONFIG_EXIT, want);
	chmod(fragments, 0700);
	snprintf(missing, sizeof(missing), "%s/a.yaml", fragments);
	mkfifo(missing, 0600);
	snprintf(want, sizeof(want), "%s: is not a regular file", missing);
	check("a pipe in conf.d, which nobody writes to", 4, argv, CONFIG_EXIT, want);
	unlink(missing);
	if (geteuid() == 0 && chown(fragments, 65534, 65534) == 0) {
		snprintf(want, sizeof(want), "%s: belongs to user 65534, expects root or user 0",
			fragments);
		check("conf.d of another user", 4, argv, CONFIG_EXIT, want);
	} else {
		tap_skip("conf.d of another user", "needs root");
	}
	rmdir(fragments);
}

int main(void)
{
	if (!mkdtemp(folder))
		tap_bail("no folder");
	snprintf(file, sizeof(file), "%s/f.yaml", folder);
	check_files();
	check_other_sources();
	check_commands();
	check_places();
	unlink(file);
	rmdir(folder);
	return tap_done();
}
