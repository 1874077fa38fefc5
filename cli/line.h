/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line of an output file (ecs, ocsf, zeek, zeek-json, sysmon) back into a record, by the table of
 * fields: as much of it as the format holds.
 *
 * Threads: one a reader. Blocks: no. Logs: no. Errors: 0; LINE_E_*; -ENOMEM.
 */
#pragma once

#include <stddef.h>

#include "shm/record.h"
#include "sink/fields.h"

enum {
	LINE_E_NOTHING = 1, /* empty, or a comment such as Zeek's header */
	LINE_E_UNKNOWN = 2, /* not a line of a format that can be read */
};

#define LINE_COLUMNS_MAX 256u

struct line_reader {
	char *header; /* Zeek's #fields, cut into columns; owned */
	const char *column[LINE_COLUMNS_MAX];
	size_t columns;
};

void line_reader_deinit(struct line_reader *l);

/* @line has @len bytes and no line end. *ret passes format_check(). */
int line_read(struct line_reader *l, const char *line, size_t len, struct record *ret);
