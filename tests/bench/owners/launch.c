/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts a program over and over and tells what each process was.
 *
 *	owners-launch [-q] [-n] [-l PATH] N PARALLEL PROGRAM [ARG]...
 *
 * In every ARG "{pid}" becomes the new process's pid and "{i}" its number. -q: the program's output
 * goes nowhere; -n: do not look at /proc (it is another pid namespace's); -l: each process gets a
 * hard link of its own to PROGRAM, PATH.{i}, and is started by that name.
 *
 * A line on standard output for each process, in one write: "proc PID START-TICKS STATUS T0 T1
 *NUMBER".
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/owners/report.h"

#define PARALLEL_MAX 256
#define ARGS_MAX     64

static struct child {
	pid_t pid; /* 0 = free */
	unsigned number;
	uint64_t t0;
} children[PARALLEL_MAX];

static bool quiet, no_proc;
static const char *link_path;

/* @text with its placeholders filled in. */
static char *expand(const char *text, unsigned number)
{
	static char area[16384];
	static size_t used;
	char *out = area + used;
	size_t n = 0, room = sizeof(area) - used;

	while (*text && n + 16 < room) {
		if (!strncmp(text, "{pid}", 5)) {
			n += (size_t)snprintf(out + n, room - n, "%d", getpid());
			text += 5;
		} else if (!strncmp(text, "{i}", 3)) {
			n += (size_t)snprintf(out + n, room - n, "%u", number);
			text += 3;
		} else {
			out[n++] = *text++;
		}
	}
	out[n++] = 0;
	used += n;
	return out;
}

static void become(char **argv, unsigned number)
{
	char *args[ARGS_MAX + 1], path[256];
	const char *program = argv[0];
	size_t n = 0;
	int fd;

	for (; argv[n] && n < ARGS_MAX; n++)
		args[n] = expand(argv[n], number);
	args[n] = NULL;
	if (link_path) {
		snprintf(path, sizeof(path), "%s.%u", link_path, number);
		program = path;
	}
	if (quiet) {
		fd = open("/dev/null", O_WRONLY);
		dup2(fd, 1);
		dup2(fd, 2);
		close(fd);
	}
	execv(program, args);
	report_die(program);
}

static unsigned long long start_ticks(pid_t pid)
{
	unsigned long long ticks = 0;
	char path[32], buf[1024], *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	buf[n > 0 ? n : 0] = 0;
	p = strrchr(buf, ')');
	if (p)
		sscanf(p + 2,
			"%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
			"%*d %llu",
			&ticks);
	return ticks;
}

static void start(char **argv, unsigned number)
{
	char path[256];
	struct child *c = children;

	while (c->pid)
		c++;
	if (link_path) {
		snprintf(path, sizeof(path), "%s.%u", link_path, number);
		if (link(argv[0], path) < 0 && errno != EEXIST)
			report_die(path);
	}
	c->number = number;
	c->t0 = report_now_ns();
	c->pid = fork();
	if (c->pid < 0)
		report_die("fork");
	if (c->pid == 0)
		become(argv, number);
}

static void reap(void)
{
	unsigned long long ticks;
	siginfo_t info = {0};
	char line[160], path[256];
	struct child *c = children;
	int status, n;

	if (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) < 0)
		report_die("waitid");
	ticks = no_proc ? 0 : start_ticks(info.si_pid);
	if (waitpid(info.si_pid, &status, 0) < 0)
		report_die("waitpid");
	while (c < children + PARALLEL_MAX && c->pid != info.si_pid)
		c++;
	if (c == children + PARALLEL_MAX)
		return;
	if (link_path) {
		snprintf(path, sizeof(path), "%s.%u", link_path, c->number);
		(void)unlink(path);
	}
	n = snprintf(line, sizeof(line), "proc %d %llu %d %llu %llu %u\n", info.si_pid, ticks,
		status, (unsigned long long)c->t0, (unsigned long long)report_now_ns(), c->number);
	if (write(1, line, (size_t)n) != n)
		report_die("report");
	c->pid = 0;
}

int main(int argc, char **argv)
{
	unsigned n, parallel, running = 0;
	int opt;

	while ((opt = getopt(argc, argv, "+qnl:")) != -1) {
		quiet = quiet || opt == 'q';
		no_proc = no_proc || opt == 'n';
		if (opt == 'l')
			link_path = optarg;
		if (opt == '?')
			return 64;
	}
	if (argc - optind < 3)
		return 64;
	n = (unsigned)atoi(argv[optind]);
	parallel = (unsigned)atoi(argv[optind + 1]);
	if (parallel < 1 || parallel > PARALLEL_MAX)
		return 64;
	for (unsigned i = 0; i < n || running;) {
		if (i < n && running < parallel) {
			start(argv + optind + 2, i++);
			running++;
		} else {
			reap();
			running--;
		}
	}
	return 0;
}
