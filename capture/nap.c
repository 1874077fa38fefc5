/* SPDX-License-Identifier: Apache-2.0 */
/* When to sleep through what the kernel wakes capture for. */
#include "capture/nap.h"

bool nap_pays(struct nap *n, uint64_t batch_ns, uint64_t room)
{
	const struct nap was = *n;
	double bytes = (double)(was.head - was.from);
	double took_ns = (double)(int64_t)(was.newest_ns - was.oldest_ns);

	n->packets = 0;
	n->from = n->head;
	return was.packets >= NAP_PACKETS &&
	       bytes * (double)batch_ns < took_ns * (double)(room / NAP_PART);
}
