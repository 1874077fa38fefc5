/* SPDX-License-Identifier: Apache-2.0 */
/* The private runtime directory of one `flowner run`. */
#include "cli/runtime.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/cleanup.h"

const char *const runtime_program[LEDGER_PROGRAMS] = {
	[LEDGER_OF_CAPTURE] = "capture",
	[LEDGER_OF_ENRICH] = "enrich",
	[LEDGER_OF_SINK] = "sink",
};

static void cleanup_closedir(DIR **d)
{
	if (*d)
		closedir(*d);
}

/*
 * Empties the directory @name in @dir_fd, @depth levels deep. By descriptors and without following
 * links: its sub-directories belong to less trusted users.
 */
static void remove_tree(int dir_fd, const char *name, int depth)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d __attribute__((cleanup(cleanup_closedir))) = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (unlinkat(dirfd(d), e->d_name, 0) < 0 && depth > 0)
			remove_tree(dirfd(d), e->d_name, depth - 1);
	}
	unlinkat(dir_fd, name, AT_REMOVEDIR);
}

bool runtime_is_live(const char *path)
{
	char lock[RUNTIME_PATH_MAX + 8];
	_cleanup_close_ int fd = -1;

	/* A path that long is none of ours. */
	if (snprintf(lock, sizeof(lock), "%s/lock", path) >= (int)sizeof(lock))
		return false;
	fd = open(lock, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

/* Removes directories of killed runs. A live one has a live process or, in another container, a
 * lock. */
static void sweep(const char *base)
{
	DIR *d __attribute__((cleanup(cleanup_closedir))) = opendir(base);
	char path[RUNTIME_PATH_MAX + 256];
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char *end;
		long pid;

		if (strncmp(e->d_name, RUNTIME_PREFIX, strlen(RUNTIME_PREFIX)) != 0)
			continue;
		pid = strtol(e->d_name + strlen(RUNTIME_PREFIX), &end, 10);
		if (*end || pid <= 0 || kill((pid_t)pid, 0) == 0 || errno != ESRCH)
			continue;
		snprintf(path, sizeof(path), "%s/%s", base, e->d_name);
		if (!runtime_is_live(path))
			remove_tree(dirfd(d), e->d_name, 1);
	}
}

static int make_base(struct runtime *r)
{
	const char *dir[] = {getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR"), "/tmp"};

	if (geteuid() == 0) {
		if (mkdir(DAEMON_RUNTIME_DIR, 0755) == 0)
			chmod(DAEMON_RUNTIME_DIR, 0755); /* whatever the umask */
		else if (errno != EEXIST)
			return -errno;
		sweep(DAEMON_RUNTIME_DIR);
		snprintf(r->path, sizeof(r->path), "%s/" RUNTIME_PREFIX "%d", DAEMON_RUNTIME_DIR,
			getpid());
		remove_tree(AT_FDCWD, r->path, 1); /* of a dead namesake */
		return mkdir(r->path, 0755) < 0 ? -errno : 0;
	}
	for (size_t i = 0; i < sizeof(dir) / sizeof(dir[0]); i++) {
		if (!dir[i] || dir[i][0] != '/' ||
			(size_t)snprintf(r->path, sizeof(r->path), "%s/flowner-run-XXXXXX",
				dir[i]) >= sizeof(r->path))
			continue;
		if (mkdtemp(r->path))
			return 0;
	}
	return errno ? -errno : -ENOENT;
}

int runtime_make(
	struct runtime *r, const uid_t uid[LEDGER_PROGRAMS], const gid_t gid[LEDGER_PROGRAMS])
{
	_cleanup_close_ int dir = -1, lock = -1;
	int ret = make_base(r);

	r->lock_fd = -1;
	if (ret < 0) {
		r->path[0] = 0;
		return ret;
	}
	dir = open(r->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	if (geteuid() == 0 && fchmod(dir, 0755) < 0) /* the three users pass through */
		return -errno;
	lock = openat(dir, "lock", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	for (size_t i = 0; i < LEDGER_PROGRAMS; i++) {
		if (mkdirat(dir, runtime_program[i], 0755) < 0)
			return -errno;
		if (fchmodat(dir, runtime_program[i], 0755, 0) < 0)
			return -errno;
		if (geteuid() == 0 &&
			fchownat(dir, runtime_program[i], uid[i], gid[i], AT_SYMLINK_NOFOLLOW) < 0)
			return -errno;
	}
	r->lock_fd = take_fd(&lock);
	return 0;
}

void runtime_remove(struct runtime *r)
{
	if (r->path[0])
		remove_tree(AT_FDCWD, r->path, 1);
	r->path[0] = 0;
	if (r->lock_fd >= 0)
		close(r->lock_fd);
	r->lock_fd = -1;
}
