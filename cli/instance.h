/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one running flowner has counted: the three ledgers of a runtime directory, and whether they
 * balance.
 *
 * Threads: one. Blocks: file system. Logs: no. Errors: 0, -errno.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "shm/ledger.h"

struct instance {
	bool present[LEDGER_PROGRAMS]; /* its ledger could be read; else all its counters are 0 */
	struct ledger_file ledger[LEDGER_PROGRAMS];
	bool moving; /* packets were counted while it was read: instance_read_quiet() */
};

/* Every packet that matched is in exactly one of these, or under way between two programs. */
struct balance {
	uint64_t matched;
	uint64_t logged, open, duplicate, late, fragment, other, malformed, filtered;
	uint64_t lost; /* dropped by the kernel, or for a full packet or record ring */
	int64_t rest;  /* matched minus all of these */
	uint64_t
		moved; /* of `rest`: known to be under way, read by libpcap but not yet by enrich */
};

/* 0; -ENOENT: no ledger at all below @dir; -errno of the first that exists and cannot be read. */
int instance_read(struct instance *i, const char *dir);

/*
 * The same, read again for a third of a second at most until nothing is under way, so that what
 * does not balance then, and is not moving, is a fault.
 */
int instance_read_quiet(struct instance *i, const char *dir);

struct balance instance_balance(const struct instance *i);
/* Nothing is missing: the rest is 0, or under way. */
bool instance_balances(const struct instance *i);
/* Packets of published records that sink has not written, lost or left out; never negative. */
int64_t instance_unwritten(const struct instance *i);
/* Records that sink has neither written nor counted. */
uint64_t instance_left(const struct instance *i);
/* What of stage @stage (enum ring_loss_stage) has been lost. */
uint64_t instance_lost(const struct instance *i, uint32_t stage);

/* Whether the process that writes this ledger lives. */
bool instance_alive(const struct instance *i, enum ledger_program program);

/* All of it for people, with colours if @colour; @now_ns is CLOCK_REALTIME. */
void instance_print(
	const struct instance *i, const char *dir, bool colour, uint64_t now_ns, FILE *f);

/* The line at the end of a run. */
void instance_summary(const struct instance *i, char *ret, size_t size);
