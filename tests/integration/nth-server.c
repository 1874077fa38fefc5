/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into a program, makes it a server of itself: for each line on the socket $NTH_SERVER
 * one life of it, forked in front of main(), in which one allocation or system call fails.
 *
 * A line is "NUMBER KIND CALL N LASTING RESULT", all in digits (struct nth_plan). NUMBER takes the
 * place of each "@@@@@@" among the arguments. Answers are "pid PID" and "end STATUS", of
 * waitpid(2).
 */
#include "nth-server.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))
#define OPEN   "@@@@@@"

/* Where nothing else is there to count into yet. */
static struct nth_shared before;
struct nth_shared *nth_shared = &before;
struct nth_plan nth_plan;
static bool counting;
static bool apart; /* a child of the life: it fails as well, but only the life itself may leak */

bool nth_fails(enum nth_kind kind, uint64_t *counter)
{
	uint64_t n = ++*counter;

	if (nth_plan.kind != kind || n < nth_plan.n || (n > nth_plan.n && !nth_plan.lasting) ||
		__atomic_load_n(&nth_shared->cured, __ATOMIC_RELAXED))
		return false;
	nth_shared->fired++;
	return true;
}

/* Allocations -------------------------------------------------------------------------------- */

/* A sanitizer's, if there is one. */
extern void *__interceptor_malloc(size_t n) __attribute__((weak));
extern void *__interceptor_calloc(size_t n, size_t size) __attribute__((weak));
extern void *__interceptor_realloc(void *p, size_t n) __attribute__((weak));
extern void *__interceptor_memalign(size_t align, size_t n) __attribute__((weak));
extern void __interceptor_free(void *p) __attribute__((weak));
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t align, size_t n);
extern void __libc_free(void *p);

static bool no_memory(void)
{
	if (!counting || !nth_fails(NTH_MALLOC, &nth_shared->mallocs))
		return false;
	errno = ENOMEM;
	return true;
}

static void *counted(void *p)
{
	nth_shared->live += p != NULL && !apart;
	return p;
}

PUBLIC void *malloc(size_t n)
{
	if (no_memory())
		return NULL;
	return counted(__interceptor_malloc ? __interceptor_malloc(n) : __libc_malloc(n));
}

PUBLIC void *calloc(size_t n, size_t size)
{
	if (no_memory())
		return NULL;
	return counted(
		__interceptor_calloc ? __interceptor_calloc(n, size) : __libc_calloc(n, size));
}

PUBLIC void *realloc(void *p, size_t n)
{
	void *moved;

	if (no_memory())
		return NULL;
	moved = __interceptor_realloc ? __interceptor_realloc(p, n) : __libc_realloc(p, n);
	if (!p)
		counted(moved);
	return moved;
}

static void *aligned(size_t align, size_t n)
{
	if (no_memory())
		return NULL;
	return counted(__interceptor_memalign ? __interceptor_memalign(align, n)
					      : __libc_memalign(align, n));
}

PUBLIC void *memalign(size_t align, size_t n)
{
	return aligned(align, n);
}

PUBLIC void *aligned_alloc(size_t align, size_t n)
{
	return aligned(align, n);
}

PUBLIC int posix_memalign(void **ret, size_t align, size_t n)
{
	void *p = aligned(align, n);

	if (!p)
		return ENOMEM;
	*ret = p;
	return 0;
}

PUBLIC void free(void *p)
{
	nth_shared->live -= p != NULL && !apart;
	if (__interceptor_free)
		__interceptor_free(p);
	else
		__libc_free(p);
}

/* Threads ------------------------------------------------------------------------------------ */

/* A new task's call cannot be made by a handler; it ends the looking. */
PUBLIC int pthread_create(
	pthread_t *ret, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
	int (*own)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	int r;

	own = (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))dlsym(
		RTLD_NEXT, "pthread_create");
	r = own(ret, attr, run, arg);
	if (counting && nth_watch_calls() < 0)
		_exit(97);
	return r;
}

/* The server --------------------------------------------------------------------------------- */

static void name(int argc, char **argv, unsigned number)
{
	char digits[8];

	snprintf(digits, sizeof(digits), "%06u", number % 1000000);
	for (int i = 0; i < argc; i++)
		for (char *at = argv[i]; (at = strstr(at, OPEN));)
			memcpy(at, digits, strlen(OPEN));
}

static bool next(int fd, struct nth_plan *p, unsigned *ret_number)
{
	char line[256] = "";
	unsigned kind, lasting;
	ssize_t n;

	do {
		n = read(fd, line, sizeof(line) - 1);
	} while (n < 0 && errno == EINTR);
	if (n <= 0 || sscanf(line, "%u %u %lu %lu %u %ld", ret_number, &kind, &p->nr, &p->n,
			      &lasting, &p->result) != 6)
		return false;
	p->kind = (enum nth_kind)kind;
	p->lasting = lasting;
	return true;
}

static void answer(int fd, const char *word, int value)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "%s %d\n", word, value);

	if (write(fd, line, (size_t)n) != n)
		_exit(1);
}

/* Where it crashes, for addr2line. */
static void on_crash(int sig)
{
	void *frames[24];

	counting = false;
	backtrace_symbols_fd(frames, backtrace(frames, 24), STDERR_FILENO);
	signal(sig, SIG_DFL);
	raise(sig);
}

static void be_apart(void)
{
	apart = true;
}

static void live_on(int fd)
{
	void *some[1];

	if (pthread_atfork(NULL, NULL, be_apart))
		_exit(96);
	if (!__interceptor_malloc && backtrace(some, 1)) {
		signal(SIGSEGV, on_crash);
		signal(SIGABRT, on_crash);
	}
	close(fd);
	nth_shared->live = 0;
	counting = true;
	if (nth_watch_calls() < 0)
		_exit(99);
}

__attribute__((constructor)) static void serve(int argc, char **argv)
{
	const char *socket = getenv("NTH_SERVER"), *path = getenv("NTH_SHARED");
	unsigned number;
	int fd, file, status;
	pid_t pid;

	if (!socket || !path)
		return;
	fd = atoi(socket);
	file = open(path, O_RDWR | O_CLOEXEC);
	nth_shared = mmap(NULL, sizeof(*nth_shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (file < 0 || nth_shared == MAP_FAILED)
		_exit(98);
	close(file);
	unsetenv("NTH_SERVER");
	unsetenv("LD_PRELOAD");
	while (next(fd, &nth_plan, &number)) {
		pid = fork();
		if (pid == 0) {
			name(argc, argv, number);
			live_on(fd);
			return;
		}
		answer(fd, "pid", pid);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		answer(fd, "end", status);
	}
	_exit(0);
}
