/* SPDX-License-Identifier: Apache-2.0 */
/* An output's regular file: made, ended, and the place found where writing goes on. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/daemon.h"
#include "config/transfer.h"
#include "shm/cleanup.h"
#include "sink/output.h"
#include "sink/rotate.h"

#define LOCK_WAIT_MS 2000 /* for a killed predecessor's last write to end */
#define LOCK_STEP_MS 10
#define TAIL_MAX     (4u * FORMAT_MAX) /* bytes at the end searched for whole lines */
#define MEND_MAX     100000u           /* entries of a folder that are looked at */

static mode_t mode_without;

void output_take_umask(void)
{
	mode_without = umask(0);
}

mode_t output_mode(void)
{
	return 0640 & ~mode_without;
}

int output_lock(int fd, bool wait)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	/* Of the open file, as flock(2)'s: what a killed process still writes keeps it. */
	for (long waited = 0; fcntl(fd, F_OFD_SETLK, &whole) < 0; waited += LOCK_STEP_MS) {
		if (errno != EAGAIN && errno != EACCES)
			return -errno;
		if (!wait || waited >= LOCK_WAIT_MS)
			return -EWOULDBLOCK;
		daemon_poll(NULL, 0, LOCK_STEP_MS);
	}
	return 0;
}

uint64_t output_file_id(const struct stat *st)
{
	/* 64 mixed bits stand for both numbers in the checkpoint; never 0. */
	return ((uint64_t)st->st_dev * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)st->st_ino) |
	       UINT64_C(1) << 63;
}

uint64_t output_size(const struct output *o)
{
	return o->offset + writer_appended(o->writer);
}

/* Head and foot ----------------------------------------------------------------------------- */

typedef size_t (*part_fn)(const struct format_context *ctx, uint64_t t_ns, char *buf);

/* All of it at @offset, or nothing. *ret_len: its length, also where there is none. */
static int write_part(
	struct output *o, part_fn part, uint64_t offset, uint64_t t_ns, size_t *ret_len)
{
	_cleanup_free_ char *buf = NULL;
	ssize_t n;

	*ret_len = 0;
	if (!part)
		return 0;
	buf = malloc(FORMAT_MAX);
	if (!buf)
		return -ENOMEM;
	*ret_len = part(&o->context, t_ns, buf);
	if (*ret_len == 0)
		return 0;
	n = transfer_write(o->fd, buf, *ret_len, (off_t)offset);
	if (n == (ssize_t)*ret_len)
		return 0;
	n = n < 0 ? -errno : -ENOSPC;
	if (ftruncate(o->fd, (off_t)offset) < 0)
		return -errno;
	return (int)n;
}

int output_write_foot(struct output *o, uint64_t size, uint64_t t_ns)
{
	size_t len;

	return write_part(o, o->format->foot, size, t_ns, &len);
}

static int write_head(struct output *o, uint64_t t_ns)
{
	size_t len;
	int r = write_part(o, o->format->head, o->offset, t_ns, &len);

	if (r == 0) {
		o->offset += len;
		o->head_len = o->offset;
		o->section.begun = len > 0;
	}
	return r;
}

static uint64_t measure_head(struct output *o, uint64_t t_ns)
{
	_cleanup_free_ char *buf = o->format->head ? malloc(FORMAT_MAX) : NULL;

	return buf ? o->format->head(&o->context, t_ns, buf) : 0;
}

/* Making and opening ------------------------------------------------------------------------ */

int output_create(struct output *o, mode_t mode, uint64_t t_ns)
{
	struct stat st;
	int r;

	/* As the one before it, which an administrator may have changed. */
	o->fd = openat(
		o->dir_fd, o->name, OUTPUT_OPEN | O_CREAT | O_EXCL, mode ? mode : output_mode());
	if (o->fd < 0)
		return -errno;
	r = output_lock(o->fd, false);
	if (r == 0 && fstat(o->fd, &st) < 0)
		r = -errno;
	if (r == 0) {
		o->id = output_file_id(&st);
		o->target = WRITER_FILE;
		r = write_head(o, t_ns);
	}
	return r;
}

static int find_end(struct output *o, uint64_t size);

int output_reopen(struct output *o, uint64_t t_ns)
{
	struct stat st;
	int r;

	o->fd = openat(o->dir_fd, o->name, OUTPUT_OPEN);
	if (o->fd < 0 && errno == ENOENT)
		return output_create(o, 0, t_ns);
	if (o->fd < 0 || fstat(o->fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	r = output_lock(o->fd, false);
	if (r == 0)
		r = find_end(o, (uint64_t)st.st_size);
	o->id = output_file_id(&st);
	o->target = WRITER_FILE;
	if (r == 0 && o->offset > 0 && o->format->foot && !o->format->whole)
		return -EEXIST; /* nothing may stand behind a foot */
	return r == 0 && o->offset == 0 ? write_head(o, t_ns) : r;
}

/* Recovery ---------------------------------------------------------------------------------- */

/* Reads the last @max bytes (or all) of a file of @size bytes; the number read or -errno. */
static ssize_t read_tail(int fd, uint64_t size, char *buf, size_t max)
{
	uint64_t from = size > max ? size - max : 0;
	size_t got = 0;

	while (got < size - from) {
		ssize_t n = transfer_read(fd, buf + got, size - from - got, (off_t)(from + got));

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

/* A torn line that begins like this; where the machine crashed there may be zeros. */
static bool may_be_ours(const struct format *f, char first)
{
	return strchr(f->begins, first) != NULL; /* the terminator counts */
}

/* Cuts a torn last line. */
static int cut_torn(struct output *o, uint64_t size)
{
	_cleanup_free_ char *buf = malloc(TAIL_MAX);
	const char *newline, *torn;
	ssize_t n;

	if (!buf)
		return -ENOMEM;
	n = read_tail(o->fd, size, buf, TAIL_MAX);
	if (n < 0)
		return (int)n;
	newline = n ? memrchr(buf, '\n', (size_t)n) : NULL;
	torn = newline ? newline + 1 : buf;
	/* Nothing of somebody else's file is cut: no line of ours is that long or begins so. */
	if (torn < buf + n && ((!newline && size > (uint64_t)n) || !may_be_ours(o->format, *torn)))
		return -EBADMSG;
	o->offset = newline ? size - (uint64_t)(buf + n - newline) + 1 : 0;
	if (o->offset < size && ftruncate(o->fd, (off_t)o->offset) < 0)
		return -errno;
	if (newline && o->format->last)
		find_last(o, buf, (size_t)(newline + 1 - buf));
	return 0;
}

/* Where the last whole item of a file of @size bytes ends goes to o->offset; the rest is cut. */
static int find_end(struct output *o, uint64_t size)
{
	int r;

	if (!o->format->whole)
		return cut_torn(o, size);
	if (size == 0)
		return 0;
	r = o->format->whole(o->fd, size, &o->offset);
	if (r == 0 && o->offset < size && ftruncate(o->fd, (off_t)o->offset) < 0)
		return -errno;
	return r;
}

/* Whether the last line is the format's foot but for its time. */
static bool ends_with_foot(struct output *o)
{
	_cleanup_free_ char *buf = malloc(2u * FORMAT_MAX);
	char *foot = buf ? buf + FORMAT_MAX : NULL, *line;
	size_t len;
	ssize_t n;

	if (!buf || !o->format->foot || o->format->whole)
		return false;
	len = o->format->foot(&o->context, 0, foot);
	foot[len] = '\0';
	len = strcspn(foot, "0123456789\n");
	n = read_tail(o->fd, o->offset, buf, FORMAT_MAX);
	if (n < 2 || len == 0)
		return false;
	line = memrchr(buf, '\n', (size_t)n - 1);
	line = line ? line + 1 : buf;
	return (size_t)(buf + n - line) >= len && memcmp(line, foot, len) == 0;
}

/* Whether the open file's first line is that of the format's heads. */
static bool begins_with_head(struct output *o)
{
	_cleanup_free_ char *buf = malloc(2u * FORMAT_MAX);
	char *head = buf ? buf + FORMAT_MAX : NULL;
	const char *end;
	size_t len;

	if (!buf || !o->format->head)
		return false;
	len = o->format->head(&o->context, 0, head);
	end = memchr(head, '\n', len);
	len = end ? (size_t)(end - head) + 1 : 0;
	return len && read_tail(o->fd, len, buf, len) == (ssize_t)len &&
	       memcmp(buf, head, len) == 0;
}

/*
 * The checkpoint's file is no longer at the path: it was moved, and we were killed before the
 * change was in the checkpoint. What is behind its place was never acknowledged.
 */
bool output_mend(struct output *o, uint64_t id, uint64_t offset, uint64_t t_ns)
{
	int copy = o->dir_fd < 0 ? -1 : openat(o->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct output old = {.format = o->format, .fd = -1, .context = o->context};
	const struct dirent *e;
	bool found = false;
	struct stat st;

	for (unsigned i = 0; d && i < MEND_MAX && (e = readdir(d)); i++) {
		if (fstatat(copy, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			!S_ISREG(st.st_mode) || output_file_id(&st) != id)
			continue;
		old.fd = openat(copy, e->d_name, OUTPUT_OPEN);
		found = true;
		if (old.fd >= 0 && (uint64_t)st.st_size >= offset &&
			ftruncate(old.fd, (off_t)offset) == 0 && begins_with_head(&old))
			(void)output_write_foot(&old, offset, t_ns);
		cleanup_close(&old.fd);
		break;
	}
	if (d)
		closedir(d);
	else
		cleanup_close(&copy);
	return found;
}

static int put_part(struct output *o, part_fn part, uint64_t t_ns)
{
	if (part && !writer_is_broken(o->writer))
		writer_append(
			o->writer, part(&o->context, t_ns, writer_reserve(o->writer, FORMAT_MAX)));
	return 0;
}

/* A file that was there before the checkpoint knew of it, cut to whole items. */
static int adopt(struct output *o, uint64_t t_ns)
{
	int r;

	if (o->offset == 0)
		return write_head(o, t_ns);
	if (!o->format->foot)
		return 0;
	/* Nothing may stand behind a foot: the next file begins, where the folder can be changed.
	 */
	o->closed = ends_with_foot(o);
	r = rotate_put_aside(o, t_ns);
	if (r != -EACCES && r != -EPERM && r != -EROFS)
		return r;
	o->closed = false;
	return 0;
}

int output_recover(struct output *o, bool known, uint64_t checkpoint)
{
	uint64_t now = daemon_realtime_ns(), changed;
	struct stat st;
	int r;

	if (o->target != WRITER_FILE) {
		o->section.begun = o->format->head != NULL;
		return put_part(o, o->format->head, now);
	}
	if (fstat(o->fd, &st) < 0)
		return -errno;
	changed = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
	if (known && (uint64_t)st.st_size >= checkpoint) {
		o->offset = checkpoint;
		r = ftruncate(o->fd, (off_t)checkpoint) < 0 ? -errno : 0;
	} else {
		r = find_end(o, (uint64_t)st.st_size);
		known = false;
	}
	writer_set_offset(o->writer, o->offset);
	o->due_ns = rotate_next(o, st.st_size ? changed : now);
	o->head_len = measure_head(o, now);
	if (r == 0 && !known)
		r = adopt(o, now);
	if (r == 0)
		writer_set_offset(o->writer, o->offset);
	return r;
}

int output_end(struct output *o, uint64_t t_ns)
{
	if (!o->format->foot || writer_is_broken(o->writer))
		return 0;
	if (o->target == WRITER_FILE)
		return output_write_foot(o, output_size(o), t_ns);
	return put_part(o, o->format->foot, t_ns);
}

bool output_skips(const struct output *o, const struct record *r)
{
	/* Epoch 0 is that of every file that is read: the same records again are wanted again. */
	return r->seq && r->epoch && r->epoch == o->skip_epoch && r->seq <= o->skip_seq;
}
