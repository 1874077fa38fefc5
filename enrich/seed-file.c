/* SPDX-License-Identifier: Apache-2.0 */
/* A file of what the start-up sweep has seen. */
#include "enrich/seed-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/cleanup.h"

#define SEALS     (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define SIZE_MAX_ (UINT64_C(1) << 31)

/* Of struct procfs_process all but its texts, which follow in the order of their lengths. */
#define FIXED offsetof(struct procfs_process, exe)

struct entry_socket {
	uint64_t inode;
	uint32_t fd; /* UINT32_MAX: there are no more of this process */
	uint32_t reserved;
};

struct writer {
	FILE *file;
	struct procfs *procfs;
	size_t budget;
	struct procfs_process found;
};

static bool on_socket(void *arg, uint32_t pid, unsigned fd, uint64_t inode)
{
	const struct entry_socket s = {.inode = inode, .fd = fd};
	struct writer *w = arg;

	(void)pid;
	return fwrite(&s, sizeof(s), 1, w->file) == 1;
}

static bool on_process(void *arg, uint32_t pid)
{
	const struct entry_socket last = {.fd = UINT32_MAX};
	struct writer *w = arg;
	const struct procfs_process *p = &w->found;

	if (procfs_read(w->procfs, pid, PROCFS_ALL, &w->found))
		return true; /* gone meanwhile */
	fwrite(p, FIXED, 1, w->file);
	fwrite(p->exe, 1, p->exe_len, w->file);
	fwrite(p->args, 1, p->args_len, w->file);
	fwrite(p->cwd, 1, p->cwd_len, w->file);
	fwrite(p->cgroup, 1, p->cgroup_len, w->file);
	if (w->budget)
		(void)procfs_each_socket(w->procfs, pid, &w->budget, on_socket, w);
	return fwrite(&last, sizeof(last), 1, w->file) == 1;
}

int seed_file_write(struct procfs *p, size_t budget, int *ret_fd)
{
	_cleanup_close_ int fd = memfd_create("seed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	_cleanup_free_ struct writer *w = calloc(1, sizeof(*w));
	int r, copy;

	if (fd < 0)
		return -errno;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (!w || copy < 0)
		return -ENOMEM;
	w->procfs = p;
	w->budget = budget;
	w->file = fdopen(copy, "w");
	if (!w->file) {
		close(copy);
		return -ENOMEM;
	}
	r = p ? procfs_each(p, on_process, w) : 0;
	if (r == 0 && ferror(w->file))
		r = -ENOSPC;
	if (fclose(w->file) && r == 0)
		r = -errno;
	if (r == 0 && fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		r = -errno;
	if (r < 0)
		return r;
	*ret_fd = take_fd(&fd);
	return 0;
}

struct reader {
	const uint8_t *at, *end;
	struct procfs_process found;
};

static bool take(struct reader *r, void *to, size_t len)
{
	if ((size_t)(r->end - r->at) < len)
		return false;
	memcpy(to, r->at, len);
	r->at += len;
	return true;
}

static bool take_process(struct reader *r)
{
	struct procfs_process *p = &r->found;

	return take(r, p, FIXED) && p->exe_len <= sizeof(p->exe) &&
	       p->args_len <= sizeof(p->args) && p->cwd_len <= sizeof(p->cwd) &&
	       take(r, p->exe, p->exe_len) && take(r, p->args, p->args_len) &&
	       take(r, p->cwd, p->cwd_len) && take(r, p->cgroup, p->cgroup_len);
}

static int read_all(struct reader *r, seed_process_fn process, procfs_inode_fn socket, void *arg)
{
	while (r->at < r->end) {
		struct entry_socket s;
		bool wanted;

		if (!take_process(r))
			return -EPROTO;
		wanted = process(arg, &r->found);
		for (;;) {
			if (!take(r, &s, sizeof(s)))
				return -EPROTO;
			if (s.fd == UINT32_MAX)
				break;
			if (wanted)
				wanted = socket(arg, r->found.pid, s.fd, s.inode);
		}
	}
	return 0;
}

int seed_file_read(int fd, seed_process_fn process, procfs_inode_fn socket, void *arg)
{
	_cleanup_free_ struct reader *r = calloc(1, sizeof(*r));
	struct stat st;
	void *map;
	int e;

	if (!r)
		return -ENOMEM;
	if (fcntl(fd, F_GET_SEALS) != SEALS || fstat(fd, &st) < 0 || st.st_size < 0 ||
		(uint64_t)st.st_size > SIZE_MAX_)
		return -EPROTO;
	if (!st.st_size)
		return 0;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	r->at = map;
	r->end = r->at + st.st_size;
	e = read_all(r, process, socket, arg);
	munmap(map, (size_t)st.st_size);
	return e;
}
