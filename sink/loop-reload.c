/* SPDX-License-Identifier: Apache-2.0 */
/* The loop's SIGHUP: the configuration again; a bad one changes nothing. */
#include "sink/loop-internal.h"

#include <string.h>
#include <sys/stat.h>

#include "config/log.h"
#include "sink/figures.h"
#include "sink/sandbox.h"

static const char *const LIVE[] = {
	"output.files", "output.flush", "output.sync", "metrics.losses", NULL};

void loop_reload(struct loop *l)
{
	struct output_error why = {0};
	struct config next;
	int r;

	if (l->reload.pending) {
		l->reload.again = true;
		return;
	}
	r = daemon_reload(l->o->daemon, &next);
	if (r == 0 && !sink_sandbox_fits(l->o->sandbox, l->spool, &next)) {
		log_info("the configuration was read again and needs what was given up at the "
			 "start (a folder, ways to change files): ending, to be started again");
		config_deinit(&next);
		loop_fail(l, LOOP_EXIT_AGAIN);
		return;
	}
	if (r == 0) {
		r = reload_prepare(
			&l->reload, l->spool, &next, l->o->context, l->tail.recovered, &why);
		if (r)
			log_error("%s", r < 0 ? strerror(-r) : why.text);
		for (unsigned i = 0; !r && i < l->reload.n_fresh; i++)
			if (!sink_sandbox_syncs(l->o->sandbox))
				writer_set_durable(l->reload.fresh[i].writer);
	}
	config_deinit(&next);
	if (r)
		log_warning("the configuration is not taken over, the one before it stays");
	else if (!l->tail.recovered)
		loop_reload_step(l); /* before a ring comes, with which all places are found */
}

/* A file that root has made while it was named in no rule. */
static void tell_owner(const struct loop *l, const struct output *o)
{
	struct stat st;

	if (o->target == WRITER_FILE && o->limits.compress != CONFIG_COMPRESS_NONE &&
		fstat(o->fd, &st) == 0 && st.st_uid != l->o->uid)
		log_warning("output %s: its file belongs to user %u: it can be put aside but not "
			    "compressed, ignoring",
			o->path, st.st_uid);
}

static void tell(const struct loop *l, unsigned n_fresh)
{
	const struct spool *s = l->spool;

	for (unsigned i = 0; i < s->n; i++) {
		if (i + n_fresh < s->n)
			tell_owner(l, &s->output[i]);
		else
			loop_log_output(&s->output[i]);
	}
	log_info("the configuration was read again");
}

void loop_reload_step(struct loop *l)
{
	struct reload *r = &l->reload;
	unsigned n = r->n_fresh;

	if (!r->pending)
		return;
	if (l->tail.recovered &&
		!(l->upkeep.rotating && spool_is_clean(l->spool) && !spool_is_syncing(l->spool)))
		return;
	for (unsigned i = 0; i < l->spool->n; i++)
		if (!r->keep[i])
			log_info("output %s: no longer written", l->spool->output[i].path);
	reload_commit(r, l->spool, l->tail.recovered, l->now_ns, daemon_realtime_ns());
	if (l->tail.recovered)
		tail_mark(&l->tail, l->source.ring);
	if (l->spool->dirty && !l->flush_ns)
		l->flush_ns = l->now_ns;
	figures_name(l->ledger, l->spool);
	tell(l, n);
	daemon_take_over(l->o->daemon, &r->next, LIVE);
	reload_deinit(r);
	upkeep_attached(&l->upkeep);
	if (r->again) {
		r->again = false;
		loop_reload(l);
	}
}
