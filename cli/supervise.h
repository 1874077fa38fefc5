/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three programs as direct children: started, told apart by their readiness messages, restarted
 * when they die, ended.
 *
 * supervise_died() is the whole policy and makes no system call. The rest are thin wrappers.
 *
 * Threads: one. Blocks: no. Logs: no. Errors: 0, -errno.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/keep.h"

#define SUPERVISE_ARGS_MAX       288
#define SUPERVISE_BACKOFF_MIN_NS UINT64_C(100000000)
#define SUPERVISE_BACKOFF_MAX_NS UINT64_C(1000000000)
#define SUPERVISE_SHORT_LIFE_NS  UINT64_C(1000000000) /* dying younger than this backs off */
#define SUPERVISE_STARTS_MAX     20u                  /* starts in a row that never got ready */

enum child_state {
	CHILD_DOWN,    /* not started, or waiting for its restart at start_at_ns */
	CHILD_RUNNING, /* has a pid */
	CHILD_ENDED,   /* exited as asked to */
	CHILD_FAILED,  /* will not be started again */
};

struct child {
	const char *name; /* "flowner-capture" */
	char path[4096];
	const char *argv[SUPERVISE_ARGS_MAX];
	size_t argc;
	bool ends; /* exit status 0 is its proper end (it reads a file), else it is to run on */
	bool stdin_open; /* keeps our standard input (reads it) */
	bool stdout_open;

	enum child_state state;
	pid_t pid;
	bool ready;     /* this process has said READY=1 */
	bool attached;  /* and STATUS=attached: it has its producer's ring */
	bool was_ready; /* some process of this program has */
	bool stopping;  /* was sent SIGTERM by us */
	bool killed;    /* did not end in time and was sent SIGKILL by us */
	uint32_t held;  /* signals to pass on when it is ready, as 1 << number */
	uint64_t started_ns;
	uint64_t start_at_ns;
	uint64_t backoff_ns; /* 0 = restart at once */
	unsigned failures;   /* starts in a row that never got ready */
	unsigned restarts;
	int exit_status;  /* for the shell, when FAILED */
	struct keep keep; /* for its next process */
};

enum supervise_verdict {
	SUPERVISE_ENDED,   /* as asked */
	SUPERVISE_RESTART, /* to be started at start_at_ns */
	SUPERVISE_FATAL,   /* it said why; exit_status is set */
	SUPERVISE_GAVE_UP, /* it never gets ready; exit_status is set */
	SUPERVISE_BROKEN, /* killed, and starting it again would give wrong data; exit_status is set
			   */
};

/* What becomes of @c, whose process ended at @now_ns with @wait_status. */
enum supervise_verdict supervise_died(struct child *c, int wait_status, uint64_t now_ns);

/*
 * Starts @c with the environment @envp. In its own process group (a terminal's Ctrl-C reaches only
 * us), standard input /dev/null, SIGTERM when we die.
 */
int supervise_start(struct child *c, char *const *envp, uint64_t now_ns);
/* SIGCONT in case it was stopped, and SIGTERM. */
void supervise_stop(struct child *c);
void supervise_kill(struct child *c);
/* Passes @sig on, once the process is ready: before that it would be its end. */
void supervise_pass_on(struct child *c, int sig);
/* It has said READY=1. */
void supervise_is_ready(struct child *c);

/* A wait status as a shell shows it: the exit status, or 128 + signal. */
int supervise_exit_status(int wait_status);

/*
 * Finds program @name: beside our own executable, in ../sbin from there, in @sbindir, in $PATH.
 * -ENOENT: nowhere; -ENAMETOOLONG.
 */
int supervise_find(const char *name, const char *sbindir, char *ret, size_t size);

/* The socket for readiness messages, at @path. */
int supervise_listen(const char *path, int *ret_fd);

/* What one message says, as bits. */
enum {
	SUPERVISE_READY = 1,    /* READY=1 */
	SUPERVISE_ATTACHED = 2, /* STATUS=attached */
	SUPERVISE_STORE = 4,    /* FDSTORE=1: keep these descriptors */
	SUPERVISE_REMOVE = 8,   /* FDSTOREREMOVE=1: close those of that name */
};

#define SUPERVISE_FDS_MAX 8u

struct supervise_notice {
	unsigned said;
	pid_t pid;                /* of its sender */
	char name[KEEP_NAME_MAX]; /* FDNAME= */
	int fds[SUPERVISE_FDS_MAX];
	unsigned n_fds; /* only with SUPERVISE_STORE; the caller's to close or keep */
};

/* Reads one message. 0; 0 with said = 0: another message; -EAGAIN: none. */
int supervise_read(int fd, struct supervise_notice *ret);
