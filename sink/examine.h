/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What flowner-sink finds on this machine: folders, space, rotation, io_uring.
 *
 * Everything is opened for a moment only and changes nothing. Threads: one. Blocks: yes.
 * Logs: no; findings go to standard output (config/findings.h).
 */
#pragma once

#include "config/config.h"

/* 0, or 1 when it could not even look. */
int examine_sink(const struct config *c);
