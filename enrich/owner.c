/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict: which claim answers a question about one end of a connection. */
#include "enrich/owner.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "enrich/inherited.h"
#include "enrich/owner-internal.h"
#include "enrich/steady.h"
#include "shm/cleanup.h"

#define SPACES_NS      UINT64_C(90000000)   /* about as often as batches of packets come */
#define SPACES_EACH_NS UINT64_C(1000000)    /* and this for each of them: bounds what it costs */
#define TIDY_NS        UINT64_C(1000000000) /* between two looks for abandoned namespaces */
#define POLLED_NS      UINT64_C(200000)     /* from poll(2)'s look to its return, and some more */
/* A loss of events this close before a question may be why it has no answer. */
#define ANSWERS_A_LOOK 16u /* at the clock: what they take is well below a millisecond */
#define LOSS_WINDOW_NS UINT64_C(1000000000)

uint64_t owners_now_ns(void)
{
	return steady_now_ns();
}

void owners_set_tier(struct owners *o, enum ledger_enrich counter, uint64_t state)
{
	ledger_set(o->ledger, counter, state);
}

/* ---- life ---- */

#define INIT_PIDNS UINT64_C(0xeffffffc) /* the kernel's PROC_PID_INIT_INO */

/* Whether pids are the host's: then 2 is the maker of the kernel's threads. */
static bool in_init_pidns(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) == 0 && st.st_ino == INIT_PIDNS;
}

static int open_diag(struct owners *o)
{
	return o->from ? diag_new_from(inherited_fd(o->from, INHERITED_DIAG), &o->diag)
		       : diag_new(&o->diag);
}

static int open_connector(struct owners *o)
{
	int r;

	o->watched_ns = UINT64_MAX;
	if (!o->from) {
		r = connector_new(&o->connector);
		if (r == 0)
			o->watched_ns = owners_now_ns();
		return r;
	}
	if (!o->from->about.watched_ns)
		return o->from->about.error ? o->from->about.error : -EPERM;
	r = connector_new_from((const int[]){inherited_fd(o->from, INHERITED_CONNECTOR),
				       inherited_fd(o->from, INHERITED_WAKE)},
		&o->connector);
	if (r == 0)
		o->watched_ns = o->from->about.watched_ns;
	return r;
}

/* Each may be missing: its counter then says why. */
static int open_tiers(struct owners *o, const struct config *config)
{
	const bool keep = config->enrich.procfs == CONFIG_PROCFS_KEEP;
	_cleanup_close_ int sweep = o->from ? inherited_fd(o->from, INHERITED_SWEEP) : -1;
	int r;

	owners_set_tier(o, LEDGER_enrich_tier_tap,
		config->enrich.tap == CONFIG_TAP_OFF ? LEDGER_TIER_OFF : LEDGER_TIER_WAITING);
	owners_set_tier(o, LEDGER_enrich_tier_sock_diag,
		config->enrich.sock_diag ? ledger_tier(open_diag(o)) : LEDGER_TIER_OFF);
	owners_set_tier(o, LEDGER_enrich_tier_seed, LEDGER_TIER_OFF);
	owners_set_tier(o, LEDGER_enrich_tier_procfs, LEDGER_TIER_OFF);
	owners_set_tier(o, LEDGER_enrich_tier_connector, LEDGER_TIER_OFF);
	r = netns_set_new(o->netns, o->links, o->diag, &o->spaces);
	if (r < 0 || config->enrich.procfs == CONFIG_PROCFS_OFF)
		return r;
	/* Before the sweep, so that what changes during it is told. A tap tells it better. */
	owners_set_tier(o, LEDGER_enrich_tier_connector, ledger_tier(open_connector(o)));
	process_cache_sessions_told(o->processes, o->connector != NULL);
	r = procfs_new("/proc", &o->procfs);
	if (keep)
		owners_set_tier(o, LEDGER_enrich_tier_procfs, ledger_tier(r));
	if (r == 0) {
		o->pidns = procfs_own_pidns(o->procfs);
		o->userns = procfs_own_userns(o->procfs);
		o->keep_procfs = keep;
		r = owners_seed(o, sweep);
	}
	owners_set_tier(o, LEDGER_enrich_tier_seed, ledger_tier(r));
	return 0;
}

/* Needs no privilege, nor the procfs tier. */
static uint64_t own_netns(void)
{
	struct stat st;

	return stat("/proc/self/ns/net", &st) < 0 ? 0 : st.st_ino;
}

static int init(struct owners *o, const struct config *config)
{
	const struct sockets_limits limits = SOCKETS_LIMITS_DEFAULT;
	uint64_t seed[2];
	int r;

	if (getrandom(seed, sizeof(seed), 0) != sizeof(seed))
		return -errno;
	r = process_cache_new(config->limits.processes, &o->processes);
	if (r == 0)
		r = sockets_new(&limits, seed, &o->sockets);
	if (r == 0)
		r = inodes_new(INODES_MAX, seed, &o->inodes);
	if (r == 0)
		r = cgroups_new(&o->cgroups);
	if (r == 0)
		r = o->from ? links_new_from(inherited_fd(o->from, INHERITED_ROUTE), &o->links)
			    : links_new(&o->links);
	if (r == 0)
		r = users_new("/etc/passwd", "/etc/group", &o->users);
	if (r == 0)
		o->kernel = process_new_kernel();
	if (r == 0 && !o->kernel)
		r = -ENOMEM;
	if (r < 0)
		return r;
	o->init_pidns = in_init_pidns();
	owners_filter_init(o);
	(void)cgroups_scan(o->cgroups, NULL);
	o->netns = o->from ? o->from->about.netns : own_netns();
	o->use_diag = config->enrich.sock_diag;
	if (config->enrich.tcp_info)
		owners_closed_open(o);
	return open_tiers(o, config);
}

/* The descriptors to poll: those of the rings, of the links and of the connector. */
static int list_poll_fds(struct owners *o)
{
	size_t n = 0;
	const int *fds = o->tap ? tap_reader_fds(o->tap, &n) : NULL;
	int *list = calloc(n + 3, sizeof(*list));

	if (!list)
		return -ENOMEM;
	if (n)
		memcpy(list, fds, n * sizeof(*list));
	o->n_poll_tap = n;
	list[n++] = links_fd(o->links);
	if (o->connector || o->changes)
		list[n++] = connector_fd(o->connector ? o->connector : o->changes);
	free(o->poll_fds);
	o->poll_fds = list;
	o->n_poll = n;
	return 0;
}

int owners_new(const struct config *config, struct ledger *ledger, struct owners **ret)
{
	return owners_new_from(config, ledger, NULL, ret);
}

int owners_new_from(const struct config *config, struct ledger *ledger, struct inherited *from,
	struct owners **ret)
{
	struct owners *o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return -ENOMEM;
	o->ledger = ledger;
	o->args_max = config->limits.args;
	o->watched_ns = UINT64_MAX;
	o->from = from;
	r = init(o, config);
	o->from = NULL;
	if (from)
		inherited_close(from);
	if (r == 0)
		r = list_poll_fds(o);
	if (r < 0) {
		owners_free(o);
		return r;
	}
	ledger_set(ledger, LEDGER_enrich_processes, process_cache_count(o->processes));
	ledger_set(ledger, LEDGER_enrich_tiers, owners_tiers(o));
	*ret = o;
	return 0;
}

void owners_free(struct owners *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < OWNERS_EARLY_MAX; i++)
		text_unref(o->early[i].args);
	owners_filter_deinit(o);
	process_unref(o->kernel);
	tap_reader_free(o->tap);
	sockets_free(o->sockets);
	inodes_free(o->inodes);
	process_cache_free(o->processes);
	cgroups_free(o->cgroups);
	netns_set_free(o->spaces);
	owners_closed_free(o);
	owners_seed_free(o);
	links_free(o->links);
	connector_free(o->connector);
	connector_free(o->changes);
	for (size_t i = 0; i < OWNERS_FOUND_MAX; i++)
		process_unref(o->holder[i].process);
	users_free(o->users);
	diag_free(o->diag);
	procfs_free(o->procfs);
	free(o->poll_fds);
	free(o);
}

unsigned owners_tiers(const struct owners *o)
{
	return (o->tap ? OWNERS_TIER_TAP : 0) | (o->diag ? OWNERS_TIER_SOCK_DIAG : 0) |
	       (o->seeded ? OWNERS_TIER_SEED : 0) | (o->keep_procfs ? OWNERS_TIER_PROCFS : 0) |
	       (o->connector ? OWNERS_TIER_CONNECTOR : 0);
}

/* ---- the tap ---- */

static void count(struct owners *o)
{
	static const struct tap_reader_stats none;
	const struct tap_reader_stats *t = o->tap ? tap_reader_stats(o->tap) : &none;
	uint64_t evicted = process_cache_evicted(o->processes);
	uint64_t alive = process_cache_evicted_alive(o->processes);
	const struct diag_stats d = owners_diag_stats(o);

	if (o->tap) {
		ledger_add(o->ledger, LEDGER_enrich_tap_events, t->events - o->tap_counted.events);
		ledger_add(o->ledger, LEDGER_enrich_tap_lost, t->lost - o->tap_counted.lost);
		ledger_add(o->ledger, LEDGER_enrich_tap_malformed,
			t->malformed - o->tap_counted.malformed);
		o->tap_counted = *t;
	}
	ledger_add(o->ledger, LEDGER_enrich_diag_requests, d.requests - o->diag_counted.requests);
	ledger_add(o->ledger, LEDGER_enrich_diag_errors, d.errors - o->diag_counted.errors);
	o->diag_counted = d;
	ledger_set(o->ledger, LEDGER_enrich_processes, process_cache_count(o->processes));
	ledger_add(o->ledger, LEDGER_enrich_processes_evicted, evicted - o->evicted_counted);
	ledger_add(o->ledger, LEDGER_enrich_processes_lost, alive - o->alive_counted);
	o->evicted_counted = evicted;
	o->alive_counted = alive;
}

int owners_tap_begin(struct owners *o, const struct tap_layout *layout)
{
	struct tap_reader *tap;
	int r = tap_reader_new(layout, &tap);

	if (r < 0)
		return r;
	if (o->tap) {
		tap_reader_advance(o->tap, UINT64_MAX, owners_apply, o);
		count(o);
		tap_reader_free(o->tap);
	}
	o->tap = tap;
	tap_reader_foresee(tap, owners_foresee, owners_foresee_next, o);
	owners_watch_changes(o);
	owners_set_tier(o, LEDGER_enrich_tier_connector, LEDGER_TIER_OFF);
	o->tap_counted = (struct tap_reader_stats){0};
	o->tap_ns = owners_now_ns();
	owners_filter_reset(o);
	return list_poll_fds(o);
}

int owners_tap_cpus(struct owners *o, const struct tap_cpus *cpus, const int *fds)
{
	int r;

	if (!o->tap)
		return -EPROTO;
	r = tap_reader_add(o->tap, cpus, fds);
	if (r < 0)
		return r;
	ledger_set(o->ledger, LEDGER_enrich_tiers, owners_tiers(o));
	owners_set_tier(o, LEDGER_enrich_tier_tap, LEDGER_TIER_LIVE);
	return list_poll_fds(o);
}

const int *owners_poll_fds(const struct owners *o, size_t *ret_n, size_t *ret_tap)
{
	*ret_n = o->n_poll;
	*ret_tap = o->n_poll_tap;
	return o->poll_fds;
}

void owners_set_tree(struct owners *o, uint32_t pid)
{
	o->tree_pid = pid;
	process_cache_mark_tree(o->processes, pid, owners_now_ns());
}

void owners_advance(struct owners *o, uint64_t t_ns)
{
	owners_closed_read(o, t_ns);
	if (o->tap) {
		uint64_t full = tap_reader_stats(o->tap)->full;

		tap_reader_advance(o->tap, t_ns, owners_apply, o);
		if (tap_reader_stats(o->tap)->full != full)
			owners_lost(o, t_ns);
	}
	owners_apply_changes(o, t_ns);
}

void owners_polled(struct owners *o, uint64_t now_ns)
{
	if (now_ns >= o->spaces_ns) {
		netns_set_read(o->spaces);
		o->spaces_ns = now_ns + SPACES_NS + netns_end(o->spaces) * SPACES_EACH_NS;
	}
	/* Nothing to read a moment ago: no change is younger than that. */
	if (o->changes && now_ns - POLLED_NS > o->heard_ns)
		o->heard_ns = now_ns - POLLED_NS;
}

void owners_tapped(struct owners *o, uint64_t now_ns, uint64_t horizon_ns)
{
	owners_polled(o, now_ns);
	owners_read_early(o);
	owners_advance(o, horizon_ns);
}

void owners_idle(struct owners *o, uint64_t horizon_ns)
{
	owners_hear(o);
	owners_read_early(o);
	owners_advance(o, horizon_ns);
	(void)links_read(o->links);
	users_refresh(o->users, horizon_ns);
	netns_set_read(o->spaces);
	if (horizon_ns >= o->tidy_ns) {
		netns_set_tidy(o->spaces, owners_heir, o);
		o->tidy_ns = horizon_ns + TIDY_NS;
	}
	process_cache_expire(o->processes, horizon_ns);
	owners_filter_tick(o);
	count(o);
}

/* ---- the verdict ---- */

void owners_query_key(const struct owner_query *q, struct socket_key *ret)
{
	*ret = (struct socket_key){
		.proto = q->proto,
		.local_port = q->local_port,
		.remote_port = q->remote_port,
	};
	memcpy(ret->local_addr, q->local_addr, sizeof(ret->local_addr));
	memcpy(ret->remote_addr, q->remote_addr, sizeof(ret->remote_addr));
}

/*
 * Whether what is known of an end is to make way. Of two that are not sure, who closed it has had
 * it, which cannot be said of who listens at its port, or had the socket once.
 */
static bool makes_way(
	const struct owner *was, enum record_method method, enum record_confidence confidence)
{
	if (!was->process || was->confidence < confidence)
		return true;
	return was->confidence == confidence && confidence == RECORD_CONFIDENCE_PROBABLE &&
	       method == RECORD_METHOD_TAP_CLOSE &&
	       (was->method == RECORD_METHOD_TAP_LISTEN || was->method == RECORD_METHOD_SEED ||
		       was->method == RECORD_METHOD_SOCK_DIAG ||
		       was->method == RECORD_METHOD_PROCFS);
}

/* Now, or a few answers ago: looking at the clock for each was 2 % of a connection. */
static uint64_t answered_ns(struct owners *o)
{
	if (!o->now_left || o->n_pending) {
		o->now_ns = owners_now_ns();
		o->now_left = ANSWERS_A_LOOK;
	}
	o->now_left--;
	return o->now_ns;
}

void owners_paused(struct owners *o)
{
	o->now_left = 0;
}

void owners_answer(struct owners *o, const struct owner_query *q, struct owner *answer,
	struct process *p, enum record_method method, enum record_confidence confidence,
	uint64_t cgroup_id)
{
	if (!makes_way(answer, method, confidence))
		return;
	/* The same one, only surer: it has been known all the while. */
	if (!p || answer->process != p) {
		uint64_t now = answered_ns(o);

		answer->latency_ns = now > q->t_ns ? now - q->t_ns : 0;
	}
	process_ref(p);
	process_unref(answer->process);
	answer->process = p;
	answer->method = method;
	answer->confidence = confidence;
	answer->unknown = RECORD_UNKNOWN_NONE;
	if (cgroup_id)
		answer->cgroup_id = cgroup_id;
}

void owners_give_up(struct owners *o, const struct owner_query *q, struct owner *answer,
	enum record_unknown why)
{
	uint64_t start = q->start_ns ? q->start_ns : q->t_ns;

	/* Of a socket whose user and cgroup are known it says why there is no process. */
	if (answer->process)
		return;
	if (why != RECORD_UNKNOWN_REMOTE && why != RECORD_UNKNOWN_AMBIGUOUS &&
		why != RECORD_UNKNOWN_NETNS) {
		if (!o->tap && !o->diag)
			why = RECORD_UNKNOWN_OFF;
		else if (o->lost_ns && start < o->lost_ns + LOSS_WINDOW_NS &&
			 o->lost_ns < q->t_ns + LOSS_WINDOW_NS)
			why = RECORD_UNKNOWN_TAP_LOST;
		else if (o->tap && start < o->tap_ns)
			why = RECORD_UNKNOWN_OLDER;
	}
	answer->unknown = why;
}

/* Why the tables had no answer, and nobody else can be asked. */
static enum record_unknown owners_why(struct owners *o, const struct owner_query *q, bool local)
{
	if (o->ambiguous)
		return RECORD_UNKNOWN_AMBIGUOUS;
	if (!owners_home(o, q))
		return RECORD_UNKNOWN_NETNS;
	return local || owners_is_local_addr(o, q->netns, q->local_addr) ? RECORD_UNKNOWN_NO_SOCKET
									 : RECORD_UNKNOWN_REMOTE;
}

/* The question that waits for @answer, or NULL. */
static struct owners_pending *pending_of(struct owners *o, const struct owner *answer)
{
	return owners_is_pending(o, answer) ? &o->pending[answer->pending - 1] : NULL;
}

void owners_forget(struct owners *o, const struct owner *answer)
{
	struct owners_pending *w = pending_of(o, answer);

	if (!w)
		return;
	/* The last one takes its place: few that are all needed stay in the cache. */
	*w = o->pending[--o->n_pending];
	if (w->answer)
		w->answer->pending = answer->pending;
}

/* The first time counts as well: whoever had the socket then may be gone at @t_ns. */
static void ask_again(struct owners *o, struct owners_pending *w, const struct owner_query *q)
{
	w->again_ns = q->t_ns;
	w->q.over = q->over;
	w->q.first = q->first;
	w->q.patient &= q->patient;
	w->ambiguous &= o->ambiguous;
}

bool owners_ask(struct owners *o, const struct owner_query *q, struct owner *answer)
{
	struct owners_pending *waits;
	const struct netns *home;
	bool local;

	if (!answer->process && answer->confidence == RECORD_CONFIDENCE_UNKNOWN) {
		answer->uid = UINT32_MAX;
		answer->losses = o->losses;
	}
	if (owners_can_wait(o, q))
		return true;
	if (owners_try_tables(o, q, answer)) {
		if (answer->confidence == RECORD_CONFIDENCE_EXACT)
			owners_forget(o, answer);
		return true;
	}
	waits = pending_of(o, answer);
	if (waits) {
		ask_again(o, waits, q);
		return false;
	}
	home = owners_home(o, q);
	local = home && links_is_local(home->links, q->local_addr);
	if (!owners_can_ask(o, q, local)) {
		if (owners_try_raw(o, q, answer))
			return true;
		owners_give_up(o, q, answer, owners_why(o, q, local));
		return true;
	}
	if (o->n_pending == OWNERS_PENDING_MAX)
		owners_settle(o, true);
	o->pending[o->n_pending++] = (struct owners_pending){
		.q = *q,
		.answer = answer,
		.ambiguous = o->ambiguous,
	};
	/* A tap's events are asked about while they wait; who lives is found only while he does. */
	o->pending[o->n_pending - 1].q.patient &= !o->tap && !o->keep_procfs;
	answer->pending = (uint16_t)o->n_pending;
	return false;
}

/* Parent and child, or siblings: they may hold the same socket. */
static bool is_kin(const struct process *a, const struct process *b)
{
	return a->pid == b->ppid || b->pid == a->ppid || (a->ppid && a->ppid == b->ppid);
}

/*
 * Without a tap nobody tells who has the tuple now, but who is dead sends no more. A packet of its
 * that was on its way is rather taken for another's than the other way round: the next process may
 * get the port within the same millisecond.
 */
static bool may_have_ended(struct owners *o, const struct process *p, const struct owner_query *q)
{
	/* Once for all packets that wait. */
	if (o->connector && !p->exit_ns && o->heard_ns < q->t_ns)
		owners_hear(o);
	return (p->exit_ns && q->t_ns > p->exit_ns) ||
	       (q->start_ns < o->life_lost_ns && o->life_lost_ns <= q->t_ns);
}

bool owners_appeared(
	struct owners *o, const struct owner_query *q, const struct owner *was, uint64_t before_ns)
{
	struct owner_query earlier = *q;
	struct owner now = {.uid = UINT32_MAX}, then = {.uid = UINT32_MAX};
	bool appeared;

	/* Not asked about yet; or of another host, which no event will ever tell of. */
	if (!o->tap || was->process || was->unknown == RECORD_UNKNOWN_NONE ||
		was->unknown == RECORD_UNKNOWN_REMOTE)
		return false;
	earlier.t_ns = before_ns;
	appeared = owners_try_tables(o, q, &now) && now.process &&
		   !(owners_try_tables(o, &earlier, &then) && then.process == now.process);
	process_unref(now.process);
	process_unref(then.process);
	return appeared;
}

bool owners_replaced(struct owners *o, const struct owner_query *q, struct owner *was)
{
	uint64_t takeovers = sockets_takeovers(o->sockets);
	struct owner fresh = {.uid = UINT32_MAX};
	bool replaced;

	if (!was->process)
		return false;
	if (was->losses != o->losses) /* who took it over may not have been told */
		return true;
	if (!o->tap)
		return may_have_ended(o, was->process, q);
	if (was->takeovers == takeovers)
		return false;
	was->takeovers = takeovers;
	if (!owners_try_tables(o, q, &fresh))
		return false;
	replaced =
		fresh.process && fresh.process != was->process &&
		(!process_alive_at(was->process, q->t_ns) || !is_kin(fresh.process, was->process));
	process_unref(fresh.process);
	return replaced;
}
