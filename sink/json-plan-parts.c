/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Marks the sections of a compiled JSON format that depend on nothing but a process, and keeps what
 * was written of them, so that the next record of that process copies it.
 *
 * A section is a row of members. Where a member in the middle may differ from record to record, it
 * falls into parts: the number around which they lie is written anew. Each part but a section's
 * first begins with the byte in front of it, which the end of an object may have changed.
 */
#include <stdlib.h>
#include <string.h>

#include "sink/fields-internal.h"
#include "sink/json-plan-internal.h"

#define SECTION_LEAST 3 /* steps that are worth it */
#define CONNECTION                                                                                 \
	(FIELD_EVENT(RECORD_START) | FIELD_EVENT(RECORD_INFO) | FIELD_EVENT(RECORD_END) |          \
		FIELD_EVENT(RECORD_SUMMARY))

/* Marking ----------------------------------------------------------------------------------- */

/* What stands in front of a step. */
enum {
	MARK_HOLE_END = 1 << 0,
	MARK_END = 1 << 1,
	MARK_BEGIN = 1 << 2,
	MARK_HOLE = 1 << 3,
};

struct marker {
	struct json_plan *plan;
	struct json_step old[JSON_PLAN_STEPS + 1];
	uint16_t end;                         /* of the old steps */
	uint8_t mark[JSON_PLAN_STEPS + 1];    /* MARK_* */
	uint16_t moved[JSON_PLAN_STEPS + 1];  /* where a jump to it goes */
	uint16_t behind[JSON_PLAN_STEPS + 1]; /* of a section's first step: the section */
};

static bool is_close(const struct json_step *s)
{
	return s->run == JSON_RUN_CLOSE || s->run == JSON_RUN_CLOSE_LIST;
}

/* The member that is written anew, if @s is the way it is written. */
static bool is_hole(const struct json_step *s)
{
	return s->field && s->field->of != FIELD_OF_RECORD && s->field->from == FIELD_FROM_U64 &&
	       s->offset == offsetof(struct record_process, latency_ns);
}

/* Whether the step at @i, with its members, depends on the process @of and nothing else. */
static bool is_of(const struct marker *m, uint16_t i, uint8_t of)
{
	const struct json_step *s = &m->old[i];

	if (s->run == JSON_RUN_OPEN) {
		for (i++; !is_close(&m->old[i]); i = m->old[i].next)
			if (!is_of(m, i, of))
				return false;
		return true;
	}
	return s->field && s->of == of && field_events(s->field) == CONNECTION &&
	       (!is_hole(s) || (s->run == JSON_RUN_U64 &&
				       (s->missing & JSON_MISSING_HAVE) == FIELD_HAVE_AT_ALL));
}

/* The first step behind those from @i on that are of @of. */
static uint16_t section(const struct marker *m, uint16_t i, uint8_t of)
{
	while (i < m->end && !is_close(&m->old[i]) && is_of(m, i, of))
		i = m->old[i].next;
	return i;
}

static void mark_section(struct marker *m, uint16_t begin, uint16_t end, uint8_t of)
{
	unsigned holes = 0;

	m->mark[begin] |= MARK_BEGIN;
	m->mark[end] |= MARK_END;
	m->behind[begin] = end;
	for (uint16_t i = begin; i < end; i++) {
		if (!is_hole(&m->old[i]))
			continue;
		m->mark[i] |= MARK_HOLE;
		m->mark[i + 1] |= MARK_HOLE_END;
		holes++;
	}
	m->plan->parts[of == FIELD_OF_RESPONDER] += 1 + holes;
	if (holes > 1 || m->plan->parts[of == FIELD_OF_RESPONDER] > JSON_PLAN_PARTS)
		abort(); /* the table has outgrown what this can do */
}

static void mark(struct marker *m)
{
	uint16_t i = 0, end;

	while (i < m->end) {
		uint8_t of = FIELD_OF_PROCESS;

		end = section(m, i, of);
		if (end == i)
			end = section(m, i, of = FIELD_OF_RESPONDER);
		if (end - i >= SECTION_LEAST)
			mark_section(m, i, end, of);
		i = end > i ? end : i + 1;
	}
}

static void put(struct json_plan *plan, struct json_step s)
{
	if (plan->n == JSON_PLAN_STEPS)
		abort(); /* the table has outgrown the constant */
	plan->step[plan->n++] = s;
}

static void put_mark(struct json_plan *plan, enum json_run run)
{
	put(plan, (struct json_step){.run = (uint8_t)run});
}

/* The steps with the marks between them; `next` are still the old ones. */
static void put_all(struct marker *m)
{
	struct json_plan *plan = m->plan;

	plan->n = 0;
	for (uint16_t i = 0; i <= m->end; i++) {
		uint8_t mark = m->mark[i];

		m->moved[i] = plan->n;
		if (mark & MARK_HOLE_END)
			put_mark(plan, JSON_RUN_HOLE_END);
		if (mark & MARK_END)
			put_mark(plan, JSON_RUN_SECTION_END);
		if (mark & MARK_BEGIN)
			put_mark(plan, JSON_RUN_SECTION);
		if (mark & MARK_HOLE)
			put_mark(plan, JSON_RUN_HOLE);
		if (i < m->end)
			put(plan, m->old[i]);
	}
}

/* Tells each section's marks whose it is, and its first where the hole and its end are. */
static void link_section(struct json_plan *plan, uint16_t begin, uint8_t of)
{
	struct json_step *first = &plan->step[begin];
	uint16_t i = begin;

	for (;; i++) {
		struct json_step *s = &plan->step[i];

		if (s->run < JSON_RUN_SECTION || s->run > JSON_RUN_SECTION_END)
			continue;
		s->of = of;
		s->op = of == FIELD_OF_RESPONDER;
		if (s->run == JSON_RUN_HOLE)
			first->text = i + 1;
		if (s->run == JSON_RUN_SECTION_END)
			break;
	}
	first->next = i + 1;
	first->missing = FIELD_HAVE_AT_ALL | (uint64_t)(uint8_t)~CONNECTION << JSON_MISSING_EVENT;
}

void json_plan_mark(struct json_plan *plan)
{
	struct marker *m = calloc(1, sizeof(*m));

	memset(plan->parts, 0, sizeof(plan->parts));
	memset(plan->made, 0, sizeof(plan->made));
	if (!m)
		return; /* nothing is kept, then */
	m->plan = plan;
	m->end = plan->n;
	memcpy(m->old, plan->step, plan->n * sizeof(m->old[0]));
	mark(m);
	put_all(m);
	for (uint16_t i = 0; i < plan->n; i++)
		if (plan->step[i].run < JSON_RUN_SECTION)
			plan->step[i].next = m->moved[plan->step[i].next];
	for (uint16_t i = 0; i < m->end; i++)
		if (m->mark[i] & MARK_BEGIN) {
			uint16_t at = m->moved[i];

			while (plan->step[at].run != JSON_RUN_SECTION)
				at++;
			link_section(plan, at,
				section(m, i, FIELD_OF_PROCESS) > i ? FIELD_OF_PROCESS
								    : FIELD_OF_RESPONDER);
		}
	free(m);
}

/* Keeping ----------------------------------------------------------------------------------- */

void json_parts_begin(struct json_parts *parts, struct json_plan *plan, unsigned role,
	const struct known_end *end)
{
	const struct json_made *made = &plan->made[role][end->slot];

	parts->n = 0;
	parts->len = made->len;
	parts->text = NULL;
	parts->keeping = false;
	if (!end->id || !plan->parts[role])
		return;
	if (made->id == end->id)
		parts->text = known_bytes_get(&plan->texts, made->pos);
	parts->keeping = !parts->text;
}

void json_parts_end(struct json_parts *parts, struct json_plan *plan, unsigned role,
	const struct known_end *end)
{
	struct json_made *made = &plan->made[role][end->slot];
	size_t len = 0;
	char *to;

	if (!parts->keeping || parts->n != plan->parts[role])
		return;
	for (unsigned i = 0; i < parts->n; i++)
		len += parts->part[i].len;
	if (len > KNOWN_MOST)
		return;
	made->id = end->id;
	to = known_bytes_put(&plan->texts, len, &made->pos);
	for (unsigned i = 0; i < parts->n; i++) {
		size_t n = parts->part[i].len;

		made->len[i] = (uint16_t)n;
		memcpy(to, parts->part[i].from, n);
		to += n;
		/* The end of the object around it has turned this comma into a brace. */
		if (n)
			to[-1] = parts->part[i].last;
	}
}
