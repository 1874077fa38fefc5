/* SPDX-License-Identifier: Apache-2.0 */
/* Writers under faults: every byte comes out once, in order, as soon as that is possible. */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sink/writer-internal.h"

#define S_NS UINT64_C(1000000000)

static char folder[] = "/tmp/flowner-writer-XXXXXX";

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * S_NS + (uint64_t)t.tv_nsec;
}

/* Byte @i of every stream. */
static char byte_at(uint64_t i)
{
	return (char)('a' + (i ^ i >> 7 ^ i >> 15) % 26);
}

static bool append(struct writer *w, size_t len, size_t max)
{
	char *room = writer_reserve(w, max);

	if (!room)
		return false;
	for (size_t i = 0; i < len; i++)
		room[i] = byte_at(writer_appended(w) + i);
	writer_append(w, len);
	return true;
}

/* One turn of a loop: waits as the writer wants, then lets it go on. */
static void turn(struct writer *w)
{
	short events;
	struct pollfd p = {.fd = writer_poll_fd(w, &events), .events = 0};
	uint64_t due = writer_due_ns(w), t = now();
	int ms = due == WRITER_NEVER ? 100 : due > t ? (int)((due - t) / 1000000 + 1) : 0;

	p.events = events;
	poll(&p, p.fd >= 0, ms);
	writer_progress(w, now());
}

/* Lets it go on until everything is out, at most @turns times. */
static bool drain(struct writer *w, unsigned turns)
{
	writer_flush(w);
	writer_progress(w, now());
	while (turns-- && writer_written(w) < writer_appended(w))
		turn(w);
	return writer_written(w) == writer_appended(w);
}

static bool file_is(int fd, uint64_t offset, uint64_t len)
{
	char buf[65536];
	struct stat st;
	uint64_t i = 0;

	if (fstat(fd, &st) < 0 || (uint64_t)st.st_size != offset + len)
		return false;
	while (i < len) {
		ssize_t n = pread(fd, buf, sizeof(buf), (off_t)(offset + i));

		if (n <= 0)
			return false;
		for (ssize_t k = 0; k < n; k++)
			if (buf[k] != byte_at(i + (uint64_t)k))
				return false;
		i += (uint64_t)n;
	}
	return true;
}

static int new_file(const char *where, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", where, name);
	return open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

static struct writer *new_writer(bool uring, int fd, uint64_t offset, size_t size)
{
	struct writer *w = NULL;
	int r = uring ? writer_new_uring(fd, offset, size, &w)
		      : writer_new_plain(fd, WRITER_FILE, offset, size, &w);

	if (r < 0)
		printf("# writer: %s\n", strerror(-r));
	return w;
}

/* Random pieces through a small queue, wrapping many times. */
static void test_stream_of_pieces(bool uring, const char *name)
{
	int fd = new_file(folder, name);
	struct writer *w = new_writer(uring, fd, 10, 16384);
	unsigned full = 0;
	short events;

	if (pwrite(fd, "0123456789", 10, 0) != 10)
		tap_bail("pwrite");
	for (unsigned i = 0; i < 5000; i++) {
		size_t max = 1 + (size_t)rand() % 4096;

		while (!append(w, (size_t)rand() % max, max)) {
			full++;
			writer_flush(w);
			writer_progress(w, now());
			if (writer_poll_fd(w, &events) >= 0)
				turn(w);
		}
		if (rand() % 8 == 0) {
			writer_flush(w);
			writer_progress(w, now());
		}
		if (rand() % 100 == 0)
			writer_sync(w);
	}
	tap_ok(drain(w, 1000), "%s: everything comes out", name);
	tap_ok(file_is(fd, 10, writer_appended(w)), "%s: %llu bytes, each in its place", name,
		(unsigned long long)writer_appended(w));
	tap_ok(full > 0 && writer_errors(w) == 0, "%s: the queue was full %u times, no error", name,
		full);
	writer_sync(w);
	for (unsigned i = 0; i < 100 && writer_is_syncing(w); i++)
		turn(w);
	tap_ok(!writer_is_syncing(w), "%s: a sync ends", name);
	writer_free(w);
	close(fd);
}

/* A limit on the file's size: a short write, then EFBIG until it is lifted. */
static void test_limit(bool uring, const char *name)
{
	struct rlimit before, limit;
	int fd = new_file(folder, name);
	struct writer *w = new_writer(uring, fd, 0, 1 << 20);
	uint64_t writes;

	getrlimit(RLIMIT_FSIZE, &before);
	limit = before;
	limit.rlim_cur = 100000;
	for (int i = 0; i < 60; i++)
		append(w, 4000, 4096);
	setrlimit(RLIMIT_FSIZE, &limit);
	tap_ok(!drain(w, 4), "%s: cannot grow beyond the limit", name);
	tap_ok(writer_written(w) == 100000 && writer_error(w) == -EFBIG,
		"%s: written up to it, then EFBIG (%llu, %d)", name,
		(unsigned long long)writer_written(w), writer_error(w));
	writes = writer_writes(w);
	for (int i = 0; i < 4; i++)
		turn(w);
	tap_ok(writer_writes(w) - writes <= 4, "%s: tried again with pauses", name);
	setrlimit(RLIMIT_FSIZE, &before);
	tap_ok(drain(w, 20) && file_is(fd, 0, 240000) && writer_error(w) == 0,
		"%s: complete once the limit is lifted", name);
	tap_ok(!writer_is_broken(w) && writer_errors(w) > 0, "%s: the errors were counted", name);
	writer_free(w);
	close(fd);
}

/* A full file system, until somebody makes room. */
static void test_full(bool uring, const char *name)
{
	char path[256], ballast[300];
	struct writer *w;
	int fd, other;

	snprintf(path, sizeof(path), "%s/full", folder);
	mkdir(path, 0700);
	if (mount("none", path, "tmpfs", 0, "size=256k") < 0) {
		tap_skip("a full file system", strerror(errno));
		return;
	}
	snprintf(ballast, sizeof(ballast), "%s/ballast", path);
	other = open(ballast, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (posix_fallocate(other, 0, 128 << 10))
		tap_bail("no room for the ballast");
	fd = new_file(path, name);
	w = new_writer(uring, fd, 0, 1 << 20);
	for (int i = 0; i < 50; i++)
		append(w, 4000, 4096);
	tap_ok(!drain(w, 4) && writer_error(w) == -ENOSPC, "%s: no space", name);
	if (ftruncate(other, 0) < 0)
		tap_bail("ftruncate");
	tap_ok(drain(w, 20) && file_is(fd, 0, 200000), "%s: complete once there is space", name);
	writer_free(w);
	close(fd);
	close(other);
	umount2(path, MNT_DETACH);
	rmdir(path);
}

/* A pipe that is read slowly, then not at all. */
static void test_pipe(enum writer_target target, const char *name)
{
	int fds[2];
	struct writer *w;
	uint64_t got = 0;
	bool right = true;

	if (pipe2(fds, O_CLOEXEC) < 0)
		tap_bail("pipe");
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	if (target == WRITER_STREAM)
		fcntl(fds[1], F_SETFL, O_NONBLOCK);
	if (writer_new_plain(fds[1], target, 0, 1 << 20, &w) < 0)
		tap_bail("writer");
	for (int i = 0; i < 200; i++)
		append(w, 4000, 4096);
	writer_flush(w);
	writer_progress(w, now());
	tap_ok(writer_written(w) > 0 && writer_written(w) < 800000,
		"%s: a full pipe does not block (%llu bytes)", name,
		(unsigned long long)writer_written(w));
	while (got < 800000) {
		char buf[8192];
		ssize_t n = read(fds[0], buf, sizeof(buf));

		for (ssize_t i = 0; i < n; i++)
			right &= buf[i] == byte_at(got + (uint64_t)i);
		got += n > 0 ? (uint64_t)n : 0;
		if (n <= 0)
			turn(w);
	}
	tap_ok(right && writer_errors(w) == 0, "%s: everything in order, a full pipe is no error",
		name);
	writer_progress(w, now());
	tap_is_int(writer_written(w), 800000, "%s: and counted", name);
	close(fds[0]);
	append(w, 100, 4096);
	tap_ok(!drain(w, 3) && writer_is_broken(w) && writer_error(w) == -EPIPE,
		"%s: broken for good when the reader has gone", name);
	writer_free(w);
	close(fds[1]);
}

/* The ring can write and sync, and nothing else, even to those who hold it. */
static void test_restrictions(void)
{
	int fd = new_file(folder, "restricted"), results[4] = {0};
	struct writer *w = new_writer(true, fd, 0, 65536);
	struct io_uring *ring = w->state; /* its first member */
	char byte = 'x';

	for (int i = 0; i < 4; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
		struct io_uring_cqe *cqe;

		if (i == 0)
			io_uring_prep_nop(sqe);
		else if (i == 1)
			io_uring_prep_openat(sqe, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
		else if (i == 2)
			io_uring_prep_send(sqe, 0, &byte, 1, 0);
		else
			io_uring_prep_read(sqe, fd, w->area, 1, 0);
		io_uring_submit(ring);
		if (io_uring_wait_cqe(ring, &cqe) == 0) {
			results[i] = cqe->res;
			io_uring_cqe_seen(ring, cqe);
		}
	}
	tap_is_int(results[0], -EACCES, "a restricted ring: no other operation");
	tap_is_int(results[1], -EACCES, "no opening of files");
	tap_is_int(results[2], -EACCES, "no sending");
	tap_is_int(results[3], -EACCES, "no reading");
	writer_free(w);
	close(fd);
}

/* Large writes are cut; whether the end of what is under way may wait. */
static void test_ending(bool uring, const char *name)
{
	int fd = new_file(folder, name);
	struct writer *w = new_writer(uring, fd, 0, 8u << 20);
	bool last;

	append(w, 2u << 20, 2u << 20);
	tap_ok(writer_is_ending(w), "%s: what nobody wants written is not waited for", name);
	writer_flush(w);
	tap_ok(!writer_is_ending(w), "%s: what shall be written is to be started", name);
	writer_progress(w, now());
	tap_ok(writer_is_ending(w) == !uring, "%s: 2 MiB are two writes", name);
	last = drain(w, 100);
	tap_ok(last && writer_is_ending(w) && writer_writes(w) == 2, "%s: and no more", name);
	append(w, 100, 100);
	writer_flush(w);
	writer_progress(w, now());
	tap_ok(writer_is_ending(w), "%s: the end of the last write may wait", name);
	append(w, 100, 100);
	writer_flush(w);
	tap_ok(!writer_is_ending(w), "%s: not if another follows", name);
	tap_ok(drain(w, 100) && file_is(fd, 0, writer_appended(w)), "%s: all in place", name);
	writer_sync(w);
	tap_ok(!writer_is_ending(w), "%s: a sync is waited for", name);
	writer_free(w);
	close(fd);
}

/* Nothing more is started; what is on its way ends first. */
static void test_halt(bool uring, const char *name)
{
	int fd = new_file(folder, name);
	struct writer *w = new_writer(uring, fd, 0, 8u << 20);
	uint64_t out;

	append(w, 2u << 20, 2u << 20);
	writer_flush(w);
	if (uring)
		writer_progress(w, now()); /* two writes: the second waits for the first */
	tap_ok(writer_halt(w) == !uring, "%s: a write under way is waited for", name);
	while (!writer_halt(w))
		turn(w);
	out = writer_written(w);
	tap_ok(uring ? out > 0 && out < 2u << 20 : out == 0, "%s: that one ends", name);
	for (int i = 0; i < 4; i++)
		turn(w);
	tap_ok(writer_written(w) == out && file_is(fd, 0, out), "%s: no other begins", name);
	tap_ok(drain(w, 100) && file_is(fd, 0, 2u << 20), "%s: until asked again", name);
	writer_free(w);
	close(fd);
}

static void all(bool uring)
{
	test_halt(uring, uring ? "io_uring halt" : "plain halt");
	test_ending(uring, uring ? "io_uring ending" : "plain ending");
	test_stream_of_pieces(uring, uring ? "io_uring pieces" : "plain pieces");
	test_limit(uring, uring ? "io_uring limit" : "plain limit");
	test_full(uring, uring ? "io_uring full" : "plain full");
}

int main(void)
{
	struct writer *w = NULL;
	int fd;

	srand(4);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	if (!mkdtemp(folder))
		tap_bail("mkdtemp");
	/* Own mounts, gone with us whatever happens. */
	if (unshare(CLONE_NEWNS) == 0)
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	fd = new_file(folder, "probe");
	all(false);
	test_pipe(WRITER_STREAM, "pipe");
	test_pipe(WRITER_STREAM_BLOCKING, "blocking pipe");
	if (writer_new_uring(fd, 0, 65536, &w) == 0) {
		writer_free(w);
		all(true);
		test_restrictions();
	} else {
		tap_skip("io_uring", "this kernel or container has none");
	}
	close(fd);
	if (chdir(folder) == 0 && system("rm -f -- *") == 0 && chdir("/") == 0)
		rmdir(folder);
	return tap_done();
}
