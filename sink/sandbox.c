/* SPDX-License-Identifier: Apache-2.0 */
/* What flowner-sink may still do once it writes. */
#include "sink/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/daemon.h"
#include "config/outputs.h"

#define STREAM (SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK)

static const struct sandbox_call calls[] = {
	{"io_uring_enter", SINK_URING, .why = "writes and syncs; its ring can do nothing else"},
	{"ppoll", .why = "waits for records, completions, signals and the next batch"},
	{"pwritev2", .why = "heads and feet of files, streams, log lines; all without io_uring"},
	{"recvmsg", .why = "being woken; the hand-over of enrich's ring"},
	{"preadv2", .why = "signals; the configuration; the end of a file it goes on in"},
	{"openat", .why = "the next file of an output; the configuration, on SIGHUP"},
	{"newfstatat", .why = "whether a path still names the open file; sizes"},
	{"close", .why = "files and rings that are done with"},
	{"ftruncate", .why = "cuts what was not written whole"},
	{"fcntl", .arg = {SANDBOX_ARG(1, F_OFD_SETLK)},
		.why = "locks a new file against a second sink"},
	{"fcntl", .arg = {SANDBOX_ARG(1, F_GET_SEALS)}, .why = "checks the ring's memory"},
	{"fcntl", .arg = {SANDBOX_ARG(1, F_GETFL)}, .why = "checks the ring's memory; opendir()"},
	{"fcntl", .arg = {SANDBOX_ARG(1, F_SETFD)}, .why = "opendir()"},
	{"mmap", .arg = {SANDBOX_ARG_WITHOUT(2, PROT_EXEC)}, .why = "memory; enrich's ring"},
	{"munmap", .why = "memory; the ring of an enrich that is gone"},
	{"socket", .arg = {SANDBOX_ARG(0, AF_UNIX), SANDBOX_ARG(1, STREAM)},
		.why = "looks for enrich again"},
	{"connect", .why = "looks for enrich again; it has no other socket to connect"},
	{"getsockopt", .arg = {SANDBOX_ARG(1, SOL_SOCKET), SANDBOX_ARG(2, SO_PEERCRED)},
		.why = "which user has answered"},
	{"getsockopt", .arg = {SANDBOX_ARG(1, SOL_SOCKET), SANDBOX_ARG(2, SO_DOMAIN)},
		.why = "checks the socket that is to wake it"},
	{"getsockopt", .arg = {SANDBOX_ARG(1, SOL_SOCKET), SANDBOX_ARG(2, SO_TYPE)},
		.why = "checks the socket that is to wake it"},
	{"exit_group", .why = "the end"},

	{"clock_gettime", SINK_CLOCK, .why = "the time, where there is no vDSO"},
	{"fsync", SINK_PLAIN | SINK_TIDIES | SINK_ROTATES | SINK_STARTING,
		.why = "syncs without io_uring"},
	{"renameat2", SINK_ROTATES | SINK_TIDIES | SINK_STARTING, .why = "puts a file aside"},
	{"unlinkat", SINK_ROTATES | SINK_TIDIES | SINK_STARTING,
		.why = "a new file that could not be begun; files that are too old"},
	{"getdents64", SINK_TIDIES | SINK_FRAGMENTS | SINK_STARTING,
		.why = "files that were put aside; conf.d"},
	{"lseek", SINK_TIDIES, .why = "rewinddir()"},
	{"fcntl", SINK_TIDIES, .arg = {SANDBOX_ARG(1, F_DUPFD_CLOEXEC)},
		.why = "keeps a folder open"},
	{"seccomp", SINK_STARTING, .why = "takes the calls of the start away"},

	{"brk", .refused = true, .error = 0, .why = "malloc() goes on with mmap()"},
	{"mremap", .refused = true, .error = ENOMEM, .why = "realloc() copies then"},
};

unsigned sink_sandbox_needs(const struct config *c)
{
	unsigned needs = 0;

	for (size_t i = 0; i < c->output.files.n; i++) {
		const struct config_output *o = &c->output.files.item[i];

		if (o->rotate_size || o->rotate_interval_ns)
			needs |= SINK_ROTATES;
		if (o->compress != CONFIG_COMPRESS_NONE || o->keep_files || o->keep_bytes ||
			o->keep_time_ns)
			needs |= SINK_TIDIES;
	}
	return needs;
}

static bool is_open(const struct spool *s, const struct config_output *c)
{
	for (unsigned i = 0; i < s->n; i++)
		if (outputs_same_path(c->path, s->output[i].path))
			return true;
	return false;
}

/* Whether files may be made there: another output has its own there. */
static bool is_granted(const struct spool *s, const struct stat *folder)
{
	struct stat st;

	for (unsigned i = 0; i < s->n; i++) {
		const struct output *o = &s->output[i];

		if (o->target == WRITER_FILE && fstat(o->dir_fd, &st) == 0 &&
			st.st_dev == folder->st_dev && st.st_ino == folder->st_ino)
			return true;
	}
	return false;
}

/* Whether an output that is new can be opened. */
static bool can_open(const struct spool *s, const struct config_output *c, unsigned held)
{
	const struct format *f = format_find(c->format, strlen(c->format));
	const char *slash = strrchr(c->path, '/');
	char folder[PATH_MAX];
	struct stat st;

	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - c->path) + 1 : 1,
		slash ? c->path : ".");
	if (!f || stat(folder, &st) < 0)
		return true; /* opening it says what is wrong */
	if (strcmp(c->path, "-") == 0 || !is_granted(s, &st))
		return false;
	if (stat(c->path, &st) < 0)
		return true;
	/* What has a foot is put aside. */
	return S_ISREG(st.st_mode) && (!st.st_size || !f->foot || held & SINK_ROTATES);
}

bool sink_sandbox_fits(
	const struct sandbox *entered, const struct spool *s, const struct config *next)
{
	unsigned held = entered->conditions & ~entered->starting;

	if (entered->seccomp == CONFIG_SECCOMP_OFF && entered->landlock == CONFIG_LANDLOCK_OFF)
		return true;
	for (size_t i = 0; i < next->output.files.n; i++) {
		const struct config_output *c = &next->output.files.item[i];

		if (!is_open(s, c) && !can_open(s, c, held))
			return false;
	}
	return !(sink_sandbox_needs(next) & ~held);
}

bool sink_sandbox_syncs(const struct sandbox *entered)
{
	return entered->seccomp == CONFIG_SECCOMP_OFF ||
	       entered->conditions & (SINK_PLAIN | SINK_TIDIES | SINK_ROTATES);
}

static bool has_fragments(const char *folder)
{
	char path[PATH_MAX + 8];

	snprintf(path, sizeof(path), "%s/conf.d", folder);
	return access(path, F_OK) == 0;
}

void sink_sandbox(const struct config *c, const struct spool *s, const char *file,
	struct sandbox_path *paths, struct sandbox *ret)
{
	const char *folder = sandbox_config_folder(file);
	unsigned conditions = SINK_STARTING | sink_sandbox_needs(c);
	size_t n = 0;

	for (unsigned i = 0; i < s->n; i++) {
		const struct output *o = &s->output[i];

		/* A pipe or terminal is open and stays open. */
		if (o->target != WRITER_FILE)
			continue;
		conditions |= writer_is_uring(o->writer) ? SINK_URING : SINK_PLAIN;
		paths[n++] = (struct sandbox_path){.fd = o->dir_fd, .write = true};
	}
	paths[n++] = (struct sandbox_path){.path = folder};
	if (has_fragments(folder))
		conditions |= SINK_FRAGMENTS;
	if (!daemon_use_coarse_clock())
		conditions |= SINK_CLOCK;
	*ret = (struct sandbox){.calls = calls,
		.n_calls = sizeof(calls) / sizeof(calls[0]),
		.conditions = conditions,
		.starting = SINK_STARTING,
		.seccomp = c->sandbox.seccomp,
		.landlock = c->sandbox.landlock,
		.paths = paths,
		.n_paths = n};
}
