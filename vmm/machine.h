/*
 * One virtual machine from its options to its end.
 */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include "vmm/base/error.h"
#include "vmm/options.h"
#include "vmm/outcome.h"

/**
 * machine_run() - Build the machine, run it, and take it down again.
 * @options: borrowed
 * @outcome: how it ended
 * @err: set with -errno
 *
 * Main thread, the process's only one; blocks until the machine has ended.
 * Signals, once the files are open: takes SIGINT, SIGTERM and, if it was not
 * ignored, SIGHUP through a signalfd, ignores SIGPIPE. The first presses the
 * power button; SIGINT or SIGTERM then ends the machine at once. Return: 0 once
 * it has run, or a negative errno if it could not be built or booted.
 */
int machine_run(const struct options *options, struct outcome *outcome,
		struct error *err);

#endif
