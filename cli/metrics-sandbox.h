/* SPDX-License-Identifier: Apache-2.0 */
/* What `flowner metrics --serve` may still do once it serves: it talks to strangers. */
#pragma once

#include "config/sandbox.h"

/*
 * It reads the ledgers below @dir, and writes to the folder @file_dir of the text file (-1: there
 * is none). Both are used until sandbox_enter() only.
 */
void metrics_sandbox(const struct config *c, const char *dir, int file_dir, struct sandbox *ret);
