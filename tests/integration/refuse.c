/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a command to which the kernel refuses a system call, as other kernels and containers do.
 *
 *	refuse RULE... -- COMMAND...	RULE is SYSCALL[:N=VALUE...]=ERRNO
 *
 * N=VALUE: only when the call's argument N (from 0, its lower 32 bits) is VALUE.
 *	refuse perf_event_open=EACCES -- flowner run
 *	refuse socket:0=16:2=4=EPROTONOSUPPORT -- flowner run
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define INSNS_MAX 128u

struct name {
	const char *name;
	unsigned number;
};

static const struct name calls[] = {
	{"adjtimex", SYS_adjtimex},
	{"bind", SYS_bind},
	{"clock_adjtime", SYS_clock_adjtime},
	{"fsopen", SYS_fsopen},
	{"io_uring_setup", SYS_io_uring_setup},
	{"landlock_create_ruleset", SYS_landlock_create_ruleset},
	{"memfd_create", SYS_memfd_create},
	{"perf_event_open", SYS_perf_event_open},
	{"pidfd_open", SYS_pidfd_open},
	{"readlinkat", SYS_readlinkat},
	{"sched_setattr", SYS_sched_setattr},
	{"seccomp", SYS_seccomp},
	{"setsockopt", SYS_setsockopt},
	{"socket", SYS_socket},
	{NULL, 0},
};

static const struct name errors[] = {
	{"EACCES", EACCES},
	{"EINVAL", EINVAL},
	{"ENOSYS", ENOSYS},
	{"EPERM", EPERM},
	{"EPROTONOSUPPORT", EPROTONOSUPPORT},
	{NULL, 0},
};

static struct sock_filter insn[INSNS_MAX];
static unsigned short n_insns;

static void die(const char *what)
{
	fprintf(stderr, "refuse: %s\n", what);
	exit(64);
}

static unsigned find(const struct name *list, const char *name, size_t len)
{
	for (; list->name; list++)
		if (strlen(list->name) == len && !strncmp(list->name, name, len))
			return list->number;
	die(name);
	return 0;
}

static void add(uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	if (n_insns == INSNS_MAX)
		die("too many rules");
	insn[n_insns++] = (struct sock_filter){code, jt, jf, k};
}

/* Every condition jumps to the rule's end if it does not hold. */
static void add_rule(const char *rule)
{
	const char *p = rule + strcspn(rule, ":="), *last = strrchr(rule, '=');
	unsigned call = find(calls, rule, (size_t)(p - rule)), conditions = 0, at = 0;

	if (!last)
		die(rule);
	for (const char *c = p; c < last; c++)
		conditions += *c == ':';
	add(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
	add(BPF_JMP | BPF_JEQ | BPF_K, call, 0, (uint8_t)(2 * conditions + 1));
	while (*p == ':') {
		unsigned arg = (unsigned)strtoul(p + 1, (char **)&p, 10);

		if (*p != '=' || arg > 5)
			die(rule);
		add(BPF_LD | BPF_W | BPF_ABS,
			(uint32_t)(offsetof(struct seccomp_data, args) + 8 * arg), 0, 0);
		at++;
		add(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)strtoul(p + 1, (char **)&p, 10), 0,
			(uint8_t)(2 * (conditions - at) + 1));
	}
	if (p != last)
		die(rule);
	add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | find(errors, last + 1, strlen(last + 1)), 0, 0);
}

int main(int argc, char **argv)
{
	struct sock_fprog program = {.filter = insn};
	int i = 1;

	for (; i < argc && strcmp(argv[i], "--") != 0; i++)
		add_rule(argv[i]);
	if (i + 1 >= argc)
		die("see the head of its source");
	add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
	program.len = n_insns;
	/* Without it a filter needs CAP_SYS_ADMIN; with it, nobody could change users by exec. */
	if (geteuid() != 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		die(strerror(errno));
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		die(strerror(errno));
	execvp(argv[i + 1], argv + i + 1);
	die(strerror(errno));
}
