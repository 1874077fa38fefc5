/* SPDX-License-Identifier: Apache-2.0 */
/* When the kernel is asked what connections have moved, and what its answer says of a flow. */
#include "enrich/watch.h"

#include "enrich/diag-msg.h"
#include "enrich/flow-query.h"

#define MS UINT64_C(1000000)

#define WATCH_BUSY_NS  (100 * MS) /* 1 GiB in that is more than a connection does */
#define WATCH_CALM_NS  (250 * MS)
#define WATCH_IDLE_NS  (1000 * MS)          /* no connection is open */
#define WATCH_STALE_NS (50 * MS)            /* an end this long after the last look makes another */
#define WATCH_BUSY     (UINT64_C(64) << 20) /* bytes between two looks */
#define WATCH_EACH_NS  (1 * MS) /* and this for each interface: what it costs is bounded */

/* Takes what the socket at @side's end counted. */
static void take_figures(
	enum flow_side side, const struct diag_info *i, bool ended, struct flow_figures *ret)
{
	/* Before Linux 4.19 there are only acknowledgements, with SYN and FIN among them. */
	bool old = !i->bytes_sent && i->bytes_acked > 2;

	*ret = (struct flow_figures){
		.have = {true, true},
		.srtt_ns = i->rtt_us < UINT32_MAX / 1000 ? i->rtt_us * 1000 : UINT32_MAX,
		.retransmits = i->retransmits,
	};
	ret->bytes[side] = old ? i->bytes_acked : i->bytes_sent;
	ret->slack[side] = old ? 2 : 0;
	ret->bytes[!side] = i->bytes_received;
	ret->slack[!side] = ended; /* whether a FIN came is not told */
}

static void look_at_traffic(struct watch *w, uint64_t now_ns)
{
	/* Not to be had: then as much as there can be. */
	if (!owners_traffic(w->owners, &w->traffic, &w->interfaces))
		w->traffic += FLOW_TRAFFIC_SURE;
	w->looked_ns = now_ns;
	flow_table_traffic(w->flows, w->traffic);
}

bool watch_figures(struct watch *w, struct flow *f, bool ended, struct flow_figures *ret)
{
	const uint64_t stale_ns = WATCH_STALE_NS + w->interfaces * WATCH_EACH_NS;

	/* What no look could be too old for was too short to move as much. */
	if (ended && f->last_ns > f->start_ns + stale_ns && f->last_ns > w->looked_ns + stale_ns)
		look_at_traffic(w, f->last_ns);
	if (ended) {
		if (!w->hears_closed)
			return false;
	} else {
		if (!w->budget)
			return false;
		w->budget--;
		ledger_add(w->ledger, LEDGER_enrich_figures_asked, 1);
	}
	for (int side = FLOW_ORIG; side <= FLOW_RESP; side++) {
		struct owner_query q;
		uint64_t cookie = f->cookie[side] ? f->cookie[side] : f->owner[side].cookie;
		const struct diag_info *closed;
		struct diag_info info;
		bool sure;

		flow_query(f, (enum flow_side)side, f->last_ns, &q);
		if (ended) {
			closed = owners_closed(w->owners, &q, cookie, &sure);
			if (!closed || !sure)
				continue;
			info = *closed;
		} else if (!owners_figures(w->owners, &q, cookie, &info, &f->cookie[side])) {
			continue;
		}
		take_figures((enum flow_side)side, &info, ended, ret);
		return true;
	}
	return false;
}

uint64_t watch_look(struct watch *w, uint64_t now_ns)
{
	uint64_t before = w->traffic;

	if (now_ns >= w->refill_ns || w->refill_ns > now_ns + 2000 * MS) {
		w->refill_ns = now_ns + 1000 * MS;
		w->budget = WATCH_BUDGET;
	}
	look_at_traffic(w, now_ns);
	if (!flow_table_count(w->flows))
		return WATCH_IDLE_NS;
	flow_table_ask_due(w->flows, w->budget);
	return (w->traffic - before > WATCH_BUSY ? WATCH_BUSY_NS : WATCH_CALM_NS) +
	       w->interfaces * WATCH_EACH_NS;
}
