/* SPDX-License-Identifier: Apache-2.0 */
/* Cgroups by id: a tree of folders is read, later ones are told, the oldest make room. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "enrich/cgroups.h"
#include "tap.h"

static char root[] = "/tmp/test-cgroups.XXXXXX";
static struct cgroups *c;

static void make(const char *path)
{
	char full[512];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	if (mkdir(full, 0755))
		tap_bail("no folder");
}

static uint64_t inode(const char *path)
{
	char full[512];
	struct stat st;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	return stat(full, &st) ? 0 : st.st_ino;
}

static void procs(const char *path, const char *text)
{
	char full[512];
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s/cgroup.procs", root, path);
	f = fopen(full, "w");
	if (!f || fputs(text, f) < 0 || fclose(f))
		tap_bail("no file");
}

static const char *path_of(uint64_t id)
{
	static char text[256];
	const struct cgroup *g = cgroups_find(c, id);

	if (!g || !g->path)
		return "(none)";
	snprintf(text, sizeof(text), "%.*s", (int)g->path->len, g->path->bytes);
	return text;
}

static uint64_t id_of(const char *path)
{
	return cgroups_id(c, path, strlen(path));
}

static void test_scan(void)
{
	make("a");
	make("a/b");
	make("system.slice");
	make("system.slice/web.service");
	make(".hidden");
	tap_is_int(id_of("/a"), 0, "before there is a hierarchy no path has an id");
	tap_is_int(cgroups_scan(c, "/nonexistent"), -ENOENT, "a hierarchy that is not there");
	tap_is_int(cgroups_scan(c, root), 0, "one that is");
	tap_is_str(path_of(inode(".")), "/", "the root");
	tap_is_str(path_of(inode("a/b")), "/a/b", "a folder below, by its inode number");
	tap_ok(cgroups_find(c, inode("system.slice/web.service")) &&
			cgroups_find(c, inode("system.slice/web.service"))->unit,
		"what its path says is read out of it");
	tap_is_str(path_of(inode(".hidden")), "(none)", "hidden folders are no cgroups");
	tap_is_str(path_of(UINT64_MAX), "(none)", "an id nobody told of");
}

static void test_id(void)
{
	char long_path[5000];

	tap_is_int(id_of("/a/b"), inode("a/b"), "the id of a path");
	tap_is_int(id_of("/"), inode("."), "the id of the root");
	tap_is_int(id_of("/a/none"), 0, "a path that is not there");
	tap_is_int(id_of("a"), 0, "a path that is none");
	tap_is_int(id_of(""), 0, "an empty one");
	memset(long_path, '/', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = 0;
	tap_is_int(id_of(long_path), 0, "one that is too long");
}

static void test_add(void)
{
	cgroups_add(c, 1u << 30, "/told", 5);
	tap_is_str(path_of(1u << 30), "/told", "a cgroup made later");
	cgroups_add(c, 1u << 30, "/renamed", 8);
	tap_is_str(path_of(1u << 30), "/renamed", "its id comes again with another path");
	cgroups_add(c, 0, "/zero", 5);
	tap_is_str(path_of(0), "(none)", "0 is no id");
	cgroups_add(c, 77777, "", 0);
	tap_is_str(path_of(77777), "(none)", "a cgroup without a path is none");
	for (uint64_t i = 0; i < CGROUPS_MAX; i++)
		cgroups_add(c, (UINT64_C(1) << 40) + i, "/many", 5);
	tap_is_str(path_of(1u << 30), "(none)", "the oldest made room");
	tap_is_str(path_of((UINT64_C(1) << 40) + 5), "/many", "the others are all there");
	cgroups_add(c, UINT64_C(1) << 50, "/one", 4);
	tap_is_str(path_of(UINT64_C(1) << 40), "(none)", "one more takes the place of the oldest");
}

struct seen {
	unsigned n, stop;
	uint32_t pid[8];
};

static bool see(void *arg, uint32_t pid)
{
	struct seen *s = arg;

	s->pid[s->n++ % 8] = pid;
	return s->n != s->stop;
}

static void test_processes(void)
{
	uint64_t id = inode("a/b");
	struct seen s = {0};

	cgroups_add(c, id, "/a/b", 4);
	procs("a/b", "12\n345\n6\n");
	cgroups_each_process(c, id, 8, see, &s);
	tap_ok(s.n == 3 && s.pid[0] == 12 && s.pid[1] == 345 && s.pid[2] == 6, "its processes");
	s = (struct seen){.stop = 2};
	cgroups_each_process(c, id, 8, see, &s);
	tap_is_int(s.n, 2, "until the caller has enough");
	s = (struct seen){0};
	cgroups_each_process(c, id, 2, see, &s);
	tap_is_int(s.n, 0, "none of a cgroup with too many");
	procs("a/b", "");
	cgroups_each_process(c, id, 8, see, &s);
	tap_is_int(s.n, 0, "none of an empty one");
	cgroups_each_process(c, inode("a"), 8, see, &s);
	tap_is_int(s.n, 0, "none where there is no list");
}

int main(void)
{
	char command[64];

	if (!mkdtemp(root) || cgroups_new(&c))
		tap_bail("no temporary folder");
	test_scan();
	test_id();
	test_add();
	test_processes();
	cgroups_free(c);
	cgroups_free(NULL);
	snprintf(command, sizeof(command), "rm -r %s", root);
	if (system(command)) /* NOLINT(cert-env33-c): our own folder */
		tap_bail("the temporary folder stays");
	return tap_done();
}
