/* SPDX-License-Identifier: Apache-2.0 */
/* The loop's input: enrich's socket and ring, record by record into the spool. */
#include "sink/loop-internal.h"

#include <errno.h>
#include <string.h>

#include "config/log.h"
#include "config/notify.h"

#define CONNECT_MOST_NS (500 * MS)
#define RING_PARTS      4  /* a batch is at most this part of the ring */
#define BUSY_RECORDS    16 /* in one batch: do not wake for each single record */

static void complain_of_peer(struct loop *l, const char *what, int error)
{
	if (l->now_ns < l->peer_quiet_ns)
		return;
	l->peer_quiet_ns = l->now_ns + LOOP_COMPLAIN_NS;
	log_warning("enrich %s: %s, ignoring", what, strerror(-error));
}

void loop_fail(struct loop *l, int status)
{
	l->failed = status;
	l->finishing = true;
}

/* Where records come from ------------------------------------------------------------------- */

static void drop_source(struct loop *l)
{
	source_close(&l->source);
	l->ended = false;
	l->connect_ns = l->now_ns + l->connect_step_ns;
	if (l->connect_step_ns < CONNECT_MOST_NS)
		l->connect_step_ns += l->connect_step_ns / 4; /* at most a fifth too late */
}

/* Outputs stand where they go on: what only that needed goes. */
static void narrow(struct loop *l)
{
	int r = l->narrow ? 0 : sandbox_narrow(l->o->sandbox);

	l->narrow = true;
	if (r == 0)
		return;
	log_error("the sandbox cannot be narrowed: %s", strerror(-r));
	loop_fail(l, 1);
}

static void attached(struct loop *l)
{
	const struct output *bad = NULL;
	bool resumed = false;
	int r = tail_attach(&l->tail, l->source.ring, &resumed, &bad);

	if (r < 0) {
		log_error("output %s: the place to go on cannot be found: %s", bad->path,
			r == -EBADMSG ? "it is not a file of this format" : strerror(-r));
		loop_fail(l, 1);
		return;
	}
	narrow(l);
	l->sealed_pos = l->tail.released;
	l->spool->epoch = ring_consumer_epoch(l->source.ring);
	l->connect_step_ns = LOOP_CONNECT_NS;
	l->empty = l->ended = false;
	upkeep_attached(&l->upkeep);
	if (l->spool->dirty) /* the heads of streams */
		l->flush_ns = l->now_ns + l->o->daemon->config.output.flush_ns;
	notify_send("STATUS=attached"); /* `flowner run` waits for it */
	log_info("reading the records of enrich's run %llu%s",
		(unsigned long long)ring_consumer_epoch(l->source.ring),
		resumed ? ", from where it stood" : "");
}

void loop_receive(struct loop *l)
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

void loop_connect(struct loop *l)
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
void loop_bury_orphan(struct loop *l)
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
		spool_loss(l->spool, &loss, f->pos);
		return;
	}
	spool_pass(l->spool, f->pos, true, 0);
	complain_of_peer(l, "sent an impossible loss record", -EPROTO);
}

static void take_record(struct loop *l, const struct ring_frame *f)
{
	const struct record *r = (const struct record *)l->body;
	struct known_ends ends;
	int e = known_check(l->known, r, f->len, &ends);

	if (e == 0) {
		spool_put(l->spool, r, &ends, f->pos);
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
 * A batch is due at output.buffer; while the ring has more, it may grow to almost half of the
 * outputs' queue, so that the other half is written meanwhile.
 */
static bool is_due(const struct loop *l)
{
	uint64_t enough = l->o->daemon->config.output.buffer;

	if (!l->empty)
		enough *= OUTPUT_QUEUE / 2 - 1;
	return l->spool->full || spool_unsealed(l->spool) >= enough ||
	       l->spool->open.pos - l->sealed_pos >=
		       ring_consumer_size(l->source.ring) / RING_PARTS;
}

/*
 * A batch of some size is likely to be followed by another: the next is then due after the same
 * time, whatever comes, and nobody rings for its first record.
 */
void loop_seal(struct loop *l)
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
void loop_read(struct loop *l)
{
	struct ring_frame f;

	if (!l->source.ring || !l->source.done || l->finishing || l->upkeep.rotating)
		return;
	while (spool_has_room(l->spool)) {
		int r = ring_get(l->source.ring, l->body, &f);

		if (r == RING_E_EMPTY) {
			l->empty = true;
			if (is_due(l))
				loop_seal(l);
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
			loop_seal(l);
			return;
		}
	}
	loop_seal(l);
}

void loop_tell(struct loop *l)
{
	uint64_t step_ns = l->finishing ? 0 : l->o->daemon->config.metrics.losses_ns;

	if (l->tail.recovered && !l->upkeep.rotating &&
		spool_tell(l->spool, &l->told, step_ns, l->now_ns, &l->loss) && !l->flush_ns)
		l->flush_ns = l->now_ns + l->o->daemon->config.output.flush_ns;
}
