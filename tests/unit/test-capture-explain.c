/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `flowner filter` says of the program: each crafted frame is counted in the row of its class,
 * the rows are the program, no packet takes a longer way than the longest one; and where a wrong
 * expression is wrong.
 */
#include "tap.h"

#include "capture-frames.h"
#include "capture/explain.h"
#include "capture/machine.h"
#include "capture/source.h"

/* libpcap's interpreter. */
unsigned bpf_filter(const void *insn, const unsigned char *packet, unsigned len, unsigned caplen);

enum { EN10MB = 1, SLL2 = 276 };

static const char *const modes[] = {"handshake", "handshake+tls", "headers"};

static struct source *source_of(int dlt, bool kernel, enum config_mode mode, const char *expression)
{
	const struct source_options o = {.name = "test", .mode = mode, .filter = expression};
	struct source_error err;
	struct source *s;

	if (source_open_dead(&o, dlt, kernel, &s, &err) < 0)
		tap_bail(err.text);
	return s;
}

static const struct explain_row *row_of(const struct explain *e, const char *name)
{
	for (size_t i = 0; i < e->n; i++)
		if (!strcmp(e->row[i].name, name))
			return &e->row[i];
	tap_bail(name);
}

/* Whether the rows' instructions are all of the program, and each row has a way. */
static void check_rows(const struct explain *e, const char *what)
{
	size_t insns = 0, without = 0;
	unsigned longest = 0;

	for (size_t i = 0; i < e->n; i++) {
		insns += e->row[i].insns;
		without += i != e->short_row && (!e->row[i].path || !*e->row[i].words);
		longest = e->row[i].path > longest ? e->row[i].path : longest;
	}
	tap_is_int((long)insns, (long)e->insns, "%s: the rows are the program", what);
	tap_is_int((long)without, 0, "%s: each has a way to it and words", what);
	tap_is_int(longest, e->longest, "%s: the longest way is that to some row", what);
}

/* One packet: which row it is in, if what is told of it is right. */
static const char *judge(const struct filter_program *p, const struct program_layout *l,
	enum config_mode mode, const uint8_t *bytes, size_t len)
{
	struct explain e;
	const char *name = "?";
	unsigned keep = bpf_filter(p->insn, bytes, (unsigned)len, (unsigned)len);
	size_t rows = 0;

	if (explain_init(&e, p, l, mode) < 0)
		tap_bail("out of memory");
	explain_packet(&e, bytes, (uint32_t)len, (uint32_t)len, (uint32_t)len);
	for (size_t i = 0; i < e.n; i++) {
		const struct explain_row *r = &e.row[i];

		if (!r->packets)
			continue;
		rows++;
		if (r->packets == 1 && r->bytes == len && r->steps && r->steps <= e.longest &&
			r->kept == (keep < len ? keep : len) && r->takes == (keep > 0) &&
			(!keep || keep == r->snaplen))
			name = r->name;
	}
	explain_deinit(&e);
	return rows == 1 ? name : "?";
}

static void check_frames(enum config_mode mode, unsigned tags)
{
	struct source *s = source_of(EN10MB, false, mode, "");
	const struct program_layout *l;
	const struct filter_program *p = source_filter(s, &l);
	static struct frames fs;
	unsigned wrong = 0;

	frames_make(&fs);
	for (size_t i = 0; i < fs.n; i++) {
		const struct frame *f = &fs.frame[i];
		uint8_t bytes[1700];
		size_t len = frame_tagged(f, tags, bytes);
		const char *row = judge(p, l, mode, bytes, len);
		bool taken = *f->class[mode] != 0, in_class = !strcmp(row, f->class[mode]);
		bool in_gate = !strcmp(row, "none") || !strcmp(row, "tcp-no-more") ||
			       !strcmp(row, "short");

		if (taken ? in_class : in_gate)
			continue;
		printf("# %s: in row %s\n", f->name, row);
		wrong++;
	}
	tap_ok(!wrong, "%s, %u tags: each of %zu frames is counted in its class", modes[mode], tags,
		fs.n);
	source_free(s);
}

static void check_gates(void)
{
	struct source *s = source_of(EN10MB, false, CONFIG_MODE_HANDSHAKE, "port 80");
	const struct program_layout *l;
	const struct filter_program *p = source_filter(s, &l);
	static struct frames fs;
	static const struct {
		const char *frame, *row;
	} rows[] = {{"v4 SYN", "tcp"}, {"v4 plain ACK", "tcp-no-more"}, {"v4 UDP", "expression"},
		{"ARP", "expression"}};
	struct explain e;

	frames_make(&fs);
	for (size_t i = 0; i < fs.n; i++)
		for (size_t k = 0; k < sizeof(rows) / sizeof(*rows); k++)
			if (!strcmp(fs.frame[i].name, rows[k].frame))
				tap_is_str(judge(p, l, CONFIG_MODE_HANDSHAKE, fs.frame[i].bytes,
						   fs.frame[i].len),
					rows[k].row, "\"port 80\": %s ends in %s", rows[k].frame,
					rows[k].row);
	tap_is_str(judge(p, l, CONFIG_MODE_HANDSHAKE, (const uint8_t *)"\2", 1), "short",
		"one byte is too short");
	source_free(s);
	s = source_of(SLL2, true, CONFIG_MODE_HEADERS, "port 80");
	p = source_filter(s, &l);
	if (explain_init(&e, p, l, CONFIG_MODE_HEADERS) < 0)
		tap_bail("out of memory");
	check_rows(&e, "the kernel's program");
	tap_is_int((long)row_of(&e, "loopback")->insns, 6, "the gate of the loopback is shown");
	explain_deinit(&e);
	source_free(s);
}

static void check_places(void)
{
	static const struct {
		const char *expression, *place;
	} rows[] = {
		{"tcp prot 80", "at character 5, \"prot\""},
		{"port 80 and (", "at its end"},
		{"host", "at its end"},
		{"port htp", "at character 6, \"htp\""},
		{"tcp and udp", "at character 9, \"udp\""},
		{"tcp[13 & 7 != 0", "at character 12, \"!=\""},
		{"(tcp port 80", "at its end"},
		{"tcp port 80)", "at character 12, \")\""},
		{"ip[0:3] == 1", "at character 6, \"3\""},
		{"(port 80 or port 443) andd not net 10.0.0.0/8", "at character 23, \"andd\""},
		{"not port 80 and\n  tcp[tcpflag] & tcp-syn != 0", "at character 23, \"tcpflag\""},
		{"src and hots 1.2.3.4", "at character 9, \"hots\""},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct filter_program p = {0};
		struct source_error err = {0};
		int r = source_program(
			EN10MB, false, CONFIG_MODE_HANDSHAKE, rows[i].expression, &p, &err);

		tap_ok(r < 0 && strstr(err.text, rows[i].place), "expression %zu is wrong %s", i,
			rows[i].place);
		filter_deinit(&p);
	}
}

int main(void)
{
	for (enum config_mode mode = 0; mode < FRAMES_MODES; mode++) {
		struct source *s = source_of(EN10MB, false, mode, "not port 22");
		const struct program_layout *l;
		const struct filter_program *p = source_filter(s, &l);
		struct explain e;

		if (explain_init(&e, p, l, mode) < 0)
			tap_bail("out of memory");
		check_rows(&e, modes[mode]);
		explain_deinit(&e);
		source_free(s);
		for (unsigned tags = 0; tags <= 2; tags++)
			check_frames(mode, tags);
	}
	check_gates();
	check_places();
	return tap_done();
}
