/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte queue in front of one descriptor: bytes are appended to memory, go out in large writes,
 *and are counted when they have been written.
 *
 *	room = writer_reserve(w, max);		fill it
 *	writer_append(w, len);			...
 *	writer_flush(w);			everything appended so far shall go out
 *	writer_progress(w, now);		after poll() or a time-out
 *	writer_written(w)			bytes that are out
 *
 * One write is under way at a time, in order, at explicit offsets for a regular file: the file is
 * always a prefix of the stream, for whoever follows it and after any kill. A short write goes on
 * where it stopped. An error of a regular file (no space, I/O error, limit) is tried again with
 * growing pauses and counted; only a stream whose reader is gone is broken for good.
 *
 * Threads: one. Blocks: only the plain backend, on regular files. Logs: no (see writer_error()).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WRITER_RETRY_MIN_NS UINT64_C(5000000)
#define WRITER_RETRY_MAX_NS UINT64_C(500000000)
#define WRITER_NEVER        UINT64_MAX

enum writer_target {
	WRITER_FILE,            /* regular: explicit offsets */
	WRITER_STREAM,          /* pipe, terminal, socket, or an inherited file: in sequence */
	WRITER_STREAM_BLOCKING, /* such a one that could not be made non-blocking: small writes */
};

struct writer;

/*
 * A queue of @size bytes in front of @fd (borrowed). Offsets start at @offset. The io_uring one is
 * for WRITER_FILE only; it fails with -errno of io_uring_setup or of the registrations where the
 * kernel lacks or forbids it, and the caller takes the plain one.
 */
int writer_new_uring(int fd, uint64_t offset, size_t size, struct writer **ret);
int writer_new_plain(
	int fd, enum writer_target target, uint64_t offset, size_t size, struct writer **ret);
/* What is not written is dropped. Takes NULL. */
void writer_free(struct writer *w);

/* Moves the place of byte 0; only before anything is flushed. */
void writer_set_offset(struct writer *w, uint64_t offset);

/* Writes sync themselves from now on: there is no fsync(2). */
void writer_set_durable(struct writer *w);
/* Syncs any @fd at once, by the means of this writer. Only with nothing to write or sync. */
int writer_sync_now(struct writer *w, int fd);
/*
 * Goes on in @fd, byte 0 of the stream belonging to @offset (modulo 2^64: the next byte's place is
 * what counts). Only for WRITER_FILE, and with nothing to write or sync.
 */
void writer_retarget(struct writer *w, int fd, uint64_t offset);

/* @max contiguous bytes (at most a quarter of the queue), or NULL: full until progress is made. */
char *writer_reserve(struct writer *w, size_t max);
void writer_append(struct writer *w, size_t len);
void writer_flush(struct writer *w);
/* Asks for an fdatasync(2) of what is written, once; ignored for streams. */
void writer_sync(struct writer *w);

/* Starts no more writes, until asked again; true once the kernel has none that it has not ended. */
bool writer_halt(struct writer *w);

/* Takes completions and starts what is due; @now_ns is CLOCK_MONOTONIC. */
void writer_progress(struct writer *w, uint64_t now_ns);

uint64_t writer_appended(const struct writer *w); /* bytes since writer_new_*() */
uint64_t writer_written(const struct writer *w);
uint64_t writer_writes(const struct writer *w); /* write operations started */
uint64_t writer_errors(const struct writer *w); /* of them, failed */
/* The error that the last write ended with, negative; 0 = it succeeded. */
int writer_error(const struct writer *w);
/* A stream nobody reads any more: nothing will ever be written again. */
bool writer_is_broken(const struct writer *w);
bool writer_is_uring(const struct writer *w);
/* A sync was asked for and has not ended. */
bool writer_is_syncing(const struct writer *w);

/* What to poll for while something is under way: -1 = nothing to wait for. */
int writer_poll_fd(const struct writer *w, short *ret_events);
/* Nothing has to be started when what is under way ends, and nothing failed: that may wait. */
bool writer_is_ending(const struct writer *w);
/* When to call writer_progress() at the latest (CLOCK_MONOTONIC), or WRITER_NEVER. */
uint64_t writer_due_ns(const struct writer *w);
