/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running a classic BPF program over bytes, and telling what that took: libpcap's and the kernel's
 * interpreters return only the verdict.
 *
 * As bpf_filter(3) of libpcap, without the kernel's ancillary loads: these lie beyond the end.
 *
 * Pure: no system call. Threads: any. Logs: no. Sources: linux/filter.h, McCanne & Jacobson 1993.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "capture/filter.h"

struct machine_end {
	uint32_t keep;  /* what the program returned */
	unsigned steps; /* instructions run */
	size_t at;      /* the last of them: a `ret`, or the load beyond the end that rejects */
};

/*
 * Runs @p over @size bytes of a packet that had @len. The program must be one that libpcap or
 * filter_chain() made: jumps go forward and end at a `ret`.
 */
struct machine_end machine_run(
	const struct filter_program *p, const void *bytes, size_t size, size_t len);

/*
 * How many instructions the longest way to each instruction has, itself included, 0 for those that
 * nothing leads to. @ret has p->n elements.
 */
void machine_paths(const struct filter_program *p, unsigned *ret);
