/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowner-enrich: packets to connections to owners to records.
 *
 * 1. Command line, configuration, ledger, signals.
 * 2. Seed: one sweep of /proc with what capabilities there are; netlink sockets.
 * 3. Ring to sink, and the socket where sink asks for it.
 * 4. Drop every capability (enrich.procfs: keep keeps two) and become enrich.user.
 * 5. Sandbox: system calls by a table, files only for reading.
 * 6. Only then attach to capture's ring: nothing from the network is parsed with a privilege.
 *
 * With --open it ends after 2, whose results it leaves with the service manager; what is started
 * then takes these, and has no privilege at any time (config/opened.h).
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/daemon.h"
#include "config/handover.h"
#include "config/log.h"
#include "config/notify.h"
#include "config/opened.h"
#include "config/privileges.h"
#include "config/schedule.h"
#include "enrich/examine.h"
#include "enrich/inherited.h"
#include "enrich/loop.h"
#include "enrich/owner.h"
#include "enrich/pipeline.h"
#include "enrich/sandbox.h"
#include "shm/cleanup.h"

#define EXIT_USAGE_ERROR 64
#define LARGE_BLOCK      (128 << 10) /* bytes, given back to the system as soon as it is free */

struct arguments {
	struct daemon *daemon;
	uint32_t tree;
	bool offline;
};

static const struct daemon_option options[] = {
	{"tree", 0, "PID", "log only connections of this process and its descendants"},
	{"offline", 0, NULL, "packets come from a file: no owners, end after the last one"},
	{"open", 0, "NETNS", "open and see all of it for a service manager to keep, and exit"},
	{0},
};

static int own_option(void *arg, const char *name, const char *value)
{
	struct arguments *a = arg;
	unsigned long pid;
	char *end;

	if (!strcmp(name, "open")) {
		a->daemon->opens = value;
		return 0;
	}
	if (!strcmp(name, "offline")) {
		a->offline = true;
		return 0;
	}
	errno = 0;
	pid = strtoul(value, &end, 10);
	if (errno || *end || end == value || !pid || pid > INT32_MAX) {
		log_error("--tree: \"%s\" is not a process id", value);
		return -EINVAL;
	}
	a->tree = (uint32_t)pid;
	return 0;
}

/* What one tier has to say for itself, appended to @text. */
static void say_tier(char *text, size_t size, const char *name, uint64_t state)
{
	const char *comma = text[0] ? ", " : "";
	size_t len = strlen(text);

	if (state == LEDGER_TIER_LIVE)
		snprintf(text + len, size - len, "%s%s", comma, name);
	else if (state == LEDGER_TIER_OWN)
		snprintf(text + len, size - len, "%s%s (own processes only)", comma, name);
	else if (state == LEDGER_TIER_WAITING)
		snprintf(text + len, size - len, "%s%s (once capture hands it over)", comma, name);
	else if (state > LEDGER_TIER_REFUSED)
		snprintf(text + len, size - len, "%sno %s: %s", comma, name,
			strerror((int)(state - LEDGER_TIER_REFUSED)));
}

static void log_start(struct daemon *d, const struct arguments *a, uint64_t keep)
{
	static const struct {
		const char *name;
		unsigned counter;
	} tiers[] = {
		{"tap", LEDGER_enrich_tier_tap},
		{"sock_diag", LEDGER_enrich_tier_sock_diag},
		{"process connector", LEDGER_enrich_tier_connector},
		{"start-up sweep", LEDGER_enrich_tier_seed},
		{"procfs", LEDGER_enrich_tier_procfs},
	};
	char text[512] = "";

	for (size_t i = 0; !a->offline && i < sizeof(tiers) / sizeof(tiers[0]); i++)
		say_tier(text, sizeof(text), tiers[i].name,
			ledger_get(&d->ledger, tiers[i].counter));
	log_info("uid %u, %s; owners from %s", (unsigned)getuid(),
		keep ? "keeps CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH" : "no capability",
		a->offline ? "nowhere: offline"
		: text[0]  ? text
			   : "nowhere: all of it is off");
}

/*
 * --open: the sockets as root, the sweep as our own user with the two capabilities it takes, for
 * what it reads is what others have written. 0, the exit status, or -errno; logged.
 */
static int open_for_next(const struct daemon *d)
{
	const uint64_t caps = UINT64_C(1) << CAP_SYS_PTRACE | UINT64_C(1) << CAP_DAC_READ_SEARCH;
	struct inherited i;
	int fds[2] = {-1, -1}, r;
	uid_t uid;
	gid_t gid;

	r = daemon_own_user(d, &uid, &gid);
	if (r)
		return r;
	r = opened_enter(d->opens);
	if (r < 0) {
		log_error("not into the network namespace %s: %s", d->opens, strerror(-r));
		return r;
	}
	r = inherited_open(&i);
	if (r == 0)
		r = opened_new(fds);
	if (r == 0)
		r = privileges_drop(uid, gid, caps);
	if (r == 0)
		r = inherited_sweep(&i, &d->config);
	if (r == 0)
		r = inherited_send(&i, fds[1]);
	if (r == 0)
		r = opened_store(fds[0]);
	if (r == -ENOTCONN)
		log_error("--open is for a service manager that keeps descriptors: there is none");
	else if (r < 0)
		log_error("what was opened cannot be kept: %s", strerror(-r));
	inherited_close(&i);
	for (unsigned n = 0; n < 2; n++)
		if (fds[n] >= 0)
			close(fds[n]);
	return r;
}

/* With what --open has left, if that is the way. 0 or -errno; logged. */
static int make_owners(struct daemon *d, struct owners **ret)
{
	struct inherited i;
	int r;

	if (d->keeper.opened_fd <= 0) {
		r = owners_new(&d->config, &d->ledger, ret);
	} else {
		r = inherited_take(&i, d->keeper.opened_fd);
		close(take_fd(&d->keeper.opened_fd));
		if (r == 0)
			r = owners_new_from(&d->config, &d->ledger, &i, ret);
	}
	if (r < 0)
		log_error("owner resolution: %s", strerror(-r));
	return r;
}

/* 0, the exit status, or -errno; logged. */
static int run(struct daemon *d, const struct arguments *a)
{
	struct loop_setup s = {.daemon = d, .listen_fd = -1, .signal_fd = -1};
	/* A user without the means to look at others has his own processes to look at. */
	const bool own = !privileges_is_root() && !privileges_have(CAP_SYS_PTRACE) &&
			 d->keeper.opened_fd <= 0;
	struct sandbox sandbox;
	uint64_t keep = 0;
	char path[256];
	uid_t uid;
	gid_t gid;
	int r;

	s.offline = a->offline;
	s.epoch = daemon_realtime_ns() / 1000000;
	r = daemon_own_user(d, &uid, &gid);
	if (r == 0)
		r = daemon_peer_user(d, LEDGER_OF_CAPTURE, &s.capture_uid);
	if (r == 0)
		r = daemon_peer_user(d, LEDGER_OF_SINK, &s.sink_uid);
	if (r > 0)
		return r;
	if (r >= 0)
		r = daemon_signals(&s.signal_fd);
	if (r >= 0 && !a->offline)
		r = make_owners(d, &s.owners);
	if (r < 0)
		goto out;
	if (a->tree && s.owners)
		owners_set_tree(s.owners, a->tree);

	r = ring_producer_new(d->config.enrich.ring, s.epoch, RING_LOSS_RECORD_RING, &s.ring);
	if (r >= 0)
		r = pipeline_new(&d->config, &d->ledger, s.owners, s.ring, s.epoch, &s.pipeline);
	if (r < 0) {
		log_error("ring and tables: %s", strerror(-r));
		goto out;
	}
	ring_producer_set_before(s.ring, ledger_get(&d->ledger, LEDGER_enrich_packets_logged),
		ledger_get(&d->ledger, LEDGER_enrich_records_published));
	if (a->tree)
		pipeline_only_tree(s.pipeline);
	daemon_keep_ring(s.ring, s.epoch);
	r = daemon_path(d, "enrich", "ring.sock", path, sizeof(path));
	if (r >= 0)
		r = handover_listen(path, s.sink_uid, &s.listen_fd);
	if (r < 0) {
		log_error("%s: %s", path, strerror(-r));
		goto out;
	}

	if (d->config.enrich.procfs == CONFIG_PROCFS_KEEP && !a->offline) {
		keep = UINT64_C(1) << CAP_SYS_PTRACE | UINT64_C(1) << CAP_DAC_READ_SEARCH;
		/* Without a tap; whether there will be one is known when it cannot be had any more.
		 */
		(void)schedule_urgent();
	}
	r = privileges_drop(uid, gid, keep);
	if (r < 0) {
		log_error("dropping privileges: %s", strerror(-r));
		goto out;
	}
	if (keep && !(privileges_have(CAP_SYS_PTRACE) && privileges_have(CAP_DAC_READ_SEARCH))) {
		keep = 0; /* they were not ours to keep */
		if (ledger_get(&d->ledger, LEDGER_enrich_tier_procfs) == LEDGER_TIER_LIVE)
			ledger_set(&d->ledger, LEDGER_enrich_tier_procfs, LEDGER_TIER_OWN);
	}
	log_start(d, a, keep);
	enrich_sandbox(&d->config, d->file, own, &sandbox);
	r = daemon_confine(&sandbox);
	if (r)
		goto out;

	r = loop_run(&s);
	if (r < 0)
		log_error("stopped: %s", strerror(-r));
	else
		log_info("stopped: %" PRIu64 " packets read, %" PRIu64
			 " records published, %" PRIu64 " lost",
			ledger_get(&d->ledger, LEDGER_enrich_packets_read),
			ledger_get(&d->ledger, LEDGER_enrich_records_published),
			ledger_get(&d->ledger, LEDGER_enrich_records_lost));
out:
	pipeline_free(s.pipeline);
	ring_producer_free(s.ring);
	owners_free(s.owners);
	if (s.listen_fd >= 0)
		close(s.listen_fd);
	if (s.signal_fd >= 0)
		close(s.signal_fd);
	return r;
}

int main(int argc, char **argv)
{
	struct daemon d = {.name = "flowner-enrich", .program = LEDGER_OF_ENRICH};
	struct arguments a = {.daemon = &d};
	int r;

	/* The default grows with each large block freed, and what the sweep took would stay. */
	mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK);
	r = daemon_start(&d, argc, argv, options, own_option, &a);
	if (r >= 0)
		goto out;
	if (a.tree && a.offline) {
		log_error("--tree and --offline exclude each other: a file knows no processes");
		r = EXIT_USAGE_ERROR;
		goto out;
	}
	r = d.examine ? examine_enrich(&d.config) : d.opens ? open_for_next(&d) : run(&d, &a);
	if (r < 0)
		r = EXIT_FAILURE;
out:
	daemon_deinit(&d);
	return r;
}
