/* SPDX-License-Identifier: Apache-2.0 */
/* Reading processes, on a made-up /proc with hostile names. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "enrich/procfs.h"
#include "tap.h"

static char root[] = "/tmp/flowner-procfs-XXXXXX";

static void put(const char *name, const char *bytes, size_t len)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, bytes, len) != (ssize_t)len)
		tap_bail(path);
	close(fd);
}

static void put_text(const char *name, const char *text)
{
	put(name, text, strlen(text));
}

static void make(const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	if (mkdir(path, 0700))
		tap_bail(path);
}

static void point(const char *name, const char *target)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	if (symlink(target, path))
		tap_bail(path);
}

static void build(void)
{
	if (!mkdtemp(root))
		tap_bail("no temporary folder");
	make("123");
	put_text("123/stat",
		"123 (a) 1 (\nx\xff) S 77 123 120 34819 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 "
		"4200 1 2 3\n");
	put_text("123/status", "Name:\tUid:\t9\nUmask:\t0022\nUid:\t1000\t1001\t1002\t1003\n"
			       "Gid:\t100\t101\t102\t103\nNSpid:\t123\t17\t5\nNSpgid:\t9\t9\t9\n");
	put_text("123/loginuid", "1005");
	put("123/cmdline", "prog\0two words\0", 15);
	put_text("123/cgroup", "4:memory:/a\n1:cpu:/\n0::/user.slice/s 1.scope\n");
	point("123/exe", "/opt/prog (deleted)");
	point("123/cwd", "/srv/annie");
	make("124");
	put_text("124/stat", "124 (b) S 1 1 -1 -1 -1 0 1 0 0 0 1 2 0 0 20 0 1 0 42 1 2 3\n");
	put_text("124/status", "Name:\tNSpid:\t9\t8\nUid:\t1\nNSpid:\t124\n");
	put_text("124/loginuid", "4294967295");
	make("123/fd");
	point("123/fd/0", "/dev/null");
	point("123/fd/3", "socket:[4711]");
	point("123/fd/4", "pipe:[4712]");
	point("123/fd/5", "socket:[4713]");
	make("9");
	put_text("9/stat", "9 (short) S");
	make("self");
	make("12x");
}

static unsigned pids;
static uint64_t inodes;

static bool on_pid(void *arg, uint32_t pid)
{
	(void)arg;
	pids += pid;
	return true;
}

static bool on_inode(void *arg, uint32_t pid, unsigned fd, uint64_t inode)
{
	(void)arg;
	(void)fd;
	inodes += pid == 123 ? inode : 0;
	return true;
}

int main(void)
{
	static struct procfs_process p;
	struct procfs *fs;
	char command[128];
	size_t budget = 100;
	struct stat own;

	build();
	tap_is_int(procfs_new("/nonexistent", &fs), -ENOENT, "no such root");
	tap_is_int(procfs_new(root, &fs), 0, "open");
	tap_is_int(procfs_read(fs, 123, PROCFS_ALL, &p), 0, "read a process");
	tap_ok(!memcmp(p.comm, "a) 1 (\nx\xff", 9), "a name with parentheses and newlines");
	tap_is_int(p.ppid, 77, "parent");
	tap_ok(p.uid == 1001 && p.gid == 101, "effective ids, not those a name pretends");
	tap_ok(p.args_len == 15 && !memcmp(p.args, "prog\0two words", 15), "command line");
	tap_ok(p.exe_len == 19 && !memcmp(p.exe, "/opt/prog (deleted)", 19), "program");
	tap_ok(p.cgroup_len == 21 && !memcmp(p.cgroup, "/user.slice/s 1.scope", 21), "v2 cgroup");
	tap_ok(p.sid == 120 && p.tty == 34819, "session and terminal");
	tap_ok(p.ruid == 1000, "real user");
	tap_is_int(p.inner_pid, 5, "the pid in the innermost namespace");
	tap_is_int(p.loginuid, 1005, "login");
	tap_ok(p.cwd_len == 10 && !memcmp(p.cwd, "/srv/annie", 10), "working directory");
	tap_ok(p.netns == 0, "what cannot be read stays unknown");
	tap_is_int(procfs_read(fs, 124, PROCFS_ALL, &p), 0, "read another");
	tap_ok(!p.cwd_len && !p.exe_len && !p.args_len && !p.cgroup_len,
		"nothing is left of the one before");
	tap_ok(p.sid == 0 && p.inner_pid == 0, "no session of ours, no other namespace");
	tap_ok(p.uid == UINT32_MAX && p.ruid == UINT32_MAX && p.gid == UINT32_MAX &&
			p.loginuid == UINT32_MAX,
		"no ids out of incomplete lines, no login that was never set");
	tap_is_int(procfs_read(fs, 5, PROCFS_ALL, &p), -ESRCH, "no such process");
	tap_is_int(procfs_read(fs, 9, PROCFS_ALL, &p), -EPROTO, "a line that ends too early");
	tap_is_int(procfs_each(fs, on_pid, NULL), 0, "list");
	tap_is_int(pids, 256, "only numbers are processes");
	tap_is_int(procfs_each_socket(fs, 123, &budget, on_inode, NULL), 0, "descriptors");
	tap_is_int(inodes, 4711 + 4713, "the sockets among them");
	tap_is_int(budget, 96, "each descriptor is counted");
	budget = 0;
	inodes = 0;
	procfs_each_socket(fs, 123, &budget, on_inode, NULL);
	tap_is_int(inodes, 0, "no budget, no look");
	procfs_free(fs);

	tap_is_int(procfs_new("/proc", &fs), 0, "the real one");
	tap_is_int(procfs_read(fs, (uint32_t)getpid(), PROCFS_ALL, &p), 0, "this process");
	tap_ok(p.ppid == (uint32_t)getppid() && p.uid == geteuid() && p.exe_len && p.args_len,
		"is as it should be");
	if (stat("/proc/self/ns/net", &own) < 0)
		tap_bail("no /proc/self/ns/net");
	tap_is_int(p.netns, (long long)own.st_ino, "in its own network namespace");
	tap_is_int(p.pidns, procfs_own_pidns(fs), "and pid namespace");
	tap_ok(p.sid == (uint32_t)getsid(0) && p.ruid == getuid() && p.inner_pid == 0,
		"in its own session");
	tap_ok(getcwd(command, sizeof(command)) && p.cwd_len == strlen(command) &&
			!memcmp(p.cwd, command, p.cwd_len),
		"and directory");
	procfs_free(fs);
	snprintf(command, sizeof(command), "rm -r %s", root);
	tap_is_int(system(command), 0, "removed"); /* NOLINT(cert-env33-c): a fixed command */
	return tap_done();
}
