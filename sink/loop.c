/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowner-sink's loop.
 *
 * Wake-ups: with nothing to write it sleeps until anything comes; with something to write it sleeps
 * until that is old enough, or half the ring is full. Under load it makes one system call per
 * write, and the end of a batch's last write wakes nobody: the next batch is soon enough.
 */
#include "sink/loop.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "config/log.h"
#include "config/notify.h"
#include "sink/figures.h"
#include "sink/loop-internal.h"

#define LAZY_NS       (250 * MS)  /* at most: how long a write that has ended may go unnoticed */
#define LOOK_NS       (50 * MS)   /* under load: how often signals and the peer are looked at */
#define LAZY_PART     4           /* while this part of the ring, or less, is not released */
#define STOP_READ_NS  (5000 * MS) /* to drain a producer that goes on */
#define STOP_WRITE_NS (4000 * MS) /* then to get it written */
#define STOP_HALT_NS  (500 * MS)  /* then for a last write to succeed or fail */

enum { FD_SIGNAL, FD_PEER, FD_RING, FD_FIXED };

void loop_log_output(const struct output *o)
{
	log_info("writing %s to %s with %s", o->format->name,
		strcmp(o->path, "-") ? o->path : "standard output",
		writer_is_uring(o->writer) ? "io_uring" : "plain writes");
}

static void log_stop(const struct loop *l)
{
	const struct ledger *g = l->ledger;

	log_info("stopped: %llu records written, %llu lost, %llu invalid, %llu bytes",
		(unsigned long long)ledger_get(g, LEDGER_sink_records_written),
		(unsigned long long)ledger_get(g, LEDGER_sink_records_lost),
		(unsigned long long)ledger_get(g, LEDGER_sink_records_invalid),
		(unsigned long long)ledger_get(g, LEDGER_sink_bytes_written));
}

/* The end ----------------------------------------------------------------------------------- */

static void check_stop(struct loop *l)
{
	if (l->finishing)
		return;
	if (l->ended && l->o->exit_at_end && l->empty)
		l->finishing = true;
	if (l->stopping && (!l->source.ring || l->empty || l->now_ns >= l->stop_ns))
		l->finishing = true;
}

/* Whole batches are what is left of files; true when that is done, or cannot be. */
static bool give_up(struct loop *l)
{
	bool halted = spool_halt(l->spool);

	if (!l->given_up) {
		log_error("stopping with records that could not be written; they stay in the ring");
		l->failed = l->failed ? l->failed : 1;
		l->given_up = true;
		l->finish_ns = l->now_ns + STOP_HALT_NS;
	}
	if (!halted && l->now_ns < l->finish_ns)
		return false;
	spool_cut(l->spool);
	return true;
}

/* True when there is nothing left to do. */
static bool is_finished(struct loop *l)
{
	uint64_t nothing[SPOOL_COUNTERS];

	if (!l->finishing)
		return false;
	if (!l->finish_ns)
		l->finish_ns = l->now_ns + STOP_WRITE_NS;
	if (l->given_up || l->now_ns >= l->finish_ns)
		return give_up(l);
	if (!spool_is_clean(l->spool))
		return false;
	if (!l->ending && l->tail.recovered && !spool_is_broken(l->spool)) {
		int r = spool_end(l->spool, daemon_realtime_ns());

		l->ending = true;
		if (r < 0)
			log_error("an output cannot be ended: %s", strerror(-r));
		loop_write(l);
		if (!spool_is_clean(l->spool))
			return false;
	}
	if (!l->final_sync) {
		l->final_sync = true;
		spool_sync(l->spool);
		spool_progress(l->spool, l->now_ns, nothing); /* starts it */
	}
	return !spool_is_syncing(l->spool);
}

/* Sleep ------------------------------------------------------------------------------------- */

static void sooner(uint64_t *due, uint64_t t)
{
	if (t && t < *due)
		*due = t;
}

/* The milliseconds until something is due by the clock, rounded up; -1 = nothing is. */
static int time_out(const struct loop *l)
{
	uint64_t due = spool_due_ns(l->spool);

	sooner(&due, l->flush_ns);
	sooner(&due, l->sync_ns);
	sooner(&due, l->finish_ns);
	if (!l->finishing)
		sooner(&due, upkeep_due_ns(&l->upkeep));
	if (l->tail.recovered && !l->upkeep.rotating && spool_has_room(l->spool))
		sooner(&due, losses_due_ns(&l->spool->open.losses, &l->told,
				     l->o->daemon->config.metrics.losses_ns));
	if (l->stopping && !l->finishing)
		sooner(&due, l->stop_ns);
	if (l->source.fd < 0 && !l->source.ring && !l->finishing)
		sooner(&due, l->connect_ns);
	if (due == WRITER_NEVER)
		return -1;
	if (due <= l->now_ns)
		return 0;
	return (int)((due - l->now_ns + MS - 1) / MS);
}

static void take_signals(struct loop *l)
{
	int sig;

	while ((sig = daemon_read_signal(l->o->signal_fd)) > 0) {
		l->upkeep.reopen |= sig == SIGUSR1 || sig == SIGHUP;
		if (sig == SIGHUP)
			loop_reload(l);
		if (sig == SIGUSR2)
			daemon_dump(l->o->daemon);
		if (sig != SIGTERM && sig != SIGINT)
			continue;
		if (!l->stopping)
			l->stop_ns = l->now_ns + STOP_READ_NS;
		l->stopping = true;
		l->empty = false; /* look once more before believing it */
	}
}

/*
 * Whether the ends of writes may wait until something else wakes us: that is due soon, nothing is
 * to be started before, and most of the ring is free although they hold on to their part of it.
 */
static bool is_lazy(const struct loop *l)
{
	return l->flush_ns && l->flush_ns <= l->now_ns + LAZY_NS && spool_is_ending(l->spool) &&
	       l->spool->open.pos - l->tail.released <=
		       ring_consumer_size(l->source.ring) / LAZY_PART;
}

/* Waits for whatever can happen, at most @timeout ms; @ring: also for its doorbell. */
static void wait_for(struct loop *l, int timeout, bool ring)
{
	unsigned n = FD_FIXED;
	struct pollfd fds[FD_FIXED + CHECKPOINT_OUTPUTS] = {
		[FD_SIGNAL] = {.fd = l->o->signal_fd, .events = POLLIN},
		[FD_PEER] = {.fd = l->source.fd, .events = POLLIN},
		[FD_RING] = {.fd = ring ? ring_consumer_wake_fd(l->source.ring) : -1,
			.events = POLLIN},
	};

	if (!ring || !is_lazy(l))
		n += spool_poll(l->spool, fds + FD_FIXED);
	if (daemon_poll(fds, n, notify_alive(timeout)) <= 0)
		return;
	l->now_ns = daemon_monotonic_ns();
	/* Woken otherwise, the request may stand: at worst one ring too many. */
	if (fds[FD_RING].revents)
		ring_awake(l->source.ring);
	if (fds[FD_SIGNAL].revents)
		take_signals(l);
	if (fds[FD_PEER].revents && l->source.fd >= 0) {
		loop_receive(l);
		l->empty = false; /* what was published before the peer went */
	}
}

/*
 * Sleeping on the ring makes sense only if it is drained and what comes could be taken. With a
 * batch on its way the ring may fill to a half until that is due.
 */
static void sleep_on_ring(struct loop *l)
{
	uint64_t enough = l->flush_ns ? ring_consumer_size(l->source.ring) / 2 : 1;

	if (ring_sleep(l->source.ring, enough))
		wait_for(l, time_out(l), true);
	l->empty = false;
}

static void wait(struct loop *l)
{
	bool reading = l->source.ring && l->source.done && !l->finishing && !l->upkeep.rotating;
	int timeout;

	if (reading && l->empty && l->source.fd >= 0 && !l->ended) {
		sleep_on_ring(l);
		l->look_ns = daemon_monotonic_ns() + LOOK_NS;
		return;
	}
	if (reading && !l->empty && spool_has_room(l->spool)) {
		if (l->now_ns < l->look_ns)
			return; /* busy: go on reading */
		timeout = 0;
	} else {
		timeout = time_out(l);
	}
	wait_for(l, timeout, false);
	l->look_ns = l->now_ns + LOOK_NS;
}

int loop_run(const struct loop_options *options)
{
	static struct loop loop; /* large, and one is all there is */
	static struct known known;
	struct loop *l = &loop;

	memset(l, 0, sizeof(*l));
	l->o = options;
	l->spool = options->spool;
	l->ledger = &options->daemon->ledger;
	l->known = &known;
	l->connect_step_ns = LOOP_CONNECT_NS;
	l->tail = (struct tail){.spool = l->spool, .ledger = l->ledger};
	upkeep_init(&l->upkeep, &l->tail);
	source_init(&l->source);
	figures_name(l->ledger, l->spool);
	for (unsigned i = 0; i < l->spool->n; i++)
		loop_log_output(&l->spool->output[i]);
	ledger_ready(l->ledger);
	notify_send("READY=1");
	for (;;) {
		l->now_ns = daemon_monotonic_ns();
		loop_connect(l);
		loop_read(l);
		check_stop(l);
		loop_tell(l);
		loop_write(l);
		loop_keep_up(l);
		if (is_finished(l))
			break;
		loop_bury_orphan(l);
		wait(l);
	}
	notify_send("STOPPING=1");
	source_close(&l->source);
	upkeep_deinit(&l->upkeep);
	reload_deinit(&l->reload);
	log_stop(l);
	return l->failed;
}
