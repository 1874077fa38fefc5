/* SPDX-License-Identifier: Apache-2.0 */
/* Loading a configuration with the Nth allocation failing, for every N: an error, no leak, no
 * crash. */
#include "config/config.h"

#include <errno.h>
#include <unistd.h>

#include "tap.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OWN_MALLOC 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OWN_MALLOC 0
#endif
#endif
#ifndef OWN_MALLOC
#define OWN_MALLOC 1
#endif

#if OWN_MALLOC
/* These stand in front of glibc's for libyaml and for glibc itself as well. */
#define EXPORTED __attribute__((visibility("default")))

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);
void __libc_free(void *p);

static long left = -1; /* allocations that still succeed; -1 = all */
static long live;      /* blocks in use */

static void *counted(void *p)
{
	live += p != NULL;
	return p;
}

static bool fails(void)
{
	if (left > 0)
		left--;
	else if (left == 0)
		errno = ENOMEM;
	return left == 0;
}

EXPORTED void *malloc(size_t size)
{
	return fails() ? NULL : counted(__libc_malloc(size));
}

EXPORTED void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : counted(__libc_calloc(n, size));
}

EXPORTED void *realloc(void *old, size_t size)
{
	if (fails())
		return NULL;
	return old ? __libc_realloc(old, size) : counted(__libc_realloc(old, size));
}

EXPORTED void free(void *p)
{
	live -= p != NULL;
	__libc_free(p);
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	if (!f || fputs(text, f) < 0 || fclose(f))
		tap_bail("no file");
}

int main(void)
{
	static const char *const set[] = {
		"capture.interfaces=[a, b]", "output.files=ecs:/a,text:-"};
	char folder[] = "/tmp/flowner-test-XXXXXX", file[64];
	struct config_sources s = {.file = file, .set = set, .n_set = 2};
	struct config_error err;
	struct config c;
	long n, leaks = 0, failed = 0, other = 0;
	bool last = false;

	if (!mkdtemp(folder))
		tap_bail("no folder");
	snprintf(file, sizeof(file), "%s/f.yaml", folder);
	write_file(file, "capture:\n  interfaces: [eth0, eth1]\n  filter: |\n    tcp\n    or udp\n"
			 "limits: {flows: 1000}\n"
			 "output:\n  files: [ecs:/x, {format: a, path: /b, include: [c, d]}]\n");
	for (n = 1; !last && n < 100000; n++) {
		long before = live;
		int r;

		left = n;
		r = config_init(&c);
		if (r == 0)
			r = config_load(&c, &s, &err);
		last = left > 0;
		left = -1;
		config_deinit(&c);
		leaks += live != before;
		failed += r == -ENOMEM;
		other += r != 0 && r != -ENOMEM;
	}
	tap_ok(n > 50 && failed > n * 9 / 10, "%ld of %ld failed allocations are reported", failed,
		n);
	tap_is_int(other, 0, "as -ENOMEM and nothing else");
	tap_is_int(leaks, 0, "nothing leaks");
	tap_ok(last, "with enough memory it loads");
	unlink(file);
	rmdir(folder);
	return tap_done();
}
#else
int main(void)
{
	tap_skip("failing allocations", "the sanitizer has its own malloc");
	return tap_done();
}
#endif
