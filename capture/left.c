/* SPDX-License-Identifier: Apache-2.0 */
/* The packet sockets of a capture that was killed. */
#include "capture/left.h"

#include <linux/if_packet.h>
#include <sys/socket.h>

void left_count(const struct keeper *k, uint64_t *matched, uint64_t *dropped)
{
	for (size_t i = 0; i < k->n_sockets; i++) {
		struct tpacket_stats_v3 st = {0};
		socklen_t len = sizeof(st);

		/* Not ours: whoever keeps it may keep anything. */
		if (getsockopt(k->socket[i].fd, SOL_PACKET, PACKET_STATISTICS, &st, &len) < 0)
			continue;
		*matched += st.tp_packets; /* with those dropped */
		*dropped += st.tp_drops;
	}
}
