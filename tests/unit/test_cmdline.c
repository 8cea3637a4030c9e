/* What a kernel is told its console is. */
#include "vmm/base/cmdline.h"

#include <stdlib.h>

#include <check.h>

static const struct {
	const char *text, *console, *want;
} vectors[] = {
	{"", "hvc0", "console=hvc0"},
	{"quiet", "ttyS0", "console=ttyS0 quiet"},
	{"quiet -- arg", "hvc0", "console=hvc0 quiet -- arg"},
	{"", NULL, ""},
	{"quiet", NULL, "quiet"},
	/* The user has chosen. */
	{"console=tty0", "hvc0", "console=tty0"},
	{"quiet console=tty0", "hvc0", "quiet console=tty0"},
	{"quiet\tconsole=tty0", "hvc0", "quiet\tconsole=tty0"},
	/* These are other words. */
	{"netconsole=x", "hvc0", "console=hvc0 netconsole=x"},
	{"console", "hvc0", "console=hvc0 console"},
	{"netconsole=x console=tty0", "hvc0", "netconsole=x console=tty0"},
};
#define VECTORS ((int)(sizeof(vectors) / sizeof(vectors[0])))

START_TEST(cmdline_new_of_vector_gives_its_text)
{
	char *text = cmdline_new(vectors[_i].text, vectors[_i].console);

	ck_assert_str_eq(text, vectors[_i].want);
	free(text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cmdline");
	TCase *tcase = tcase_create("cmdline");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tcase, cmdline_new_of_vector_gives_its_text, 0,
			    VECTORS);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
