/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths of cgroups (v2) by id: those there at start, read from the mounted hierarchy, and those
 * made since, as the kernel's events tell.
 *
 * Threads: one. Blocks: cgroups_scan() walks folders. Logs: no. Errors: 0, -errno.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "enrich/text.h"

#define CGROUPS_MAX 16384u /* the oldest makes room */

struct cgroups;

int cgroups_new(struct cgroups **ret);
void cgroups_free(struct cgroups *c);
/* Reads the hierarchy mounted at @root (NULL: where /proc/self/mounts says). -ENOENT = no v2 here.
 */
int cgroups_scan(struct cgroups *c, const char *root);
void cgroups_add(struct cgroups *c, uint64_t id, const char *path, size_t len);
/* Path below the hierarchy's root ("/" is the root itself), NULL = unknown. The cache's reference.
 */
struct text *cgroups_path(const struct cgroups *c, uint64_t id);
/*
 * Calls @fn for each process in the cgroup itself, when there are at most @max; it returns false to
 * stop.
 */
void cgroups_each_process(const struct cgroups *c, uint64_t id, size_t max,
	bool (*fn)(void *arg, uint32_t pid), void *arg);
/* The id of @path, 0 = unknown. Asks the file system. */
uint64_t cgroups_id(const struct cgroups *c, const char *path, size_t len);
