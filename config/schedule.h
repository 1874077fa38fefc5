/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks the scheduler for short turns, so that a program which mostly sleeps runs soon after it is
 * woken, also on a busy machine. It gets no more of the CPU than others do, and needs no privilege.
 *
 * Source: sched_setattr(2); sched_attr.sched_runtime of a SCHED_OTHER task is the length of its
 * turns since Linux 6.12 (Documentation/scheduler/sched-eevdf.rst); older kernels ignore it.
 *
 * Threads: the calling one. Blocks: no. Logs: no. Errors: 0, -errno.
 */
#pragma once

int schedule_short_turns(void);
