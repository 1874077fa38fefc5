/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory runs out for the program it is preloaded into: allocation number $NTH_MALLOC (from 1)
 * fails, and with $NTH_EVERY every so many-th after it. How many there were goes to the file
 * $NTH_COUNT at the end.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);

static unsigned long count, first, every;
static int ready;

static int fails(void)
{
	unsigned long n = __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);

	if (!ready || !first || n < first || (n > first && (!every || (n - first) % every != 0)))
		return 0;
	errno = ENOMEM;
	return 1;
}

__attribute__((constructor)) static void start(void)
{
	const char *n = getenv("NTH_MALLOC"), *e = getenv("NTH_EVERY");

	first = n ? strtoul(n, NULL, 10) : 0;
	every = e ? strtoul(e, NULL, 10) : 0;
	count = 0;
	ready = 1;
}

__attribute__((destructor)) static void end(void)
{
	const char *path = getenv("NTH_COUNT");
	unsigned long n = count;
	FILE *f;

	ready = 0;
	f = path ? fopen(path, "w") : NULL;
	if (f) {
		fprintf(f, "%lu\n", n);
		fclose(f);
	}
}

#define PUBLIC __attribute__((visibility("default")))

PUBLIC void *malloc(size_t n)
{
	return fails() ? NULL : __libc_malloc(n);
}

PUBLIC void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

PUBLIC void *realloc(void *p, size_t n)
{
	return fails() ? NULL : __libc_realloc(p, n);
}
