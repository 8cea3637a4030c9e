/*
 * Raw mode. A terminal that stays raw after bantam is gone is the one thing
 * that every user notices, so it is given back at exit(3), before each signal
 * that ends or stops the process, and by whoever calls terminal_restore();
 * SIGKILL alone cannot be helped. What is typed is the user's and goes to the
 * guest unchanged, but for the keys behind Ctrl-A.
 */
#include "vmm/terminal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <termios.h>

#include <unistd.h>

#define TERMINAL_CTRL_A 0x01

/*
 * Global because a signal handler has no other way to it, and a process has
 * but one controlling terminal. Everything but active is written before active
 * is set and only read from then on.
 */
static struct {
	struct termios cooked; /* as we found it */
	struct termios raw;
	pid_t owner; /* a forked child leaves its parent's terminal alone */
	atomic_bool active;
} terminal;

/* Signals that end the process by default and can be handled. */
static const int terminal_fatal_signals[] = {
	SIGHUP,	 SIGINT,  SIGQUIT, SIGILL,  SIGTRAP,   SIGABRT, SIGBUS,
	SIGFPE,	 SIGUSR1, SIGSEGV, SIGUSR2, SIGALRM,   SIGTERM, SIGSYS,
	SIGXCPU, SIGXFSZ, SIGPROF, SIGPOLL, SIGVTALRM,
};

/*
 * Set the mode, if the terminal is ours at present: in the background it
 * belongs to somebody else, and the attempt would stop us with SIGTTOU.
 */
static int terminal_set(const struct termios *mode)
{
	if (tcgetpgrp(STDIN_FILENO) != getpgrp())
		return 0;
	return tcsetattr(STDIN_FILENO, TCSANOW, mode);
}

void terminal_restore(void)
{
	int saved_errno = errno;

	if (getpid() == terminal.owner &&
	    atomic_exchange(&terminal.active, false))
		terminal_set(&terminal.cooked);
	errno = saved_errno;
}

static void terminal_on_fatal(int sig)
{
	terminal_restore();
	/* SA_RESETHAND made it the default; it comes when we return. */
	raise(sig);
}

static void terminal_on_continue(int sig)
{
	int saved_errno = errno;

	(void)sig;
	if (getpid() == terminal.owner && atomic_load(&terminal.active))
		terminal_set(&terminal.raw);
	errno = saved_errno;
}

static void terminal_on_stop(int sig);

static int terminal_handle(int sig, void (*handler)(int), int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags};

	sigemptyset(&action.sa_mask);
	return sigaction(sig, &action, NULL);
}

static void terminal_on_stop(int sig)
{
	int saved_errno = errno;
	sigset_t unblock, blocked;

	if (getpid() == terminal.owner && atomic_load(&terminal.active))
		terminal_set(&terminal.cooked);
	terminal_handle(sig, SIG_DFL, 0);
	pthread_kill(pthread_self(), sig);
	sigemptyset(&unblock);
	sigaddset(&unblock, sig);
	/* Here the process stops, and here it goes on. */
	pthread_sigmask(SIG_UNBLOCK, &unblock, &blocked);
	pthread_sigmask(SIG_SETMASK, &blocked, NULL);
	terminal_handle(sig, terminal_on_stop, SA_RESTART);
	terminal_on_continue(sig);
	errno = saved_errno;
}

/* Handlers that somebody else installed, and ignored signals, stay. */
static void terminal_handle_default(int sig, void (*handler)(int), int flags)
{
	struct sigaction old;

	if (sigaction(sig, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
		terminal_handle(sig, handler, flags);
}

static void terminal_handle_signals(void)
{
	const size_t count = sizeof(terminal_fatal_signals) /
			     sizeof(terminal_fatal_signals[0]);

	for (size_t i = 0; i < count; i++)
		terminal_handle_default(terminal_fatal_signals[i],
					terminal_on_fatal, (int)SA_RESETHAND);
	terminal_handle_default(SIGTSTP, terminal_on_stop, SA_RESTART);
	terminal_handle_default(SIGCONT, terminal_on_continue, SA_RESTART);
}

int terminal_raw(void)
{
	if (tcgetattr(STDIN_FILENO, &terminal.cooked) < 0)
		return -ENOTTY;
	terminal.raw = terminal.cooked;
	cfmakeraw(&terminal.raw);
	terminal.owner = getpid();
	if (atexit(terminal_restore) != 0)
		return -ENOMEM;
	terminal_handle_signals();
	atomic_store(&terminal.active, true);
	if (terminal_set(&terminal.raw) < 0) {
		int ret = -errno;

		terminal_restore();
		return ret;
	}
	return 0;
}

enum terminal_action terminal_escape_filter(struct terminal_escape *escape,
					    const uint8_t *in, size_t len,
					    uint8_t *out, size_t *out_len)
{
	enum terminal_action action = TERMINAL_NONE;
	size_t n = 0;

	for (size_t i = 0; i < len && action != TERMINAL_QUIT; i++) {
		if (!escape->pending) {
			escape->pending = in[i] == TERMINAL_CTRL_A;
			if (!escape->pending)
				out[n++] = in[i];
			continue;
		}
		escape->pending = false;
		if (escape->detach && in[i] == 'd') {
			action = TERMINAL_QUIT;
			continue;
		}
		switch (in[i]) {
		case 'x':
			action = TERMINAL_QUIT;
			break;
		case 'h':
			action = TERMINAL_HELP;
			break;
		case 'a':
		case TERMINAL_CTRL_A:
			out[n++] = TERMINAL_CTRL_A;
			break;
		default:
			out[n++] = TERMINAL_CTRL_A;
			out[n++] = in[i];
			break;
		}
	}
	*out_len = n;
	return action;
}
