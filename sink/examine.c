/* SPDX-License-Identifier: Apache-2.0 */
/* What flowner-sink finds on this machine: folders, space, rotation, io_uring. */
#include "sink/examine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/findings.h"
#include "config/privileges.h"
#include "shm/cleanup.h"
#include "sink/writer.h"

#define MIB              (UINT64_C(1) << 20)
#define SPACE_FAIL       (64 * MIB)
#define SPACE_WARN       (1024 * MIB)
#define INODES_WARN      1000u
#define LOGROTATE        "/etc/logrotate.d/flowner"
#define EXIT_NO_IDENTITY 255 /* of the child that becomes output.user */

static void uring(const struct config *c)
{
	struct writer *w = NULL;
	_cleanup_close_ int fd = -1;
	int r;

	if (c->output.io_uring == CONFIG_IO_URING_OFF) {
		finding_say(
			FINDING_PASS, "sink.io_uring", "", "io_uring: off in the configuration");
		return;
	}
	fd = memfd_create("flowner-examine", MFD_CLOEXEC);
	r = fd < 0 ? -errno : writer_new_uring(fd, 0, 256 * 1024, &w);
	if (r < 0)
		finding_say(FINDING_WARN, "sink.io_uring",
			"plain writes are used; sysctl kernel.io_uring_disabled=0 or the "
			"container's system call filter may allow it",
			"io_uring is not available: %s", strerror(-r));
	else
		finding_say(FINDING_PASS, "sink.io_uring", "",
			"io_uring works, restricted to writes and syncs");
	writer_free(w);
}

/* The folder of @path; owned. */
static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strdup(".");
	return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

/* Whether output.user may do @mode with @path: 0, -errno; -ESRCH = there is no such user. */
static int user_may(const struct config *c, const char *path, int mode)
{
	int status;
	uid_t uid;
	gid_t gid;
	pid_t pid;

	if (!privileges_is_root())
		return access(path, mode) < 0 ? -errno : 0;
	if (privileges_user(c->output.user, &uid, &gid) < 0)
		return -ESRCH;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
			setresuid(uid, uid, uid) < 0)
			_exit(EXIT_NO_IDENTITY);
		_exit(access(path, mode) < 0 ? errno : 0);
	}
	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (!WIFEXITED(status) || WEXITSTATUS(status) == EXIT_NO_IDENTITY)
		return -EPERM;
	return -WEXITSTATUS(status);
}

static void folder_writable(
	const struct config *c, const struct config_output *o, const char *folder)
{
	bool makes = o->rotate_size || o->rotate_interval_ns;
	int r = user_may(c, folder, W_OK | X_OK);
	char remedy[512];

	snprintf(remedy, sizeof(remedy), "chown %s %s", c->output.user, folder);
	if (r == 0)
		finding_say(FINDING_PASS, "sink.folder", "", "%s: %s may write files there", folder,
			privileges_is_root() ? c->output.user : "this user");
	else if (r == -ESRCH)
		finding_say(FINDING_WARN, "sink.folder", "see users",
			"%s: whether %s may write there is not known, it does not exist", folder,
			c->output.user);
	else
		finding_say(makes ? FINDING_FAIL : FINDING_WARN, "sink.folder", remedy,
			"%s: %s may not make files there (%s)%s", folder,
			privileges_is_root() ? c->output.user : "this user", strerror(-r),
			makes ? ": nothing can be rotated"
			      : ": a file moved away cannot be begun anew");
}

static void space(const struct config_output *o, const char *folder)
{
	struct statvfs v;
	uint64_t free_bytes, all;
	enum finding_verdict verdict = FINDING_PASS;

	if (statvfs(folder, &v) < 0)
		return;
	if (v.f_flag & ST_RDONLY) {
		finding_say(FINDING_FAIL, "sink.space", "remount it read-write",
			"%s: the file system is read-only", folder);
		return;
	}
	free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
	all = (uint64_t)v.f_blocks * v.f_frsize;
	if (free_bytes < SPACE_FAIL)
		verdict = FINDING_FAIL;
	else if (free_bytes < SPACE_WARN || free_bytes < all / 20)
		verdict = FINDING_WARN;
	finding_say(verdict, "sink.space",
		verdict ? "make room, or bound the files by rotate_size and keep_bytes" : "",
		"%s: %llu MiB free of %llu", folder, (unsigned long long)(free_bytes / MIB),
		(unsigned long long)(all / MIB));
	if (v.f_files && v.f_favail < INODES_WARN)
		finding_say(FINDING_WARN, "sink.space", "remove files from that file system",
			"%s: room for %llu more files only", folder,
			(unsigned long long)v.f_favail);
	if (o->keep_bytes > all && all)
		finding_say(FINDING_WARN, "sink.retention", "lower keep_bytes",
			"%s: keep_bytes is more than the file system holds", o->path);
}

static void retention(const struct config_output *o)
{
	bool rotates = o->rotate_size || o->rotate_interval_ns;
	bool keeps = o->keep_files || o->keep_time_ns || o->keep_bytes;

	if (rotates && keeps)
		finding_say(FINDING_PASS, "sink.retention", "", "%s: is rotated, old files go",
			o->path);
	else if (rotates)
		finding_say(FINDING_WARN, "sink.retention",
			"set keep_files, keep_time or keep_bytes of that output",
			"%s: is rotated, but its old files are kept for ever", o->path);
	else if (access(LOGROTATE, R_OK) == 0)
		finding_say(FINDING_PASS, "sink.retention", "", "%s: left to " LOGROTATE, o->path);
	else
		finding_say(FINDING_WARN, "sink.retention",
			"set rotate_size and keep_bytes of that output, or install a file for "
			"logrotate(8)",
			"%s: grows without a bound", o->path);
}

/* What is at the path now. False: nothing more to say about it. */
static bool file(const struct config *c, const struct config_output *o)
{
	char remedy[512];
	struct stat st;
	int r;

	if (lstat(o->path, &st) < 0)
		return true; /* is made */
	if (S_ISLNK(st.st_mode)) {
		finding_say(FINDING_FAIL, "sink.output", "name the file itself",
			"%s: is a symbolic link, which is not followed", o->path);
		return false;
	}
	if (S_ISDIR(st.st_mode)) {
		finding_say(FINDING_FAIL, "sink.output", "name a file in it", "%s: is a directory",
			o->path);
		return false;
	}
	if (!S_ISREG(st.st_mode)) {
		finding_say(FINDING_PASS, "sink.output", "", "%s: is a stream or device", o->path);
		return false;
	}
	r = user_may(c, o->path, R_OK | W_OK);
	if (r < 0 && r != -ESRCH) {
		snprintf(remedy, sizeof(remedy), "chown %s %s", c->output.user, o->path);
		finding_say(FINDING_WARN, "sink.output", remedy,
			"%s: %s may not write it (%s), as a service that starts as that user must",
			o->path, privileges_is_root() ? c->output.user : "this user", strerror(-r));
	}
	return true;
}

static void output(const struct config *c, const struct config_output *o)
{
	_cleanup_free_ char *folder = NULL;
	char remedy[512];
	struct stat st;

	if (!strcmp(o->path, "-")) {
		finding_say(
			FINDING_PASS, "sink.output", "", "%s goes to standard output", o->format);
		return;
	}
	folder = folder_of(o->path);
	if (!folder)
		return;
	if (stat(folder, &st) < 0 || !S_ISDIR(st.st_mode)) {
		snprintf(remedy, sizeof(remedy), "install -d -o %s -m 0750 %s", c->output.user,
			folder);
		finding_say(FINDING_FAIL, "sink.folder", remedy, "%s: %s", folder,
			errno == EACCES ? "cannot be looked into" : "there is no such folder");
		return;
	}
	if (!file(c, o))
		return;
	folder_writable(c, o, folder);
	space(o, folder);
	retention(o);
}

int examine_sink(const struct config *c)
{
	uring(c);
	for (size_t i = 0; i < c->output.files.n; i++)
		output(c, &c->output.files.item[i]);
	return 0;
}
