/*
 * Image formats that are not raw, known by what they begin with. They are
 * only recognised to be refused: a guest can write whatever it likes to the
 * beginning of its raw disk.
 */
#ifndef VIRTIO_BLOCK_FORMAT_H
#define VIRTIO_BLOCK_FORMAT_H

#include <stddef.h>

#define BLOCK_FORMAT_HEAD 4096 /* bytes that are looked at */

/* The name of the format, as qemu-img says it, or NULL. */
const char *block_format_name(const void *head, size_t len);

#endif
