/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What flowner-capture finds on this machine: filter, interfaces, tracepoints, namespaces.
 *
 * Everything is opened for a moment only and changes nothing. Threads: one. Blocks: yes.
 * Logs: no; findings go to standard output (config/findings.h).
 */
#pragma once

#include "config/config.h"

/* 0, or 1 when it could not even look. */
int examine_capture(const struct config *c);
