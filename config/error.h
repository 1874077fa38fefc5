/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds the complaint about a configuration: place, key, what is wrong.
 *
 * Threads: any. Blocks: no. Logs: no.
 */
#pragma once

#include "config/config.h"

/* Where a value stands. */
struct error_place {
	const char *source;  /* file name, "environment" or "--set" */
	size_t line, column; /* from 1; line 0 = the source has no lines */
};

/*
 * Fills @err with "source:line:column: path: text"; @path NULL or "" leaves that part out. Foreign
 * bytes in any part come out escaped. Returns CONFIG_E_INVALID.
 */
int error_complain(struct config_error *err, const struct error_place *place, const char *path,
	const char *format, ...) __attribute__((format(printf, 4, 5)));
