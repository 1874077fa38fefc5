/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When to sleep through what the kernel wakes capture for.
 *
 * libpcap's blocks have 256 KiB, and each that is full wakes its reader. When they fill faster than
 * batches are due, a wake-up costs more than what it is for: then capture sleeps until the batch is
 * due. Not if by then, going on at this rate, more would come than the ring should have to take at
 * once; the rate is that of the packets' own times, for a flood may begin after hours of nothing.
 *
 * Source of the block size: libpcap's pcap-linux.c, which makes it hold the largest packet there
 * is. Threads: one. Blocks: no. Logs: no. Errors: none.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define NAP_PACKETS 1024u /* about as many as fill a block: fewer wake nobody early */
#define NAP_PART    2u    /* of the ring, that may come at once */

struct nap {
	uint64_t packets;              /* of this batch */
	uint64_t oldest_ns, newest_ns; /* their times */
	uint64_t head;                 /* of the ring, as published last: the caller's to set */
	uint64_t from;                 /* before this batch */
};

static inline void nap_saw(struct nap *n, uint64_t t_ns)
{
	if (!n->packets++)
		n->oldest_ns = t_ns;
	n->newest_ns = t_ns;
}

/* The batch is read: whether to sleep for @batch_ns now, the ring having @room bytes. */
bool nap_pays(struct nap *n, uint64_t batch_ns, uint64_t room);
