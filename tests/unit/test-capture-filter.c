/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter program: chaining and moving by itself, then the whole program over crafted frames for
 * every link type, and the kernel's own checker's opinion of it.
 */
#include "tap.h"

#include <errno.h>
#include <linux/filter.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture-frames.h"
#include "capture/filter.h"
#include "capture/program.h"
#include "capture/source.h"

/* libpcap's interpreter; its headers do not go together with linux/filter.h. */
unsigned bpf_filter(const void *insn, const unsigned char *packet, unsigned len, unsigned caplen);

/* DLT_* of pcap/dlt.h. */
enum { NUL = 0, EN10MB = 1, RAW = 12, LOOP = 108, SLL = 113, IPV4 = 228, SLL2 = 276, PPP = 9 };

static unsigned run(const struct filter_program *p, const uint8_t *bytes, size_t len)
{
	return bpf_filter(p->insn, bytes, (unsigned)len, (unsigned)len);
}

static unsigned keep_of(const struct frame *f, enum config_mode mode)
{
	size_t n;
	const struct program_class *c = program_classes(mode, &n);

	for (size_t i = 0; i < n; i++)
		if (!strcmp(c[i].name, f->class[mode]))
			return c[i].snaplen;
	return 0;
}

/* The frame as link type @dlt has it, with @tags; 0 = it cannot carry it. */
static size_t frame_as(const struct frame *f, int dlt, unsigned tags, uint8_t *out)
{
	uint8_t tagged[1700];
	size_t len = frame_tagged(f, tags, tagged);
	bool v6 = f->bytes[12] == 0x86, ip = v6 || f->bytes[13] == 0;

	switch (dlt) {
	case EN10MB:
		memcpy(out, tagged, len);
		return len;
	case SLL:
		memset(out, 0, 14);
		memcpy(out + 14, tagged + 12, len - 12);
		return len + 2;
	case SLL2:
		memset(out, 0, 20);
		memcpy(out, tagged + 12, 2);
		memcpy(out + 20, tagged + 14, len - 14);
		return len + 6;
	case RAW:
	case IPV4:
		memcpy(out, tagged + 14, len - 14);
		return ip && !tags ? len - 14 : 0;
	case NUL: /* the capturing host's byte order */
	case LOOP:
		memset(out, 0, 4);
		out[dlt == NUL ? 0 : 3] = v6 ? 30 : 2; /* Darwin's AF_INET6 */
		memcpy(out + 4, tagged + 14, len - 14);
		return ip && !tags ? len - 10 : 0;
	}
	return 0;
}

static void check_link(
	int dlt, const char *name, enum config_mode mode, unsigned tags, bool may_pass)
{
	struct filter_program p = {0};
	struct source_error err;
	static struct frames fs;
	unsigned wrong = 0, seen = 0;

	if (!tap_ok(source_program(dlt, false, mode, "", &p, &err) == 0,
		    "%s, mode %d: the program builds", name, mode))
		return;
	frames_make(&fs);
	for (size_t i = 0; i < fs.n; i++) {
		uint8_t bytes[1800];
		size_t len = frame_as(&fs.frame[i], dlt, tags, bytes);
		unsigned got, want = may_pass ? keep_of(&fs.frame[i], mode) : 0;

		if (!len)
			continue;
		seen++;
		got = run(&p, bytes, len);
		if (got != want) {
			printf("# %s: keeps %u, should %u\n", fs.frame[i].name, got, want);
			wrong++;
		}
	}
	tap_ok(seen && !wrong, "%s, mode %d, %u tags: %u frames, each in its class", name, mode,
		tags, seen);
	filter_deinit(&p);
}

/* A load beyond the end rejects; it must never be because of a frame's mere shortness. */
static void check_user(void)
{
	static const struct {
		const char *expression;
		const char *frame;
		bool passes;
	} rows[] = {
		{"tcp", "v4 SYN", true},
		{"tcp", "v4 UDP", false},
		{"udp port 53", "v6 DNS", true},
		{"udp port 53", "v6 SYN", false},
		{"not port 80", "v4 SYN", false},
		{"not port 80", "v4 ICMP", true},
		{"net 192.255.238.0/24", "v4 SYN", true},
		{"ip6", "v4 SYN", false},
		{"greater 1", "v4 plain ACK", false},
	};
	static struct frames fs;

	frames_make(&fs);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct filter_program p = {0};
		struct source_error err;
		unsigned got = 0;

		if (source_program(EN10MB, false, CONFIG_MODE_HANDSHAKE, rows[i].expression, &p,
			    &err) == 0)
			for (size_t j = 0; j < fs.n; j++)
				if (!strcmp(fs.frame[j].name, rows[i].frame))
					got = run(&p, fs.frame[j].bytes, fs.frame[j].len);
		tap_ok(p.n && (got > 0) == rows[i].passes, "\"%s\" %s %s", rows[i].expression,
			rows[i].passes ? "passes" : "stops", rows[i].frame);
		filter_deinit(&p);
	}
}

static void check_errors(void)
{
	static const struct {
		int dlt;
		bool kernel;
		const char *expression;
		int status;
		const char *text;
	} rows[] = {
		{EN10MB, true, "tcp prot 80", SOURCE_BAD_FILTER,
			"bad filter expression \"tcp prot 80\""},
		{EN10MB, true, "port 80 and (", SOURCE_BAD_FILTER, "bad filter expression"},
		{EN10MB, true, "host", SOURCE_BAD_FILTER, "bad filter expression"},
		{SLL2, true, "vlan 5", SOURCE_BAD_FILTER, "no VLAN support"},
		{SLL2, true, "link[8:2] == 1", SOURCE_BAD_FILTER, "link-layer bytes"},
		{PPP, false, "", SOURCE_BAD_FILE, "PPP"},
		{147, false, "", SOURCE_BAD_FILE, "147"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct filter_program p = {0};
		struct source_error err = {0};
		int r = source_program(rows[i].dlt, rows[i].kernel, CONFIG_MODE_HANDSHAKE,
			rows[i].expression, &p, &err);

		tap_ok(r == -EINVAL && err.status == (enum source_status)rows[i].status &&
				strstr(err.text, rows[i].text) && !strchr(err.text, '\n'),
			"refused: %s", err.text);
		filter_deinit(&p);
	}
}

/* Any socket may attach a filter: the kernel's checker has the last word. */
static void check_kernel(int dlt, const char *name, enum config_mode mode)
{
	struct filter_program p = {0};
	struct source_error err;
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	bool ok = source_program(dlt, true, mode, "port 80 or port 443", &p, &err) == 0;
	struct sock_fprog fprog = {(unsigned short)p.n, (struct sock_filter *)p.insn};

	tap_ok(ok && setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &fprog, sizeof(fprog)) == 0,
		"%s, mode %d: the kernel accepts the program of %zu instructions", name, mode, p.n);
	close(s);
	filter_deinit(&p);
}

static struct filter_part part(
	enum filter_part_kind kind, uint32_t snaplen, const struct filter_insn *insn, size_t n)
{
	struct filter_part p = {.kind = kind, .snaplen = snaplen};

	if (filter_copy(insn, n, &p.program) < 0)
		tap_bail("out of memory");
	return p;
}

/* A part that accepts packets whose first byte is @byte, after @padding instructions. */
static struct filter_part byte_part(
	enum filter_part_kind kind, uint32_t snaplen, uint8_t byte, size_t padding)
{
	static struct filter_insn insn[FILTER_INSNS_MAX];

	for (size_t i = 0; i < padding; i++)
		insn[i] = (struct filter_insn){BPF_LD | BPF_IMM, 0, 0, 0};
	insn[padding] = (struct filter_insn){BPF_LD | BPF_B | BPF_ABS, 0, 0, 0};
	insn[padding + 1] = (struct filter_insn){BPF_JMP | BPF_JEQ | BPF_K, 0, 1, byte};
	insn[padding + 2] = (struct filter_insn){BPF_RET | BPF_K, 0, 0, 262144};
	insn[padding + 3] = (struct filter_insn){BPF_RET | BPF_K, 0, 0, 0};
	return part(kind, snaplen, insn, padding + 4);
}

static void check_chain(void)
{
	struct filter_part parts[3] = {byte_part(FILTER_CLASS, 10, 'a', 0),
		byte_part(FILTER_CLASS, 20, 'b', 700), byte_part(FILTER_CLASS, 30, 'c', 0)};
	const struct filter_insn ret_a = {BPF_RET | BPF_A, 0, 0, 0};
	struct filter_program p = {0};
	struct filter_part odd;

	tap_is_int(filter_chain(parts, 3, &p), 0, "three classes join");
	tap_is_int(run(&p, (const uint8_t *)"a", 1), 10, "the first takes its own");
	tap_is_int(run(&p, (const uint8_t *)"b", 1), 20, "the second, over a long way");
	tap_is_int(run(&p, (const uint8_t *)"c", 1), 30, "the third");
	tap_is_int(run(&p, (const uint8_t *)"d", 1), 0, "nobody");
	filter_deinit(&p);
	parts[0].kind = FILTER_GATE;
	tap_is_int(filter_chain(parts, 3, &p), 0, "a gate and two classes join");
	tap_is_int(run(&p, (const uint8_t *)"a", 1), 0, "a gate alone keeps nothing");
	tap_is_int(run(&p, (const uint8_t *)"b", 1), 0, "what the gate rejects is rejected");
	filter_deinit(&p);
	tap_is_int(filter_chain(parts, 0, &p), 0, "no part at all");
	tap_is_int(run(&p, (const uint8_t *)"a", 1), 0, "rejects everything");
	filter_deinit(&p);
	odd = part(FILTER_CLASS, 1, &ret_a, 1);
	tap_is_int(filter_chain(&odd, 1, &p), -EINVAL, "a computed return value is refused");
	filter_deinit(&odd.program);
	odd = byte_part(FILTER_CLASS, 1, 'x', FILTER_INSNS_MAX - 4);
	tap_is_int(filter_chain(&odd, 1, &p), -E2BIG, "4096 instructions and one more are refused");
	filter_deinit(&odd.program);
	for (size_t i = 0; i < 3; i++)
		filter_deinit(&parts[i].program);
}

static void check_move(void)
{
	struct filter_insn insn[] = {{BPF_LD | BPF_H | BPF_ABS, 0, 0, 12},
		{BPF_LDX | BPF_B | BPF_MSH, 0, 0, 14}, {BPF_LD | BPF_H | BPF_IND, 0, 0, 16},
		{BPF_LD | BPF_MEM, 0, 0, 3}, {BPF_LD | BPF_W | BPF_ABS, 0, 0, SKF_AD_OFF + 8}};
	struct filter_program p = {insn, 5};

	tap_is_int(filter_move(&p, FILTER_ETHERNET, FILTER_SLL2), 0, "Ethernet to SLL2");
	tap_ok(insn[0].k == 0 && insn[1].k == 20 && insn[2].k == 22, "type and payload are moved");
	tap_ok(insn[3].k == 3 && insn[4].k == (uint32_t)SKF_AD_OFF + 8, "and nothing else is");
	tap_is_int(filter_cook(&p, FILTER_SLL2), 0, "SLL2 to a cooked socket");
	tap_ok(insn[0].k == (uint32_t)SKF_AD_OFF + SKF_AD_PROTOCOL && insn[1].k == 0 &&
			insn[2].k == 2,
		"the type is ancillary, the payload is at 0");
	insn[0].k = 6;
	tap_is_int(filter_move(&p, FILTER_ETHERNET, FILTER_SLL), -EINVAL,
		"a MAC address cannot be moved");
	insn[0] = (struct filter_insn){BPF_LD | BPF_H | BPF_IND, 0, 0, 0};
	tap_is_int(filter_cook(&p, FILTER_SLL2), -EINVAL, "an indexed type cannot be cooked");
}

int main(void)
{
	check_chain();
	check_move();
	for (enum config_mode mode = 0; mode < FRAMES_MODES; mode++) {
		check_link(EN10MB, "EN10MB", mode, 0, true);
		check_link(EN10MB, "EN10MB", mode, 1, true);
		check_link(EN10MB, "EN10MB", mode, 2, true);
		check_link(EN10MB, "EN10MB", mode, 3, false);
		check_link(SLL, "SLL", mode, 0, true);
		check_link(SLL, "SLL", mode, 1, true);
		check_link(SLL2, "SLL2", mode, 0, true);
		check_link(SLL2, "SLL2", mode, 1, true);
		check_link(RAW, "RAW", mode, 0, true);
		check_link(NUL, "NULL", mode, 0, true);
		check_link(LOOP, "LOOP", mode, 0, true);
		check_kernel(EN10MB, "EN10MB", mode);
		check_kernel(SLL2, "SLL2", mode);
		check_kernel(RAW, "RAW", mode);
	}
	check_user();
	check_errors();
	return tap_done();
}
