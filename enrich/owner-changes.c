/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a process runs as changes without an exec, and no tracepoint worth its cost tells: the
 * process connector does, narrowed to these events. They are read before the tap's events of their
 * time are applied, so they wait in a queue for their turn.
 */
#include "enrich/owner-internal.h"

#define BATCH_MAX 8192u

void owners_apply_change(struct owners *o, const struct connector_event *e)
{
	struct process *p = process_cache_get(o->processes, e->pid, e->t_ns);

	if (!p)
		return;
	if (e->kind == CONNECTOR_UID)
		credentials_changed(&p->uids, e->id, e->real, e->t_ns);
	else if (e->kind == CONNECTOR_GID)
		credentials_changed(&p->gids, e->id, e->real, e->t_ns);
	else if (e->kind == CONNECTOR_SESSION)
		process_lead_session(p);
}

/* Some changes are unknown: nothing known so far is sure any more. */
static void lose(struct owners *o)
{
	o->watched_ns = owners_now_ns();
	process_cache_sessions_told(o->processes, false);
}

static void queue(void *arg, const struct connector_event *e)
{
	struct owners *o = arg;

	if (e->kind != CONNECTOR_UID && e->kind != CONNECTOR_GID && e->kind != CONNECTOR_SESSION)
		return;
	if (o->n_changes == OWNERS_CHANGES_MAX) {
		lose(o);
		return;
	}
	o->change[(o->change_at + o->n_changes++) % OWNERS_CHANGES_MAX] = *e;
}

void owners_watch_changes(struct owners *o)
{
	if (!o->connector)
		return;
	if (connector_only_ids(o->connector) < 0) {
		connector_free(o->connector);
		o->watched_ns = UINT64_MAX;
		process_cache_sessions_told(o->processes, false);
	} else {
		o->changes = o->connector;
	}
	o->connector = NULL;
}

void owners_hear_changes(struct owners *o)
{
	uint64_t overruns, now;

	if (!o->changes)
		return;
	overruns = connector_stats(o->changes)->overruns;
	do {
		now = owners_now_ns();
	} while (connector_read(o->changes, BATCH_MAX, queue, o) == BATCH_MAX &&
		 o->n_changes < OWNERS_CHANGES_MAX);
	o->heard_ns = now;
	overruns = connector_stats(o->changes)->overruns - overruns;
	if (!overruns)
		return;
	ledger_add(o->ledger, LEDGER_enrich_connector_overruns, overruns);
	lose(o);
}

void owners_apply_changes(struct owners *o, uint64_t t_ns)
{
	while (o->n_changes && o->change[o->change_at].t_ns <= t_ns) {
		owners_apply_change(o, &o->change[o->change_at]);
		o->change_at = (o->change_at + 1) % OWNERS_CHANGES_MAX;
		o->n_changes--;
	}
}
