/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration is put together from its sources in their order; values mean what they say. */
#include "config/config.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

static char folder[] = "/tmp/flowner-test-XXXXXX";
static char file[64], fragments[64];

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	if (!f || fputs(text, f) < 0 || fclose(f))
		tap_bail("no file");
}

static void write_fragment(const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", fragments, name);
	write_file(path, text);
}

static int load(struct config *c, const struct config_sources *s)
{
	struct config_error err = {0};
	int r = config_init(c);

	if (r == 0)
		r = config_load(c, s, &err);
	if (r)
		printf("# %d %s\n", r, err.text);
	return r;
}

static void test_defaults(void)
{
	const struct config_sources none = {.no_file = true};
	struct config c;

	tap_is_int(load(&c, &none), 0, "no source at all loads");
	tap_ok(c.capture.interfaces.n == 1 && !strcmp(c.capture.interfaces.item[0], "any"),
		"default interfaces");
	tap_is_str(c.capture.filter, "", "default filter");
	tap_is_int(c.capture.buffer, 32 << 20, "default capture buffer");
	tap_is_int(c.capture.batch_timeout_ns, 100000000, "default batch timeout");
	tap_is_int(c.capture.ring, 4 << 20, "default ring");
	tap_is_str(c.capture.user, "flowner-capture", "default user");
	tap_is_int(c.enrich.tap, CONFIG_TAP_FULL, "default tap");
	tap_is_int(c.enrich.procfs, CONFIG_PROCFS_SEED, "default procfs");
	tap_is_int(c.enrich.sock_diag, true, "default sock_diag");
	tap_is_int(c.enrich.first_info_ns, 0, "default first_info");
	tap_is_int(c.enrich.active_timeout_ns, 300000000000, "default active timeout");
	tap_ok(c.output.files.n == 1 && !strcmp(c.output.files.item[0].format, "ecs") &&
			!strcmp(c.output.files.item[0].path, "/var/log/flowner/flowner.ndjson"),
		"default files");
	tap_is_int(c.output.flush_ns, 200000000, "default flush");
	tap_is_int(c.output.sync_ns, 0, "default sync");
	tap_is_int(c.output.buffer, 256 << 10, "default output buffer");
	tap_is_int(c.output.io_uring, CONFIG_IO_URING_AUTO, "default io_uring");
	tap_is_int(c.limits.flows, 65536, "default flows");
	tap_is_int(c.limits.processes, 32768, "default processes");
	tap_is_int(c.limits.tcp_timeout_ns, 3600000000000, "default TCP timeout");
	tap_is_int(c.limits.tcp_attempt_timeout_ns, 10000000000, "default TCP attempt timeout");
	tap_is_int(c.limits.udp_timeout_ns, 30000000000, "default UDP timeout");
	tap_is_int(c.limits.args, 1024, "default args");
	tap_is_int(c.sandbox.seccomp, CONFIG_SECCOMP_KILL, "default seccomp");
	tap_is_int(c.sandbox.landlock, CONFIG_LANDLOCK_AUTO, "default Landlock");
	tap_is_int(c.metrics.interval_ns, 15000000000, "default interval");
	config_deinit(&c);
}

static void test_values(void)
{
	static const char *const set[] = {
		"capture.buffer=524288B",
		"capture.ring=1 GiB",
		"capture.batch_timeout=2500us",
		"capture.filter=tcp port 80 or (udp and not port 53)",
		"capture.interfaces=[ \"eth0\", 'wlan 1', br-1 ]",
		"enrich.tap=off",
		"enrich.procfs=keep",
		"enrich.sock_diag=No",
		"enrich.first_info=1500ms",
		"enrich.active_timeout=1d",
		"output.files=ecs:/a,text:-",
		"output.sync=1m",
		"output.io_uring=off",
		"limits.tcp_attempt_timeout=100000000ns",
		"limits.args=0",
		"capture.user=4711",
	};
	const struct config_sources s = {
		.no_file = true, .set = set, .n_set = sizeof(set) / sizeof(set[0])};
	struct config_sources good = s;
	struct config c;

	/* A space in an interface's name is refused; the rest is fine. */
	tap_is_int(load(&c, &s), CONFIG_E_INVALID, "one wrong entry of a list fails all");
	config_deinit(&c);
	static const char *fixed[sizeof(set) / sizeof(set[0])];
	memcpy(fixed, set, sizeof(set));
	fixed[4] = "capture.interfaces=[ \"eth0\", 'wlan1', br-1 ]";
	good.set = fixed;
	tap_is_int(load(&c, &good), 0, "every kind of value loads");
	tap_is_int(c.capture.buffer, 524288, "bytes");
	tap_is_int(c.capture.ring, 1 << 30, "a space before the unit");
	tap_is_int(c.capture.batch_timeout_ns, 2500000, "microseconds");
	tap_is_str(c.capture.filter, "tcp port 80 or (udp and not port 53)", "a text as it stands");
	tap_ok(c.capture.interfaces.n == 3 && !strcmp(c.capture.interfaces.item[1], "wlan1") &&
			!strcmp(c.capture.interfaces.item[2], "br-1"),
		"a flow sequence");
	tap_is_int(c.enrich.tap, CONFIG_TAP_OFF, "a name");
	tap_is_int(c.enrich.procfs, CONFIG_PROCFS_KEEP, "another name");
	tap_is_int(c.enrich.sock_diag, false, "a word for false");
	tap_is_int(c.enrich.first_info_ns, 1500000000, "milliseconds");
	tap_is_int(c.enrich.active_timeout_ns, 86400000000000, "days");
	tap_ok(c.output.files.n == 2 && !strcmp(c.output.files.item[0].path, "/a") &&
			!strcmp(c.output.files.item[1].format, "text"),
		"a list with commas");
	tap_is_int(c.output.sync_ns, 60000000000, "minutes");
	tap_is_int(c.output.io_uring, CONFIG_IO_URING_OFF, "off is a name, not a boolean");
	tap_is_int(c.limits.tcp_attempt_timeout_ns, 100000000, "nanoseconds");
	tap_is_int(c.limits.args, 0, "zero needs no unit");
	tap_is_str(c.capture.user, "4711", "a user by number");
	config_deinit(&c);
}

static void test_outputs(void)
{
	static const char *const set[] = {"output.files=[{format: ecs, path: /b}, text:-]"};
	struct config_sources s = {.file = file};
	const struct config_output *o;
	struct config c;

	write_file(file, "output:\n"
			 "  files:\n"
			 "  - text:/a:b\n"
			 "  - format: zeek\n"
			 "    path: /var/log/flowner/conn.log\n"
			 "    include: [\"process:curl port:443\", a]\n"
			 "    exclude: [loopback]\n"
			 "    rotate_size: 64MiB\n"
			 "    rotate_interval: 1d\n"
			 "    compress: zstd\n"
			 "    keep_files: 14\n"
			 "    keep_time: 30d\n"
			 "    keep_bytes: 1GiB\n"
			 "  - {path: '/x, y', format: ecs, include: []}\n");
	tap_is_int(load(&c, &s), 0, "outputs as texts and as mappings");
	tap_is_int(c.output.files.n, 3, "all of them");
	o = c.output.files.item;
	tap_is_str(o[0].format, "text", "a text's format");
	tap_is_str(o[0].path, "/a:b", "a text's path");
	tap_ok(o[0].include.n == 0 && o[0].exclude.n == 0 && o[0].rotate_size == 0 &&
			o[0].rotate_interval_ns == 0 && o[0].compress == CONFIG_COMPRESS_NONE &&
			o[0].keep_files == 0 && o[0].keep_time_ns == 0 && o[0].keep_bytes == 0,
		"and the defaults");
	tap_is_str(o[1].format, "zeek", "a mapping's format");
	tap_is_str(o[1].path, "/var/log/flowner/conn.log", "a mapping's path");
	tap_ok(o[1].include.n == 2 && !strcmp(o[1].include.item[0], "process:curl port:443"),
		"include");
	tap_ok(o[1].exclude.n == 1 && !strcmp(o[1].exclude.item[0], "loopback"), "exclude");
	tap_is_int(o[1].rotate_size, 64 << 20, "rotate_size");
	tap_is_int(o[1].rotate_interval_ns, 86400000000000, "rotate_interval");
	tap_is_int(o[1].compress, CONFIG_COMPRESS_ZSTD, "compress");
	tap_is_int(o[1].keep_files, 14, "keep_files");
	tap_is_int(o[1].keep_time_ns, 30 * 86400000000000, "keep_time");
	tap_is_int(o[1].keep_bytes, 1 << 30, "keep_bytes");
	tap_is_str(o[2].path, "/x, y", "a flow mapping");
	config_deinit(&c);
	s.set = set;
	s.n_set = 1;
	tap_is_int(load(&c, &s), 0, "--set takes mappings, too");
	tap_ok(c.output.files.n == 2 && !strcmp(c.output.files.item[0].path, "/b"),
		"and replaces the list");
	config_deinit(&c);
}

static void test_yaml_forms(void)
{
	const struct config_sources s = {.file = file};
	struct config c;

	write_file(file, "\xef\xbb\xbf# a comment\n---\n"
			 "capture: {interfaces: [eth0, \"eth1\"], buffer: '1MiB'}\n"
			 "enrich:\n"
			 "output:\n"
			 "    files:\n    - ecs:/x # one\n    - \"text:-\"\n"
			 "limits: ~\n"
			 "? metrics\n: interval: 5s\n"
			 "...\n# behind it\n");
	tap_is_int(load(&c, &s), 0, "flow, block, quoted, empty, explicit keys");
	tap_ok(c.capture.interfaces.n == 2 && !strcmp(c.capture.interfaces.item[1], "eth1"),
		"flow list");
	tap_is_int(c.capture.buffer, 1 << 20, "single quotes");
	tap_ok(c.output.files.n == 2 && !strcmp(c.output.files.item[0].path, "/x"), "block list");
	tap_is_int(c.metrics.interval_ns, 5000000000, "explicit key");
	tap_is_int(c.limits.flows, 65536, "an empty section keeps the defaults");
	config_deinit(&c);

	write_file(file, "capture:\n  filter: |\n    tcp port 80\n    or udp\r\n");
	tap_is_int(load(&c, &s), 0, "a block text");
	tap_is_str(c.capture.filter, "tcp port 80\nor udp\n", "keeps its lines");
	config_deinit(&c);

	write_file(file, "");
	tap_is_int(load(&c, &s), 0, "an empty file");
	config_deinit(&c);
	write_file(file, "---\n...\n");
	tap_is_int(load(&c, &s), 0, "an empty document");
	config_deinit(&c);
	write_file(file, "{}");
	tap_is_int(load(&c, &s), 0, "an empty mapping");
	config_deinit(&c);
}

static void test_order(void)
{
	char *environment[] = {"HOME=/", "FLOWNER_OUTPUT__FLUSH=4s", "FLOWNER_LOG_PREFIX=1",
		"FLOWNER_OUTPUT__SYNC=4s", "FLOWNER_=1", "FLOWNER", "FLOWNER_OUTPUT__USER=d",
		"XFLOWNER_OUTPUT__FLUSH=9s", NULL};
	const char *set[] = {"output.sync=5s", "output.sync=6s"};
	struct config_sources s = {.file = file};
	struct config c;

	mkdir(fragments, 0755);
	write_file(file,
		"output: {flush: 1s, sync: 1s, user: a, files: [ecs:/1, ecs:/2], buffer: 1MiB}\n"
		"limits: {flows: 1000}\n");
	write_fragment("b.yaml", "output: {flush: 3s, user: b, files: [ecs:/3]}\n");
	write_fragment("10-a.yaml", "output: {flush: 2s, user: c, io_uring: off}\n");
	write_fragment("README", "not: read\n");
	write_fragment("old.yaml.bak", "not: read\n");
	write_fragment(".hidden.yaml", "not: read\n");
	tap_is_int(load(&c, &s), 0, "a file with fragments");
	tap_is_int(c.output.flush_ns, 3000000000,
		"a fragment wins over the file, the last one over others");
	tap_is_str(c.output.user, "b", "in the order of names");
	tap_is_int(c.output.sync_ns, 1000000000, "what no fragment says stays");
	tap_is_int(c.output.io_uring, CONFIG_IO_URING_OFF, "an earlier fragment counts too");
	tap_ok(c.output.files.n == 1 && !strcmp(c.output.files.item[0].path, "/3"),
		"a list replaces the whole list");
	tap_is_int(c.limits.flows, 1000, "another section stays");
	config_deinit(&c);

	s.environ = environment;
	tap_is_int(load(&c, &s), 0, "with the environment");
	tap_is_int(c.output.flush_ns, 4000000000, "the environment wins over files");
	tap_is_str(c.output.user, "d", "for texts as well");
	config_deinit(&c);

	s.set = set;
	s.n_set = 2;
	tap_is_int(load(&c, &s), 0, "with --set");
	tap_is_int(c.output.sync_ns, 6000000000,
		"--set wins over the environment, the last over the first");
	config_deinit(&c);

	s.no_file = true;
	tap_is_int(load(&c, &s), 0, "without files");
	tap_is_int(c.limits.flows, 65536, "no file is read");
	tap_is_int(c.output.buffer, 256 << 10, "nor a fragment");
	config_deinit(&c);

	s = (struct config_sources){.file = file};
	write_fragment("z.yaml", "output: {flsh: 1s}\n");
	struct config_error err;
	tap_is_int(config_init(&c) || config_load(&c, &s, &err), 1, "a wrong fragment fails");
	char want[256];
	snprintf(want, sizeof(want),
		"%s/z.yaml:1:10: output.flsh: unknown key (did you mean \"output.flush\"?)",
		fragments);
	tap_is_str(err.text, want, "and the complaint names it");
	config_deinit(&c);
}

static void test_many_fragments(void)
{
	struct config_sources s = {.file = file};
	struct config_error err = {0};
	struct config c;
	char name[32];

	for (int i = 0; i < 257; i++) {
		snprintf(name, sizeof(name), "n%03d.yaml", i);
		write_fragment(name, "");
	}
	tap_is_int(config_init(&c) || config_load(&c, &s, &err), 1, "257 fragments are too many");
	tap_ok(strstr(err.text, "more than 256 files") != NULL, "and it says so: %s", err.text);
	config_deinit(&c);
}

/* The last length that is allowed, and the first that is not. */
static void test_lengths(void)
{
	char user[64] = "capture.user=", list[1024] = "capture.interfaces=e0";
	const char *set[] = {user, list};
	const struct config_sources s = {.no_file = true, .set = set, .n_set = 2};
	struct config c;

	memset(user + strlen(user), 'u', 32);
	for (int i = 1; i < 64; i++)
		sprintf(list + strlen(list), ",e%d", i);
	tap_is_int(load(&c, &s), 0, "the longest text and the longest list");
	tap_ok(strlen(c.capture.user) == 32 && c.capture.interfaces.n == 64, "are taken whole");
	config_deinit(&c);
	strcat(user, "u");
	tap_is_int(load(&c, &s), CONFIG_E_INVALID, "one byte more is refused");
	config_deinit(&c);
	user[strlen(user) - 1] = '\0';
	strcat(list, ",e64");
	tap_is_int(load(&c, &s), CONFIG_E_INVALID, "one entry more is refused");
	config_deinit(&c);
}

/* No byte of the file reaches the terminal raw. */
static void test_escapes(void)
{
	static const char *const hostile[] = {
		"capture:\n  \"bu\\e[31mffer\": 1MiB\n",
		"\"\\x9b31m\\u202e\": 1\n",
		"capture:\n  filter: \"\\a\\u2028\"\n",
		"capture:\n  user: \"\\u202eroot\\nx\"\n",
		"capture: \"\\e]0;x\\a\"\n",
		"enrich:\n  tap: \"\\e[2J\"\n",
		"limits:\n  flows: \"1\\e[2J\"\n",
		"limits:\n  flows: \"\\r\\n\\t\"\n",
	};
	const struct config_sources s = {.file = file};

	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		struct config_error err = {0};
		struct config c;
		bool clean = true;

		write_file(file, hostile[i]);
		tap_is_int(config_init(&c) || config_load(&c, &s, &err), 1,
			"hostile text %zu fails", i);
		for (const char *p = err.text; *p; p++)
			clean = clean && *p >= 0x20 && *p < 0x7f;
		tap_ok(clean, "without a control character: %s", err.text);
		config_deinit(&c);
	}
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *place)
{
	(void)st;
	(void)type;
	(void)place;
	return remove(path);
}

int main(void)
{
	if (!mkdtemp(folder))
		tap_bail("no folder");
	snprintf(file, sizeof(file), "%s/f.yaml", folder);
	snprintf(fragments, sizeof(fragments), "%s/conf.d", folder);
	test_defaults();
	test_values();
	test_outputs();
	test_yaml_forms();
	test_lengths();
	test_escapes();
	test_order();
	test_many_fragments();
	nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return tap_done();
}
