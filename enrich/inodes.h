/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which process was seen to hold which socket inode: a bounded queue with a hash over it, the
 * oldest makes room. A host may have as many as there is room for, so an entry is small. Pure.
 *
 * Threads: one. Blocks: no. Logs: no. Errors: 0, -errno.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "enrich/process.h"

#define INODES_MAX 65536u /* as many as owners remember */

struct inode_holder {
	uint64_t number;
	uint64_t cookie;         /* of its socket; 0 = unknown */
	uint64_t t_ns;           /* from when on it holds */
	struct process *process; /* a reference held by the table */
	uint32_t fd;             /* the process's descriptor it was seen at */
	uint16_t local_port;
	uint8_t method; /* enum record_method: SEED, PROCFS */
	bool shared;    /* several processes hold it */
};

struct inodes;

/* @seed: the numbers are the kernel's, but whoever opens sockets chooses among them. */
int inodes_new(size_t max, const uint64_t seed[2], struct inodes **ret);
void inodes_free(struct inodes *s);

/*
 * Copies @h and takes its own reference on h->process; a second process makes it `shared`. Out of
 * memory does not happen: the table is allocated at its full size, and touched as it fills.
 */
void inodes_add(struct inodes *s, const struct inode_holder *h);
/* Whoever was seen to hold it holds it no more. */
void inodes_remove(struct inodes *s, uint64_t number);
/*
 * @cookie (0 = unknown) tells a socket from an earlier one whose inode number it has. NULL =
 * nobody. Valid until the next add.
 */
const struct inode_holder *inodes_find(const struct inodes *s, uint64_t number, uint64_t cookie);
