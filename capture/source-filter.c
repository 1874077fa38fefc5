/* SPDX-License-Identifier: Apache-2.0 */
/* The filter of a source, compiled in a process of its own. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "capture/apart.h"
#include "capture/filter.h"
#include "capture/place.h"
#include "capture/source-internal.h"
#include "shm/cleanup.h"

#define SHOWN    160 /* bytes of an expression in a message */
#define TRIAL_MS 500 /* for finding the place of an error */

struct job {
	struct source *s;
	const struct source_options *o;
	bool kernel;
};

/* What the compiler's process answers. */
struct built {
	int r;
	struct source_error err;
	struct program_layout layout;
	size_t n;
	struct filter_insn insn[FILTER_INSNS_MAX];
};

/* In the compiler's process ------------------------------------------------------------------ */

/* For place_find(). */
struct trial {
	struct source *s;
	int64_t until_ms; /* names are asked for each time, which may take long */
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static const char *try_compile(void *arg, const char *expression)
{
	struct trial *t = arg;
	struct filter_program p = {0};
	int r;

	if (now_ms() > t->until_ms)
		return "";
	r = source_compile(t->s, t->s->base, expression, &p);
	filter_deinit(&p);
	return r == 0 ? NULL : r == -EINVAL ? source_complaint(t->s) : "";
}

static int bad_filter(struct source *s, const char *filter, struct source_error *err)
{
	struct trial trial = {s, now_ms() + TRIAL_MS};
	char what[256], where[128] = ""; /* PCAP_ERRBUF_SIZE */
	size_t at, len;

	snprintf(what, sizeof(what), "%s", source_complaint(s));
	if (place_find(filter, try_compile, &trial, &at, &len) == 0 && now_ms() <= trial.until_ms)
		snprintf(where, sizeof(where),
			len ? ", at character %zu, \"%.*s\"" : ", at its end", at + 1,
			(int)(len < 64 ? len : 64), filter + at);
	return source_fail(err, SOURCE_BAD_FILTER,
		"bad filter expression \"%.*s%s\": %s%s (see pcap-filter(7))", SHOWN, filter,
		strlen(filter) > SHOWN ? "..." : "", what, where);
}

static int build(const struct job *j, struct filter_program *ret, struct program_layout *ret_layout,
	struct source_error *err)
{
	struct source *s = j->s;
	struct program_spec spec = {
		.mode = j->o->mode, .user = j->o->filter, .compile = source_compile, .arg = s};
	int r;

	if (source_link_of(s, &spec.link) < 0)
		return source_fail(err, SOURCE_BAD_FILE,
			"%s: link type %s (%d) is not one of EN10MB, LINUX_SLL, LINUX_SLL2, RAW, "
			"IPV4, IPV6, NULL, LOOP",
			s->name, source_link(s), s->dlt);
	if (j->kernel) {
		spec.cooked = spec.link == PROGRAM_SLL || spec.link == PROGRAM_SLL2;
		spec.once_on = (uint32_t)s->loopback;
	}
	if (!source_compilers_open(s))
		return source_fail(err, SOURCE_FAILED, "out of memory");
	r = program_build(&spec, ret, ret_layout);
	if (r == PROGRAM_E_USER)
		return bad_filter(s, spec.user, err);
	if (r == PROGRAM_E_COOKED)
		return source_fail(err, SOURCE_BAD_FILTER,
			"filter expression \"%s\" looks at link-layer bytes that are not there on "
			"%s: name an interface, or leave that part out",
			spec.user, s->name);
	if (r < 0)
		return source_fail(err, SOURCE_FAILED, "%s: cannot build the packet filter: %s",
			s->name, r == -EINVAL ? source_complaint(s) : strerror(-r));
	return 0;
}

static void run(void *arg, void *result)
{
	struct built *b = result;
	struct filter_program p = {0};

	b->r = build(arg, &p, &b->layout, &b->err);
	if (b->r == 0) {
		b->n = p.n;
		memcpy(b->insn, p.insn, p.n * sizeof(*p.insn));
	}
	filter_deinit(&p);
}

/* In ours ------------------------------------------------------------------------------------ */

static bool is_layout(const struct program_layout *l, enum config_mode mode, size_t n_insns)
{
	size_t n_classes;

	(void)program_classes(mode, &n_classes);
	if (!l->n || l->n > PROGRAM_PARTS_MAX)
		return false;
	for (size_t i = 0; i < l->n; i++) {
		const struct program_part *p = &l->part[i];

		if (p->kind > PROGRAM_TAG || p->tags > PROGRAM_TAGS_MAX || p->class >= n_classes ||
			p->at > p->end || p->end > n_insns)
			return false;
	}
	return true;
}

/* Whether an answer is one: its sender has read what may have been written against it. */
static bool is_built(const struct built *b, enum config_mode mode)
{
	const struct filter_program p = {.insn = (struct filter_insn *)b->insn, .n = b->n};

	return b->n && b->n <= FILTER_INSNS_MAX && is_layout(&b->layout, mode, b->n) &&
	       source_is_valid(&p);
}

static bool is_error(struct source_error *err)
{
	err->text[sizeof(err->text) - 1] = '\0';
	switch (err->status) {
	case SOURCE_BAD_FILTER:
	case SOURCE_BAD_FILE:
	case SOURCE_FAILED:
		return true;
	case SOURCE_NO_INPUT:
	case SOURCE_NO_PERMISSION:
		break;
	}
	return false;
}

static int died(const struct source *s, int status, struct source_error *err)
{
	if (WIFSIGNALED(status))
		return source_fail(err, SOURCE_FAILED,
			"%s: cannot build the packet filter: its compiler died of signal %d, as it "
			"does when it is out of memory",
			s->name, WTERMSIG(status));
	return source_fail(err, SOURCE_FAILED,
		"%s: cannot build the packet filter: its compiler ended with %d", s->name,
		WEXITSTATUS(status));
}

int source_build(
	struct source *s, const struct source_options *o, bool kernel, struct source_error *err)
{
	struct job job = {s, o, kernel};
	const struct apart a = {.run = run,
		.arg = &job,
		.size = sizeof(struct built),
		.uid = o->uid,
		.gid = o->gid};
	_cleanup_free_ struct built *b = malloc(sizeof(*b));
	int r, status;

	r = b ? apart_run(&a, b, &status) : -ENOMEM;
	if (r == APART_E_DIED)
		return died(s, status, err);
	if (r == 0 && b->r == -EINVAL && is_error(&b->err)) {
		*err = b->err;
		return -EINVAL;
	}
	if (r == 0 && (b->r || !is_built(b, o->mode)))
		r = -EPROTO;
	if (r == 0)
		r = filter_copy(b->insn, b->n, &s->program);
	if (r < 0)
		return source_fail(err, SOURCE_FAILED, "%s: cannot build the packet filter: %s",
			s->name, strerror(-r));
	s->layout = b->layout;
	return 0;
}
