/*
 * One thing that `bantam doctor` looks at, and what it found. The checks of an
 * architecture and those of the host have this in common (vmm/arch.h,
 * vmm/doctor_host.h); vmm/doctor.c runs them.
 */
#ifndef VMM_BASE_CHECK_H
#define VMM_BASE_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#define CHECK_TEXT_MAX 512

/* How a check ended. The words of the report: ok, warn, fail, skip. */
enum check_status {
	CHECK_OK,
	CHECK_WARN, /* some of bantam will be missing, or slow */
	CHECK_FAIL, /* Linux cannot run */
	CHECK_SKIP, /* could not be looked at, because of another one */
	CHECK_STATUSES,
};

/* Clauses without a full stop or newline, so that they go into a sentence. */
struct check_finding {
	enum check_status status;
	char detail[CHECK_TEXT_MAX]; /* what was found */
	char fix[CHECK_TEXT_MAX];    /* what to do about it; "" if nothing */
};

struct check {
	const char *name; /* for people and for scripts: it does not change */
	bool needs_kvm;	  /* skipped where /dev/kvm cannot be used */
	/*
	 * Look. kvm_fd is /dev/kvm, or -1 if it cannot be used and needs_kvm
	 * is false. finding is empty, and status CHECK_OK.
	 */
	void (*run)(int kvm_fd, struct check_finding *finding);
};

/**
 * check_found() - Write down what was found.
 * @fmt: a clause; cut at CHECK_TEXT_MAX - 1 bytes, and what is not printable
 *       ASCII becomes a question mark
 *
 * Any thread.
 */
void check_found(struct check_finding *finding, enum check_status status,
		 const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Write down what to do about it: a clause in the imperative. Likewise. */
void check_fix(struct check_finding *finding, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/**
 * check_list() - Add a clause to a list of them.
 * @list: text of @size bytes, a string already
 * @separator: between the clauses, not before the first one
 *
 * Cut when full, printable likewise.
 */
void check_list(char *list, size_t size, const char *separator, const char *fmt,
		...) __attribute__((format(printf, 4, 5)));

#endif
