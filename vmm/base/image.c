/*
 * Kernel and initrd files. The user names them, so they may be anything and
 * may change under us; only pread(2) touches them.
 */
#include "vmm/base/image.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define IMAGE_COPY_STEP ((size_t)1 << 20)

static int image_fail(const struct image *image, int errnum, const char *what,
		      struct error *err)
{
	return error_set(err, errnum, "%s %s: cannot %s: %s", image->option,
			 image->path, what, strerror(errnum));
}

static int image_fail_size(const struct image *image, struct error *err)
{
	return error_set(err, EFBIG,
			 "%s %s: expected at most %" PRIu64
			 " MiB, found more; is this the right file?",
			 image->option, image->path, IMAGE_SIZE_MAX >> 20);
}

/* Move what is in a pipe into a memfd, up to its end. Sets size. */
static int image_copy_pipe(struct image *image, int copy, struct error *err)
{
	image->size = 0;
	for (;;) {
		ssize_t n =
			splice(image->fd, NULL, copy, NULL, IMAGE_COPY_STEP, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return image_fail(image, errno, "read the pipe", err);
		if (n == 0)
			return 0;
		image->size += (uint64_t)n;
		if (image->size > IMAGE_SIZE_MAX)
			return image_fail_size(image, err);
	}
}

static int image_take_pipe(struct image *image, struct error *err)
{
	int copy = memfd_create("bantam-image", MFD_CLOEXEC);
	int ret;

	if (copy < 0)
		return image_fail(image, errno, "make a memfd for the pipe",
				  err);
	ret = image_copy_pipe(image, copy, err);
	if (ret < 0) {
		close(copy);
		return ret;
	}
	close(image->fd);
	image->fd = copy;
	return 0;
}

/* Find the size of what was opened; a pipe becomes a memfd. */
static int image_examine(struct image *image, struct error *err)
{
	struct stat st;
	int ret;

	if (fstat(image->fd, &st) < 0)
		return image_fail(image, errno, "examine", err);
	if (S_ISDIR(st.st_mode))
		return error_set(err, EISDIR,
				 "%s %s: expected a file, found a directory",
				 image->option, image->path);
	if (S_ISFIFO(st.st_mode)) {
		ret = image_take_pipe(image, err);
		if (ret < 0)
			return ret;
	} else if (S_ISREG(st.st_mode)) {
		image->size = (uint64_t)st.st_size;
	} else {
		return error_set(err, EINVAL,
				 "%s %s: expected a regular file or a pipe, "
				 "found a device",
				 image->option, image->path);
	}
	if (image->size == 0)
		return error_set(err, ENODATA,
				 "%s %s: expected an image, found an empty "
				 "file",
				 image->option, image->path);
	if (image->size > IMAGE_SIZE_MAX)
		return image_fail_size(image, err);
	return 0;
}

int image_open(struct image *image, const char *option, const char *path,
	       struct error *err)
{
	int ret;

	*image = (struct image){.option = option, .path = path, .fd = -1};
	image->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (image->fd < 0)
		return image_fail(image, errno, "open the file", err);
	ret = image_examine(image, err);
	if (ret < 0)
		image_close(image);
	return ret;
}

void image_close(struct image *image)
{
	if (image->fd >= 0)
		close(image->fd);
	image->fd = -1;
}

static int image_fail_short(const struct image *image, uint64_t offset,
			    size_t len, uint64_t end, struct error *err)
{
	return error_set(err, ENODATA,
			 "%s %s: expected %zu bytes at offset %" PRIu64
			 ", found the end of the file at %" PRIu64
			 "; is it cut?",
			 image->option, image->path, len, offset, end);
}

int image_read(const struct image *image, uint64_t offset, void *buf,
	       size_t len, struct error *err)
{
	uint8_t *to = buf;
	size_t done = 0;

	if (offset > image->size || len > image->size - offset)
		return image_fail_short(image, offset, len, image->size, err);
	while (done < len) {
		ssize_t n = pread(image->fd, to + done, len - done,
				  (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return image_fail(image, errno, "read the file", err);
		if (n == 0)
			return image_fail_short(image, offset, len,
						offset + done, err);
		done += (size_t)n;
	}
	return 0;
}
