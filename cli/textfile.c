/* SPDX-License-Identifier: Apache-2.0 */
/* A file that is always whole. */
#include "cli/textfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/cleanup.h"

int textfile_open(struct textfile *t, const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[4096];

	*t = TEXTFILE_NONE;
	if (!slash || !slash[1])
		return -EISDIR;
	if ((size_t)(slash - path) >= sizeof(folder) || strlen(slash + 1) >= sizeof(t->name))
		return -ENAMETOOLONG;
	memcpy(folder, path, (size_t)(slash - path));
	folder[slash - path] = '\0';
	/* The collector takes files whose names end in .prom: a hidden one that ends otherwise. */
	snprintf(t->name, sizeof(t->name), "%s", slash + 1);
	snprintf(t->next, sizeof(t->next), ".%s.new", slash + 1);
	t->dir_fd = open(slash == path ? "/" : folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return t->dir_fd < 0 ? -errno : 0;
}

void textfile_close(struct textfile *t)
{
	if (t->dir_fd >= 0)
		close(t->dir_fd);
	t->dir_fd = -1;
}

static int write_all(int fd, const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = write(fd, bytes, len);

		if (n < 0)
			return -errno;
		bytes += n;
		len -= (size_t)n;
	}
	return 0;
}

int textfile_write(const struct textfile *t, const char *bytes, size_t len)
{
	_cleanup_close_ int fd = -1;
	int r;

	/* Left by one of us that was killed, or no file at all: never written through. */
	unlinkat(t->dir_fd, t->next, 0);
	fd = openat(t->dir_fd, t->next, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	r = fchmod(fd, 0644) < 0 ? -errno : write_all(fd, bytes, len);
	if (r == 0 && renameat(t->dir_fd, t->next, t->dir_fd, t->name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(t->dir_fd, t->next, 0);
	return r;
}
