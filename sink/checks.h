/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of outputs in a configuration only the sink understands: formats, expressions, and names
 * that files put aside would share. For config_sources.
 *
 * Threads: any. Blocks: no. Logs: no.
 */
#pragma once

#include "config/config.h"

extern const struct config_checks sink_checks;
