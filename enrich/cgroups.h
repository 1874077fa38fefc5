/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cgroups (v2) by id, their paths and what these say: those there at start, read from the mounted
 * hierarchy, and those made since, as the kernel's events tell.
 *
 * Threads: one. Blocks: cgroups_scan() and cgroups_refresh() walk folders. Logs: no. Errors: 0,
 * -errno.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "enrich/text.h"
#include "shm/record.h"

#define CGROUPS_MAX 16384u /* the oldest makes room */

/* What a cgroup's path says of itself; NULL = not that. */
struct cgroup {
	struct text *path; /* below the hierarchy's root; "/" is the root itself */
	struct text *unit, *user_unit;
	struct text *container, *pod;
	enum record_runtime runtime;
};

struct cgroups;

int cgroups_new(struct cgroups **ret);
void cgroups_free(struct cgroups *c);
/* Reads the hierarchy mounted at @root (NULL: where /proc/self/mounts says). -ENOENT = no v2 here.
 */
int cgroups_scan(struct cgroups *c, const char *root);
/* Looks there again, unless that was done a moment ago; true = it did. */
bool cgroups_refresh(struct cgroups *c);
void cgroups_add(struct cgroups *c, uint64_t id, const char *path, size_t len);
/* NULL = unknown. The cache's, until the next cgroups_add(). */
const struct cgroup *cgroups_find(const struct cgroups *c, uint64_t id);
/*
 * Calls @fn for each process in the cgroup itself, when there are at most @max; it returns false to
 * stop.
 */
void cgroups_each_process(const struct cgroups *c, uint64_t id, size_t max,
	bool (*fn)(void *arg, uint32_t pid), void *arg);
/* The id of @path, 0 = unknown. Asks the file system. */
uint64_t cgroups_id(const struct cgroups *c, const char *path, size_t len);
