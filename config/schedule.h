/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks the scheduler for short turns and, where that is allowed, for precedence over programs of
 * ordinary niceness, so that a program which mostly sleeps runs soon after it is woken, also on a
 * busy machine.
 *
 * Short turns need no privilege and give no more of the CPU than others get. Precedence is a
 * niceness of -5, three times the share of an ordinary program while both want to run; it needs
 * CAP_SYS_NICE.
 *
 * Source: sched_setattr(2); sched_attr.sched_runtime of a SCHED_OTHER task is the length of its
 * turns since Linux 6.12 (Documentation/scheduler/sched-eevdf.rst); older kernels ignore it.
 *
 * Threads: the calling one. Blocks: no. Logs: no. Errors: 0, -errno.
 */
#pragma once

/* Short turns in any case; a niceness or class that somebody gave us stays. */
int schedule_urgent(void);
/* Takes back what schedule_urgent() got. Needs no privilege, but for good without one. */
int schedule_ordinary(void);
