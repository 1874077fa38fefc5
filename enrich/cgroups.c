/* SPDX-License-Identifier: Apache-2.0 */
/* Cgroup paths by id: a bounded hash over what was there at start and what was made since. */
#include "enrich/cgroups.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "config/transfer.h"
#include "enrich/container.h"
#include "shm/cleanup.h"

#define BUCKETS   4096u
#define DEPTH_MAX 32u
#define NONE      UINT32_MAX
/* Looking again takes at most one part in so many of the time, and a rest in between. */
#define SCAN_SHARE    50u
#define SCAN_PAUSE_NS UINT64_C(20000000)

struct entry {
	uint64_t id;
	struct cgroup group;
	uint32_t next;
};

struct cgroups {
	int root_fd;      /* -1 = no v2 hierarchy */
	uint64_t scan_ns; /* not again before then */
	uint32_t at;      /* the oldest entry */
	uint32_t bucket[BUCKETS];
	struct entry entries[CGROUPS_MAX];
};

int cgroups_new(struct cgroups **ret)
{
	struct cgroups *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->root_fd = -1;
	memset(c->bucket, 0xff, sizeof(c->bucket));
	*ret = c;
	return 0;
}

/* Its path's meaning is found out here, once, instead of for every record. */
static void set_path(struct cgroup *g, const char *path, size_t len)
{
	struct container c = {0};

	if (len)
		container_parse(path, len, &c);
	text_replace(&g->path, text_new(path, len));
	text_replace(&g->unit, text_new(c.unit, c.unit_len));
	text_replace(&g->user_unit, text_new(c.user_unit, c.user_unit_len));
	text_replace(&g->container, text_new(c.id, c.id_len));
	text_replace(&g->pod, text_new(c.pod, c.pod_len));
	g->runtime = c.runtime;
}

void cgroups_free(struct cgroups *c)
{
	if (!c)
		return;
	if (c->root_fd >= 0)
		close(c->root_fd);
	for (size_t i = 0; i < CGROUPS_MAX; i++)
		set_path(&c->entries[i].group, NULL, 0);
	free(c);
}

static struct entry *find(const struct cgroups *c, uint64_t id)
{
	for (uint32_t i = c->bucket[id % BUCKETS]; i != NONE; i = c->entries[i].next)
		if (c->entries[i].id == id)
			return (struct entry *)&c->entries[i];
	return NULL;
}

void cgroups_add(struct cgroups *c, uint64_t id, const char *path, size_t len)
{
	struct entry *e = find(c, id);
	uint32_t *at;

	if (!id || !len)
		return;
	if (e) {
		const struct text *was = e->group.path;

		if (!was || was->len != len || memcmp(was->bytes, path, len) != 0)
			set_path(&e->group, path, len);
		return;
	}
	e = &c->entries[c->at];
	if (e->id) {
		at = &c->bucket[e->id % BUCKETS];
		while (*at != c->at)
			at = &c->entries[*at].next;
		*at = e->next;
	}
	set_path(&e->group, path, len);
	e->id = id;
	e->next = c->bucket[id % BUCKETS];
	c->bucket[id % BUCKETS] = c->at;
	c->at = (c->at + 1) % CGROUPS_MAX;
}

const struct cgroup *cgroups_find(const struct cgroups *c, uint64_t id)
{
	const struct entry *e = find(c, id);

	return e ? &e->group : NULL;
}

uint64_t cgroups_id(const struct cgroups *c, const char *path, size_t len)
{
	char relative[4096];
	struct stat st;

	if (c->root_fd < 0 || !len || path[0] != '/' || len >= sizeof(relative))
		return 0;
	/* "/a/b" -> "a/b", "/" -> "." */
	memcpy(relative, path + 1, len - 1);
	relative[len - 1] = '\0';
	if (fstatat(c->root_fd, len == 1 ? "." : relative, &st, 0))
		return 0;
	return st.st_ino;
}

void cgroups_each_process(const struct cgroups *c, uint64_t id, size_t max,
	bool (*fn)(void *arg, uint32_t pid), void *arg)
{
	const struct cgroup *g = cgroups_find(c, id);
	const struct text *path = g ? g->path : NULL;
	char name[PATH_MAX], list[4096];
	size_t lines = 0;
	ssize_t n;
	int fd;

	/* The root's are all those that nobody has put anywhere. */
	if (!path || path->len < 2 || c->root_fd < 0)
		return;
	snprintf(name, sizeof(name), "%.*s/cgroup.procs", (int)path->len - 1, path->bytes + 1);
	fd = openat(c->root_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = transfer_read(fd, list, sizeof(list) - 1, TRANSFER_HERE);
	close(fd);
	if (n <= 0 || (size_t)n == sizeof(list) - 1)
		return;
	list[n] = '\0';
	for (const char *p = list; *p; p++)
		lines += *p == '\n';
	for (char *p = list; lines <= max && lines-- > 0;) {
		unsigned long pid = strtoul(p, &p, 10);

		/* 0: outside our pid namespace */
		if (pid && pid <= UINT32_MAX && !fn(arg, (uint32_t)pid))
			return;
	}
}

static bool hidden(const char *name)
{
	return name[0] == '.';
}

/* @path holds the folder's path below the root, @len bytes, "" for the root itself. */
static void walk(struct cgroups *c, int parent_fd, const char *name, char *path, size_t len,
	unsigned depth, size_t *budget)
{
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	const struct dirent *entry;
	struct stat st;
	DIR *d;

	if (fd < 0)
		return;
	if (!fstat(fd, &st))
		cgroups_add(c, st.st_ino, len ? path : "/", len ? len : 1);
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return;
	}
	while (depth < DEPTH_MAX && *budget && (entry = readdir(d))) {
		size_t n = strlen(entry->d_name);

		if (entry->d_type != DT_DIR || hidden(entry->d_name) || len + n + 2 > PATH_MAX)
			continue;
		--*budget;
		path[len] = '/';
		memcpy(path + len + 1, entry->d_name, n + 1);
		walk(c, fd, entry->d_name, path, len + 1 + n, depth + 1, budget);
	}
	closedir(d);
}

static int find_mount(char *ret, size_t size)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent m;
	char buf[4096];
	int e = -ENOENT;

	if (!f)
		return -errno;
	while (e && getmntent_r(f, &m, buf, sizeof(buf)))
		if (!strcmp(m.mnt_type, "cgroup2") && strlen(m.mnt_dir) < size) {
			strcpy(ret, m.mnt_dir);
			e = 0;
		}
	endmntent(f);
	return e;
}

int cgroups_scan(struct cgroups *c, const char *root)
{
	char mount[PATH_MAX], path[PATH_MAX] = "";
	size_t budget = CGROUPS_MAX / 2;
	int e;

	if (!root) {
		e = find_mount(mount, sizeof(mount));
		if (e)
			return e;
		root = mount;
	}
	c->root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (c->root_fd < 0)
		return -errno;
	walk(c, c->root_fd, ".", path, 0, 0, &budget);
	return 0;
}

static uint64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

bool cgroups_refresh(struct cgroups *c)
{
	uint64_t start = monotonic_ns();
	size_t budget = CGROUPS_MAX / 2;
	char path[PATH_MAX] = "";

	if (c->root_fd < 0 || start < c->scan_ns)
		return false;
	walk(c, c->root_fd, ".", path, 0, 0, &budget);
	c->scan_ns = start + (monotonic_ns() - start) * SCAN_SHARE + SCAN_PAUSE_NS;
	return true;
}
