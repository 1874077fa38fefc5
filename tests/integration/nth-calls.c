/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every system call of this thread becomes a SIGSYS (syscall user dispatch), whose handler makes
 * the call, or not. Unlike a tracer this costs microseconds, sees calls that no C library makes,
 * and leaves a leak checker able to trace.
 *
 * Source: Documentation/admin-guide/syscall-user-dispatch.rst, io_uring_setup(2), seccomp(2).
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "nth-server.h"

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif
#define DISPATCH_ON   1
#define SYSCALL_BYTES 2 /* of the instruction */
#define SA_RESTORER   0x04000000
#define RINGS_MAX     8
#define FILTER_MAX    1024

/* Calls from this section are not looked at. */
__asm__(".pushsection nth_raw, \"ax\", @progbits\n"
	"nth_raw_call:\n"
	"	movq %rdi, %rax\n"
	"	movq %rsi, %rdi\n"
	"	movq %rdx, %rsi\n"
	"	movq %rcx, %rdx\n"
	"	movq %r8, %r10\n"
	"	movq %r9, %r8\n"
	"	movq 8(%rsp), %r9\n"
	"	syscall\n"
	"	ret\n"
	"nth_raw_return:\n"
	"	movl $15, %eax\n"
	"	syscall\n"
	"	ud2\n"
	".popsection\n");

extern long nth_raw_call(long nr, long a, long b, long c, long d, long e, long f)
	__attribute__((visibility("hidden")));
extern void nth_raw_return(void) __attribute__((visibility("hidden")));
extern char __start_nth_raw[] __attribute__((visibility("hidden")));
extern char __stop_nth_raw[] __attribute__((visibility("hidden")));

struct action {
	void (*handler)(int, siginfo_t *, void *);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

struct ring {
	int fd;
	struct io_uring_params params;
	char *rings, *entries; /* mapped by its owner */
	uint32_t seen;         /* completions */
	uint64_t failing;      /* the entry's tag, while it is on its way */
	bool fails;
};

static struct ring rings[RINGS_MAX];

static struct ring *ring_of(long fd)
{
	for (size_t i = 0; i < RINGS_MAX; i++)
		if (rings[i].fd == (int)fd)
			return &rings[i];
	return NULL;
}

static void ring_add(long fd, const struct io_uring_params *p)
{
	struct ring *r = ring_of(0);

	if (fd > 0 && r)
		*r = (struct ring){.fd = (int)fd, .params = *p};
}

static void ring_mapped(struct ring *r, long address, long offset)
{
	if (address < 0 && address > -4096)
		return;
	if ((uint64_t)offset == IORING_OFF_SQES)
		r->entries = (char *)address; /* NOLINT: a call's result */
	else
		r->rings = (char *)address; /* NOLINT */
}

static uint32_t *word(const struct ring *r, uint32_t offset)
{
	return (uint32_t *)(r->rings + offset);
}

/* The kernel refuses what the ring may not do; the completion is then told to say something else.
 */
static void spoil(struct ring *r, struct io_uring_sqe *e)
{
	if (nth_plan.result > 0) {
		if (e->opcode != IORING_OP_FSYNC && e->len > 1)
			e->len /= 2;
		return;
	}
	e->opcode = IORING_OP_NOP;
	r->failing = e->user_data;
	r->fails = true;
}

static void ring_submits(struct ring *r, long n)
{
	uint32_t head = *word(r, r->params.sq_off.head), tail = *word(r, r->params.sq_off.tail);
	uint32_t mask = *word(r, r->params.sq_off.ring_mask);

	for (; n > 0 && head != tail; n--, head++) {
		uint32_t at = word(r, r->params.sq_off.array)[head & mask];

		if (nth_fails(NTH_URING, &nth_shared->uring))
			spoil(r, (struct io_uring_sqe *)r->entries + at);
	}
}

static void ring_look(struct ring *r)
{
	uint32_t mask, tail;

	if (!r->fd || !r->rings)
		return;
	mask = *word(r, r->params.cq_off.ring_mask);
	tail = __atomic_load_n(word(r, r->params.cq_off.tail), __ATOMIC_ACQUIRE);
	for (; r->seen != tail; r->seen++) {
		struct io_uring_cqe *c = (struct io_uring_cqe *)(r->rings + r->params.cq_off.cqes) +
					 (r->seen & mask);

		if (r->fails && c->user_data == r->failing) {
			c->res = (int)nth_plan.result;
			r->fails = false;
		}
	}
}

/* A filter of the program's own must let the handler return. */
static long filter_with_return(long op, long flags, const struct sock_fprog *own)
{
	static struct sock_filter code[FILTER_MAX] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog p = {.len = (unsigned short)(own->len + 3), .filter = code};

	if (own->len > FILTER_MAX - 3)
		return -E2BIG;
	memcpy(code + 3, own->filter, own->len * sizeof(*code));
	return nth_raw_call(SYS_seccomp, op, flags, (long)&p, 0, 0, 0);
}

/*
 * The mask to change is the one that the handler returns to. SIGSYS stays deliverable, whatever
 * else is blocked.
 */
static long mask_signals(ucontext_t *u, long how, const uint64_t *set, uint64_t *ret_old)
{
	uint64_t old, next;

	memcpy(&old, &u->uc_sigmask, sizeof(old));
	next = !set                 ? old
	       : how == SIG_BLOCK   ? old | *set
	       : how == SIG_UNBLOCK ? old & ~*set
				    : /* SIG_SETMASK */ *set;
	if (ret_old)
		*ret_old = old;
	next &= ~(UINT64_C(1) << (SIGSYS - 1));
	memcpy(&u->uc_sigmask, &next, sizeof(next));
	return 0;
}

static long make(ucontext_t *u, long nr, const long a[6])
{
	long r;

	if (nr == SYS_seccomp && a[0] == SECCOMP_SET_MODE_FILTER && a[2])
		return filter_with_return(a[0], a[1], (const struct sock_fprog *)a[2]); /* NOLINT */
	if (nr == SYS_rt_sigprocmask)
		return mask_signals(u, a[0], (const uint64_t *)a[1], (uint64_t *)a[2]); /* NOLINT */
	if (nr == SYS_close && a[0] > 0 && ring_of(a[0]))
		*ring_of(a[0]) = (struct ring){0};
	if (nr == SYS_io_uring_enter && ring_of(a[0]))
		ring_submits(ring_of(a[0]), a[1]);
	r = nth_raw_call(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (nr == SYS_io_uring_setup)
		ring_add(r, (const struct io_uring_params *)a[1]); /* NOLINT */
	if (nr == SYS_mmap && a[4] > 0 && ring_of(a[4]))
		ring_mapped(ring_of(a[4]), r, a[5]);
	if (nr == SYS_io_uring_enter || nr == SYS_ppoll)
		for (size_t i = 0; i < RINGS_MAX; i++)
			ring_look(&rings[i]);
	return r;
}

/* With a stack of its own it would return elsewhere. A plain fork() may be made from a handler. */
static bool is_new_task(long nr, const long a[6])
{
	return nr == SYS_clone3 || nr == SYS_vfork || (nr == SYS_clone && a[1]);
}

static void on_call(int sig, siginfo_t *info, void *context)
{
	ucontext_t *u = context;
	greg_t *g = u->uc_mcontext.gregs;
	const long a[6] = {g[REG_RDI], g[REG_RSI], g[REG_RDX], g[REG_R10], g[REG_R8], g[REG_R9]};
	long nr = info->si_syscall;
	uint64_t none = 0;
	bool fails;

	(void)sig;
	nth_shared->last = (uint64_t)nr;
	if (nr == SYS_exit_group)
		nth_shared->ended = 1;
	fails = nth_plan.kind == NTH_CALL && (uint64_t)nr == nth_plan.nr;
	fails = nth_fails(fails ? NTH_CALL : NTH_NONE,
			nr >= 0 && nr < NTH_CALLS ? &nth_shared->calls[nr] : &none) &&
		fails;
	if (!fails && (is_new_task(nr, a) || nr == SYS_rt_sigreturn)) {
		/* Made again, with nothing looked at. */
		nth_raw_call(SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, 0, 0, 0, 0, 0);
		g[REG_RIP] -= SYSCALL_BYTES;
		g[REG_RAX] = nr;
		return;
	}
	/* What close() says is always too late. */
	if (!fails || nr == SYS_close)
		g[REG_RAX] = make(u, nr, a);
	if (fails)
		g[REG_RAX] = nth_plan.result;
}

int nth_watch_calls(void)
{
	const struct action a = {
		.handler = on_call, .flags = SA_SIGINFO | SA_RESTORER, .restorer = nth_raw_return};
	long r = nth_raw_call(SYS_rt_sigaction, SIGSYS, (long)&a, 0, 8, 0, 0);

	if (r == 0)
		r = nth_raw_call(SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, DISPATCH_ON,
			(long)__start_nth_raw, __stop_nth_raw - __start_nth_raw, 0, 0);
	return (int)r;
}
