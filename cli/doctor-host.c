/* SPDX-License-Identifier: Apache-2.0 */
/* What `flowner doctor` looks at itself: kernel, clock, users. */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "config/privileges.h"
#include "shm/cleanup.h"

#define OLDEST_S 1767225600 /* 2026-01-01: no clock that runs is before it */

/* ---- kernel ---- */

static void landlock(struct doctor_report *r)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	if (abi > 0)
		doctor_add(r, FINDING_PASS, "kernel.landlock", "", "Landlock, ABI %ld", abi);
	else
		doctor_add(r, FINDING_WARN, "kernel.landlock",
			"boot with lsm=landlock,... (Linux 5.13, CONFIG_SECURITY_LANDLOCK); the "
			"programs are then confined by users and system call filters alone",
			"no Landlock: %s", strerror(errno));
}

static void seccomp(struct doctor_report *r)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;

	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0)
		doctor_add(r, FINDING_PASS, "kernel.seccomp", "", "system call filters");
	else
		doctor_add(r, FINDING_FAIL, "kernel.seccomp",
			"a kernel with CONFIG_SECCOMP_FILTER (Linux 4.14), or sandbox.seccomp: off",
			"no system call filters: %s", strerror(errno));
}

static void cgroups(struct doctor_report *r)
{
	struct statfs v;

	if (statfs("/sys/fs/cgroup", &v) == 0 && v.f_type == CGROUP2_SUPER_MAGIC)
		doctor_add(r, FINDING_PASS, "kernel.cgroup2", "", "cgroup v2 at /sys/fs/cgroup");
	else if (statfs("/sys/fs/cgroup/unified", &v) == 0 && v.f_type == CGROUP2_SUPER_MAGIC)
		doctor_add(r, FINDING_PASS, "kernel.cgroup2", "",
			"cgroup v2 at /sys/fs/cgroup/unified");
	else
		doctor_add(r, FINDING_WARN, "kernel.cgroup2",
			"boot with systemd.unified_cgroup_hierarchy=1, or mount cgroup2",
			"no cgroup v2: containers and units of owners are not named");
}

/* As the rings are made. */
static void seals(struct doctor_report *r)
{
	_cleanup_close_ int fd = memfd_create("flowner-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && ftruncate(fd, 4096) == 0 && fchmod(fd, 0600) == 0 &&
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		doctor_add(r, FINDING_PASS, "kernel.memfd", "", "sealed shared memory");
	else
		doctor_add(r, FINDING_FAIL, "kernel.memfd",
			"a kernel with CONFIG_MEMFD_CREATE; a container may forbid memfd_create(2)",
			"no sealed shared memory: %s", strerror(errno));
}

void doctor_kernel(struct doctor_report *r)
{
	struct utsname u;

	if (uname(&u) == 0)
		doctor_add(r, FINDING_PASS, "kernel.release", "", "%s %s %s", u.sysname, u.release,
			u.machine);
	if (!privileges_is_root())
		doctor_add(r, FINDING_WARN, "kernel.user", "run flowner doctor as root",
			"looked at as user %u: what root or the services may do is not seen",
			geteuid());
	seccomp(r);
	landlock(r);
	seals(r);
	cgroups(r);
}

/* ---- clock ---- */

/* Another offset than the host's would part the tap's times from the packets'. */
static bool offset_of_namespace(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/timens_offsets", "re");
	char clock[32];
	long long s, ns;

	while (f && fscanf(f, "%31s %lld %lld", clock, &s, &ns) == 3)
		if (!strcmp(clock, "monotonic") && (s || ns))
			return true;
	return false;
}

void doctor_clock(struct doctor_report *r)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	struct timex t = {0};
	struct timespec real;
	char id[40] = "";
	int state = adjtimex(&t);

	if (state < 0)
		doctor_add(r, FINDING_WARN, "clock.synchronised", "timedatectl tells as well",
			"whether the clock is synchronised cannot be asked: %s", strerror(errno));
	else if (state == TIME_ERROR || t.status & STA_UNSYNC)
		doctor_add(r, FINDING_WARN, "clock.synchronised",
			"start systemd-timesyncd, chrony or ntpd; logs of several hosts do not "
			"fit together otherwise",
			"the clock is not synchronised");
	else
		doctor_add(r, FINDING_PASS, "clock.synchronised", "",
			"the clock is synchronised, within %ld ms", t.maxerror / 1000);
	clock_gettime(CLOCK_REALTIME, &real);
	if (real.tv_sec < OLDEST_S)
		doctor_add(r, FINDING_WARN, "clock.date", "set it: date -s",
			"the clock is before this program was made");
	if (offset_of_namespace())
		doctor_add(r, FINDING_WARN, "clock.namespace",
			"run flowner outside of the time namespace",
			"CLOCK_MONOTONIC is that of a time namespace: the tap's times are not");
	else
		doctor_add(
			r, FINDING_PASS, "clock.namespace", "", "CLOCK_MONOTONIC is the kernel's");
	if (f && fgets(id, sizeof(id), f) && strlen(id) > 30)
		doctor_add(r, FINDING_PASS, "clock.boot_id", "", "boot id %.36s", id);
	else
		doctor_add(r, FINDING_WARN, "clock.boot_id", "mount -t proc proc /proc",
			"there is no boot id: ids of connections may repeat after a restart");
}

/* ---- users ---- */

void doctor_users(struct doctor_report *r, const struct config *c)
{
	const struct {
		const char *key, *name;
	} user[] = {{"capture.user", c->capture.user}, {"enrich.user", c->enrich.user},
		{"output.user", c->output.user}, {"metrics.user", c->metrics.user}};
	enum { N = sizeof(user) / sizeof(user[0]) };
	/* The last one only where something is to be answered or written. */
	const size_t n = *c->metrics.textfile || *c->metrics.listen ? N : N - 1;
	uid_t uid[N];
	char remedy[256];
	bool distinct = true;
	size_t known = 0;
	gid_t gid;

	for (size_t i = 0; i < n; i++) {
		int e = privileges_user(user[i].name, &uid[i], &gid);

		if (e < 0) {
			uid[i] = 0;
			snprintf(remedy, sizeof(remedy),
				e == -EINVAL ? "name another user in %.32s"
					     : "useradd --system --no-create-home --shell "
					       "/usr/sbin/nologin %.64s (flowner run does without)",
				e == -EINVAL ? user[i].key : user[i].name);
			doctor_add(r, FINDING_FAIL, "users.exist", remedy, "%s: %s %s", user[i].key,
				user[i].name, e == -EINVAL ? "is root" : "does not exist");
			continue;
		}
		known++;
		for (size_t k = 0; k < i; k++)
			if (uid[k] == uid[i]) {
				distinct = false;
				doctor_add(r, FINDING_WARN, "users.distinct",
					"give each program a user of its own",
					"%s and %s are the same user: nothing separates them",
					user[k].key, user[i].key);
			}
	}
	if (known == n && distinct)
		doctor_add(r, FINDING_PASS, "users.distinct", "",
			"the programs' users exist: %u, %u, %u", uid[0], uid[1], uid[2]);
}

/* ---- sandbox ---- */

void doctor_sandbox(struct doctor_report *r, const struct config *c)
{
	if (c->sandbox.seccomp == CONFIG_SECCOMP_KILL &&
		c->sandbox.landlock == CONFIG_LANDLOCK_AUTO)
		doctor_add(r, FINDING_PASS, "sandbox.on", "",
			"system calls and files are confined as the kernel allows");
	if (c->sandbox.seccomp != CONFIG_SECCOMP_KILL)
		doctor_add(r, FINDING_WARN, "sandbox.seccomp",
			"set sandbox.seccomp: kill; log is for finding a call that is missing",
			c->sandbox.seccomp == CONFIG_SECCOMP_OFF
				? "system calls are not confined (sandbox.seccomp: off)"
				: "a refused system call is named (sandbox.seccomp: log)");
	if (c->sandbox.landlock != CONFIG_LANDLOCK_AUTO)
		doctor_add(r, FINDING_WARN, "sandbox.landlock", "set sandbox.landlock: auto",
			"files are not confined (sandbox.landlock: off)");
}

/* ---- metrics ---- */

void doctor_metrics(struct doctor_report *r, const struct config *c)
{
	const char *path = c->metrics.textfile, *slash = strrchr(path, '/');
	_cleanup_free_ char *folder = NULL;
	struct stat st;

	if (!slash)
		return;
	folder = strndup(path, slash == path ? 1 : (size_t)(slash - path));
	if (!folder)
		return;
	if (stat(folder, &st) == 0 && S_ISDIR(st.st_mode))
		doctor_add(r, FINDING_PASS, "metrics.folder", "", "%s: is there", folder);
	else
		doctor_add(r, FINDING_FAIL, "metrics.folder",
			"make it, for metrics.user to write in; or set another metrics.textfile",
			"%s: there is no such folder", folder);
}
