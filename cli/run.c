/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `flowner run`: one loop that starts, watches and ends the three programs and the user's command.
 *
 * STARTING --all ready--> RUNNING --signal, -d, command or file ended--> LINGER --> STOPPING -->
 * end capture is stopped first, then enrich, then sink: each drains what the one before has left.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/exporter.h"
#include "cli/instance.h"
#include "cli/launch.h"
#include "cli/arguments.h"
#include "cli/plan.h"
#include "cli/progress.h"
#include "cli/supervise.h"
#include "config/log.h"
#include "shm/cleanup.h"

#define S_NS             UINT64_C(1000000000)
#define READY_LIMIT_NS   (30 * S_NS) /* a seed over many processes on a busy machine */
#define STOP_LIMIT_NS    (10 * S_NS) /* for each program */
#define CONSUMER_WAIT_NS (3 * S_NS)  /* for a consumer that is just being restarted at the end */
#define LINGER_NS        UINT64_C(200000000)
#define PROGRESS_STEP_NS UINT64_C(200000000)
#define NEVER            UINT64_MAX

enum phase { STARTING, RUNNING, LINGER, STOPPING };

struct run {
	struct plan plan;
	struct launch launch;
	int signal_fd;
	sigset_t mask_before;
	enum phase phase;
	uint64_t now_ns;
	uint64_t started_ns;
	uint64_t phase_end_ns; /* of this phase, NEVER = no bound */
	unsigned stop_program; /* STOPPING: which one's turn it is */
	uint64_t stop_end_ns;  /* when its patience ends, 0 = not asked to stop yet */
	uint64_t consumer_end_ns;
	uint64_t progress_ns; /* next drawing, NEVER = no bar */
	bool once_ready;      /* got to RUNNING */
	bool on_terminal;     /* had a controlling terminal when it started */
	unsigned signals;     /* that asked us to end */
	bool hurry;           /* one more came while stopping: end at once */
	int status;           /* exit status so far */
	int command_status;   /* -1 = none yet */
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * S_NS + (uint64_t)t.tv_nsec;
}

static struct child *child_of(struct run *r, pid_t pid)
{
	for (unsigned i = 0; i < LEDGER_PROGRAMS; i++)
		if (r->plan.child[i].state == CHILD_RUNNING && r->plan.child[i].pid == pid)
			return &r->plan.child[i];
	return NULL;
}

static void enter(struct run *r, enum phase phase, uint64_t limit_ns)
{
	r->phase = phase;
	r->phase_end_ns = limit_ns == NEVER ? NEVER : r->now_ns + limit_ns;
}

static void stop_now(struct run *r)
{
	if (r->phase == STOPPING)
		return;
	enter(r, STOPPING, NEVER);
	r->stop_program = 0;
	r->consumer_end_ns = r->now_ns + CONSUMER_WAIT_NS;
}

/* The last packets are still to be answered. What the kernel has by then capture waits for. */
static void stop_soon(struct run *r)
{
	if (r->phase < LINGER)
		enter(r, LINGER, LINGER_NS);
}

static void fail(struct run *r, int status)
{
	if (!r->status)
		r->status = status;
	for (unsigned i = 0; i < LEDGER_PROGRAMS && !r->once_ready; i++) {
		r->plan.child[i].stopping = true;
		supervise_kill(&r->plan.child[i]); /* nothing to drain, and one message is enough */
	}
	stop_now(r);
}

static void incomplete(struct run *r, const struct child *c, const char *what)
{
	log_warning("%s %s, records may be missing", c->name, what);
	if (!r->status)
		r->status = COMMAND_EXIT_SOFT;
}

static void died(struct run *r, struct child *c, int wait_status)
{
	bool late = c->stopping && !c->killed && wait_status != 0;
	enum supervise_verdict v = supervise_died(c, wait_status, r->now_ns);

	if (late && r->once_ready)
		incomplete(r, c,
			WIFSIGNALED(wait_status) ? "was killed while it was stopping"
						 : "failed while it was stopping");
	switch (v) {
	case SUPERVISE_ENDED:
		return;
	case SUPERVISE_RESTART:
		if (WIFSIGNALED(wait_status))
			log_warning("%s was killed by signal %d, starting it again", c->name,
				WTERMSIG(wait_status));
		else
			log_warning("%s ended with status %d, starting it again", c->name,
				WEXITSTATUS(wait_status));
		return;
	case SUPERVISE_FATAL: /* it has said why itself */
		break;
	case SUPERVISE_GAVE_UP:
		log_error("%s has ended %u times in a row before it was ready, giving up", c->name,
			SUPERVISE_STARTS_MAX);
		break;
	case SUPERVISE_BROKEN:
		log_error("%s %s before the file was read to its end", c->name,
			WIFSIGNALED(wait_status) ? "was killed" : "ended");
		break;
	}
	fail(r, c->exit_status);
}

/* A message of one of the three; of others it says nothing, and keeps nothing. */
static void take_notice(struct run *r, const struct supervise_notice *n)
{
	struct child *c = child_of(r, n->pid);

	if (!c) {
		for (unsigned i = 0; i < n->n_fds; i++)
			close(n->fds[i]);
		return;
	}
	if (n->said & SUPERVISE_READY)
		supervise_is_ready(c);
	if (n->said & SUPERVISE_ATTACHED)
		c->attached = true;
	if (n->said & SUPERVISE_STORE)
		keep_add(&c->keep, n->name, n->fds, n->n_fds);
	if (n->said & SUPERVISE_REMOVE)
		keep_remove(&c->keep, n->name);
}

static void read_notices(struct run *r)
{
	struct supervise_notice n;

	while (supervise_read(r->plan.notify_fd, &n) == 0)
		take_notice(r, &n);
}

static void reap(struct run *r)
{
	siginfo_t dead = {0};
	int wait_status;

	/* What a process has said before its end counts, and it is known by its pid until then. */
	while (waitid(P_ALL, 0, &dead, WEXITED | WNOHANG | WNOWAIT) == 0 && dead.si_pid) {
		pid_t pid = dead.si_pid;
		struct child *c = child_of(r, pid);

		read_notices(r);
		waitpid(pid, &wait_status, 0);
		if (c) {
			died(r, c, wait_status);
		} else if (pid == r->launch.pid) {
			r->launch.pid = 0;
			r->command_status = supervise_exit_status(wait_status);
			stop_soon(r);
		} else {
			exporter_died(&r->plan.exporter, pid, wait_status, r->now_ns);
		}
		dead = (siginfo_t){0};
	}
}

/*
 * Without a command the first signal ends the run in order. With one it is the command's to answer,
 * as under time(1): its end is ours. Who insists gets us to stop before it, then to stop at once.
 */
static void interrupted(struct run *r, const struct signalfd_siginfo *s)
{
	bool from_terminal = s->ssi_code == SI_KERNEL; /* which told the whole process group */

	if (r->launch.pid && r->once_ready && r->signals == 0) {
		if (!from_terminal)
			kill(r->launch.pid, (int)s->ssi_signo);
		r->signals = s->ssi_signo != SIGINT && !from_terminal;
		return;
	}
	if (r->launch.pid && !r->once_ready && !r->status)
		r->status = 128 + (int)s->ssi_signo;
	r->signals++;
	if (r->phase == RUNNING)
		stop_soon(r);
	else if (r->phase == STOPPING)
		r->hurry = true;
	else
		stop_now(r);
}

/* Whether there is a controlling terminal; it is gone when it was hung up. */
static bool has_terminal(void)
{
	_cleanup_close_ int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

	return fd >= 0;
}

/*
 * SIGUSR1, SIGUSR2, and a SIGHUP that somebody has sent, are the programs'. A terminal that goes
 * sends SIGHUP too, or its shell does: then nobody is left to end us. A command gets its SIGHUP
 * itself.
 */
static bool is_for_programs(const struct run *r, const struct signalfd_siginfo *s)
{
	if (s->ssi_signo == SIGUSR1 || s->ssi_signo == SIGUSR2)
		return true;
	return s->ssi_signo == SIGHUP && s->ssi_code != SI_KERNEL && !r->launch.pid &&
	       !(r->on_terminal && !has_terminal());
}

static void read_signals(struct run *r)
{
	struct signalfd_siginfo s;

	while (read(r->signal_fd, &s, sizeof(s)) == sizeof(s)) {
		if (s.ssi_signo == SIGCHLD)
			continue;
		if (!is_for_programs(r, &s)) {
			interrupted(r, &s);
			continue;
		}
		/* Without a configuration to read again files are still opened again. */
		if (s.ssi_signo == SIGHUP && plan_reload(&r->plan))
			s.ssi_signo = SIGUSR1;
		for (unsigned i = 0; i < LEDGER_PROGRAMS; i++)
			supervise_pass_on(&r->plan.child[i], (int)s.ssi_signo);
	}
	reap(r);
}

static void announce(const struct run *r)
{
	const struct arguments *o = r->plan.options;
	const struct config_list *l = &r->plan.config.capture.interfaces;
	char names[256] = "";
	size_t n = o->interfaces.n ? o->interfaces.n : l->n, used = 0;

	for (size_t i = 0; i < n && used < sizeof(names); i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "",
			o->interfaces.n ? o->interfaces.item[i] : l->item[i]);
	if (o->duration_ns)
		log_info("capturing on %s for %.3g s", names, (double)o->duration_ns / 1e9);
	else
		log_info("capturing on %s until Ctrl-C", names);
}

/* All three are up: now the command may run, and time counts. */
static void begin(struct run *r)
{
	const struct arguments *o = r->plan.options;
	int e;

	r->once_ready = true;
	enter(r, RUNNING, o->duration_ns ? o->duration_ns : NEVER);
	if (!r->launch.pid) {
		if (!r->plan.offline)
			announce(r);
		return;
	}
	e = launch_go(&r->launch);
	if (e < 0)
		log_error("cannot run %s: %s", o->command[0], strerror(-e));
}

/* Whether @program's process runs its loop and has what it needs of the others. */
static bool is_up(const struct run *r, unsigned program)
{
	const struct child *c = &r->plan.child[program];

	return c->ready && (c->attached || program == LEDGER_OF_CAPTURE);
}

static bool all_up(const struct run *r)
{
	for (unsigned i = 0; i < LEDGER_PROGRAMS; i++)
		if (!is_up(r, i) && r->plan.child[i].state != CHILD_ENDED)
			return false;
	return true;
}

static void not_ready(struct run *r)
{
	for (unsigned i = 0; i < LEDGER_PROGRAMS; i++)
		if (!is_up(r, i))
			log_error("%s was not ready within %d s", r->plan.child[i].name,
				(int)(READY_LIMIT_NS / S_NS));
	fail(r, COMMAND_EXIT_SOFT);
}

/*
 * enrich looks once at the processes and sockets that are there already, so capture must have
 * opened the tap by then: what comes between would be seen by neither.
 */
static bool must_wait(const struct run *r, unsigned program)
{
	return program == LEDGER_OF_ENRICH && r->phase == STARTING &&
	       !is_up(r, LEDGER_OF_CAPTURE) &&
	       r->plan.child[LEDGER_OF_CAPTURE].state != CHILD_ENDED;
}

static void start_due(struct run *r)
{
	for (unsigned i = r->phase == STOPPING ? r->stop_program : 0; i < LEDGER_PROGRAMS; i++) {
		struct child *c = &r->plan.child[i];
		int e;

		if (c->state != CHILD_DOWN || c->stopping || c->start_at_ns > r->now_ns ||
			must_wait(r, i))
			continue;
		e = supervise_start(c, r->plan.envp, r->now_ns);
		if (e < 0) {
			log_error("cannot start %s: %s", c->name, strerror(-e));
			c->state = CHILD_FAILED;
			fail(r, COMMAND_EXIT_OS);
		}
	}
}

/* A producer ends only when its consumer stands by, else what it leaves behind is lost. */
static bool consumers_up(const struct run *r)
{
	for (unsigned i = r->stop_program + 1; i < LEDGER_PROGRAMS; i++) {
		const struct child *c = &r->plan.child[i];

		if (c->state == CHILD_DOWN || (c->state == CHILD_RUNNING && !is_up(r, i)))
			return false;
	}
	return true;
}

/* True when all have ended. */
static bool stop_step(struct run *r)
{
	for (; r->stop_program < LEDGER_PROGRAMS; r->stop_program++, r->stop_end_ns = 0) {
		struct child *c = &r->plan.child[r->stop_program];

		if (c->state != CHILD_RUNNING) {
			if (c->state == CHILD_DOWN && r->once_ready)
				incomplete(r, c, "was not running at the end");
			c->stopping = true;
			continue;
		}
		if (!r->stop_end_ns) {
			if (r->once_ready && !r->hurry && !consumers_up(r) &&
				r->now_ns < r->consumer_end_ns)
				return false;
			supervise_stop(c);
			r->stop_end_ns = r->now_ns + STOP_LIMIT_NS;
		}
		if ((r->hurry && !c->killed) || r->now_ns >= r->stop_end_ns) {
			incomplete(r, c, "had to be killed");
			supervise_kill(c);
			r->stop_end_ns = r->now_ns + STOP_LIMIT_NS;
		}
		return false;
	}
	return true;
}

/* True when the run is over. */
static bool step(struct run *r)
{
	start_due(r);
	if (r->phase == STARTING && all_up(r))
		begin(r);
	if (r->once_ready)
		exporter_start_due(&r->plan.exporter, r->plan.envp, r->now_ns);
	if (r->plan.offline && r->once_ready &&
		r->plan.child[LEDGER_OF_CAPTURE].state == CHILD_ENDED)
		stop_now(r); /* the file has been read to its end */
	if (r->now_ns >= r->phase_end_ns) {
		if (r->phase == STARTING) {
			not_ready(r);
		} else if (r->phase == RUNNING) { /* -d is over */
			if (r->launch.pid)
				kill(r->launch.pid, SIGTERM);
			stop_soon(r);
		} else if (r->phase == LINGER) {
			stop_now(r);
		}
	}
	return r->phase == STOPPING && stop_step(r);
}

static void draw(struct run *r, bool last)
{
	char line[PROGRESS_MAX + 32];
	struct winsize w = {.ws_col = 80};
	struct instance i;
	const struct ledger_file *l = &i.ledger[LEDGER_OF_CAPTURE];

	if (r->progress_ns == NEVER || (!last && r->now_ns < r->progress_ns))
		return;
	r->progress_ns = r->now_ns + PROGRESS_STEP_NS;
	if (last) {
		fputs("\r\033[K", stderr);
		return;
	}
	if (instance_read(&i, r->plan.runtime.path) < 0 || !l->value[LEDGER_capture_file_bytes])
		return;
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) < 0 || !w.ws_col)
		w.ws_col = 80;
	progress_format(line, sizeof(line), l->value[LEDGER_capture_file_offset],
		l->value[LEDGER_capture_file_bytes], r->now_ns - r->started_ns, w.ws_col,
		command_colour(stderr));
	fputs(line, stderr);
	fflush(stderr);
}

static int timeout_ms(const struct run *r)
{
	uint64_t at = r->phase_end_ns;

	if (r->progress_ns < at)
		at = r->progress_ns;
	if (r->once_ready && exporter_due_ns(&r->plan.exporter) < at)
		at = exporter_due_ns(&r->plan.exporter);
	if (r->phase == STOPPING) {
		if (r->stop_end_ns && r->stop_end_ns < at)
			at = r->stop_end_ns;
		if (!r->stop_end_ns && r->consumer_end_ns < at)
			at = r->consumer_end_ns;
	}
	for (unsigned i = 0; i < LEDGER_PROGRAMS; i++) {
		const struct child *c = &r->plan.child[i];

		if (c->state == CHILD_DOWN && !c->stopping && c->start_at_ns < at &&
			!must_wait(r, i))
			at = c->start_at_ns;
	}
	if (at == NEVER)
		return -1;
	return at <= r->now_ns ? 0 : (int)((at - r->now_ns) / 1000000) + 1;
}

static void loop(struct run *r)
{
	struct pollfd fd[] = {
		{.fd = r->signal_fd, .events = POLLIN}, {.fd = r->plan.notify_fd, .events = POLLIN},
		{.fd = r->plan.to_stdout ? STDOUT_FILENO
					 : -1}, /* for POLLERR: its reader has gone */
	};

	for (;;) {
		r->now_ns = clock_ns(CLOCK_MONOTONIC);
		read_notices(r);
		read_signals(r);
		if (step(r))
			return;
		draw(r, false);
		if (poll(fd, 3, timeout_ms(r)) < 0 && errno != EINTR)
			return;
		if (fd[2].revents & (POLLERR | POLLHUP)) {
			fd[2].fd = -1;
			r->now_ns = clock_ns(CLOCK_MONOTONIC);
			stop_now(r);
		}
	}
}

static int catch_signals(struct run *r)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGUSR1);
	sigaddset(&mask, SIGUSR2);
	sigaddset(&mask, SIGQUIT);
	r->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	sigaddset(&mask, SIGPIPE); /* EPIPE instead, and children start with a clean mask */
	if (r->signal_fd < 0 || sigprocmask(SIG_BLOCK, &mask, &r->mask_before) < 0)
		return -errno;
	return 0;
}

static void report(struct run *r)
{
	char line[256];
	struct instance i;
	int64_t missing;

	draw(r, true);
	if (!r->once_ready || instance_read(&i, r->plan.runtime.path) < 0)
		return;
	if (r->plan.options->stats)
		instance_print(
			&i, "this run", command_colour(stderr), clock_ns(CLOCK_REALTIME), stderr);
	missing = instance_balance(&i).rest;
	if (missing)
		log_warning("%lld packets are neither in a record nor counted as lost",
			(long long)missing);
	instance_summary(&i, line, sizeof(line));
	log_info("%s", line);
}

static int run(struct run *r, const struct arguments *o)
{
	int e = catch_signals(r);

	r->on_terminal = has_terminal();
	if (e == 0 && o->command)
		e = launch_hold(&r->launch, o->command);
	if (e < 0) {
		log_error("%s", strerror(-e));
		return COMMAND_EXIT_OS;
	}
	e = plan_make(&r->plan, o, r->launch.pid);
	if (e)
		return e;
	r->now_ns = r->started_ns = clock_ns(CLOCK_MONOTONIC);
	if (r->plan.offline && isatty(STDERR_FILENO) &&
		!(r->plan.to_stdout && isatty(STDOUT_FILENO)))
		r->progress_ns = r->now_ns;
	enter(r, STARTING, READY_LIMIT_NS);
	loop(r);
	exporter_end(&r->plan.exporter);
	report(r);
	if (r->status)
		return r->status;
	return r->command_status > 0 ? r->command_status : 0;
}

int command_run(int argc, char **argv)
{
	struct run r = {.launch = LAUNCH_NONE,
		.signal_fd = -1,
		.progress_ns = NEVER,
		.command_status = -1,
		.plan = {.notify_fd = -1, .runtime = {.lock_fd = -1}}};
	struct arguments o;
	char why[512] = "out of memory";
	int status = arguments_parse(&o, argc, argv, why, sizeof(why));

	if (status) {
		status = command_usage("run", why);
	} else if (o.help) {
		command_run_help(stdout);
	} else {
		status = run(&r, &o);
		plan_deinit(&r.plan);
		launch_deinit(&r.launch);
	}
	arguments_deinit(&o);
	if (r.signal_fd >= 0)
		close(r.signal_fd);
	return status;
}
