/* SPDX-License-Identifier: Apache-2.0 */
/* Gathers ended connections that are alike. */
#include "enrich/aggregate.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "enrich/flow-slots.h"

#define KEY_WORDS 15u
#define ID_WORDS  5u

_Static_assert(sizeof(struct flow_id) == ID_WORDS * sizeof(uint64_t), "its hash takes as many");

/* What connections must have in common. */
struct key {
	uint64_t w[KEY_WORDS];
};

struct window {
	struct key key;
	uint32_t hash;
	uint64_t end_ns;
	struct record *record; /* owned: only its used bytes are there */
};

/* Windows are as long as each other, so they end in the order they began: a queue. */
struct aggregate {
	uint64_t window_ns, now_ns;
	uint64_t seed[2];
	aggregate_put_fn put;
	void *arg;
	struct flow_slots slots;
	uint32_t max, first, n;
	uint64_t packets, evicted;
	struct window window[];
};

/* FNV-1a: not keyed, but only a process could make its own names meet. */
static uint64_t hash_bytes(uint64_t h, const struct record *r, struct record_str s)
{
	const char *bytes = record_get_str(r, s);

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (uint8_t)bytes[i]) * UINT64_C(0x100000001b3);
	return (h ^ s.len) * UINT64_C(0x100000001b3);
}

static void pack_process(const struct record *r, const struct record_process *o, uint64_t w[4])
{
	uint64_t h = hash_bytes(UINT64_C(0xcbf29ce484222325), r, o->name);

	w[0] = (uint64_t)o->pid << 32 | o->uid;
	w[1] = o->start_ns;
	w[2] = hash_bytes(h, r, o->exe);
	/* Without a process the cgroup tells containers apart. */
	w[3] = (uint64_t)o->confidence << 56 | (uint64_t)o->unknown << 48 |
	       (o->cgroup_id & UINT64_C(0xffffffffffff));
}

static void pack(const struct record *r, struct key *ret)
{
	bool icmp = r->proto == 1 || r->proto == 58;

	memcpy(ret->w, r->orig_addr, 16);
	memcpy(ret->w + 2, r->resp_addr, 16);
	ret->w[4] = (uint64_t)r->resp_port << 48 | (uint64_t)(icmp ? r->orig_port : 0) << 32 |
		    (uint64_t)r->vlan << 16 | (uint64_t)r->proto << 8 | r->family;
	ret->w[5] = (uint64_t)r->direction << 16 | (uint64_t)r->state << 8 | r->end_reason;
	ret->w[6] = hash_bytes(0, r, r->netns);
	pack_process(r, &r->orig, ret->w + 7);
	pack_process(r, &r->resp, ret->w + 11);
}

static uint32_t hash_key(const struct aggregate *a, const struct key *k)
{
	uint64_t seed[2] = {a->seed[0], a->seed[1]};
	struct flow_id id;

	for (unsigned i = 0; i < KEY_WORDS; i += ID_WORDS) {
		memcpy(id.w, k->w + i, sizeof(id.w));
		seed[0] ^= flow_id_hash(&id, seed);
	}
	return (uint32_t)seed[0];
}

int aggregate_new(uint64_t window_ns, uint32_t max, const uint64_t seed[2], aggregate_put_fn put,
	void *arg, struct aggregate **ret)
{
	struct aggregate *a = calloc(1, sizeof(*a) + max * sizeof(a->window[0]));
	int r;

	if (!a)
		return -ENOMEM;
	r = flow_slots_init(&a->slots, max);
	if (r < 0) {
		free(a);
		return r;
	}
	a->window_ns = window_ns;
	a->max = max;
	a->put = put;
	a->arg = arg;
	memcpy(a->seed, seed, sizeof(a->seed));
	*ret = a;
	return 0;
}

void aggregate_free(struct aggregate *a)
{
	if (!a)
		return;
	for (uint32_t i = 0; i < a->n; i++)
		free(a->window[(a->first + i) % a->max].record);
	flow_slots_deinit(&a->slots);
	free(a);
}

/* Lets the oldest window go. */
static int close_first(struct aggregate *a)
{
	struct window *w = &a->window[a->first];
	struct record *r = w->record;
	int result;

	flow_slots_remove(&a->slots, w->hash, a->first);
	a->first = (a->first + 1) % a->max;
	a->n--;
	a->packets -= r->delta_packets;
	w->record = NULL;
	if (r->event == RECORD_SUMMARY)
		r->t_ns = a->now_ns;
	result = a->put(a->arg, r, a->now_ns);
	free(r);
	return result;
}

/* Puts what @was stood for into @r, the later record. */
static void merge(struct record *r, const struct record *was)
{
	const uint16_t all = RECORD_FLAG_ORIG_BYTES | RECORD_FLAG_RESP_BYTES |
			     RECORD_FLAG_ALL_PACKETS | RECORD_FLAG_KERNEL_BYTES |
			     RECORD_FLAG_IP_BYTES;
	const uint16_t any = RECORD_FLAG_MIDSTREAM | RECORD_FLAG_LOSS_WINDOW | RECORD_FLAG_OFFLINE |
			     RECORD_FLAG_REPORTED;
	const uint16_t both = r->flags & was->flags & all, either = (r->flags | was->flags) & any;

	r->event = RECORD_SUMMARY;
	r->flags = both | either | (r->flags & RECORD_FLAG_DNS_ANSWERED);
	r->connections += was->connections;
	if (was->start_ns < r->start_ns)
		r->start_ns = was->start_ns;
	if (was->end_ns > r->end_ns)
		r->end_ns = was->end_ns;
	r->orig_bytes += was->orig_bytes;
	r->resp_bytes += was->resp_bytes;
	r->orig_packets += was->orig_packets;
	r->resp_packets += was->resp_packets;
	r->orig_ip_bytes += was->orig_ip_bytes;
	r->resp_ip_bytes += was->resp_ip_bytes;
	r->delta_packets += was->delta_packets;
	r->delta_orig_packets += was->delta_orig_packets;
	r->delta_resp_packets += was->delta_resp_packets;
	r->delta_orig_bytes += was->delta_orig_bytes;
	r->delta_resp_bytes += was->delta_resp_bytes;
	r->retransmits += was->retransmits;
}

static struct window *find(struct aggregate *a, const struct key *k, uint32_t hash)
{
	uint32_t at = hash, n;

	while ((n = flow_slots_next(&a->slots, hash, &at)) != FLOW_SLOTS_NONE)
		if (memcmp(&a->window[n].key, k, sizeof(*k)) == 0)
			return &a->window[n];
	return NULL;
}

/* A copy of @r's used bytes; NULL: no memory. */
static struct record *copy(const struct record *r)
{
	struct record *c = malloc(record_size(r));

	return c ? memcpy(c, r, record_size(r)) : NULL;
}

static int open_window(
	struct aggregate *a, const struct key *k, uint32_t hash, struct record *record)
{
	uint32_t number;
	int result = 0;

	if (a->n == a->max) {
		a->evicted++;
		result = close_first(a);
	}
	number = (a->first + a->n++) % a->max;
	a->window[number] = (struct window){
		.key = *k,
		.hash = hash,
		.end_ns = a->now_ns + a->window_ns,
		.record = record,
	};
	flow_slots_add(&a->slots, hash, number);
	return result;
}

int aggregate_add(struct aggregate *a, const struct record *r, uint64_t t_ns)
{
	struct record *record = copy(r);
	struct window *w;
	struct key k;
	uint32_t hash;
	int result;

	if (!record)
		return -ENOMEM;
	record->flags |= RECORD_FLAG_UNANNOUNCED;
	result = aggregate_expire(a, t_ns);
	a->packets += r->delta_packets;
	pack(r, &k);
	hash = hash_key(a, &k);
	w = find(a, &k, hash);
	if (!w) {
		int opened = open_window(a, &k, hash, record);

		return result < 0 ? result : opened;
	}
	merge(record, w->record);
	free(w->record);
	w->record = record;
	return result;
}

int aggregate_expire(struct aggregate *a, uint64_t now_ns)
{
	int result = 0;

	if (now_ns > a->now_ns)
		a->now_ns = now_ns;
	while (a->n && a->window[a->first].end_ns <= a->now_ns) {
		int r = close_first(a);

		if (r < 0)
			result = r;
	}
	return result;
}

uint64_t aggregate_next_ns(const struct aggregate *a)
{
	return a->n ? a->window[a->first].end_ns : UINT64_MAX;
}

int aggregate_finish(struct aggregate *a)
{
	int result = 0;

	while (a->n) {
		int r = close_first(a);

		if (r < 0)
			result = r;
	}
	return result;
}

uint64_t aggregate_packets(const struct aggregate *a)
{
	return a->packets;
}

uint64_t aggregate_evicted(const struct aggregate *a)
{
	return a->evicted;
}
