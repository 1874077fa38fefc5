/* SPDX-License-Identifier: Apache-2.0 */
/* Running a classic BPF program over bytes, and telling what that took. */
#include "capture/machine.h"

#include <linux/filter.h>
#include <stdbool.h>
#include <string.h>

struct machine {
	uint32_t a, x, mem[BPF_MEMWORDS];
	const uint8_t *bytes;
	size_t size, len;
};

/* Loads from the packet; false = beyond its end. */
static bool load(struct machine *m, uint16_t code, size_t at)
{
	size_t size = BPF_SIZE(code) == BPF_W ? 4 : BPF_SIZE(code) == BPF_H ? 2 : 1;

	if (at > m->size || m->size - at < size)
		return false;
	m->a = 0;
	for (size_t i = 0; i < size; i++)
		m->a = m->a << 8 | m->bytes[at + i];
	return true;
}

/* Into A; false = the packet is rejected. */
static bool load_a(struct machine *m, const struct filter_insn *in)
{
	switch (BPF_MODE(in->code)) {
	case BPF_ABS:
		return load(m, in->code, in->k);
	case BPF_IND:
		return load(m, in->code, (size_t)m->x + in->k);
	case BPF_IMM:
		m->a = in->k;
		return true;
	case BPF_MEM:
		m->a = m->mem[in->k % BPF_MEMWORDS];
		return true;
	case BPF_LEN:
		m->a = (uint32_t)m->len;
		return true;
	default:
		return false;
	}
}

static bool load_x(struct machine *m, const struct filter_insn *in)
{
	switch (BPF_MODE(in->code)) {
	case BPF_MSH:
		if (in->k >= m->size)
			return false;
		m->x = (m->bytes[in->k] & 15u) * 4;
		return true;
	case BPF_IMM:
		m->x = in->k;
		return true;
	case BPF_MEM:
		m->x = m->mem[in->k % BPF_MEMWORDS];
		return true;
	case BPF_LEN:
		m->x = (uint32_t)m->len;
		return true;
	default:
		return false;
	}
}

static bool compute(struct machine *m, const struct filter_insn *in)
{
	uint32_t by = BPF_SRC(in->code) == BPF_X ? m->x : in->k;

	switch (BPF_OP(in->code)) {
	case BPF_ADD:
		m->a += by;
		return true;
	case BPF_SUB:
		m->a -= by;
		return true;
	case BPF_MUL:
		m->a *= by;
		return true;
	case BPF_DIV:
		if (by)
			m->a /= by;
		return by != 0;
	case BPF_MOD:
		if (by)
			m->a %= by;
		return by != 0;
	case BPF_AND:
		m->a &= by;
		return true;
	case BPF_OR:
		m->a |= by;
		return true;
	case BPF_XOR:
		m->a ^= by;
		return true;
	case BPF_LSH:
		m->a = by < 32 ? m->a << by : 0;
		return true;
	case BPF_RSH:
		m->a = by < 32 ? m->a >> by : 0;
		return true;
	case BPF_NEG:
		m->a = -m->a;
		return true;
	default:
		return false;
	}
}

static size_t jump(const struct machine *m, const struct filter_insn *in)
{
	uint32_t by = BPF_SRC(in->code) == BPF_X ? m->x : in->k;
	bool yes = false;

	switch (BPF_OP(in->code)) {
	case BPF_JA:
		return in->k;
	case BPF_JEQ:
		yes = m->a == by;
		break;
	case BPF_JGT:
		yes = m->a > by;
		break;
	case BPF_JGE:
		yes = m->a >= by;
		break;
	case BPF_JSET:
		yes = m->a & by;
		break;
	}
	return yes ? in->jt : in->jf;
}

struct machine_end machine_run(
	const struct filter_program *p, const void *bytes, size_t size, size_t len)
{
	struct machine m = {.bytes = bytes, .size = size, .len = len};
	struct machine_end end = {0};
	bool ok = true;

	for (size_t at = 0; at < p->n && ok; at++) {
		const struct filter_insn *in = &p->insn[at];

		end.at = at;
		end.steps++;
		switch (BPF_CLASS(in->code)) {
		case BPF_LD:
			ok = load_a(&m, in);
			break;
		case BPF_LDX:
			ok = load_x(&m, in);
			break;
		case BPF_ST:
			m.mem[in->k % BPF_MEMWORDS] = m.a;
			break;
		case BPF_STX:
			m.mem[in->k % BPF_MEMWORDS] = m.x;
			break;
		case BPF_ALU:
			ok = compute(&m, in);
			break;
		case BPF_JMP:
			at += jump(&m, in);
			break;
		case BPF_RET:
			end.keep = BPF_RVAL(in->code) == BPF_A ? m.a : in->k;
			return end;
		case BPF_MISC:
			if (BPF_MISCOP(in->code) == BPF_TAX)
				m.x = m.a;
			else
				m.a = m.x;
			break;
		}
	}
	return end;
}

static void reach(const struct filter_program *p, unsigned *path, size_t from, size_t to)
{
	if (to < p->n && path[to] < path[from] + 1)
		path[to] = path[from] + 1;
}

void machine_paths(const struct filter_program *p, unsigned *ret)
{
	memset(ret, 0, p->n * sizeof(*ret));
	if (p->n)
		ret[0] = 1;
	/* Jumps only go forward: whatever leads to an instruction has been seen before it. */
	for (size_t i = 0; i < p->n; i++) {
		const struct filter_insn *in = &p->insn[i];

		if (!ret[i] || BPF_CLASS(in->code) == BPF_RET)
			continue;
		if (BPF_CLASS(in->code) != BPF_JMP) {
			reach(p, ret, i, i + 1);
		} else if (BPF_OP(in->code) == BPF_JA) {
			reach(p, ret, i, i + 1 + in->k);
		} else {
			reach(p, ret, i, i + 1 + in->jt);
			reach(p, ret, i, i + 1 + in->jf);
		}
	}
}
