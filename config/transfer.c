/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing by one system call each. */
#include "config/transfer.h"

#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The calls themselves: C libraries make others of them for some arguments. */
ssize_t transfer_read(int fd, void *buf, size_t len, off_t offset)
{
	struct iovec iov = {.iov_base = buf, .iov_len = len};

	return syscall(SYS_preadv2, fd, &iov, 1, (long)offset, (long)(offset >> 31 >> 1), 0);
}

static ssize_t write_with(int fd, const void *buf, size_t len, off_t offset, int flags)
{
	struct iovec iov = {.iov_base = (void *)buf, .iov_len = len};

	return syscall(SYS_pwritev2, fd, &iov, 1, (long)offset, (long)(offset >> 31 >> 1), flags);
}

ssize_t transfer_write_through(int fd, const void *buf, size_t len, off_t offset)
{
	return write_with(fd, buf, len, offset, RWF_DSYNC);
}

ssize_t transfer_write(int fd, const void *buf, size_t len, off_t offset)
{
	return write_with(fd, buf, len, offset, 0);
}
