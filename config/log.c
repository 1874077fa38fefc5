/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines on standard error: one write(2) each, with foreign bytes escaped. */
#include "config/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "config/text.h"
#include "config/transfer.h"

#define LINE_MAX_BYTES 2048u

static const char *log_name = "flowner";
static enum log_level log_max = LOG_LEVEL_INFO;
static bool log_levels;

/* JOURNAL_STREAM is inherited by everything below a service: it counts if stderr is that stream. */
static bool is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

/* What a supervisor wants at most: "warning", "error". Nobody asked for more detail than this. */
static enum log_level limit(enum log_level max)
{
	const char *wanted = getenv("FLOWNER_LOG_MAX");

	if (!wanted || max > LOG_LEVEL_INFO)
		return max;
	if (strcmp(wanted, "warning") == 0)
		return LOG_LEVEL_WARNING;
	return strcmp(wanted, "error") == 0 ? LOG_LEVEL_ERROR : max;
}

void log_init(const char *name, enum log_level max)
{
	log_name = name;
	log_max = limit(max);
	log_levels = getenv("FLOWNER_LOG_PREFIX") || is_journal();
}

void log_line(enum log_level level, const char *format, ...)
{
	char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES];
	int saved = errno, head, n;
	ssize_t written;
	va_list ap;

	if (level > log_max && level != LOG_LEVEL_ANSWER)
		return;
	va_start(ap, format);
	n = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (log_levels)
		head = snprintf(line, sizeof(line), "<%d>%.64s: ", (int)level, log_name);
	else
		head = snprintf(line, sizeof(line), "%.64s: ", log_name);
	/* The format failed (no memory, %lc): its own text still says what happened. */
	if (n < 0)
		snprintf(text, sizeof(text), "%s", format);
	text_escape(line + head, sizeof(line) - (size_t)head - 1, text, strlen(text));
	n = (int)strlen(line);
	line[n++] = '\n';
	do {
		written = transfer_write(STDERR_FILENO, line, (size_t)n, TRANSFER_HERE);
	} while (written < 0 && errno == EINTR);
	errno = saved;
}
