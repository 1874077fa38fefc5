/* SPDX-License-Identifier: Apache-2.0 */
/* Makes and checks the sealed memfds a ring lives in. */
#include "shm/segment.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/cleanup.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* linux/memfd.h since 6.3 */
#endif

int segment_new(const char *name, size_t size, int *ret_fd)
{
	_cleanup_close_ int fd = -1;

	fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL) /* kernel older than 6.3 */
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	/*
	 * A memfd is born 0777 (0666 with NOEXEC_SEAL): a peer of another uid could reopen its
	 * read-only descriptor for writing through /proc/self/fd.
	 */
	if (fchmod(fd, 0600) < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

int segment_seal(int fd, int seals)
{
	return fcntl(fd, F_ADD_SEALS, seals) < 0 ? -errno : 0;
}

int segment_reopen_readonly(int fd, int *ret_fd)
{
	char path[64];
	int r;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = open(path, O_RDONLY | O_CLOEXEC);
	if (r < 0)
		return -errno;
	*ret_fd = r;
	return 0;
}

int segment_check(int fd, int seals, int access, size_t *ret_size)
{
	struct stat st;
	int have, flags;

	have = fcntl(fd, F_GET_SEALS); /* EINVAL: not a memfd */
	if (have < 0)
		return errno == EINVAL ? -EPROTO : -errno;
	if ((have & seals) != seals)
		return -EPROTO;
	if (access == O_RDWR && (have & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)))
		return -EPROTO;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0)
		return -errno;
	if ((flags & O_ACCMODE) != access || (flags & O_PATH))
		return -EPROTO;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (st.st_mode & 0777) != 0600 || st.st_size <= 0)
		return -EPROTO;
	*ret_size = (size_t)st.st_size;
	return 0;
}
