/* SPDX-License-Identifier: Apache-2.0 */
/* enrich's event loop. */
#include "enrich/loop.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "config/handover.h"
#include "config/log.h"
#include "config/notify.h"
#include "config/schedule.h"
#include "enrich/ahead.h"
#include "enrich/steady.h"
#include "shm/cleanup.h"
#include "shm/tap.h"

#define MS UINT64_C(1000000)

#define LOOP_BATCH        512u         /* frames between two commits */
#define LOOP_RETRY_NS     (200 * MS)   /* capture is not there: try again */
#define LOOP_HOUSE_NS     (1000 * MS)  /* owners' housekeeping without packets */
#define LOOP_TIMER_MIN_NS (50 * MS)    /* flow timers are rounded up to this */
#define LOOP_STOP_NS      (5000 * MS)  /* a sink without progress for this long is given up */
#define LOOP_OFFLINE_NS   (30000 * MS) /* the same while a file is read: nothing presses */
#define LOOP_QUIET_NS     (10000 * MS) /* between complaints about sink's connections */
#define LOOP_LATE_NS      (100 * MS) /* packets may still come this long after their batch timeout */

enum slot { SLOT_SIGNAL, SLOT_LISTEN, SLOT_SINK, SLOT_CAPTURE, SLOT_RING, SLOT_TAP };

#define SLOTS_MAX (SLOT_TAP + TAP_CPUS_MAX + 8)

struct loop {
	const struct loop_setup *s;
	int capture_fd; /* connection to capture, -1 = none */
	int sink_fd;    /* connection from sink, -1 = none */
	bool attached;  /* HANDOVER_DONE came */
	bool held;      /* sink holds our ring: what we publish outlives us */
	bool capture_gone;
	bool capture_ended; /* RING_FRAME_END came: this ring holds nothing more */
	bool complained;    /* said that capture is absent */
	bool stopping;
	struct ring_consumer *ring;
	uint64_t retry_ns; /* monotonic: next try to reach capture */
	uint64_t house_ns; /* monotonic: next housekeeping */
	uint64_t watch_ns; /* monotonic: next look at the traffic */
	uint64_t deaf_ns;  /* monotonic: until then sink's connections wait */
	uint64_t quiet_ns; /* monotonic: until then nothing is said about them */
	uint64_t lost_logged;
	uint64_t steps; /* of the clock, logged */
	struct pollfd poll[SLOTS_MAX];
	size_t n_poll;
	size_t n_tap; /* of these, from SLOT_TAP on, the tap's */
	struct handover_message message;
	struct ahead ahead;
};

static void detach(struct loop *l)
{
	ring_consumer_free(l->ring);
	l->ring = NULL;
	if (l->capture_fd >= 0)
		close(l->capture_fd);
	l->capture_fd = -1;
	l->attached = false;
	l->capture_gone = false;
	l->capture_ended = false;
	l->retry_ns = 0;
}

static void connect_capture(struct loop *l)
{
	char path[256];
	int r;

	r = daemon_path(l->s->daemon, "capture", "ring.sock", path, sizeof(path));
	if (r >= 0)
		r = handover_connect(path, l->s->capture_uid, &l->capture_fd);
	l->retry_ns = daemon_monotonic_ns() + LOOP_RETRY_NS;
	if (r >= 0)
		return;
	l->capture_fd = -1;
	if (!l->complained && r != -ENOENT && r != -ECONNREFUSED)
		log_warning("capture at %s: %s, trying again", path, strerror(-r));
	l->complained = true;
}

/* Owners by looking: who is looked for may be gone in a moment. A tap has told it already. */
static void schedule(const struct loop *l)
{
	unsigned tiers = l->s->owners ? owners_tiers(l->s->owners) : 0;

	if (!(tiers & OWNERS_TIER_PROCFS))
		return;
	(void)(tiers & OWNERS_TIER_TAP ? schedule_ordinary() : schedule_urgent());
}

static int take_message(struct loop *l)
{
	struct handover_message *m = &l->message;
	struct tap_layout layout;
	struct tap_cpus cpus;
	int r;

	switch (m->type) {
	case HANDOVER_RING:
		if (l->ring)
			return -EPROTO;
		r = ring_consumer_new(m->fds, &l->ring);
		if (r == 0) {
			m->n_fds = 0;
			pipeline_attach(l->s->pipeline, l->ring);
		}
		if (l->s->owners)
			owners_netns_begin(l->s->owners);
		return r;
	case HANDOVER_NETNS:
		if (!l->s->owners)
			return 0;
		owners_netns(l->s->owners, (const struct handover_netns *)m->payload, m->fds);
		m->n_fds = 0;
		return 0;
	case HANDOVER_TAP:
		memcpy(&layout, m->payload, sizeof(layout));
		return l->s->owners ? owners_tap_begin(l->s->owners, &layout) : 0;
	case HANDOVER_TAP_CPUS:
		if (!l->s->owners)
			return 0;
		memcpy(&cpus, m->payload, sizeof(cpus));
		r = owners_tap_cpus(l->s->owners, &cpus, m->fds);
		if (r == 0)
			m->n_fds = 0;
		return r;
	case HANDOVER_FILTER: /* is ours to say */
	case HANDOVER_OPENED: /* is for capture itself, and the next ones */
	case HANDOVER_TAP_CPU:
	case HANDOVER_SOURCES:
	case HANDOVER_KERNEL: /* never comes this way */
		return -EPROTO;
	case HANDOVER_DONE:
		if (!l->ring)
			return -EPROTO;
		if (l->s->owners)
			owners_attached(l->s->owners);
		l->attached = true;
		l->complained = false;
		schedule(l);
		notify_send("STATUS=attached"); /* `flowner run` waits for it */
		log_info("attached to capture, epoch %" PRIu64, ring_consumer_epoch(l->ring));
		return 0;
	}
	return -EPROTO;
}

/* Reads what capture says; its end of file means that it is gone. */
static void hear_capture(struct loop *l)
{
	int r;

	while ((r = handover_recv(l->capture_fd, &l->message)) == 0) {
		r = l->attached ? -EPROTO : take_message(l);
		handover_message_close(&l->message);
		if (r < 0)
			break;
	}
	if (r == -EAGAIN)
		return;
	if (r != -ECONNRESET)
		log_warning("hand-over from capture: %s, dropping this ring", strerror(-r));
	if (r != -ECONNRESET || !l->attached) {
		detach(l);
		l->retry_ns = daemon_monotonic_ns() + LOOP_RETRY_NS;
		return;
	}
	close(take_fd(&l->capture_fd));
	l->capture_gone = true;
}

/* Where there is no descriptor left, asking again at once would be all we do. */
static void accept_failed(struct loop *l, int error)
{
	uint64_t now = daemon_monotonic_ns();

	if (error != -EACCES)
		l->deaf_ns = now + LOOP_RETRY_NS;
	if (now < l->quiet_ns)
		return;
	l->quiet_ns = now + LOOP_QUIET_NS;
	log_warning("sink's connection: %s, ignoring", strerror(-error));
}

static int listen_fd(const struct loop *l)
{
	return l->deaf_ns && daemon_monotonic_ns() < l->deaf_ns ? -1 : l->s->listen_fd;
}

static int serve_sink(struct loop *l)
{
	struct handover_ring hello = {
		.epoch = l->s->epoch,
		.data_size = l->s->daemon->config.enrich.ring,
	};
	int fds[RING_FDS], fd, r;

	r = handover_accept(l->s->listen_fd, l->s->sink_uid, &fd);
	if (r == -EAGAIN)
		return 0;
	if (r < 0) {
		accept_failed(l, r);
		return 0;
	}
	/* One consumer: a new sink takes over from a dead one whose end of file is still unread. */
	if (l->sink_fd >= 0)
		close(l->sink_fd);
	l->sink_fd = fd;
	r = keeper_hand_over(&l->s->daemon->keeper, fd);
	if (r > 0) {
		log_info("handed over what is left in the ring of a killed run");
		close(take_fd(&l->sink_fd));
		return 0;
	}
	ring_producer_fds(l->s->ring, fds);
	if (r == 0)
		r = handover_send(fd, HANDOVER_RING, &hello, sizeof(hello), fds, RING_FDS);
	if (r == 0)
		r = handover_send(fd, HANDOVER_DONE, NULL, 0, NULL, 0);
	if (r < 0) {
		log_warning("hand-over to sink: %s, dropping the connection", strerror(-r));
		close(take_fd(&l->sink_fd));
		return 0;
	}
	l->held = true;
	return 0;
}

static void hear_sink(struct loop *l)
{
	int r = handover_recv(l->sink_fd, &l->message);

	if (r == -EAGAIN)
		return;
	if (r == 0) {
		handover_message_close(&l->message);
		log_warning("sink sent a message, dropping the connection");
	} else {
		log_info("sink is gone, records wait in the ring");
	}
	close(take_fd(&l->sink_fd));
}

/* Where somebody has set the clock, the time of packets goes on from elsewhere. */
static void look_at_clock(struct loop *l)
{
	if (l->s->offline)
		return;
	steady_look();
	if (steady_steps() == l->steps)
		return;
	l->steps = steady_steps();
	log_warning("the clock was set by %+.6f s", (double)steady_step_ns() / 1e9);
}

/* Reads at most one batch. Returns 1 if there may be more, 0 if the ring is empty, -errno fatal. */
static int read_batch(struct loop *l)
{
	unsigned n = 0;
	int r = 0, result;

	look_at_clock(l);
	while (n < LOOP_BATCH && r == 0) {
		r = ahead_take(&l->ahead, l->ring, l->s->pipeline);
		n += l->ahead.n;
		l->capture_ended |= l->ahead.ended;
		result = ahead_feed(&l->ahead, l->s->pipeline);
		if (result != 0)
			r = result;
	}
	result = pipeline_commit(l->s->pipeline, n >= LOOP_BATCH && r == 0);
	if (result < 0)
		return result;
	if (r == -EPROTO || r == PIPELINE_E_BAD_FRAME) {
		log_error("capture's ring holds an impossible frame, dropping this ring");
		detach(l);
		return 0;
	}
	if (r < 0)
		return r;
	/* Released only now: what this batch led to is already published to sink. */
	pipeline_release(l->s->pipeline, l->ring);
	return n >= LOOP_BATCH;
}

static int drain(struct loop *l)
{
	int r = 1;

	while (r == 1 && l->ring)
		r = read_batch(l);
	if (r < 0)
		return r;
	if (l->ring && l->capture_gone) {
		log_info("capture is gone%s, its ring is drained",
			l->capture_ended ? " in good order" : "");
		detach(l);
	}
	return 0;
}

static void log_losses(struct loop *l)
{
	uint64_t lost = ledger_get(&l->s->daemon->ledger, LEDGER_enrich_records_lost);

	if (lost == l->lost_logged)
		return;
	log_warning("%" PRIu64 " records lost so far: sink does not keep up", lost);
	l->lost_logged = lost;
}

/* Tells capture what the tap should record from now on. */
static void tell_capture(struct loop *l)
{
	struct tap_filter f;

	if (!l->s->owners || !l->attached || l->capture_fd < 0 ||
		!owners_filter_wanted(l->s->owners, &f))
		return;
	/* Full, or gone: next time, or never. */
	if (handover_send(l->capture_fd, HANDOVER_FILTER, &f, sizeof(f), NULL, 0) == 0)
		owners_filter_sent(l->s->owners, &f);
}

static void look_at_ring(const struct loop *l)
{
	uint64_t used;

	if (ring_producer_used(l->s->ring, &used) == 0)
		ledger_set(&l->s->daemon->ledger, LEDGER_enrich_ring_used, used);
}

/* What has to happen without packets: timers, owners' housekeeping, reaching capture. */
static int keep_house(struct loop *l)
{
	const uint64_t late = l->s->daemon->config.capture.batch_timeout_ns + LOOP_LATE_NS;
	uint64_t mono = daemon_monotonic_ns(), now;
	int r = 0;

	if (l->capture_fd < 0 && !l->ring && mono >= l->retry_ns)
		connect_capture(l);
	if (l->s->offline)
		return 0; /* time is that of the packets */
	look_at_clock(l);
	now = steady_now_ns();
	/* A packet older than this can no longer be on its way. */
	if (pipeline_next_ns(l->s->pipeline) <= now - late)
		r = pipeline_expire(l->s->pipeline, now - late);
	if (mono >= l->watch_ns)
		l->watch_ns = mono + pipeline_watch(l->s->pipeline, now);
	if (r >= 0 && mono >= l->house_ns) {
		l->house_ns = mono + LOOP_HOUSE_NS;
		owners_idle(l->s->owners, now - late);
		r = pipeline_losses(l->s->pipeline, now);
		log_losses(l);
		look_at_ring(l);
	}
	tell_capture(l);
	return r;
}

/*
 * Packets are taken only once sink holds our ring: before, a crash would take published records
 * with it. Until then they wait in capture's ring.
 */
static bool may_read(const struct loop *l)
{
	return l->ring && l->attached && l->held;
}

static void add_poll(struct loop *l, int fd)
{
	l->poll[l->n_poll++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

static void prepare_poll(struct loop *l)
{
	size_t n = 0;
	const int *fds = l->s->owners ? owners_poll_fds(l->s->owners, &n, &l->n_tap) : NULL;

	l->n_poll = 0;
	add_poll(l, l->s->signal_fd);
	add_poll(l, listen_fd(l));
	add_poll(l, l->sink_fd);
	add_poll(l, l->capture_fd);
	add_poll(l, l->ring ? ring_consumer_wake_fd(l->ring) : -1);
	for (size_t i = 0; i < n && l->n_poll < SLOTS_MAX; i++)
		add_poll(l, fds[i]);
}

static int timeout_ms(const struct loop *l)
{
	const uint64_t late = l->s->daemon->config.capture.batch_timeout_ns + LOOP_LATE_NS;
	uint64_t mono = daemon_monotonic_ns(), wait, next, now;

	if (l->s->offline)
		return l->ring ? 1000 : (int)(LOOP_RETRY_NS / MS);
	wait = l->house_ns < l->watch_ns ? l->house_ns : l->watch_ns;
	wait = wait > mono ? wait - mono : 0;
	if (!l->ring && l->capture_fd < 0 && l->retry_ns < mono + wait)
		wait = l->retry_ns > mono ? l->retry_ns - mono : 0;
	if (l->deaf_ns > mono && l->deaf_ns < mono + wait)
		wait = l->deaf_ns - mono;
	next = pipeline_next_ns(l->s->pipeline);
	if (next != UINT64_MAX) {
		now = steady_now_ns();
		next += late;
		next = next > now ? next - now : 0;
		if (next < LOOP_TIMER_MIN_NS)
			next = LOOP_TIMER_MIN_NS;
		if (next < wait)
			wait = next;
	}
	return (int)((wait + MS - 1) / MS);
}

/* What the tap and netlink have to say to owners. */
static void hear_kernel(struct loop *l)
{
	uint64_t now = steady_now_ns();
	uint64_t horizon = now - l->s->daemon->config.capture.batch_timeout_ns - LOOP_LATE_NS;
	bool tap = false, netlink = false;

	for (size_t i = SLOT_TAP; i < l->n_poll; i++)
		*(i < SLOT_TAP + l->n_tap ? &tap : &netlink) |= l->poll[i].revents != 0;
	if (netlink)
		owners_idle(l->s->owners, horizon);
	else if (tap)
		owners_tapped(l->s->owners, now, horizon);
	else
		owners_polled(l->s->owners, now);
}

/* Of timeouts some can change between 0 and something only before flows are there. */
static bool is_live(uint64_t now_ns, uint64_t next_ns)
{
	return now_ns && next_ns;
}

/* The configuration again; a bad one changes nothing. */
static void reload(struct loop *l)
{
	const char *live[8] = {"output.files", "limits.tcp_timeout", "limits.tcp_attempt_timeout",
		"limits.udp_timeout"};
	struct config *now = &l->s->daemon->config, next;
	int r = daemon_reload(l->s->daemon, &next), n = 4;

	if (r) {
		log_warning("the configuration is not taken over, the one before it stays");
		config_deinit(&next);
		return;
	}
	if (is_live(now->enrich.start_after_ns, next.enrich.start_after_ns))
		live[n++] = "enrich.start_after";
	if (is_live(now->enrich.first_info_ns, next.enrich.first_info_ns))
		live[n++] = "enrich.first_info";
	if (is_live(now->enrich.active_timeout_ns, next.enrich.active_timeout_ns))
		live[n++] = "enrich.active_timeout";
	daemon_take_over(l->s->daemon, &next, live);
	config_deinit(&next);
	r = pipeline_reconfigure(l->s->pipeline, now);
	if (r < 0)
		log_error("packets for outputs that want them: %s", strerror(-r));
	log_info("the configuration was read again");
}

/* Sleeps until something is to be done. */
static void sleep_and_hear(struct loop *l)
{
	int timeout, signal;

	prepare_poll(l);
	timeout = may_read(l) && !ring_sleep(l->ring, 1) ? 0 : timeout_ms(l);
	if (daemon_poll(l->poll, l->n_poll, notify_alive(timeout)) < 0)
		return;
	/* Woken otherwise, the request may stand: at worst one ring too many. */
	if (l->ring && l->poll[SLOT_RING].revents)
		ring_awake(l->ring);
	while (l->poll[SLOT_SIGNAL].revents && (signal = daemon_read_signal(l->s->signal_fd)) > 0)
		if (signal == SIGTERM || signal == SIGINT)
			l->stopping = true;
		else if (signal == SIGUSR2)
			daemon_dump(l->s->daemon);
		else if (signal == SIGHUP)
			reload(l);
	if (l->poll[SLOT_SINK].revents)
		hear_sink(l);
	if (l->poll[SLOT_LISTEN].revents)
		serve_sink(l);
	if (l->poll[SLOT_CAPTURE].revents)
		hear_capture(l);
	if (l->s->owners)
		hear_kernel(l);
}

/* A millisecond of waiting for room in sink's ring: a (new) sink must be able to attach. */
static void wait_for_sink(void *arg)
{
	struct loop *l = arg;
	struct pollfd fds[] = {
		{.fd = listen_fd(l), .events = POLLIN},
		{.fd = l->sink_fd, .events = POLLIN},
	};

	if (daemon_poll(fds, 2, notify_alive(EMIT_WAIT_NS / (int)MS)) <= 0)
		return;
	if (fds[1].revents)
		hear_sink(l);
	if (fds[0].revents)
		serve_sink(l);
}

/* Everything out: the rest of capture's ring, the end of every flow; then sink may finish. */
static int finish(struct loop *l)
{
	struct pipeline *p = l->s->pipeline;
	uint64_t used, last = 0, waited = 0;
	uint64_t now = l->s->offline ? pipeline_last_ns(p) : steady_now_ns();
	uint64_t real = l->s->offline ? now : steady_to_real(now);
	int r = 0;

	pipeline_set_patience(p, LOOP_STOP_NS, wait_for_sink, l);
	if (l->ring)
		r = drain(l);
	if (r >= 0)
		r = pipeline_finish(p, now);
	if (r >= 0)
		r = pipeline_losses(p, now);
	if (r >= 0)
		r = ring_put(l->s->ring, RING_FRAME_END, 0, real, 0, NULL, 0, NULL, 0);
	if (r >= 0)
		r = ring_commit(l->s->ring);
	/* Leave only when sink has everything: the ring would die with both ends. */
	while (r >= 0 && waited < LOOP_STOP_NS) {
		r = ring_producer_used(l->s->ring, &used);
		if (r < 0 || !used)
			break;
		waited = used == last ? waited + MS : 0;
		last = used;
		wait_for_sink(l);
		ring_commit(l->s->ring);
	}
	return r < 0 ? r : 0;
}

int loop_run(const struct loop_setup *setup)
{
	static struct loop loop; /* large, and there is one */
	struct loop *l = &loop;
	int r = 0;

	*l = (struct loop){.s = setup, .capture_fd = -1, .sink_fd = -1};
	l->lost_logged = ledger_get(&setup->daemon->ledger, LEDGER_enrich_records_lost);
	if (setup->offline)
		pipeline_set_patience(setup->pipeline, LOOP_OFFLINE_NS, wait_for_sink, l);
	ledger_set(
		&setup->daemon->ledger, LEDGER_enrich_ring_size, setup->daemon->config.enrich.ring);
	ledger_ready(&setup->daemon->ledger);
	notify_send("READY=1");
	while (r >= 0 && !l->stopping) {
		sleep_and_hear(l);
		if (may_read(l))
			r = drain(l);
		if (r >= 0)
			r = keep_house(l);
		if (setup->offline && l->capture_ended)
			break;
	}
	if (r >= 0)
		r = finish(l);
	detach(l);
	if (l->sink_fd >= 0)
		close(l->sink_fd);
	return r;
}
