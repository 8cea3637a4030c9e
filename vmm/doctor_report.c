/*
 * What the checks found, as text and as JSON.
 */
#include "vmm/doctor_report.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct doctor_entry {
	const char *name; /* borrowed from the check */
	struct check_finding finding;
};

struct doctor_report {
	struct doctor_entry *entries; /* owned */
	size_t count;
};

/* The words of the report, which scripts read. */
static const char *const doctor_report_words[] = {
	[CHECK_OK] = "ok",
	[CHECK_WARN] = "warn",
	[CHECK_FAIL] = "fail",
	[CHECK_SKIP] = "skip",
};
static_assert(sizeof(doctor_report_words) / sizeof(doctor_report_words[0]) ==
		      CHECK_STATUSES,
	      "each status has a word");

struct doctor_report *doctor_report_new(void)
{
	return calloc(1, sizeof(struct doctor_report));
}

void doctor_report_free(struct doctor_report *report)
{
	if (!report)
		return;
	free(report->entries);
	free(report);
}

int doctor_report_add(struct doctor_report *report, const char *name,
		      const struct check_finding *finding)
{
	struct doctor_entry *entries;

	entries = reallocarray(report->entries, report->count + 1,
			       sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	report->entries = entries;
	entries[report->count++] =
		(struct doctor_entry){.name = name, .finding = *finding};
	return 0;
}

int doctor_report_run(struct doctor_report *report, const struct check *checks,
		      size_t count, int kvm_fd)
{
	int ret = 0;

	for (size_t i = 0; i < count && !ret; i++) {
		struct check_finding finding = {.status = CHECK_OK};

		if (checks[i].needs_kvm && kvm_fd < 0)
			check_found(&finding, CHECK_SKIP,
				    "not looked at, since /dev/kvm cannot be "
				    "used");
		else
			checks[i].run(kvm_fd, &finding);
		ret = doctor_report_add(report, checks[i].name, &finding);
	}
	return ret;
}

bool doctor_report_linux(const struct doctor_report *report)
{
	for (size_t i = 0; i < report->count; i++) {
		if (report->entries[i].finding.status == CHECK_FAIL)
			return false;
	}
	return true;
}

/*
 * What the failed checks found, in one sentence without its full stop.
 * Return: for free(), or NULL without memory.
 */
static char *doctor_report_why(const struct doctor_report *report)
{
	size_t size = report->count * (CHECK_TEXT_MAX + 2) + 1;
	char *why = calloc(1, size);

	for (size_t i = 0; why && i < report->count; i++) {
		const struct check_finding *f = &report->entries[i].finding;

		if (f->status == CHECK_FAIL)
			check_list(why, size, "; ", "%s", f->detail);
	}
	return why;
}

void doctor_report_print(const struct doctor_report *report, FILE *out)
{
	char *why = doctor_report_why(report);

	for (size_t i = 0; i < report->count; i++) {
		const struct doctor_entry *entry = &report->entries[i];
		const struct check_finding *f = &entry->finding;

		fprintf(out, "%-4s  %-12s  %s%s%s\n",
			doctor_report_words[f->status], entry->name, f->detail,
			f->fix[0] ? "; " : "", f->fix);
	}
	if (doctor_report_linux(report))
		fprintf(out, "Can Linux run here? Yes.\n");
	else
		fprintf(out, "Can Linux run here? No: %s.\n",
			why ? why : "see above");
	free(why);
}

/* Consumes @item, which may be NULL. */
static int doctor_report_append(json_t *array, json_t *item)
{
	return item && !json_array_append_new(array, item) ? 0 : -ENOMEM;
}

int doctor_report_json(const struct doctor_report *report, json_t **out)
{
	char *why = doctor_report_why(report);
	json_t *checks = json_array();
	int ret = why && checks ? 0 : -ENOMEM;

	for (size_t i = 0; i < report->count && !ret; i++) {
		const struct doctor_entry *entry = &report->entries[i];
		const struct check_finding *f = &entry->finding;

		ret = doctor_report_append(
			checks,
			json_pack("{s:s, s:s, s:s, s:s}", "name", entry->name,
				  "status", doctor_report_words[f->status],
				  "detail", f->detail, "fix", f->fix));
	}
	if (!ret) {
		*out = json_pack("{s:O, s:b, s:s}", "checks", checks, "linux",
				 doctor_report_linux(report), "why", why);
		ret = *out ? 0 : -ENOMEM;
	}
	json_decref(checks);
	free(why);
	return ret;
}
