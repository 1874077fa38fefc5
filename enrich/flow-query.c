/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked about an end of a flow. */
#include "enrich/flow-query.h"

#include <string.h>

struct owner_query flow_query(const struct flow *f, enum flow_side side, uint64_t t_ns)
{
	struct owner_query q = {
		.family = f->key.family,
		.proto = f->key.proto,
		.netns = f->key.netns,
		/* Mid-stream the roles are a guess: nobody is known to have opened it. */
		.initiator = side == FLOW_ORIG && !f->midstream,
		.responder = side == FLOW_RESP,
		.begun = !f->midstream,
		.over = f->over != FLOW_OVER_NOT,
		.first = f->over == (side == FLOW_ORIG ? FLOW_OVER_RESP : FLOW_OVER_ORIG),
		.local_port = f->key.port[side],
		.remote_port = f->key.port[!side],
		.t_ns = t_ns,
		.start_ns = f->start_ns,
	};

	memcpy(q.local_addr, f->key.addr[side], sizeof(q.local_addr));
	memcpy(q.remote_addr, f->key.addr[!side], sizeof(q.remote_addr));
	return q;
}
