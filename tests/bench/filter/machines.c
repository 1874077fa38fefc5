/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two ways to decide about a packet: the register machine with jumps (classic BPF, libpcap's
 * compiler and bpf_filter()) and a boolean tree on a stack, as in the CMU/Stanford packet filter
 * (CSPF: Mogul, Rashid & Accetta 1987), which that was measured against (McCanne & Jacobson 1993).
 *
 *	machines ROUNDS PASSES
 *
 * Prints for each of the four filters and each machine, in each round, the time for a packet in
 * ns: "time FILTER MACHINE NS"; once "run FILTER MACHINE LENGTH INSTRUCTIONS" (of a packet, mean)
 * and "match FILTER SHARE". Exit status 1 if the machines disagree about a packet.
 */
#include <pcap/pcap.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "capture/machine.h"

/* ---- the stack machine ---- */

/*
 * CSPF's instructions: what to push in the lower 10 bits, then an operator on the two topmost in
 * the upper 6. It has no variable offsets; IND, ADD and RSH are added for them, so that it can ask
 * for a TCP port at all.
 */
enum {
	NOPUSH = 0,
	PUSHLIT = 1, /* the next instruction word */
	PUSHIND = 2, /* the packet's word at the byte offset popped */
	PUSHWORD = 16,
	NOP = 0 << 10,
	EQ = 1 << 10,
	AND = 6 << 10,
	OR = 7 << 10,
	CAND = 10 << 10, /* as EQ, but rejects at once where that is 0 */
	ADD = 14 << 10,
	RSH = 15 << 10,
};

#define WORD(bytes) (PUSHWORD + (bytes) / 2)
#define STACK       32

static bool stack_run(
	const uint16_t *insn, size_t n, const uint8_t *packet, size_t len, unsigned *ret_steps)
{
	uint16_t stack[STACK] = {0}, *top = stack;
	unsigned steps = 0;

	for (const uint16_t *end = insn + n; insn < end; insn++) {
		uint16_t action = *insn & 0x3ff, operator= * insn & 0xfc00;
		size_t at;

		steps++;
		switch (action) {
		case NOPUSH:
			break;
		case PUSHLIT:
			*++top = *++insn;
			break;
		case PUSHIND:
			at = *top;
			if (at + 2 > len)
				goto reject;
			*top = (uint16_t)(packet[at] << 8 | packet[at + 1]);
			break;
		default:
			at = (size_t)(action - PUSHWORD) * 2;
			if (at + 2 > len)
				goto reject;
			*++top = (uint16_t)(packet[at] << 8 | packet[at + 1]);
		}
		if (operator== NOP)
			continue;
		top--;
		switch (operator) {
		case EQ:
			*top = top[0] == top[1];
			break;
		case CAND:
			*top = top[0] == top[1];
			if (!*top)
				goto reject;
			break;
		case AND:
			*top = top[0] & top[1];
			break;
		case OR:
			*top = top[0] | top[1];
			break;
		case ADD:
			*top = (uint16_t)(top[0] + top[1]);
			break;
		case RSH:
			*top = (uint16_t)(top[0] >> top[1]);
			break;
		}
	}
	*ret_steps = steps;
	return *top != 0;
reject:
	*ret_steps = steps;
	return false;
}

/* ---- the filters ---- */

/* 10.0.0.1 and 10.0.0.2, in two words each. */
#define NET         0x0a00
#define A           0x0001
#define B           0x0002
#define IS(at, v)   WORD(at), PUSHLIT | EQ, (v)
#define TYPE(v)     IS(12, v)
#define HOST(at, v) IS(at, NET), IS((at) + 2, v), AND
/* Between A and B, either way. */
#define TWO(from, to)   HOST(from, A), HOST(to, B), AND, HOST(from, B), HOST(to, A), AND, OR
#define LOW_BYTE(at, v) WORD(at), PUSHLIT | AND, 0x00ff, PUSHLIT | EQ, (v)
#define NO_OFFSET       WORD(20), PUSHLIT | AND, 0x1fff, PUSHLIT | EQ, 0
#define TCP_DST         WORD(14), PUSHLIT | AND, 0x0f00, PUSHLIT | RSH, 6, PUSHLIT | ADD, 16, PUSHIND
#define PORT            80

static const uint16_t word_tree[] = {TYPE(0x0800)};
static const uint16_t word_short[] = {WORD(12), PUSHLIT | CAND, 0x0800};
static const uint16_t host_tree[] = {TYPE(0x0800), HOST(26, A), HOST(30, A), OR, AND};
static const uint16_t host_short[] = {
	WORD(12), PUSHLIT | CAND, 0x0800, HOST(26, A), HOST(30, A), OR};
static const uint16_t port_tree[] = {
	TYPE(0x0800), LOW_BYTE(22, 6), AND, NO_OFFSET, AND, TCP_DST, PUSHLIT | EQ, PORT, AND};
static const uint16_t port_short[] = {WORD(12), PUSHLIT | CAND, 0x0800, WORD(22), PUSHLIT | AND,
	0x00ff, PUSHLIT | CAND, 6, WORD(20), PUSHLIT | AND, 0x1fff, PUSHLIT | CAND, 0, TCP_DST,
	PUSHLIT | CAND, PORT};
/* Only a whole alternative could end it early, and there is no operator for that. */
static const uint16_t two_tree[] = {
	TYPE(0x0800), TWO(26, 30), AND, TYPE(0x0806), TYPE(0x8035), OR, TWO(28, 38), AND, OR};

#define TREE(a) a, sizeof(a) / sizeof(*(a))

static const struct filter {
	const char *name, *expression;
	const uint16_t *tree;
	size_t tree_n;
	const uint16_t *shorter;
	size_t shorter_n;
} filters[] = {
	{"word", "ether proto 0x0800", TREE(word_tree), TREE(word_short)},
	{"host", "ip host 10.0.0.1", TREE(host_tree), TREE(host_short)},
	{"port", "ip and tcp dst port 80", TREE(port_tree), TREE(port_short)},
	{"two", "host 10.0.0.1 and host 10.0.0.2", TREE(two_tree), TREE(two_tree)},
};

/* ---- packets ---- */

enum { PACKETS = 1024, LEN = 128 };

static uint8_t packets[PACKETS][LEN];

static void make_ip(uint8_t *p, uint8_t from, uint8_t to, uint8_t protocol, uint8_t port)
{
	memcpy(p + 12, "\x08\x00\x45", 3);
	p[17] = LEN - 14;
	p[23] = protocol;
	memcpy(p + 26, (const uint8_t[]){10, 0, 0, from, 10, 0, 0, to}, 8);
	p[34] = 0x9c;
	p[37] = port;
	p[46] = 0x50;
}

static void make_arp(uint8_t *p, uint8_t from, uint8_t to)
{
	memcpy(p + 12, "\x08\x06\0\1\x08\0\6\4\0\1", 10);
	memcpy(p + 28, (const uint8_t[]){10, 0, 0, from}, 4);
	memcpy(p + 38, (const uint8_t[]){10, 0, 0, to}, 4);
}

/* Eight kinds in equal shares, in an order no branch predictor learns. */
static void make_packets(void)
{
	uint32_t random = 1;

	for (size_t i = 0; i < PACKETS; i++) {
		uint8_t *p = packets[i];

		random = random * 1664525 + 1013904223;
		switch (random >> 29) {
		case 0:
			make_ip(p, 1, 2, 6, 80);
			break;
		case 1:
			make_ip(p, 2, 1, 6, 22);
			break;
		case 2:
			make_ip(p, 1, 3, 17, 53);
			break;
		case 3:
			make_ip(p, 3, 4, 6, 80);
			break;
		case 4:
			make_ip(p, 3, 4, 6, 22);
			break;
		case 5:
			make_arp(p, 1, 2);
			break;
		case 6:
			make_arp(p, 3, 4);
			break;
		case 7:
			memcpy(p + 12, "\x86\xdd\x60", 3);
			p[20] = 6;
			break;
		}
	}
}

/* ---- measuring ---- */

enum machine { REGISTERS, TREE_ALL, TREE_SHORT, MACHINES };

static const char *const machines[] = {"bpf", "tree", "tree-short"};

static struct bpf_program compiled[sizeof(filters) / sizeof(*filters)];

static unsigned decide(size_t f, enum machine m, const uint8_t *packet, unsigned *ret_steps)
{
	switch (m) {
	case REGISTERS:
		return bpf_filter(compiled[f].bf_insns, packet, LEN, LEN) != 0;
	case TREE_ALL:
		return stack_run(filters[f].tree, filters[f].tree_n, packet, LEN, ret_steps);
	case TREE_SHORT:
		return stack_run(filters[f].shorter, filters[f].shorter_n, packet, LEN, ret_steps);
	case MACHINES:
		break;
	}
	return 0;
}

/* CPU time of this thread: being preempted costs nobody anything. */
static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static double time_of(size_t f, enum machine m, long passes, unsigned *ret_matched)
{
	double start = now_ns();
	unsigned matched = 0, steps;

	for (long n = 0; n < passes; n++)
		for (size_t i = 0; i < PACKETS; i++)
			matched += decide(f, m, packets[i], &steps);
	*ret_matched = matched;
	return (now_ns() - start) / (double)(passes * PACKETS);
}

/* Whether all machines agree; prints what they ran for it. */
static bool compare(size_t f)
{
	const struct filter_program p = {
		(struct filter_insn *)compiled[f].bf_insns, compiled[f].bf_len};
	uint64_t steps[MACHINES] = {0};
	unsigned matched = 0, wrong = 0;

	for (size_t i = 0; i < PACKETS; i++) {
		unsigned want = 0, n = 0;

		for (enum machine m = 0; m < MACHINES; m++) {
			unsigned got = decide(f, m, packets[i], &n);

			want = m == REGISTERS ? got : want;
			wrong += got != want;
			steps[m] +=
				m == REGISTERS ? machine_run(&p, packets[i], LEN, LEN).steps : n;
		}
		matched += want;
	}
	printf("match %s %.3f\n", filters[f].name, (double)matched / PACKETS);
	for (enum machine m = 0; m < MACHINES; m++)
		printf("run %s %s %zu %.1f\n", filters[f].name, machines[m],
			m == REGISTERS  ? p.n
			: m == TREE_ALL ? filters[f].tree_n
					: filters[f].shorter_n,
			(double)steps[m] / PACKETS);
	return !wrong;
}

int main(int argc, char **argv)
{
	long rounds = argc == 3 ? strtol(argv[1], NULL, 10) : 0;
	long passes = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
	pcap_t *pcap = pcap_open_dead(DLT_EN10MB, 65535);
	bool same = true;
	unsigned matched;

	if (rounds <= 0 || passes <= 0 || !pcap) {
		fprintf(stderr, "machines ROUNDS PASSES\n");
		return 2;
	}
	make_packets();
	for (size_t f = 0; f < sizeof(filters) / sizeof(*filters); f++) {
		if (pcap_compile(pcap, &compiled[f], filters[f].expression, 1,
			    PCAP_NETMASK_UNKNOWN) < 0) {
			fprintf(stderr, "%s: %s\n", filters[f].expression, pcap_geterr(pcap));
			return 2;
		}
		same &= compare(f);
	}
	for (long r = 0; r < rounds; r++)
		for (size_t f = 0; f < sizeof(filters) / sizeof(*filters); f++)
			for (enum machine m = 0; m < MACHINES; m++)
				printf("time %s %s %.3f\n", filters[f].name, machines[m],
					time_of(f, m, passes, &matched));
	for (size_t f = 0; f < sizeof(filters) / sizeof(*filters); f++)
		pcap_freecode(&compiled[f]);
	pcap_close(pcap);
	return same ? 0 : 1;
}
