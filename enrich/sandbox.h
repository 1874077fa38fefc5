/* SPDX-License-Identifier: Apache-2.0 */
/* What flowner-enrich may still do once it reads packets: system calls, and files it only reads. */
#pragma once

#include "config/sandbox.h"

/*
 * Landlock hides other processes' links in /proc from whoever is in a domain, whatever capabilities
 * he has: it is not applied with `enrich.procfs: keep`, nor for a user who watches his own
 * processes (@own). @file is the configuration's, as in struct daemon.
 */
void enrich_sandbox(const struct config *c, const char *file, bool own, struct sandbox *ret);
