/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the filter program of a source consists of, one row a class, and which packets end in which
 * row.
 *
 * Pure: no system call. Threads: one per struct. Logs: no.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/filter.h"
#include "capture/program.h"

#define EXPLAIN_ROWS_MAX 20u

struct explain_row {
	const char *name;
	const char *words;
	bool takes;       /* a class; else what ends here is rejected */
	uint32_t snaplen; /* bytes kept of a packet, CLASS */
	size_t insns;     /* its own, behind no VLAN tag */
	unsigned path;    /* most instructions run for a packet that ends here, behind no tag */
	uint64_t packets; /* that ended here, behind any tags */
	uint64_t bytes;   /* their lengths on the wire */
	uint64_t kept;    /* bytes of them that flowner would look at */
	uint64_t steps;   /* instructions run for them */
};

struct explain {
	struct explain_row row[EXPLAIN_ROWS_MAX];
	size_t n;
	size_t short_row, rest_row; /* a load beyond the end; no class */
	unsigned longest;           /* most instructions that can be run for a packet */
	size_t insns;
	const struct filter_program *program; /* borrowed */
	uint8_t *row_of;                      /* of each instruction: where a packet ends */
};

/* Fills the rows, without packets. Free with explain_deinit(), also after an error. -ENOMEM. */
int explain_init(struct explain *e, const struct filter_program *p, const struct program_layout *l,
	enum config_mode mode);
void explain_deinit(struct explain *e);

/* Runs the program over a packet as source_each() gives it, and counts it in its row. */
void explain_packet(
	struct explain *e, const void *bytes, uint32_t size, uint32_t caplen, uint32_t len);
