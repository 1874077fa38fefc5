/* SPDX-License-Identifier: Apache-2.0 */
/* A function in a short-lived process of its own. */
#include "capture/apart.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/privileges.h"

struct answer {
	int error;
	bool done;
	_Alignas(max_align_t) char result[];
};

static int confine(const struct apart *a, pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	if (getppid() != parent)
		_exit(1);
	closefrom(STDERR_FILENO + 1);
	return a->uid ? privileges_drop(a->uid, a->gid, 0) : 0;
}

/* Also where SIGCHLD is ignored: then nobody knows how it ended. */
static int wait_for(pid_t pid, int *ret_status)
{
	while (waitpid(pid, ret_status, 0) < 0)
		if (errno == ECHILD)
			break;
		else if (errno != EINTR)
			return -errno;
	return 0;
}

int apart_run(const struct apart *a, void *ret_result, int *ret_status)
{
	size_t size = sizeof(struct answer) + a->size;
	struct answer *answer =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid, parent = getpid();
	int r, status = 0;

	if (answer == MAP_FAILED)
		return -errno;
	pid = fork();
	r = pid < 0 ? -errno : 0;
	if (pid == 0) {
		answer->error = confine(a, parent);
		if (!answer->error)
			a->run(a->arg, answer->result);
		answer->done = true;
		_exit(0);
	}
	if (r == 0)
		r = wait_for(pid, &status);
	if (r == 0 && !answer->done) {
		*ret_status = status;
		r = APART_E_DIED;
	} else if (r == 0) {
		r = answer->error < 0 ? answer->error : 0;
		if (r == 0)
			memcpy(ret_result, answer->result, a->size);
	}
	munmap(answer, size);
	return r;
}
