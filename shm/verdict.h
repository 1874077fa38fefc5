/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verdict on an owner in words, for people: how it was found, how sure that is, why there is
 * none. Text output and `flowner status` say the same.
 *
 * Threads: any. Blocks: no. Logs: no. All strings are static, plain ASCII; NULL never, unless said.
 */
#pragma once

#include "shm/record.h"

/* How an owner was found, as a clause: "seen in connect(2), before the packet left". */
const char *verdict_method(enum record_method m);

/*
 * What a line about one connection adds to its owner: NULL when there is nothing to add, as the
 * kernel named that process for that socket.
 */
const char *verdict_remark(enum record_method m, enum record_confidence c);

/* Why an owner is unknown, in the few words of a line about one connection. */
const char *verdict_unknown(enum record_unknown u);
/* The same in a sentence: what it means. */
const char *verdict_unknown_meaning(enum record_unknown u);
/* What would help, as a sentence; "" = nothing would. */
const char *verdict_unknown_help(enum record_unknown u);
