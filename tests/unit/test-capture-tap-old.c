/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tap on older kernels: they refuse what they do not know with EINVAL, and the tap goes without
 * it. syscall(3) is replaced here: perf_event_open(2) is only asked for, never made.
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "capture/tap.h"
#include "tap.h"

/* What the simulated kernel lacks. */
static struct {
	bool cgroup_record, cgroup_sample, namespaces, everything;
	int error;
} lacks;

static unsigned asked, with_cgroup_record, with_cgroup_sample, with_namespaces;

static int answer(const struct perf_event_attr *a)
{
	asked++;
	if (lacks.everything)
		return lacks.error;
	if ((lacks.cgroup_record && a->cgroup) ||
		(lacks.cgroup_sample && a->sample_type & PERF_SAMPLE_CGROUP))
		return EINVAL;
	if (lacks.namespaces && a->namespaces)
		return EACCES;
	with_cgroup_record += a->cgroup;
	with_cgroup_sample += (a->sample_type & PERF_SAMPLE_CGROUP) != 0;
	with_namespaces += a->namespaces;
	return ENODEV; /* accepted as far as this test goes */
}

/* Stands before libc's for all of this program. */
long syscall(long number, ...)
{
	va_list ap;
	long a[6];

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (number == SYS_perf_event_open) {
		errno = answer((const struct perf_event_attr *)a[0]);
		return -1;
	}
	errno = ENOSYS;
	return -1;
}

/* Opens the tap as that kernel would have it. */
static void open_on(const char *name)
{
	struct tap t;

	asked = with_cgroup_record = with_cgroup_sample = with_namespaces = 0;
	tap_open(CONFIG_TAP_FULL, &t);
	tap_is_int(t.layout.live, 0, "%s: no event was made, so the tap is off", name);
	tap_ok(asked && t.text[0], "%s: and it says so: %s", name, t.text);
	tap_deinit(&t);
}

int main(void)
{
	open_on("a new kernel");
	tap_ok(with_cgroup_record && with_cgroup_sample && with_namespaces,
		"with everything asked for");
	lacks.cgroup_record = true;
	open_on("no records of new cgroups");
	tap_ok(!with_cgroup_record && with_cgroup_sample, "goes without them alone");
	lacks.cgroup_sample = true;
	open_on("no cgroup in samples either");
	tap_ok(!with_cgroup_record && !with_cgroup_sample && with_namespaces, "goes without both");
	lacks.namespaces = true;
	open_on("no namespaces without CAP_SYS_ADMIN");
	tap_ok(!with_namespaces, "goes without these, too");
	memset(&lacks, 0, sizeof(lacks));
	lacks.everything = true;
	lacks.error = ENOSYS;
	open_on("no perf at all");
	lacks.error = EACCES;
	open_on("perf refused");
	return tap_done();
}
