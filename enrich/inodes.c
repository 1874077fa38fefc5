/* SPDX-License-Identifier: Apache-2.0 */
/* Which process was seen to hold which socket inode. */
#include "enrich/inodes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shm/record.h"

#define NONE          UINT32_MAX
#define KEPT_IN_A_ROW 64 /* of the start's that are stepped over before one goes */

struct entry {
	struct inode_holder holder; /* process NULL: free */
	uint32_t next, prev;        /* in the bucket; NONE = its last, its first */
};

_Static_assert(sizeof(struct entry) == 48, "no holes: there are as many as sockets");

struct inodes {
	uint64_t seed[2];
	size_t max;
	size_t buckets; /* a power of two */
	size_t at;      /* where the next entry goes: the oldest */
	struct entry *entry;
	uint32_t *bucket;
};

int inodes_new(size_t max, const uint64_t seed[2], struct inodes **ret)
{
	struct inodes *s;

	if (!max || max >= NONE)
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	memcpy(s->seed, seed, sizeof(s->seed));
	s->max = max;
	for (s->buckets = 16; s->buckets < 2 * max; s->buckets *= 2)
		;
	/* calloc() takes a block of this size as untouched zero pages. */
	s->entry = calloc(max, sizeof(*s->entry));
	s->bucket = malloc(s->buckets * sizeof(*s->bucket));
	if (!s->entry || !s->bucket) {
		inodes_free(s);
		return -ENOMEM;
	}
	memset(s->bucket, 0xff, s->buckets * sizeof(*s->bucket));
	*ret = s;
	return 0;
}

void inodes_free(struct inodes *s)
{
	if (!s)
		return;
	for (size_t i = 0; s->entry && i < s->max; i++)
		process_unref(s->entry[i].holder.process);
	free(s->entry);
	free(s->bucket);
	free(s);
}

static uint32_t *bucket_of(const struct inodes *s, uint64_t number)
{
	uint64_t h = (number ^ s->seed[0]) * UINT64_C(0x9e3779b97f4a7c15);

	h = ((h ^ h >> 32) ^ s->seed[1]) * UINT64_C(0x9e3779b97f4a7c15);
	return &s->bucket[h >> 32 & (s->buckets - 1)];
}

static struct entry *find(const struct inodes *s, uint64_t number)
{
	uint32_t i = *bucket_of(s, number);

	while (i != NONE && s->entry[i].holder.number != number)
		i = s->entry[i].next;
	return i == NONE ? NULL : &s->entry[i];
}

static void drop(struct inodes *s, struct entry *e)
{
	if (e->prev == NONE)
		*bucket_of(s, e->holder.number) = e->next;
	else
		s->entry[e->prev].next = e->next;
	if (e->next != NONE)
		s->entry[e->next].prev = e->prev;
	process_unref(e->holder.process);
	e->holder.process = NULL;
}

/*
 * What the sweep at the start found is told once and never again: it stays while its process
 * lives, unless there is nothing else to give up.
 */
static bool is_kept(const struct inode_holder *h)
{
	return h->process && h->method == RECORD_METHOD_SEED && !h->process->exit_ns;
}

static void put(struct inodes *s, const struct inode_holder *h)
{
	uint32_t *bucket = bucket_of(s, h->number);
	struct entry *e;

	for (unsigned n = 0; n < KEPT_IN_A_ROW && is_kept(&s->entry[s->at].holder); n++)
		s->at = (s->at + 1) % s->max;
	e = &s->entry[s->at];
	process_ref(h->process);
	if (e->holder.process)
		drop(s, e);
	*e = (struct entry){.holder = *h, .next = *bucket, .prev = NONE};
	if (*bucket != NONE)
		s->entry[*bucket].prev = (uint32_t)s->at;
	*bucket = (uint32_t)s->at;
	s->at = (s->at + 1) % s->max;
}

/* Cookies are never given twice; inode numbers are. */
static bool other_socket(const struct inode_holder *h, uint64_t cookie)
{
	return h->cookie && cookie && h->cookie != cookie;
}

void inodes_add(struct inodes *s, const struct inode_holder *h)
{
	struct entry *e = find(s, h->number);

	if (e && !other_socket(&e->holder, h->cookie)) {
		if (!e->holder.cookie)
			e->holder.cookie = h->cookie;
		if (e->holder.process == h->process) {
			e->holder.fd = h->fd;
			return;
		}
		if (process_alive_at(e->holder.process, h->t_ns)) {
			e->holder.shared = true;
			return;
		}
	}
	if (e)
		drop(s, e);
	put(s, h);
}

void inodes_remove(struct inodes *s, uint64_t number)
{
	struct entry *e = find(s, number);

	if (e)
		drop(s, e);
}

const struct inode_holder *inodes_find(const struct inodes *s, uint64_t number, uint64_t cookie)
{
	const struct entry *e = find(s, number);

	return e && !other_socket(&e->holder, cookie) ? &e->holder : NULL;
}
