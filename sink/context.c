/* SPDX-License-Identifier: Apache-2.0 */
/* What all records of one run share: this host's names and ids, read once at start. */
#include "sink/format.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "shm/cleanup.h"

/* First line of a small file; "" if it cannot be read. */
static void read_line(const char *path, char *ret, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, size - 1);

	ret[n < 0 ? 0 : n] = 0;
	ret[strcspn(ret, "\n")] = 0;
}

/* What a service manager has copied for us where not all of /proc is to be seen. */
static void read_boot_id(char *ret, size_t size)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	char path[512];

	ret[0] = 0;
	if (folder && snprintf(path, sizeof(path), "%s/boot_id", folder) < (int)sizeof(path))
		read_line(path, ret, size);
	if (!ret[0])
		read_line("/proc/sys/kernel/random/boot_id", ret, size);
}

void format_context_prepare(const struct format_context *ctx)
{
	const struct format *f;

	for (unsigned i = 0; (f = format_at(i)); i++)
		if (f->prepare)
			f->prepare(ctx);
}

void format_context_init(struct format_context *ctx, const char *version, bool offline)
{
	time_t now = time(NULL);
	struct utsname u;
	struct tm tm;

	memset(ctx, 0, sizeof(*ctx));
	ctx->version = version;
	ctx->offline = offline;
	if (uname(&u) == 0)
		memcpy(ctx->host_name, u.nodename, strnlen(u.nodename, sizeof(u.nodename) - 1));
	read_line("/etc/machine-id", ctx->host_id, sizeof(ctx->host_id));
	if (!offline)
		read_boot_id(ctx->boot_id, sizeof(ctx->boot_id));
	if (localtime_r(&now, &tm))
		ctx->utc_offset_s = (int32_t)tm.tm_gmtoff;
	format_context_prepare(ctx);
}
