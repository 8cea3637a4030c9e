/*
 * `bantam device TYPE`: a device on its own, for frontends of any make.
 */
#ifndef VMM_DEVICE_VERB_H
#define VMM_DEVICE_VERB_H

#include "vmm/base/error.h"
#include "vmm/options.h"

/**
 * device_verb() - Serve until SIGTERM or SIGINT, or to the end of --fd's
 * connection.
 * @options: of options_parse_device()
 *
 * Return: 0 or a negative errno, @err names the option.
 */
int device_verb(const struct options *options, const char *type,
		struct error *err);

#endif
