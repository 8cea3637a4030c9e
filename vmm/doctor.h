/*
 * The verb `doctor`: what this host's KVM can do, and what to mend.
 */
#ifndef VMM_DOCTOR_H
#define VMM_DOCTOR_H

/**
 * doctor_run() - Look at the host and print what was found to stdout.
 * @argc, @argv: what follows the verb: nothing, or --json
 *
 * In a process of a single thread. Return: the exit status: 0 if Linux can run
 * here, 1 if not, 125 for a wrong option or a report that cannot be written.
 */
int doctor_run(int argc, char **argv);

#endif
