/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joining classic BPF programs into one, and moving them from one framing to another.
 *
 * A program is a list of parts that are tried in order. A GATE must accept, else the packet is
 * rejected; a CLASS that accepts ends the program with that class's snap length, one that rejects
 * hands the packet to the next part. Every `ret` of a part becomes exactly one instruction, so the
 * jumps inside a part stay as they were compiled, and where a program ends says which part decided.
 * Trap: a load beyond the end of a packet rejects it at once (bpf_filter, kernel alike), no later
 * part is tried.
 *
 * Pure: no system call. Threads: any. Logs: no. Sources: linux/filter.h, McCanne & Jacobson 1993.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define FILTER_INSNS_MAX 4096u /* BPF_MAXINSNS */

/* Same layout as struct sock_filter and as libpcap's struct bpf_insn. */
struct filter_insn {
	uint16_t code;
	uint8_t jt;
	uint8_t jf;
	uint32_t k;
};

/* Free with filter_deinit(). */
struct filter_program {
	struct filter_insn *insn;
	size_t n;
};

enum filter_part_kind { FILTER_GATE, FILTER_CLASS };

struct filter_part {
	enum filter_part_kind kind;
	uint32_t snaplen; /* of a CLASS: bytes kept of a packet it accepts */
	struct filter_program program;
};

/* How the bytes a program sees begin. */
enum filter_frame {
	FILTER_ETHERNET, /* 14 bytes, type at 12 */
	FILTER_SLL,      /* 16 bytes, type at 14 */
	FILTER_SLL2,     /* 20 bytes, type at 0 */
	FILTER_RAW,      /* none: an IP packet, known by its version */
	FILTER_NULL,     /* 4 bytes, not looked at, then as RAW */
};

/*
 * Joins @parts into one program. 0; -EINVAL a part returns something else than a constant;
 * -E2BIG more than FILTER_INSNS_MAX instructions; -ENOMEM.
 */
int filter_chain(const struct filter_part *parts, size_t n, struct filter_program *ret);

/*
 * Turns a program compiled for @from into the same one for @to, in place. -EINVAL: it looks at
 * addresses or at other bytes of the link header that @to does not have.
 */
int filter_move(struct filter_program *p, enum filter_frame from, enum filter_frame to);

/*
 * Adapts a program for @frame to a SOCK_DGRAM packet socket, whose filter sees no link header: its
 * fields are read through the kernel's ancillary loads. In place. -EINVAL: it looks at a header
 * field that has none.
 */
int filter_cook(struct filter_program *p, enum filter_frame frame);

/*
 * A gate that stops the outgoing copy of each packet on the loopback interface: the kernel shows
 * such a packet to a packet socket twice. Works in the kernel only. -ENOMEM.
 */
int filter_once_on(uint32_t ifindex, struct filter_program *ret);

/* A copy of @n instructions. -ENOMEM. */
int filter_copy(const struct filter_insn *insn, size_t n, struct filter_program *ret);
/* Frees the instructions. Takes an empty program. */
void filter_deinit(struct filter_program *p);
