/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of users and groups as this host's /etc/passwd and /etc/group have them.
 *
 * Not through the C library's name service: that loads modules and asks daemons over sockets, which
 * may block, and which a confined process may not do. Users that only such a service knows stay
 * numbers. A changed file is read again.
 *
 * Source: passwd(5), group(5). The first line of an id names it, as for getpwuid(3).
 *
 * Threads: one. Blocks: on the local files. Logs: no. Errors: 0, -errno.
 */
#pragma once

#include <stdint.h>

#include "enrich/text.h"

#define USERS_MAX      65536u /* lines of a file that count */
#define USERS_NAME_MAX 256u   /* bytes; a longer name is no name */

struct users;

/* The files need not exist: nobody has a name then. Other paths than /etc/... are for tests. */
int users_new(const char *passwd, const char *group, struct users **ret);
void users_free(struct users *u);
/* Reads the files again if they are others by now, looking at most once a second of @now_ns. */
void users_refresh(struct users *u, uint64_t now_ns);
/* NULL = no name. The reference stays the table's, until the next users_refresh(). */
struct text *users_user(struct users *u, uint32_t uid);
struct text *users_group(struct users *u, uint32_t gid);
