/*
 * The program: picks the verb and turns outcomes into exit statuses.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/error.h"
#include "vmm/base/log.h"
#include "vmm/machine.h"
#include "vmm/options.h"
#include "vmm/outcome.h"

struct verb {
	const char *name;
	const char *usage;
	const char *help;
	int (*run)(int argc, char **argv); /* the exit status */
};

static int main_fail(const struct error *err)
{
	log_error("%s", err->text);
	return OUTCOME_EXIT_ERROR;
}

/* Say on stderr what a script reads from the status. */
static void main_report(const struct options *options,
			const struct outcome *outcome)
{
	switch (outcome->kind) {
	case OUTCOME_PANIC:
		log_warn("guest panic");
		break;
	case OUTCOME_TIMEOUT:
		log_warn("the guest had not ended after --timeout %g s",
			 (double)options->timeout / 1e9);
		break;
	case OUTCOME_NO_REBOOT:
		log_warn("the guest reset, and --no-reboot was given");
		break;
	case OUTCOME_ERROR:
	case OUTCOME_CRASH:
	case OUTCOME_GUEST_STATUS:
	case OUTCOME_POWEROFF:
	case OUTCOME_STOPPED:
	case OUTCOME_NONE:
	case OUTCOME_KINDS:
		log_info("%s", outcome_name(outcome->kind));
		break;
	}
}

static int main_run(int argc, char **argv)
{
	struct outcome outcome = {.kind = OUTCOME_NONE};
	struct error err = {.text = ""};
	struct options options;
	int status, rc;

	rc = options_parse(&options, argc, argv, &err);
	if (!rc) {
		log_set_level((enum log_level)options.log);
		rc = machine_run(&options, &outcome, &err);
	}
	if (rc) {
		status = main_fail(&err);
	} else {
		main_report(&options, &outcome);
		status = outcome_status(&outcome);
	}
	options_fini(&options);
	return status;
}

/* The exit status of what only printed to stdout. */
static int main_printed(void)
{
	if (!fflush(stdout) && !ferror(stdout))
		return 0;
	log_error("standard output: cannot write there: %s", strerror(errno));
	return OUTCOME_EXIT_ERROR;
}

static int main_help(int argc, char **argv);

static const struct verb verbs[] = {
	{"run", "[options] [KERNEL]",
	 "boot a guest; the console is this "
	 "terminal",
	 main_run},
	{"help", "[VERB]", "this list, or a verb's options", main_help},
};

#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

static const struct verb *main_find(const char *name)
{
	for (size_t i = 0; i < VERBS; i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

static int main_unknown(const char *word)
{
	log_error("%s: unknown verb; `bantam help` lists them", word);
	return OUTCOME_EXIT_ERROR;
}

static int main_help(int argc, char **argv)
{
	const struct verb *verb;

	if (argc > 1) {
		log_error("help: expected at most one verb, found \"%s\" "
			  "behind it",
			  argv[1]);
		return OUTCOME_EXIT_ERROR;
	}
	if (argc > 0) {
		verb = main_find(argv[0]);
		if (!verb)
			return main_unknown(argv[0]);
		printf("bantam %s %s\n  %s\n", verb->name, verb->usage,
		       verb->help);
		if (verb->run == main_run) {
			printf("\n");
			options_help(stdout);
		}
		return main_printed();
	}
	printf("bantam %s, a virtual machine monitor for Linux KVM\n\n",
	       BANTAM_VERSION);
	for (size_t i = 0; i < VERBS; i++)
		printf("  bantam %-4s %-20s %s\n", verbs[i].name,
		       verbs[i].usage, verbs[i].help);
	return main_printed();
}

/*
 * A caller may have closed 0, 1 or 2: the machine's own descriptors must not
 * come to lie there.
 */
static int main_open_standard(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
	return fd >= 0 ? 0 : -errno;
}

int main(int argc, char **argv)
{
	const struct verb *verb;
	int rc = main_open_standard();

	if (rc) {
		log_error("/dev/null: cannot open it: %s", strerror(-rc));
		return OUTCOME_EXIT_ERROR;
	}
	if (argc < 2) {
		log_error("expected a verb, found none; `bantam help` lists "
			  "them");
		return OUTCOME_EXIT_ERROR;
	}
	if (!strcmp(argv[1], "--version")) {
		printf("bantam %s\n", BANTAM_VERSION);
		return main_printed();
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return main_help(0, NULL);
	verb = main_find(argv[1]);
	return verb ? verb->run(argc - 2, argv + 2) : main_unknown(argv[1]);
}
