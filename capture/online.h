/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether all CPUs have been there since: the kernel takes a CPU's perf events away with it, and
 * gives none back, nor says so. Suspending takes all CPUs but one.
 *
 * Threads: one. Blocks: no. Logs: no. Source: Documentation/ABI/testing/sysfs-devices-system-cpu.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ONLINE_PATH "/sys/devices/system/cpu/online"

struct online {
	int fd;
	char list[512];     /* of the CPUs that were there */
	size_t len;         /* of that, 0 = unknown, and there is no fd */
	uint64_t asleep_ns; /* how long the machine had been suspended by then */
};

/* From now on. Takes no privilege; where @path cannot be read, only a suspension is seen. */
void online_open(struct online *o, const char *path, uint64_t asleep_ns);
void online_close(struct online *o);
/* One system call. */
bool online_changed(const struct online *o, uint64_t asleep_ns);

/* CLOCK_BOOTTIME beyond CLOCK_MONOTONIC, now. */
uint64_t online_asleep_ns(void);
