/*
 * A machine's options as a JSON file (--config, --print-config). The names are
 * those of the command line:
 *
 *   {
 *     "kernel": {"file": "vmlinuz", "entry": "pvh"},
 *     "memory": "512M",
 *     "cpus": 2,
 *     "expect": ["^login:", "ready$"],
 *     "no-reboot": true
 *   }
 *
 * An option is the value of its main key, or an object of its keys; one that
 * repeats is an array of those. Counts are numbers, flags are true or false,
 * all else is a string as the command line takes it, without doubled commas.
 * Paths are relative to where bantam was started.
 */
#ifndef VMM_CONFIG_H
#define VMM_CONFIG_H

#include <stddef.h>
#include <stdio.h>

#include "vmm/base/error.h"
#include "vmm/options.h"

#define CONFIG_SIZE_MAX ((size_t)1 << 20) /* bytes of a file */

/**
 * config_read() - Set the options that a file gives; others stay.
 * @path: a regular file; may block on it
 * @err: names the file, the option, the key, what was expected and found
 *
 * Return: 0 or a negative errno; some of @options may be set then.
 */
int config_read(struct options *options, const char *path, struct error *err);

/**
 * config_print() - Print every option that is set, as config_read() takes it.
 *
 * Left out is what only the command line can give. May block on @out.
 * Return: 0 or a negative errno.
 */
int config_print(const struct options *options, FILE *out, struct error *err);

#endif
