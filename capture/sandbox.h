/* SPDX-License-Identifier: Apache-2.0 */
/* What flowner-capture may still do once it captures: a table of system calls, and no file at all.
 */
#pragma once

#include "config/sandbox.h"

/* @file: it reads a capture file in place of interfaces. */
void capture_sandbox(const struct config *c, bool file, struct sandbox *ret);
