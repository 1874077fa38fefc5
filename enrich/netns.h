/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network namespaces that can be asked: number 0 is our own, the others came from capture, each
 * with a sock_diag and an rtnetlink socket made inside.
 *
 * An address of none of them is remote, or in a namespace that is younger than capture. Loopback
 * addresses are in every namespace and never lead out of one.
 *
 * Threads: one. Blocks: two rtnetlink dumps for each new one. Logs: no. Errors: 0, -errno.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/handover.h"
#include "enrich/diag.h"
#include "enrich/links.h"

#define NETNS_MAX  257u /* our own and what capture may find */
#define NETNS_NONE UINT16_MAX

struct netns {
	uint64_t inode;
	struct links *links;
	struct diag *diag; /* NULL = sock_diag is off */
	struct handover_netns_entry entry;
};

struct netns_set;

/* @links and @diag are our own namespace's; they stay the caller's. */
int netns_set_new(uint64_t inode, struct links *links, struct diag *diag, struct netns_set **ret);
void netns_set_free(struct netns_set *s);

/* Forgets all others: capture is about to say anew which there are. */
void netns_set_clear(struct netns_set *s);
/*
 * One more; both descriptors become ours, and are closed on an error. With @use_diag false only its
 * addresses are used. *ret: its number.
 */
int netns_set_add(struct netns_set *s, const struct handover_netns_entry *e, const int fds[2],
	bool use_diag, size_t *ret);

/*
 * Takes in addresses that have changed. One system call, whose cost grows with the namespaces: to
 * be called before packets are looked at, not for each of them.
 */
void netns_set_read(struct netns_set *s);
#define NETNS_TIDY 32u
/*
 * Looks at the next NETNS_TIDY of them and closes what handover_netns_alive() calls gone, unless
 * @heir knows another process in the namespace of this inode; 0 = none. Packets seen inside come no
 * more then in any case.
 */
typedef uint32_t (*netns_heir_fn)(void *arg, uint64_t inode);
void netns_set_tidy(struct netns_set *s, netns_heir_fn heir, void *arg);

/* By number; NULL = none of that number (any more). Numbers stay while a namespace is there. */
const struct netns *netns_at(const struct netns_set *s, size_t number);
size_t netns_number(const struct netns_set *s, const struct netns *n);
/* One past the largest number. */
size_t netns_end(const struct netns_set *s);
/* The one whose packets carry @captured (packet_head.netns); NULL = not known. */
const struct netns *netns_captured(const struct netns_set *s, unsigned captured);
/* Whether packets are seen in any but our own. */
bool netns_captured_elsewhere(const struct netns_set *s);
const struct netns *netns_by_inode(const struct netns_set *s, uint64_t inode);
/* What it is called: its name under /run/netns, else its path. */
const char *netns_name(const struct netns *n);

/* The namespaces that have the 16-byte address @addr: *ret is an array of their numbers. */
size_t netns_holders(struct netns_set *s, const uint8_t addr[16], const uint16_t **ret);

/* What their sock_diag sockets counted, of those let go too; our own not. */
struct diag_stats netns_diag_stats(const struct netns_set *s);
