/* SPDX-License-Identifier: Apache-2.0 */
/* The two halves of the sandbox. */
#pragma once

#include "config/sandbox.h"

/* Whether the row belongs to what @s asks for. */
bool sandbox_row_holds(const struct sandbox *s, const struct sandbox_call *row);

/* 0 or -errno. */
int sandbox_seccomp(const struct sandbox *s);

/* The kernel's version of Landlock (from 1), 0 = it has none, -errno. */
int sandbox_landlock(const struct sandbox *s);
