/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel records of the tap's events: the filters' text, and changing them while running.
 *
 * Threads: start-up; tap_filter_apply() from the loop. Blocks: no. Logs: no. Errors: -errno.
 * Source: Documentation/trace/events.rst, "Event filtering".
 */
#pragma once

#include "capture/tap.h"
#include "config/config.h"
#include "shm/tap.h"

#define TAP_FILTER_TEXT 1024u

/*
 * The filter of event @e into @buf of TAP_FILTER_TEXT bytes; "" = none. @f: what enrich asked for,
 * NULL = nothing. What is left unrecorded is what costs the traffic nothing: the fewer the better.
 */
void tap_filter_text(enum tap_event e, enum config_tap mode, const struct tap_filter *f, char *buf);

/*
 * Opens the spares, while that is allowed, with the attributes of TAP_FIB, TAP_FIB6 and TAP_STATE:
 * as many of each as work on every CPU, t->spares.
 */
struct perf_event_attr;
void tap_filter_prepare(struct tap *t, const struct perf_event_attr *const attr[TAP_FILTERED]);
/* Lets them go into the rings of their CPUs, which are mapped now. */
void tap_filter_start(struct tap *t);
/*
 * The first port of automatic ones: a local port below it belongs to a server. Read at the first
 * call, unless that says it; later no file can be opened any more.
 */
unsigned tap_filter_first_port(unsigned known);
/* Closes the spares of one CPU. */
void tap_filter_forget(struct tap_cpu *c);

/*
 * Records as @f asks from now on, or more than that when no spare event is left for it. -errno: an
 * event could not be switched; then what was recorded before still is.
 */
int tap_filter_apply(struct tap *t, const struct tap_filter *f);
