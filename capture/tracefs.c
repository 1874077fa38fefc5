/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's description of a tracepoint: its id and where its fields lie. */
#include "capture/tracefs.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "shm/cleanup.h"

/* A decimal number in front of @end; -EPROTO: anything else, or above @max. */
static int parse_number(const char *text, char end, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;
	const char *p = text;

	for (; isdigit((unsigned char)*p); p++) {
		v = v * 10 + (uint64_t)(*p - '0');
		if (v > max)
			return -EPROTO;
	}
	if (p == text || *p != end)
		return -EPROTO;
	*ret = v;
	return 0;
}

int tracefs_parse_id(const char *format, uint64_t *ret)
{
	const char *p = strstr(format, "\nID: ");

	return p ? parse_number(p + 5, '\n', UINT32_MAX, ret) : -ENOENT;
}

/* Whether the declaration "type name[n]" between @p and @end declares @name. */
static bool declares(const char *p, const char *end, const char *name)
{
	size_t n = strlen(name);
	const char *bracket = memchr(p, '[', (size_t)(end - p));

	/* "__data_loc char[] filename" has its brackets in front of the name. */
	if (bracket && end[-1] == ']')
		end = bracket;
	return (size_t)(end - p) > n && !memcmp(end - n, name, n) &&
	       (end[-(ptrdiff_t)n - 1] == ' ' || end[-(ptrdiff_t)n - 1] == '*');
}

int tracefs_parse_field(const char *format, const char *name, struct tap_field *ret)
{
	static const char head[] = "field:", offset[] = "offset:", size[] = "size:";
	uint64_t o, n;
	int r;

	for (const char *p = format; (p = strstr(p, head));) {
		const char *end, *line = strchr(p, '\n');

		p += sizeof(head) - 1;
		end = strchr(p, ';');
		if (!end || (line && end > line))
			return -EPROTO;
		if (!declares(p, end, name))
			continue;
		p = strstr(end, offset);
		if (!p || (line && p > line))
			return -EPROTO;
		r = parse_number(p + sizeof(offset) - 1, ';', UINT16_MAX, &o);
		if (r < 0)
			return r;
		p = strstr(p, size);
		if (!p || (line && p > line))
			return -EPROTO;
		r = parse_number(p + sizeof(size) - 1, ';', UINT16_MAX, &n);
		if (r < 0)
			return r;
		*ret = (struct tap_field){(uint16_t)o, (uint16_t)n};
		return 0;
	}
	return -ENOENT;
}

static int mount_detached(int *ret_fd)
{
	_cleanup_close_ int fs = -1;
	int fd;

	fs = (int)syscall(SYS_fsopen, "tracefs", FSOPEN_CLOEXEC);
	if (fs < 0)
		return -errno;
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC,
		MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

static int open_format(int dir_fd, const char *event)
{
	char path[128];
	int n = snprintf(path, sizeof(path), "events/%s/format", event);
	int fd;

	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 || errno != ENOENT)
		return fd < 0 ? -errno : fd;
	snprintf(path, sizeof(path), "%s", event);
	if (strchr(path, '/'))
		*strchr(path, '/') = '.';
	fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/*
 * Copies of the descriptions that a service manager made for us, for tracefs is closed to all but
 * root; named like the event with a dot for the slash. If they are none, it found none either.
 */
static int open_copies(int *ret_fd)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	_cleanup_close_ int fd = dir ? open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	char text[TRACEFS_FORMAT_MAX];
	uint64_t id;

	if (fd < 0 || tracefs_read_format(fd, "fib/fib_table_lookup", text) < 0 ||
		tracefs_parse_id(text, &id) < 0)
		return -ENOENT;
	*ret_fd = take_fd(&fd);
	return 0;
}

int tracefs_open(int *ret_fd)
{
	static const char *const dirs[] = {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"};

	if (open_copies(ret_fd) == 0)
		return 0;
	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
		_cleanup_close_ int fd = open(dirs[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		struct statfs st;

		if (fd >= 0 && fstatfs(fd, &st) == 0 && st.f_type == TRACEFS_MAGIC) {
			*ret_fd = take_fd(&fd);
			return 0;
		}
	}
	return mount_detached(ret_fd);
}

int tracefs_read_format(int dir_fd, const char *event, char buf[TRACEFS_FORMAT_MAX])
{
	_cleanup_close_ int fd = open_format(dir_fd, event);
	size_t len = 0;

	if (fd < 0)
		return fd;
	while (len < TRACEFS_FORMAT_MAX - 1) {
		ssize_t got = read(fd, buf + len, TRACEFS_FORMAT_MAX - 1 - len);

		if (got < 0)
			return -errno;
		if (!got)
			break;
		len += (size_t)got;
	}
	buf[len] = 0;
	return 0;
}
