/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets that were closed a moment ago. */
#include "enrich/closed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

struct entry {
	uint64_t from_ns, to_ns; /* closed between these; to_ns 0 = free */
	uint64_t cookie;
	struct socket_key key;
	struct diag_info info;
	uint32_t next[2]; /* in the buckets by cookie and by tuple */
};

enum { BY_COOKIE, BY_TUPLE };

struct closed {
	uint64_t seed[2];
	size_t max, at, buckets; /* a power of two */
	struct entry *entry;
	uint32_t *bucket[2];
};

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 32;
}

static uint32_t *bucket_of(
	const struct closed *c, int by, uint64_t cookie, const struct socket_key *k)
{
	uint64_t h = c->seed[0], part[2];

	if (by == BY_COOKIE) {
		h = mix(h, cookie);
	} else {
		memcpy(part, k->remote_addr, sizeof(part));
		h = mix(mix(h, part[0]), part[1]);
		memcpy(part, k->local_addr, sizeof(part));
		h = mix(mix(h, part[0]), part[1]);
		h = mix(h, (uint64_t)k->local_port << 16 | k->remote_port);
	}
	return &c->bucket[by][mix(h, c->seed[1]) >> 16 & (c->buckets - 1)];
}

int closed_new(size_t max, const uint64_t seed[2], struct closed **ret)
{
	struct closed *c;

	if (!max || max >= NONE)
		return -EINVAL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	memcpy(c->seed, seed, sizeof(c->seed));
	c->max = max;
	for (c->buckets = 16; c->buckets < max; c->buckets *= 2)
		;
	c->entry = calloc(max, sizeof(*c->entry));
	for (int by = 0; by < 2; by++) {
		c->bucket[by] = malloc(c->buckets * sizeof(**c->bucket));
		if (c->bucket[by])
			memset(c->bucket[by], 0xff, c->buckets * sizeof(**c->bucket));
	}
	if (!c->entry || !c->bucket[0] || !c->bucket[1]) {
		closed_free(c);
		return -ENOMEM;
	}
	*ret = c;
	return 0;
}

void closed_free(struct closed *c)
{
	if (!c)
		return;
	free(c->entry);
	free(c->bucket[0]);
	free(c->bucket[1]);
	free(c);
}

static void unlink_entry(struct closed *c, struct entry *e)
{
	uint32_t i = (uint32_t)(e - c->entry);

	for (int by = 0; by < 2; by++) {
		uint32_t *at = bucket_of(c, by, e->cookie, &e->key);

		while (*at != i)
			at = &c->entry[*at].next[by];
		*at = e->next[by];
	}
}

void closed_add(struct closed *c, const struct diag_socket *s, uint64_t from_ns, uint64_t to_ns)
{
	struct entry *e = &c->entry[c->at];

	if (!s->have_info || !s->cookie || !to_ns)
		return;
	if (e->to_ns)
		unlink_entry(c, e);
	*e = (struct entry){.from_ns = from_ns,
		.to_ns = to_ns,
		.cookie = s->cookie,
		.key = s->key,
		.info = s->info};
	for (int by = 0; by < 2; by++) {
		uint32_t *bucket = bucket_of(c, by, e->cookie, &e->key);

		e->next[by] = *bucket;
		*bucket = (uint32_t)c->at;
	}
	c->at = (c->at + 1) % c->max;
}

const struct diag_info *closed_find(const struct closed *c, uint64_t cookie,
	const struct socket_key *k, uint64_t since_ns, bool *ret_sure)
{
	const int by = cookie ? BY_COOKIE : BY_TUPLE;
	const struct entry *found = NULL;

	for (uint32_t i = *bucket_of(c, by, cookie, k); i != NONE; i = c->entry[i].next[by]) {
		const struct entry *e = &c->entry[i];

		if (cookie ? e->cookie != cookie
			   : e->to_ns < since_ns || memcmp(&e->key, k, sizeof(*k)) != 0)
			continue;
		if (found)
			return NULL;
		found = e;
	}
	if (!found)
		return NULL;
	*ret_sure = cookie || found->from_ns >= since_ns;
	return &found->info;
}
