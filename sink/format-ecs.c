/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elastic Common Schema as JSON lines: one nested object a line, keys in a fixed order, our own
 * under "flowner". What it holds stands in the table of fields.
 *
 * Source: ECS field reference 9.x.
 */
#include "sink/format.h"
#include "sink/json-plan.h"

static struct json_plan plan;

static void ecs_prepare(const struct format_context *ctx)
{
	static const struct json_plan_style style = {
		.column = FIELD_ECS, .time = JSON_PLAN_RFC3339, .quoted_ids = true};

	json_plan_compile(&plan, &style, ctx);
}

static size_t ecs_known(const struct record *r, const struct known_ends *ends,
	const struct format_context *ctx, char *buf)
{
	if (r->event == RECORD_PACKET)
		return 0;
	return (size_t)(json_plan_write(&plan, r, ends, ctx, buf) - buf);
}

static size_t ecs_record(const struct record *r, const struct format_context *ctx, char *buf)
{
	return ecs_known(r, &KNOWN_NOBODY, ctx, buf);
}

static bool ecs_last(const char *line, size_t len, uint64_t *ret_epoch, uint64_t *ret_seq)
{
	return json_plan_last(line, len, "\"epoch\":", "\"sequence\":", ret_epoch, ret_seq);
}

const struct format format_ecs = {
	.name = "ecs",
	.help = "Elastic Common Schema, one JSON object a line",
	.begins = "{",
	.prepare = ecs_prepare,
	.record = ecs_record,
	.known = ecs_known,
	.last = ecs_last,
};
