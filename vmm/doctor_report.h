/*
 * The report of `bantam doctor`: what each check found, and the verdict. Linux
 * can run unless a check failed, and why it cannot is what those found.
 */
#ifndef VMM_DOCTOR_REPORT_H
#define VMM_DOCTOR_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <jansson.h>

#include "vmm/base/check.h"

struct doctor_report;

/* Return: an empty one for doctor_report_free(), or NULL without memory. */
struct doctor_report *doctor_report_new(void);

void doctor_report_free(struct doctor_report *report);

/**
 * doctor_report_add() - Add a finding that is there already.
 * @name: outlives the report
 * @finding: copied
 *
 * Return: 0 or -ENOMEM.
 */
int doctor_report_add(struct doctor_report *report, const char *name,
		      const struct check_finding *finding);

/**
 * doctor_report_run() - Run checks and add what they find.
 * @checks: @count of them; their names outlive the report
 * @kvm_fd: /dev/kvm, or -1: the checks that need it are skipped
 *
 * Main thread; blocks for as long as the checks do. Return: 0 or -ENOMEM.
 */
int doctor_report_run(struct doctor_report *report, const struct check *checks,
		      size_t count, int kvm_fd);

/* Whether Linux can run: no check has failed. */
bool doctor_report_linux(const struct doctor_report *report);

/* A line a check, and the verdict as the last sentence. */
void doctor_report_print(const struct doctor_report *report, FILE *out);

/**
 * doctor_report_json() - The same for a script.
 * @out: a new reference: {"checks": [{"name", "status", "detail", "fix"}...],
 *       "linux": true or false, "why": ""}; fix and why are "" where there is
 *       nothing to say
 *
 * Return: 0 or -ENOMEM.
 */
int doctor_report_json(const struct doctor_report *report, json_t **out);

#endif
