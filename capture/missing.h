/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was captured on before, and now cannot be: it is waited for.
 *
 * Threads: one. Blocks: no. Logs: no.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "capture/netns.h"

struct missing {
	const char *interface; /* gone or down; NULL = its network namespace is gone */
	const char *netns;     /* as configured */
	uint16_t netns_number; /* 0 = our own */
	bool unfit;            /* it is there, but of a kind that cannot be captured on */
	int kind;              /* that, once it was looked at */
};

/* Can be captured on, as far as one may see from here. @own_fd: any socket of our namespace. */
bool missing_is_there(struct missing *m, const struct netns *netns, int own_fd);
