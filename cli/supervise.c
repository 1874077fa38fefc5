/* SPDX-License-Identifier: Apache-2.0 */
/* The three programs as direct children. */
#include "cli/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "shm/cleanup.h"

int supervise_exit_status(int wait_status)
{
	return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

/* Of sysexits.h: what a second try does not change. 71, and whatever else there is, may pass. */
static bool is_final(int status)
{
	return status == EX_USAGE || status == EX_DATAERR || status == EX_NOINPUT ||
	       status == EX_NOPERM || status == EX_CONFIG;
}

static enum supervise_verdict fail(struct child *c, enum supervise_verdict v, int status)
{
	c->state = CHILD_FAILED;
	c->exit_status = status;
	return v;
}

enum supervise_verdict supervise_died(struct child *c, int wait_status, uint64_t now_ns)
{
	bool exited = WIFEXITED(wait_status);
	int status = exited ? WEXITSTATUS(wait_status) : 0;
	bool ready = c->ready;

	c->pid = 0;
	c->ready = c->attached = false;
	if (c->stopping || (exited && status == 0 && c->ends)) {
		c->state = CHILD_ENDED;
		return SUPERVISE_ENDED;
	}
	/* It gave a reason that a second try does not change, or it has never worked at all. */
	if (exited && !ready && status && (!c->was_ready || is_final(status)))
		return fail(c, SUPERVISE_FATAL, status);
	if (c->ends)
		return fail(c, SUPERVISE_BROKEN, exited ? status : EX_SOFTWARE);
	c->failures = ready ? 0 : c->failures + 1;
	if (c->failures >= SUPERVISE_STARTS_MAX)
		return fail(c, SUPERVISE_GAVE_UP, EX_SOFTWARE);
	if (now_ns - c->started_ns >= SUPERVISE_SHORT_LIFE_NS)
		c->backoff_ns = 0;
	c->start_at_ns = now_ns + c->backoff_ns;
	/* The next early death waits longer; a process that lives long enough clears it above. */
	c->backoff_ns = c->backoff_ns ? c->backoff_ns * 2 : SUPERVISE_BACKOFF_MIN_NS;
	if (c->backoff_ns > SUPERVISE_BACKOFF_MAX_NS)
		c->backoff_ns = SUPERVISE_BACKOFF_MAX_NS;
	c->state = CHILD_DOWN;
	c->restarts++;
	return SUPERVISE_RESTART;
}

static void child_exec(const struct child *c, char *const *envp, pid_t parent)
{
	char **env;
	sigset_t none;
	int null;

	sigemptyset(&none);
	setpgid(0, 0);
	signal(SIGTTOU, SIG_IGN); /* writing to the terminal from the background is its job */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(EX_SOFTWARE);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || (!c->stdin_open && dup2(null, STDIN_FILENO) < 0) ||
		(!c->stdout_open && dup2(null, STDOUT_FILENO) < 0))
		_exit(EX_SOFTWARE);
	if (!c->stdout_open) /* runtime files are for all to read; outputs obey the caller's umask
			      */
		umask(022);
	env = keep_pass(&c->keep, envp);
	if (!env)
		_exit(EX_SOFTWARE);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(c->path, (char *const *)c->argv, env);
	dprintf(STDERR_FILENO, "flowner: cannot run %s: %s\n", c->path, strerror(errno));
	_exit(EX_SOFTWARE);
}

int supervise_start(struct child *c, char *const *envp, uint64_t now_ns)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0)
		child_exec(c, envp, parent);
	c->pid = pid;
	c->state = CHILD_RUNNING;
	c->ready = c->attached = false;
	c->held = 0; /* it reads everything anew */
	c->started_ns = now_ns;
	return 0;
}

void supervise_stop(struct child *c)
{
	c->stopping = true;
	if (c->state != CHILD_RUNNING)
		return;
	/* In this order: after SIGTERM it may be a debugger's or leak checker's tracee on its way
	 * out. */
	kill(c->pid, SIGCONT);
	kill(c->pid, SIGTERM);
}

void supervise_kill(struct child *c)
{
	if (c->state != CHILD_RUNNING)
		return;
	c->killed = true;
	kill(c->pid, SIGKILL);
}

void supervise_pass_on(struct child *c, int sig)
{
	if (c->state != CHILD_RUNNING)
		return;
	if (c->ready)
		kill(c->pid, sig);
	else
		c->held |= UINT32_C(1) << sig;
}

void supervise_is_ready(struct child *c)
{
	c->ready = c->was_ready = true;
	for (int sig = 1; c->held; sig++, c->held >>= 1)
		if (c->held >> 1 & 1)
			kill(c->pid, sig);
}

/* @dir/@name, if that can be executed. */
static bool try_dir(const char *dir, size_t dir_len, const char *name, char *ret, size_t size)
{
	int n = snprintf(ret, size, "%.*s/%s", (int)dir_len, dir, name);

	return n > 0 && (size_t)n < size && access(ret, X_OK) == 0;
}

int supervise_find(const char *name, const char *sbindir, char *ret, size_t size)
{
	char self[4096], beside[4096 + 16];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *slash, *path = getenv("PATH");

	if (n < 0) /* no /proc: the name we were executed by */
		n = snprintf(self, sizeof(self), "%s", (const char *)getauxval(AT_EXECFN));
	self[n < (ssize_t)sizeof(self) ? n : (ssize_t)sizeof(self) - 1] = 0;
	slash = strrchr(self, '/');
	if (slash && try_dir(self, (size_t)(slash - self), name, ret, size))
		return 0;
	/* Installed, wherever that is. */
	n = slash ? snprintf(beside, sizeof(beside), "%.*s/../sbin", (int)(slash - self), self) : 0;
	if (n && try_dir(beside, (size_t)n, name, ret, size))
		return 0;
	if (try_dir(sbindir, strlen(sbindir), name, ret, size))
		return 0;
	while (path && *path) {
		size_t len = strcspn(path, ":");

		if (len && try_dir(path, len, name, ret, size))
			return 0;
		path += len + (path[len] == ':');
	}
	return -ENOENT;
}

int supervise_listen(const char *path, int *ret_fd)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = -1;
	int on = 1;

	if (strlen(path) >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* Who sent it is the kernel's word, so that a program cannot speak for another. */
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Whether one of the message's lines is @word. */
static bool says(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, word, len) && (line[len] == 0 || line[len] == '\n'))
			return true;
	}
	return false;
}

/* The value of the message's line @key, with its "=", into @ret; "" = there is none. */
static void value_of(const char *text, const char *key, char *ret, size_t size)
{
	const char *line = text;

	ret[0] = '\0';
	while (line && strncmp(line, key, strlen(key)) != 0) {
		line = strchr(line, '\n');
		line += line ? 1 : 0;
	}
	if (line)
		snprintf(ret, size, "%.*s", (int)strcspn(line + strlen(key), "\n"),
			line + strlen(key));
}

/* Whether @name can go into $LISTEN_FDNAMES. */
static bool is_name(const char *name)
{
	return name[0] && !name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.")];
}

static void take_control(struct msghdr *m, struct supervise_notice *n)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_CREDENTIALS) {
			struct ucred cred;

			memcpy(&cred, CMSG_DATA(c), sizeof(cred));
			n->pid = cred.pid;
		} else if (c->cmsg_type == SCM_RIGHTS) {
			for (size_t at = CMSG_LEN(0);
				at + sizeof(int) <= c->cmsg_len && n->n_fds < SUPERVISE_FDS_MAX;
				at += sizeof(int))
				memcpy(&n->fds[n->n_fds++], (const char *)c + at, sizeof(int));
		}
	}
}

int supervise_read(int fd, struct supervise_notice *ret)
{
	char text[1024];
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(struct ucred)) +
			   CMSG_SPACE(sizeof(int) * SUPERVISE_FDS_MAX)];
	} control;
	struct iovec iov = {.iov_base = text, .iov_len = sizeof(text) - 1};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	text[n] = 0;
	*ret = (struct supervise_notice){0};
	take_control(&m, ret);
	value_of(text, "FDNAME=", ret->name, sizeof(ret->name));
	ret->said = (says(text, "READY=1") ? SUPERVISE_READY : 0) |
		    (says(text, "STATUS=attached") ? SUPERVISE_ATTACHED : 0);
	if (is_name(ret->name))
		ret->said |= (says(text, "FDSTORE=1") ? SUPERVISE_STORE : 0) |
			     (says(text, "FDSTOREREMOVE=1") ? SUPERVISE_REMOVE : 0);
	if (!ret->pid)
		ret->said = 0;
	if (!(ret->said & SUPERVISE_STORE)) { /* nothing we asked for: do not pile up */
		while (ret->n_fds)
			close(ret->fds[--ret->n_fds]);
	}
	return 0;
}
