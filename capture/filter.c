/* SPDX-License-Identifier: Apache-2.0 */
/* Joining classic BPF programs into one, and moving them from one framing to another. */
#include "capture/filter.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct filter_insn) == sizeof(struct sock_filter), "the kernel's layout");

#define NO_TYPE UINT32_MAX

/* Link headers as filters see them. */
static const struct {
	uint32_t len;  /* bytes */
	uint32_t type; /* offset of the Ethernet type */
} frames[] = {
	[FILTER_ETHERNET] = {14, 12},
	[FILTER_SLL] = {16, 14},
	[FILTER_SLL2] = {20, 0},
	[FILTER_RAW] = {0, NO_TYPE},
	[FILTER_NULL] = {4, NO_TYPE},
};

int filter_copy(const struct filter_insn *insn, size_t n, struct filter_program *ret)
{
	struct filter_insn *copy = malloc(n * sizeof(*insn));

	if (!copy)
		return -ENOMEM;
	memcpy(copy, insn, n * sizeof(*insn));
	*ret = (struct filter_program){copy, n};
	return 0;
}

void filter_deinit(struct filter_program *p)
{
	free(p->insn);
	*p = (struct filter_program){0};
}

/* Copies one part to @out, to instruction @at of the whole; its successor starts at @next. */
static int part_copy(
	const struct filter_part *part, struct filter_insn *out, size_t at, size_t next)
{
	for (size_t i = 0; i < part->program.n; i++) {
		struct filter_insn in = part->program.insn[i];

		if (BPF_CLASS(in.code) == BPF_RET) {
			if (BPF_RVAL(in.code) != BPF_K)
				return -EINVAL;
			if (!in.k == (part->kind == FILTER_GATE))
				in.k = in.k ? part->snaplen : 0;
			else
				in = (struct filter_insn){
					.code = BPF_JMP | BPF_JA,
					.k = (uint32_t)(next - (at + i) - 1),
				};
		}
		out[at + i] = in;
	}
	return 0;
}

int filter_chain(const struct filter_part *parts, size_t n, struct filter_program *ret)
{
	struct filter_insn *out;
	size_t total = 1, at = 0;

	for (size_t i = 0; i < n; i++) {
		if (parts[i].program.n > FILTER_INSNS_MAX)
			return -E2BIG;
		total += parts[i].program.n;
	}
	if (total > FILTER_INSNS_MAX)
		return -E2BIG;
	out = malloc(total * sizeof(*out));
	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		size_t next = at + parts[i].program.n;
		int r = part_copy(&parts[i], out, at, next);

		if (r < 0) {
			free(out);
			return r;
		}
		at = next;
	}
	out[at] = (struct filter_insn){.code = BPF_RET | BPF_K, .k = 0};
	*ret = (struct filter_program){out, total};
	return 0;
}

/* The offset operand of a load from the packet, or NULL. */
static uint32_t *packet_offset(struct filter_insn *in)
{
	if (BPF_CLASS(in->code) != BPF_LD && BPF_CLASS(in->code) != BPF_LDX)
		return NULL;
	switch (BPF_MODE(in->code)) {
	case BPF_ABS:
	case BPF_IND:
	case BPF_MSH:
		/* Ancillary data and the kernel's own negative offsets are no packet bytes. */
		return in->k < (uint32_t)SKF_LL_OFF ? &in->k : NULL;
	default:
		return NULL;
	}
}

int filter_move(struct filter_program *p, enum filter_frame from, enum filter_frame to)
{
	for (size_t i = 0; i < p->n; i++) {
		uint32_t *k = packet_offset(&p->insn[i]);

		if (!k)
			continue;
		if (*k >= frames[from].len)
			*k += frames[to].len - frames[from].len;
		else if (*k == frames[from].type && frames[to].type != NO_TYPE)
			*k = frames[to].type;
		else
			return -EINVAL;
	}
	return 0;
}

/* The ancillary load that stands for @offset of a cooked header, 0 if none does. */
static uint32_t ancillary(enum filter_frame frame, uint32_t offset)
{
	switch (frame) {
	case FILTER_SLL:
		return offset == 0    ? SKF_AD_OFF + SKF_AD_PKTTYPE
		       : offset == 14 ? SKF_AD_OFF + SKF_AD_PROTOCOL
				      : 0;
	case FILTER_SLL2:
		return offset == 0    ? SKF_AD_OFF + SKF_AD_PROTOCOL
		       : offset == 4  ? SKF_AD_OFF + SKF_AD_IFINDEX
		       : offset == 10 ? SKF_AD_OFF + SKF_AD_PKTTYPE
				      : 0;
	case FILTER_ETHERNET:
	case FILTER_RAW:
	case FILTER_NULL:
		return 0;
	}
	return 0;
}

int filter_cook(struct filter_program *p, enum filter_frame frame)
{
	for (size_t i = 0; i < p->n; i++) {
		uint32_t *k = packet_offset(&p->insn[i]), special;

		if (!k)
			continue;
		if (*k >= frames[frame].len) {
			*k -= frames[frame].len;
			continue;
		}
		special = ancillary(frame, *k);
		if (!special || BPF_MODE(p->insn[i].code) != BPF_ABS)
			return -EINVAL;
		*k = special;
	}
	return 0;
}

int filter_once_on(uint32_t ifindex, struct filter_program *ret)
{
	const struct filter_insn insn[] = {
		{BPF_LD | BPF_W | BPF_ABS, 0, 0, SKF_AD_OFF + SKF_AD_PKTTYPE},
		{BPF_JMP | BPF_JEQ | BPF_K, 0, 2, PACKET_OUTGOING},
		{BPF_LD | BPF_W | BPF_ABS, 0, 0, SKF_AD_OFF + SKF_AD_IFINDEX},
		{BPF_JMP | BPF_JEQ | BPF_K, 1, 0, ifindex},
		{BPF_RET | BPF_K, 0, 0, 1},
		{BPF_RET | BPF_K, 0, 0, 0},
	};

	return filter_copy(insn, sizeof(insn) / sizeof(*insn), ret);
}
