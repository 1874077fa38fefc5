/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the filter costs: instructions the kernel runs for a packet, by mode. Counted, not timed, by
 * an interpreter that must agree with libpcap's.
 */
#include "tap.h"

#include <linux/filter.h>

#include "capture-frames.h"
#include "capture/filter.h"
#include "capture/program.h"
#include "capture/source.h"

/* libpcap's interpreter; its headers do not go together with linux/filter.h. */
unsigned bpf_filter(const void *insn, const unsigned char *packet, unsigned len, unsigned caplen);

enum { EN10MB = 1 };

struct machine {
	uint32_t a, x, mem[BPF_MEMWORDS];
	const uint8_t *packet;
	size_t len;
};

/* Loads from the packet; false = beyond its end. */
static bool load(struct machine *m, const struct filter_insn *in, size_t at)
{
	size_t size = BPF_SIZE(in->code) == BPF_W ? 4 : BPF_SIZE(in->code) == BPF_H ? 2 : 1;

	if (at > m->len || m->len - at < size)
		return false;
	m->a = 0;
	for (size_t i = 0; i < size; i++)
		m->a = m->a << 8 | m->packet[at + i];
	return true;
}

static void compute(struct machine *m, const struct filter_insn *in)
{
	uint32_t by = BPF_SRC(in->code) == BPF_X ? m->x : in->k;

	switch (BPF_OP(in->code)) {
	case BPF_ADD:
		m->a += by;
		break;
	case BPF_SUB:
		m->a -= by;
		break;
	case BPF_AND:
		m->a &= by;
		break;
	case BPF_OR:
		m->a |= by;
		break;
	case BPF_LSH:
		m->a <<= by & 31;
		break;
	case BPF_RSH:
		m->a >>= by & 31;
		break;
	case BPF_MUL:
		m->a *= by;
		break;
	case BPF_NEG:
		m->a = -m->a;
		break;
	default:
		tap_bail("an operation libpcap did not use before");
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

/* Returns what the program returns, and how many instructions that took. */
static unsigned run(
	const struct filter_program *p, const uint8_t *packet, size_t len, unsigned *ret)
{
	struct machine m = {.packet = packet, .len = len};

	*ret = 0;
	for (size_t pc = 0;; pc++) {
		const struct filter_insn *in = &p->insn[pc];
		uint32_t k = in->k;

		++*ret;
		switch (BPF_CLASS(in->code)) {
		case BPF_LD:
			if (BPF_MODE(in->code) == BPF_ABS       ? !load(&m, in, k)
				: BPF_MODE(in->code) == BPF_IND ? !load(&m, in, (size_t)m.x + k)
								: false)
				return 0;
			if (BPF_MODE(in->code) == BPF_IMM)
				m.a = k;
			else if (BPF_MODE(in->code) == BPF_MEM)
				m.a = m.mem[k];
			else if (BPF_MODE(in->code) == BPF_LEN)
				m.a = (uint32_t)len;
			break;
		case BPF_LDX:
			if (BPF_MODE(in->code) == BPF_MSH && k >= len)
				return 0;
			m.x = BPF_MODE(in->code) == BPF_MSH   ? (packet[k] & 15u) * 4
			      : BPF_MODE(in->code) == BPF_MEM ? m.mem[k]
							      : k;
			break;
		case BPF_ST:
			m.mem[k] = m.a;
			break;
		case BPF_STX:
			m.mem[k] = m.x;
			break;
		case BPF_ALU:
			compute(&m, in);
			break;
		case BPF_JMP:
			pc += jump(&m, in);
			break;
		case BPF_RET:
			return k;
		case BPF_MISC:
			if (BPF_MISCOP(in->code) == BPF_TAX)
				m.x = m.a;
			else
				m.a = m.x;
			break;
		}
	}
}

static struct filter_program program_of(enum config_mode mode)
{
	struct filter_program p = {0};
	struct source_error err;

	if (source_program(EN10MB, false, mode, "", &p, &err) != 0)
		tap_bail(err.text);
	return p;
}

static const char *const modes[] = {"handshake", "handshake+tls", "headers"};

/* The instructions each frame takes, and that no frame takes more than @most. */
static void check_mode(enum config_mode mode, unsigned most)
{
	struct filter_program p = program_of(mode);
	unsigned wrong = 0, longest = 0;
	static struct frames fs;

	frames_make(&fs);
	for (size_t i = 0; i < fs.n; i++) {
		for (unsigned tags = 0; tags <= 2; tags++) {
			uint8_t bytes[1700];
			size_t len = frame_tagged(&fs.frame[i], tags, bytes);
			unsigned n, keep = run(&p, bytes, len, &n);

			wrong += keep != bpf_filter(p.insn, bytes, (unsigned)len, (unsigned)len);
			longest = n > longest ? n : longest;
		}
	}
	tap_is_int((int)wrong, 0, "%s: the two interpreters agree", modes[mode]);
	tap_ok(longest <= most, "%s: of %zu instructions at most %u are run, two tags included",
		modes[mode], p.n, longest);
	filter_deinit(&p);
}

/* The packets that there are masses of. */
static void check_frame(enum config_mode mode, const char *name, unsigned most)
{
	struct filter_program p = program_of(mode);
	static struct frames fs;
	unsigned n = 0;

	frames_make(&fs);
	for (size_t i = 0; i < fs.n; i++)
		if (!strcmp(fs.frame[i].name, name))
			run(&p, fs.frame[i].bytes, fs.frame[i].len, &n);
	tap_ok(n && n <= most, "%s: %s takes %u instructions", modes[mode], name, n);
	filter_deinit(&p);
}

int main(void)
{
	static const struct {
		const char *name;
		unsigned most[FRAMES_MODES];
	} rows[] = {
		{"v4 plain ACK", {20, 30, 40}},
		{"v4 data", {20, 40, 50}},
		{"v6 plain ACK", {20, 30, 40}},
		{"v6 data", {20, 40, 50}},
		{"v4 UDP", {60, 60, 60}},
		{"v6 UDP", {60, 60, 60}},
	};

	check_mode(CONFIG_MODE_HANDSHAKE, 200);
	check_mode(CONFIG_MODE_HANDSHAKE_TLS, 250);
	check_mode(CONFIG_MODE_HEADERS, 200);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		for (enum config_mode m = 0; m < FRAMES_MODES; m++)
			check_frame(m, rows[i].name, rows[i].most[m]);
	return tap_done();
}
