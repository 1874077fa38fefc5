/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A function in a short-lived process of its own: what a library may do to us there, by a crash or
 * worse, ends with it.
 *
 * The process has no descriptor but the standard ones, is another user with no privilege for good
 * (if one is given), and dies with us. It sees what we had in memory. What it answers is to be
 * checked like anything that comes from elsewhere.
 *
 * Threads: one, in the whole process. Blocks: as long as the function. Logs: no.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* Fills the result, which is zeros. */
typedef void (*apart_fn)(void *arg, void *result);

struct apart {
	apart_fn run;
	void *arg;
	size_t size; /* of the result, bytes */
	uid_t uid;   /* 0: as we are, with our privileges */
	gid_t gid;
};

enum { APART_E_DIED = 1 };

/*
 * Calls @a->run with @a->arg; a->size bytes are copied to @ret_result. 0; APART_E_DIED: it did not
 * get to its end, *ret_status is then as of waitpid(2); -errno: there could be no such process, or
 * it could not give up its privileges.
 */
int apart_run(const struct apart *a, void *ret_result, int *ret_status);
