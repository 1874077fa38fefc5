/* SPDX-License-Identifier: Apache-2.0 */
/* What all records of one run share: this host's names and ids, read once at start. */
#include "sink/format.h"

#include <fcntl.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "shm/cleanup.h"
#include "sink/escape.h"
#include "sink/text.h"

/* First line of a small file; "" if it cannot be read. */
static void read_line(const char *path, char *ret, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, size - 1);

	ret[n < 0 ? 0 : n] = 0;
	ret[strcspn(ret, "\n")] = 0;
}

/* ,"key":"value" or "key":"value" as the first of its object; nothing for an empty value. */
static char *json_member(char *p, const char *key, const char *value)
{
	if (!*value)
		return p;
	if (p[-1] != '{')
		*p++ = ',';
	*p++ = '"';
	p = text_str(p, key);
	p = text_lit(p, "\":\"");
	p = escape_json(p, value, strlen(value));
	*p++ = '"';
	return p;
}

void format_context_prepare(struct format_context *ctx)
{
	char *p = ctx->json_host;

	p = text_lit(p, ",\"agent\":{\"type\":\"flowner\"");
	p = json_member(p, "version", ctx->version);
	p = text_lit(p, "},\"host\":{");
	p = json_member(p, "hostname", ctx->host_name);
	p = json_member(p, "name", ctx->host_name);
	p = json_member(p, "id", ctx->host_id);
	if (*ctx->boot_id) {
		if (p[-1] != '{')
			*p++ = ',';
		p = text_lit(p, "\"boot\":{");
		p = json_member(p, "id", ctx->boot_id);
		*p++ = '}';
	}
	*p++ = '}';
	ctx->json_host_len = (size_t)(p - ctx->json_host);
}

void format_context_init(struct format_context *ctx, const char *version)
{
	time_t now = time(NULL);
	struct utsname u;
	struct tm tm;

	memset(ctx, 0, sizeof(*ctx));
	ctx->version = version;
	if (uname(&u) == 0)
		memcpy(ctx->host_name, u.nodename, strnlen(u.nodename, sizeof(u.nodename) - 1));
	read_line("/etc/machine-id", ctx->host_id, sizeof(ctx->host_id));
	read_line("/proc/sys/kernel/random/boot_id", ctx->boot_id, sizeof(ctx->boot_id));
	if (localtime_r(&now, &tm))
		ctx->utc_offset_s = (int32_t)tm.tm_gmtoff;
	format_context_prepare(ctx);
}
