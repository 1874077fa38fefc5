/* SPDX-License-Identifier: Apache-2.0 */
/* Opens outputs and finds the place in a file where writing goes on. */
#include "sink/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/cleanup.h"

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

/* The folder stays open: later files are made in it whatever happens to its path. */
int output_open_folder(struct output *o)
{
	char *slash = strrchr(o->path, '/');
	const char *folder = ".";

	o->name = slash ? slash + 1 : o->path;
	if (!*o->name)
		return -EISDIR;
	if (slash) {
		*slash = '\0';
		folder = slash == o->path ? "/" : o->path;
	}
	o->dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (o->dir_fd < 0 && errno == EACCES) /* enough, but not for files put aside */
		o->dir_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (slash)
		*slash = '/';
	return o->dir_fd < 0 ? -errno : 0;
}

static int open_path(struct output *o, struct stat *ret_st, struct output_error *err)
{
	int r = output_open_folder(o);

	if (r == 0) {
		o->fd = openat(o->dir_fd, o->name, OUTPUT_OPEN | O_CREAT, output_mode());
		r = o->fd < 0 ? -errno : 0;
	}
	if (r < 0)
		return complain(err, OUTPUT_E_OPEN, "output %s: %s%s", o->path, strerror(-r),
			open_advice(-r));
	if (fstat(o->fd, ret_st) < 0)
		return -errno;
	if (!S_ISREG(ret_st->st_mode)) {
		o->target = WRITER_STREAM;
		return 0;
	}
	r = output_lock(o->fd, true);
	if (r == -EWOULDBLOCK)
		return complain(err, OUTPUT_E_OPEN,
			"output %s: in use by another flowner-sink, or named twice", o->path);
	if (r < 0)
		return r;
	o->target = WRITER_FILE;
	o->id = output_file_id(ret_st);
	return 0;
}

/* The numbers of a configuration; its texts stay where they are. */
void output_set_limits(struct output *o, const struct config_output *config)
{
	o->limits = *config;
	o->limits.format = o->limits.path = NULL;
	o->limits.include = o->limits.exclude = (struct config_list){0};
}

int output_open(struct output *o, const struct config_output *config,
	const struct format_context *ctx, struct output_error *err)
{
	struct stat st;
	int r;

	memset(o, 0, sizeof(*o));
	o->fd = o->dir_fd = -1;
	output_set_limits(o, config);
	r = find_format(o, config, err);
	if (r == 0)
		r = rules_init(&o->rules, config, err->text, sizeof(err->text));
	if (r)
		return r == RULES_E_INVALID ? OUTPUT_E_INVALID : r;
	o->path = strdup(config->path);
	if (!o->path)
		return -ENOMEM;
	if (strcmp(o->path, "-") == 0) {
		if (fstat(STDOUT_FILENO, &st) < 0 ||
			(fcntl(STDOUT_FILENO, F_GETFL) & O_ACCMODE) == O_RDONLY)
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
	o->context.colour = o->target != WRITER_FILE && wants_colour(o->fd);
	return 0;
}

void output_deinit(struct output *o)
{
	writer_free(o->writer);
	o->writer = NULL;
	rules_deinit(&o->rules);
	cleanup_close(&o->fd);
	cleanup_close(&o->dir_fd);
	o->fd = o->dir_fd = -1;
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
