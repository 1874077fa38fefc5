/* SPDX-License-Identifier: Apache-2.0 */
/* What `flowner metrics --serve` may still do once it serves. */
#include "cli/metrics-sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

enum { LISTEN = 1, TEXTFILE = 2 };

#define WRITING (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND)
#define NEW     (O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC)

static const struct sandbox_call calls[] = {
	{"poll", .why = "waits for clients, signals and the next writing"},
	{"restart_syscall", .why = "goes on with that after being stopped"},
	{"openat", .arg = {SANDBOX_ARG_WITHOUT(2, WRITING)}, .why = "ledgers"},
	{"openat", TEXTFILE, .arg = {SANDBOX_ARG(2, NEW)}, .why = "the new text file"},
	{"newfstatat", .why = "whether a ledger is a file, and how large"},
	{"pread64", .why = "ledgers"},
	{"clock_nanosleep", .why = "reads a ledger again that is being written"},
	{"kill", .arg = {SANDBOX_ARG(1, 0)}, .why = "whether a ledger's program lives"},
	{"close", .why = "ledgers, clients, the text file"},
	{"accept4", LISTEN, .why = "a client comes"},
	{"recvfrom", LISTEN, .why = "its request"},
	{"sendto", LISTEN, .why = "the answer"},
	{"shutdown", LISTEN, .why = "the answer's end"},
	{"write", TEXTFILE, .why = "the new text file"},
	{"fchmod", TEXTFILE, .why = "all may read it"},
	{"renameat", TEXTFILE, .why = "it takes the place of the one before"},
	{"unlinkat", TEXTFILE, .why = "one that could not be finished"},
	{"preadv2", .why = "signals"},
	{"pwritev2", .why = "log lines, readiness"},
	{"sendmsg", .why = "readiness, the end"},
	{"clock_gettime", .why = "the time, where the vDSO cannot tell it"},
	{"mmap", .arg = {SANDBOX_ARG_WITHOUT(2, PROT_EXEC)}, .why = "memory"},
	{"munmap", .why = "memory"},
	{"exit_group", .why = "the end"},

	{"brk", .refused = true, .error = 0, .why = "malloc() goes on with mmap()"},
	{"mremap", .refused = true, .error = ENOMEM, .why = "realloc() copies then"},
};

static struct sandbox_path paths[2];

void metrics_sandbox(const struct config *c, const char *dir, int file_dir, struct sandbox *ret)
{
	size_t n = 0;

	paths[n++] = (struct sandbox_path){.path = dir};
	if (file_dir >= 0)
		paths[n++] = (struct sandbox_path){.fd = file_dir, .write = true};
	*ret = (struct sandbox){
		.calls = calls,
		.n_calls = sizeof(calls) / sizeof(calls[0]),
		.conditions = (*c->metrics.listen ? LISTEN : 0) | (file_dir >= 0 ? TEXTFILE : 0),
		.seccomp = c->sandbox.seccomp,
		.landlock = c->sandbox.landlock,
		.paths = paths,
		.n_paths = n,
	};
}
