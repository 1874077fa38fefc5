/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked about an end of a flow.
 *
 * Threads: any. Blocks: no. Logs: no. Never fails.
 */
#pragma once

#include <stdint.h>

#include "enrich/flow.h"
#include "enrich/owner.h"

/* Who had @side's end of @f at @t_ns? */
void flow_query(const struct flow *f, enum flow_side side, uint64_t t_ns, struct owner_query *ret);
