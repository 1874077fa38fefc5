/* SPDX-License-Identifier: Apache-2.0 */
/* Processes of the model: forks, exits, pids that come again, sockets they hold. */
#include "owner-model.h"

struct world w;
struct ident ident[IDENTS];
struct sock sock[SOCKS];
struct set sets[SETS];
struct flow flow[FLOWS];
struct packet packet[PACKETS];
unsigned n_ident, n_sets, n_packets, n_alive;
unsigned alive[PIDS];
bool have_v6;
uint64_t netns[SPACES] = {0, 900002, 900003};
uint64_t random_state;

uint32_t model_rnd(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 16) % below;
}

struct set *model_new_set(void)
{
	return n_sets < SETS ? &sets[n_sets++] : NULL;
}

void model_put_in(struct set *s, unsigned who)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->ident[i] == who)
			return;
	if (s->n < HELD)
		s->ident[s->n++] = who;
}

void model_put(void)
{
	world_put(&w, model_rnd(WORLD_CPUS));
}

void model_pass_time(void)
{
	w.t_ns += 50 + model_rnd(10u << model_rnd(16));
	if (!model_rnd(200))
		w.t_ns += model_rnd(2000) * WORLD_MS;
}

static uint32_t free_pid(void)
{
	uint32_t pid;
	bool taken;

	do {
		pid = 100 + model_rnd(PIDS + 4);
		taken = false;
		for (unsigned i = 0; i < n_alive; i++)
			taken |= ident[alive[i]].pid == pid;
	} while (taken);
	return pid;
}

unsigned model_any_process(void)
{
	return alive[model_rnd(n_alive)];
}

bool model_holds(const struct sock *s, unsigned who)
{
	for (unsigned i = 0; i < s->n_holders; i++)
		if (s->holder[i] == who)
			return true;
	return false;
}

bool model_hold(struct sock *s, unsigned who)
{
	if (s->n_holders == HELD || s->set->n == HELD)
		return false;
	if (!model_holds(s, who))
		s->holder[s->n_holders++] = who;
	model_put_in(s->set, who);
	return true;
}

/*
 * Sockets stay in the namespace they were made in, and processes that hold some: an event tells
 * where its process is, not where the socket is.
 */
static bool holds_any(unsigned who)
{
	for (unsigned i = 0; i < SOCKS; i++)
		if (sock[i].used && model_holds(&sock[i], who))
			return true;
	return false;
}

void model_fork(void)
{
	unsigned parent = model_any_process(), child = n_ident;

	if (n_alive == PIDS || n_ident == IDENTS)
		return;
	for (unsigned i = 0; i < SOCKS; i++)
		if (sock[i].used && model_holds(&sock[i], parent) &&
			(sock[i].n_holders == HELD || sock[i].set->n == HELD))
			return;
	ident[child] =
		(struct ident){.pid = free_pid(), .space = ident[parent].space, .start_ns = w.t_ns};
	n_ident++;
	alive[n_alive++] = child;
	if (!model_rnd(10) && !holds_any(parent))
		ident[child].space = (int)model_rnd(SPACES);
	pb_task(&w.b, PERF_RECORD_FORK, ident[child].pid, ident[parent].pid, ident[child].pid,
		ident[parent].pid, w.t_ns);
	model_put();
	w.t_ns += model_rnd(2);
	pb_namespaces(&w.b, ident[child].pid, ident[child].pid, netns[ident[child].space], w.t_ns);
	model_put();
	for (unsigned i = 0; i < SOCKS; i++)
		if (sock[i].used && model_holds(&sock[i], parent))
			model_hold(&sock[i], child);
}

void model_setns(void)
{
	unsigned who = model_any_process();

	if (holds_any(who))
		return;
	ident[who].space = (int)model_rnd(SPACES);
	pb_namespaces(&w.b, ident[who].pid, ident[who].pid, netns[ident[who].space], w.t_ns);
	model_put();
}

void model_exit(void)
{
	unsigned at = model_rnd(n_alive), who = alive[at];

	if (n_alive < 4)
		return;
	for (unsigned i = 0; i < SOCKS; i++) {
		if (!sock[i].used || !model_holds(&sock[i], who))
			continue;
		model_let_go(&sock[i], who);
		w.t_ns += 100;
	}
	ident[who].exit_ns = w.t_ns;
	alive[at] = alive[--n_alive];
	pb_task(&w.b, PERF_RECORD_EXIT, ident[who].pid, 1, ident[who].pid, 1, w.t_ns);
	model_put();
}
