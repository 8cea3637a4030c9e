/*
 * A file that the user named and that is read into the guest: a kernel or an
 * initrd. It stays open, to be read again when the guest reboots, and is only
 * read with pread(2), so that a file truncated meanwhile is an error and not a
 * SIGBUS. A pipe is first copied into a memfd.
 */
#ifndef VMM_BASE_IMAGE_H
#define VMM_BASE_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"

#define IMAGE_SIZE_MAX (UINT64_C(4) << 30)

struct image {
	const char *option; /* borrowed: "--kernel", for messages */
	const char *path;   /* borrowed */
	int fd;		    /* owned; -1 when not open */
	uint64_t size;	    /* bytes, at image_open() */
};

/**
 * image_open() - Open @path to be read; a directory or an empty file is an
 * error, and so is one above IMAGE_SIZE_MAX.
 * @option: the option that named it, borrowed
 * @path: borrowed
 *
 * May block. Return: 0, or a negative errno with @err set.
 */
int image_open(struct image *image, const char *option, const char *path,
	       struct error *err);

/* Safe on one that is not open (fd -1). */
void image_close(struct image *image);

/**
 * image_read() - Read exactly @len bytes at @offset.
 *
 * May block. Return: 0, -ENODATA past the end, or what pread(2) says; @err
 * names the file in each case.
 */
int image_read(const struct image *image, uint64_t offset, void *buf,
	       size_t len, struct error *err);

#endif
