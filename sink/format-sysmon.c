/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sysmon's event 3, network connection, as JSON lines: what Sigma rules for network_connection
 * match. Every key stands in every line; "-" and 0 are what is not known. Behind them come the
 * number of the record, under the name that Windows has for it, and the run of enrich it is of.
 *
 * One line a connection, when it opens. Connections that are gathered have no START: a summary of
 * them is one line, and so is the END of one that stayed alone, which is flagged as unannounced.
 *
 * Source: Sysmon's documentation, event ID 3, and its names for the fields.
 */
#include <netinet/in.h>

#include "sink/format.h"
#include "sink/json-plan.h"

static struct json_plan plan;

static void sysmon_prepare(const struct format_context *ctx)
{
	static const struct json_plan_style style = {.column = FIELD_SYSMON,
		.time = JSON_PLAN_SPACED,
		.ordered = true,
		.flat = true,
		.absent = "-"};

	json_plan_compile(&plan, &style, ctx);
}

static size_t sysmon_record(const struct record *r, const struct format_context *ctx, char *buf)
{
	if (r->event != RECORD_START && r->event != RECORD_SUMMARY &&
		!(r->event == RECORD_END && r->flags & RECORD_FLAG_UNANNOUNCED))
		return 0;
	if (r->proto != IPPROTO_TCP && r->proto != IPPROTO_UDP)
		return 0; /* the event knows no others */
	return (size_t)(json_plan_write(&plan, r, &KNOWN_NOBODY, ctx, buf) - buf);
}

static bool sysmon_last(const char *line, size_t len, uint64_t *ret_epoch, uint64_t *ret_seq)
{
	return json_plan_last(
		line, len, "\"FlownerEpoch\":", "\"EventRecordID\":", ret_epoch, ret_seq);
}

const struct format format_sysmon = {
	.name = "sysmon",
	.help = "Sysmon event 3 (for Sigma rules), one JSON object a line",
	.begins = "{",
	.prepare = sysmon_prepare,
	.record = sysmon_record,
	.last = sysmon_last,
};
