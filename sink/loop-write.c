/* SPDX-License-Identifier: Apache-2.0 */
/* The loop's output: batches to files, errors told, the ring's tail behind what is written. */
#include "sink/loop-internal.h"

#include <string.h>

#include "config/log.h"
#include "sink/figures.h"

/* The first error of an output, and its end. */
static void log_error_of(struct loop *l, struct output *o)
{
	int error = writer_error(o->writer);

	if (writer_is_broken(o->writer)) {
		if (!o->told.gone)
			log_warning("output %s: nobody reads it any more", o->path);
		o->told.gone = true;
		return;
	}
	if (error && !o->told.failing && l->now_ns >= o->told.quiet_ns) {
		log_error(
			"output %s cannot be written: %s, trying again", o->path, strerror(-error));
		o->told.failing = true;
		o->told.quiet_ns = l->now_ns + LOOP_COMPLAIN_NS;
	} else if (!error && o->told.failing) {
		log_info("output %s can be written again", o->path);
		o->told.failing = false;
	}
}

void loop_write(struct loop *l)
{
	uint64_t counts[SPOOL_COUNTERS] = {0};
	bool quiet = l->empty || l->finishing;
	bool last = l->ended || l->finishing || l->stopping || l->source.fd < 0;

	if (l->flush_ns && (l->now_ns >= l->flush_ns || (quiet && last)))
		loop_seal(l);
	if (l->sync_ns && l->now_ns >= l->sync_ns) {
		spool_sync(l->spool);
		l->sync_ns = 0;
	}
	if (spool_progress(l->spool, l->now_ns, counts))
		tail_release(&l->tail, l->source.ring, counts);
	figures_count(l->ledger, l->spool);
	for (unsigned i = 0; i < l->spool->n; i++)
		log_error_of(l, &l->spool->output[i]);
	if (spool_is_broken(l->spool) && !l->failed && !l->finishing) {
		log_error("no output is left");
		loop_fail(l, LOOP_EXIT_OUTPUT_GONE);
	}
}

/* Files are changed, removed and compressed between a batch and the next. */
void loop_keep_up(struct loop *l)
{
	struct upkeep *u = &l->upkeep;

	if (l->finishing)
		return;
	u->wanted = l->reload.pending;
	if (upkeep_wants_rest(u, l->now_ns) && l->spool->dirty) {
		loop_seal(l);
		loop_write(l);
	}
	if (u->rotating)
		l->empty = false;
	/* Later syncs are of the next file. */
	if (u->rotating && l->sync_ns && spool_is_clean(l->spool)) {
		l->sync_ns = l->now_ns;
		loop_write(l);
	}
	loop_reload_step(l);
	upkeep_step(u, l->source.ring, l->now_ns);
	if (u->trouble.output)
		log_error("output %s %s: %s, trying again later", u->trouble.output->path,
			u->trouble.what, strerror(-u->trouble.error));
	u->trouble.output = NULL;
	if (!u->restart || l->failed)
		return;
	log_error("an output has a new folder: starting again to be allowed into it");
	loop_fail(l, LOOP_EXIT_AGAIN);
	/* What cannot be written stays in the ring, for our next life. */
	if (!spool_is_clean(l->spool))
		l->finish_ns = l->now_ns;
}
