/*
 * Completion: what follows on words that are half typed, also where they make
 * no sense.
 */
#include "vmm/completion.h"

#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/names.h"

#define WORDS_MAX 8

static int run_nothing(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static const char *const json[] = {"--json", NULL};

static const struct verb verbs[] = {
	{.name = "run",
	 .help = "boot a guest",
	 .options = true,
	 .run = run_nothing},
	{.name = "restart", .help = "again", .run = run_nothing},
	{.name = "ctl",
	 .help = "ask",
	 .flags = json,
	 .takes = VERB_METHOD,
	 .run = run_nothing},
	{.name = "stop",
	 .help = "end",
	 .takes = VERB_MACHINE,
	 .run = run_nothing},
	{.name = "help",
	 .help = "tell",
	 .takes = VERB_VERB,
	 .run = run_nothing},
	{.name = NULL},
};

/* What is printed for the words, without help; the caller frees it. */
static char *complete(const char *const *words)
{
	char *argv[WORDS_MAX] = {NULL}, *text = NULL, *to;
	FILE *out;
	size_t len;
	int argc = 0;
	bool skip = false;

	for (; words[argc]; argc++)
		argv[argc] = strdup(words[argc]);
	out = open_memstream(&text, &len);
	completion_print(out, verbs, argc, argv);
	fclose(out);
	while (argc)
		free(argv[--argc]);
	/* "@file" has its second part. */
	to = text;
	for (const char *from = text; *from; from++) {
		bool file = !strncmp(from, "@file\t", 6);

		skip = *from == '\n' ? false : skip || *from == '\t';
		if (file) {
			memcpy(to, "@file:", 6);
			to += 6;
			from += 5;
		} else if (!skip) {
			*to++ = *from == '\n' ? ' ' : *from;
		}
	}
	*to = '\0';
	return text;
}

static const struct {
	const char *words[WORDS_MAX];
	const char *expected; /* a space behind each */
} lines[] = {
	{{""}, "run restart ctl stop help --help --version "},
	{{"r"}, "run restart "},
	{{"run"}, "run "},
	{{"x"}, ""},
	{{"x", ""}, ""},
	{{"--v"}, "--version "},
	{{"restart", ""}, ""},
	{{"restart", "-"}, "--help "},
	{{"ctl", "-"}, "--json --help "},
	{{"help", "r"}, "run restart "},
	{{"help", "run", ""}, ""},
	{{"ctl", "m", "pow"}, "powerbutton "},
	{{"ctl", "--json", "m", "pow"}, "powerbutton "},
	{{"ctl", "m", "pause", ""}, ""},
	/* Options */
	{{"run", ""}, "@file: "},
	{{"run", "dir/k"}, "@file: "},
	{{"run", "--se"}, "--serial "},
	{{"run", "--unknown", "--se"}, "--serial "},
	{{"run", "-c", "2", "--se"}, "--serial "},
	{{"run", "--no-reboot", "--se"}, "--serial "},
	{{"run", "--xyz"}, ""},
	{{"run", "-x"}, ""},
	/* Values */
	{{"run", "--serial", ""}, "stdio null file= socket= "},
	{{"run", "--serial", "s"}, "stdio socket= "},
	{{"run", "--serial="},
	 "--serial=stdio --serial=null --serial=file= "
	 "--serial=socket= "},
	{{"run", "--serial=n"}, "--serial=null "},
	{{"run", "--serial", "file="}, "@file:file= "},
	{{"run", "--serial=file=a"}, "@file:--serial=file= "},
	{{"run", "--serial", "to=n"}, "to=null "},
	{{"run", "--console", "s"}, "stdio socket= "},
	{{"run", "-n", ""}, "user tap= "},
	{{"run", "-n", "user,m"}, "user,mac= user,mtu= "},
	{{"run", "-d", "a,ro,"},
	 "a,ro,ro a,ro,ephemeral a,ro,direct a,ro,serial= a,ro,queues= "
	 "a,ro,transport= a,ro,slot= a,ro,packed "
	 "a,ro,sandbox= a,ro,restart "},
	{{"run", "-d", "a,transport="}, "a,transport=pci a,transport=mmio "},
	{{"run", "-k", ""}, "@file: "},
	{{"run", "-kdir/"}, "@file:-k "},
	{{"run", "-k", "a,"}, "a,entry= "},
	{{"run", "--kernel=a,e"}, "--kernel=a,entry= "},
	{{"run", "-k", "a,entry=b"}, "a,entry=bzimage "},
	{{"run", "-k", "a,file="}, "@file:a,file= "},
	{{"run", "-k", "a,what="}, ""},
	{{"run", "-m", "1G,hugepages="}, "1G,hugepages=2M 1G,hugepages=1G "},
	{{"run", "-c", ""}, ""},
	{{"run", "--expect", "a,"}, ""},
	{{"run", "--log", "--se"}, ""},
	{{"run", "--no-reboot=o"}, "--no-reboot=on --no-reboot=off "},
};

START_TEST(completion_print_offers_what_may_follow)
{
	char *text = complete(lines[_i].words);

	ck_assert_str_eq(text, lines[_i].expected);
	free(text);
}
END_TEST

START_TEST(completion_print_without_a_word_offers_verbs)
{
	char *text = complete((const char *const[]){NULL});

	ck_assert_str_eq(text, lines[0].expected);
	free(text);
}
END_TEST

START_TEST(completion_print_help_stands_behind_a_tab)
{
	char *text = NULL, word[] = "ru", *argv[] = {word};
	size_t len;
	FILE *out = open_memstream(&text, &len);

	completion_print(out, verbs, 1, argv);
	fclose(out);
	ck_assert_str_eq(text, "run\tboot a guest\n");
	free(text);
}
END_TEST

START_TEST(completion_print_offers_machines)
{
	char dir[] = "/tmp/bantam-test-completion-XXXXXX", sub[64];
	struct listen_claim *claim;
	struct error err;
	char *text;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	setenv("XDG_RUNTIME_DIR", dir, 1);
	text = complete((const char *const[]){"stop", "", NULL});
	ck_assert_str_eq(text, "");
	free(text);
	ck_assert_msg(names_claim(&claim, "web", &err) == 0, "%s", err.text);
	text = complete((const char *const[]){"stop", "w", NULL});
	ck_assert_str_eq(text, "web ");
	free(text);
	text = complete((const char *const[]){"stop", "web", "", NULL});
	ck_assert_str_eq(text, "");
	free(text);
	listen_release(claim);
	snprintf(sub, sizeof(sub), "rm -r %s", dir);
	ck_assert_int_eq(system(sub), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("completion");
	TCase *tcase = tcase_create("completion");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tcase, completion_print_offers_what_may_follow, 0,
			    sizeof(lines) / sizeof(lines[0]));
	tcase_add_test(tcase, completion_print_without_a_word_offers_verbs);
	tcase_add_test(tcase, completion_print_help_stands_behind_a_tab);
	tcase_add_test(tcase, completion_print_offers_machines);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
