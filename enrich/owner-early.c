/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines that their exec event does not hold, read from /proc before the process is gone. */
#include <string.h>

#include "enrich/owner-internal.h"

#define SAME_NS UINT64_C(100000)

static void keep(struct owners *o, const struct perf_record *r)
{
	struct owners_early *e = &o->early[o->early_at];

	o->early_at = (o->early_at + 1) % OWNERS_EARLY_MAX;
	e->pid = r->pid;
	e->t_ns = r->t_ns;
	e->cut = o->found.args_cut;
	text_replace(&e->args, text_new(o->found.args, o->found.args_len));
}

static void on_preview(void *arg, const struct perf_record *r)
{
	struct owners *o = arg;

	/* An exec announces its name first, on the same CPU. */
	if (r->kind == PERF_KIND_NAMED && r->named.exec && r->pid == r->tid) {
		o->exec_pid = r->pid;
		process_set_comm(o->exec_comm, r->named.comm.bytes, r->named.comm.len);
	}
	if (r->kind != PERF_KIND_EXEC || (r->exec.args.len && !r->exec.args_cut) ||
		r->pid != o->exec_pid)
		return;
	if (procfs_read(o->procfs, r->pid, PROCFS_ARGS, &o->found) || !o->found.args_len)
		return;
	/* Another name: it has gone on to another program, whose event is still to come. */
	if (memcmp(o->found.comm, o->exec_comm, PROCESS_COMM_MAX) == 0)
		keep(o, r);
}

void owners_read_early(struct owners *o)
{
	if (o->tap && o->procfs)
		tap_reader_preview(o->tap, on_preview, o);
}

struct text *owners_take_early(struct owners *o, uint32_t pid, uint64_t t_ns, bool *ret_cut)
{
	for (size_t i = 0; i < OWNERS_EARLY_MAX; i++) {
		struct owners_early *e = &o->early[i];
		struct text *args = e->args;

		/* The clocks' difference may have been measured again in between. */
		if (!args || e->pid != pid ||
			(e->t_ns > t_ns ? e->t_ns - t_ns : t_ns - e->t_ns) > SAME_NS)
			continue;
		e->args = NULL;
		*ret_cut = e->cut;
		return args;
	}
	return NULL;
}
