/*
 * Help and the generated parts of the manual page: that nothing of the tables
 * is missing, and that it is laid out as terminals and mdoc(7) want it.
 */
#include "vmm/manual.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH  80
#define COLUMN 28

static int run_nothing(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static const struct verb verbs[] = {
	{
		.name = "run",
		.usage = "[options] [KERNEL]",
		.help = "boot a guest",
		.options = true,
		.run = run_nothing,
	},
	{
		.name = "ctl",
		.usage = "NAME METHOD",
		.help = "a text that is long enough to need a second line, for "
			"it goes on and on until it is past the eightieth "
			"column and some more",
		.manual = "More in\n.Pa docs .",
		.takes = VERB_METHOD,
		.run = run_nothing,
	},
	{.name = "ps", .usage = "", .help = "list", .run = run_nothing},
	{.name = NULL},
};

static char *text;
static size_t text_len;
static FILE *out;

static void setup(void)
{
	out = open_memstream(&text, &text_len);
	ck_assert_ptr_nonnull(out);
}

static void teardown(void)
{
	fclose(out);
	free(text);
}

static void assert_has(const char *what)
{
	fflush(out);
	ck_assert_msg(strstr(text, what), "no \"%s\" in:\n%s", what, text);
}

/* Call check for each line of the text, which is cut up. */
static void for_each_line(void (*check)(const char *line))
{
	char *rest;

	fflush(out);
	rest = text;
	ck_assert_uint_gt(text_len, 0);
	ck_assert_int_eq(text[text_len - 1], '\n');
	while (*rest) {
		char *end = strchr(rest, '\n');

		*end = '\0';
		check(rest);
		rest = end + 1;
	}
}

static void check_help_line(const char *line)
{
	size_t len = strlen(line), indent = strspn(line, " ");

	ck_assert_msg(len <= WIDTH, "%zu columns: %s", len, line);
	ck_assert_msg(!len || line[len - 1] != ' ', "ends with a space: %s",
		      line);
	/* What is not on the left is all in one column. */
	ck_assert_msg(indent <= 8 || indent == COLUMN, "indented by %zu: %s",
		      indent, line);
}

START_TEST(manual_verb_names_every_option)
{
	static const char *const names[] = {
		"-k, --kernel FILE",
		"-i, --initrd FILE",
		"-a, --append TEXT",
		"-m, --memory SIZE",
		"-c, --cpus N",
		"--machine auto|lean|legacy|dt|acpi",
		"--serial stdio|null|file=FILE",
		"-d, --disk FILE",
		"-n, --net user|tap=NAME",
		"--console stdio|null|file=FILE|socket=PATH",
		"--rng off|on",
		",fwd=[HOST:]PORT:PORT",
		",transport=pci|mmio",
		",packed=on|off",
		"--timeout TIME",
		"--grace TIME",
		"--no-reboot",
		"--log error|warn|info|debug",
		",entry=auto|bzimage|pvh|multiboot",
		",hugepages=2M|1G",
		"32M to 64G (default 256M)",
		"but for --append, --expect, --fail-on.",
	};
	char name[64];

	manual_verb(out, &verbs[0]);
	assert_has("bantam run [options] [KERNEL]\n  boot a guest\n");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_has(names[i]);
	for (size_t i = 0; i < option_table_count; i++) {
		if (!option_is_of(&option_table[i], false))
			continue;
		snprintf(name, sizeof(name), "--%s", option_table[i].name);
		assert_has(name);
	}
	for_each_line(check_help_line);
}
END_TEST

START_TEST(manual_verb_lists_methods)
{
	manual_verb(out, &verbs[1]);
	assert_has("Methods:");
	assert_has("\n  pause  ");
	fflush(out);
	ck_assert_ptr_null(strstr(text, "--kernel"));
}
END_TEST

START_TEST(manual_list_has_a_line_a_verb)
{
	manual_list(out, verbs);
	assert_has("\n  run [options] [KERNEL]    boot a guest\n");
	assert_has("\n  ctl NAME METHOD           a text that is long enough");
	assert_has("\n  ps                        list\n");
	for_each_line(check_help_line);
}
END_TEST

static int depth;

static void check_mdoc_line(const char *line)
{
	static const char *const macros[] = {".It ", ".Bl ", ".El", ".Ql ",
					     ".Sx ", ".Pa ", NULL};
	const char *const *macro = macros;

	ck_assert_msg(strlen(line) <= WIDTH, "%zu bytes: %s", strlen(line),
		      line);
	ck_assert_msg(*line != '\'' && *line, "a request: \"%s\"", line);
	if (*line != '.')
		return;
	while (*macro && strncmp(line, *macro, strlen(*macro)) != 0)
		macro++;
	ck_assert_msg(*macro, "unknown macro: %s", line);
	depth += !strncmp(line, ".Bl", 3);
	depth -= !strncmp(line, ".El", 3);
	ck_assert_int_ge(depth, 0);
}

START_TEST(manual_mdoc_options_is_a_sound_list)
{
	char item[64];

	manual_mdoc_options(out);
	assert_has(".It Fl k , Fl -kernel Oo Cm file= Oc Ns Ar FILE\nThe ");
	assert_has(".It Cm entry= Ns Cm auto|bzimage|pvh|multiboot\n");
	assert_has(".It Fl -timeout Ar TIME\n");
	assert_has(".It Fl -no-reboot\n");
	for (size_t i = 0; i < option_table_count; i++) {
		snprintf(item, sizeof(item), " Fl -%s", option_table[i].name);
		assert_has(item);
	}
	depth = 0;
	for_each_line(check_mdoc_line);
	ck_assert_int_eq(depth, 0);
}
END_TEST

START_TEST(manual_mdoc_verbs_is_a_sound_list)
{
	manual_mdoc_verbs(out, verbs);
	assert_has(".It Ic run Ar [options] [KERNEL]\nBoot a guest.\n");
	assert_has(".It Ic ps\nList.\n");
	assert_has(" more.\nMore in\n.Pa docs .\n");
	depth = 0;
	for_each_line(check_mdoc_line);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("manual");
	TCase *tcase = tcase_create("manual");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, manual_verb_names_every_option);
	tcase_add_test(tcase, manual_verb_lists_methods);
	tcase_add_test(tcase, manual_list_has_a_line_a_verb);
	tcase_add_test(tcase, manual_mdoc_options_is_a_sound_list);
	tcase_add_test(tcase, manual_mdoc_verbs_is_a_sound_list);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
