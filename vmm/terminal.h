/*
 * The user's terminal as the guest's: raw mode, given back on every way out,
 * and the keys that are bantam's own.
 */
#ifndef VMM_TERMINAL_H
#define VMM_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * terminal_raw() - Put stdin's terminal into raw mode until terminal_restore().
 *
 * Raw both ways: the guest ends its lines with \r\n by itself. No key makes a
 * signal. While the process is not in the terminal's foreground, the terminal
 * is left alone, and put into raw mode when SIGCONT says that this may have
 * changed. Takes SIGCONT, SIGTSTP, and each fatal signal that nobody else has
 * taken, so call it after installing other handlers; they must not be blocked
 * in all threads. Once a process; main thread.
 *
 * Return: 0, -ENOTTY if stdin is not a terminal (nothing was done), or what
 * tcsetattr(3) says.
 */
int terminal_raw(void);

/**
 * terminal_restore() - Give the terminal back as it was; again: nothing to do.
 *
 * Any thread, async-signal-safe. Also called by exit(3) and by the signals
 * named above.
 */
void terminal_restore(void);

enum terminal_action {
	TERMINAL_NONE,
	TERMINAL_QUIT, /* Ctrl-A x; Ctrl-A d if asked for */
	TERMINAL_HELP, /* Ctrl-A h */
};

/* Where the filter is between two reads; zero-initialised, embedded. */
struct terminal_escape {
	bool pending; /* Ctrl-A was the last byte */
	bool detach;  /* set by the user: Ctrl-A d is TERMINAL_QUIT, too */
};

/**
 * terminal_escape_filter() - Take bantam's own keys out of the input.
 * @in, @len: what was typed
 * @out: room for @len + 1 bytes: what the guest gets
 * @out_len: how many it are
 *
 * Ctrl-A x and Ctrl-A h are ours, Ctrl-A a and Ctrl-A Ctrl-A give one Ctrl-A,
 * Ctrl-A and anything else gives both. What follows Ctrl-A x is dropped. Pure.
 * Return: what the user wants; quit goes before help.
 */
enum terminal_action terminal_escape_filter(struct terminal_escape *escape,
					    const uint8_t *in, size_t len,
					    uint8_t *out, size_t *out_len);

#endif
