/* SPDX-License-Identifier: Apache-2.0 */
/* Opens outputs and finds the place in a file where writing goes on. */
#include "sink/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "shm/cleanup.h"

#define LOCK_WAIT_NS 2000000000L /* for a killed predecessor's last write to end */
#define LOCK_STEP_NS 10000000L
#define TAIL_MAX     (4u * FORMAT_MAX) /* bytes at the end searched for whole lines */

static int complain(struct output_error *err, int e, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int complain(struct output_error *err, int e, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(err->text, sizeof(err->text), format, ap);
	va_end(ap);
	return e;
}

/* Opening ----------------------------------------------------------------------------------- */

static int find_format(
	struct output *o, const struct config_output *config, struct output_error *err)
{
	char names[128] = "";

	o->format = format_find(config->format, strlen(config->format));
	if (o->format)
		return 0;
	for (unsigned i = 0; format_at(i); i++)
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
			i ? ", " : "", format_at(i)->name);
	return complain(err, OUTPUT_E_INVALID, "output %s: unknown format '%s', one of: %s",
		config->path, config->format, names);
}

static bool wants_colour(int fd)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(fd) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

/* A non-blocking description of our own: the inherited one is shared with the shell. */
static void open_stdout(struct output *o, const struct stat *st)
{
	int fd = -1;

	o->target = WRITER_STREAM;
	if (S_ISFIFO(st->st_mode) || S_ISCHR(st->st_mode))
		fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0) {
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
		if (!S_ISREG(st->st_mode))
			o->target = WRITER_STREAM_BLOCKING;
	}
	o->fd = fd;
}

static int lock(int fd)
{
	struct timespec step = {.tv_nsec = LOCK_STEP_NS};

	for (long waited = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited += LOCK_STEP_NS) {
		if (errno != EWOULDBLOCK)
			return -errno;
		if (waited >= LOCK_WAIT_NS)
			return -EWOULDBLOCK;
		nanosleep(&step, NULL);
	}
	return 0;
}

static const char *open_advice(int e)
{
	switch (e) {
	case ENOENT:
		return ": its folder must exist";
	case ELOOP:
		return ": symbolic links are not followed, name the file itself";
	case EACCES:
		return ": start as root or choose a folder you may write to";
	}
	return "";
}

static int open_path(struct output *o, struct stat *ret_st, struct output_error *err)
{
	int r;

	o->fd = open(
		o->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0640);
	if (o->fd < 0)
		return complain(err, OUTPUT_E_OPEN, "output %s: %s%s", o->path, strerror(errno),
			open_advice(errno));
	if (fstat(o->fd, ret_st) < 0)
		return -errno;
	if (!S_ISREG(ret_st->st_mode)) {
		o->target = WRITER_STREAM;
		return 0;
	}
	r = lock(o->fd);
	if (r == -EWOULDBLOCK)
		return complain(err, OUTPUT_E_OPEN,
			"output %s: in use by another flowner-sink, or named twice", o->path);
	if (r < 0)
		return r;
	o->target = WRITER_FILE;
	/* 64 mixed bits stand for both numbers in the checkpoint; never 0. */
	o->id = ((uint64_t)ret_st->st_dev * UINT64_C(0x9e3779b97f4a7c15) ^
			(uint64_t)ret_st->st_ino) |
		UINT64_C(1) << 63;
	return 0;
}

int output_open(struct output *o, const struct config_output *config,
	const struct format_context *ctx, struct output_error *err)
{
	struct stat st;
	int r;

	memset(o, 0, sizeof(*o));
	o->fd = -1;
	r = find_format(o, config, err);
	if (r == 0)
		r = rules_init(&o->rules, config, err->text, sizeof(err->text));
	if (r)
		return r == RULES_E_INVALID ? OUTPUT_E_INVALID : r;
	o->path = strdup(config->path);
	if (!o->path)
		return -ENOMEM;
	if (strcmp(o->path, "-") == 0) {
		if (fstat(STDOUT_FILENO, &st) < 0)
			return complain(err, OUTPUT_E_OPEN, "output -: standard output is closed");
		open_stdout(o, &st);
		if (o->fd < 0)
			return -errno;
	} else {
		r = open_path(o, &st, err);
		if (r)
			return r;
	}
	o->context = *ctx;
	o->context.colour = wants_colour(o->fd);
	return 0;
}

void output_deinit(struct output *o)
{
	writer_free(o->writer);
	o->writer = NULL;
	rules_deinit(&o->rules);
	cleanup_close(&o->fd);
	o->fd = -1;
	free(o->path);
	o->path = NULL;
}

int output_start(struct output *o, bool uring, uint64_t buffer, int *ret_why)
{
	size_t size = (size_t)buffer * OUTPUT_QUEUE;
	int r = -EOPNOTSUPP;

	if (size < 4u * FORMAT_MAX)
		size = 4u * FORMAT_MAX;
	size = (size + 4095) & ~(size_t)4095;
	*ret_why = 0;
	if (uring && o->target == WRITER_FILE) {
		r = writer_new_uring(o->fd, o->offset, size, &o->writer);
		if (r == 0)
			return 0;
		*ret_why = r;
	}
	return writer_new_plain(o->fd, o->target, o->offset, size, &o->writer);
}

/* Recovery ---------------------------------------------------------------------------------- */

/* Reads the last @max bytes (or all) of a file of @size bytes; the number read or -errno. */
static ssize_t read_tail(int fd, uint64_t size, char *buf, size_t max)
{
	uint64_t from = size > max ? size - max : 0;
	size_t got = 0;

	while (got < size - from) {
		ssize_t n = pread(fd, buf + got, size - from - got, (off_t)(from + got));

		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

/* The youngest line that says what it is. */
static void find_last(struct output *o, const char *buf, size_t len)
{
	while (len > 0) {
		const char *before = memrchr(buf, '\n', len - 1);
		const char *line = before ? before + 1 : buf;

		if (o->format->last(line, len - (size_t)(line - buf), &o->skip_epoch, &o->skip_seq))
			return;
		len = (size_t)(line - buf);
	}
}

/* Cuts a torn last line. */
static int cut_torn(struct output *o, uint64_t size)
{
	_cleanup_free_ char *buf = malloc(TAIL_MAX);
	const char *newline;
	ssize_t n;

	if (!buf)
		return -ENOMEM;
	n = read_tail(o->fd, size, buf, TAIL_MAX);
	if (n < 0)
		return (int)n;
	newline = n ? memrchr(buf, '\n', (size_t)n) : NULL;
	/* Somebody else's file must not be emptied: no line of ours is that long or begins so. */
	if (!newline && n > 0 && (size > (uint64_t)n || !strchr(o->format->begins, *buf)))
		return -EBADMSG;
	o->offset = newline ? size - (uint64_t)(buf + n - newline) + 1 : 0;
	if (o->offset < size && ftruncate(o->fd, (off_t)o->offset) < 0)
		return -errno;
	if (newline && o->format->last)
		find_last(o, buf, (size_t)(newline + 1 - buf));
	return 0;
}

/* Formats that are not lines know their own items. */
static int cut_item(struct output *o, uint64_t size)
{
	int r = size ? o->format->whole(o->fd, size, &o->offset) : 0;

	if (r == 0 && o->offset < size && ftruncate(o->fd, (off_t)o->offset) < 0)
		return -errno;
	return r;
}

/* What a file begins with. */
static void put_head(struct output *o)
{
	struct timespec now;

	if (o->offset || !o->format->head)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	writer_append(o->writer,
		o->format->head(&o->context,
			(uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec,
			writer_reserve(o->writer, FORMAT_MAX)));
}

int output_recover(struct output *o, bool known, uint64_t checkpoint)
{
	struct stat st;
	int r;

	if (o->target != WRITER_FILE) {
		put_head(o);
		return 0;
	}
	if (fstat(o->fd, &st) < 0)
		return -errno;
	if (known && (uint64_t)st.st_size >= checkpoint) {
		o->offset = checkpoint;
		r = ftruncate(o->fd, (off_t)checkpoint) < 0 ? -errno : 0;
	} else {
		r = o->format->whole ? cut_item(o, (uint64_t)st.st_size)
				     : cut_torn(o, (uint64_t)st.st_size);
	}
	if (r < 0)
		return r;
	writer_set_offset(o->writer, o->offset);
	put_head(o);
	return 0;
}

bool output_skips(const struct output *o, const struct record *r)
{
	/* Epoch 0 is that of every file that is read: the same records again are wanted again. */
	return r->seq && r->epoch && r->epoch == o->skip_epoch && r->seq <= o->skip_seq;
}
