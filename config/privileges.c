/* SPDX-License-Identifier: Apache-2.0 */
/* Giving up privileges for good, and proof that they are gone. */
#include "config/privileges.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CAP_BIT(cap) (UINT64_C(1) << (cap))

/* Root's uid means nothing, capabilities are not kept nor made ambient, and this stays so. */
#define SECUREBITS                                                                                 \
	(SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |                           \
		SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |                          \
		SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

/*
 * The line of /etc/passwd with this name or, without one, this number. The C library's other
 * sources are not asked: without memory they crash (glibc 2.36), and services have their users
 * here. NULL with errno 0: there is none.
 */
static const struct passwd *find_line(const char *name, uid_t uid)
{
	FILE *file = fopen("/etc/passwd", "re");
	const struct passwd *entry;
	int e;

	if (!file) {
		if (errno == ENOENT)
			errno = 0;
		return NULL;
	}
	do {
		errno = 0;
		entry = fgetpwent(file);
	} while (entry && (name ? strcmp(entry->pw_name, name) != 0 : entry->pw_uid != uid));
	e = entry || errno == ENOENT ? 0 : errno; /* ENOENT is what its end says */
	fclose(file);
	errno = e;
	return entry;
}

int privileges_group_of(uid_t uid, gid_t *ret_gid)
{
	const struct passwd *entry = find_line(NULL, uid);

	if (!entry && errno != 0)
		return -errno;
	if (!entry)
		entry = getpwuid(uid);
	if (!entry)
		return -ENOENT;
	*ret_gid = entry->pw_gid;
	return 0;
}

int privileges_user(const char *user, uid_t *ret_uid, gid_t *ret_gid)
{
	const struct passwd *entry;
	unsigned long id = 0;
	size_t len = strlen(user);
	bool number = strspn(user, "0123456789") == len;

	if (len == 0)
		return -EINVAL;
	errno = 0;
	if (number) {
		/* Ten digits fit a long; (uid_t)-1 means "leave it" to the system calls. */
		id = len <= 10 ? strtoul(user, NULL, 10) : 0;
		if (id == 0 || id >= UINT32_MAX)
			return -EINVAL;
		entry = find_line(NULL, (uid_t)id);
	} else {
		entry = find_line(user, 0);
		if (!entry && !errno)
			entry = getpwnam(user);
	}
	if (!entry && (!number || errno != 0))
		return errno && errno != ENOENT && errno != ESRCH ? -errno : -ENOENT;
	/* A bare number needs no account: its group has the same number. */
	if (entry && (entry->pw_uid == 0 || (!number && entry->pw_gid == 0)))
		return -EINVAL;
	*ret_uid = entry ? entry->pw_uid : (uid_t)id;
	*ret_gid = entry && entry->pw_gid ? entry->pw_gid : (gid_t)id;
	return 0;
}

bool privileges_is_root(void)
{
	return geteuid() == 0;
}

bool privileges_have(unsigned cap)
{
	return capng_get_caps_process() == 0 && capng_have_capability(CAPNG_EFFECTIVE, cap) == 1;
}

/* Whether this process could become another user, or is root in any of its three ids. */
static bool can_change_user(void)
{
	uid_t r, e, s;

	return getresuid(&r, &e, &s) < 0 || r == 0 || e == 0 || s == 0 ||
	       privileges_have(CAP_SETUID);
}

static int change_user(uid_t uid, gid_t gid)
{
	/* Carries the permitted set over; whatever of it is not wanted goes in the next step. */
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return -errno;
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return -errno;
	return 0;
}

static bool holds_any(void)
{
	static const capng_type_t sets[] = {
		CAPNG_EFFECTIVE, CAPNG_PERMITTED, CAPNG_INHERITABLE, CAPNG_AMBIENT};

	if (capng_get_caps_process() != 0)
		return true;
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		for (unsigned cap = 0; cap <= CAP_LAST_CAP; cap++)
			if (capng_have_capability(sets[i], cap) == 1)
				return true;
	return false;
}

/* Makes @caps the permitted and effective sets; inheritable and ambient become empty. */
static int set_caps(uint64_t caps)
{
	/* A service that never had one may be denied the call. */
	if (!caps && !holds_any())
		return 0;
	capng_clear(CAPNG_SELECT_CAPS);
	for (unsigned cap = 0; cap <= CAP_LAST_CAP; cap++) {
		if (caps & CAP_BIT(cap))
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, cap);
	}
	if (capng_apply(CAPNG_SELECT_CAPS) != 0)
		return -EPERM;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return -errno;
	return 0;
}

/* All that the kernel knows, beyond CAP_LAST_CAP of the headers. Needs CAP_SETPCAP in effect. */
static int empty_bounding_set(void)
{
	for (unsigned cap = 0; cap < 64; cap++) {
		int r = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

		if (r < 0)
			break; /* EINVAL: the kernel's last one was before this */
		if (r && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -errno;
	}
	return 0;
}

/* Both need CAP_SETPCAP in effect. */
static int lock_down(void)
{
	int r = empty_bounding_set();

	if (r == 0 && prctl(PR_SET_SECUREBITS, SECUREBITS, 0, 0, 0) < 0)
		r = -errno;
	return r;
}

/* No memory of ours on a disk, nor in a debugger of the same user. */
static int forbid_dumps(void)
{
	const struct rlimit none = {0, 0};

	if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : -ENOTRECOVERABLE;
}

/* capset(2) itself: libcap-ng would refuse on its own account and prove nothing. */
static bool can_regain(uint64_t lost)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	data[0].permitted = data[0].effective = (uint32_t)lost;
	data[1].permitted = data[1].effective = (uint32_t)(lost >> 32);
	return syscall(SYS_capset, &header, data) == 0;
}

static int verify_caps(uint64_t keep)
{
	if (capng_get_caps_process() != 0)
		return -EIO;
	for (unsigned cap = 0; cap <= CAP_LAST_CAP; cap++) {
		bool wanted = keep & CAP_BIT(cap);

		if ((capng_have_capability(CAPNG_EFFECTIVE, cap) == 1) != wanted ||
			(capng_have_capability(CAPNG_PERMITTED, cap) == 1) != wanted ||
			capng_have_capability(CAPNG_INHERITABLE, cap) == 1 ||
			prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) == 1)
			return -ENOTRECOVERABLE;
		if (!wanted && can_regain(CAP_BIT(cap)))
			return -ENOTRECOVERABLE;
	}
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : -ENOTRECOVERABLE;
}

static int verify_user(uid_t uid, gid_t gid)
{
	uid_t r, e, s;
	gid_t rg, eg, sg;

	if (getresuid(&r, &e, &s) < 0 || getresgid(&rg, &eg, &sg) < 0)
		return -errno;
	if (r != uid || e != uid || s != uid || rg != gid || eg != gid || sg != gid ||
		getgroups(0, NULL) != 0)
		return -ENOTRECOVERABLE;
	return 0;
}

static int verify_no_root(void)
{
	if (setresuid(0, 0, 0) == 0 || setuid(0) == 0 || seteuid(0) == 0 || setgroups(0, NULL) == 0)
		return -ENOTRECOVERABLE;
	/* Group 0 without user 0 is no privilege, and containers do start programs that way. */
	if (getgid() != 0 && (setresgid(0, 0, 0) == 0 || setgid(0) == 0 || setegid(0) == 0))
		return -ENOTRECOVERABLE;
	return 0;
}

/*
 * The kernel forgets the signal for the parent's death at a change of user (prctl(2)): sets it
 * again, and sends it ourselves if the parent died meanwhile.
 */
static int renew_parent_death_signal(int number, pid_t parent)
{
	if (!number)
		return 0;
	if (prctl(PR_SET_PDEATHSIG, number) < 0)
		return -errno;
	return getppid() != parent && raise(number) ? -errno : 0;
}

int privileges_drop(uid_t uid, gid_t gid, uint64_t keep)
{
	bool change = can_change_user();
	pid_t parent = getppid();
	int r, death_signal = 0;
	uint64_t setpcap = 0;

	if (uid == 0 || gid == 0 || uid == (uid_t)-1 || gid == (gid_t)-1 ||
		keep & (CAP_BIT(CAP_SETUID) | CAP_BIT(CAP_SETGID) | CAP_BIT(CAP_SETPCAP)))
		return -EINVAL;
	if (prctl(PR_GET_PDEATHSIG, &death_signal) < 0)
		return -errno;
	if (change) {
		r = change_user(uid, gid);
		if (r)
			return r;
	}
	if (capng_get_caps_process() != 0)
		return -EIO;
	if (capng_have_capability(CAPNG_PERMITTED, CAP_SETPCAP) == 1)
		setpcap = CAP_BIT(CAP_SETPCAP);
	for (unsigned cap = 0; cap < 64; cap++) {
		/* What we never had cannot be kept. */
		if (keep & CAP_BIT(cap) &&
			(cap > CAP_LAST_CAP || capng_have_capability(CAPNG_PERMITTED, cap) != 1))
			keep &= ~CAP_BIT(cap);
	}
	if (setpcap) {
		r = set_caps(keep | setpcap);
		if (r == 0)
			r = lock_down();
		if (r)
			return r;
	}
	r = set_caps(keep);
	if (r)
		return r;
	/*
	 * Without CAP_SETPCAP the bounding set stays; no_new_privs takes its meaning away. Locked,
	 * the keeping of capabilities is off already.
	 */
	if ((prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0) != 0 && prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0) ||
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	r = forbid_dumps();
	if (r == 0)
		r = verify_caps(keep);
	if (r == 0 && change)
		r = verify_user(uid, gid);
	if (r == 0)
		r = verify_no_root();
	return r ? r : renew_parent_death_signal(death_signal, parent);
}

void privileges_describe(char *text, size_t size)
{
	bool bounding = false, any = false;
	size_t len;

	for (unsigned cap = 0; cap < 64; cap++) {
		int r = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

		if (r < 0)
			break;
		bounding |= r > 0;
	}
	(void)capng_get_caps_process();
	snprintf(text, size, "uid %u gid %u, ", geteuid(), getegid());
	for (unsigned cap = 0; cap <= CAP_LAST_CAP; cap++) {
		if (capng_have_capability(CAPNG_PERMITTED, cap) != 1)
			continue;
		len = strlen(text);
		snprintf(text + len, size - len, "%s%s", any ? "+" : "capabilities ",
			capng_capability_to_name(cap));
		any = true;
	}
	len = strlen(text);
	snprintf(text + len, size - len, "%s, bounding set %s, securebits %s, no dumps",
		any ? "" : "no capability", bounding ? "not ours to empty" : "empty",
		prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) == SECUREBITS ? "locked" : "not ours to lock");
}
