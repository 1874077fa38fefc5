/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Polls /proc/net and, when it shows a socket not seen before, walks /proc/PID/fd for its owner.
 *
 * Assumes that a connection lives until the next look; walks once a look, for all new sockets.
 */
#include "bench/methods/procs.h"

#include <netinet/in.h>
#include <stddef.h>

#define SEEN_SIZE 65536u /* inodes remembered; one that is forgotten is reported twice */
#define NEW_MAX   4096u  /* new sockets looked for in one walk; the others wait for the next */

static unsigned long seen[SEEN_SIZE];
static struct proc_socket found[NEW_MAX];
static size_t n_found, n_open;

static bool note_new(const struct proc_socket *s, void *userdata)
{
	(void)userdata;
	if (s->inode && seen[s->inode % SEEN_SIZE] != s->inode)
		found[n_found++] = *s;
	return n_found == NEW_MAX;
}

static bool name_owner(pid_t pid, unsigned long inode, void *userdata)
{
	const uint64_t *now = userdata;

	for (size_t i = 0; i < n_found; i++) {
		if (found[i].inode != inode || seen[inode % SEEN_SIZE] == inode)
			continue;
		seen[inode % SEEN_SIZE] = inode;
		observe_report(*now, found[i].proto, found[i].local_port, pid, (uid_t)-1);
		n_open--;
	}
	return n_open == 0;
}

void poll_run(const struct observe_options *o)
{
	static const char *const files[] = {"tcp", "tcp6", "udp", "udp6"};

	observe_ready();
	while (observe_wait(-1, (int)o->period_ms)) {
		uint64_t now = observe_now_ns();

		n_found = 0;
		for (size_t i = 0; i < 4 && n_found < NEW_MAX; i++)
			procs_each_socket(files[i], o->port, note_new, NULL);
		n_open = n_found;
		if (n_open)
			procs_each(name_owner, &now);
	}
}
