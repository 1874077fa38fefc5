/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scope-bound ownership: _cleanup_ attributes and the take_*() helpers that end them.
 *
 * Threads: any. Blocks: no. Logs: no. Usage:
 *
 *	_cleanup_close_ int fd = open(...);
 *	...
 *	*ret_fd = take_fd(&fd);
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_fclose(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define _cleanup_close_  _cleanup_(cleanup_close)
#define _cleanup_free_   _cleanup_(cleanup_free)
#define _cleanup_fclose_ _cleanup_(cleanup_fclose)

/* Hand ownership of *fd to the caller of the enclosing function; *fd becomes -1. */
static inline int take_fd(int *fd)
{
	int r = *fd;

	*fd = -1;
	return r;
}

/* The same for any pointer variable; it becomes NULL. */
#define take_ptr(p)                                                                                \
	({                                                                                         \
		__typeof__(p) _taken = (p);                                                        \
		(p) = NULL;                                                                        \
		_taken;                                                                            \
	})

/* Define `void cleanup_NAME(TYPE **p)` that calls FREE on a non-NULL pointer. */
#define DEFINE_CLEANUP(name, type, freefn)                                                         \
	static inline void cleanup_##name(type **p)                                                \
	{                                                                                          \
		if (*p)                                                                            \
			freefn(*p);                                                                \
	}
