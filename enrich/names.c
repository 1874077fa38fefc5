/* SPDX-License-Identifier: Apache-2.0 */
/* The bounded memory of which name an address was last resolved from on this host. */
#include "enrich/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "enrich/flow-slots.h"

#define NONE UINT32_MAX

struct names_entry {
	struct flow_id id; /* address and namespace */
	struct name *name;
	uint64_t t_ns;
	uint64_t until_ns;
	uint32_t hash;
	uint32_t chain; /* next of the same bucket */
	uint32_t newer, older;
};

struct names {
	uint64_t seed[2];
	uint32_t max, n;
	uint32_t newest, oldest; /* by use */
	uint64_t evicted;
	uint32_t mask;
	uint32_t *bucket;
	struct names_entry *entry;
};

struct name *name_new(const char *text, size_t len)
{
	struct name *n = malloc(sizeof(*n) + len);

	if (!n)
		return NULL;
	n->refs = 1;
	n->len = (uint16_t)len;
	memcpy(n->text, text, len);
	return n;
}

struct name *name_ref(struct name *n)
{
	n->refs++;
	return n;
}

void name_unref(struct name *n)
{
	if (n && !--n->refs)
		free(n);
}

int names_new(uint32_t max, struct names **ret)
{
	struct names *n = calloc(1, sizeof(*n));
	uint32_t buckets = 1;

	if (!n)
		return -ENOMEM;
	while (buckets < max)
		buckets *= 2;
	*n = (struct names){.max = max, .newest = NONE, .oldest = NONE, .mask = buckets - 1};
	n->bucket = malloc(buckets * sizeof(*n->bucket));
	n->entry = calloc(max, sizeof(*n->entry));
	if (!n->bucket || !n->entry) {
		names_free(n);
		return -ENOMEM;
	}
	memset(n->bucket, 0xff, buckets * sizeof(*n->bucket));
	if (getrandom(n->seed, sizeof(n->seed), 0) != (ssize_t)sizeof(n->seed)) {
		names_free(n);
		return -EIO;
	}
	*ret = n;
	return 0;
}

void names_free(struct names *n)
{
	if (!n)
		return;
	for (uint32_t i = 0; n->entry && i < n->n; i++)
		name_unref(n->entry[i].name);
	free(n->entry);
	free(n->bucket);
	free(n);
}

static struct flow_id id_of(uint8_t netns, const uint8_t addr[16])
{
	struct flow_id id = {.w = {[4] = netns}};

	memcpy(id.w, addr, 16);
	return id;
}

static uint32_t find(const struct names *n, const struct flow_id *id, uint32_t hash)
{
	uint32_t i = n->bucket[hash & n->mask];

	while (i != NONE && (n->entry[i].hash != hash || !flow_id_equal(&n->entry[i].id, id)))
		i = n->entry[i].chain;
	return i;
}

static void unlink_use(struct names *n, uint32_t i)
{
	struct names_entry *e = &n->entry[i];

	if (e->newer == NONE)
		n->newest = e->older;
	else
		n->entry[e->newer].older = e->older;
	if (e->older == NONE)
		n->oldest = e->newer;
	else
		n->entry[e->older].newer = e->newer;
}

static void link_newest(struct names *n, uint32_t i)
{
	n->entry[i].newer = NONE;
	n->entry[i].older = n->newest;
	if (n->newest == NONE)
		n->oldest = i;
	else
		n->entry[n->newest].newer = i;
	n->newest = i;
}

/* Takes the entry used longest ago out of everything. */
static uint32_t evict(struct names *n, uint64_t t_ns)
{
	uint32_t i = n->oldest, *at = &n->bucket[n->entry[i].hash & n->mask];

	while (*at != i)
		at = &n->entry[*at].chain;
	*at = n->entry[i].chain;
	unlink_use(n, i);
	name_unref(n->entry[i].name);
	/* One that had run out is no loss. */
	n->evicted += n->entry[i].until_ns > t_ns;
	return i;
}

void names_learn(struct names *n, uint8_t netns, const uint8_t addr[16], struct name *name,
	uint32_t ttl_s, uint64_t t_ns)
{
	uint64_t keep_ns = (uint64_t)(ttl_s < NAMES_TTL_MAX_S ? ttl_s : NAMES_TTL_MAX_S) *
			   UINT64_C(1000000000);
	struct flow_id id = id_of(netns, addr);
	uint32_t hash = (uint32_t)flow_id_hash(&id, n->seed), i = find(n, &id, hash);
	struct names_entry *e;

	if (keep_ns < NAMES_KEEP_NS)
		keep_ns = NAMES_KEEP_NS;
	if (i != NONE) {
		e = &n->entry[i];
		unlink_use(n, i);
		name_unref(e->name);
	} else {
		i = n->n < n->max ? n->n++ : evict(n, t_ns);
		e = &n->entry[i];
		e->id = id;
		e->hash = hash;
		e->chain = n->bucket[hash & n->mask];
		n->bucket[hash & n->mask] = i;
	}
	e->name = name_ref(name);
	e->t_ns = t_ns;
	e->until_ns = t_ns + keep_ns;
	link_newest(n, i);
}

struct name *names_find(
	struct names *n, uint8_t netns, const uint8_t addr[16], uint64_t t_ns, uint64_t *ret_age_ns)
{
	struct flow_id id = id_of(netns, addr);
	uint32_t i;

	if (!n->n)
		return NULL;
	i = find(n, &id, (uint32_t)flow_id_hash(&id, n->seed));
	if (i == NONE || n->entry[i].t_ns > t_ns || n->entry[i].until_ns <= t_ns)
		return NULL;
	unlink_use(n, i);
	link_newest(n, i);
	*ret_age_ns = t_ns - n->entry[i].t_ns;
	return n->entry[i].name;
}

uint64_t names_count(const struct names *n)
{
	return n->n;
}

uint64_t names_evicted(const struct names *n)
{
	return n->evicted;
}
