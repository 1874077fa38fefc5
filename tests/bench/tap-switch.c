/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens the tap as capture does and has it on in every other slice of time, off in the rest.
 *
 *	tap-switch connect|full SLICE-MS even|odd [PORT]	until it is killed; says "ready"
 *
 * The slices are those of `load ... MS`. Records are thrown away: what is seen is what the kernel's
 * part costs whoever makes the connections. What PORT sends over UDP goes unrecorded, as enrich
 *asks for once it knows the busy sender.
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "capture/tap-filter.h"
#include "capture/tap.h"

#define TICK_US 2000u

/* The event of each kind that is in use. */
static int event_fd(const struct tap *t, const struct tap_cpu *c, int e)
{
	unsigned at = e == TAP_FIB || e == TAP_FIB6 ? t->senders.at : 0;

	return at ? c->spare[e - TAP_FIB][at - 1] : c->fd[e];
}

static void turn(const struct tap *t, bool on)
{
	for (uint32_t i = 0; i < t->layout.cpus; i++)
		for (int e = 0; e < TAP_EVENTS; e++)
			if (event_fd(t, &t->cpu[i], e) >= 0)
				ioctl(event_fd(t, &t->cpu[i], e),
					on ? PERF_EVENT_IOC_ENABLE : PERF_EVENT_IOC_DISABLE, 0);
}

static void throw_away(const struct tap *t)
{
	for (uint32_t i = 0; i < t->layout.cpus; i++) {
		struct perf_event_mmap_page *page = t->cpu[i].ring;

		__atomic_store_n(&page->data_tail,
			__atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE), __ATOMIC_RELEASE);
	}
}

int main(int argc, char **argv)
{
	uint64_t slice_ns = argc == 4 || argc == 5 ? strtoul(argv[2], NULL, 10) * 1000000 : 0;
	bool on = true, want, odd;
	struct tap tap;

	if (!slice_ns) {
		fprintf(stderr, "tap-switch: see the head of its source\n");
		return 64;
	}
	odd = !strcmp(argv[3], "odd");
	tap_open(!strcmp(argv[1], "full") ? CONFIG_TAP_FULL : CONFIG_TAP_CONNECT, &tap);
	if (!tap.layout.live) {
		fprintf(stderr, "tap-switch: %s\n", tap.text);
		return 1;
	}
	if (argc == 5) {
		struct tap_filter f = {.senders = 1, .sender = {(uint16_t)atoi(argv[4])}};

		if (tap_filter_apply(&tap, &f) < 0 || !tap.senders.at) {
			fprintf(stderr, "tap-switch: the filter cannot be changed\n");
			return 1;
		}
	}
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct timespec now;

		clock_gettime(CLOCK_MONOTONIC, &now);
		want = (((uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec) / slice_ns &
			       1) == odd;
		if (want != on)
			turn(&tap, want);
		on = want;
		throw_away(&tap);
		usleep(TICK_US);
	}
}
