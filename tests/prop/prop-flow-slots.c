/* SPDX-License-Identifier: Apache-2.0 */
/* The hash index against an array: random additions and removals, also with colliding hashes. */
#include "tap.h"

#include "enrich/flow-slots.h"

#define ENTRIES 200u

static uint64_t random_state = 88172645463325252u;

static uint32_t rnd(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 16) % below;
}

static bool has(const struct flow_slots *s, uint32_t hash, uint32_t number)
{
	uint32_t at = hash, n, times = 0;

	while ((n = flow_slots_next(s, hash, &at)) != FLOW_SLOTS_NONE)
		times += n == number;
	return times == 1;
}

static bool run(uint32_t spread)
{
	struct flow_slots s;
	uint32_t hash[ENTRIES];
	bool in[ENTRIES] = {false};
	bool ok = true;

	if (flow_slots_init(&s, ENTRIES))
		tap_bail("no index");
	for (uint32_t i = 0; i < ENTRIES; i++) /* many homes near the array's end: runs wrap */
		hash[i] = rnd(spread) - spread / 2;
	for (unsigned step = 0; step < 3000 && ok; step++) {
		uint32_t n = rnd(ENTRIES);

		if (in[n])
			flow_slots_remove(&s, hash[n], n);
		else
			flow_slots_add(&s, hash[n], n);
		in[n] = !in[n];
		for (uint32_t i = 0; i < ENTRIES; i++)
			ok &= has(&s, hash[i], i) == in[i];
	}
	ok &= s.mask > 63; /* it grew meanwhile */
	flow_slots_deinit(&s);
	return ok;
}

static bool every_bit_counts(void)
{
	const uint64_t seed[2] = {1, 2}, other[2] = {1, 3};
	const struct flow_id id = {{1, 2, 3, 4, 5}};
	uint64_t h = flow_id_hash(&id, seed);
	bool ok = h != flow_id_hash(&id, other);

	for (unsigned bit = 0; bit < 320; bit++) {
		struct flow_id changed = id;

		changed.w[bit / 64] ^= UINT64_C(1) << (bit % 64);
		ok &= flow_id_hash(&changed, seed) != h;
	}
	return ok;
}

static void test_pack(void)
{
	struct decoded d = {.family = 4, .proto = 6, .sport = 5, .dport = 7}, back = d;
	struct flow_id a, b;
	bool a_swapped, b_swapped;

	d.src[15] = back.dst[15] = 1;
	d.dst[15] = back.src[15] = 2;
	back.sport = 7;
	back.dport = 5;
	a = flow_id_pack(&d, 0, &a_swapped);
	b = flow_id_pack(&back, 0, &b_swapped);
	tap_ok(flow_id_equal(&a, &b) && a_swapped != b_swapped, "both directions are one flow");
	back.vlan = 1;
	b = flow_id_pack(&back, 0, &b_swapped);
	tap_ok(!flow_id_equal(&a, &b), "another VLAN is another flow");
	back.vlan = 0;
	back.proto = 17;
	b = flow_id_pack(&back, 0, &b_swapped);
	tap_ok(!flow_id_equal(&a, &b), "so is another protocol");
}

/* Expected values by CPython 3.11, whose hash of bytes is SipHash-1-3: PYTHONHASHSEED=0 python3 -c
 * 'import struct; print(hex(hash(struct.pack("<5Q", 1, 2, 3, 4, 5)) % 2**64))' */
static void test_hash(void)
{
	const uint64_t zero[2] = {0, 0}, k = UINT64_C(0x0123456789abcdef);
	const struct flow_id small = {{1, 2, 3, 4, 5}}, big = {{k, 2 * k, 3 * k, 4 * k, 5 * k}};

	tap_is_int(flow_id_hash(&small, zero), 0x0ac1337336f43ed3, "the hash is SipHash-1-3");
	tap_is_int(flow_id_hash(&big, zero), 0x76ff678c5751c56a, "on large words too");
	tap_ok(every_bit_counts(), "every bit of key and seed changes it");
}

int main(void)
{
	tap_ok(run(1000), "random entries are found until they are removed");
	tap_ok(run(20), "also when many share a hash");
	tap_ok(run(1), "also when all share one");
	test_hash();
	test_pack();
	return tap_done();
}
