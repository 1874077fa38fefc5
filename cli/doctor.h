/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of `flowner doctor`: each adds its findings to one report.
 *
 * Threads: one. Blocks: yes, on programs it runs. Logs: no. Nothing is changed on this machine.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "config/config.h"
#include "config/findings.h"

#define DOCTOR_FINDINGS_MAX 512u

struct doctor_report {
	struct finding finding[DOCTOR_FINDINGS_MAX];
	size_t n;
	size_t missed; /* more than there is room for */
};

void doctor_add(struct doctor_report *r, enum finding_verdict verdict, const char *id,
	const char *remedy, const char *format, ...) __attribute__((format(printf, 5, 6)));
void doctor_take(struct doctor_report *r, const struct finding *f);
size_t doctor_count(const struct doctor_report *r, enum finding_verdict verdict);
/* The finding of that id, NULL = none. */
const struct finding *doctor_find(const struct doctor_report *r, const char *id);

void doctor_print(const struct doctor_report *r, bool colour, FILE *f);
void doctor_print_json(const struct doctor_report *r, FILE *f);

/* What all three programs need of the kernel, and how the clock is. */
void doctor_kernel(struct doctor_report *r);
void doctor_clock(struct doctor_report *r);
/* Who the programs become. */
void doctor_users(struct doctor_report *r, const struct config *c);
/* What of the sandbox is on. */
void doctor_sandbox(struct doctor_report *r, const struct config *c);
/* Where the counters go. */
void doctor_metrics(struct doctor_report *r, const struct config *c);
/* What systemd knows of the services. */
void doctor_units(struct doctor_report *r);
/* Whether a flowner runs, in @runtime_dir or (NULL) anywhere that root would start one. */
void doctor_instances(struct doctor_report *r, const char *runtime_dir);

/*
 * Runs @argv without standard input and calls @line for each line of its output. Returns its exit
 * status, 128 + signal, or -errno; -ETIME after DOCTOR_PATIENCE_MS. With @quiet its standard error
 * is dropped.
 */
#define DOCTOR_PATIENCE_MS 20000
typedef void (*doctor_line_fn)(void *arg, const char *line);
int doctor_run(const char *const *argv, bool quiet, doctor_line_fn line, void *arg);
