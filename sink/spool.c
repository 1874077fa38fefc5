/* SPDX-License-Identifier: Apache-2.0 */
/* All outputs together, and the place in the ring up to which every one of them has written. */
#include "sink/spool.h"

#include <errno.h>
#include <string.h>

#include "config/daemon.h"
#include "sink/rotate.h"

void spool_init(struct spool *s)
{
	memset(s, 0, sizeof(*s));
}

void spool_deinit(struct spool *s)
{
	for (unsigned i = 0; i < s->n; i++)
		output_deinit(&s->output[i]);
	s->n = 0;
}

int spool_add(struct spool *s, const struct config_output *config, const struct format_context *ctx,
	bool uring, uint64_t buffer, int *ret_why, struct output_error *err)
{
	struct output *o = &s->output[s->n];
	int r;

	if (s->n == CHECKPOINT_OUTPUTS)
		return -E2BIG;
	r = output_open(o, config, ctx, err);
	if (r == 0)
		r = output_start(o, uring, buffer, ret_why);
	if (r) {
		output_deinit(o);
		return r;
	}
	s->n++;
	return 0;
}

void spool_replace(struct spool *s, const bool *keep, struct output *fresh, unsigned n)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < s->n; i++) {
		if (!keep[i]) {
			output_deinit(&s->output[i]);
			continue;
		}
		if (kept < i)
			s->output[kept] = s->output[i];
		s->done.appended[kept] = writer_appended(s->output[kept].writer);
		kept++;
	}
	for (unsigned i = 0; i < n; i++) {
		struct output *o = &s->output[kept + i];

		*o = fresh[i];
		s->done.appended[kept + i] = 0;
		s->dirty |= writer_appended(o->writer) > 0; /* the head of a stream */
	}
	memset(fresh, 0, n * sizeof(*fresh));
	s->n = kept + n;
}

/* Whether one of the outputs has the file @id open. */
static bool is_open(const struct spool *s, uint64_t id)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->output[i].id == id)
			return true;
	return false;
}

/* Files of the checkpoint that were moved away and that nobody has ended. */
static void mend(struct spool *s, const struct checkpoint_slot *slot)
{
	for (unsigned i = 0; i < CHECKPOINT_OUTPUTS; i++) {
		uint64_t id = slot->output[i].id, offset = slot->output[i].offset;
		bool found = !id || is_open(s, id);

		for (unsigned n = 0; !found && n < s->n; n++)
			found = output_mend(&s->output[n], id, offset, daemon_realtime_ns());
	}
}

int spool_recover(
	struct spool *s, const struct checkpoint_slot *slot, const struct output **ret_output)
{
	if (slot)
		mend(s, slot);
	for (unsigned i = 0; i < s->n; i++) {
		struct output *o = &s->output[i];
		uint64_t offset = 0;
		bool known = slot && checkpoint_offset(slot, o->id, &offset);
		int r = output_recover(o, known, offset);

		if (r < 0) {
			*ret_output = o;
			return r;
		}
		s->dirty |= o->target != WRITER_FILE && writer_appended(o->writer) > 0;
	}
	return 0;
}

void spool_rewind(struct spool *s, uint64_t pos)
{
	s->open.pos = s->done.pos = pos;
}

/* Records --------------------------------------------------------------------------------- */

bool spool_has_room(struct spool *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		struct writer *w = s->output[i].writer;

		if (!writer_is_broken(w) && !writer_reserve(w, FORMAT_MAX))
			return false;
	}
	return true;
}

/* What sink itself loses, now. */
static struct ring_loss own_loss(enum ring_loss_stage stage, uint64_t count, uint64_t packets)
{
	uint64_t now_ns = daemon_realtime_ns();

	return (struct ring_loss){.stage = stage,
		.count = count,
		.packets = packets,
		.first_ns = now_ns,
		.last_ns = now_ns};
}

enum put { PUT_EXCLUDED, PUT_TAKEN, PUT_REFUSED };

static enum put output_put(
	struct spool *s, struct output *o, const struct record *r, const struct known_ends *ends)
{
	char *buf;
	size_t len;

	if (!rules_pass(&o->rules, r))
		return PUT_EXCLUDED;
	if (writer_is_broken(o->writer))
		return PUT_REFUSED;
	if (output_skips(o, r))
		return PUT_TAKEN;
	buf = writer_reserve(o->writer, FORMAT_MAX);
	len = o->format->packet ? format_packet(o->format, r, &o->section, &o->context, buf)
				: format_record_known(o->format, r, ends, &o->context, buf);
	writer_append(o->writer, len);
	s->open.lines[o - s->output] += len > 0;
	s->full |= o->limits.rotate_size && !o->retry_ns && o->target == WRITER_FILE &&
		   output_size(o) >= o->limits.rotate_size;
	return PUT_TAKEN;
}

/* One output that has refused it makes a record a lost one, whoever else has it. */
void spool_put(struct spool *s, const struct record *r, const struct known_ends *ends, uint64_t pos)
{
	enum put put = PUT_EXCLUDED;
	struct ring_loss loss;

	for (unsigned i = 0; i < s->n; i++) {
		enum put one = output_put(s, &s->output[i], r, ends);

		put = one > put ? one : put;
	}
	s->dirty = true;
	s->open.pos = pos;
	if (r->event == RECORD_LOSS)
		return;
	s->open.counts[SPOOL_RECORDS_READ]++;
	switch (put) {
	case PUT_EXCLUDED:
		s->open.counts[SPOOL_RECORDS_EXCLUDED]++;
		s->open.counts[SPOOL_PACKETS_EXCLUDED] += r->delta_packets;
		break;
	case PUT_TAKEN:
		s->open.counts[SPOOL_RECORDS_WRITTEN]++;
		s->open.counts[SPOOL_PACKETS_WRITTEN] += r->delta_packets;
		break;
	case PUT_REFUSED:
		s->open.counts[SPOOL_RECORDS_LOST]++;
		s->open.counts[SPOOL_PACKETS_LOST] += r->delta_packets;
		loss = own_loss(RING_LOSS_OUTPUT, 1, r->delta_packets);
		losses_add(&s->open.losses, &loss);
		break;
	}
}

void spool_loss(struct spool *s, const struct ring_loss *loss, uint64_t pos)
{
	losses_add(&s->open.losses, loss);
	s->dirty = true;
	s->open.pos = pos;
}

bool spool_tell(struct spool *s, struct losses_told *told, uint64_t step_ns, uint64_t now_ns,
	struct record *scratch)
{
	struct ring_loss loss;
	bool any = false;

	if (losses_due_ns(&s->open.losses, told, step_ns) > now_ns)
		return false;
	while (spool_has_room(s) && losses_take(&s->open.losses, told, step_ns, now_ns, &loss)) {
		/* What a checkpoint held may make no sense. */
		if (format_loss(scratch, &loss, s->epoch, loss.last_ns) == 0)
			spool_put(s, scratch, &KNOWN_NOBODY, s->open.pos);
		any = s->dirty = true;
	}
	return any;
}

void spool_pass(struct spool *s, uint64_t pos, bool invalid, uint64_t packets)
{
	struct ring_loss loss;

	s->dirty = true;
	s->open.pos = pos;
	if (!invalid)
		return;
	s->open.counts[SPOOL_RECORDS_READ]++;
	s->open.counts[SPOOL_RECORDS_INVALID]++;
	s->open.counts[SPOOL_PACKETS_LOST] += packets;
	loss = own_loss(RING_LOSS_INVALID, 1, packets);
	losses_add(&s->open.losses, &loss);
}

/* Batches --------------------------------------------------------------------------------- */

static struct spool_mark *youngest(struct spool *s)
{
	return &s->mark[(s->first + s->marks - 1) % SPOOL_MARKS];
}

static uint64_t sealed(const struct spool *s, unsigned output)
{
	const struct spool_mark *m = s->marks ? youngest((struct spool *)s) : &s->done;

	return m->appended[output];
}

uint64_t spool_unsealed(const struct spool *s)
{
	uint64_t most = 0;

	for (unsigned i = 0; i < s->n; i++) {
		uint64_t n = writer_appended(s->output[i].writer) - sealed(s, i);

		if (n > most)
			most = n;
	}
	return most;
}

void spool_seal(struct spool *s)
{
	struct spool_mark *m;

	if (!s->dirty)
		return;
	for (unsigned i = 0; i < s->n; i++) {
		uint64_t appended = writer_appended(s->output[i].writer);

		s->open.counts[SPOOL_BYTES_WRITTEN] += appended - sealed(s, i);
		s->open.appended[i] = appended;
		writer_flush(s->output[i].writer);
	}
	if (s->marks < SPOOL_MARKS) {
		s->marks++;
		m = youngest(s);
		memset(m, 0, sizeof(*m));
	} else {
		m = youngest(s); /* writing is stuck: this batch joins the one before */
	}
	for (unsigned c = 0; c < SPOOL_COUNTERS; c++)
		m->counts[c] += s->open.counts[c];
	for (unsigned i = 0; i < s->n; i++)
		m->lines[i] += s->open.lines[i];
	m->losses = s->open.losses;
	memcpy(m->appended, s->open.appended, sizeof(m->appended));
	m->pos = s->open.pos;
	memset(s->open.counts, 0, sizeof(s->open.counts));
	memset(s->open.lines, 0, sizeof(s->open.lines));
	s->dirty = false;
}

/* *ret_lost: not all that this batch had for an output, which is broken by now, was written. */
static bool is_complete(const struct spool *s, const struct spool_mark *m, bool *ret_lost)
{
	*ret_lost = false;
	for (unsigned i = 0; i < s->n; i++) {
		const struct writer *w = s->output[i].writer;

		if (writer_written(w) >= m->appended[i])
			continue;
		if (!writer_is_broken(w))
			return false;
		*ret_lost |= m->appended[i] > s->done.appended[i];
	}
	return true;
}

/*
 * An output that refused a record for good makes it a lost one. The others shall tell of it; none
 * of the batches that are under way does.
 */
static void move_to_lost(struct spool *s, struct spool_mark *m)
{
	struct ring_loss loss = own_loss(RING_LOSS_OUTPUT, m->counts[SPOOL_RECORDS_WRITTEN],
		m->counts[SPOOL_PACKETS_WRITTEN]);

	for (unsigned i = 0; i < s->marks; i++)
		losses_add(&s->mark[(s->first + i) % SPOOL_MARKS].losses, &loss);
	losses_add(&s->open.losses, &loss);
	m->counts[SPOOL_RECORDS_LOST] += m->counts[SPOOL_RECORDS_WRITTEN];
	m->counts[SPOOL_PACKETS_LOST] += m->counts[SPOOL_PACKETS_WRITTEN];
	m->counts[SPOOL_RECORDS_WRITTEN] = m->counts[SPOOL_PACKETS_WRITTEN] = 0;
}

unsigned spool_progress(struct spool *s, uint64_t now_ns, uint64_t ret_counts[SPOOL_COUNTERS])
{
	unsigned n = 0;
	bool lost;

	for (unsigned i = 0; i < s->n; i++)
		writer_progress(s->output[i].writer, now_ns);
	while (s->marks && is_complete(s, &s->mark[s->first], &lost)) {
		struct spool_mark *m = &s->mark[s->first];

		if (lost)
			move_to_lost(s, m);
		for (unsigned c = 0; c < SPOOL_COUNTERS; c++)
			ret_counts[c] += m->counts[c];
		for (unsigned i = 0; i < s->n; i++)
			if (!writer_is_broken(s->output[i].writer))
				s->output[i].lines += m->lines[i];
		s->done = *m;
		s->first = (s->first + 1) % SPOOL_MARKS;
		s->marks--;
		n++;
	}
	return n;
}

void spool_slot(const struct spool *s, struct checkpoint_slot *ret)
{
	memset(ret->output, 0, sizeof(ret->output));
	ret->losses = s->done.losses;
	for (unsigned i = 0; i < s->n; i++) {
		ret->output[i].id = s->output[i].id;
		ret->output[i].offset = s->output[i].offset + s->done.appended[i];
	}
}

/* For the loop ---------------------------------------------------------------------------- */

bool spool_rotation_due(const struct spool *s, uint64_t real_ns)
{
	for (unsigned i = 0; i < s->n; i++)
		if (rotate_is_due(&s->output[i], real_ns))
			return true;
	return false;
}

uint64_t spool_rotation_ns(struct spool *s, uint64_t real_ns)
{
	uint64_t wait = WRITER_NEVER;

	for (unsigned i = 0; i < s->n; i++) {
		struct output *o = &s->output[i];
		uint64_t at, latest = rotate_next(o, real_ns);

		/* Later than it can be: the clock was set back. */
		if (o->due_ns > latest)
			o->due_ns = latest;
		if (o->retry_ns > real_ns + ROTATE_RETRY_NS)
			o->retry_ns = real_ns;
		if (o->due_ns && o->due_ns <= real_ns && output_size(o) <= o->head_len)
			o->due_ns = latest; /* an empty file stays */
		at = o->retry_ns ? o->retry_ns : o->due_ns;
		if (at && (at > real_ns ? at - real_ns : 0) < wait)
			wait = at > real_ns ? at - real_ns : 0;
	}
	return wait;
}

int spool_rotate(struct spool *s, unsigned i, bool reopen, uint64_t real_ns)
{
	struct output *o = &s->output[i];
	int r = reopen ? rotate_reopen(o, real_ns) : 0;

	if (r == 0 && rotate_is_due(o, real_ns)) {
		r = rotate_put_aside(o, real_ns);
		return r < 0 ? r : 1;
	}
	return r;
}

int spool_end(struct spool *s, uint64_t real_ns)
{
	int result = 0;

	for (unsigned i = 0; i < s->n; i++) {
		struct output *o = &s->output[i];
		int r = output_end(o, real_ns);

		result = r < 0 ? r : result;
		s->dirty |= o->target != WRITER_FILE && o->format->foot;
	}
	spool_seal(s);
	return result;
}

void spool_sync(struct spool *s)
{
	for (unsigned i = 0; i < s->n; i++)
		writer_sync(s->output[i].writer);
}

bool spool_is_syncing(const struct spool *s)
{
	for (unsigned i = 0; i < s->n; i++)
		if (writer_is_syncing(s->output[i].writer))
			return true;
	return false;
}

bool spool_halt(struct spool *s)
{
	bool halted = true;

	for (unsigned i = 0; i < s->n; i++)
		halted &= writer_halt(s->output[i].writer);
	return halted;
}

void spool_cut(struct spool *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		struct output *o = &s->output[i];

		/* What is still on its way would come behind a hole. */
		if (o->target == WRITER_FILE && writer_halt(o->writer) &&
			writer_written(o->writer) < writer_appended(o->writer))
			(void)!ftruncate(o->fd, (off_t)(o->offset + s->done.appended[i]));
	}
}

bool spool_is_clean(const struct spool *s)
{
	return !s->dirty && !s->marks;
}

bool spool_is_broken(const struct spool *s)
{
	for (unsigned i = 0; i < s->n; i++)
		if (!writer_is_broken(s->output[i].writer))
			return false;
	return s->n > 0;
}

bool spool_is_ending(const struct spool *s)
{
	for (unsigned i = 0; i < s->n; i++)
		if (!writer_is_ending(s->output[i].writer))
			return false;
	return true;
}

unsigned spool_poll(const struct spool *s, struct pollfd *fds)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->n; i++) {
		short events;
		int fd = writer_poll_fd(s->output[i].writer, &events);

		if (fd >= 0)
			fds[n++] = (struct pollfd){.fd = fd, .events = events};
	}
	return n;
}

uint64_t spool_due_ns(const struct spool *s)
{
	uint64_t due = WRITER_NEVER;

	for (unsigned i = 0; i < s->n; i++) {
		uint64_t d = writer_due_ns(s->output[i].writer);

		if (d < due)
			due = d;
	}
	return due;
}
