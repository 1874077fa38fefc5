/* SPDX-License-Identifier: Apache-2.0 */
/* Removes an output's oldest files that were put aside. */
#include "sink/retention.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "shm/cleanup.h"
#include "sink/rotate.h"

struct file {
	uint64_t t_ns, bytes;
};

static int youngest_first(const void *a, const void *b)
{
	const struct file *x = a, *y = b;

	return x->t_ns < y->t_ns ? 1 : x->t_ns > y->t_ns ? -1 : 0;
}

/* The output's next file that was put aside, or NULL. */
static const struct dirent *next_file(const struct output *o, DIR *d, struct file *ret)
{
	const struct dirent *e;
	struct stat st;
	bool zst;

	while ((e = readdir(d))) {
		if (!rotate_is_name(o->name, e->d_name, &ret->t_ns, &zst) ||
			fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			!S_ISREG(st.st_mode))
			continue;
		ret->bytes = (uint64_t)st.st_size;
		return e;
	}
	return NULL;
}

/* Files up to *ret_t_ns are too many, too large together or too old; false: none is. */
static bool find_cut(const struct output *o, const struct file *file, size_t n, uint64_t now_ns,
	uint64_t *ret_t_ns)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < n; i++) {
		bytes += file[i].bytes;
		if ((o->limits.keep_files && i >= o->limits.keep_files) ||
			(o->limits.keep_bytes && bytes > o->limits.keep_bytes) ||
			(o->limits.keep_time_ns && file[i].t_ns < now_ns &&
				now_ns - file[i].t_ns > o->limits.keep_time_ns)) {
			*ret_t_ns = file[i].t_ns;
			return true;
		}
	}
	return false;
}

static int apply(const struct output *o, DIR *d, uint64_t now_ns)
{
	_cleanup_free_ struct file *files = NULL;
	size_t n = 0, room = 0;
	const struct dirent *e;
	uint64_t cut;
	struct file f;
	int removed = 0;

	while (n < RETENTION_MAX && next_file(o, d, &f)) {
		if (n == room) {
			struct file *more;

			room = room ? room * 2 : 64;
			more = reallocarray(files, room, sizeof(*files));
			if (!more)
				return -ENOMEM;
			files = more;
		}
		files[n++] = f;
	}
	if (n == 0)
		return 0;
	qsort(files, n, sizeof(*files), youngest_first);
	if (!find_cut(o, files, n, now_ns, &cut))
		return 0;
	rewinddir(d);
	while ((e = next_file(o, d, &f)))
		removed += f.t_ns <= cut && unlinkat(dirfd(d), e->d_name, 0) == 0;
	return removed;
}

int retention_apply(const struct output *o, uint64_t now_ns)
{
	int fd, r;
	DIR *d;

	if (o->target != WRITER_FILE ||
		!(o->limits.keep_files || o->limits.keep_bytes || o->limits.keep_time_ns))
		return 0;
	fd = openat(o->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		r = -errno;
		cleanup_close(&fd);
		return r;
	}
	r = apply(o, d, now_ns);
	closedir(d);
	return r;
}
