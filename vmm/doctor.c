/*
 * The verb `doctor`. The checks themselves are the architecture's
 * (arch_checks()) and the host's (doctor_host.c); here is only /dev/kvm, since
 * the others need it.
 */
#include "vmm/doctor.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "vmm/arch.h"
#include "vmm/base/check.h"
#include "vmm/base/log.h"
#include "vmm/doctor_host.h"
#include "vmm/doctor_report.h"
#include "vmm/kvm.h"
#include "vmm/outcome.h"

#define DOCTOR_EXIT_LINUX    0
#define DOCTOR_EXIT_NO_LINUX 1

/* Look at everything, /dev/kvm first. */
static int doctor_look(struct doctor_report *report)
{
	struct check_finding device = {.status = CHECK_OK};
	const struct check *checks;
	struct kvm kvm;
	size_t count;
	int rc;

	rc = kvm_open(&kvm, NULL);
	if (rc) {
		doctor_host_explain(-rc, &device);
		kvm_close(&kvm);
	} else {
		check_found(&device, CHECK_OK,
			    "it is there, may be used, and creates machines");
	}
	rc = doctor_report_add(report, KVM_DEVICE, &device);
	checks = arch_checks(&count);
	if (!rc)
		rc = doctor_report_run(report, checks, count, kvm.dev_fd);
	checks = doctor_host_checks(&count);
	if (!rc)
		rc = doctor_report_run(report, checks, count, kvm.dev_fd);
	kvm_close(&kvm);
	return rc;
}

static int doctor_print(const struct doctor_report *report, bool json)
{
	json_t *value;
	int rc;

	if (!json) {
		doctor_report_print(report, stdout);
	} else {
		rc = doctor_report_json(report, &value);
		if (rc)
			return rc;
		json_dumpf(value, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(value);
	}
	if (fflush(stdout))
		return -errno;
	return ferror(stdout) ? -EIO : 0;
}

int doctor_run(int argc, char **argv)
{
	struct doctor_report *report;
	bool json = false;
	int rc, status;

	for (int i = 0; i < argc; i++) {
		json = !strcmp(argv[i], "--json");
		if (!json) {
			log_error("doctor: expected no argument but --json, "
				  "found %s",
				  argv[i]);
			return OUTCOME_EXIT_ERROR;
		}
	}
	report = doctor_report_new();
	rc = report ? doctor_look(report) : -ENOMEM;
	if (!rc)
		rc = doctor_print(report, json);
	if (rc) {
		log_error("doctor: the report cannot be written: %s",
			  strerror(-rc));
		status = OUTCOME_EXIT_ERROR;
	} else {
		status = doctor_report_linux(report) ? DOCTOR_EXIT_LINUX
						     : DOCTOR_EXIT_NO_LINUX;
	}
	doctor_report_free(report);
	return status;
}
