/* SPDX-License-Identifier: Apache-2.0 */
/* A function in a process of its own: what comes back, how it may end, and what it has left. */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture/apart.h"

#define OTHER 60805u

struct seen {
	pid_t pid, parent;
	bool own, standard;
	int death_signal, no_new_privs;
	uid_t uid;
	gid_t gid;
	int back; /* setresuid() to root */
};

static void look(void *arg, void *result)
{
	struct seen *s = result;

	s->pid = getpid();
	s->parent = getppid();
	s->own = fcntl(*(int *)arg, F_GETFD) >= 0;
	s->standard = fcntl(STDERR_FILENO, F_GETFD) >= 0;
	prctl(PR_GET_PDEATHSIG, &s->death_signal);
	s->no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	s->uid = geteuid();
	s->gid = getegid();
	s->back = setresuid(0, 0, 0);
	*(int *)arg = -2; /* nobody sees that */
}

static void end(void *arg, void *result)
{
	const int how = *(int *)arg;

	*(int *)result = how;
	if (how >= 0)
		_exit(how);
	signal(-how, SIG_DFL); /* not a sanitizer's */
	raise(-how);
}

static void check_answer(uid_t uid, const char *name)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), status = -1;
	const int before = fd;
	struct seen seen = {.own = true};
	const struct apart a = {look, &fd, sizeof(seen), uid, uid};

	tap_is_int(apart_run(&a, &seen, &status), 0, "%s: it answers", name);
	tap_ok(seen.pid != getpid() && seen.parent == getpid(), "%s: as a child", name);
	tap_ok(fd == before && fcntl(fd, F_GETFD) >= 0, "%s: what it does to memory is its own",
		name);
	tap_ok(!seen.own && seen.standard, "%s: no descriptor but the standard ones", name);
	tap_is_int(seen.death_signal, SIGKILL, "%s: it dies with us", name);
	tap_ok(kill(seen.pid, 0) < 0 && errno == ESRCH, "%s: it is gone", name);
	if (uid) {
		tap_ok(seen.uid == uid && seen.gid == uid, "%s: it is that user", name);
		tap_ok(seen.back < 0 && seen.no_new_privs == 1, "%s: for good", name);
	} else {
		tap_is_int(seen.uid, geteuid(), "%s: as we are", name);
	}
	close(fd);
}

static void check_end(int how, const char *name)
{
	int arg = how, result = 7, status = 0;
	const struct apart a = {.run = end, .arg = &arg, .size = sizeof(result)};

	tap_is_int(apart_run(&a, &result, &status), APART_E_DIED, "%s: it died", name);
	if (how < 0)
		tap_ok(WIFSIGNALED(status) && WTERMSIG(status) == -how, "%s: of that", name);
	else
		tap_ok(WIFEXITED(status) && WEXITSTATUS(status) == how, "%s: of that", name);
	tap_is_int(result, 7, "%s: what it had begun to say does not count", name);
}

static void check_ignored(void)
{
	int fd = 0, status = 0, how = 3, result;
	struct seen seen;
	const struct apart good = {.run = look, .arg = &fd, .size = sizeof(seen)};
	const struct apart bad = {.run = end, .arg = &how, .size = sizeof(result)};

	signal(SIGCHLD, SIG_IGN);
	tap_is_int(apart_run(&good, &seen, &status), 0, "SIGCHLD ignored: it answers");
	tap_is_int(apart_run(&bad, &result, &status), APART_E_DIED, "SIGCHLD ignored: it died");
	signal(SIGCHLD, SIG_DFL);
}

static void check_large(void)
{
	const struct apart a = {.run = look, .size = (size_t)-1 / 2};
	int status;

	tap_is_int(apart_run(&a, NULL, &status), -ENOMEM, "a result there is no room for");
}

int main(void)
{
	check_answer(0, "same user");
	if (geteuid() == 0)
		check_answer(OTHER, "another user");
	else
		tap_skip("another user", "needs root");
	check_end(-SIGSEGV, "SIGSEGV");
	check_end(-SIGKILL, "SIGKILL");
	check_end(0, "exit 0");
	check_end(2, "exit 2");
	check_ignored();
	check_large();
	return tap_done();
}
