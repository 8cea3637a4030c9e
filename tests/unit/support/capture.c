#include "tests/unit/support/capture.h"

#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include <check.h>

void capture_begin(struct capture *capture)
{
	capture->saved = dup(STDERR_FILENO);
	capture->memory = memfd_create("capture", MFD_CLOEXEC);
	ck_assert_int_ge(capture->saved, 0);
	ck_assert_int_ge(capture->memory, 0);
	ck_assert_int_ge(dup2(capture->memory, STDERR_FILENO), 0);
}

size_t capture_end(struct capture *capture, char *out, size_t size)
{
	ssize_t n;

	ck_assert_int_ge(dup2(capture->saved, STDERR_FILENO), 0);
	n = pread(capture->memory, out, size - 1, 0);
	ck_assert_int_ge(n, 0);
	out[n] = '\0';
	close(capture->saved);
	close(capture->memory);
	return (size_t)n;
}
