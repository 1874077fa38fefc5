/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the captured contents of a flow's packets tell about it: the question and answers of DNS,
 * TLS's server name, that it is QUIC; and the name its remote address was resolved from.
 *
 * Kept for a flow from the first packet that tells something on, at most about 2.5 KiB; most flows
 * have none. Answers teach enrich/names.h, but only those sent to this host to a question that was
 * seen leaving it in the same flow: same id, type and name.
 *
 * Threads: one. Blocks: no. Logs: no. Without memory a hint is missing, nothing else.
 */
#pragma once

#include <stdint.h>

#include "enrich/decode.h"
#include "enrich/flow.h"
#include "enrich/names.h"
#include "enrich/owner.h"
#include "shm/record.h"

/* The packet at hand, which has payload, and the flow and side it was counted in. */
struct hints_packet {
	const struct decoded *decoded;
	const uint8_t *payload; /* decoded->payload_caplen bytes */
	struct flow *flow;      /* its `user` holds the hints */
	enum flow_side side;
	uint64_t t_ns;
	struct owners *owners; /* knows this host's addresses; NULL = a file, any may be */
};

/* Looks at one packet; it costs a few comparisons if it is none of what is looked for. */
void hints_see(struct names *names, const struct hints_packet *p);

/*
 * At the flow's start: the name that its remote address has by then. Remote is the responder,
 * unless only that one is this host's.
 */
void hints_name(struct names *names, struct owners *owners, struct flow *f);

void hints_to_record(const struct flow *f, struct record *r);
void hints_free(struct flow *f);
