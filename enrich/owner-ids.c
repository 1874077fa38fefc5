/* SPDX-License-Identifier: Apache-2.0 */
/*
 * With a tap: who changed his user or group id. No event of the tap tells of it, and by the time a
 * record is written the process is often gone; the process connector does, with the same clock.
 */
#include "enrich/owner-internal.h"

#define BATCH_MAX 1024u
/* After a change others may follow: for so long every batch of packets asks first. */
#define WATCH_NS UINT64_C(10000000000)

static void apply(struct owners *o, const struct connector_event *e)
{
	struct process *p = process_cache_get(o->processes, e->pid, e->t_ns);

	if (p && e->kind == CONNECTOR_UID)
		p->uid = e->id;
	else if (p)
		p->gid = e->id;
}

/* Waits for its turn among the events of the tap: those of its process's birth may be unread. */
static void on_event(void *arg, const struct connector_event *e)
{
	struct owners *o = arg;

	if (e->kind != CONNECTOR_UID && e->kind != CONNECTOR_GID)
		return;
	if (o->n_ids == OWNERS_IDS_MAX) {
		apply(o, &o->id[o->id_at]);
		o->id_at = (o->id_at + 1) % OWNERS_IDS_MAX;
		o->n_ids--;
	}
	o->id[(o->id_at + o->n_ids++) % OWNERS_IDS_MAX] = *e;
	o->ids_ns = e->t_ns;
}

void owners_hear_ids(struct owners *o)
{
	if (o->ids)
		connector_read(o->ids, BATCH_MAX, on_event, o);
}

void owners_apply_ids(struct owners *o, uint64_t t_ns)
{
	while (o->n_ids && o->id[o->id_at].t_ns <= t_ns) {
		apply(o, &o->id[o->id_at]);
		o->id_at = (o->id_at + 1) % OWNERS_IDS_MAX;
		o->n_ids--;
	}
}

void owners_begin(struct owners *o)
{
	if (o->ids && o->ids_ns + WATCH_NS > owners_now_ns())
		owners_hear_ids(o);
}

void owners_follow_ids(struct owners *o)
{
	if (!o->connector)
		return;
	if (connector_only_ids(o->connector) < 0) {
		connector_free(o->connector);
	} else {
		connector_free(o->ids);
		o->ids = o->connector;
	}
	o->connector = NULL;
}
