/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two observers that look for the owner when libpcap shows a connection's first packet: through
 * /proc/net or through sock_diag to the inode, then by a /proc walk.
 *
 * Both assume that socket and process outlive the look-up. The walk tries the last owner found,
 * then the youngest process first, and ends where the inode is.
 */
#include "bench/methods/packets.h"
#include "bench/methods/procs.h"
#include "bench/methods/sock-diag.h"

struct lookup {
	const struct packet *packet;
	unsigned long inode;
};

static bool is_socket(const struct proc_socket *s, void *userdata)
{
	struct lookup *l = userdata;

	/* Ports alone: loads come from one address. */
	if (s->local_port != l->packet->sport)
		return false;
	l->inode = s->inode;
	return true;
}

static unsigned long inode_by_proc(const struct packet *p)
{
	struct lookup l = {.packet = p};

	procs_each_socket(p->proto == IPPROTO_UDP ? "udp" : "tcp", p->dport, is_socket, &l);
	return l.inode;
}

static void run(
	const struct observe_options *o, unsigned long (*find_inode)(const struct packet *p))
{
	struct packet p;

	packets_open(o);
	observe_ready();
	while (observe_wait(packets_fd(), -1)) {
		while (packets_next(&p)) {
			unsigned long inode = find_inode(&p);
			pid_t pid = inode ? procs_owner(inode) : 0;

			if (pid)
				observe_report(p.t_ns, p.proto, p.sport, pid, (uid_t)-1);
		}
	}
}

void walk_run(const struct observe_options *o)
{
	run(o, inode_by_proc);
}

void diag_run(const struct observe_options *o)
{
	sock_diag_open();
	run(o, sock_diag_inode);
}
