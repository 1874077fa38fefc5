/* SPDX-License-Identifier: Apache-2.0 */
/* Processes met before, found by their bytes. */
#include "sink/known.h"

#include <string.h>

char *known_bytes_put(struct known_bytes *b, size_t len, uint64_t *ret_pos)
{
	uint64_t pos = b->pos;

	if (pos % KNOWN_BYTES + len > KNOWN_BYTES)
		pos += KNOWN_BYTES - pos % KNOWN_BYTES;
	b->pos = pos + len;
	*ret_pos = pos;
	return b->area + pos % KNOWN_BYTES;
}

/* Keys -------------------------------------------------------------------------------------- */

#define STRINGS                                                                                    \
	((sizeof(struct record_process) - offsetof(struct record_process, name)) /                 \
		sizeof(struct record_str))
#define LANES 4u /* of a vector */

typedef uint32_t words __attribute__((vector_size(16)));
typedef int32_t signs __attribute__((vector_size(16)));

_Static_assert(STRINGS <= 4 * LANES, "the strings fit the vectors");

struct key {
	struct record_process process;
	const char *strings;
	uint32_t strings_len, strings_sum, hash;
};

static inline signs choose(signs which, signs yes, signs no)
{
	return (yes & which) | (no & ~which);
}

/*
 * The process with its strings' offsets counted from the first of their bytes. False: no key, as
 * a string would reach beyond the area or is empty in an odd place.
 */
static bool key_make(struct key *k, const struct record *r, const struct record_process *p)
{
	union {
		words v[4];
		struct record_str s[4 * LANES];
	} u = {0};
	signs first = (signs){} + UINT16_MAX, end = {}, sum = {}, odd = {}, there, from, reach, len;
	uint32_t base, to;

	k->process = *p;
	memcpy(u.s, &p->name, STRINGS * sizeof(u.s[0]));
	for (size_t i = 0; i < 4; i++) {
		from = (signs)(u.v[i] & 0xffff);
		len = (signs)(u.v[i] >> 16);
		there = len > 0;
		odd |= from & ~there;
		from |= ~there & UINT16_MAX;
		first = choose(from < first, from, first);
		reach = (from & there) + len;
		end = choose(reach > end, reach, end);
		sum += len;
	}
	base = (uint32_t)first[0];
	to = (uint32_t)end[0];
	for (size_t i = 1; i < LANES; i++) {
		base = (uint32_t)first[i] < base ? (uint32_t)first[i] : base;
		to = (uint32_t)end[i] > to ? (uint32_t)end[i] : to;
	}
	if ((odd[0] | odd[1] | odd[2] | odd[3]) || to > r->strings_len)
		return false;
	if (base > to)
		base = to; /* no string at all */
	for (size_t i = 0; i < 4; i++)
		u.v[i] -= (words)((signs)(u.v[i] >> 16) > 0) & base;
	memcpy(&k->process.name, u.s, STRINGS * sizeof(u.s[0]));
	k->process.latency_ns = p->latency_ns != 0;
	k->strings = r->strings + base;
	k->strings_len = to - base;
	k->strings_sum = (uint32_t)(sum[0] + sum[1] + sum[2] + sum[3]);
	return k->strings_len <= KNOWN_MOST - sizeof(k->process);
}

/* Tells apart what there is most of: other processes, and other programs of the same. */
static uint32_t key_hash(const struct key *k)
{
	const struct record_process *p = &k->process;
	uint64_t h = p->start_ns ^ (uint64_t)p->pid << 32 ^ p->cgroup_id ^ (uint64_t)p->uid << 8;

	h = (h ^ h >> 29 ^ p->method ^ (uint64_t)p->flags << 4 ^ (uint64_t)k->strings_len << 16) *
	    UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(h >> 32);
}

/* Given so far, in all tables: a format may be used with several. */
static uint64_t ids;

/* Slots ------------------------------------------------------------------------------------- */

static bool is_same(const struct known *k, const struct known_slot *s, const struct key *key)
{
	const char *bytes;

	if (s->hash != key->hash || s->strings_len != key->strings_len || !s->id)
		return false;
	bytes = known_bytes_get(&k->keys, s->pos);
	return bytes && !memcmp(bytes, &key->process, sizeof(key->process)) &&
	       !memcmp(bytes + sizeof(key->process), key->strings, key->strings_len);
}

static const struct known_slot *find(
	const struct known *k, const struct key *key, struct known_end *ret)
{
	uint32_t first = key->hash % KNOWN_SETS * KNOWN_WAYS;

	for (uint32_t i = first; i < first + KNOWN_WAYS; i++)
		if (is_same(k, &k->slot[i], key)) {
			*ret = (struct known_end){.id = k->slot[i].id, .slot = i};
			return &k->slot[i];
		}
	return NULL;
}

/* In the place of its set's oldest. */
static void add(struct known *k, const struct key *key, struct known_end *ret)
{
	uint32_t first = key->hash % KNOWN_SETS * KNOWN_WAYS, at = first;
	struct known_slot *s;
	char *bytes;

	for (uint32_t i = first; i < first + KNOWN_WAYS; i++)
		if (k->slot[i].id < k->slot[at].id)
			at = i;
	s = &k->slot[at];
	k->evicted += s->id != 0;
	*s = (struct known_slot){.id = __atomic_add_fetch(&ids, 1, __ATOMIC_RELAXED),
		.hash = key->hash,
		.strings_len = key->strings_len,
		.strings_sum = key->strings_sum};
	bytes = known_bytes_put(&k->keys, sizeof(key->process) + key->strings_len, &s->pos);
	memcpy(bytes, &key->process, sizeof(key->process));
	memcpy(bytes + sizeof(key->process), key->strings, key->strings_len);
	*ret = (struct known_end){.id = s->id, .slot = at};
}

/* Checks ------------------------------------------------------------------------------------ */

static size_t sum_of(const struct record_process *p)
{
	return (size_t)p->name.len + p->exe.len + p->args.len + p->cwd.len + p->cgroup.len +
	       p->parent_name.len + p->ancestors.len + p->user.len + p->group.len + p->unit.len +
	       p->user_unit.len + p->container.len + p->pod.len;
}

/* *ret_sum: the lengths of its strings. */
static int check_process(struct known *k, const struct record *r, const struct record_process *p,
	size_t *ret_sum, struct known_end *ret)
{
	const struct known_slot *s = NULL;
	struct key key;
	int e;

	*ret = (struct known_end){0};
	if (k && key_make(&key, r, p)) {
		key.hash = key_hash(&key);
		s = find(k, &key, ret);
		if (s) {
			*ret_sum += s->strings_sum;
			return 0;
		}
	} else {
		k = NULL;
	}
	e = record_check_process(r, p);
	if (e)
		return e;
	*ret_sum += sum_of(p);
	if (k)
		add(k, &key, ret);
	return 0;
}

int known_check(struct known *k, const struct record *r, size_t len, struct known_ends *ret_ends)
{
	int e = record_check_flow(r, len);
	size_t sum;

	if (e)
		return e;
	sum = (size_t)r->ifname.len + r->netns.len + r->name.len + r->server_name.len +
	      r->alpn.len + r->dns_query.len + r->dns_answers.len + r->packet.len;
	e = check_process(k, r, &r->orig, &sum, &ret_ends->orig);
	if (e == 0)
		e = check_process(k, r, &r->resp, &sum, &ret_ends->resp);
	if (e)
		return e;
	return sum > RECORD_STRINGS_MAX ? RECORD_E_STRING : 0;
}
