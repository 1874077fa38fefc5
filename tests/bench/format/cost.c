/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Formats records, for tests/bench/format.py to compare and to count instructions:
 *
 *	format-cost list                 "METHOD RECORD" a line: all there are
 *	format-cost print METHOD RECORD  one of them, formatted
 *	format-cost run COUNT            each COUNT times, in the order of the list
 *	format-cost repeat METHOD RECORD COUNT  one of them COUNT times, for a profiler
 *
 * Methods are the formats, each without knowing a process, and two ways to make ecs to compare
 *with. Then ecs as sink makes it, the check of the record included: every process new, known, and a
 *mix of 4,096 of them, few of which have most records.  A method that has nothing to say about a
 *record is not listed with it. Before what is counted, and behind it, mark() is called: callgrind
 *can be told to part its figures there.
 */
#include <stdio.h>
#include <stdlib.h>

#include "peers.h"
#include "records.h"

typedef size_t format_fn(const struct record *r, const struct format_context *ctx, char *buf);

struct method {
	const char *name;
	format_fn *record;
};

static struct format_context ctx;
static struct record r;
static char buf[FORMAT_MAX];

static struct known known;

static size_t check_and_format(
	const struct record *record, const struct format_context *c, char *to)
{
	struct known_ends ends;

	if (known_check(&known, record, record_size(record), &ends))
		abort();
	return format_record_known(&format_ecs, record, &ends, c, to);
}

static size_t packet(const struct record *record, const struct format_context *c, char *to)
{
	static struct format_section section;

	return format_packet(&format_pcapng, record, &section, c, to);
}

static bool method_at(unsigned i, struct method *ret)
{
	static const struct method peers[] = {{"snprintf", peer_snprintf}, {"json-c", peer_json_c},
		{"ecs-new", check_and_format}, {"ecs-known", check_and_format},
		{"ecs-mix", check_and_format}};
	unsigned formats = 0;

	while (format_at(formats))
		formats++;
	if (i < formats)
		*ret = (struct method){
			format_at(i)->name, format_at(i)->packet ? packet : format_at(i)->record};
	else if (i < formats + sizeof(peers) / sizeof(peers[0]))
		*ret = peers[i - formats];
	else
		return false;
	return true;
}

static size_t once(const struct method *m, unsigned record, unsigned n)
{
	bench_record_build(record, &r);
	bench_record_vary(&r, n);
	if (format_check(&r, record_size(&r)))
		abort(); /* this program is wrong */
	if (r.event == RECORD_PACKET && strcmp(m->name, "pcapng") != 0)
		return 0;
	return m->record(&r, &ctx, buf);
}

static __attribute__((noinline)) void mark(void)
{
	__asm__ volatile("");
}

/* Which process the next record is of, its owner @o: another, the same, or one of many. */
static void vary_owner(const struct method *m, struct record_process *o)
{
	static uint64_t state = 1;
	static uint32_t newest = 100000;
	uint32_t who, bits;

	if (strcmp(m->name, "ecs-new") == 0)
		o->pid = ++newest;
	if (strcmp(m->name, "ecs-mix") != 0)
		return;
	state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
	/* As many of the first as of the second, of the next two, of the next four, ... */
	bits = (uint32_t)(state >> 33) % 13;
	who = (uint32_t)(state >> 40) & ((1u << bits) - 1);
	o->pid = 1000 + ((1u << bits) | who);
}

static void repeat(const struct method *m, unsigned record, unsigned count)
{
	static uint8_t peer = 99;

	if (!once(m, record, 0))
		return;
	/* Connections nobody else has had: the Community IDs of the last ones are kept. */
	r.resp_addr[14] = ++peer;
	for (unsigned n = 0; n < 5000 && strcmp(m->name, "ecs-mix") == 0; n++) {
		vary_owner(m, &r.orig);
		m->record(&r, &ctx, buf);
	}
	mark();
	for (unsigned n = 1; n <= count; n++) {
		bench_record_vary(&r, 1);
		vary_owner(m, &r.orig);
		m->record(&r, &ctx, buf);
	}
	mark();
}

static void list(void)
{
	struct method m;

	for (unsigned i = 0; method_at(i, &m); i++)
		for (unsigned k = 0; bench_record_name(k); k++)
			if (once(&m, k, 0))
				printf("%s %s\n", m.name, bench_record_name(k));
}

static int print(const char *method, const char *record)
{
	struct method m;

	for (unsigned i = 0; method_at(i, &m); i++)
		for (unsigned k = 0; strcmp(m.name, method) == 0 && bench_record_name(k); k++)
			if (strcmp(bench_record_name(k), record) == 0) {
				fwrite(buf, 1, once(&m, k, 7), stdout);
				return 0;
			}
	return 64;
}

static void run(unsigned count)
{
	struct method m;

	for (unsigned i = 0; method_at(i, &m); i++)
		for (unsigned k = 0; bench_record_name(k); k++)
			repeat(&m, k, count);
}

static int again(const char *method, const char *record, unsigned count)
{
	struct method m;

	for (unsigned i = 0; method_at(i, &m); i++)
		for (unsigned k = 0; strcmp(m.name, method) == 0 && bench_record_name(k); k++)
			if (strcmp(bench_record_name(k), record) == 0) {
				repeat(&m, k, count);
				return 0;
			}
	return 64;
}

int main(int argc, char **argv)
{
	int status = 64;

	bench_context_build(&ctx);
	if (argc == 2 && strcmp(argv[1], "list") == 0) {
		list();
		status = 0;
	} else if (argc == 4 && strcmp(argv[1], "print") == 0) {
		status = print(argv[2], argv[3]);
	} else if (argc == 5 && strcmp(argv[1], "repeat") == 0) {
		status = again(argv[2], argv[3], (unsigned)atoi(argv[4]));
	} else if (argc == 3 && strcmp(argv[1], "run") == 0) {
		run((unsigned)atoi(argv[2]));
		status = 0;
	}
	return fflush(stdout) ? 1 : status;
}
