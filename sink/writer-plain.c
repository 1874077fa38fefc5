/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A writer's backend with write(2) and pwrite(2): for streams, and for files where io_uring is
 * missing, forbidden or switched off.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "sink/writer-internal.h"

/* pipe(7): with POLLOUT this much goes into a blocking pipe without waiting. */
#define CHUNK 4096u

static bool is_writable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	return poll(&p, 1, 0) == 1;
}

static ssize_t plain_write(struct writer *w, const char *data, size_t len, uint64_t offset)
{
	ssize_t n = -1;

	switch (w->target) {
	case WRITER_FILE:
		n = pwrite(w->fd, data, len, (off_t)offset);
		break;
	case WRITER_STREAM_BLOCKING:
		if (!is_writable(w->fd))
			return -EAGAIN;
		if (len > CHUNK)
			len = CHUNK;
		n = write(w->fd, data, len);
		break;
	case WRITER_STREAM:
		n = write(w->fd, data, len);
		break;
	}
	return n < 0 ? -errno : n;
}

static int plain_sync(struct writer *w)
{
	return fdatasync(w->fd) < 0 ? -errno : 0;
}

static void plain_reap(struct writer *w)
{
	(void)w; /* everything has ended when it returned */
}

static void plain_retarget(struct writer *w, int fd)
{
	(void)w; /* it has no copy of the number */
	(void)fd;
}

static void plain_deinit(struct writer *w)
{
	(void)w;
}

const struct writer_backend writer_backend_plain = {
	.write = plain_write,
	.sync = plain_sync,
	.reap = plain_reap,
	.retarget = plain_retarget,
	.deinit = plain_deinit,
};

int writer_new_plain(
	int fd, enum writer_target target, uint64_t offset, size_t size, struct writer **ret)
{
	struct writer *w;
	int r = writer_alloc(fd, target, offset, size, &w);

	if (r < 0)
		return r;
	w->backend = &writer_backend_plain;
	*ret = w;
	return 0;
}
