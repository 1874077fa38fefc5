/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the filter costs: instructions the kernel runs for a packet, by mode. Counted, not timed, by
 * an interpreter (capture/machine.h) that must agree with libpcap's.
 */
#include "tap.h"

#include "capture-frames.h"
#include "capture/filter.h"
#include "capture/machine.h"
#include "capture/program.h"
#include "capture/source.h"

/* libpcap's interpreter; its headers do not go together with linux/filter.h. */
unsigned bpf_filter(const void *insn, const unsigned char *packet, unsigned len, unsigned caplen);

enum { EN10MB = 1 };

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
			struct machine_end end = machine_run(&p, bytes, len, len);

			wrong +=
				end.keep != bpf_filter(p.insn, bytes, (unsigned)len, (unsigned)len);
			longest = end.steps > longest ? end.steps : longest;
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
			n = machine_run(&p, fs.frame[i].bytes, fs.frame[i].len, fs.frame[i].len)
				    .steps;
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
