/*
 * Where options come from, one above the other: defaults, the config file, the
 * command line. In one layer an option or key is given once (or repeats); the
 * layer above replaces it, key by key, and what repeats as a whole.
 */
#ifndef VMM_OPTION_LAYER_H
#define VMM_OPTION_LAYER_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/option_table.h"
#include "vmm/options.h"

#define OPTION_LAYER_TABLE_MAX 64  /* rows */
#define OPTION_REPEAT_MAX      256 /* times that an option is given */

/* Bit i: key i was given. */
typedef uint32_t option_seen;

/* Embedded: lives on the stack of who reads a layer. */
struct option_layer {
	struct options *options; /* borrowed */
	struct error *err;	 /* borrowed, or NULL */
	bool words;		 /* messages are to say --memory,hugepages */
	option_seen seen[OPTION_LAYER_TABLE_MAX];
};

/* One time that an option is given. */
struct option_record {
	const struct option *option;
	void *base;   /* what the keys' offsets count from */
	size_t index; /* of the element, for an option that repeats */
	option_seen *seen;
	option_seen element_seen;
};

/* Set every key of @options to its default. Return: 0 or -ENOMEM. */
int option_layer_defaults(struct options *options, struct error *err);

/**
 * option_layer_begin() - An option is given: where do its keys go?
 * @record: stays where it is while it is used
 *
 * An option that repeats gets a new element; the first in this layer takes the
 * place of all that lower layers gave. Return: 0, -EINVAL or -ENOMEM, the
 * layer's err set.
 */
int option_layer_begin(struct option_layer *layer, const struct option *option,
		       struct option_record *record);

/**
 * option_layer_set() - Set a key to what a user wrote. A key that repeats
 * takes each time, the first of which takes the place of lower layers' all.
 *
 * Return: 0, -EINVAL or -ENOMEM, the layer's err set.
 */
int option_layer_set(struct option_layer *layer, struct option_record *record,
		     const struct option_key *key, const char *text);

/**
 * option_layer_end() - No more keys come for @record.
 *
 * Return: 0, or -EINVAL, the layer's err set: a key that has to be given was
 * not.
 */
int option_layer_end(struct option_layer *layer,
		     const struct option_record *record);

/**
 * option_layer_refuse() - Set err for a value of the wrong kind.
 * @key: NULL for the option as a whole
 * @expected: in words
 * @found: as it is to be shown, quotes and all
 *
 * Return: -EINVAL.
 */
int option_layer_refuse(struct option_layer *layer,
			const struct option_record *record,
			const struct option_key *key, const char *expected,
			const char *found);

/* Set err: the option has no key of that name. Return: -EINVAL. */
int option_layer_unknown(struct option_layer *layer,
			 const struct option_record *record, const char *name);

/* How many elements an option that repeats has, and one of them. */
size_t option_layer_count(const struct options *options,
			  const struct option *option);
const void *option_layer_element(const struct options *options,
				 const struct option *option, size_t index);

/* Free all that the options own and make them unset. */
void option_layer_clear(struct options *options);

#endif
