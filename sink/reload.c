/* SPDX-License-Identifier: Apache-2.0 */
/* Takes over what of a new configuration can change while outputs are open. */
#include "sink/reload.h"

#include <stdio.h>
#include <string.h>

#include "sink/rotate.h"

static const struct config_output *find(const struct config *c, const struct output *o)
{
	for (size_t i = 0; i < c->output.files.n; i++) {
		const struct config_output *f = &c->output.files.item[i];

		if (strcmp(f->format, o->format->name) == 0 && strcmp(f->path, o->path) == 0)
			return f;
	}
	return NULL;
}

static void add_key(char *left, size_t size, const char *key)
{
	size_t len = strlen(left);

	snprintf(left + len, size - len, "%s%s", len ? ", " : "", key);
}

/* What needs a restart. */
static void find_left(const struct spool *s, const struct config *now, const struct config *next,
	char *left, size_t size)
{
	bool same = next->output.files.n == s->n;

	*left = '\0';
	for (unsigned i = 0; same && i < s->n; i++)
		same = find(next, &s->output[i]) != NULL;
	if (!same)
		add_key(left, size, "output.files: which there are");
	if (now->output.buffer != next->output.buffer)
		add_key(left, size, "output.buffer");
	if (now->output.io_uring != next->output.io_uring)
		add_key(left, size, "output.io_uring");
	if (strcmp(now->output.user, next->output.user) != 0)
		add_key(left, size, "output.user");
}

static void take_over(
	struct output *o, const struct config_output *config, struct rules *rules, uint64_t real_ns)
{
	uint64_t interval = o->limits.rotate_interval_ns;

	rules_deinit(&o->rules);
	o->rules = *rules;
	*rules = (struct rules){0};
	output_set_limits(o, config);
	if (o->target == WRITER_FILE && interval != o->limits.rotate_interval_ns)
		o->due_ns = rotate_next(o, real_ns);
}

int reload_apply(struct spool *s, struct config *now, const struct config *next, uint64_t real_ns,
	char *why, char *left, size_t size)
{
	struct rules fresh[CHECKPOINT_OUTPUTS] = {0};
	int r = 0;

	for (unsigned i = 0; r == 0 && i < s->n; i++) {
		const struct config_output *config = find(next, &s->output[i]);

		if (config)
			r = rules_init(&fresh[i], config, why, size);
	}
	for (unsigned i = 0; r == 0 && i < s->n; i++) {
		const struct config_output *config = find(next, &s->output[i]);

		if (config)
			take_over(&s->output[i], config, &fresh[i], real_ns);
	}
	for (unsigned i = 0; i < s->n; i++)
		rules_deinit(&fresh[i]);
	if (r)
		return r;
	now->output.flush_ns = next->output.flush_ns;
	now->output.sync_ns = next->output.sync_ns;
	find_left(s, now, next, left, size);
	return 0;
}
