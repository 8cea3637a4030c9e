/*
 * The program: picks the verb and turns outcomes into exit statuses.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/error.h"
#include "vmm/base/log.h"
#include "vmm/client.h"
#include "vmm/completion.h"
#include "vmm/config.h"
#include "vmm/device_child.h"
#include "vmm/device_verb.h"
#include "vmm/doctor.h"
#include "vmm/machine.h"
#include "vmm/manual.h"
#include "vmm/options.h"
#include "vmm/outcome.h"
#include "vmm/verb.h"

static int main_run(int argc, char **argv);
static int main_device(int argc, char **argv);
static int main_help(int argc, char **argv);

static const char *const main_json[] = {"--json", NULL};

static const struct verb main_verbs[] = {
	{
		.name = "run",
		.usage = "[options] [KERNEL]",
		.help = "boot a guest; the console is this terminal",
		.options = true,
		.run = main_run,
	},
	{
		.name = "ctl",
		.usage = "[--json] NAME|SOCKET METHOD [[KEY=]VALUE...]",
		.help = "ask a running machine for something, and print what "
			"it answers",
		.flags = main_json,
		.takes = VERB_METHOD,
		.run = client_ctl,
	},
	{
		.name = "ps",
		.usage = "[--json]",
		.help = "list the named machines that run",
		.flags = main_json,
		.run = client_ps,
	},
	{
		.name = "wait",
		.usage = "[--json] NAME",
		.help = "wait for a machine's end, and end with its exit "
			"status",
		.flags = main_json,
		.takes = VERB_MACHINE,
		.run = client_wait,
	},
	{
		.name = "console",
		.usage = "[--json] NAME",
		.help = "a machine's serial port on this terminal; Ctrl-A d "
			"leaves it",
		.flags = main_json,
		.takes = VERB_MACHINE,
		.run = client_console,
	},
	{
		.name = "stop",
		.usage = "[--json] NAME",
		.help = "press a machine's power button, and wait until it has "
			"ended",
		.flags = main_json,
		.takes = VERB_MACHINE,
		.run = client_stop,
	},
	{
		.name = "device",
		.usage = "TYPE --socket PATH|--fd N [options]",
		.help = "serve a block, net or rng device over vhost-user",
		.manual = "It serves one frontend after another, and ends with "
			  "status 0 when it gets\n.Dv SIGTERM\nor\n"
			  ".Dv SIGINT ,\n"
			  "or when the connection of\n.Fl -fd\ndoes.",
		.takes = VERB_TYPE,
		.options = true,
		.run = main_device,
	},
	{
		.name = "doctor",
		.usage = "[--json]",
		.help = "what this host's KVM can do, and what to mend; "
			"status 0 if Linux can run here",
		.flags = main_json,
		.run = doctor_run,
	},
	{
		.name = "help",
		.usage = "[VERB]",
		.help = "this list, or what a verb takes",
		.takes = VERB_VERB,
		.run = main_help,
	},
	{.name = NULL},
};

static int main_fail(const struct error *err)
{
	log_error("%s", err->text);
	return OUTCOME_EXIT_ERROR;
}

/* What was printed has to arrive, or the status says so. */
static int main_flush(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	log_error("standard output: %s", strerror(errno));
	return OUTCOME_EXIT_ERROR;
}

static const struct verb *main_find(const char *name)
{
	for (const struct verb *verb = main_verbs; verb->name; verb++)
		if (!strcmp(verb->name, name))
			return verb;
	return NULL;
}

static int main_unknown(const char *word)
{
	log_error("%s: unknown verb; `bantam help` lists them", word);
	return OUTCOME_EXIT_ERROR;
}

/* --- run ----------------------------------------------------------------- */

/* Say on stderr what a script reads from the status. */
static void main_report(const struct options *options,
			const struct outcome *outcome)
{
	switch (outcome->kind) {
	case OUTCOME_PANIC:
		log_warn("guest panic");
		break;
	case OUTCOME_FAIL_ON:
		/* The line that matched was named when it did. */
		break;
	case OUTCOME_TIMEOUT:
		log_warn("the guest had not ended after --timeout %g s",
			 (double)options->timeout / 1e9);
		break;
	case OUTCOME_IDLE:
		log_warn("the guest had printed nothing for --idle-timeout "
			 "%g s",
			 (double)options->idle_timeout / 1e9);
		break;
	case OUTCOME_NO_REBOOT:
		log_warn("the guest reset, and --no-reboot was given");
		break;
	case OUTCOME_ERROR:
	case OUTCOME_CRASH:
	case OUTCOME_GUEST_STATUS:
	case OUTCOME_EXPECTED:
	case OUTCOME_POWEROFF:
	case OUTCOME_STOPPED:
	case OUTCOME_DRY_RUN:
	case OUTCOME_NONE:
	case OUTCOME_KINDS:
		log_info("%s", outcome_name(outcome->kind));
		break;
	}
	if (outcome_missed(outcome))
		log_warn("the guest ended before --expect matched");
}

static int main_run_machine(const struct options *options)
{
	struct outcome outcome = {.kind = OUTCOME_NONE};
	struct error err = {.text = ""};

	log_set_level((enum log_level)options->log);
	if (machine_run(options, &outcome, &err))
		return main_fail(&err);
	main_report(options, &outcome);
	return outcome_status(&outcome);
}

static int main_run(int argc, char **argv)
{
	struct error err = {.text = ""};
	struct options options;
	int status = 0;

	if (options_parse(&options, argc, argv, &err)) {
		status = main_fail(&err);
	} else if (options.help) {
		manual_verb(stdout, main_find("run"));
		status = main_flush();
	} else if (options.print_config) {
		if (config_print(&options, stdout, &err))
			status = main_fail(&err);
	} else {
		status = main_run_machine(&options);
	}
	options_fini(&options);
	return status;
}

/* --- device -------------------------------------------------------------- */

static int main_device(int argc, char **argv)
{
	struct error err = {.text = ""};
	struct options options;
	int status = 0;

	if (argc == 0) {
		log_error("device: expected block, net or rng, found nothing");
		return OUTCOME_EXIT_ERROR;
	}
	/* What the spawner runs, see jail/spawner.h. */
	if (argc == 2 && !strcmp(argv[1], "--child"))
		return device_child(argv[0]);
	/* --help may stand in the type's place. */
	if (options_parse_device(&options, argv[0], argc - (*argv[0] != '-'),
				 argv + (*argv[0] != '-'), &err)) {
		status = main_fail(&err);
	} else if (options.help) {
		manual_verb(stdout, main_find("device"));
		status = main_flush();
	} else {
		log_set_level((enum log_level)options.log);
		if (device_verb(&options, argv[0], &err))
			status = main_fail(&err);
	}
	options_fini(&options);
	return status;
}

/* --- help ---------------------------------------------------------------- */

/* What only scripts ask for. Return: whether it was that. */
static bool main_help_script(int argc, char **argv)
{
	if (!strcmp(argv[0], "--complete"))
		completion_print(stdout, main_verbs, argc - 1, argv + 1);
	else if (!strcmp(argv[0], "--mdoc-verbs"))
		manual_mdoc_verbs(stdout, main_verbs);
	else if (!strcmp(argv[0], "--mdoc-options"))
		manual_mdoc_options(stdout);
	else
		return false;
	return true;
}

static int main_help(int argc, char **argv)
{
	const struct verb *verb;

	if (argc == 0) {
		manual_list(stdout, main_verbs);
	} else if (!main_help_script(argc, argv)) {
		verb = main_find(argv[0]);
		if (!verb)
			return main_unknown(argv[0]);
		manual_verb(stdout, verb);
	}
	return main_flush();
}

/* --- The program --------------------------------------------------------- */

/* For a verb whose words are not options, which may have it as a value. */
static bool main_wants_help(const struct verb *verb, int argc, char **argv)
{
	if (verb->options || verb->run == main_help)
		return false;
	for (int i = 0; i < argc; i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return true;
	return false;
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

	if (main_open_standard())
		return OUTCOME_EXIT_ERROR;
	if (argc < 2) {
		log_error("expected a verb, found none; `bantam help` lists "
			  "them");
		return OUTCOME_EXIT_ERROR;
	}
	if (!strcmp(argv[1], "--version")) {
		printf("bantam %s\n", BANTAM_VERSION);
		return main_flush();
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return main_help(0, argv);
	verb = main_find(argv[1]);
	if (!verb)
		return main_unknown(argv[1]);
	if (main_wants_help(verb, argc - 2, argv + 2))
		return main_help(1, argv + 1);
	return verb->run(argc - 2, argv + 2);
}
