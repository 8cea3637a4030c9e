/*
 * A block device with its driver, for tests: an image in a folder of its own
 * on a file system that has all that virtio/block_file.h can use, the model in
 * a device object on a loop, and ring drivers. What cannot go wrong in a test
 * ends it.
 */
#ifndef TESTS_UNIT_SUPPORT_DISK_H
#define TESTS_UNIT_SUPPORT_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/unit/support/ring_driver.h"
#include "virtio/block.h"
#include "virtio/block_file.h"
#include "vmm/base/loop.h"

#define DISK_SLOTS	40
#define DISK_SLOT_BYTES ((size_t)1 << 20)

struct disk_options {
	uint64_t size;	  /* bytes of the image; 0: 1 MiB */
	const char *file; /* NULL: a new one, filled with disk_fill() */
	const char *base; /* where its folder is made; NULL: /var/tmp */
	bool ro, ephemeral, direct;
	unsigned int align; /* that O_DIRECT wants; 0: what it really wants */
	const char *serial;
	unsigned int queues; /* 0: 1 */
	enum block_engine engine;
	bool packed, indirect, event_idx;
	uint64_t refuse; /* features that the driver does not accept */
};

/* A request of the driver's. */
struct disk_request {
	uint32_t type;
	uint64_t sector;
	const void *out; /* after the header */
	size_t out_len;
	void *in; /* before the status; filled when it is collected */
	size_t in_len;
	size_t cut;  /* bytes of each descriptor; 0: as Linux does */
	size_t skew; /* of the data, from a page's beginning */
	bool no_header, no_status;
	unsigned int queue;

	/* Set when it is collected. */
	bool done;
	uint8_t status; /* 0xee if the device wrote none */
	uint32_t used;	/* bytes, says the device */
	unsigned int slot;
};

struct disk {
	struct disk_options options;
	char dir[64], path[96];
	struct loop *loop;
	struct guest_mem *mem;
	struct virtio_resources resources;
	struct virtio_device *device;
	struct ring_driver *drivers[BLOCK_QUEUES_MAX];
	struct loop_fd *calls[BLOCK_QUEUES_MAX];
	struct disk_request *slots[DISK_SLOTS];	  /* borrowed while it is out */
	unsigned int needs_reset, config_changed; /* how often it was said */
	unsigned int call_count;		  /* interrupts */
};

/* The byte at @offset of a new image. */
uint8_t disk_fill(uint64_t offset);
/* @len of them. */
void disk_fill_bytes(uint8_t *bytes, uint64_t offset, size_t len);

/* A folder for images in @base (NULL: /var/tmp), to be removed with
 * disk_remove_dir(). */
void disk_make_dir(char *dir, size_t size, const char *base);
void disk_remove_dir(const char *dir);
/* Write an image of disk_fill(). */
void disk_make_image(const char *path, uint64_t size);

/* Open, create, accept the features and activate. */
struct disk *disk_new(const struct disk_options *options);
void disk_free(struct disk *disk);

/* The single steps of it: make and free the device alone; driver's side. */
void disk_create(struct disk *disk);
void disk_destroy(struct disk *disk);
int disk_activate(struct disk *disk);
void disk_reset(struct disk *disk);

/* Make a request available, without a kick. */
void disk_add(struct disk *disk, struct disk_request *request);
/* Kick what the device wants to be kicked for. */
void disk_kick(struct disk *disk);
/* Run the loop until all of them are done, or the device needs a reset. */
void disk_wait(struct disk *disk);
/* All three. Return: the status, or -1 if the device needs a reset. */
int disk_do(struct disk *disk, struct disk_request *request);

/* Shorter ones. */
int disk_read(struct disk *disk, uint64_t sector, void *data, size_t len);
int disk_write(struct disk *disk, uint64_t sector, const void *data,
	       size_t len);
int disk_flush(struct disk *disk);
/* VIRTIO_BLK_T_DISCARD or WRITE_ZEROES, of one range. */
int disk_range(struct disk *disk, uint32_t type, uint64_t sector,
	       uint32_t sectors, uint32_t flags);

uint64_t disk_capacity(struct disk *disk);
/* Bytes of an image on the host. */
void disk_host_read(const struct disk *disk, uint64_t offset, void *data,
		    size_t len);

#endif
