/*
 * The one line that a user reads when something failed. It travels from where
 * the failure is understood to where it is shown (the terminal, a control
 * client, a test), so that no lower layer prints.
 */
#ifndef VMM_BASE_ERROR_H
#define VMM_BASE_ERROR_H

#define ERROR_TEXT_MAX 1024

struct error {
	char text[ERROR_TEXT_MAX]; /* no trailing newline; "" when unset */
};

/**
 * error_set() - Write the message and make the return value of one.
 * @err: where to write, or NULL to write nothing
 * @errnum: positive errno of the failure
 * @fmt: names the option or file, what was expected, what was found, what
 *       to do; cut at ERROR_TEXT_MAX - 1 bytes
 *
 * Any thread; does not block. Return: -@errnum.
 */
int error_set(struct error *err, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 3, 4), cold));

/**
 * error_prefix() - Put @fmt before the message that is already there.
 * @err: a message that error_set() wrote, or NULL
 * @fmt: what to put before it, such as "--kernel %s: "
 *
 * Any thread; does not block.
 */
void error_prefix(struct error *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), cold));

#endif
