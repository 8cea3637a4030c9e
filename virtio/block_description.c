/*
 * What open() tells create() of a disk. It may travel to another process, so
 * it is checked where it arrives.
 */
#include "virtio/block.h"

#include <errno.h>

#include "virtio/block_file.h"
#include "vmm/base/json.h"

#define FIELD(member, largest) \
	JSON_UINT_MAX(struct block_description, member, largest)

static const struct json_field block_description_fields[] = {
	FIELD(size, INT64_MAX),
	JSON_BOOL(struct block_description, device),
	JSON_BOOL(struct block_description, ro),
	JSON_BOOL(struct block_description, ephemeral),
	JSON_BOOL(struct block_description, direct),
	JSON_BOOL(struct block_description, discard),
	FIELD(mem_align, BLOCK_BLOCK_SIZE_MAX),
	FIELD(offset_align, BLOCK_BLOCK_SIZE_MAX),
	FIELD(block_size, BLOCK_BLOCK_SIZE_MAX),
	FIELD(physical_exp, 16),
	FIELD(alignment_offset, UINT8_MAX),
	FIELD(min_io, UINT16_MAX),
	FIELD(opt_io, UINT32_MAX),
	FIELD(discard_align, UINT32_MAX),
	FIELD(queues, BLOCK_QUEUES_MAX),
	FIELD(bootindex, INT32_MAX),
	FIELD(engine, BLOCK_ENGINE_THREADS),
	JSON_BLOB(struct block_description, serial),
};

#define FIELD_COUNT \
	(sizeof(block_description_fields) / sizeof(block_description_fields[0]))

json_t *block_description_save(const struct block_description *description)
{
	json_t *value;

	if (json_save(description, block_description_fields, FIELD_COUNT,
		      &value) < 0)
		return NULL;
	return value;
}

static bool block_description_power(uint64_t value)
{
	return value && (value & (value - 1)) == 0;
}

int block_description_load(struct block_description *description,
			   const json_t *value, struct error *err)
{
	struct block_description loaded = {0};
	int ret = json_load(&loaded, block_description_fields, FIELD_COUNT,
			    value, err);

	if (ret < 0)
		return ret;
	if (!block_description_power(loaded.mem_align) ||
	    !block_description_power(loaded.offset_align) ||
	    !block_description_power(loaded.block_size) ||
	    loaded.block_size < BLOCK_SECTOR || loaded.queues == 0 ||
	    loaded.size == 0 || loaded.size % BLOCK_SECTOR)
		return error_set(err, EINVAL,
				 "a disk's description that cannot be: sizes "
				 "and alignments have to be powers of two");
	*description = loaded;
	return 0;
}
