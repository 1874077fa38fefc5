/* SPDX-License-Identifier: Apache-2.0 */
/* What the filter program of a source consists of, and which packets end in which row. */
#include "capture/explain.h"

#include <errno.h>
#include <linux/filter.h>
#include <stdlib.h>
#include <string.h>

#include "capture/machine.h"
#include "shm/cleanup.h"
#include "shm/packet.h"

#define TAGS 3u /* VLAN tags, and none */

/* Row of each part: where its packets are counted, and what its instructions are shown in. */
struct rows {
	uint8_t counted[PROGRAM_PARTS_MAX], shown[PROGRAM_PARTS_MAX];
};

static size_t add(struct explain *e, const char *name, const char *words)
{
	e->row[e->n] = (struct explain_row){.name = name, .words = words};
	return e->n++;
}

/* The rows in the order of the program: those before the classes, the classes, what is behind. */
static void fill(
	struct explain *e, const struct program_layout *l, enum config_mode mode, struct rows *rows)
{
	static const struct {
		const char *name, *words;
	} tags[TAGS] = {
		[1] = {"1-tag", "the same classes behind a VLAN tag"},
		[2] = {"2-tags", "the same classes behind two"},
	};
	size_t n_classes, first = 0, of_tags[TAGS] = {0};
	const struct program_class *classes = program_classes(mode, &n_classes);

	for (size_t i = 0; i < l->n; i++) {
		const struct program_part *p = &l->part[i];
		size_t at = 0;

		switch (p->kind) {
		case PROGRAM_ONCE:
			at = add(e, "loopback", "rejects the second copy of packets on lo");
			break;
		case PROGRAM_USER:
			at = add(e, "expression", "rejects what the expression does not match");
			break;
		case PROGRAM_TAG:
			at = of_tags[p->tags] = add(e, tags[p->tags].name, tags[p->tags].words);
			break;
		case PROGRAM_CLASS:
			if (!p->tags) {
				at = add(e, classes[p->class].name, classes[p->class].words);
				first = p->class ? first : at;
			}
			at = first + p->class;
			e->row[at].snaplen = classes[p->class].snaplen;
			e->row[at].takes = classes[p->class].snaplen != 0;
			break;
		}
		rows->counted[i] = (uint8_t)at;
		rows->shown[i] = (uint8_t)(p->tags ? of_tags[p->tags] : at);
		e->row[rows->shown[i]].insns += p->end - p->at;
	}
	e->rest_row = add(e, "none", "rejects the rest: ARP, later IPv4 fragments, ...");
	e->row[e->rest_row].insns = 1;
	e->short_row = add(e, "short", "rejects what ends before the bytes looked at");
}

/* Where each instruction leads a packet that ends there, and by how long a way. */
static int walk(struct explain *e, const struct program_layout *l, const struct rows *rows)
{
	_cleanup_free_ unsigned *path = calloc(e->insns, sizeof(*path));

	e->row_of = malloc(e->insns);
	if (!path || !e->row_of)
		return -ENOMEM;
	memset(e->row_of, (int)e->rest_row, e->insns);
	machine_paths(e->program, path);
	for (size_t i = 0; i <= l->n; i++) {
		const struct program_part *p = i < l->n ? &l->part[i] : NULL;
		size_t at = p ? p->at : e->insns - 1, end = p ? p->end : e->insns;

		for (; at < end; at++) {
			bool ends = BPF_CLASS(e->program->insn[at].code) == BPF_RET;
			/* What has one tag too few matched no class. */
			bool known = p && p->kind != PROGRAM_TAG;
			size_t shown = known ? rows->shown[i] : e->rest_row;

			e->row_of[at] = known ? rows->counted[i] : (uint8_t)e->rest_row;
			if (!ends)
				continue;
			e->longest = path[at] > e->longest ? path[at] : e->longest;
			if (path[at] > e->row[shown].path)
				e->row[shown].path = path[at];
		}
	}
	return 0;
}

int explain_init(struct explain *e, const struct filter_program *p, const struct program_layout *l,
	enum config_mode mode)
{
	struct rows rows;

	*e = (struct explain){.program = p, .insns = p->n};
	fill(e, l, mode, &rows);
	return walk(e, l, &rows);
}

void explain_deinit(struct explain *e)
{
	free(e->row_of);
	*e = (struct explain){0};
}

void explain_packet(
	struct explain *e, const void *bytes, uint32_t size, uint32_t caplen, uint32_t len)
{
	struct machine_end end = machine_run(e->program, bytes, size, len);
	bool whole = BPF_CLASS(e->program->insn[end.at].code) == BPF_RET;
	struct explain_row *row = &e->row[whole ? e->row_of[end.at] : e->short_row];
	uint32_t keep = end.keep < PACKET_CAPLEN_MAX ? end.keep : PACKET_CAPLEN_MAX;

	row->packets++;
	row->bytes += len;
	row->kept += keep < caplen ? keep : caplen;
	row->steps += end.steps;
}
