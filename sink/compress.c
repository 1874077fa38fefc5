/* SPDX-License-Identifier: Apache-2.0 */
/* Compresses files that were put aside, a bounded step at a time. */
#include "sink/compress.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "config/transfer.h"
#include "shm/cleanup.h"
#include "sink/rotate.h"

#define STEP       (128u << 10)
#define OUT        (256u << 10) /* more than ZSTD_compressBound(STEP) */
#define SYNC       (4u << 20)   /* bytes read between two syncs: each is short */
#define LEVEL      3
#define WINDOW_LOG 19 /* 512 KiB: memory stays small */
#define TMP        ".zst.tmp"

static int name_of(const char *name, const char *suffix, char ret[NAME_MAX + 1])
{
	int n = snprintf(ret, NAME_MAX + 1, "%s%s", name, suffix);

	return n < 0 || n > NAME_MAX ? -ENAMETOOLONG : 0;
}

/* Whether @file is what a compression of ours that was cut short has left. */
static bool is_leftover(const struct output *o, const char *file)
{
	size_t len = strlen(file), tmp = strlen(TMP);
	char name[NAME_MAX + 1];
	uint64_t t_ns;
	bool zst;

	if (len <= tmp || strcmp(file + len - tmp, TMP) != 0)
		return false;
	snprintf(name, sizeof(name), "%.*s", (int)(len - tmp), file);
	return rotate_is_name(o->name, name, &t_ns, &zst) && !zst;
}

/* What an interrupted compression has left is removed. */
static int find(const struct output *o, DIR *d, uint64_t *after_ns, char ret[NAME_MAX + 1])
{
	uint64_t t_ns, oldest = UINT64_MAX;
	const struct dirent *e;
	char done[NAME_MAX + 1];
	struct stat st;
	bool zst;

	while ((e = readdir(d))) {
		if (is_leftover(o, e->d_name)) {
			unlinkat(dirfd(d), e->d_name, 0);
			continue;
		}
		if (!rotate_is_name(o->name, e->d_name, &t_ns, &zst) || zst ||
			fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			!S_ISREG(st.st_mode))
			continue;
		if (name_of(e->d_name, ".zst", done) == 0 &&
			fstatat(dirfd(d), done, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			unlinkat(dirfd(d), e->d_name, 0);
			continue;
		}
		if (t_ns > *after_ns && t_ns < oldest) {
			oldest = t_ns;
			snprintf(ret, NAME_MAX + 1, "%s", e->d_name);
		}
	}
	if (oldest == UINT64_MAX)
		return COMPRESS_E_NONE;
	*after_ns = oldest;
	return 0;
}

static int open_files(struct compress *c)
{
	char tmp[NAME_MAX + 1];
	struct stat st;
	int r = name_of(c->name, TMP, tmp);

	if (r < 0)
		return r;
	c->in_fd = openat(c->dir_fd, c->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (c->in_fd < 0 || fstat(c->in_fd, &st) < 0)
		return -errno;
	unlinkat(c->dir_fd, tmp, 0);
	c->out_fd = openat(c->dir_fd, tmp, OUTPUT_OPEN | O_CREAT | O_EXCL, st.st_mode & 0777);
	return c->out_fd < 0 ? -errno : 0;
}

int compress_begin(struct compress *c, const struct output *o, uint64_t *after_ns)
{
	int fd, r;
	DIR *d;

	*c = (struct compress){.dir_fd = -1, .in_fd = -1, .out_fd = -1};
	if (o->target != WRITER_FILE || o->limits.compress == CONFIG_COMPRESS_NONE)
		return COMPRESS_E_NONE;
	fd = openat(o->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		r = -errno;
		cleanup_close(&fd);
		return r;
	}
	r = find(o, d, after_ns, c->name);
	closedir(d);
	if (r)
		return r;
	c->dir_fd = fcntl(o->dir_fd, F_DUPFD_CLOEXEC, 3);
	c->buf = malloc(STEP + OUT);
	c->context = ZSTD_createCCtx();
	r = c->dir_fd < 0 ? -errno : !c->buf || !c->context ? -ENOMEM : open_files(c);
	if (r == 0) {
		ZSTD_CCtx_setParameter(c->context, ZSTD_c_compressionLevel, LEVEL);
		ZSTD_CCtx_setParameter(c->context, ZSTD_c_windowLog, WINDOW_LOG);
		ZSTD_CCtx_setParameter(c->context, ZSTD_c_checksumFlag, 1);
	} else {
		compress_deinit(c);
	}
	return r;
}

static int write_all(int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = transfer_write(fd, buf, len, TRANSFER_HERE);

		if (n < 0)
			return -errno;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

/* The compressed file takes the place of the other. */
static int finish(struct compress *c)
{
	char tmp[NAME_MAX + 1], done[NAME_MAX + 1];
	int r = name_of(c->name, TMP, tmp);

	if (r == 0)
		r = name_of(c->name, ".zst", done);
	if (r < 0)
		return r;
	if (fsync(c->out_fd) < 0)
		return -errno;
	r = rotate_rename(c->dir_fd, tmp, done, 0);
	if (r < 0)
		return r;
	if (fsync(c->dir_fd) < 0 || (unlinkat(c->dir_fd, c->name, 0) < 0 && errno != ENOENT))
		return -errno;
	return 0;
}

static int step(struct compress *c)
{
	ssize_t n = transfer_read(c->in_fd, c->buf, STEP, TRANSFER_HERE);
	ZSTD_inBuffer in = {.src = c->buf, .size = n > 0 ? (size_t)n : 0};
	ZSTD_EndDirective how = n > 0 ? ZSTD_e_continue : ZSTD_e_end;
	size_t left;
	int r;

	if (n < 0)
		return -errno;
	do {
		ZSTD_outBuffer out = {.dst = c->buf + STEP, .size = OUT};

		left = ZSTD_compressStream2(c->context, &out, &in, how);
		if (ZSTD_isError(left))
			return -EIO;
		r = write_all(c->out_fd, out.dst, out.pos);
		if (r < 0)
			return r;
	} while (in.pos < in.size || (how == ZSTD_e_end && left > 0));
	if (how == ZSTD_e_end)
		return finish(c);
	c->unsynced += (uint64_t)n;
	if (c->unsynced >= SYNC) {
		c->unsynced = 0;
		if (fsync(c->out_fd) < 0)
			return -errno;
	}
	return COMPRESS_E_MORE;
}

int compress_step(struct compress *c)
{
	int r = step(c);

	if (r != COMPRESS_E_MORE)
		compress_deinit(c);
	return r;
}

void compress_deinit(struct compress *c)
{
	char tmp[NAME_MAX + 1];

	if (c->out_fd >= 0 && name_of(c->name, TMP, tmp) == 0)
		unlinkat(c->dir_fd, tmp, 0); /* gone already where it was finished */
	ZSTD_freeCCtx(c->context);
	free(c->buf);
	cleanup_close(&c->in_fd);
	cleanup_close(&c->out_fd);
	cleanup_close(&c->dir_fd);
	*c = (struct compress){.dir_fd = -1, .in_fd = -1, .out_fd = -1};
}
