/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A writer's backend with write(2) and pwrite(2): for streams, and for files where io_uring is
 * missing, forbidden or switched off.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/daemon.h"
#include "config/transfer.h"
#include "sink/writer-internal.h"

/* pipe(7): with POLLOUT this much goes into a blocking pipe without waiting. */
#define CHUNK 4096u

static bool is_writable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	return daemon_poll(&p, 1, 0) == 1;
}

static ssize_t plain_write(struct writer *w, const char *data, size_t len, uint64_t offset)
{
	ssize_t n = -1;

	switch (w->target) {
	case WRITER_FILE:
		n = w->durable ? transfer_write_through(w->fd, data, len, (off_t)offset)
			       : transfer_write(w->fd, data, len, (off_t)offset);
		break;
	case WRITER_STREAM_BLOCKING:
		if (!is_writable(w->fd))
			return -EAGAIN;
		if (len > CHUNK)
			len = CHUNK;
		n = transfer_write(w->fd, data, len, TRANSFER_HERE);
		break;
	case WRITER_STREAM:
		n = transfer_write(w->fd, data, len, TRANSFER_HERE);
		break;
	}
	return n < 0 ? -errno : n;
}

static int plain_sync(struct writer *w)
{
	/* The size has changed with every write: fdatasync() would do the same work. */
	return !w->durable && fsync(w->fd) < 0 ? -errno : 0;
}

static void plain_reap(struct writer *w)
{
	(void)w; /* everything has ended when it returned */
}

static int plain_sync_now(struct writer *w, int fd)
{
	return !w->durable && fsync(fd) < 0 ? -errno : 0;
}

static void plain_deinit(struct writer *w)
{
	(void)w;
}

const struct writer_backend writer_backend_plain = {
	.write = plain_write,
	.sync = plain_sync,
	.reap = plain_reap,
	.sync_now = plain_sync_now,
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
