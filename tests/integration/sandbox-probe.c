/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox-probe PROGRAM FOLDER [table|named]: is as confined as flowner-PROGRAM (the same
 * functions, the same tables), and tries what it must not do.
 *
 * Each act runs in a process of its own, which drops its privileges, enters the sandbox and acts.
 * One line for each: "refused" or "works", the act, how. Acts that must work stand in the list as
 * well: a sandbox that refuses everything proves nothing. Started as root; FOLDER is empty and open
 * to the sink's user. "table" prints what is allowed and why; "named" does something that is not,
 * with sandbox.seccomp=log.
 */
#include "sandbox-probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture/sandbox.h"
#include "config/privileges.h"
#include "enrich/sandbox.h"

#define USER 60850

static const char *const names[] = {"capture", "enrich", "sink"};

/* The world ---------------------------------------------------------------------------------- */

static __attribute__((noreturn)) void die(const char *what, int r)
{
	fprintf(stderr, "sandbox-probe: %s: %s\n", what, strerror(-r));
	exit(2);
}

static void make_output(struct world *w)
{
	static struct format_context ctx;
	struct output_error error;
	struct config_error why;
	char text[300];
	const char *one = text;
	int r, no_uring;

	snprintf(text, sizeof(text), "ecs:%s/out.ndjson", w->folder);
	r = config_set_outputs(&w->config, "probe", &one, 1, &why);
	if (r)
		die("outputs", -EINVAL);
	format_context_init(&ctx, "0", false);
	spool_init(&w->spool);
	r = spool_add(
		&w->spool, &w->config.output.files.item[0], &ctx, true, 65536, &no_uring, &error);
	if (r)
		die("output", r < 0 ? r : -EIO);
}

static void make_world(struct world *w)
{
	struct ring_producer *ring;
	int r = config_init(&w->config);

	if (r == 0)
		r = ring_producer_new(65536, 1, RING_LOSS_PACKET_RING, &ring);
	if (r)
		die("world", r);
	ring_producer_fds(ring, w->ring);
	w->inet = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (w->program == CAPTURE)
		capture_sandbox(&w->config, false, &w->sandbox);
	if (w->program == ENRICH)
		enrich_sandbox(&w->config, NULL, false, &w->sandbox);
	if (w->program == SINK) {
		make_output(w);
		sink_sandbox(
			&w->config, &w->spool, "/nonexistent/flowner.yaml", w->paths, &w->sandbox);
	}
}

static void confine(struct world *w)
{
	struct sandbox_report report;
	int r = privileges_drop(USER, USER, 0);

	if (r == 0)
		r = sandbox_enter(&w->sandbox, &report);
	if (r == 0 && w->program == SINK)
		r = sandbox_narrow(&w->sandbox);
	if (r)
		die("confine", r);
}

static void judge(const struct act *a, int status)
{
	bool killed = WIFSIGNALED(status);
	int e = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
	char how[64];

	if (!killed && e == 99) {
		printf("absent\t%s\tnot here\n", a->name);
		return;
	}
	if (killed)
		snprintf(how, sizeof(how), "signal %d", WTERMSIG(status));
	else
		snprintf(how, sizeof(how), "%s", e ? strerror(e) : "done");
	printf("%s%s\t%s\t%s\n", a->works ? "must " : "", killed || e ? "refused" : "works",
		a->name, how);
}

static void try(struct world *w, const struct act *a)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		make_world(w); /* here: the ring of a sink is for one process alone */
		confine(w);
		_exit(-a->run(w));
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		die("fork", -errno);
	judge(a, status);
}

static void print_table(const struct world *w)
{
	for (size_t i = 0; i < w->sandbox.n_calls; i++) {
		const struct sandbox_call *c = &w->sandbox.calls[i];
		unsigned held = w->sandbox.conditions & ~w->sandbox.starting;

		if (!c->refused && (!c->only || c->only & held))
			printf("%s\t%s\n", c->name, c->why);
	}
}

static int listen_abstract(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	memcpy(at.sun_path + 1, ABSTRACT, strlen(ABSTRACT));
	if (bind(fd, (struct sockaddr *)&at,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(ABSTRACT))) < 0)
		return -errno;
	return listen(fd, 128) < 0 ? -errno : 0;
}

int main(int argc, char **argv)
{
	static struct world w;
	int r;

	if (argc < 3)
		return 64;
	w.folder = argv[2];
	for (unsigned i = 0; i < 3; i++)
		if (strcmp(argv[1], names[i]) == 0)
			w.program = 1u << i;
	r = listen_abstract();
	if (r)
		die("listen", r);
	if (argc > 3 && strcmp(argv[3], "named") == 0) {
		make_world(&w);
		w.sandbox.seccomp = CONFIG_SECCOMP_LOG;
		confine(&w);
		return acts[0].run(&w);
	}
	if (argc > 3) {
		make_world(&w);
		print_table(&w);
		return 0;
	}
	for (size_t i = 0; i < n_acts; i++)
		if (acts[i].programs & w.program)
			try(&w, &acts[i]);
	return 0;
}
