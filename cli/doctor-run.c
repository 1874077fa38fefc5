/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a program for `flowner doctor` and hands out its lines. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "cli/supervise.h"
#include "shm/cleanup.h"

static void child(const char *const *argv, bool quiet, int out)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* It ends with us, and tells nobody that it is ready. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	unsetenv("NOTIFY_SOCKET");
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
		(quiet && dup2(null, STDERR_FILENO) < 0))
		_exit(126);
	execvp(argv[0], (char *const *)argv);
	_exit(127);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Splits what comes into lines; what is longer than a finding is cut. */
static int read_lines(int fd, doctor_line_fn line, void *arg)
{
	int64_t end = now_ms() + DOCTOR_PATIENCE_MS;
	char text[FINDING_LINE_MAX], bytes[4096];
	size_t len = 0;

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int64_t left = end - now_ms();
		ssize_t n;

		if (left <= 0)
			return -ETIME;
		if (poll(&p, 1, (int)left) < 0 && errno != EINTR)
			return -errno;
		if (!p.revents)
			continue;
		n = read(fd, bytes, sizeof(bytes));
		if (n < 0 && errno != EINTR)
			return -errno;
		for (ssize_t i = 0; i < n; i++) {
			if (bytes[i] != '\n' && len < sizeof(text) - 1)
				text[len++] = bytes[i];
			if (bytes[i] != '\n')
				continue;
			text[len] = '\0';
			line(arg, text);
			len = 0;
		}
		if (n == 0)
			return 0;
	}
}

int doctor_run(const char *const *argv, bool quiet, doctor_line_fn line, void *arg)
{
	_cleanup_close_ int in = -1, out = -1;
	int fds[2], status, r;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	in = fds[0];
	out = fds[1];
	pid = fork();
	if (pid == 0)
		child(argv, quiet, out);
	if (pid < 0)
		return -errno;
	close(take_fd(&out));
	r = read_lines(in, line, arg);
	if (r < 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return r < 0 ? r : supervise_exit_status(status);
}
