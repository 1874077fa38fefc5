/* SPDX-License-Identifier: Apache-2.0 */
/* The wire layouts are what both ends were compiled for: no hidden padding, bounds that fit. */
#include "tap.h"

#include "shm/ledger.h"
#include "shm/packet.h"
#include "shm/record.h"
#include "shm/ring.h"
#include "shm/tap.h"

int main(void)
{
	tap_ok(sizeof(struct record) <= RING_BODY_MAX,
		"a record fits a ring frame (%zu of %u bytes)", sizeof(struct record),
		RING_BODY_MAX);
	tap_ok(sizeof(struct packet_head) + PACKET_CAPLEN_MAX <= RING_BODY_MAX,
		"a packet fits a ring frame");
	tap_ok(sizeof(struct ledger_file) <= 4096, "a ledger fits a page (%zu bytes)",
		sizeof(struct ledger_file));
	tap_ok(LEDGER_ENRICH_N <= LEDGER_MAX && LEDGER_CAPTURE_N <= LEDGER_MAX &&
			LEDGER_SINK_N <= LEDGER_MAX,
		"every program's counters fit its ledger");
	tap_ok(sizeof(struct tap_cpus) <= 8192 && sizeof(struct tap_layout) <= 8192,
		"tap messages fit a hand-over payload (%zu, %zu bytes)", sizeof(struct tap_cpus),
		sizeof(struct tap_layout));
	tap_ok(offsetof(struct record, strings) % 8 == 0, "the string area starts aligned");
	return tap_done();
}
