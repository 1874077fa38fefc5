/* SPDX-License-Identifier: Apache-2.0 */
/* The file of a sweep: what comes out is what went in, and a damaged one is told. */
#include "enrich/seed-file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/tap.h"

struct seen {
	unsigned processes, sockets;
	bool wanted;
	bool self;   /* this process, as /proc shows it */
	bool socket; /* with its socket */
	uint64_t inode;
	struct procfs *procfs;
};

static struct procfs_process direct;

static bool on_process(void *arg, const struct procfs_process *p)
{
	struct seen *s = arg;

	s->processes++;
	if (p->pid == (uint32_t)getpid())
		s->self = p->ppid == direct.ppid && p->uid == direct.uid &&
			  p->exe_len == direct.exe_len && !memcmp(p->exe, direct.exe, p->exe_len) &&
			  p->args_len == direct.args_len &&
			  !memcmp(p->args, direct.args, p->args_len) &&
			  p->cwd_len == direct.cwd_len && !memcmp(p->cwd, direct.cwd, p->cwd_len) &&
			  p->cgroup_len == direct.cgroup_len &&
			  !memcmp(p->cgroup, direct.cgroup, p->cgroup_len) &&
			  !strcmp(p->comm, direct.comm);
	return s->wanted;
}

static bool on_socket(void *arg, uint32_t pid, unsigned fd, uint64_t inode)
{
	struct seen *s = arg;

	(void)fd;
	s->sockets++;
	if (pid == (uint32_t)getpid() && inode == s->inode)
		s->socket = true;
	return true;
}

/* The first @len bytes of @from, sealed or not. */
static int copy(int from, size_t len, bool seal)
{
	static char buf[4 << 20];
	int fd = memfd_create("copy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ssize_t n = pread(from, buf, len, 0);

	if (n < 0 || write(fd, buf, (size_t)n) != n)
		tap_ok(false, "a copy is made");
	if (seal)
		(void)fcntl(
			fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	return fd;
}

static int look(int fd, struct seen *s)
{
	int r = seed_file_read(fd, on_process, on_socket, s);

	close(fd);
	return r;
}

int main(void)
{
	int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd = -1, wrong = 0;
	struct seen s = {.wanted = true}, none = {0}, damaged = {.wanted = true};
	struct stat st;

	fstat(sock, &st);
	s.inode = st.st_ino;
	tap_is_int(procfs_new("/proc", &s.procfs), 0, "there is /proc");
	tap_is_int(
		procfs_read(s.procfs, (uint32_t)getpid(), PROCFS_ALL, &direct), 0, "we are in it");
	tap_is_int(seed_file_write(s.procfs, 1000000, &fd), 0, "a sweep is written");
	tap_is_int(look(fcntl(fd, F_DUPFD_CLOEXEC, 0), &s), 0, "and read");
	tap_ok(s.processes > 0 && s.self, "this process is in it as it is");
	tap_ok(s.socket, "and its socket");
	tap_is_int(look(fcntl(fd, F_DUPFD_CLOEXEC, 0), &none), 0, "sockets can be left out");
	tap_ok(none.processes == s.processes && !none.sockets, "then none is told");

	fstat(fd, &st);
	for (off_t len = 1; len < st.st_size && len < 3000; len += 13)
		wrong += look(copy(fd, (size_t)len, true), &damaged) != -EPROTO;
	/* Some of these end where a process does. */
	tap_ok(wrong <= 3, "cut anywhere it is not such a file");
	tap_is_int(look(copy(fd, 1 << 20, false), &damaged), -EPROTO, "nor if it is not sealed");
	close(fd);
	tap_is_int(seed_file_write(NULL, 0, &fd), 0, "a sweep that is not wanted");
	none = (struct seen){0};
	tap_is_int(look(fd, &none), 0, "is an empty file");
	tap_is_int(none.processes, 0, "of no process");
	procfs_free(s.procfs);
	close(sock);
	return tap_done();
}
