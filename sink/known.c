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

/* Four strings: the lower half of each is the offset, the upper the length. */
typedef int32_t four __attribute__((vector_size(16)));

_Static_assert(STRINGS == 13 && offsetof(struct record_process, pod) ==
					sizeof(struct record_process) - sizeof(struct record_str),
	"three vectors of strings and one more");

struct key {
	struct record_process process;
	const char *strings;
	uint32_t strings_len, hash, first;
};

static inline four lengths(four v)
{
	typedef uint32_t unsigned_four __attribute__((vector_size(16)));

	return (four)((unsigned_four)v >> 16);
}

static uint32_t first_of(uint32_t first, struct record_str s)
{
	return s.len && s.off < first ? s.off : first;
}

/*
 * The process with its strings' offsets counted from the first of their bytes. False: no key, as
 * they do not fill a piece of the area without a gap.
 */
static bool key_make(struct key *k, const struct record *r, const struct record_process *p)
{
	four v[4] = {[3] = {(int32_t)((uint32_t)p->pod.len << 16 | p->pod.off)}};
	four sum, base, over = {0};
	uint32_t first, len;

	if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
		return false;
	/* Whatever is put into a record first. */
	first = first_of(first_of(UINT16_MAX, p->user), p->group);
	first = first_of(first_of(first, p->cgroup), p->name);
	memcpy(v, &p->name, 3 * sizeof(v[0]));
	sum = lengths(v[0]) + lengths(v[1]) + lengths(v[2]) + lengths(v[3]);
	len = (uint32_t)(sum[0] + sum[1] + sum[2] + sum[3]);
	if (!len)
		first = 0;
	if (first + len > r->strings_len || len > KNOWN_MOST - sizeof(k->process))
		return false;
	base = (four){} + (int32_t)first;
	sum = (four){} + (int32_t)len;
	for (unsigned i = 0; i < 4; i++) {
		v[i] -= base & (lengths(v[i]) > 0);
		over |= (v[i] & UINT16_MAX) + lengths(v[i]) > sum;
	}
	if (over[0] | over[1] | over[2] | over[3])
		return false;
	memcpy(&k->process, p, offsetof(struct record_process, name));
	memcpy(&k->process.name, v, 3 * sizeof(v[0]));
	memcpy(&k->process.pod, &v[3], sizeof(k->process.pod));
	k->process.latency_ns = p->latency_ns != 0;
	k->first = first;
	k->strings = r->strings + first;
	k->strings_len = len;
	return true;
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
		.strings_len = key->strings_len};
	bytes = known_bytes_put(&k->keys, sizeof(key->process) + key->strings_len, &s->pos);
	memcpy(bytes, &key->process, sizeof(key->process));
	memcpy(bytes + sizeof(key->process), key->strings, key->strings_len);
	*ret = (struct known_end){.id = s->id, .slot = at};
}

/* The same bytes at the same places, latency_ns apart: 0 or not is all that counts of it. */
static bool is_like(const struct record_process *a, const struct record_process *b)
{
	const size_t from = offsetof(struct record_process, netns);

	_Static_assert(offsetof(struct record_process, latency_ns) + 8 ==
			       offsetof(struct record_process, netns),
		"nothing between");
	return !((a->start_ns ^ b->start_ns) | (a->cgroup_id ^ b->cgroup_id)) &&
	       !a->latency_ns == !b->latency_ns &&
	       !memcmp((const char *)a + from, (const char *)b + from, sizeof(*a) - from);
}

static struct known_late *late_of(
	struct known *k, const struct record *r, const struct record_process *p)
{
	return &k->late[(p->pid * 2 + (p == &r->resp)) % KNOWN_LATE];
}

/* The slot of a process that is as it was in its last record, strings and all. */
static const struct known_slot *find_late(struct known *k, const struct record *r,
	const struct record_process *p, struct known_end *ret)
{
	const struct known_late *l = late_of(k, r, p);
	const struct known_slot *s = &k->slot[l->slot];
	const char *bytes;

	if (!l->id || s->id != l->id || !is_like(&l->process, p) ||
		l->first + s->strings_len > r->strings_len)
		return NULL;
	bytes = known_bytes_get(&k->keys, s->pos);
	if (!bytes || memcmp(bytes + sizeof(*p), r->strings + l->first, s->strings_len) != 0)
		return NULL;
	*ret = (struct known_end){.id = l->id, .slot = l->slot};
	return s;
}

static void keep_late(struct known *k, const struct record *r, const struct record_process *p,
	const struct key *key, const struct known_end *end)
{
	*late_of(k, r, p) = (struct known_late){
		.process = *p, .id = end->id, .slot = end->slot, .first = key->first};
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
	const struct known_slot *s;
	struct key key;
	int e;

	*ret = (struct known_end){0};
	s = k ? find_late(k, r, p, ret) : NULL;
	if (s) {
		*ret_sum += s->strings_len;
		return 0;
	}
	if (k && key_make(&key, r, p)) {
		key.hash = key_hash(&key);
		s = find(k, &key, ret);
		if (s) {
			keep_late(k, r, p, &key, ret);
			*ret_sum += s->strings_len;
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
