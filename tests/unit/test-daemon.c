/* SPDX-License-Identifier: Apache-2.0 */
/* What a daemon does before its loop: options, ledger, readiness, signals. */
#include "config/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "flowner-version.h"
#include "tap.h"

static char folder[] = "/tmp/flowner-test-XXXXXX";
static char runtime[64], file[64];
static char seen[256];

static const struct daemon_option options[] = {
	{"interface", 'i', "IFACE", "capture on this interface"},
	{"read", 'r', "FILE", "read this file instead"},
	{"offline", 0, NULL, "no network"},
	{0},
};

static int own(void *arg, const char *name, const char *value)
{
	size_t n = strlen(seen);

	if (value && strcmp(value, "refused") == 0)
		return -EINVAL;
	snprintf(seen + n, sizeof(seen) - n, "%s=%s;", name, value ? value : *(const char **)arg);
	return 0;
}

/* Runs daemon_start() on a command line with spaces; its standard output is in @ret_text. */
static int start(struct daemon *d, const char *line, char *ret_text, size_t size)
{
	const char *none = "(none)";
	static char copy[512]; /* the daemon keeps pointers into its command line */
	char *argv[32];
	int saved = dup(STDOUT_FILENO), fds[2], argc = 0, status;
	ssize_t n;

	snprintf(copy, sizeof(copy), "flowner-test %s", line);
	for (char *p = strtok(copy, " "); p; p = strtok(NULL, " "))
		argv[argc++] = p;
	argv[argc] = NULL;
	seen[0] = '\0';
	*d = (struct daemon){.name = "flowner-test", .program = LEDGER_OF_SINK};
	if (saved < 0 || pipe(fds) < 0)
		tap_bail("no pipe");
	fflush(stdout);
	dup2(fds[1], STDOUT_FILENO);
	close(fds[1]);
	status = daemon_start(d, argc, argv, options, own, &none);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	n = read(fds[0], ret_text, size - 1);
	close(fds[0]);
	ret_text[n > 0 ? n : 0] = '\0';
	return status;
}

static void test_texts(void)
{
	struct daemon d;
	char got[8192], line[256], *at;
	unsigned lines = 0;
	size_t longest = 0;

	tap_is_int(start(&d, "--help", got, sizeof(got)), 0, "--help");
	at = got;
	while (*at) {
		size_t n = strcspn(at, "\n");

		longest = n > longest ? n : longest;
		lines++;
		at += n + 1;
	}
	tap_ok(lines <= 24 && longest <= 80, "fits a screen: %u lines, %zu columns", lines,
		longest);
	tap_ok(strstr(got, "-i, --interface IFACE") && strstr(got, "    --offline ") &&
			strstr(got, "-c, --config FILE"),
		"names common and own options");
	tap_is_int(start(&d, "-h", got, sizeof(got)), 0, "-h");
	tap_is_int(start(&d, "-V", got, sizeof(got)), 0, "-V");
	tap_is_str(got, "flowner-test " FLOWNER_VERSION "\n", "is the version");
	daemon_deinit(&d);

	snprintf(line, sizeof(line), "--check-config -c %s", file);
	tap_is_int(start(&d, line, got, sizeof(got)), 0, "--check-config");
	tap_is_str(got, "", "says nothing about a good one");
	daemon_deinit(&d);
	snprintf(line, sizeof(line), "--print-config -c %s --set output.flush=2s", file);
	tap_is_int(start(&d, line, got, sizeof(got)), 0, "--print-config");
	tap_ok(strstr(got, "  flush: 2s\n") && strstr(got, "  flows: 777\n"),
		"prints the merged configuration");
	daemon_deinit(&d);
	tap_ok(access(runtime, F_OK) < 0, "none of these touches the runtime directory");
}

static void test_start(void)
{
	struct ledger_file ledger;
	struct daemon d;
	char got[4096], line[480], path[128];

	snprintf(line, sizeof(line),
		"-c %s --runtime-dir %s -i eth0 --interface=eth1 --offline -rx.pcap", file,
		runtime);
	tap_is_int(start(&d, line, got, sizeof(got)), -1, "a good command line goes on");
	tap_is_str(
		seen, "interface=eth0;interface=eth1;offline=(none);read=x.pcap;", "own options");
	tap_is_int(d.config.limits.flows, 777, "the configuration is loaded");
	tap_is_int(daemon_path(&d, "capture", "socket", path, sizeof(path)), 0, "a path");
	tap_ok(strncmp(path, runtime, strlen(runtime)) == 0 &&
			strcmp(path + strlen(runtime), "/capture/socket") == 0,
		"below the runtime directory");
	tap_is_int(
		daemon_path(&d, "capture", "socket", path, 10), -ENAMETOOLONG, "a path too long");
	tap_ok(d.ledger_open, "the ledger is open");
	ledger_add(&d.ledger, LEDGER_sink_writes, 5);
	daemon_deinit(&d);
	tap_is_int(start(&d, line, got, sizeof(got)), -1, "a second run");
	snprintf(path, sizeof(path), "%s/sink/ledger", runtime);
	tap_is_int(ledger_read(path, LEDGER_OF_SINK, &ledger), 0, "finds the ledger");
	tap_ok(ledger.value[LEDGER_sink_epoch] == 2 && ledger.value[LEDGER_sink_writes] == 5,
		"and counts on");
	daemon_deinit(&d);
	daemon_deinit(&d);

	snprintf(line, sizeof(line), "-c %s -i refused", file);
	tap_is_int(start(&d, line, got, sizeof(got)), 64, "an own option's complaint");
	daemon_deinit(&d);
	snprintf(line, sizeof(line), "-c %s --runtime-dir /proc/nowhere", file);
	tap_is_int(start(&d, line, got, sizeof(got)), 1, "no runtime directory");
	daemon_deinit(&d);
	snprintf(line, sizeof(line), "-c %s --runtime-dir /%0300d", file, 0);
	tap_is_int(start(&d, line, got, sizeof(got)), 1, "a runtime directory that cannot be");
	daemon_deinit(&d);
	unlink(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
	rmdir(runtime);
}

static void test_signals(void)
{
	uint64_t a = daemon_monotonic_ns();
	int fd = -1;

	tap_is_int(daemon_signals(&fd), 0, "signals come through a descriptor");
	tap_is_int(daemon_read_signal(fd), 0, "none yet, no blocking");
	raise(SIGTERM);
	raise(SIGHUP);
	tap_is_int(daemon_read_signal(fd), SIGHUP, "a signal");
	tap_is_int(daemon_read_signal(fd), SIGTERM, "another");
	tap_is_int(daemon_read_signal(fd), 0, "no more");
	raise(SIGPIPE);
	tap_ok(true, "SIGPIPE is ignored");
	tap_ok(fcntl(fd, F_GETFD) & FD_CLOEXEC, "the descriptor closes on exec");
	close(fd);
	tap_ok(daemon_monotonic_ns() > a, "the monotonic clock goes on");
	tap_ok(daemon_realtime_ns() / 1000000000 > 1600000000, "the real-time clock is in ns");
}

/* In a child that has become @uid: what daemon_own_user() and daemon_peer_user() say. */
static void check_users_as(uid_t uid, const char *enrich_user, uid_t want_peer, const char *name)
{
	struct daemon d = {.program = LEDGER_OF_CAPTURE};
	struct {
		int own, peer;
		uid_t own_uid, peer_uid;
		gid_t own_gid;
	} got = {0};
	int fds[2], status;

	config_init(&d.config);
	free(d.config.capture.user);
	free(d.config.enrich.user);
	d.config.capture.user = strdup("60801");
	d.config.enrich.user = strdup(enrich_user);
	if (pipe(fds) < 0 || fork() == 0) {
		if (uid && (setgid(uid) < 0 || setuid(uid) < 0))
			_exit(1);
		got.own = daemon_own_user(&d, &got.own_uid, &got.own_gid);
		got.peer = daemon_peer_user(&d, LEDGER_OF_ENRICH, &got.peer_uid);
		_exit(write(fds[1], &got, sizeof(got)) != sizeof(got));
	}
	close(fds[1]);
	if (read(fds[0], &got, sizeof(got)) != sizeof(got))
		tap_bail("the child does not answer");
	close(fds[0]);
	wait(&status);
	config_deinit(&d.config);
	tap_is_int(got.own, 0, "%s: own user", name);
	tap_is_int(got.own_uid, uid ? uid : 60801, "%s: own uid", name);
	tap_is_int(got.own_gid, uid ? uid : 60801, "%s: own gid", name);
	tap_is_int(got.peer, want_peer == (uid_t)-1 ? CONFIG_EXIT : 0, "%s: peer", name);
	if (want_peer != (uid_t)-1)
		tap_is_int(got.peer_uid, want_peer, "%s: peer's uid", name);
}

static void test_users(void)
{
	if (geteuid() != 0) {
		tap_skip("users by configuration", "needs root");
		return;
	}
	check_users_as(0, "60802", 60802, "root");
	check_users_as(0, "no-such-user", (uid_t)-1, "root, an unknown peer");
	check_users_as(60801, "60802", 60802, "a service with users of their own");
	check_users_as(60805, "60802", 60805, "somebody without root");
}

int main(void)
{
	FILE *f;

	if (!mkdtemp(folder))
		tap_bail("no folder");
	snprintf(file, sizeof(file), "%s/f.yaml", folder);
	snprintf(runtime, sizeof(runtime), "%s/run", folder);
	f = fopen(file, "we");
	if (!f || fputs("limits: {flows: 777}\n", f) < 0 || fclose(f))
		tap_bail("no file");
	test_texts();
	test_start();
	test_signals();
	test_users();
	unlink(file);
	rmdir(folder);
	return tap_done();
}
