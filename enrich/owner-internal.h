/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the owner verdict share: its state. Nobody else includes this. */
#pragma once

#include "enrich/busy.h"
#include "enrich/cgroups.h"
#include "enrich/closed.h"
#include "enrich/connector.h"
#include "enrich/diag-watch.h"
#include "enrich/diag.h"
#include "enrich/inodes.h"
#include "enrich/links.h"
#include "enrich/netns.h"
#include "enrich/owner.h"
#include "enrich/process.h"
#include "enrich/procfs.h"
#include "enrich/sockets.h"
#include "enrich/tap-reader.h"
#include "enrich/users.h"

#define OWNERS_PENDING_MAX 512u /* questions between two settles; one more settles at once */

#define OWNERS_EARLY_MAX   256u
#define OWNERS_CHANGES_MAX 1024u /* of users, not yet applied */

#define OWNERS_RECENT_MAX 64u /* processes made lately */
#define OWNERS_FOUND_MAX  16u /* processes whose sockets were found lately */

/* A question that could not be answered without asking the kernel. */
struct owners_pending {
	struct owner_query q;
	uint64_t again_ns;                 /* asked once more as of then, or 0 */
	struct owner *answer;              /* NULL = answered */
	const struct socket_claim *peeked; /* whose port waits in the ring */
	uint64_t inode;                    /* its socket, when only the process is missing */
	uint64_t cookie;                   /* of that socket */
	enum diag_match match;
	bool ambiguous;            /* several could be meant */
	bool twice;                /* and each has exactly this connection */
	bool unproven;             /* the socket may have got the port after the packet */
	bool gone;                 /* the kernel has no socket of this end any more */
	struct diag_socket socket; /* what was found, by match */
};

/* A command line read from /proc as soon as its exec was seen, until that event is applied. */
struct owners_early {
	uint32_t pid;
	uint64_t t_ns; /* of the exec event */
	struct text *args;
	bool cut;
};

/* A process that held a socket the search was for: likely the one that makes the next, too. */
struct owners_holder {
	struct process *process; /* a reference, or NULL */
	uint64_t cgroup_id;      /* of its socket */
	uint32_t uid;
	unsigned fd;
	bool accepts, connects; /* which sockets of it were found */
};

/* A process made lately, not yet known to have ended. */
struct owners_recent {
	uint32_t pid;
	bool found; /* to hold a socket the search was for */
};

#define OWNERS_BLIND_MAX 64u

/* A UDP port whose sends are not recorded, or were not until a moment ago. */
struct owners_blind {
	struct process *process; /* a reference: who had it when that began */
	uint64_t cookie;         /* of its socket, the only one on this port then */
	uint64_t until_ns;       /* not `on`: sends before then may be missing */
	uint64_t banned_ns;      /* to be left alone until then */
	uint16_t port;
	bool on;
};

struct owners_filter {
	struct busy busy;
	struct tap_filter wanted, sent;
	uint64_t now_ns;     /* of the latest tick */
	uint64_t check_ns;   /* the next look at the sockets */
	uint64_t relook_ns;  /* all is to be recorded again */
	uint64_t watch_ns;   /* nothing is left out before then */
	uint16_t first_port; /* of the automatic ones */
	size_t n_blind;
	struct owners_blind blind[OWNERS_BLIND_MAX];
};

#define OWNERS_LISTENERS_MAX 64u

/* owner-gone.c: who listens on the ports that are asked for, in one namespace. */
struct owners_listeners {
	uint64_t port[65536 / 64];   /* a bit each that is asked for */
	size_t wanted;               /* questions */
	uint64_t took_ns;            /* CPU time, the last time */
	uint64_t owed_ns, looked_ns; /* what of it is not made up for yet; as of then */
	size_t n;                    /* may be one more than there is room for */
	struct diag_socket at[OWNERS_LISTENERS_MAX];
};

struct owners {
	struct ledger *ledger;
	size_t args_max;
	bool keep_procfs; /* /proc may be searched for sockets at any time */
	bool seeded;
	struct process_cache *processes;
	struct sockets *sockets;
	struct inodes *inodes;
	struct cgroups *cgroups;
	struct links *links;
	struct users *users;
	struct netns_set *spaces; /* ours and those capture opened sockets in */
	struct diag_watch *watch; /* NULL = enrich.tcp_info is off, or refused */
	struct closed *closed;    /* with @watch */
	struct diag_watch_stats closed_counted;
	uint64_t closed_from_ns, closed_ns; /* of the latest two looks */
	/* By number of a namespace: what its links have told, and those of that number before. */
	struct {
		uint64_t sum, seen;
	} traffic[NETNS_MAX];
	bool use_diag;
	struct inherited *from;              /* while it starts; NULL = nothing is */
	bool ambiguous;                      /* the latest look into the tables found several */
	struct seed_inodes *seed_inodes;     /* owner-netns.c: sockets the sweep could not place */
	uint64_t spaces_ns;                  /* next look for addresses of other namespaces */
	uint64_t tidy_ns;                    /* next look for namespaces to let go of */
	struct diag *diag;                   /* NULL = off or refused */
	struct procfs *procfs;               /* NULL = off or not there */
	struct tap_reader *tap;              /* NULL = none yet */
	struct tap_reader_stats tap_counted; /* what of it is in the ledger */
	struct diag_stats diag_counted;
	uint64_t evicted_counted;
	uint64_t alive_counted;        /* likewise */
	uint64_t netns, pidns, userns; /* our own: packets are seen in this one */
	uint64_t now_ns;               /* the latest look at the clock for an answer */
	unsigned now_left;             /* answers that are dated by it, 0 = none */
	uint64_t tap_ns;               /* since when events come */
	uint64_t lost_ns;              /* the latest loss of events */
	uint32_t losses;               /* how many there were */
	uint64_t sweep_ns;             /* no search of /proc before then */
	uint32_t tree_pid;             /* 0 = none, or gone */
	size_t n_poll, n_poll_tap;     /* the tap's come first */
	int *poll_fds;
	size_t early_at; /* where the next one goes: the oldest */
	struct owners_early early[OWNERS_EARLY_MAX];
	uint32_t exec_pid; /* latest exec previewed: who, and its new name */
	char exec_comm[PROCESS_COMM_MAX];
	struct connector *connector; /* NULL = there is a tap, or refused */
	struct connector *changes;   /* the same beside a tap: of users and sessions only */
	uint64_t watched_ns; /* since when every such change is told; UINT64_MAX = it is not */
	uint64_t heard_ns;   /* all changes up to here have been read */
	size_t change_at, n_changes; /* the oldest; they wait for the tap's events before them */
	struct connector_event change[OWNERS_CHANGES_MAX];
	uint64_t life_lost_ns; /* the latest loss of its events */
	uint64_t exited_ns;    /* the latest end of a process that was told */
	unsigned life_reads;   /* of /proc that are left in this batch */
	size_t n_recent;
	struct owners_recent recent[OWNERS_RECENT_MAX]; /* newest first */
	struct owners_holder holder[OWNERS_FOUND_MAX];  /* latest first */
	uint64_t search_spent_ns, search_refill_ns;     /* CPU time; the latest look at the clock */
	bool peek_lost; /* events are missing among those that wait in the rings */
	size_t n_pending;
	struct owners_pending pending[OWNERS_PENDING_MAX];
	struct diag_query lookups[OWNERS_PENDING_MAX];
	uint16_t looked_up[OWNERS_PENDING_MAX]; /* index of each one's question */
	struct procfs_process found;            /* scratch */
	struct process *kernel;                 /* stands for sockets of no process */
	bool init_pidns;                        /* pid 2 makes the kernel's threads */
	bool any_sport; /* this kernel marks a connect's route lookup as such */
	struct owners_filter filter;
	uint64_t seeded_ns; /* the latest sweep; connections that began later were not in it */
	struct owners_listeners listeners;
};

uint64_t owners_now_ns(void);
/* Says of one tier (LEDGER_enrich_tier_*) what `flowner status` shows: enum ledger_tier. */
void owners_set_tier(struct owners *o, enum ledger_enrich counter, uint64_t state);

/* owner-events.c: takes one event of the tap into the tables. */
void owners_apply(void *owners, const struct perf_record *r);
/* The same event, a little earlier: the tables it will be put into come into the cache. */
void owners_foresee(void *owners, const struct perf_record *r);
/* And again before long: what these tables know of it. */
void owners_foresee_next(void *owners, const struct perf_record *r);
/* Events up to @t_ns may be missing. */
void owners_lost(struct owners *o, uint64_t t_ns);

/* owner-filter.c: what the tap is to leave unrecorded. */
void owners_filter_init(struct owners *o);
void owners_filter_deinit(struct owners *o);
/* A new tap records everything. */
void owners_filter_reset(struct owners *o);
/* A listener on @port: who closes its connections is to be recorded. */
void owners_filter_listener(struct owners *o, uint16_t port);
/* Decides anew, if it is time for that; asks the kernel. */
void owners_filter_tick(struct owners *o);
/* Whether a UDP claim is the latest word: no send from its port went unrecorded since. */
bool owners_filter_trusts(const struct owners *o, const struct socket_claim *c);
/* Who sends from the socket of @cookie, when the sends of q's local port are not recorded. */
struct process *owners_filter_holder(
	struct owners *o, const struct owner_query *q, uint64_t cookie);

/* owner-tables.c: ICMP and raw sockets, whose route lookups name no port. */
bool owners_try_icmp(struct owners *o, const struct owner_query *q, struct owner *answer);
/* The sender of a packet that no socket of its own protocol sent. */
bool owners_try_raw(struct owners *o, const struct owner_query *q, struct owner *answer);

/* owner-early.c: reads the command lines of new programs whose exec event lacks it. */
void owners_read_early(struct owners *o);
/* What was read for the exec of @pid at @t_ns; the caller's reference, NULL = nothing. */
struct text *owners_take_early(struct owners *o, uint32_t pid, uint64_t t_ns, bool *ret_cut);

/* owner-seed.c: processes and their sockets as they are now, or as @fd says if it is not -1. */
int owners_seed(struct owners *o, int fd);
/* Copies what was read from /proc where @p does not know better. */
void owners_fill_process(struct owners *o, struct process *p, const struct procfs_process *from);

/* A socket of a known process becomes a claim in the table of its kind. */
void owners_claim(struct owners *o, const struct diag_socket *s, uint64_t netns);

/* owner-closed.c: opens the watch for closed sockets; reads it, at most ten times a second. */
void owners_closed_open(struct owners *o);
void owners_closed_free(struct owners *o);
void owners_closed_read(struct owners *o, uint64_t t_ns);

/* owner-netns.c: the sweep saw @p hold a socket that is none of our own namespace's. */
void owners_seed_later(struct owners *o, struct process *p, unsigned fd, uint64_t inode);
void owners_seed_free(struct owners *o);
/* The namespace @q was seen in; NULL = not known (any more). */
const struct netns *owners_home(const struct owners *o, const struct owner_query *q);
struct socket_scope owners_scope(struct owners *o, const struct owner_query *q);
/* Whether the kernel can be asked for @q, in whichever namespace. */
bool owners_can_ask(struct owners *o, const struct owner_query *q, bool local);
/* Asks it for everything pending, and leaves in each what was found. */
void owners_look_up(struct owners *o);
/* A process that is still in the namespace @inode, 0 = none is known; for netns_set_tidy(). */
uint32_t owners_heir(void *owners, uint64_t inode);
/*
 * owner-gone.c: whether the kernel has let go of the socket of @q, so that asking for it names
 * nobody. Only without a tap.
 */
bool owners_is_gone(struct owners *o, const struct owner_query *q);
/* Listeners of @port will be asked for. */
void owners_listeners_want(struct owners *o, uint16_t port);
/* Reads them all at once, from @d; false = each question is to be asked for itself. */
bool owners_listeners_read(struct owners *o, struct diag *d);
/* The only one that takes connections of @k; false = it takes the kernel to say which. */
bool owners_listeners_find(
	const struct owners *o, const struct socket_key *k, struct diag_query *ret);

/* What the sock_diag sockets of all namespaces counted. */
struct diag_stats owners_diag_stats(const struct owners *o);

/* owner-changes.c: users and sessions of processes as they change, beside a tap. */
void owners_watch_changes(struct owners *o);
/* One such event of a process. */
void owners_apply_change(struct owners *o, const struct connector_event *e);
/* Reads what there is. */
void owners_hear_changes(struct owners *o);
/* Those up to @t_ns into the process cache. */
void owners_apply_changes(struct owners *o, uint64_t t_ns);

/* owner-life.c: takes what the process connector has to say. */
void owners_hear(struct owners *o);
/* The same without a look at /proc: o->found stays. */
void owners_hear_only(struct owners *o);

/* owner-search.c: CPU time of this thread: being preempted is not charged. */
uint64_t owners_cpu_ns(void);
/* Who holds the sockets of all pending questions, by looking; rate-limited. */
void owners_search(struct owners *o);

/*
 * owner-holds.c: whether @h's process holds the socket still, @t_ns or later. Without a tap nothing
 * tells that it was closed or passed on: then it is looked at, or the claim is not believed.
 */
enum owners_holds {
	OWNERS_HOLDS_NOT,
	OWNERS_HOLDS_LIKELY, /* it has not ended nor made a child since */
	OWNERS_HOLDS,
};
enum owners_holds owners_still_holds(struct owners *o, const struct inode_holder *h, uint64_t t_ns);

/* owner.c: gives @answer this owner, unless it already has a better one. */
void owners_answer(struct owners *o, const struct owner_query *q, struct owner *answer,
	struct process *p, enum record_method method, enum record_confidence confidence,
	uint64_t cgroup_id);

/* owner-trust.c: whether @c is the last word about @q, so that it needs no proof. */
bool owners_trusts(
	const struct owners *o, const struct owner_query *q, const struct socket_claim *c);
#define CONNECT_MAX_NS UINT64_C(1000000000) /* connect(2) begun -> its SYN seen, at the most */
/* What was told of @q's socket, believed or not, of a process still there; NULL = nothing. */
const struct socket_claim *owners_candidate(struct owners *o, const struct owner_query *q);

/*
 * owner-trust.c: whether the UDP socket that had @w's port at @looked_ns, which was found without a
 * tap, had it when the flow began.
 */
bool owners_is_as_old(const struct owners *o, const struct owners_pending *w, uint64_t looked_ns);

/* owner-tables.c: answers from the tables alone. */
/* Whether nobody can have told of a TCP connection yet: what there is is about an earlier one. */
bool owners_is_untold(const struct owners *o, const struct owner_query *q);
/* Whether q's record will ask again in good time, and better: who closes it will have been told. */
bool owners_can_wait(const struct owners *o, const struct owner_query *q);
bool owners_take_claim(struct owners *o, const struct owner_query *q, struct owner *answer,
	const struct socket_claim *c, enum record_confidence sure);
bool owners_try_tables(struct owners *o, const struct owner_query *q, struct owner *answer);
void owners_query_key(const struct owner_query *q, struct socket_key *ret);
/* No owner, and why. */
void owners_give_up(struct owners *o, const struct owner_query *q, struct owner *answer,
	enum record_unknown why);
