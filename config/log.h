/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines on standard error: "<6>flowner-capture: text" for a supervisor that reads levels
 * (sd-daemon(3), when JOURNAL_STREAM or FLOWNER_LOG_PREFIX is set), else
 * without the level.
 *
 * Only main.c and each daemon's loop file log; nothing is logged per packet, flow or record. Bytes
 * of foreign origin in the arguments come out with control characters escaped.
 * Threads: one. Blocks: on stderr. Never fails.
 */
#pragma once

#include <stdbool.h>

enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_ANSWER = 5, /* somebody has just asked for it: never dropped */
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7
};

/*
 * @name is borrowed for the life of the process. Lines above @max are dropped; $FLOWNER_LOG_MAX
 * ("warning" or "error") lowers it for a program that was not asked to debug.
 */
void log_init(const char *name, enum log_level max);
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_answer(...)  log_line(LOG_LEVEL_ANSWER, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
