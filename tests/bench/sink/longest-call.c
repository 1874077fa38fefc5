/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a thread was kept in its longest system call other than a wait for events, without
 * slowing it as ptrace would:
 *
 *	longest-call SECONDS TID	prints "COUNT NANOSECONDS NUMBER": all calls, the longest,
 *which
 *
 * By perf samples of raw_syscalls:sys_enter and sys_exit. Ends early when standard input ends.
 */
#include <linux/perf_event.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "capture/tracefs.h"
#include "shm/cleanup.h"

#define PAGES   64u /* of samples, a power of two */
#define STEP_MS 20

struct sample {
	struct perf_event_header header;
	uint64_t time;
	uint32_t raw_size;
	/* Raw: fields that all events have, then the call's number. */
	uint16_t type;
	uint8_t flags, preempt;
	int32_t pid;
	int64_t call;
} __attribute__((packed));

static uint64_t ids[2]; /* sys_enter, sys_exit */
static struct {
	uint64_t count, entered, longest;
	int64_t call;
} seen;

static uint64_t event_id(int dir, const char *event)
{
	static char format[TRACEFS_FORMAT_MAX];
	uint64_t id = 0;

	if (tracefs_read_format(dir, event, format) == 0)
		(void)tracefs_parse_id(format, &id);
	return id;
}

static int open_event(uint64_t id, int tid)
{
	struct perf_event_attr a = {
		.size = sizeof(a),
		.type = PERF_TYPE_TRACEPOINT,
		.config = id,
		.sample_period = 1,
		.sample_type = PERF_SAMPLE_TIME | PERF_SAMPLE_RAW,
	};

	return (int)syscall(SYS_perf_event_open, &a, tid, -1, -1, 0);
}

/* Not a stall. Newer architectures have ppoll(2) alone. */
static bool is_waiting(long call)
{
#ifdef SYS_poll
	if (call == SYS_poll)
		return true;
#endif
	return call == SYS_ppoll;
}

static void take(const struct sample *s)
{
	if (s->header.type != PERF_RECORD_SAMPLE)
		return;
	if (s->type == ids[0]) {
		seen.count++;
		seen.entered = s->time;
		return;
	}
	if (!seen.entered || is_waiting(s->call))
		return;
	if (s->time - seen.entered > seen.longest) {
		seen.longest = s->time - seen.entered;
		seen.call = s->call;
	}
}

static void drain(struct perf_event_mmap_page *page)
{
	const size_t size = PAGES * 4096;
	const char *data = (const char *)page + 4096;
	uint64_t head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE), at;

	for (at = page->data_tail; at < head;) {
		struct perf_event_header header;
		struct sample s = {0};

		for (size_t i = 0; i < sizeof(header); i++)
			((char *)&header)[i] = data[(at + i) % size];
		for (size_t i = 0; i < sizeof(s) && i < header.size; i++)
			((char *)&s)[i] = data[(at + i) % size];
		take(&s);
		at += header.size;
	}
	__atomic_store_n(&page->data_tail, at, __ATOMIC_RELEASE);
}

int main(int argc, char **argv)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	_cleanup_close_ int dir = -1;
	int fd[2], steps = argc == 3 ? atoi(argv[1]) * 1000 / STEP_MS : 0;
	void *page;

	if (steps < 1 || tracefs_open(&dir) < 0)
		return 64;
	ids[0] = event_id(dir, "raw_syscalls/sys_enter");
	ids[1] = event_id(dir, "raw_syscalls/sys_exit");
	for (int i = 0; i < 2; i++) {
		fd[i] = open_event(ids[i], atoi(argv[2]));
		if (fd[i] < 0) {
			perror("perf_event_open");
			return 1;
		}
	}
	page = mmap(NULL, (PAGES + 1) * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd[0], 0);
	if (page == MAP_FAILED || ioctl(fd[1], PERF_EVENT_IOC_SET_OUTPUT, fd[0]) < 0) {
		perror("the samples' buffer");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	while (steps-- && poll(&in, 1, STEP_MS) == 0)
		drain(page);
	drain(page);
	printf("%llu %llu %lld\n", (unsigned long long)seen.count, (unsigned long long)seen.longest,
		(long long)seen.call);
	return 0;
}
