/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to outputs' files beside writing: rotation, retention, compression. */
#include "sink/upkeep.h"

#include <errno.h>
#include <string.h>

#include "config/daemon.h"
#include "sink/retention.h"
#include "sink/rotate.h"

#define S_NS     UINT64_C(1000000000)
#define CLOCK_NS (60 * S_NS)   /* the clock may be set: it is looked at this often */
#define PLACE_NS (S_NS / 2)    /* for files that were removed */
#define HOME_NS  (S_NS / 5)    /* the same, for their folder to come back */
#define TIDY_NS  (3600 * S_NS) /* for files that become too old */

void upkeep_init(struct upkeep *u, struct tail *tail)
{
	memset(u, 0, sizeof(*u));
	u->tail = tail;
	u->look_ns = u->tidy_ns = WRITER_NEVER;
	u->job.in_fd = u->job.out_fd = u->job.dir_fd = -1;
}

void upkeep_deinit(struct upkeep *u)
{
	compress_deinit(&u->job);
}

void upkeep_attached(struct upkeep *u)
{
	u->look_ns = u->tidy_ns = 0;
	u->compressing = true;
	memset(u->compressed_ns, 0, sizeof(u->compressed_ns));
}

static void complain(struct upkeep *u, const struct output *o, const char *what, int error)
{
	u->trouble.output = o;
	u->trouble.what = what;
	u->trouble.error = error;
	ledger_add(u->tail->ledger, LEDGER_sink_file_errors, 1);
}

static bool is_removed(const struct spool *s)
{
	for (unsigned i = 0; i < s->n; i++)
		if (rotate_is_removed(&s->output[i]))
			return true;
	return false;
}

/* Cannot be written, and never will: the place to write to is on another file system now. */
static bool is_abandoned(const struct output *o)
{
	return writer_error(o->writer) && rotate_is_elsewhere(o);
}

/*
 * A file without a name is as good as moved away by somebody who then asked to reopen it. What is
 * abandoned keeps us from coming to rest; our next life starts from the ring.
 */
static void look_for_places(struct upkeep *u, uint64_t now_ns)
{
	const struct spool *s = u->tail->spool;

	if (now_ns < u->place_ns || u->homeless)
		return;
	u->place_ns = now_ns + PLACE_NS;
	u->reopen |= is_removed(s);
	for (unsigned i = 0; i < s->n; i++)
		u->restart |= is_abandoned(&s->output[i]);
}

bool upkeep_wants_rest(struct upkeep *u, uint64_t now_ns)
{
	struct spool *s = u->tail->spool;
	uint64_t real_ns, wait_ns;

	if (!u->tail->recovered)
		return false;
	look_for_places(u, now_ns);
	if (!u->rotating && !u->reopen && !u->wanted && !s->full && now_ns < u->look_ns)
		return false;
	real_ns = daemon_realtime_ns();
	if (!u->rotating && !u->reopen && !u->wanted && !spool_rotation_due(s, real_ns)) {
		wait_ns = spool_rotation_ns(s, real_ns);
		if (wait_ns != WRITER_NEVER)
			wait_ns = now_ns + (wait_ns < CLOCK_NS ? wait_ns : CLOCK_NS);
		u->look_ns = wait_ns;
		s->full = false;
		return false;
	}
	u->rotating = true;
	return true;
}

static void rotate_all(struct upkeep *u, struct ring_consumer *ring, uint64_t now_ns)
{
	struct spool *s = u->tail->spool;
	uint64_t real_ns = daemon_realtime_ns();
	const bool told = u->told;

	for (unsigned i = 0; i < s->n; i++) {
		int r = spool_rotate(s, i, u->reopen, real_ns);

		if (r < 0 && !told)
			complain(u, &s->output[i], "cannot be rotated", r);
		else if (r > 0)
			ledger_add(u->tail->ledger, LEDGER_sink_files_rotated, (uint64_t)r);
		u->told |= r < 0;
		u->restart |= u->homeless && (r == -EACCES || r == -EPERM);
	}
	tail_mark(u->tail, ring);
	u->homeless = is_removed(s);
	u->told &= u->homeless; /* otherwise each time */
	u->place_ns = now_ns + (u->homeless ? HOME_NS : PLACE_NS);
	u->reopen = u->rotating = u->homeless;
	s->full = false;
	upkeep_attached(u);
}

/* Whether another file may fare better than the one that could not be compressed. */
static bool is_its_own(int error)
{
	return error != -ENOSPC && error != -EDQUOT && error != -EROFS && error != -ENOMEM &&
	       error != -EMFILE && error != -ENFILE;
}

/* The next file to compress, of any output. */
static void begin(struct upkeep *u)
{
	struct spool *s = u->tail->spool;
	int r = 0;

	u->compressing = false;
	for (unsigned i = 0; i < s->n && !u->job.context && r >= 0; i++) {
		r = compress_begin(&u->job, &s->output[i], &u->compressed_ns[i]);
		if (r < 0)
			complain(u, &s->output[i], "has a file that cannot be compressed", r);
	}
	u->compressing |= r < 0 && is_its_own(r);
}

static void compress(struct upkeep *u)
{
	int r = compress_step(&u->job);

	if (r == COMPRESS_E_MORE)
		return;
	u->compressing = r == 0 || is_its_own(r); /* else not before the next rotation */
	if (r == 0)
		ledger_add(u->tail->ledger, LEDGER_sink_files_compressed, 1);
	else
		complain(u, &u->tail->spool->output[0],
			"or another has a file that cannot be compressed", r);
	u->tidy_ns = 0;
}

static void tidy(struct upkeep *u, uint64_t now_ns)
{
	const struct spool *s = u->tail->spool;

	u->tidy_ns = WRITER_NEVER;
	for (unsigned i = 0; i < s->n; i++) {
		const struct output *o = &s->output[i];
		int r = retention_apply(o, daemon_realtime_ns());

		if (r < 0)
			complain(u, o, "has old files that cannot be removed", r);
		else
			ledger_add(u->tail->ledger, LEDGER_sink_files_removed, (uint64_t)r);
		if (o->limits.keep_time_ns)
			u->tidy_ns = now_ns + TIDY_NS;
	}
}

void upkeep_step(struct upkeep *u, struct ring_consumer *ring, uint64_t now_ns)
{
	if (!u->tail->recovered)
		return;
	if (u->rotating) {
		if ((!u->homeless || now_ns >= u->place_ns) && spool_is_clean(u->tail->spool) &&
			!spool_is_syncing(u->tail->spool))
			rotate_all(u, ring, now_ns);
		else if (now_ns >= u->tidy_ns)
			tidy(u, now_ns); /* what is not written may wait for room */
		return;
	}
	if (now_ns >= u->tidy_ns)
		tidy(u, now_ns);
	if (u->job.context)
		compress(u);
	else if (u->compressing)
		begin(u);
}

uint64_t upkeep_due_ns(const struct upkeep *u)
{
	if (u->homeless)
		return u->place_ns;
	if (u->rotating)
		return u->tidy_ns; /* of the rest the writers say when */
	if (u->job.context || u->compressing)
		return 1; /* at once */
	return u->look_ns < u->tidy_ns ? u->look_ns : u->tidy_ns;
}
