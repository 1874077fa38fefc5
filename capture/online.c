/* SPDX-License-Identifier: Apache-2.0 */
/* Which CPUs there are, and for how long the machine slept. */
#include "capture/online.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "config/transfer.h"

#define SLEEP_NS INT64_C(100000000) /* less is that two clocks are read in turn */

static int64_t clock_ns(clockid_t clock)
{
	struct timespec t = {0};

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

uint64_t online_asleep_ns(void)
{
	int64_t monotonic = clock_ns(CLOCK_MONOTONIC);

	return (uint64_t)(clock_ns(CLOCK_BOOTTIME) - monotonic);
}

void online_open(struct online *o, const char *path, uint64_t asleep_ns)
{
	ssize_t n;

	*o = (struct online){.fd = open(path, O_RDONLY | O_CLOEXEC), .asleep_ns = asleep_ns};
	n = o->fd < 0 ? -1 : transfer_read(o->fd, o->list, sizeof(o->list), 0);
	if (n > 0)
		o->len = (size_t)n;
	else if (o->fd >= 0)
		close(o->fd);
}

void online_close(struct online *o)
{
	if (o->len)
		close(o->fd);
	*o = (struct online){0};
}

bool online_changed(const struct online *o, uint64_t asleep_ns)
{
	char list[sizeof(o->list)];
	ssize_t n;

	if ((int64_t)(asleep_ns - o->asleep_ns) > SLEEP_NS)
		return true;
	n = o->len ? transfer_read(o->fd, list, sizeof(list), 0) : 0;
	return n > 0 && ((size_t)n != o->len || memcmp(list, o->list, o->len) != 0);
}
