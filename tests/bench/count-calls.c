/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts system calls of running processes without slowing them as ptrace would.
 *
 *	count-calls SECONDS TID...	prints each thread's number, one a line
 *
 * By a perf counter on raw_syscalls:sys_enter. A process's pid is its first thread.
 */
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "capture/tracefs.h"
#include "shm/cleanup.h"

#define TIDS_MAX 64

static uint64_t event_id(void)
{
	_cleanup_close_ int dir = -1;
	static char format[TRACEFS_FORMAT_MAX];
	uint64_t id = 0;

	if (tracefs_open(&dir) == 0 &&
		tracefs_read_format(dir, "raw_syscalls/sys_enter", format) == 0)
		(void)tracefs_parse_id(format, &id);
	return id;
}

int main(int argc, char **argv)
{
	struct perf_event_attr a = {
		.size = sizeof(a),
		.type = PERF_TYPE_TRACEPOINT,
		.config = event_id(),
		.disabled = 1,
	};
	int fd[TIDS_MAX], n = argc - 2;
	uint64_t count;

	if (n < 1 || n > TIDS_MAX || !a.config) {
		fprintf(stderr,
			"count-calls: SECONDS TID..., and a kernel with raw_syscalls events\n");
		return 64;
	}
	for (int i = 0; i < n; i++) {
		fd[i] = (int)syscall(SYS_perf_event_open, &a, atoi(argv[i + 2]), -1, -1, 0);
		if (fd[i] < 0) {
			perror("perf_event_open");
			return 1;
		}
	}
	for (int i = 0; i < n; i++)
		ioctl(fd[i], PERF_EVENT_IOC_ENABLE, 0);
	sleep((unsigned)atoi(argv[1]));
	for (int i = 0; i < n; i++)
		ioctl(fd[i], PERF_EVENT_IOC_DISABLE, 0);
	for (int i = 0; i < n; i++) {
		if (read(fd[i], &count, sizeof(count)) != sizeof(count))
			return 1;
		printf("%llu\n", (unsigned long long)count);
	}
	return 0;
}
