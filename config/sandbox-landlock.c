/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Landlock domain: no file but below the folders listed, no TCP, no signal and no abstract socket
 * to anybody outside.
 *
 * Plain system calls, and the kernel's numbers as literals: headers are older than kernels. Source:
 * landlock(7), linux/landlock.h of Linux 6.15.
 */
#include "config/sandbox-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shm/cleanup.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule       445
#define SYS_landlock_restrict_self  446
#endif

#define FS_WRITE_FILE  (1u << 1)
#define FS_READ_FILE   (1u << 2)
#define FS_READ_DIR    (1u << 3)
#define FS_REMOVE_FILE (1u << 5)
#define FS_MAKE_REG    (1u << 8)
#define FS_TRUNCATE    (1u << 14) /* version 3 */

#define FS_READ  (FS_READ_FILE | FS_READ_DIR)
#define FS_WRITE (FS_WRITE_FILE | FS_REMOVE_FILE | FS_MAKE_REG | FS_TRUNCATE)
/* What can be granted on a file itself. */
#define FS_OF_FILE (FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE)

#define NET_TCP        3u /* bind and connect, version 4 */
#define SCOPE          3u /* abstract sockets and signals, version 6 */
#define GET_VERSION    1u
#define RULE_BENEATH   1
#define VERSIONS_KNOWN 6

struct attr {
	uint64_t fs, net, scoped;
};

struct beneath {
	uint64_t access;
	int32_t fd;
} __attribute__((packed));

/* All rights there are in a version, and so refused but where a rule grants them. */
static struct attr handled(int version)
{
	/* Versions up to 1, 2, 3 and 5 have this many rights: files, REFER, TRUNCATE, IOCTL_DEV. */
	static const unsigned char rights[] = {0, 13, 14, 15, 15, 16, 16};
	unsigned n = rights[version < VERSIONS_KNOWN ? version : VERSIONS_KNOWN];

	return (struct attr){
		.fs = (UINT64_C(1) << n) - 1,
		.net = version >= 4 ? NET_TCP : 0,
		.scoped = version >= 6 ? SCOPE : 0,
	};
}

/* A kernel takes the fields it knows; what is behind them must not be there. */
static size_t size_of_attr(int version)
{
	return version >= 6 ? sizeof(struct attr) : version >= 4 ? 16 : 8;
}

static int grant(int ruleset, const struct sandbox_path *p, uint64_t known)
{
	_cleanup_close_ int own = -1;
	struct beneath rule = {.access = FS_READ | (p->write ? FS_WRITE : 0), .fd = p->fd};
	struct stat st;

	if (p->path) {
		own = open(p->path, O_PATH | O_CLOEXEC);
		if (own < 0)
			return errno == ENOENT || errno == EACCES || errno == ENOTDIR ? 0 : -errno;
		rule.fd = own;
	}
	if (fstat(rule.fd, &st) < 0)
		return -errno;
	rule.access &= known & (S_ISDIR(st.st_mode) ? UINT64_MAX : FS_OF_FILE);
	return syscall(SYS_landlock_add_rule, ruleset, RULE_BENEATH, &rule, 0) < 0 ? -errno : 0;
}

int sandbox_landlock(const struct sandbox *s)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, GET_VERSION);
	_cleanup_close_ int ruleset = -1;
	struct attr attr;
	int r = 0;

	if (version < 0)
		return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : -errno;
	attr = handled((int)version);
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size_of_attr((int)version), 0);
	if (ruleset < 0)
		return -errno;
	for (size_t i = 0; i < s->n_paths && r == 0; i++)
		r = grant(ruleset, &s->paths[i], attr.fs);
	if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		r = -errno;
	return r < 0 ? r : (int)version;
}
