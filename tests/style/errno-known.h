/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For static analysis only: makes errno a known positive number.
 *
 * The analyzer cannot negate a symbol, so that it takes `return -errno` for a possible success and
 * then complains about outputs that were never set. With a number it follows the true path.
 */
#pragma once

#include <errno.h>

#undef errno
#define errno (*(int[]){EIO})
