/* SPDX-License-Identifier: Apache-2.0 */
/* What flowner-enrich may still do once it reads packets. */
#include "enrich/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum { KEEP = 1, TCP_INFO = 2, OWN = 4, OTHERS = 8 };

#define WRITING (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND)
#define STREAM  (SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK)

static const struct sandbox_call calls[] = {
	{"ppoll", .why = "waits for packets, the tap, netlink, the sink, signals and timers"},
	{"sendmsg", .why = "wakes the sink; asks netlink; hands over the ring"},
	{"recvmsg", .why = "netlink's answers and events; the hand-over; being woken"},
	{"recvmmsg", TCP_INFO, .why = "closed sockets, many at a time"},
	{"preadv2", .why = "text of /proc, cgroups and the list of users; signals"},
	{"openat", .arg = {SANDBOX_ARG_WITHOUT(2, WRITING)}, .why = "the same, for reading only"},
	{"newfstatat", .why = "whether the list of users or a namespace has changed"},
	{"close", .why = "all that is opened or received"},
	{"clock_gettime", .why = "the time, where the vDSO cannot tell it"},
	{"getdents64", .why = "finds new cgroups; descriptors of a process"},
	{"readlinkat", KEEP | OWN, .why = "the program and the sockets of a process"},
	{"setsockopt", .arg = {SANDBOX_ARG(1, SOL_SOCKET), SANDBOX_ARG(2, SO_ATTACH_FILTER)},
		.why = "hears less of processes once the tap tells of them"},
	{"kill", .arg = {SANDBOX_ARG(1, 0)},
		.why = "whether the process a namespace was found by lives"},
	{"pwritev2", .why = "log lines, readiness"},
	{"mmap", .arg = {SANDBOX_ARG_WITHOUT(2, PROT_EXEC)},
		.why = "memory; capture's ring; the tap's rings"},
	{"munmap", .why = "memory; rings of a capture that is gone"},
	{"accept4", .why = "the sink comes"},
	{"getsockopt", .arg = {SANDBOX_ARG(1, SOL_SOCKET), SANDBOX_ARG(2, SO_PEERCRED)},
		.why = "which user asks for the ring, and who has answered"},
	{"getsockopt", .arg = {SANDBOX_ARG(1, SOL_SOCKET), SANDBOX_ARG(2, SO_DOMAIN)},
		.why = "checks the socket that is to wake it"},
	{"getsockopt", .arg = {SANDBOX_ARG(1, SOL_SOCKET), SANDBOX_ARG(2, SO_TYPE)},
		.why = "checks the socket that is to wake it"},
	{"socket", .arg = {SANDBOX_ARG(0, AF_UNIX), SANDBOX_ARG(1, STREAM)},
		.why = "looks for capture again"},
	{"connect", .why = "looks for capture again; no other socket can be connected anywhere"},
	{"fcntl", .arg = {SANDBOX_ARG(1, F_GET_SEALS)}, .why = "checks the ring's memory"},
	{"fcntl", .arg = {SANDBOX_ARG(1, F_GETFL)}, .why = "checks the ring's memory; opendir()"},
	{"fcntl", .arg = {SANDBOX_ARG(1, F_SETFD)}, .why = "opendir()"},
	{"exit_group", .why = "the end"},

	{"sched_getattr", KEEP, .why = "turns and niceness follow whether there is a tap"},
	{"sched_setattr", KEEP, .why = "the same"},

	{"readlinkat", OTHERS, .refused = true, .error = EACCES,
		.why = "the kernel would say the same of processes of other users"},
	{"brk", .refused = true, .error = 0, .why = "malloc() goes on with mmap()"},
	{"mremap", .refused = true, .error = ENOMEM, .why = "realloc() copies then"},
};

/* What is read while it runs; a file's folder where the file is replaced by a new one. */
static struct sandbox_path paths[] = {
	{.path = "/proc"}, {.path = "/sys/fs/cgroup"}, {.path = "/etc"},
	{.path = NULL}, /* the configuration's */
};

void enrich_sandbox(const struct config *c, const char *file, bool own, struct sandbox *ret)
{
	bool keep = c->enrich.procfs == CONFIG_PROCFS_KEEP, looks = keep || own;

	paths[sizeof(paths) / sizeof(paths[0]) - 1].path = sandbox_config_folder(file);
	*ret = (struct sandbox){.calls = calls,
		.n_calls = sizeof(calls) / sizeof(calls[0]),
		.conditions = (keep         ? KEEP
				      : own ? OWN
					    : OTHERS) |
			      (c->enrich.tcp_info ? TCP_INFO : 0),
		.seccomp = c->sandbox.seccomp,
		.landlock = looks ? CONFIG_LANDLOCK_OFF : c->sandbox.landlock,
		.paths = paths,
		.n_paths = sizeof(paths) / sizeof(paths[0])};
}
