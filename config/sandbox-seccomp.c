/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of system calls as a seccomp filter; libseccomp is used by this file alone, for names and
 * numbers.
 *
 * Its filters it makes of hundreds of allocations, and one that fails makes it crash (2.5.4). Ours
 * needs none: row by row in the order of the table, most used first, no tree. Nor does the kernel
 * walk it for calls that are allowed whatever their arguments (since 5.11, by a bit map).
 */
#include "config/sandbox-internal.h"

#include <endian.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "config/log.h"

#define EXIT_REFUSED 159 /* what a shell says of a process that died by SIGSYS */
#define CODE_MAX     1024
#define NO_CALL      UINT32_MAX /* a call that a tracer has taken back is none */
#define X32_CALLS    0x40000000u

struct code {
	struct sock_filter at[CODE_MAX];
	unsigned short n; /* beyond CODE_MAX: it did not fit */
};

/*
 * C libraries make other calls for the same functions: musl, glibc before 2.33 and, of fstat(),
 * from 2.39 on, which may be newer than the one that this was built with.
 */
static const struct {
	const char *name, *instead;
} ALIASES[] = {
	{"newfstatat", "fstat"},
#if !defined(__GLIBC__) || !__GLIBC_PREREQ(2, 33)
	{"newfstatat", "stat"},
	{"newfstatat", "lstat"},
#endif
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

/* The code ---------------------------------------------------------------------------------- */

static void put(struct code *c, uint16_t op, uint32_t k, uint8_t yes, uint8_t no)
{
	if (c->n < CODE_MAX)
		c->at[c->n] = (struct sock_filter)BPF_JUMP(op, k, yes, no);
	c->n++;
}

static void load(struct code *c, size_t offset)
{
	put(c, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void answer(struct code *c, uint32_t action)
{
	put(c, BPF_RET | BPF_K, action, 0, 0);
}

/* Goes on behind this only if the word at @offset, less the bits outside @mask, is @value. */
static void want(struct code *c, size_t offset, uint32_t mask, uint32_t value)
{
	load(c, offset);
	put(c, BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
	put(c, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 0); /* else: leave_to_here() */
}

/* What want() put from @from on, when it does not hold, goes on here. */
static void leave_to_here(struct code *c, unsigned from)
{
	for (unsigned i = from; i < c->n && i < CODE_MAX; i++)
		if (c->at[i].code == (BPF_JMP | BPF_JEQ | BPF_K) && !c->at[i].jf)
			c->at[i].jf = (uint8_t)(c->n - i - 1);
}

static size_t word(unsigned arg, bool high)
{
	const bool second = high == (__BYTE_ORDER == __LITTLE_ENDIAN);

	return offsetof(struct seccomp_data, args) + arg * sizeof(uint64_t) +
	       second * sizeof(uint32_t);
}

static void want_arg(struct code *c, const struct sandbox_arg *a)
{
	if (a->test == SANDBOX_IS) {
		want(c, word(a->index, false), UINT32_MAX, (uint32_t)a->value);
		return;
	}
	want(c, word(a->index, false), (uint32_t)a->value, 0);
	if (a->value >> 32)
		want(c, word(a->index, true), (uint32_t)(a->value >> 32), 0);
}

/* A row's alternative, behind the question for its call. */
static void put_row(struct code *c, const struct sandbox_call *row)
{
	unsigned from = c->n;

	for (unsigned i = 0; i < SANDBOX_ARGS && row->arg[i].test != SANDBOX_ANY; i++)
		want_arg(c, &row->arg[i]);
	answer(c, row->refused ? SECCOMP_RET_ERRNO | (uint32_t)row->error : SECCOMP_RET_ALLOW);
	leave_to_here(c, from);
}

/* The rows ---------------------------------------------------------------------------------- */

/* The number of a row's call by its name or, with @alias, one it also has; below 0: none here. */
static int number_of(const struct sandbox_call *row, size_t alias)
{
	if (!alias)
		return seccomp_syscall_resolve_name(row->name);
	if (strcmp(ALIASES[alias - 1].name, row->name) != 0)
		return -1;
	return seccomp_syscall_resolve_name(ALIASES[alias - 1].instead);
}

static size_t n_names(void)
{
	return 1 + sizeof(ALIASES) / sizeof(ALIASES[0]);
}

/* Whether a row before @i, or an earlier name of it, has asked for the call. */
static bool is_known(const struct sandbox *s, size_t i, size_t alias, int nr)
{
	for (size_t j = 0; j <= i; j++)
		for (size_t k = 0; k < (j < i ? n_names() : alias); k++)
			if (sandbox_row_holds(s, &s->calls[j]) && number_of(&s->calls[j], k) == nr)
				return true;
	return false;
}

/* All that the table says of one call. */
static void put_call(struct code *c, const struct sandbox *s, size_t from, int nr, uint32_t other)
{
	const unsigned asks = c->n; /* the number is loaded: who asks for an argument, answers */

	put(c, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 0);
	for (size_t i = from; i < s->n_calls; i++)
		for (size_t k = 0; sandbox_row_holds(s, &s->calls[i]) && k < n_names(); k++)
			if (number_of(&s->calls[i], k) == nr)
				put_row(c, &s->calls[i]);
	answer(c, other);
	if (c->n - asks - 1 > UINT8_MAX)
		c->n = CODE_MAX + 1; /* no jump is so long */
	else if (asks < CODE_MAX)
		c->at[asks].jf = (uint8_t)(c->n - asks - 1);
}

/* 0; -EINVAL: the table has a name that no machine knows; -E2BIG. */
static int translate(const struct sandbox *s, uint32_t other, struct code *c)
{
	load(c, offsetof(struct seccomp_data, arch));
	put(c, BPF_JMP | BPF_JEQ | BPF_K, seccomp_arch_native(), 1, 0);
	answer(c, SECCOMP_RET_KILL_PROCESS);
	load(c, offsetof(struct seccomp_data, nr));
	put(c, BPF_JMP | BPF_JEQ | BPF_K, NO_CALL, 0, 1);
	answer(c, SECCOMP_RET_ALLOW);
#if defined(__x86_64__)
	put(c, BPF_JMP | BPF_JGE | BPF_K, X32_CALLS, 0, 1);
	answer(c, SECCOMP_RET_KILL_PROCESS);
#endif
	for (size_t i = 0; i < s->n_calls; i++) {
		if (!sandbox_row_holds(s, &s->calls[i]))
			continue;
		if (number_of(&s->calls[i], 0) == __NR_SCMP_ERROR)
			return -EINVAL;
		for (size_t k = 0; k < n_names(); k++) {
			int nr = number_of(&s->calls[i], k);

			/* Other machines have the calls below 0. */
			if (nr >= 0 && !is_known(s, i, k, nr))
				put_call(c, s, i, nr, other);
		}
	}
	answer(c, other);
	return c->n > CODE_MAX ? -E2BIG : 0;
}

int sandbox_seccomp(const struct sandbox *s)
{
	static struct code code; /* large, and memory may be short */
	bool named = s->seccomp == CONFIG_SECCOMP_LOG;
	struct sock_fprog program = {.filter = code.at};
	int r = named ? name_refused() : 0;

	code.n = 0;
	if (r == 0)
		r = translate(s, named ? SECCOMP_RET_TRAP : SECCOMP_RET_KILL_PROCESS, &code);
	if (r < 0)
		return r;
	program.len = code.n;
	/* no_new_privs is set and verified already. */
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 ? -errno : 0;
}
