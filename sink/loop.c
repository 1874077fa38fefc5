/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowner-sink's loop.
 *
 * Wake-ups: with nothing to write it sleeps until anything comes; with something to write it sleeps
 * until that is old enough, or half the ring is full. Under load it makes one system call per
 * write.
 */
#include "sink/loop.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "config/log.h"
#include "config/notify.h"
#include "sink/reload.h"
#include "sink/source.h"
#include "sink/tail.h"
#include "sink/upkeep.h"

#define MS               UINT64_C(1000000)
#define CONNECT_FIRST_NS (20 * MS)
#define CONNECT_MOST_NS  (500 * MS)
#define LOOK_NS          (50 * MS)   /* under load: how often signals and the peer are looked at */
#define STOP_READ_NS     (5000 * MS) /* to drain a producer that goes on */
#define STOP_WRITE_NS    (4000 * MS) /* then to get it written */
#define COMPLAIN_NS      (10000 * MS)
#define RING_PARTS       4  /* a batch is at most this part of the ring */
#define BUSY_RECORDS     64 /* in one batch: do not wake for each single record */

enum { FD_SIGNAL, FD_PEER, FD_RING, FD_FIXED };

struct loop {
	const struct loop_options *o;
	struct spool *spool;
	struct ledger *ledger;
	struct source source;
	struct tail tail;
	struct upkeep upkeep;
	uint64_t now_ns;

	uint64_t connect_ns, connect_step_ns; /* next try, pause after it */
	uint64_t sealed_pos;
	uint64_t flush_ns; /* when the next batch is due at the latest; 0 = nothing to write */
	uint64_t sync_ns;  /* when the next sync is due; 0 = nothing to sync */
	uint64_t look_ns;
	bool empty;     /* the ring was, when last read */
	bool ended;     /* the producer has said so */
	bool finishing; /* no more reading: write what there is and go */
	bool stopping;  /* asked by a signal */
	uint64_t stop_ns;
	uint64_t finish_ns; /* when a final write that cannot succeed is given up */
	bool final_sync, ending;
	int failed; /* exit status of a fatal error, 0 = none */

	bool failing[CHECKPOINT_OUTPUTS], gone[CHECKPOINT_OUTPUTS];
	uint64_t quiet_ns[CHECKPOINT_OUTPUTS]; /* say nothing about this output before */
	uint64_t peer_quiet_ns;
	uint64_t bytes_seen[CHECKPOINT_OUTPUTS], writes_seen, errors_seen;

	struct record loss;
	_Alignas(8) char body[RING_BODY_MAX];
};

/* Log lines --------------------------------------------------------------------------------- */

static void log_start(const struct loop *l)
{
	for (unsigned i = 0; i < l->spool->n; i++) {
		const struct output *o = &l->spool->output[i];

		log_info("writing %s to %s with %s", o->format->name,
			strcmp(o->path, "-") ? o->path : "standard output",
			writer_is_uring(o->writer) ? "io_uring" : "plain writes");
	}
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

static void complain_of_peer(struct loop *l, const char *what, int error)
{
	if (l->now_ns < l->peer_quiet_ns)
		return;
	l->peer_quiet_ns = l->now_ns + COMPLAIN_NS;
	log_warning("enrich %s: %s, ignoring", what, strerror(-error));
}

/* The first error of an output, and its end. */
static void log_output(struct loop *l, unsigned i)
{
	const struct output *o = &l->spool->output[i];
	int error = writer_error(o->writer);

	if (writer_is_broken(o->writer)) {
		if (!l->gone[i])
			log_warning("output %s: nobody reads it any more", o->path);
		l->gone[i] = true;
		return;
	}
	if (error && !l->failing[i] && l->now_ns >= l->quiet_ns[i]) {
		log_error(
			"output %s cannot be written: %s, trying again", o->path, strerror(-error));
		l->failing[i] = true;
		l->quiet_ns[i] = l->now_ns + COMPLAIN_NS;
	} else if (!error && l->failing[i]) {
		log_info("output %s can be written again", o->path);
		l->failing[i] = false;
	}
}

/* Where records come from ------------------------------------------------------------------- */

static void drop_source(struct loop *l)
{
	source_close(&l->source);
	l->ended = false;
	l->connect_ns = l->now_ns + l->connect_step_ns;
	if (l->connect_step_ns < CONNECT_MOST_NS)
		l->connect_step_ns *= 2;
}

static void fail(struct loop *l, int status)
{
	l->failed = status;
	l->finishing = true;
}

static void attached(struct loop *l)
{
	const struct output *bad = NULL;
	bool resumed = false;
	int r = tail_attach(&l->tail, l->source.ring, &resumed, &bad);

	if (r < 0) {
		log_error("output %s: the place to go on cannot be found: %s", bad->path,
			r == -EBADMSG ? "it is not a file of this format" : strerror(-r));
		fail(l, 1);
		return;
	}
	l->sealed_pos = l->tail.released;
	l->connect_step_ns = CONNECT_FIRST_NS;
	l->empty = l->ended = false;
	upkeep_attached(&l->upkeep);
	if (l->spool->dirty) /* the heads of streams */
		l->flush_ns = l->now_ns + l->o->daemon->config.output.flush_ns;
	notify_send("STATUS=attached"); /* `flowner run` waits for it */
	log_info("reading the records of enrich's run %llu%s",
		(unsigned long long)ring_consumer_epoch(l->source.ring),
		resumed ? ", from where it stood" : "");
}

static void receive(struct loop *l)
{
	int r = source_receive(&l->source);

	switch (r) {
	case SOURCE_E_AGAIN:
		return;
	case SOURCE_E_ATTACHED:
		attached(l);
		return;
	case SOURCE_E_GONE:
		break;
	default:
		complain_of_peer(l, "misbehaves while handing over its ring", r);
		l->connect_step_ns = CONNECT_MOST_NS;
		break;
	}
	if (!l->source.ring || !l->source.done) {
		drop_source(l);
		return;
	}
	source_disconnect(&l->source); /* an orphan now: drain it first */
	l->connect_ns = l->now_ns + l->connect_step_ns;
}

static void connect_source(struct loop *l)
{
	int r;

	if (l->source.fd >= 0 || l->source.ring || l->finishing || l->stopping ||
		l->now_ns < l->connect_ns)
		return;
	r = source_connect(&l->source, l->o->socket_path, l->o->peer);
	if (r == 0)
		return;
	if (r < 0)
		complain_of_peer(l, "cannot be reached", r);
	drop_source(l);
}

/* An orphan ring that is drained and written is done with. */
static void bury_orphan(struct loop *l)
{
	if (!l->source.ring || l->source.fd >= 0 || !l->empty || !spool_is_clean(l->spool))
		return;
	source_close(&l->source);
	l->ended = false;
}

/* Records ----------------------------------------------------------------------------------- */

static void take_loss(struct loop *l, const struct ring_frame *f)
{
	struct ring_loss loss;

	memcpy(&loss, l->body, sizeof(loss)); /* the ring has checked the length */
	if (format_loss(&l->loss, &loss, ring_consumer_epoch(l->source.ring), f->t_ns) == 0) {
		spool_put(l->spool, &l->loss, f->pos);
		return;
	}
	spool_pass(l->spool, f->pos, true, 0);
	complain_of_peer(l, "sent an impossible loss record", -EPROTO);
}

static void take_record(struct loop *l, const struct ring_frame *f)
{
	const struct record *r = (const struct record *)l->body;
	int e = format_check(r, f->len);

	if (e == 0) {
		spool_put(l->spool, r, f->pos);
		return;
	}
	spool_pass(l->spool, f->pos, true, e == RECORD_E_SIZE ? 0 : r->delta_packets);
	complain_of_peer(l, "sent a record that fails validation", -EPROTO);
}

static void take_frame(struct loop *l, const struct ring_frame *f)
{
	switch (f->type) {
	case RING_FRAME_RECORD:
		take_record(l, f);
		return;
	case RING_FRAME_LOSS:
		take_loss(l, f);
		return;
	case RING_FRAME_END:
		l->ended = true;
		break;
	case RING_FRAME_TIME:
		break;
	case RING_FRAME_PACKET:
		complain_of_peer(l, "sent a packet where records belong", -EPROTO);
		break;
	}
	spool_pass(l->spool, f->pos, false, 0);
}

/*
 * A batch is due at output.buffer; while the ring has more, it may grow to half of the outputs'
 * queue, so that the other half is written meanwhile.
 */
static bool is_due(const struct loop *l)
{
	uint64_t enough = l->o->daemon->config.output.buffer;

	if (!l->empty)
		enough *= OUTPUT_QUEUE / 2;
	return l->spool->full || spool_unsealed(l->spool) >= enough ||
	       l->spool->open.pos - l->sealed_pos >=
		       ring_consumer_size(l->source.ring) / RING_PARTS;
}

/*
 * A batch of some size is likely to be followed by another: the next is then due after the same
 * time, whatever comes, and nobody rings for its first record.
 */
static void seal(struct loop *l)
{
	bool busy = l->spool->open.counts[SPOOL_RECORDS_READ] >= BUSY_RECORDS;

	spool_seal(l->spool);
	l->sealed_pos = l->spool->open.pos;
	l->flush_ns = busy ? l->now_ns + l->o->daemon->config.output.flush_ns : 0;
	if (l->o->daemon->config.output.sync_ns && !l->sync_ns)
		l->sync_ns = l->now_ns + l->o->daemon->config.output.sync_ns;
}

static void broken_ring(struct loop *l)
{
	complain_of_peer(l, "wrote an impossible ring", -EPROTO);
	source_disconnect(&l->source);
	l->empty = true; /* what came before is written, then it is let go like an orphan */
	l->connect_ns = l->now_ns + CONNECT_MOST_NS;
}

/* Reads until the ring is empty, a batch is due or there is no room. */
static void read_ring(struct loop *l)
{
	struct ring_frame f;

	if (!l->source.ring || !l->source.done || l->finishing || l->upkeep.rotating)
		return;
	while (spool_has_room(l->spool)) {
		int r = ring_get(l->source.ring, l->body, &f);

		if (r == RING_E_EMPTY) {
			l->empty = true;
			if (is_due(l))
				seal(l);
			return;
		}
		if (r < 0) {
			broken_ring(l);
			return;
		}
		l->empty = false;
		take_frame(l, &f);
		if (l->spool->dirty && !l->flush_ns)
			l->flush_ns = l->now_ns + l->o->daemon->config.output.flush_ns;
		if (is_due(l)) {
			seal(l);
			return;
		}
	}
	seal(l);
}

/* Writing ----------------------------------------------------------------------------------- */

static void count_writes(struct loop *l)
{
	uint64_t writes = 0, errors = 0;
	bool uring = false;

	for (unsigned i = 0; i < l->spool->n; i++) {
		const struct writer *w = l->spool->output[i].writer;

		writes += writer_writes(w);
		errors += writer_errors(w);
		uring |= writer_is_uring(w);
		log_output(l, i);
	}
	ledger_add(l->ledger, LEDGER_sink_writes, writes - l->writes_seen);
	ledger_add(l->ledger, LEDGER_sink_write_errors, errors - l->errors_seen);
	ledger_set(l->ledger, LEDGER_sink_io_uring, uring);
	l->writes_seen = writes;
	l->errors_seen = errors;
}

static void write_out(struct loop *l)
{
	uint64_t counts[SPOOL_COUNTERS] = {0};
	bool quiet = l->empty || l->finishing;
	bool last = l->ended || l->finishing || l->stopping || l->source.fd < 0;

	if (l->flush_ns && (l->now_ns >= l->flush_ns || (quiet && last)))
		seal(l);
	if (l->sync_ns && l->now_ns >= l->sync_ns) {
		spool_sync(l->spool);
		l->sync_ns = 0;
	}
	if (spool_progress(l->spool, l->now_ns, counts))
		tail_release(&l->tail, l->source.ring, counts);
	count_writes(l);
	if (spool_is_broken(l->spool) && !l->failed && !l->finishing) {
		log_error("no output is left");
		fail(l, LOOP_EXIT_OUTPUT_GONE);
	}
}

/* Files are changed, removed and compressed between a batch and the next. */
static void keep_up(struct loop *l)
{
	struct upkeep *u = &l->upkeep;

	if (l->finishing)
		return;
	if (upkeep_wants_rest(u, l->now_ns) && l->spool->dirty) {
		seal(l);
		write_out(l);
	}
	if (u->rotating)
		l->empty = false;
	upkeep_step(u, l->source.ring, l->now_ns);
	if (u->trouble.output)
		log_error("output %s %s: %s, trying again later", u->trouble.output->path,
			u->trouble.what, strerror(-u->trouble.error));
	u->trouble.output = NULL;
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

/* True when there is nothing left to do. */
static bool is_finished(struct loop *l)
{
	uint64_t nothing[SPOOL_COUNTERS];

	if (!l->finishing)
		return false;
	if (!l->finish_ns)
		l->finish_ns = l->now_ns + STOP_WRITE_NS;
	if (l->now_ns >= l->finish_ns) {
		log_error("stopping with records that could not be written; they stay in the ring");
		l->failed = l->failed ? l->failed : 1;
		return true;
	}
	if (!spool_is_clean(l->spool))
		return false;
	if (!l->ending && l->tail.recovered && !spool_is_broken(l->spool)) {
		int r = spool_end(l->spool, daemon_realtime_ns());

		l->ending = true;
		if (r < 0)
			log_error("an output cannot be ended: %s", strerror(-r));
		write_out(l);
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

/* The configuration again; a bad one changes nothing. */
static void reload(struct loop *l)
{
	char why[512] = "", left[512] = "";
	struct config next;
	int r = daemon_reload(l->o->daemon, &next);

	if (r == 0) {
		r = reload_apply(l->spool, &l->o->daemon->config, &next, daemon_realtime_ns(), why,
			left, sizeof(why));
		if (r)
			log_error("%s", r < 0 ? strerror(-r) : why);
	}
	if (r)
		log_warning("the configuration is not taken over, the one before it stays");
	else if (*left)
		log_warning("the configuration was read again; these need a restart: %s", left);
	else
		log_info("the configuration was read again");
	config_deinit(&next);
	upkeep_attached(&l->upkeep);
}

static void take_signals(struct loop *l)
{
	int sig;

	while ((sig = daemon_read_signal(l->o->signal_fd)) > 0) {
		l->upkeep.reopen |= sig == SIGUSR1 || sig == SIGHUP;
		if (sig == SIGHUP)
			reload(l);
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

/* Waits for whatever can happen, at most @timeout ms; @ring: also for its doorbell. */
static void wait_for(struct loop *l, int timeout, bool ring)
{
	struct pollfd fds[FD_FIXED + CHECKPOINT_OUTPUTS] = {
		[FD_SIGNAL] = {.fd = l->o->signal_fd, .events = POLLIN},
		[FD_PEER] = {.fd = l->source.fd, .events = POLLIN},
		[FD_RING] = {.fd = ring ? ring_consumer_wake_fd(l->source.ring) : -1,
			.events = POLLIN},
	};

	if (poll(fds, FD_FIXED + spool_poll(l->spool, fds + FD_FIXED), notify_alive(timeout)) <= 0)
		return;
	l->now_ns = daemon_monotonic_ns();
	/* Woken otherwise, the request may stand: at worst one ring too many. */
	if (fds[FD_RING].revents)
		ring_awake(l->source.ring);
	if (fds[FD_SIGNAL].revents)
		take_signals(l);
	if (fds[FD_PEER].revents && l->source.fd >= 0) {
		receive(l);
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
	struct loop *l = &loop;

	memset(l, 0, sizeof(*l));
	l->o = options;
	l->spool = options->spool;
	l->ledger = &options->daemon->ledger;
	l->connect_step_ns = CONNECT_FIRST_NS;
	l->tail = (struct tail){.spool = l->spool, .ledger = l->ledger};
	upkeep_init(&l->upkeep, &l->tail);
	source_init(&l->source);
	log_start(l);
	ledger_ready(l->ledger);
	notify_send("READY=1");
	for (;;) {
		l->now_ns = daemon_monotonic_ns();
		connect_source(l);
		read_ring(l);
		check_stop(l);
		write_out(l);
		keep_up(l);
		if (is_finished(l))
			break;
		bury_orphan(l);
		wait(l);
	}
	notify_send("STOPPING=1");
	source_close(&l->source);
	upkeep_deinit(&l->upkeep);
	log_stop(l);
	return l->failed;
}
