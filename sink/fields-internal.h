/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the values of the table of fields come from: shared by the table (fields.c), what reads the
 * plain ones (fields-get.c) and what works the others out (fields-work.c).
 *
 * Threads: any. Blocks: no. Logs: no. Never fails.
 */
#pragma once

#include "sink/fields.h"

enum field_from {
	FIELD_FROM_CONSTANT = 0, /* `constant` */
	FIELD_FROM_U8,           /* numbers at `offset`, unless equal to `none` */
	FIELD_FROM_U16,
	FIELD_FROM_U32,
	FIELD_FROM_U64,
	FIELD_FROM_ALWAYS, /* a u64, zero too */
	FIELD_FROM_SUM,    /* of two u64 at `offset` */
	FIELD_FROM_SPAN,   /* the second less the first */
	FIELD_FROM_TRUE,   /* there is a value if `need` is met: true */
	FIELD_FROM_STR,    /* struct record_str */
	FIELD_FROM_LIST,
	FIELD_FROM_PIDS,
	FIELD_FROM_COMMAS,
	FIELD_FROM_ADDRESS,
	FIELD_FROM_WORD,    /* u8, named by `word`, unless equal to `none` */
	FIELD_FROM_CONTEXT, /* char array at `offset` of the context */
	FIELD_FROM_CALL,
};

/* Rows that name no events have all that are of a connection. */
static inline uint8_t field_events(const struct field *f)
{
	return f->events ? f->events
			 : FIELD_EVENT(RECORD_START) | FIELD_EVENT(RECORD_INFO) |
				   FIELD_EVENT(RECORD_END) | FIELD_EVENT(RECORD_SUMMARY);
}

/* FIELD_FROM_SUM and FIELD_FROM_SPAN. */
static inline uint64_t field_sum(const void *at)
{
	const uint64_t *pair = at;

	return pair[0] + pair[1];
}

static inline uint64_t field_span(const void *at)
{
	const uint64_t *pair = at;

	return pair[1] - pair[0];
}

typedef enum field_kind field_call(
	const struct field *f, const struct field_source *s, struct field_value *ret);

/* Values that are worked out. Each is explained by its row in the table. */
/* True for text that is an IPv4 or IPv6 address. */
bool field_is_address(const char *text, size_t len);
/*
 * Length of the first item of FIELD_COMMAS, which ends in front of a comma or at @end. A comma with
 * a backslash in front belongs to the item, as that backslash does.
 */
size_t field_comma_item(const char *items, const char *end);

field_call field_event_types, field_action, field_outcome, field_status;
field_call field_event_id, field_ip_type, field_transport, field_network_name;
field_call field_network_direction, field_community_id, field_entity_id;
field_call field_real_uid, field_tty_major, field_tty_minor, field_tty;
field_call field_dns_type, field_dns_rcode, field_dns_addresses;
field_call field_tls_version, field_conn_uid, field_history, field_complete;
field_call field_loss_stage, field_loss_reason, field_activity, field_type_uid, field_direction_id,
	field_tcp_flags;
field_call field_observed_at, field_ends_known, field_local_orig, field_local_resp, field_guid;
field_call field_image, field_user_name, field_initiated, field_is_ipv6, field_host_orig;
field_call field_host_resp, field_version;
