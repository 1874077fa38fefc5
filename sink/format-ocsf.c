/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OCSF Network Activity, class 4001, as JSON lines: `traffic` is what came since the flow's last
 * record, `cumulative_traffic` the total. What the class has no name for stands under "unmapped".
 *
 * Source: OCSF schema 1.9.0-dev, classes/network_activity; tests/data/ocsf-4001.json.
 */
#include "sink/format.h"
#include "sink/json-plan.h"

static struct json_plan plan;

static void ocsf_prepare(const struct format_context *ctx)
{
	static const struct json_plan_style style = {
		.column = FIELD_OCSF, .time = JSON_PLAN_MILLISECONDS, .quoted_ids = true};

	json_plan_compile(&plan, &style, ctx);
}

static size_t ocsf_known(const struct record *r, const struct known_ends *ends,
	const struct format_context *ctx, char *buf)
{
	/* A loss is no network activity. */
	if (r->event == RECORD_PACKET || r->event == RECORD_LOSS)
		return 0;
	return (size_t)(json_plan_write(&plan, r, ends, ctx, buf) - buf);
}

static size_t ocsf_record(const struct record *r, const struct format_context *ctx, char *buf)
{
	return ocsf_known(r, &KNOWN_NOBODY, ctx, buf);
}

static bool ocsf_last(const char *line, size_t len, uint64_t *ret_epoch, uint64_t *ret_seq)
{
	return json_plan_last(line, len, "\"epoch\":", "\"sequence\":", ret_epoch, ret_seq);
}

const struct format format_ocsf = {
	.name = "ocsf",
	.help = "OCSF Network Activity (4001), one JSON object a line",
	.begins = "{",
	.prepare = ocsf_prepare,
	.record = ocsf_record,
	.known = ocsf_known,
	.last = ocsf_last,
};
