/* SPDX-License-Identifier: Apache-2.0 */
/* Turns and niceness by sched_setattr(2), which libc does not wrap. */
#include "config/schedule.h"

#include <errno.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <stdbool.h>

#include <sys/syscall.h>
#include <unistd.h>

#define TURN_NS         100000u /* the shortest there is */
#define PRECEDENCE_NICE (-5)

static bool precedes;

/* Reads @ret_a; false = a class that is not ours to change. */
static bool is_ordinary(struct sched_attr *ret_a, int *ret_r)
{
	*ret_a = (struct sched_attr){.size = sizeof(*ret_a)};
	*ret_r = syscall(SYS_sched_getattr, 0, ret_a, sizeof(*ret_a), 0) < 0 ? -errno : 0;
	ret_a->size = sizeof(*ret_a);
	return *ret_r == 0 && ret_a->sched_policy == SCHED_NORMAL;
}

static int set(struct sched_attr *a)
{
	return syscall(SYS_sched_setattr, 0, a, 0) < 0 ? -errno : 0;
}

int schedule_urgent(void)
{
	struct sched_attr a;
	int r;

	if (!is_ordinary(&a, &r))
		return r;
	a.sched_runtime = TURN_NS;
	if (!a.sched_nice) {
		a.sched_nice = PRECEDENCE_NICE;
		precedes = set(&a) == 0;
		if (precedes)
			return 0;
		a.sched_nice = 0;
	}
	return set(&a);
}

int schedule_ordinary(void)
{
	struct sched_attr a;
	int r;

	if (!is_ordinary(&a, &r))
		return r;
	a.sched_runtime = 0; /* the kernel's own choice */
	if (precedes)
		a.sched_nice = 0;
	precedes = false;
	return set(&a);
}
