/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel goes on counting for a capture that was killed: its packet sockets live as long
 * as the supervisor holds them (config/keeper.h), and tell of the packets that nobody took over,
 * those of the time until the next life included.
 *
 * Source: PACKET_STATISTICS in packet(7): counts since it was last asked for, by any process.
 * Threads: one. Blocks: no. Logs: no.
 */
#pragma once

#include <stdint.h>

#include "config/keeper.h"

/*
 * Adds what has matched since the killed life asked, and how much of that did not fit. Just before
 * our own begin: what comes in between is in nobody's count.
 */
void left_count(const struct keeper *k, uint64_t *matched, uint64_t *dropped);
