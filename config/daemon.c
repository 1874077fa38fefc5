/* SPDX-License-Identifier: Apache-2.0 */
/* What the three daemons do alike before their loop. */
#include "config/daemon.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "config/change.h"
#include "config/log.h"
#include "config/notify.h"
#include "config/options.h"
#include "config/privileges.h"
#include "config/schema.h"
#include "config/transfer.h"
#include "shm/journal.h"
#include "flowner-version.h"

#define EXIT_USAGE 64 /* EX_USAGE of sysexits.h */

static const char *program_dir(enum ledger_program program)
{
	switch (program) {
	case LEDGER_OF_CAPTURE:
		return "capture";
	case LEDGER_OF_ENRICH:
		return "enrich";
	case LEDGER_OF_SINK:
		return "sink";
	case LEDGER_PROGRAMS:
		break;
	}
	return "";
}

int daemon_reload(const struct daemon *d, struct config *ret)
{
	const struct config_sources sources = {.file = d->file,
		.environ = environ,
		.set = d->set,
		.n_set = d->n_set,
		.checks = d->checks};
	struct config_error err;
	int r = config_init(ret);

	if (r == 0)
		r = config_load(ret, &sources, &err);
	if (r == CONFIG_E_INVALID) {
		log_error("%s", err.text);
		return CONFIG_EXIT;
	}
	if (r < 0) {
		log_error("the configuration cannot be read: %s", strerror(-r));
		return 1;
	}
	return 0;
}

/* Whether a program that is running is told of a change of the key: capture reads no file then. */
static bool concerns(enum ledger_program program, const struct schema_key *k)
{
	switch (program) {
	case LEDGER_OF_ENRICH:
		return strcmp(k->section, "output") != 0;
	case LEDGER_OF_SINK:
		return strcmp(k->section, "output") == 0;
	case LEDGER_OF_CAPTURE:
	case LEDGER_PROGRAMS:
		break;
	}
	return false;
}

/* Who has to be started again for the key's change to count. */
static const char *who(const struct schema_key *k)
{
	if (strcmp(k->section, "capture") == 0)
		return "flowner-capture";
	if (strcmp(k->section, "output") == 0)
		return "flowner-sink";
	if (strcmp(k->section, "enrich") == 0 || strcmp(k->section, "limits") == 0)
		return "flowner-enrich";
	return "flowner";
}

static bool is_in(const char *const *list, const char *path)
{
	for (; *list; list++)
		if (strcmp(*list, path) == 0)
			return true;
	return false;
}

void daemon_take_over(struct daemon *d, struct config *next, const char *const *live)
{
	for (size_t i = 0; i < schema_n_keys; i++) {
		const struct schema_key *k = &schema_keys[i];

		if (!change_is(&d->config, next, k))
			continue;
		if (is_in(live, k->path))
			change_swap(&d->config, next, k);
		else if (concerns(d->program, k))
			log_warning(
				"%s has changed: that counts once %s is started again, ignoring",
				k->path, who(k));
	}
}

/* Keeps where the configuration comes from, and reads it. */
static int load(struct daemon *d, const struct options *o)
{
	d->file = o->file;
	d->n_set = o->n_set;
	d->set = calloc(o->n_set + 1, sizeof(*d->set));
	if (!d->set) {
		log_error("out of memory");
		return 1;
	}
	memcpy(d->set, o->set, o->n_set * sizeof(*d->set));
	return daemon_reload(d, &d->config);
}

/* A service manager makes these folders; started by hand they may be missing. */
static int make_dir(const char *path)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST) {
		log_error("the runtime directory %s cannot be made: %s", path, strerror(errno));
		return -errno;
	}
	return 0;
}

static int open_ledger(struct daemon *d)
{
	const char *program = program_dir(d->program);
	char path[256];
	int r = daemon_path(d, program, "", path, sizeof(path));

	if (r) {
		log_error("the runtime directory %s cannot be used: its name is too long",
			d->runtime_dir);
		return r;
	}
	if (make_dir(d->runtime_dir) || make_dir(path))
		return -EIO;
	r = daemon_path(d, program, "ledger", path, sizeof(path));
	if (r == 0)
		r = ledger_open(&d->ledger, path, d->program);
	if (r)
		log_error("the ledger %s cannot be opened: %s", path, strerror(-r));
	else
		d->ledger_open = true;
	return r;
}

/* They ask a running program for something: until it runs they wait and do not kill it. */
static void hold_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

int daemon_start(struct daemon *d, int argc, char **argv, const struct daemon_option *options,
	int (*own)(void *arg, const char *name, const char *value), void *arg)
{
	struct options o;
	int r;

	hold_signals();
	/* Without memory malloc() looks for it in another arena, by calls that no sandbox allows.
	 */
	mallopt(M_ARENA_MAX, 1);
	log_init(d->name, LOG_LEVEL_INFO);
	if (options_parse(&o, argc, argv, options, own, arg))
		return EXIT_USAGE;
	if (o.debug)
		log_init(d->name, LOG_LEVEL_DEBUG);
	if (o.help) {
		options_help(d->name, options);
		return 0;
	}
	if (o.version) {
		printf("%s " FLOWNER_VERSION "\n", d->name);
		return 0;
	}
	r = load(d, &o);
	if (r)
		return r;
	if (o.print_config && config_print(&d->config, stdout))
		return 1;
	if (o.print_config || o.check_config)
		return 0;
	d->runtime_dir = o.runtime_dir ? o.runtime_dir : DAEMON_RUNTIME_DIR;
	d->examine = o.examine;
	if (d->examine)
		return -1;
	if (!d->opens && open_ledger(d))
		return 1;
	r = notify_open();
	if (r < 0)
		log_warning("$NOTIFY_SOCKET cannot be reached: %s, ignoring", strerror(-r));
	if (d->opens)
		return -1;
	keeper_open(&d->keeper);
	journal_recover(&d->ledger, keeper_head, &d->keeper);
	keeper_tidy(&d->keeper);
	return -1;
}

void daemon_deinit(struct daemon *d)
{
	if (d->ledger_open)
		ledger_close(&d->ledger);
	d->ledger_open = false;
	keeper_deinit(&d->keeper);
	config_deinit(&d->config);
	free(d->set);
	d->set = NULL;
	notify_close();
}

void daemon_keep_ring(const struct ring_producer *ring, uint64_t epoch)
{
	int fds[RING_FDS], r;

	ring_producer_fds(ring, fds);
	r = keeper_save(fds, epoch);
	if (r < 0)
		log_warning("the supervisor does not keep the ring: %s, ignoring", strerror(-r));
}

int daemon_path(
	const struct daemon *d, const char *program, const char *file, char *ret, size_t size)
{
	int n = snprintf(ret, size, "%s/%s%s%s", d->runtime_dir, program, file[0] ? "/" : "", file);

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

static const char *user_key(enum ledger_program program)
{
	switch (program) {
	case LEDGER_OF_CAPTURE:
		return "capture.user";
	case LEDGER_OF_ENRICH:
		return "enrich.user";
	case LEDGER_OF_SINK:
	case LEDGER_PROGRAMS:
		break;
	}
	return "output.user";
}

static const char *user_name(const struct config *c, enum ledger_program program)
{
	switch (program) {
	case LEDGER_OF_CAPTURE:
		return c->capture.user;
	case LEDGER_OF_ENRICH:
		return c->enrich.user;
	case LEDGER_OF_SINK:
	case LEDGER_PROGRAMS:
		break;
	}
	return c->output.user;
}

static int look_up(
	const struct daemon *d, enum ledger_program program, uid_t *ret_uid, gid_t *ret_gid)
{
	const char *name = user_name(&d->config, program);
	int r = privileges_user(name, ret_uid, ret_gid);

	if (r == 0)
		return 0;
	if (r == -EINVAL)
		log_error("%s: flowner does not run as %s", user_key(program), name);
	else
		log_error("%s: no such user: %s (create it, or set another one)", user_key(program),
			name);
	return CONFIG_EXIT;
}

int daemon_own_user(const struct daemon *d, uid_t *ret_uid, gid_t *ret_gid)
{
	if (privileges_is_root())
		return look_up(d, d->program, ret_uid, ret_gid);
	*ret_uid = geteuid();
	/* Some containers start programs with group 0; it is not kept. */
	*ret_gid = getegid() ? getegid() : (gid_t)*ret_uid;
	return 0;
}

int daemon_peer_user(const struct daemon *d, enum ledger_program peer, uid_t *ret_uid)
{
	uid_t own;
	gid_t gid;

	if (privileges_is_root() ||
		(privileges_user(user_name(&d->config, d->program), &own, &gid) == 0 &&
			own == geteuid()))
		return look_up(d, peer, ret_uid, &gid);
	*ret_uid = geteuid();
	return 0;
}

int daemon_confine(const struct sandbox *s)
{
	struct sandbox_report report;
	char held[256];
	int r;

	privileges_describe(held, sizeof(held));
	r = sandbox_enter(s, &report);
	if (r) {
		log_error("cannot enter the sandbox: %s (sandbox.seccomp and sandbox.landlock: off "
			  "go on without)",
			strerror(-r));
		return 1;
	}
	log_info("%s; %s", held, report.text);
	return 0;
}

int daemon_signals(int *ret_fd)
{
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0 || sigprocmask(SIG_BLOCK, &set, NULL) < 0 ||
		sigaction(SIGPIPE, &ignore, NULL) < 0) {
		int e = errno;

		log_error("signals cannot be received: %s", strerror(e));
		if (fd >= 0)
			close(fd);
		return -e;
	}
	*ret_fd = fd;
	return 0;
}

int daemon_read_signal(int fd)
{
	struct signalfd_siginfo info;

	return transfer_read(fd, &info, sizeof(info), TRANSFER_HERE) == sizeof(info)
		       ? (int)info.ssi_signo
		       : 0;
}

int daemon_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	const struct timespec t = {
		.tv_sec = timeout_ms / 1000, .tv_nsec = (long)(timeout_ms % 1000) * 1000000};

	return ppoll(fds, n, timeout_ms < 0 ? NULL : &t, NULL);
}

static bool coarse;

bool daemon_use_coarse_clock(void)
{
	coarse = getauxval(AT_SYSINFO_EHDR) != 0;
	return coarse;
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint64_t daemon_realtime_ns(void)
{
	return now_ns(coarse ? CLOCK_REALTIME_COARSE : CLOCK_REALTIME);
}

uint64_t daemon_monotonic_ns(void)
{
	return now_ns(coarse ? CLOCK_MONOTONIC_COARSE : CLOCK_MONOTONIC);
}
