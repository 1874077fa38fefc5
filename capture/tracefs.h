/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's description of a tracepoint: its id and where its fields lie.
 *
 * Sources: Documentation/trace/events.rst (the `format` file).
 * Threads: start-up only. Blocks: reads tracefs. Logs: no. Errors: 0 or -errno.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "shm/tap.h"

#define TRACEFS_FORMAT_MAX 16384u /* bytes of a `format` file */

/* Pure: from the text of a `format` file. -ENOENT: no such line or field; -EPROTO: it is garbled.
 */
int tracefs_parse_id(const char *format, uint64_t *ret);
int tracefs_parse_field(const char *format, const char *name, struct tap_field *ret);

/*
 * A directory descriptor of tracefs: copies in $CREDENTIALS_DIRECTORY (contrib/systemd), where it
 * is mounted, else a detached mount of our own that nobody else sees and that ends with the
 * descriptor. -ENOENT/-EPERM/-ENOSYS: none of these is possible.
 */
int tracefs_open(int *ret_fd);

/* The `format` file of "system/event" into @buf. -ENOENT: this kernel does not have the event. */
int tracefs_read_format(int dir_fd, const char *event, char buf[TRACEFS_FORMAT_MAX]);
