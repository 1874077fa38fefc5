/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowner-capture: copies the packets that matter from the kernel into a ring, and looks at none.
 *
 * What it does, in this order:
 *  1. parse: command line, configuration
 *  2. open tap: perf events of all CPUs		(root, or CAP_PERFMON and tracefs);
 *     and for enrich netlink sockets in the other network namespaces	(CAP_SYS_ADMIN)
 *  3. open sources: packet sockets with their filter, or a capture file	(CAP_NET_RAW;
 *     in other network namespaces CAP_SYS_ADMIN); a child with no privilege compiles the filter
 *  4. ring and socket: two sealed memfds, RUNTIME/capture/ring.sock	(CAP_CHOWN)
 *  5. drop: own user, no capability, for good
 *  6. start: the filters open and are locked
 *  7. sandbox: system calls by a table, no file
 *  8. loop: until SIGTERM, SIGINT, or the end of the file
 *
 * With --open it ends after 3, and leaves what it has opened with the service manager; what is
 * started then takes that instead of opening anything (config/opened.h), and has no privilege in
 * 1 to 5 either.
 */
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "capture/examine.h"
#include "capture/given.h"
#include "capture/left.h"
#include "capture/loop.h"
#include "capture/sandbox.h"
#include "config/daemon.h"
#include "config/log.h"
#include "config/opened.h"
#include "config/privileges.h"
#include "config/schedule.h"
#include "shm/cleanup.h"
#include "shm/ring.h"

#define WAIT_MS 200  /* between looks for an interface that is to come back */
#define REST_MS 1000 /* for a namespace that is not there when --open looks */
#define STOPPED (-1) /* no exit status: a signal came first */
#define NOBODY  65534

#define BATCH_TAPLESS_NS UINT64_C(40000000) /* sockets are looked for: they may be gone soon */

static struct given given; /* packet sockets by --open; large, and there is one */

struct options {
	struct daemon *daemon;
	const char *interface[LOOP_SOURCES_MAX];
	size_t n_interfaces;
	const char *netns[PACKET_NETNS_MAX];
	size_t n_netns;
	const char *file;
	const char *filter;
};

static const struct daemon_option own_options[] = {
	{"interface", 'i', "IFACE", "capture on this interface; may be repeated; \"any\" is all"},
	{"netns", 'n', "NAME", "in this network namespace; may be repeated; self is our own"},
	{"read", 'r', "FILE", "read a pcap or pcapng file instead; - is standard input"},
	{"filter", 'f', "EXPRESSION", "only packets that match, see pcap-filter(7)"},
	{"open", 0, "NETNS", "open all of it for a service manager to keep, and exit"},
	{0},
};

static int own_option(void *arg, const char *name, const char *value)
{
	struct options *o = arg;

	if (!strcmp(name, "open")) {
		o->daemon->opens = value;
	} else if (!strcmp(name, "filter")) {
		o->filter = value;
	} else if (!strcmp(name, "read")) {
		o->file = value;
	} else if (!strcmp(name, "netns")) {
		if (o->n_netns == PACKET_NETNS_MAX) {
			log_error("more than %u network namespaces", PACKET_NETNS_MAX);
			return -EINVAL;
		}
		o->netns[o->n_netns++] = value;
	} else if (o->n_interfaces == LOOP_SOURCES_MAX) {
		log_error("more than %u interfaces: use \"any\"", LOOP_SOURCES_MAX);
		return -EINVAL;
	} else {
		o->interface[o->n_interfaces++] = value;
	}
	if (o->file && (o->n_interfaces || o->n_netns || o->daemon->opens)) {
		log_error("--read and --interface, --netns or --open exclude each other: give one "
			  "of them");
		return -EINVAL;
	}
	return 0;
}

static bool has_tap(const struct loop *l)
{
	return l->gift.tap->layout.live & 1u << TAP_FIB;
}

/* Without the tap an owner is found by looking at who holds the socket. */
static bool looks_for_sockets(const struct loop *l)
{
	return l->daemon->config.enrich.sock_diag && !has_tap(l);
}

/* Of a client that exits at once only while its first packets are on their way. */
static bool is_urgent(const struct loop *l)
{
	return !l->file && l->daemon->config.enrich.procfs == CONFIG_PROCFS_KEEP &&
	       looks_for_sockets(l);
}

/* Of one that stays a little, while it does. */
static uint64_t batch_ns(const struct loop *l)
{
	uint64_t ns = l->daemon->config.capture.batch_timeout_ns;

	if (l->urgent)
		return 1000000;
	return looks_for_sockets(l) && ns > BATCH_TAPLESS_NS ? BATCH_TAPLESS_NS : ns;
}

/* For whoever is started next. */
static int open_for_next(struct given *g, const struct source_options *so)
{
	int r = given_open(g, so->name, so->netns, so->netns_number);

	if (r == -ENAMETOOLONG)
		log_error("no such interface: %s (`ip link` lists them)", so->name);
	else if (r == -ENOSPC)
		log_error("more than %u interfaces to capture on: use \"any\"", GIVEN_MAX);
	else if (r < 0)
		log_error("cannot open a packet socket for %s: %s", so->name, strerror(-r));
	return r == -ENAMETOOLONG ? SOURCE_NO_INPUT
	       : r == -ENOSPC     ? CONFIG_EXIT
	       : r < 0            ? SOURCE_NO_PERMISSION
				  : 0;
}

static void miss(struct loop *l, const struct missing *m)
{
	if (l->n_missing < LOOP_SOURCES_MAX)
		l->missing[l->n_missing++] = *m;
}

static int open_source(struct loop *l, struct source_options *so, const struct options *o)
{
	const struct config *c = &l->daemon->config;
	struct source_error err;
	bool unfit;
	int r;

	if (l->daemon->opens)
		return open_for_next(&given, so);
	if (l->n_sources == LOOP_SOURCES_MAX) {
		log_error("more than %u interfaces to capture on: use \"any\"", LOOP_SOURCES_MAX);
		return CONFIG_EXIT;
	}
	so->filter = o->filter ? o->filter : c->capture.filter;
	so->mode = c->capture.mode;
	so->buffer = c->capture.buffer;
	so->batch_timeout_ns = l->batch_ns;
	/* That there is no such user is told when we are to become it. */
	if (privileges_user(c->capture.user, &so->uid, &so->gid) < 0)
		so->uid = so->gid = NOBODY;
	r = o->file ? source_open_file(so, &l->source[l->n_sources], &err)
		    : source_open_live(so, &l->source[l->n_sources], &err);
	unfit = r < 0 && err.status == SOURCE_BAD_FILE;
	if (r < 0 && l->again && !o->file && (unfit || err.status == SOURCE_NO_INPUT)) {
		if (!l->waiting)
			log_warning("%s, ignoring it until it is %s", err.text,
				unfit ? "another" : "there");
		miss(l, &(struct missing){so->name, so->netns, so->netns_number, .unfit = unfit});
		return 0;
	}
	if (r < 0) {
		log_error("%s", err.text);
		return (int)err.status;
	}
	l->n_sources++;
	return 0;
}

/* All interfaces, in the network namespace we are in. */
static int open_interfaces(
	struct loop *l, const struct options *o, const char *netns, uint16_t netns_number)
{
	const struct config *c = &l->daemon->config;
	const char *const *names = o->interface;
	size_t n = o->n_interfaces;
	int r = 0;

	if (!n) {
		names = (const char *const *)c->capture.interfaces.item;
		n = c->capture.interfaces.n;
	}
	for (size_t i = 0; i < n && !r; i++) {
		struct source_options so = {
			.name = names[i],
			.netns = netns_number ? netns : "",
			.netns_number = netns_number,
			.immediate = l->urgent,
		};

		r = source_is_doubled(names, n, i) ? 0 : open_source(l, &so, o);
	}
	return r;
}

static int enter_failed(const char *name, int r)
{
	switch (r) {
	case -ENOENT:
	case -ENOTDIR:
		log_error("no such network namespace: %s (`ip netns list` shows those with a name)",
			name);
		return SOURCE_NO_INPUT;
	case -EPERM:
	case -EACCES:
		log_error("not allowed into the network namespace %s: start as root", name);
		return SOURCE_NO_PERMISSION;
	case -EINVAL:
		log_error("%s is not a network namespace", name);
		return SOURCE_NO_INPUT;
	default:
		log_error("network namespace %s: %s", name, strerror(-r));
		return SOURCE_FAILED;
	}
}

/* The sources whose sockets were given to us; what is not there is tried again by the caller. */
static int open_given(struct loop *l, const struct options *o)
{
	int r = 0;

	for (size_t i = 0; i < given.n && r == 0; i++) {
		struct source_options so = {
			.name = given.entry[i].name,
			.netns = given.entry[i].space,
			.netns_number = given.entry[i].netns,
			.immediate = l->urgent,
		};

		given_use(&given, i);
		r = open_source(l, &so, o);
		given_use_none();
	}
	/* One that was duplicated for libpcap is to end with it. */
	for (size_t i = 0; i < given.n && l->n_sources; i++)
		given_close(&given, i);
	return r;
}

/* Step 3: returns 0 or the exit status, logged. */
static int open_sources(struct loop *l, const struct options *o)
{
	const struct config *c = &l->daemon->config;
	const char *const *names = o->netns;
	size_t n = o->n_netns;
	int r = 0;

	l->urgent = is_urgent(l);
	l->batch_ns = batch_ns(l);
	if (l->file) {
		struct source_options so = {.name = o->file};

		return open_source(l, &so, o);
	}
	if (given.n)
		return open_given(l, o);
	if (!n) {
		names = (const char *const *)c->capture.netns.item;
		n = c->capture.netns.n;
	}
	for (size_t i = 0; i < n && !r; i++) {
		uint16_t number;
		int e = netns_enter(l->netns, names[i], &number);

		if (e == -ENOENT && l->again) { /* as an interface that is gone */
			if (!l->waiting)
				log_warning(
					"no network namespace %s, ignoring it until it is there",
					names[i]);
			miss(l, &(struct missing){.netns = names[i]});
			continue;
		}
		if (e < 0)
			r = enter_failed(names[i], e);
		else
			r = open_interfaces(l, o, names[i], number);
		e = netns_leave(l->netns);
		if (e < 0) {
			log_error("cannot come back from network namespace %s: %s", names[i],
				strerror(-e));
			return SOURCE_FAILED;
		}
	}
	return r;
}

/*
 * What an earlier life has captured on may be gone for a while. To end would only lead to being
 * started again, so this one waits until something of it is there. Returns as open_sources(), or
 * STOPPED.
 */
static int wait_for_sources(struct loop *l, const struct options *o)
{
	struct pollfd fd = {.fd = l->signal_fd, .events = POLLIN};
	int r, signal;

	l->again = !l->file && ledger_get(&l->daemon->ledger, LEDGER_capture_epoch) > 1;
	for (;;) {
		l->n_missing = 0;
		r = open_sources(l, o);
		if (r || l->n_sources)
			return r;
		if (!l->waiting)
			log_warning("nothing to capture on: waiting for it to come back");
		l->waiting = true;
		if (poll(&fd, 1, WAIT_MS) <= 0)
			continue;
		while ((signal = daemon_read_signal(l->signal_fd)))
			if (signal == SIGTERM || signal == SIGINT)
				return STOPPED;
	}
}

/* For `flowner status`: events that live beside a state that is an error are a part of the tap. */
static void tell_tap(struct ledger *l, const struct tap *t)
{
	ledger_set(l, LEDGER_capture_tap_events, t->layout.live);
	ledger_set(l, LEDGER_capture_tap,
		t->error || t->layout.live ? ledger_tier(t->error) : LEDGER_TIER_OFF);
}

/* Step 2. */
static int open_for_owners(struct loop *l, struct tap *tap)
{
	const struct config *c = &l->daemon->config;
	int r;

	/* Packets of a file are of the past: nobody here owns them. */
	if (l->daemon->opens)
		tap_open_only(c->enrich.tap, tap);
	else
		tap_open(l->file ? CONFIG_TAP_OFF : c->enrich.tap, tap);
	if (l->file || !c->enrich.netns)
		return 0;
	netns_find(l->netns);
	r = netns_leave(l->netns);
	if (r < 0) {
		log_error("cannot come back from another network namespace: %s", strerror(-r));
		return SOURCE_FAILED;
	}
	return 0;
}

/* Steps 2 and 3 were another process's: takes what it left. */
static int take_opened(struct loop *l, struct tap *tap)
{
	static struct handover_message m; /* large, and there is one */
	struct handover_opened opened;
	int r;

	while ((r = handover_recv(l->daemon->keeper.opened_fd, &m)) == 0 &&
		m.type != HANDOVER_DONE) {
		if (m.type == HANDOVER_OPENED) {
			memcpy(&opened, m.payload, sizeof(opened));
			l->netns->missed = opened.netns_missed;
		}
		if (m.type == HANDOVER_SOURCES)
			r = given_take(&given, &m);
		else if (m.type == HANDOVER_NETNS)
			r = netns_take(l->netns, &m);
		else
			r = tap_take(tap, &m);
		handover_message_close(&m);
		if (r < 0)
			break;
	}
	close(take_fd(&l->daemon->keeper.opened_fd));
	if (r == 0 && !given.n)
		r = -EPROTO;
	if (r < 0) {
		log_error("what was opened for us cannot be used: %s", strerror(-r));
		return SOURCE_FAILED;
	}
	tap_start(tap);
	return 0;
}

/* Steps 2 and 3 for another process. */
static int give_opened(struct loop *l, const struct tap *tap)
{
	_cleanup_close_ int from = -1, to = -1;
	int fds[2], r = opened_new(fds);

	if (r == 0) {
		from = fds[0];
		to = fds[1];
		r = tap_give(tap, (uint32_t)l->netns->missed, to);
	}
	if (r == 0)
		r = netns_send(l->netns, to);
	if (r == 0)
		r = given_send(&given, to);
	if (r == 0)
		r = handover_send(to, HANDOVER_DONE, NULL, 0, NULL, 0);
	if (r == 0)
		r = opened_store(from);
	if (r == 0)
		return 0;
	if (r == -ENOTCONN)
		log_error("--open is for a service manager that keeps descriptors: there is none");
	else
		log_error("what was opened cannot be kept: %s", strerror(-r));
	return SOURCE_FAILED;
}

/* Step 4. */
static int open_ring(struct loop *l)
{
	const struct config *c = &l->daemon->config;
	char path[256];
	uid_t uid;
	int r;

	l->gift.epoch = ledger_get(&l->daemon->ledger, LEDGER_capture_epoch);
	l->gift.data_size = c->capture.ring;
	r = ring_producer_new(
		l->gift.data_size, l->gift.epoch, RING_LOSS_PACKET_RING, &l->gift.ring);
	if (r < 0) {
		log_error("cannot make the ring: %s", strerror(-r));
		return 1;
	}
	ring_producer_set_before(
		l->gift.ring, ledger_get(&l->daemon->ledger, LEDGER_capture_packets_published), 0);
	daemon_keep_ring(l->gift.ring, l->gift.epoch);
	r = daemon_peer_user(l->daemon, LEDGER_OF_ENRICH, &uid);
	if (r)
		return r;
	r = daemon_path(l->daemon, "capture", "ring.sock", path, sizeof(path));
	if (r == 0)
		r = peer_listen(l->peer, path, uid);
	if (r < 0) {
		log_error("cannot listen at %s: %s", path, strerror(-r));
		return 1;
	}
	return 0;
}

/* Step 5. */
static int drop(const struct daemon *d)
{
	uid_t uid;
	gid_t gid;
	int r = daemon_own_user(d, &uid, &gid);

	if (r)
		return r;
	r = privileges_drop(uid, gid, 0);
	if (r < 0) {
		log_error("cannot give up privileges: %s", strerror(-r));
		return 1;
	}
	return 0;
}

/* Step 6. */
static int start_sources(struct loop *l)
{
	struct source_error err;
	uint64_t matched = 0;

	left_count(&l->daemon->keeper, &matched, &l->left_dropped);
	ledger_add(&l->daemon->ledger, LEDGER_capture_packets_matched, matched);
	for (size_t i = 0; i < l->n_sources; i++)
		if (source_start(l->source[i], &err) < 0) {
			log_error("%s", err.text);
			return (int)err.status;
		}
	/* In this order, else a packet that is in both could be counted twice after a kill. */
	keeper_close_sockets(&l->daemon->keeper);
	for (size_t i = 0; i < l->n_sources && !l->file; i++)
		if (keeper_save_socket(source_fd(l->source[i]), l->gift.epoch) <= 0)
			break; /* nobody keeps them, or is too busy to be asked for each */
	return 0;
}

static void log_start(const struct loop *l)
{
	const struct config *c = &l->daemon->config;
	char names[256] = "";
	size_t len = 0;

	for (size_t i = 0; i < l->n_sources && len < sizeof(names); i++)
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s (%s, filter of %u)",
			i ? ", " : "", source_name(l->source[i]), source_link(l->source[i]),
			source_insns(l->source[i]));
	if (l->file)
		log_info("reading %s; ring %llu KiB; uid %u", names,
			(unsigned long long)c->capture.ring / 1024, geteuid());
	else
		log_info("capturing on %s%s; buffer %llu KiB each, ring %llu KiB; tap %s; uid %u",
			names, l->urgent ? ", each packet at once" : "",
			(unsigned long long)c->capture.buffer / 1024,
			(unsigned long long)c->capture.ring / 1024, l->gift.tap->text, geteuid());
}

/* Whoever starts this again at once would look, and complain, ten times a second. */
static void rest(const struct loop *l)
{
	struct pollfd fd = {.fd = l->signal_fd, .events = POLLIN};

	(void)poll(&fd, 1, REST_MS);
}

static int run(struct loop *l, const struct options *o, struct tap *tap)
{
	const struct config *c = &l->daemon->config;
	struct sandbox sandbox;
	int r;

	if (daemon_signals(&l->signal_fd) < 0)
		return 1;
	l->file = o->file;
	r = l->daemon->opens ? opened_enter(l->daemon->opens) : 0;
	if (r < 0)
		return enter_failed(l->daemon->opens, r);
	if (netns_init(l->netns) < 0) {
		log_error("out of memory");
		return SOURCE_FAILED;
	}
	r = l->daemon->keeper.opened_fd > 0 && !l->file ? take_opened(l, tap)
							: open_for_owners(l, tap);
	if (l->daemon->opens) {
		if (r == 0)
			r = open_sources(l, o);
		if (r == SOURCE_NO_INPUT)
			rest(l);
		return r ? r : give_opened(l, tap);
	}
	tell_tap(&l->daemon->ledger, tap);
	ledger_set(&l->daemon->ledger, LEDGER_capture_netns, l->netns->n);
	ledger_set(&l->daemon->ledger, LEDGER_capture_netns_missed, l->netns->missed);
	if (r == 0)
		r = wait_for_sources(l, o);
	if (r == STOPPED)
		return 0;
	if (r == 0)
		r = open_ring(l);
	if (r == 0 && l->urgent)
		(void)schedule_urgent();
	if (r == 0)
		r = drop(l->daemon);
	if (r == 0)
		r = start_sources(l);
	if (r)
		return r;
	l->interval_ns = c->metrics.losses_ns;
	log_start(l);
	capture_sandbox(c, l->file, &sandbox);
	r = daemon_confine(&sandbox);
	if (r)
		return r;
	return loop_run(l) < 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct daemon d = {.name = "flowner-capture", .program = LEDGER_OF_CAPTURE};
	struct peer peer = {.listen_fd = -1, .fd = -1};
	struct netns netns = {.own_fd = -1};
	struct tap tap = {0};
	struct loop l = {.daemon = &d,
		.peer = &peer,
		.netns = &netns,
		.gift = {.tap = &tap, .netns = &netns, .keeper = &d.keeper},
		.signal_fd = -1};
	struct options o = {.daemon = &d};
	int r = daemon_start(&d, argc, argv, own_options, own_option, &o);

	if (r < 0)
		r = d.examine ? examine_capture(&d.config) : run(&l, &o, &tap);
	for (size_t i = 0; i < l.n_sources; i++)
		source_free(l.source[i]);
	peer_deinit(&peer);
	tap_deinit(&tap);
	netns_deinit(&netns);
	given_deinit(&given);
	ring_producer_free(l.gift.ring);
	if (l.signal_fd >= 0)
		close(l.signal_fd);
	daemon_deinit(&d);
	return r;
}
