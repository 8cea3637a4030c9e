/*
 * From lists of system calls to a filter of them, by libseccomp.
 */
#include "jail/filter.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "jail/filter_private.h"
#include "jail/jail.h"

/* --- The handler -----------------------------------------------------------
 */

#define FILTER_CALLS	512 /* that have a name */
#define FILTER_NAME_MAX 32
#define FILTER_TEXT_MAX 160

/* A signal's handler has nothing else to reach it by; written before the filter
 * is there, and never after. */
static char filter_names[FILTER_CALLS][FILTER_NAME_MAX];
static pthread_once_t filter_named = PTHREAD_ONCE_INIT;
static struct filter_report filter_report = {.fd = -1};

void jail_call_name(int number, char *out, size_t size)
{
	char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);

	if (name)
		snprintf(out, size, "%s", name);
	else
		snprintf(out, size, "%d", number);
	free(name);
}

static size_t filter_append(char *text, size_t at, const char *more)
{
	while (*more && at < FILTER_TEXT_MAX)
		text[at++] = *more++;
	return at;
}

static size_t filter_append_number(char *text, size_t at, int number)
{
	char digits[16] = "";
	size_t first = sizeof(digits) - 1;
	unsigned int rest = (unsigned int)number;

	do {
		digits[--first] = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest);
	return filter_append(text, at, digits + first);
}

static size_t filter_append_call(char *text, size_t at, int number)
{
	if (filter_report.socket)
		return filter_append_number(text, at, number);
	return filter_append(text, at,
			     number >= 0 && number < FILTER_CALLS
				     ? filter_names[number]
				     : "unknown");
}

/* Only what is safe in a handler, and in both kinds of list. */
static void filter_violated(int signal, siginfo_t *info, void *context)
{
	char text[FILTER_TEXT_MAX];
	size_t len = filter_append(text, 0, filter_report.before);

	(void)signal;
	(void)context;
	len = filter_append_call(text, len, info->si_syscall);
	len = filter_append(text, len, filter_report.after);
	/* Nobody waits for a parent that does not listen. */
	if (!filter_report.socket)
		(void)!write(filter_report.fd, text, len);
	else
		send(filter_report.fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	for (;;)
		syscall(SYS_acct, NULL);
}

static void filter_make_names(void)
{
	for (int i = 0; i < FILTER_CALLS; i++)
		jail_call_name(i, filter_names[i], FILTER_NAME_MAX);
}

int filter_handler_set(const struct filter_report *report)
{
	struct sigaction action = {
		.sa_sigaction = filter_violated,
		.sa_flags = SA_SIGINFO,
	};
	sigset_t set;

	if (!report->socket)
		pthread_once(&filter_named, filter_make_names);
	filter_report = *report;
	sigfillset(&action.sa_mask);
	if (sigaction(SIGSYS, &action, NULL) < 0)
		return -errno;
	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	return -pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* --- Rules -----------------------------------------------------------------
 */

static int filter_rule(scmp_filter_ctx filter, const struct syscall_rule *rule)
{
	const uint32_t action =
		rule->errnum ? SCMP_ACT_ERRNO(rule->errnum) : SCMP_ACT_ALLOW;
	struct scmp_arg_cmp args[SYSCALL_RULE_ARGS];
	unsigned int count = 0;

	for (unsigned int i = 0; i < SYSCALL_RULE_ARGS; i++) {
		const struct syscall_arg *arg = &rule->args[i];

		if (!arg->mask)
			continue;
		args[count++] = (struct scmp_arg_cmp){
			.arg = arg->index,
			.op = SCMP_CMP_MASKED_EQ,
			.datum_a = arg->mask,
			.datum_b =
				arg->self ? (uint64_t)getpid() : arg->expected,
		};
	}
	return seccomp_rule_add_exact_array(filter, action, rule->number, count,
					    args);
}

int filter_add(scmp_filter_ctx filter, const struct syscall_list *list)
{
	int ret = list->base ? filter_add(filter, list->base) : 0;

	for (unsigned int i = 0; i < list->count && ret == 0; i++) {
		ret = filter_rule(filter, &list->rules[i]);
		/* Another list has it already. */
		if (ret == -EEXIST)
			ret = 0;
	}
	return ret;
}

/* What is not a call of this architecture is no business of a handler. */
int filter_start(scmp_filter_ctx *out, uint32_t action)
{
	int ret;

	*out = seccomp_init(action);
	if (!*out)
		return -ENOMEM;
	ret = seccomp_attr_set(*out, SCMP_FLTATR_ACT_BADARCH,
			       SCMP_ACT_KILL_PROCESS);
	if (ret < 0)
		seccomp_release(*out);
	return ret;
}

/* --- Filters of threads ----------------------------------------------------
 */

struct jail_filter {
	struct sock_fprog program; /* its instructions are owned */
};

/* libseccomp writes a filter to a file and nowhere else. */
static int filter_export(struct jail_filter *filter, scmp_filter_ctx context)
{
	int fd = memfd_create("bantam-filter", MFD_CLOEXEC);
	off_t size;
	int ret;

	if (fd < 0)
		return -errno;
	ret = seccomp_export_bpf(context, fd);
	size = ret < 0 ? 0 : lseek(fd, 0, SEEK_END);
	if (ret == 0)
		filter->program.filter = malloc((size_t)size);
	if (ret == 0 && !filter->program.filter)
		ret = -ENOMEM;
	if (ret == 0 &&
	    pread(fd, filter->program.filter, (size_t)size, 0) != size)
		ret = -EIO;
	filter->program.len =
		(unsigned short)((size_t)size / sizeof(struct sock_filter));
	close(fd);
	return ret;
}

static int filter_make(struct jail_filter *filter,
		       const struct syscall_list *const *lists,
		       unsigned int count, enum jail_filter_action action)
{
	static const struct filter_report report = {
		.fd = STDERR_FILENO,
		.before = "bantam: killed for the system call ",
		.after = ", which its filter refuses; --sandbox off runs "
			 "without\n",
	};
	scmp_filter_ctx context;
	int ret = filter_start(&context, action == JAIL_FILTER_LOG
						 ? SCMP_ACT_LOG
						 : SCMP_ACT_TRAP);

	if (ret < 0)
		return ret;
	for (unsigned int i = 0; i < count && ret == 0; i++)
		ret = filter_add(context, lists[i]);
	if (ret == 0)
		ret = filter_export(filter, context);
	if (ret == 0)
		ret = filter_handler_set(&report);
	seccomp_release(context);
	return ret;
}

int jail_filter_new(struct jail_filter **out,
		    const struct syscall_list *const *lists, unsigned int count,
		    enum jail_filter_action action, struct error *err)
{
	struct jail_filter *filter = calloc(1, sizeof(*filter));
	int ret;

	if (!filter)
		return error_set(err, ENOMEM, "out of memory");
	ret = filter_make(filter, lists, count, action);
	if (ret < 0) {
		jail_filter_free(filter);
		return error_set(err, -ret,
				 "cannot make a filter of system calls: %s; "
				 "--sandbox off runs without",
				 strerror(-ret));
	}
	*out = filter;
	return 0;
}

void jail_filter_free(struct jail_filter *filter)
{
	if (!filter)
		return;
	free(filter->program.filter);
	free(filter);
}

int jail_filter_apply(const struct jail_filter *filter)
{
	if (!jail_has_filter())
		return 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter->program) <
		    0)
		return -errno;
	return 0;
}
