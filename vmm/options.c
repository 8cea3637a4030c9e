/*
 * The command line of `bantam run`, from words to options that fit together.
 */
#include "vmm/options.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "vmm/config.h"
#include "vmm/option_layer.h"
#include "vmm/option_words.h"

#define OPTIONS_MIB (UINT64_C(1) << 20)

/*
 * Take those of the words' options that are for the command line only, or all
 * others.
 */
static int options_take(struct option_layer *layer, bool device, int argc,
			char *const *argv, bool words_only)
{
	struct option_words words = {
		.argc = argc,
		.argv = argv,
		.device = device,
	};
	const struct option *option = NULL;
	const char *value = NULL;
	int rc;

	while ((rc = option_words_next(&words, &option, &value, layer->err)) >
	       0) {
		if (option->words_only != words_only)
			continue;
		rc = option_words_give(layer, option, value);
		if (rc)
			return rc;
	}
	return rc;
}

/* stdin has one reader. Without a wish the serial port leaves it to others. */
static int options_settle_stdio(struct options *options, struct error *err)
{
	size_t count = options->serial.to == OPTIONS_TO_STDIO;
	bool console = false;

	for (size_t i = 0; i < options->consoles.count; i++)
		if (options->consoles.items[i].end.to == OPTIONS_TO_STDIO) {
			console = true;
			count++;
		}
	if (count > 1)
		return error_set(err, EINVAL,
				 "--console: expected one device with stdio, "
				 "found %zu%s; lead the others to null or a "
				 "file",
				 count,
				 options->serial.to == OPTIONS_TO_STDIO
					 ? ", with --serial"
					 : "");
	if (options->serial.to == OPTIONS_TO_UNSAID)
		options->serial.to =
			console ? OPTIONS_TO_NULL : OPTIONS_TO_STDIO;
	return 0;
}

/* All ports are of one device, which is described with the first. */
static int options_check_consoles(const struct options_consoles *consoles,
				  struct error *err)
{
	for (size_t i = 1; i < consoles->count; i++) {
		const struct virtio_common_options *common =
			&consoles->items[i].common;
		const char *key = common->transport ? "transport"
				  : common->slot    ? "slot"
				  : common->packed  ? "packed"
				  : common->sandbox ? "sandbox"
				  : common->restart ? NULL
						    : "restart";

		if (key)
			return error_set(err, EINVAL,
					 "--console,%s: expected it with the "
					 "first --console, since all are ports "
					 "of one device; found it with number "
					 "%zu",
					 key, i + 1);
	}
	if (consoles->count <= VIRTIO_CONSOLE_PORTS_MAX)
		return 0;
	return error_set(err, EINVAL,
			 "--console: expected at most %d of them, found %zu",
			 VIRTIO_CONSOLE_PORTS_MAX, consoles->count);
}

static int options_check(const struct options *options, struct error *err)
{
	uint64_t page = options->hugepages ? options->hugepages : OPTIONS_MIB;

	if (options->memory % page)
		return error_set(err, EINVAL,
				 "--memory: expected a multiple of %s, found "
				 "%" PRIu64 " bytes",
				 options->hugepages ? "the huge page" : "1M",
				 options->memory);
	if (!options->kernel)
		return error_set(err, EINVAL,
				 "--kernel: expected the file of a kernel, "
				 "found none; give -k FILE");
	return 0;
}

int options_parse(struct options *options, int argc, char *const *argv,
		  struct error *err)
{
	struct option_layer words = {
		.options = options,
		.err = err,
		.words = true,
	};
	int rc;

	rc = option_layer_defaults(options, err);
	if (!rc)
		rc = options_take(&words, false, argc, argv, true);
	if (rc || options->help)
		return rc;
	/* The file first: the words lie above it. */
	if (options->config)
		rc = config_read(options, options->config, err);
	if (!rc)
		rc = options_take(&words, false, argc, argv, false);
	if (!rc)
		rc = options_settle_stdio(options, err);
	if (!rc)
		rc = options_check_consoles(&options->consoles, err);
	return rc ? rc : options_check(options, err);
}

/* How many devices of that type there are; -1 if it has no such thing. */
static int options_count(const struct options *options, const char *type)
{
	if (!strcmp(type, "block"))
		return (int)options->disks.count;
	if (!strcmp(type, "net"))
		return (int)options->nets.count;
	return !strcmp(type, "rng") ? 1 : -1;
}

static int options_check_device(const struct options *options, const char *type,
				struct error *err)
{
	const bool block = !strcmp(type, "block"), net = !strcmp(type, "net");
	const int count = options_count(options, type);

	if (count < 0)
		return error_set(err, EINVAL,
				 "device: expected block, net or rng, found "
				 "\"%.32s\"",
				 type);
	if (!options->device_socket == !options->device_fd)
		return error_set(err, EINVAL,
				 "device: expected --socket PATH or --fd N, "
				 "found %s",
				 options->device_fd ? "both" : "neither");
	if (count != 1)
		return error_set(err, EINVAL,
				 "device %s: expected one --%s, found %d", type,
				 block ? "disk" : "net", count);
	if ((!block && options->disks.count) || (!net && options->nets.count))
		return error_set(err, EINVAL,
				 "device %s: expected none of another type's "
				 "options, found --%s",
				 type,
				 net || !options->nets.count ? "disk" : "net");
	return 0;
}

int options_parse_device(struct options *options, const char *type, int argc,
			 char *const *argv, struct error *err)
{
	struct option_layer words = {
		.options = options,
		.err = err,
		.words = true,
	};
	int rc = option_layer_defaults(options, err);

	if (!rc)
		rc = options_take(&words, true, argc, argv, true);
	if (rc || options->help)
		return rc;
	rc = options_take(&words, true, argc, argv, false);
	return rc ? rc : options_check_device(options, type, err);
}

void options_fini(struct options *options)
{
	option_layer_clear(options);
}
