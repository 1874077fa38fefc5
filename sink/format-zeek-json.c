/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Zeek's conn.log as JSON lines, with our columns behind zeek's: flat objects whose keys have dots.
 *
 * One line a connection, when it ends (or is summed up), as zeek does.
 */
#include "sink/format.h"
#include "sink/json-plan.h"

static struct json_plan plan;

static void zeek_json_prepare(const struct format_context *ctx)
{
	static const struct json_plan_style style = {
		.column = FIELD_ZEEK, .time = JSON_PLAN_SECONDS, .flat = true, .ordered = true};

	json_plan_compile(&plan, &style, ctx);
}

static size_t zeek_json_known(const struct record *r, const struct known_ends *ends,
	const struct format_context *ctx, char *buf)
{
	if (r->event != RECORD_END && r->event != RECORD_SUMMARY)
		return 0;
	return (size_t)(json_plan_write(&plan, r, ends, ctx, buf) - buf);
}

static size_t zeek_json_record(const struct record *r, const struct format_context *ctx, char *buf)
{
	return zeek_json_known(r, &KNOWN_NOBODY, ctx, buf);
}

static bool zeek_json_last(const char *line, size_t len, uint64_t *ret_epoch, uint64_t *ret_seq)
{
	return json_plan_last(line, len, "\"epoch\":", "\"seq\":", ret_epoch, ret_seq);
}

const struct format format_zeek_json = {
	.name = "zeek-json",
	.help = "Zeek's conn.log as JSON, one object a line",
	.begins = "{",
	.prepare = zeek_json_prepare,
	.record = zeek_json_record,
	.known = zeek_json_known,
	.last = zeek_json_last,
};
