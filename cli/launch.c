/* SPDX-License-Identifier: Apache-2.0 */
/* The user's command, held at a pipe until everything is ready. */
#include "cli/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "shm/cleanup.h"

static void held_child(int go, int fail, char *const *argv)
{
	sigset_t none;
	char byte;
	int e;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (read(go, &byte, 1) != 1)
		_exit(0);
	execvp(argv[0], argv);
	e = errno;
	(void)!write(fail, &e, sizeof(e));
	_exit(e == ENOENT ? 127 : 126);
}

int launch_hold(struct launch *l, char *const *argv)
{
	int go[2], fail[2];
	pid_t pid;

	if (pipe2(go, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(fail, O_CLOEXEC) < 0) {
		close(go[0]);
		close(go[1]);
		return -errno;
	}
	pid = fork();
	if (pid == 0) {
		close(go[1]);
		held_child(go[0], fail[1], argv);
	}
	close(go[0]);
	close(fail[1]);
	*l = (struct launch){.pid = pid, .go_fd = go[1], .fail_fd = fail[0]};
	if (pid < 0) {
		int r = -errno;

		launch_deinit(l);
		return r;
	}
	return 0;
}

int launch_go(struct launch *l)
{
	_cleanup_close_ int go = take_fd(&l->go_fd), fail = take_fd(&l->fail_fd);
	ssize_t n;
	int e;

	if (write(go, "", 1) != 1)
		return -errno;
	do { /* end of file: the exec closed it */
		n = read(fail, &e, sizeof(e));
	} while (n < 0 && errno == EINTR);
	return n == sizeof(e) ? -e : 0;
}

void launch_deinit(struct launch *l)
{
	if (l->go_fd >= 0)
		close(l->go_fd);
	if (l->fail_fd >= 0)
		close(l->fail_fd);
	*l = LAUNCH_NONE;
}
