/*
 * A descriptor that was inherited shares its open file description, and with
 * it O_NONBLOCK, with the shell and whoever else has it. This gives a process
 * one of its own.
 */
#ifndef VMM_REOPEN_H
#define VMM_REOPEN_H

/**
 * reopen_nonblocking() - Open what @fd is anew, with O_NONBLOCK.
 * @fd: borrowed
 * @access: O_RDONLY or O_WRONLY
 *
 * Works for pipes and terminals. Any thread; does not block.
 * Return: a descriptor for the caller to close, -EBADF if @fd is not open for
 * @access, -EOPNOTSUPP for what would not be the same thing when opened again,
 * or what open(2) says.
 */
int reopen_nonblocking(int fd, int access);

#endif
