/* SPDX-License-Identifier: Apache-2.0 */
/* The byte queue in front of a descriptor: room, order, short writes, errors, retries. */
#include "sink/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "sink/writer-internal.h"

/*
 * Below 2 MiB: larger ones were measured to cost several times as much a byte. Probably ext4 then
 * asks for blocks of 2 MiB (large folios, Linux 6.16), which is what a virtual machine gives back
 * to its host (free page reporting), so that each page costs a fault out there.
 */
#define WRITE_MAX ((2u << 20) - 4096u)

int writer_alloc(
	int fd, enum writer_target target, uint64_t offset, size_t size, struct writer **ret)
{
	struct writer *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (w->area == MAP_FAILED) {
		free(w);
		return -ENOMEM;
	}
	w->fd = fd;
	w->target = target;
	w->offset = offset;
	w->size = size;
	*ret = w;
	return 0;
}

void writer_free(struct writer *w)
{
	if (!w)
		return;
	if (w->backend)
		w->backend->deinit(w);
	munmap(w->area, w->size);
	free(w);
}

void writer_retarget(struct writer *w, int fd, uint64_t offset)
{
	w->fd = fd;
	w->offset = offset;
	w->error = 0;
	w->retry_ns = w->backoff_ns = 0;
}

void writer_set_durable(struct writer *w)
{
	w->durable = true;
}

int writer_sync_now(struct writer *w, int fd)
{
	return w->backend->sync_now(w, fd);
}

/* The queue --------------------------------------------------------------------------------- */

char *writer_reserve(struct writer *w, size_t max)
{
	if (!w->writing && w->rd == w->wr && !w->wrapped)
		w->rd = w->wr = 0;
	if (!w->wrapped) {
		if (w->size - w->wr >= max)
			return w->area + w->wr;
		if (w->rd <= max)
			return NULL;
		w->wrap = w->wr;
		w->wr = 0;
		w->wrapped = true;
		return w->area + w->wr;
	}
	/* One byte stays free: rd == wr means empty. */
	return w->rd - w->wr > max ? w->area + w->wr : NULL;
}

void writer_set_offset(struct writer *w, uint64_t offset)
{
	w->offset = offset;
}

void writer_append(struct writer *w, size_t len)
{
	w->wr += len;
	w->appended += len;
}

/* Bytes at rd that one write can take. */
static size_t contiguous(const struct writer *w)
{
	return (w->wrapped ? w->wrap : w->wr) - w->rd;
}

static void advance(struct writer *w, size_t n)
{
	w->written += n;
	w->rd += n;
	if (w->wrapped && w->rd == w->wrap) {
		w->rd = 0;
		w->wrapped = false;
	}
}

/* Writes ------------------------------------------------------------------------------------ */

void writer_flush(struct writer *w)
{
	w->flush_to = w->appended;
}

void writer_sync(struct writer *w)
{
	if (w->target == WRITER_FILE && !w->broken)
		w->sync_wanted = true;
}

bool writer_halt(struct writer *w)
{
	w->flush_to = w->written;
	return !w->writing;
}

/* Errors that mean that the stream has no other end any more. */
static bool is_final(const struct writer *w, int error)
{
	if (w->target == WRITER_FILE)
		return false;
	return error == -EPIPE || error == -EIO || error == -ENXIO || error == -ECONNRESET ||
	       error == -ENOTCONN || error == -EBADF;
}

void writer_back_off(struct writer *w, int error)
{
	w->errors++;
	w->error = error;
	if (!w->backoff_ns)
		w->backoff_ns = WRITER_RETRY_MIN_NS;
	else if (w->backoff_ns < WRITER_RETRY_MAX_NS / 2)
		w->backoff_ns *= 2;
	else
		w->backoff_ns = WRITER_RETRY_MAX_NS;
	w->retry_ns = w->now_ns + w->backoff_ns;
}

void writer_write_done(struct writer *w, ssize_t res)
{
	w->writing = false;
	if (res > 0) {
		advance(w, (size_t)res);
		w->error = 0;
		w->backoff_ns = w->retry_ns = 0;
		return;
	}
	if (res == -EINTR)
		return;
	if (res == -EAGAIN && w->target != WRITER_FILE)
		return; /* a full pipe is no error: poll() says when to go on */
	if (is_final(w, (int)res)) {
		w->errors++;
		w->error = (int)res;
		w->broken = true;
		return;
	}
	writer_back_off(w, res ? (int)res : -EIO); /* 0 bytes written: no progress, no reason */
}

void writer_sync_done(struct writer *w, int res)
{
	w->syncing = false;
	if (res < 0) {
		w->sync_wanted = true;
		writer_back_off(w, res);
	}
}

static bool can_start(const struct writer *w)
{
	return !w->writing && !w->broken && w->written < w->flush_to && w->now_ns >= w->retry_ns;
}

static void start_writes(struct writer *w)
{
	bool blocked = false;

	while (!blocked && can_start(w)) {
		size_t len = contiguous(w);
		uint64_t due = w->flush_to - w->written;
		ssize_t r;

		if (len > due)
			len = (size_t)due;
		if (len > WRITE_MAX)
			len = WRITE_MAX;
		w->writing = true;
		w->started = len;
		w->writes++;
		r = w->backend->write(w, w->area + w->rd, len, w->offset + w->written);
		if (r == -EINPROGRESS)
			return;
		blocked = r == -EAGAIN && w->target != WRITER_FILE;
		writer_write_done(w, r);
	}
}

static void start_sync(struct writer *w)
{
	int r;

	if (!w->sync_wanted || w->syncing || w->writing || w->now_ns < w->retry_ns)
		return;
	w->sync_wanted = false;
	w->syncing = true;
	r = w->backend->sync(w);
	if (r != -EINPROGRESS)
		writer_sync_done(w, r);
}

void writer_progress(struct writer *w, uint64_t now_ns)
{
	w->now_ns = now_ns;
	w->backend->reap(w);
	start_sync(w); /* first: a steady stream of writes must not starve it */
	start_writes(w);
	start_sync(w);
}

/* What the loop asks ------------------------------------------------------------------------ */

uint64_t writer_appended(const struct writer *w)
{
	return w->appended;
}

uint64_t writer_written(const struct writer *w)
{
	return w->written;
}

uint64_t writer_writes(const struct writer *w)
{
	return w->writes;
}

uint64_t writer_errors(const struct writer *w)
{
	return w->errors;
}

int writer_error(const struct writer *w)
{
	return w->error;
}

bool writer_is_broken(const struct writer *w)
{
	return w->broken;
}

bool writer_is_uring(const struct writer *w)
{
	return w->backend != &writer_backend_plain;
}

bool writer_is_syncing(const struct writer *w)
{
	return w->syncing || w->sync_wanted;
}

bool writer_is_ending(const struct writer *w)
{
	uint64_t started = w->writing ? w->started : 0;

	return w->broken ||
	       (!w->error && !w->syncing && !w->sync_wanted && w->written + started >= w->flush_to);
}

uint64_t writer_due_ns(const struct writer *w)
{
	bool waiting = w->kicked || (!w->writing && w->written < w->flush_to) ||
		       (!w->syncing && w->sync_wanted);

	if (w->broken || !waiting || !w->retry_ns)
		return WRITER_NEVER;
	return w->retry_ns;
}
