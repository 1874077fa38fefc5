/* SPDX-License-Identifier: Apache-2.0 */
/* The process cache: identity as of a time, inheritance, reuse of pids, bounds. */
#include "enrich/process.h"
#include "shm/record.h"
#include "tap.h"

#define S UINT64_C(1000000000)

static struct process_cache *new_cache(size_t max)
{
	struct process_cache *c;

	if (process_cache_new(max, &c))
		tap_bail("no cache");
	return c;
}

static bool named(const struct process *p, const char *comm)
{
	return p && process_comm_len(p->comm) == strlen(comm) &&
	       !memcmp(p->comm, comm, strlen(comm));
}

static void test_comm_len(void)
{
	const char bytes[] = "sixteen  letters";
	char comm[PROCESS_COMM_MAX];
	bool all = true;

	for (size_t len = 0; len <= sizeof(comm); len++) {
		process_set_comm(comm, bytes, len);
		all &= process_comm_len(comm) == len && !memcmp(comm, bytes, len);
	}
	tap_ok(all, "a name of each length");
}

static void test_inheritance(void)
{
	struct process_cache *c = new_cache(100);
	struct process *parent = process_cache_found(c, 10, 5 * S), *child;

	process_set_comm(parent->comm, "shell", 5);
	process_set_exe(parent, "/bin/sh", 7);
	process_set_args(parent, "sh\0-i", 6, 4096, false);
	credentials_seen(&parent->uids, 1000, 1000, 5 * S);
	parent->cgroup_id = 7;
	parent->netns = 70;
	child = process_cache_fork(c, 10, 11, 10 * S);
	tap_ok(named(child, "shell") && child->exe == parent->exe && child->args == parent->args,
		"a forked child is its parent, strings shared");
	tap_ok(child->uids.now.effective == 1000 && child->netns == 70 && child->cgroup_id == 7 &&
			child->ppid == 10 && child->start_ns == 10 * S,
		"with its ids, namespace, cgroup and its own start");
	process_exec(child, "curl", 4, 0);
	tap_ok(named(child, "curl") && !child->exe && !child->args, "exec forgets the old program");
	tap_ok(parent->exe && parent->args, "and leaves the parent's strings");
	tap_ok(!memcmp(child->parent_comm, "shell", 6), "the parent's name stays");
	process_set_exe(child, "/usr/bin/curl (deleted)", 23);
	tap_ok(child->flags & PROCESS_EXE_DELETED && child->exe->len == 13,
		"a deleted program's path loses its mark");
	process_set_args(child, "curl\0-s\0x", 10, 8, false);
	tap_ok(child->args->len == 8 && child->flags & PROCESS_ARGS_CUT, "a long one is cut");
	tap_ok(process_cache_fork(c, 10, 11, 10 * S) == child, "a fork told twice is one process");
	process_set_netns(child, 12, 70);
	tap_is_int(child->netns, 70, "a thread in the same namespace changes nothing");
	process_set_netns(child, 12, 71);
	tap_is_int(child->netns, 0, "threads in different namespaces: nobody knows");
	process_cache_free(c);
}

static bool ancestors(const struct process *p, const char *want, size_t len)
{
	return p->ancestors && p->ancestors->len == len && !memcmp(p->ancestors->bytes, want, len);
}

#define ANCESTORS(p, want) ancestors((p), (want), sizeof(want))

/* @want_exe NULL: not known what it ran then. */
static void ran(const struct process *p, uint64_t t_ns, const char *want_exe, const char *want_comm)
{
	struct program run;
	bool known = process_program(p, t_ns, &run);

	tap_ok(known == (want_exe != NULL) &&
			(!known || (!strcmp(run.comm, want_comm) && run.exe &&
					   run.exe->len == strlen(want_exe) &&
					   !memcmp(run.exe->bytes, want_exe, run.exe->len))),
		"what it ran at %u s", (unsigned)(t_ns / S));
}

static void test_programs(void)
{
	struct process_cache *c = new_cache(100);
	struct process *p = process_cache_found(c, 10, 5 * S);
	struct program run;

	process_rename(p, "one", 3);
	process_set_exe(p, "/bin/one", 8);
	ran(p, 1 * S, "/bin/one", "one");
	process_exec(p, "two", 3, 10 * S);
	tap_ok(process_program(p, 10 * S, &run) && !run.exe && !strcmp(run.comm, "two"),
		"a new program, its file not told yet");
	process_set_exe(p, "/bin/two (deleted)", 18);
	ran(p, 10 * S, "/bin/two", "two");
	ran(p, 9 * S, "/bin/one", "one");
	tap_ok(process_program(p, 9 * S, &run) && !(run.flags & PROCESS_EXE_DELETED),
		"its flags are its own");
	process_exec(p, "three", 5, 20 * S);
	process_set_exe(p, "/bin/three", 10);
	ran(p, 20 * S, "/bin/three", "three");
	ran(p, 15 * S, "/bin/two", "two");
	ran(p, 9 * S, NULL, NULL);
	process_exec(p, "four", 4, 0);
	process_set_exe(p, "/bin/four", 9);
	ran(p, 9 * S, "/bin/four", "four");
	process_cache_free(c);
}

static void test_ancestors(void)
{
	struct process_cache *c = new_cache(100);
	struct process *top = process_cache_found(c, 10, 5 * S), *p, *sibling;
	unsigned n = 0;

	process_rename(top, "init", 4);
	p = process_cache_fork(c, 10, 11, 10 * S);
	sibling = process_cache_fork(c, 10, 12, 10 * S);
	tap_ok(ANCESTORS(p, "10 init"), "the parent is the first ancestor");
	tap_ok(p->ancestors == sibling->ancestors, "siblings share theirs");
	process_exec(p, "sh", 2, 0);
	tap_ok(ANCESTORS(p, "10 init"), "an exec leaves them");
	sibling = process_cache_fork(c, 11, 13, 11 * S);
	process_rename(p, "a b\n", 4);
	p = process_cache_fork(c, 11, 14, 12 * S);
	tap_ok(ANCESTORS(sibling, "11 sh\00010 init"), "a grandchild has both");
	tap_ok(ANCESTORS(p, "11 a b\n\00010 init"), "names are as of the fork");
	process_exec(top, "systemd", 7, 0);
	process_cache_exit(c, 11, 13 * S);
	p = process_cache_fork(c, 14, 15, 14 * S);
	tap_ok(ANCESTORS(p, "14 a b\n\00011 a b\n\00010 init"), "also those that have exited");
	for (unsigned i = 0; i < 10; i++)
		p = process_cache_fork(c, i ? 99 + i : 15, 100 + i, (20 + i) * S);
	for (size_t at = 0; at < p->ancestors->len; at++)
		n += !p->ancestors->bytes[at];
	tap_is_int(n, RECORD_ANCESTORS_MAX, "no more than there may be");
	tap_ok(!strncmp(p->ancestors->bytes, "108 ", 4), "the nearest");
	process_cache_free(c);
}

/* Processes of /proc, in whatever order they were met: who their parents are is known afterwards.
 */
static void test_found_ancestors(void)
{
	struct process_cache *c = new_cache(100);
	struct process *child = process_cache_found(c, 10, 9 * S);
	struct process *parent = process_cache_found(c, 30, 8 * S);
	struct process *top = process_cache_found(c, 20, 7 * S);
	struct process *own = process_cache_found(c, 40, 7 * S);

	process_rename(child, "c", 1);
	process_rename(parent, "p", 1);
	process_rename(top, "t", 1);
	child->ppid = 30;
	parent->ppid = 20;
	top->ppid = 77; /* not known */
	own->ppid = 40; /* impossible, must end all the same */
	process_cache_name_parents(c);
	tap_ok(ANCESTORS(child, "30 p\00020 t") && ANCESTORS(parent, "20 t"),
		"of all that are known");
	tap_ok(!memcmp(child->parent_comm, "p", 2), "the parent by name");
	tap_ok(!top->ancestors && !own->ancestors, "none where none is known");
	top->ppid = 30;
	child = process_cache_found(c, 50, 10 * S);
	child->ppid = 20;
	process_cache_name_parent(c, child);
	tap_ok(child->ancestors != NULL, "a circle comes to an end");
	process_cache_free(c);
}

static void test_passed_on(void)
{
	struct process_cache *c = new_cache(100);
	struct process *parent = process_cache_found(c, 10, 5 * S), *child;

	parent->loginuid = 2;
	parent->inner_pid = 3;
	parent->pidns = 4;
	parent->flags |= PROCESS_SESSION | PROCESS_COMPLETED;
	parent->cwd = text_new("/home", 5);
	child = process_cache_fork(c, 10, 11, 10 * S);
	tap_ok(child->loginuid == 2 && child->pidns == 4,
		"a child has its parent's login and namespace");
	tap_ok(!child->inner_pid && !child->cwd, "but a pid of its own, and may be elsewhere");
	tap_ok(!(child->flags & (PROCESS_SESSION | PROCESS_COMPLETED)), "and is yet to be read");
	parent->sid = 9;
	parent->tty = 8;
	process_cache_sessions_told(c, true);
	child = process_cache_fork(c, 10, 12, 11 * S);
	tap_ok(child->flags & PROCESS_SESSION && child->sid == 9 && child->tty == 8,
		"its parent's session is its own, where new ones are told");
	process_lead_session(child);
	tap_ok(child->sid == 12 && !child->tty, "until it leads one");
	process_exec(parent, "x", 1, 0);
	tap_ok(!parent->cwd && !(parent->flags & PROCESS_COMPLETED), "a new program is read again");
	tap_ok(parent->inner_pid == 3 && parent->loginuid == 2 && parent->flags & PROCESS_SESSION,
		"it is the same process in the same session");
	process_cache_free(c);
}

static void test_time(void)
{
	struct process_cache *c = new_cache(100);
	struct process *first, *second;

	first = process_cache_fork(c, 1, 20, 1 * S);
	process_ref(first);
	process_cache_exit(c, 20, 2 * S);
	second = process_cache_fork(c, 1, 20, 3 * S);
	tap_ok(first != second, "a reused pid is another process");
	tap_ok(process_cache_find(c, 20, 3 * S) == second, "now it is the second");
	tap_ok(process_cache_find(c, 20, 3 * S - 1) == first, "before, it was the first");
	tap_ok(process_cache_find(c, 20, 2 * S + S / 2) == first,
		"whose last packets come after its exit");
	tap_ok(!process_cache_find(c, 20, S - 1), "and before that, nobody");
	tap_ok(process_alive_at(first, 2 * S) && !process_alive_at(first, 2 * S + 1), "alive at");
	process_cache_expire(c, 2 * S + PROCESS_LINGER_NS);
	tap_is_int(process_cache_count(c), 2, "the exited one lingers");
	process_cache_expire(c, 2 * S + PROCESS_LINGER_NS + 1);
	tap_is_int(process_cache_count(c), 1, "then it goes");
	tap_ok(first->refs == 1 && first->pid == 20, "a reference keeps what was taken");
	process_unref(first);

	process_cache_fork(c, 1, 20, 50 * S);
	tap_ok(process_cache_find(c, 20, 4 * S)->exit_ns == 50 * S,
		"a fork onto a living pid ends the older process: its exit was missed");
	process_cache_free(c);
}

static void test_missed(void)
{
	struct process_cache *c = new_cache(100);
	struct process *p, *q;

	p = process_cache_fork(c, 1, 30, 1 * S);
	process_cache_exit(c, 30, 2 * S);
	tap_ok(process_cache_get(c, 30, 2 * S + 1000) == p, "events may trail the exit");
	tap_ok(process_cache_get(c, 30, 10 * S) == p && !p->exit_ns,
		"long after it: only the main thread had ended");
	process_cache_exit(c, 30, 11 * S);
	process_cache_lost(c, 12 * S);
	q = process_cache_get(c, 30, 20 * S);
	tap_ok(q != p && !q->start_ns, "with events lost in between it may be somebody else");
	tap_ok(process_cache_find(c, 30, 5 * S) != p || p->start_ns, "the older entry stays found");
	tap_ok(process_cache_get(c, 31, 20 * S) != NULL, "a pid never seen gets an entry");
	process_cache_free(c);
}

static void test_sweep_and_events(void)
{
	struct process_cache *c = new_cache(100);
	struct process *p = process_cache_found(c, 40, 5 * S);

	tap_ok(process_cache_fork(c, 1, 40, 5 * S + 7000000) == p && p->start_ns == 5 * S + 7000000,
		"the fork event of a process the sweep found gives its exact start");
	tap_ok(process_cache_found(c, 40, 5 * S) == p, "found again it is the same");
	tap_ok(process_cache_found(c, 40, 6 * S) != p, "started later it is another");
	p = process_cache_get(c, 41, 9 * S);
	tap_ok(process_cache_found(c, 41, 8 * S) == p && p->start_ns == 8 * S,
		"one known by an event alone gets its start from /proc");
	process_cache_free(c);
}

static void test_bounds(void)
{
	struct process_cache *c = new_cache(3);

	for (uint32_t pid = 1; pid <= 3; pid++)
		process_cache_fork(c, 0, pid, pid * S);
	process_cache_exit(c, 3, 4 * S);
	process_cache_find(c, 1, 9 * S);
	process_cache_fork(c, 1, 4, 10 * S);
	tap_ok(!process_cache_find(c, 3, 11 * S), "full: an exited process goes first");
	process_cache_fork(c, 1, 5, 11 * S);
	tap_ok(!process_cache_find(c, 2, 12 * S) && process_cache_find(c, 1, 12 * S),
		"then the one used longest ago");
	tap_is_int(process_cache_count(c), 3, "never more than allowed");
	tap_is_int(process_cache_evicted(c), 2, "and each is counted");
	for (uint32_t pid = 100; pid < 5000; pid++)
		process_cache_fork(c, pid - 1, pid, pid * S);
	tap_is_int(process_cache_count(c), 3, "under a storm of forks too");
	process_cache_free(c);
}

static void test_tree(void)
{
	struct process_cache *c = new_cache(100);

	process_cache_found(c, 50, 1 * S);
	process_cache_found(c, 51, 2 * S)->ppid = 50;
	process_cache_found(c, 52, 3 * S)->ppid = 51;
	process_cache_found(c, 53, 3 * S)->ppid = 1;
	process_cache_mark_tree(c, 50, 4 * S);
	tap_ok(process_cache_find(c, 52, 5 * S)->flags & PROCESS_IN_TREE, "grandchildren are in");
	tap_ok(!(process_cache_find(c, 53, 5 * S)->flags & PROCESS_IN_TREE), "others are not");
	tap_ok(process_cache_fork(c, 52, 54, 6 * S)->flags & PROCESS_IN_TREE, "later ones are");
	tap_ok(!(process_cache_fork(c, 53, 55, 6 * S)->flags & PROCESS_IN_TREE), "or are not");
	process_cache_name_parents(c);
	process_cache_free(c);
}

static bool odd(uint32_t pid)
{
	return pid % 2;
}

static void test_netns(void)
{
	struct process_cache *c = new_cache(100);

	for (uint32_t pid = 10; pid < 14; pid++)
		process_cache_found(c, pid, pid * S)->netns = 70 + pid / 13;
	tap_is_int(process_cache_in_netns(c, 71, odd), 13, "who is in a namespace");
	tap_is_int(process_cache_in_netns(c, 70, odd), 11, "and is there");
	process_cache_exit(c, 11, 20 * S);
	tap_is_int(process_cache_in_netns(c, 70, odd), 0, "nobody who has ended");
	tap_is_int(process_cache_in_netns(c, 72, odd), 0, "nobody is elsewhere");
	process_cache_free(c);
}

int main(void)
{
	test_comm_len();
	test_inheritance();
	test_programs();
	test_ancestors();
	test_found_ancestors();
	test_passed_on();
	test_time();
	test_missed();
	test_sweep_and_events();
	test_bounds();
	test_tree();
	test_netns();
	return tap_done();
}
