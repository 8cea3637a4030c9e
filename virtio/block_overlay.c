/*
 * The clusters of an ephemeral disk, see virtio/block_overlay.h. The memfd
 * comes from main, and is sealed against a change of its size.
 */
#include "virtio/block_overlay.h"

#include <errno.h>
#include <stdlib.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_OVERLAY_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

struct block_overlay {
	uint8_t *map; /* a bit a cluster; mapped */
	size_t map_size;
	uint64_t disk_size, cluster;
};

uint64_t block_overlay_cluster(uint64_t disk_size)
{
	uint64_t cluster = BLOCK_CLUSTER_MIN;

	while (cluster &&
	       (disk_size - 1) / cluster / 8 >= BLOCK_OVERLAY_MAP_MAX)
		cluster <<= 1;
	return cluster <= BLOCK_CLUSTER_MIN << 8 ? cluster : 0;
}

static size_t block_overlay_bytes(uint64_t disk_size)
{
	return (size_t)((disk_size - 1) / block_overlay_cluster(disk_size) / 8 +
			1);
}

int block_overlay_create_map(uint64_t disk_size)
{
	int fd, err;

	if (disk_size == 0 || !block_overlay_cluster(disk_size))
		return -EFBIG;
	fd = memfd_create("bantam-overlay", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)block_overlay_bytes(disk_size)) < 0 ||
	    fcntl(fd, F_ADD_SEALS, BLOCK_OVERLAY_SEALS) < 0) {
		err = errno;
		close(fd);
		return -err;
	}
	return fd;
}

int block_overlay_new(struct block_overlay **out, int map_fd,
		      uint64_t disk_size)
{
	struct block_overlay *overlay;
	struct stat st;
	int err;

	if (disk_size == 0 || !block_overlay_cluster(disk_size) ||
	    fstat(map_fd, &st) < 0 ||
	    (uint64_t)st.st_size != block_overlay_bytes(disk_size) ||
	    (fcntl(map_fd, F_GET_SEALS) & BLOCK_OVERLAY_SEALS) !=
		    BLOCK_OVERLAY_SEALS)
		return -EINVAL;
	overlay = calloc(1, sizeof(*overlay));
	if (!overlay)
		return -ENOMEM;
	overlay->disk_size = disk_size;
	overlay->cluster = block_overlay_cluster(disk_size);
	overlay->map_size = (size_t)st.st_size;
	overlay->map = mmap(NULL, overlay->map_size, PROT_READ | PROT_WRITE,
			    MAP_SHARED, map_fd, 0);
	if (overlay->map == MAP_FAILED) {
		err = errno;
		free(overlay);
		return -err;
	}
	*out = overlay;
	return 0;
}

void block_overlay_free(struct block_overlay *overlay)
{
	if (!overlay)
		return;
	munmap(overlay->map, overlay->map_size);
	free(overlay);
}

uint64_t block_overlay_cluster_size(const struct block_overlay *overlay)
{
	return overlay->cluster;
}

static bool block_overlay_bit(const struct block_overlay *overlay,
			      uint64_t cluster)
{
	return overlay->map[cluster / 8] >> (cluster % 8) & 1;
}

bool block_overlay_has(const struct block_overlay *overlay, uint64_t offset,
		       uint64_t *len)
{
	const uint64_t end = offset + *len;
	uint64_t cluster = offset / overlay->cluster;
	const bool has = block_overlay_bit(overlay, cluster);

	do {
		cluster++;
	} while (cluster * overlay->cluster < end &&
		 block_overlay_bit(overlay, cluster) == has);
	if (cluster * overlay->cluster < end)
		*len = cluster * overlay->cluster - offset;
	return has;
}

bool block_overlay_has_all(const struct block_overlay *overlay, uint64_t offset,
			   uint64_t len)
{
	uint64_t run = len;

	return block_overlay_has(overlay, offset, &run) && run == len;
}

void block_overlay_mark(struct block_overlay *overlay, uint64_t offset,
			uint64_t len)
{
	const uint64_t last = (offset + len - 1) / overlay->cluster;

	for (uint64_t i = offset / overlay->cluster; i <= last; i++)
		overlay->map[i / 8] |= (uint8_t)(1U << (i % 8));
}

void *block_overlay_map(struct block_overlay *overlay, size_t *size)
{
	*size = overlay->map_size;
	return overlay->map;
}
