/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inode of one socket, asked of the kernel by sock_diag(7).
 *
 * Threads: one. Blocks: no (the kernel answers within the call). Errors: observe_die().
 */
#pragma once

#include "bench/methods/packets.h"

void sock_diag_open(void);
/* The inode of the packet's sender; 0: no such socket (any more), or no process holds it. */
unsigned long sock_diag_inode(const struct packet *p);
