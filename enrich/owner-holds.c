/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a process holds a socket still that it was seen to hold. */
#include <errno.h>

#include "enrich/owner-internal.h"

enum owners_holds owners_still_holds(struct owners *o, const struct inode_holder *h, uint64_t t_ns)
{
	const struct process *p = h->process;
	uint64_t inode;
	int r;

	if (!process_alive_at(p, t_ns))
		return OWNERS_HOLDS_NOT;
	if (o->tap)
		return OWNERS_HOLDS; /* it would have told */
	if (!o->procfs)
		return OWNERS_HOLDS_NOT;
	r = procfs_socket_at(o->procfs, p->pid, h->fd, &inode);
	if (r == 0 && inode != h->number)
		return OWNERS_HOLDS_NOT;
	if (r == -EACCES) {
		/* Nobody may look. Somebody holds it: who has no child to pass it on to, then. */
		owners_hear(o);
		return o->connector && !p->exit_ns && !p->fork_ns && !o->life_lost_ns
			       ? OWNERS_HOLDS_LIKELY
			       : OWNERS_HOLDS_NOT;
	}
	if (r < 0)
		return OWNERS_HOLDS_NOT;
	if (o->connector && !o->life_lost_ns)
		return OWNERS_HOLDS;
	/* No exit would have been told: the pid may be another's by now. */
	return procfs_read(o->procfs, p->pid, 0, &o->found) == 0 && p->start_ns &&
			       o->found.start_ns < p->start_ns + PROCESS_START_SLACK_NS &&
			       p->start_ns < o->found.start_ns + PROCESS_START_SLACK_NS
		       ? OWNERS_HOLDS
		       : OWNERS_HOLDS_NOT;
}
