/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a writer's backends implement, and the queue's state they see.
 *
 * Threads: one. Blocks: see writer.h. Logs: no.
 */
#pragma once

#include "sink/writer.h"

struct writer_backend {
	/*
	 * Starts writing @len bytes at @data to @offset. Returns the bytes written, -errno, or
	 * -EINPROGRESS: `reap` will report it.
	 */
	ssize_t (*write)(struct writer *w, const char *data, size_t len, uint64_t offset);
	/* Starts an fdatasync: 0, -errno, or -EINPROGRESS. */
	int (*sync)(struct writer *w);
	/* Reports what has ended through writer_write_done() and writer_sync_done(). */
	void (*reap)(struct writer *w);
	/* Syncs @fd, whatever it is, while nothing else is under way: 0 or -errno. */
	int (*sync_now)(struct writer *w, int fd);
	void (*deinit)(struct writer *w);
};

struct writer {
	const struct writer_backend *backend;
	void *state; /* the backend's */
	int fd;
	enum writer_target target;

	/* The queue: data is [rd, wr), or [rd, wrap) and [0, wr) once it has wrapped. */
	char *area;
	size_t size, rd, wr, wrap;
	bool wrapped;

	uint64_t offset; /* of the file, where byte 0 of the stream goes */
	uint64_t appended, flush_to, written;
	size_t started; /* bytes of the write under way */
	uint64_t writes, errors;

	bool writing, syncing, sync_wanted;
	bool kicked; /* the backend has something to submit again */
	bool broken;
	bool durable; /* syncs with each write, having no other means */
	int error;
	uint64_t now_ns, retry_ns, backoff_ns;
};

/* A zeroed writer with its queue (page-aligned, prefaulted by nobody); -ENOMEM. */
int writer_alloc(
	int fd, enum writer_target target, uint64_t offset, size_t size, struct writer **ret);

/* Backends report here. @res: bytes written or -errno; 0 or -errno. */
void writer_write_done(struct writer *w, ssize_t res);
void writer_sync_done(struct writer *w, int res);
/* Sets the time of the next attempt. */
void writer_back_off(struct writer *w, int error);

extern const struct writer_backend writer_backend_plain;
