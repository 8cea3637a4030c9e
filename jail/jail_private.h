/*
 * The steps of jail_enter(). None of them can be taken back.
 */
#ifndef JAIL_JAIL_PRIVATE_H
#define JAIL_JAIL_PRIVATE_H

#include "jail/jail.h"

/*
 * Take an empty directory for the root, read-only, and let go of all mounts.
 * In a mount namespace of this process's own, as its root.
 * Return: 0, or a negative errno, *what naming the step.
 */
int jail_root_enter(const char **what);

/* No capabilities, in any set, and none to come. Likewise. */
int jail_caps_drop(const char **what);

/*
 * Load the filter, for all threads. config->mode: JAIL_ON or JAIL_LOG.
 * *notify_fd: -1, or with JAIL_LOG, owned: for jail_notice().
 * Return: 0 or a negative errno.
 */
int jail_filter_load(const struct jail_config *config, int *notify_fd);

#endif
