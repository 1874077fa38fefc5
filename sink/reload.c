/* SPDX-License-Identifier: Apache-2.0 */
/* Takes over a configuration that was read again while outputs are open. */
#include "sink/reload.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config/outputs.h"
#include "sink/rotate.h"

static int refuse(struct output_error *err, const char *path, const char *why)
{
	snprintf(err->text, sizeof(err->text), "output %s: %s", path, why);
	return RELOAD_E_REFUSED;
}

static bool is_same(const struct output *o, const struct config_output *c)
{
	return strcmp(c->format, o->format->name) == 0 && outputs_same_path(c->path, o->path);
}

static const struct config_output *find(const struct config *c, const struct output *o)
{
	for (size_t i = 0; i < c->output.files.n; i++)
		if (is_same(o, &c->output.files.item[i]))
			return &c->output.files.item[i];
	return NULL;
}

/* Preparing ------------------------------------------------------------------------------- */

static int prepare_rules(struct reload *r, const struct spool *s, struct output_error *err)
{
	int e = 0;

	for (unsigned i = 0; e == 0 && i < s->n; i++) {
		const struct config_output *c = find(&r->next, &s->output[i]);

		r->keep[i] = c != NULL;
		if (c)
			e = rules_init(&r->rules[i], c, err->text, sizeof(err->text));
	}
	return e == RULES_E_INVALID ? RELOAD_E_REFUSED : e;
}

static int add(struct reload *r, const struct config_output *c, const struct format_context *ctx,
	bool recover, struct output_error *err)
{
	struct output *o = &r->fresh[r->n_fresh];
	int why, e = output_open(o, c, ctx, err);

	r->n_fresh++;
	if (e > 0)
		return RELOAD_E_REFUSED;
	if (e == 0)
		e = output_start(o, false, r->next.output.buffer, &why);
	if (e == 0 && recover)
		e = output_recover(o, false, 0);
	if (e == -EBADMSG)
		return refuse(err, c->path, "it is not a file of this format");
	return e < 0 ? refuse(err, c->path, strerror(-e)) : 0;
}

static int prepare_outputs(struct reload *r, const struct spool *s,
	const struct format_context *ctx, bool recover, struct output_error *err)
{
	const struct config_outputs *files = &r->next.output.files;
	int e = 0;

	if (files->n > CHECKPOINT_OUTPUTS)
		return refuse(err, files->item[CHECKPOINT_OUTPUTS].path, "one too many");
	for (size_t i = 0; e == 0 && i < files->n; i++) {
		const struct config_output *c = &files->item[i];
		bool there = false;

		for (unsigned n = 0; e == 0 && n < s->n; n++) {
			there |= is_same(&s->output[n], c);
			if (!there && outputs_same_path(s->output[n].path, c->path))
				e = refuse(err, c->path,
					"its format cannot change while it is open: give it "
					"another name, or start flowner-sink again");
		}
		if (e == 0 && !there)
			e = add(r, c, ctx, recover, err);
	}
	return e;
}

int reload_prepare(struct reload *r, const struct spool *s, struct config *next,
	const struct format_context *ctx, bool recover, struct output_error *err)
{
	int e;

	*r = (struct reload){.next = *next};
	*next = (struct config){0};
	e = prepare_rules(r, s, err);
	if (e == 0)
		e = prepare_outputs(r, s, ctx, recover, err);
	r->pending = e == 0;
	if (e)
		reload_deinit(r);
	return e;
}

/* Exchanging ------------------------------------------------------------------------------ */

static void take_over(
	struct output *o, const struct config_output *c, struct rules *rules, uint64_t real_ns)
{
	uint64_t interval = o->limits.rotate_interval_ns;

	rules_deinit(&o->rules);
	o->rules = *rules;
	*rules = (struct rules){0};
	output_set_limits(o, c);
	if (o->target == WRITER_FILE && interval != o->limits.rotate_interval_ns)
		o->due_ns = rotate_next(o, real_ns);
}

/* An output that is no longer wanted. */
static void finish(struct output *o, bool recovered, uint64_t now_ns, uint64_t real_ns)
{
	if (!recovered)
		return;
	output_end(o, real_ns); /* the file is whole without it, too */
	writer_flush(o->writer);
	writer_progress(o->writer, now_ns);
}

void reload_commit(
	struct reload *r, struct spool *s, bool recovered, uint64_t now_ns, uint64_t real_ns)
{
	for (unsigned i = 0; i < s->n; i++) {
		if (r->keep[i])
			take_over(&s->output[i], find(&r->next, &s->output[i]), &r->rules[i],
				real_ns);
		else
			finish(&s->output[i], recovered, now_ns, real_ns);
	}
	spool_replace(s, r->keep, r->fresh, r->n_fresh);
	r->n_fresh = 0;
	r->pending = false;
}

void reload_deinit(struct reload *r)
{
	for (unsigned i = 0; i < r->n_fresh; i++)
		output_deinit(&r->fresh[i]);
	for (unsigned i = 0; i < CHECKPOINT_OUTPUTS; i++)
		rules_deinit(&r->rules[i]);
	config_deinit(&r->next);
	r->n_fresh = 0;
	r->pending = false;
}
