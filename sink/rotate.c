/* SPDX-License-Identifier: Apache-2.0 */
/* Ends an output's file and begins the next. */
#include "sink/rotate.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "shm/cleanup.h"

#define S_NS      UINT64_C(1000000000)
#define MS_NS     UINT64_C(1000000)
#define TRIES_MAX 1000 /* names that are taken already */

/* Names ------------------------------------------------------------------------------------- */

/* Bytes of @name before its extension; a name that is all extension has none. */
static size_t stem_len(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && dot != name ? (size_t)(dot - name) : strlen(name);
}

int rotate_name(const char *name, uint64_t t_ns, char *ret, size_t size)
{
	size_t stem = stem_len(name);
	time_t t = (time_t)(t_ns / S_NS);
	struct tm tm;
	char time[64];
	int n;

	gmtime_r(&t, &tm);
	strftime(time, sizeof(time), "%Y%m%dT%H%M%S", &tm);
	n = snprintf(ret, size, "%.*s-%s.%03uZ%s", (int)stem, name, time,
		(unsigned)(t_ns % S_NS / MS_NS), name + stem);
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/* "20261127T071500.123Z", digit for digit. */
static bool parse_time(const char *s, uint64_t *ret_t_ns)
{
	static const char form[] = "dddddddd"
				   "T"
				   "dddddd"
				   "."
				   "ddd"
				   "Z";
	unsigned part[7] = {0};
	static const unsigned char width[] = {4, 2, 2, 2, 2, 2, 3};
	struct tm tm = {0};
	unsigned p = 0, n = 0;

	for (size_t i = 0; form[i]; i++) {
		if (form[i] != 'd') {
			if (s[i] != form[i])
				return false;
			continue;
		}
		if (s[i] < '0' || s[i] > '9')
			return false;
		part[p] = part[p] * 10 + (unsigned)(s[i] - '0');
		if (++n == width[p])
			p++, n = 0;
	}
	tm = (struct tm){.tm_year = (int)part[0] - 1900,
		.tm_mon = (int)part[1] - 1,
		.tm_mday = (int)part[2],
		.tm_hour = (int)part[3],
		.tm_min = (int)part[4],
		.tm_sec = (int)part[5]};
	*ret_t_ns = (uint64_t)timegm(&tm) * S_NS + part[6] * MS_NS;
	return true;
}

bool rotate_is_name(const char *name, const char *file, uint64_t *ret_t_ns, bool *ret_zst)
{
	size_t stem = stem_len(name), len = strlen(file);
	const char *extension = name + stem, *behind;

	if (len < stem + 1 + ROTATE_TIME_LEN || memcmp(file, name, stem) != 0 ||
		file[stem] != '-' || !parse_time(file + stem + 1, ret_t_ns))
		return false;
	behind = file + stem + 1 + ROTATE_TIME_LEN;
	if (strncmp(behind, extension, strlen(extension)) != 0)
		return false;
	behind += strlen(extension);
	*ret_zst = strcmp(behind, ".zst") == 0;
	return *ret_zst || !*behind;
}

/* When -------------------------------------------------------------------------------------- */

uint64_t rotate_next(const struct output *o, uint64_t t_ns)
{
	uint64_t interval = o->limits.rotate_interval_ns;

	return interval ? (t_ns / interval + 1) * interval : 0;
}

bool rotate_is_due(const struct output *o, uint64_t now_ns)
{
	uint64_t size = output_size(o);

	if (o->target != WRITER_FILE || size <= o->head_len || now_ns < o->retry_ns)
		return false;
	return (o->limits.rotate_size && size >= o->limits.rotate_size) ||
	       (o->due_ns && now_ns >= o->due_ns);
}

/* Doing it ---------------------------------------------------------------------------------- */

int rotate_rename(int dir, const char *from, const char *to, unsigned flags)
{
	/* The call itself: without flags glibc makes another, which the sandbox would have to know.
	 */
	return syscall(SYS_renameat2, dir, from, dir, to, flags) < 0 ? -errno : 0;
}

/* Where a filesystem cannot do it two sinks could race here; the lock on the file keeps them apart.
 */
static int rename_free(int dir, const char *from, const char *to)
{
	struct stat st;
	int r = rotate_rename(dir, from, to, RENAME_NOREPLACE);

	if (r != -EINVAL)
		return r;
	if (fstatat(dir, to, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	return rotate_rename(dir, from, to, 0);
}

/* Renames the file to the first free name from @now_ns on, which goes to @ret. */
static int rename_aside(struct output *o, uint64_t now_ns, char *ret, size_t size)
{
	int r = -EEXIST;

	for (unsigned i = 0; r == -EEXIST && i < TRIES_MAX; i++) {
		r = rotate_name(o->name, now_ns + i * MS_NS, ret, size);
		if (r == 0)
			r = rename_free(o->dir_fd, o->name, ret);
	}
	return r;
}

/* The path names the file that is open. */
static bool is_in_place(const struct output *o)
{
	struct stat st;

	return fstatat(o->dir_fd, o->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       output_file_id(&st) == o->id;
}

/* @next takes the place of the file of @o, whose foot is written. */
static void change_over(struct output *o, struct output *next, uint64_t now_ns)
{
	uint64_t appended = writer_appended(o->writer);

	writer_retarget(o->writer, next->fd, next->offset - appended);
	cleanup_close(&o->fd);
	o->fd = take_fd(&next->fd);
	o->id = next->id;
	o->offset = next->offset - appended; /* modulo 2^64, as all places in the stream */
	o->head_len = next->head_len;
	o->section = next->section;
	o->due_ns = rotate_next(o, now_ns);
	o->retry_ns = 0;
	o->closed = false;
	(void)writer_sync_now(o->writer, o->dir_fd);
}

/* What describes the file that comes next: as @o, with nothing open. */
static struct output next_of(const struct output *o)
{
	return (struct output){.format = o->format,
		.path = o->path,
		.name = o->name,
		.dir_fd = o->dir_fd,
		.fd = -1,
		.limits = o->limits,
		.context = o->context,
		.target = WRITER_FILE};
}

/* Back to where it was. */
static int fail(struct output *o, struct output *next, uint64_t size, uint64_t now_ns, int r)
{
	cleanup_close(&next->fd);
	if (ftruncate(o->fd, (off_t)size) < 0)
		r = r ? r : -errno;
	o->retry_ns = now_ns + ROTATE_RETRY_NS;
	return r;
}

int rotate_put_aside(struct output *o, uint64_t now_ns)
{
	uint64_t size = output_size(o);
	struct output next = next_of(o);
	char aside[NAME_MAX + 1];
	struct stat st;
	int r;

	if (!is_in_place(o))
		return rotate_reopen(o, now_ns) < 0 ? -ESTALE : 0;
	if (fstat(o->fd, &st) < 0)
		return -errno;
	r = o->closed ? 0 : output_write_foot(o, size, now_ns);
	if (r == 0)
		r = rename_aside(o, now_ns, aside, sizeof(aside));
	if (r < 0)
		return fail(o, &next, size, now_ns, r);
	r = output_create(&next, st.st_mode & 0777, now_ns);
	if (r < 0) {
		if (r != -EEXIST)
			unlinkat(o->dir_fd, o->name, 0); /* what was made of it */
		rename_free(o->dir_fd, aside, o->name);
		return fail(o, &next, size, now_ns, r);
	}
	change_over(o, &next, now_ns);
	return 0;
}

bool rotate_is_removed(const struct output *o)
{
	struct stat st;

	return o->target == WRITER_FILE && fstat(o->fd, &st) == 0 && st.st_nlink == 0;
}

bool rotate_is_elsewhere(const struct output *o)
{
	char folder[PATH_MAX];
	struct stat ours, theirs;
	int len = (int)(o->name - o->path);

	if (o->target != WRITER_FILE || len >= PATH_MAX)
		return false;
	snprintf(folder, sizeof(folder), "%.*s", len ? len : 1, len ? o->path : ".");
	return stat(folder, &theirs) == 0 && fstat(o->fd, &ours) == 0 &&
	       theirs.st_dev != ours.st_dev;
}

/* Opens what is at the path, if need be in the folder that has taken the place of ours. */
static int open_next(struct output *o, struct output *next, uint64_t now_ns)
{
	int old = o->dir_fd, r = output_reopen(next, now_ns);

	if (r != -ENOENT)
		return r;
	r = output_open_folder(o);
	if (r < 0) {
		o->dir_fd = old;
		return r;
	}
	cleanup_close(&old);
	next->dir_fd = o->dir_fd;
	return output_reopen(next, now_ns);
}

int rotate_reopen(struct output *o, uint64_t now_ns)
{
	uint64_t size = output_size(o);
	struct output next = next_of(o);
	int r;

	if (o->target != WRITER_FILE || is_in_place(o))
		return 0;
	r = output_write_foot(o, size, now_ns);
	if (r == 0)
		r = open_next(o, &next, now_ns);
	if (r < 0)
		return fail(o, &next, size, now_ns, r);
	change_over(o, &next, now_ns);
	return 1;
}
