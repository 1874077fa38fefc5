/* SPDX-License-Identifier: Apache-2.0 */
/* A table of system calls as a seccomp filter; libseccomp is used by this file alone. */
#include "config/sandbox-internal.h"

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/log.h"

#define FIRST_PRIORITY 250u /* of 255: the table's first rows are looked at first */
#define TREE           2    /* SCMP_FLTATR_CTL_OPTIMIZE: a binary tree */
#define EXIT_REFUSED   159  /* what a shell says of a process that died by SIGSYS */

/* Older C libraries, and musl, make other calls for the same functions. */
static const struct {
	const char *name, *instead;
} ALIASES[] = {
#if !defined(__GLIBC__) || !__GLIBC_PREREQ(2, 33)
	{"newfstatat", "fstat"},
	{"newfstatat", "stat"},
	{"newfstatat", "lstat"},
#endif
	{NULL, NULL},
};

static void on_refused(int sig, siginfo_t *info, void *context)
{
	char *name = seccomp_syscall_resolve_num_arch(info->si_arch, info->si_syscall);

	(void)sig;
	(void)context;
	/* No free(): this may be inside malloc(). */
	log_error("the system call %s (%d) is refused by the sandbox: ending",
		name ? name : "unknown", info->si_syscall);
	_exit(EXIT_REFUSED);
}

/* SIGSYS is sent by the kernel alone, so its handler is no new way in. */
static int name_refused(void)
{
	struct sigaction a = {.sa_sigaction = on_refused, .sa_flags = SA_SIGINFO};
	static bool done; /* sandbox_narrow() comes here again, and may not do it */

	if (!done && sigaction(SIGSYS, &a, NULL) < 0)
		return -errno;
	done = true;
	return 0;
}

static struct scmp_arg_cmp compare(const struct sandbox_arg *a)
{
	if (a->test == SANDBOX_IS)
		return SCMP_CMP(a->index, SCMP_CMP_MASKED_EQ, UINT32_MAX, a->value & UINT32_MAX);
	return SCMP_CMP(a->index, SCMP_CMP_MASKED_EQ, a->value, 0);
}

static int add_row(
	scmp_filter_ctx ctx, const struct sandbox_call *row, const char *name, size_t position)
{
	uint32_t action = row->refused ? SCMP_ACT_ERRNO((uint32_t)row->error) : SCMP_ACT_ALLOW;
	unsigned priority = position < FIRST_PRIORITY ? FIRST_PRIORITY - (unsigned)position : 0;
	int nr = seccomp_syscall_resolve_name(name), r;
	struct scmp_arg_cmp arg[SANDBOX_ARGS];
	unsigned n = 0;

	if (nr == __NR_SCMP_ERROR)
		return -EINVAL;
	if (nr < 0)
		return 0; /* other machines have this call */
	while (n < SANDBOX_ARGS && row->arg[n].test != SANDBOX_ANY) {
		arg[n] = compare(&row->arg[n]);
		n++;
	}
	r = seccomp_rule_add_array(ctx, action, nr, n, arg);
	if (r == 0 && !n)
		r = seccomp_syscall_priority(ctx, nr, (uint8_t)priority);
	return r;
}

static int add_rows(scmp_filter_ctx ctx, const struct sandbox *s)
{
	int r = 0;

	for (size_t i = 0; i < s->n_calls && r == 0; i++) {
		const struct sandbox_call *row = &s->calls[i];

		if (!sandbox_row_holds(s, row))
			continue;
		r = add_row(ctx, row, row->name, i);
		for (size_t a = 0; ALIASES[a].name && r == 0; a++)
			if (strcmp(ALIASES[a].name, row->name) == 0)
				r = add_row(ctx, row, ALIASES[a].instead, i);
	}
	return r;
}

static int set_attributes(scmp_filter_ctx ctx)
{
	/* no_new_privs is set and verified already. */
	int r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0);

	/* A call that a tracer has taken back (number -1) is none. */
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_API_TSKIP, 1);
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, -1, 0);
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	/* Since libseccomp 2.5; without it the filter is only slower. */
	if (r == 0)
		(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, TREE);
	return r;
}

int sandbox_seccomp(const struct sandbox *s)
{
	bool named = s->seccomp == CONFIG_SECCOMP_LOG;
	scmp_filter_ctx ctx;
	int r = named ? name_refused() : 0;

	if (r < 0)
		return r;
	ctx = seccomp_init(named ? SCMP_ACT_TRAP : SCMP_ACT_KILL_PROCESS);
	if (!ctx)
		return -ENOMEM;
	r = set_attributes(ctx);
	if (r == 0)
		r = add_rows(ctx, s);
	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r;
}
