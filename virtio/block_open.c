/*
 * Opening a disk, in main: everything about the image that a user can get
 * wrong is found here, and said with what to do about it. Who controls the
 * input: the user; the guest wrote the image's content.
 */
#include "virtio/block.h"

#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "virtio/block_file.h"
#include "virtio/block_format.h"
#include "virtio/block_overlay.h"
#include "vmm/base/log.h"

struct block_opening {
	const struct virtio_open *open;
	const struct virtio_block_options *options;
	struct stat st;
	int fds[BLOCK_FDS_MAX];
	struct block_description description;
};

/* --- Opening the image --------------------------------------------------- */

static int block_open_refused(const struct block_opening *o, int errnum,
			      struct error *err)
{
	const char *option = o->open->option, *file = o->options->file;
	const bool writes = !o->description.ro && !o->description.ephemeral;

	switch (errnum) {
	case ENOENT:
		return error_set(err, errnum,
				 "%s: there is no such file; an empty disk is "
				 "made with: truncate -s 10G %s",
				 option, file);
	case EACCES:
	case EPERM:
		return error_set(err, errnum,
				 "%s: no permission to read%s it%s", option,
				 writes ? " and write" : "",
				 writes ? "; without writing: ,ro or "
					  ",ephemeral"
					: "");
	case EROFS:
		return error_set(err, errnum,
				 "%s: is on a read-only file system; add ,ro "
				 "or ,ephemeral",
				 option);
	case EBUSY:
		return error_set(err, errnum,
				 "%s: this host uses the device (mounted, or a "
				 "part of another one); end that first",
				 option);
	default:
		return error_set(err, errnum, "%s: cannot be opened: %s",
				 option, strerror(errnum));
	}
}

static int block_open_check_type(const struct block_opening *o,
				 struct error *err)
{
	if (S_ISREG(o->st.st_mode) || S_ISBLK(o->st.st_mode))
		return 0;
	return error_set(err, S_ISDIR(o->st.st_mode) ? EISDIR : EINVAL,
			 "%s: is %s; expected a raw image or a block device",
			 o->open->option,
			 S_ISDIR(o->st.st_mode) ? "a directory"
						: "no regular file");
}

/* Looked at before it is opened, since opening a FIFO or a terminal does
 * something; and again after. */
static int block_open_image(struct block_opening *o, struct error *err)
{
	const bool writes = !o->description.ro && !o->description.ephemeral;
	int flags = (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY |
		    O_NONBLOCK;
	int fd, ret;

	if (stat(o->options->file, &o->st) < 0)
		return block_open_refused(o, errno, err);
	ret = block_open_check_type(o, err);
	if (ret < 0)
		return ret;
	/* Without O_CREAT it means: nobody else, the host included. */
	if (S_ISBLK(o->st.st_mode) && writes)
		flags |= O_EXCL;
	fd = open(o->options->file, flags);
	if (fd < 0)
		return block_open_refused(o, errno, err);
	o->fds[BLOCK_FD_IMAGE] = fd;
	/* io_uring would take O_NONBLOCK at its word. */
	if (fstat(fd, &o->st) < 0 || fcntl(fd, F_SETFL, 0) < 0)
		return block_open_refused(o, errno, err);
	o->description.device = S_ISBLK(o->st.st_mode);
	return block_open_check_type(o, err);
}

static int block_open_check_format(const struct block_opening *o,
				   struct error *err)
{
	char head[BLOCK_FORMAT_HEAD];
	ssize_t len = pread(o->fds[BLOCK_FD_IMAGE], head, sizeof(head), 0);
	const char *format, *file = o->options->file;

	if (len < 0)
		return error_set(err, errno, "%s: cannot be read: %s",
				 o->open->option, strerror(errno));
	format = block_format_name(head, (size_t)len);
	if (!format)
		return 0;
	return error_set(err, EINVAL,
			 "%s: is a %s image, and only raw ones are used; "
			 "convert it: qemu-img convert -O raw %s %s.raw",
			 o->open->option, format, file, file);
}

static int block_open_size(struct block_opening *o, struct error *err)
{
	uint64_t *size = &o->description.size;

	*size = (uint64_t)o->st.st_size;
	if (o->description.device &&
	    ioctl(o->fds[BLOCK_FD_IMAGE], BLKGETSIZE64, size) < 0)
		return error_set(err, errno, "%s: BLKGETSIZE64: %s",
				 o->open->option, strerror(errno));
	if (*size == 0)
		return error_set(err, EINVAL,
				 o->description.device
					 ? "%s: has no medium"
					 : "%s: is empty; give it a size: "
					   "truncate -s 10G %s",
				 o->open->option, o->options->file);
	if (*size % BLOCK_SECTOR)
		return error_set(err, EINVAL,
				 "%s: has %" PRIu64 " bytes, expected a "
				 "multiple of %d; round it up: truncate -s "
				 "%%%d %s",
				 o->open->option, *size, BLOCK_SECTOR,
				 BLOCK_SECTOR, o->options->file);
	return 0;
}

/* A lock goes with the open file, to every process that has it, and is gone
 * with the last of them. */
static int block_open_lock(const struct block_opening *o, struct error *err)
{
	const bool shared = o->description.ro || o->description.ephemeral;
	struct flock lock = {
		.l_type = shared ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET,
	};
	bool taken;

	if (o->open->dry_run) {
		if (fcntl(o->fds[BLOCK_FD_IMAGE], F_OFD_GETLK, &lock) < 0)
			return 0;
		taken = lock.l_type != F_UNLCK;
	} else {
		if (fcntl(o->fds[BLOCK_FD_IMAGE], F_OFD_SETLK, &lock) == 0)
			return 0;
		taken = errno == EAGAIN || errno == EACCES;
		if (!taken)
			log_warn("%s: cannot be locked here (%s): nothing "
				 "keeps another machine from writing to it",
				 o->open->option, strerror(errno));
	}
	if (!taken)
		return 0;
	return error_set(err, EBUSY,
			 "%s: is in use by another machine, or twice in this "
			 "one%s; stop that one, or give each a copy",
			 o->open->option, shared ? ", which writes to it" : "");
}

/* --- What the host says of it -------------------------------------------- */

/* A number of the device's queue in sysfs; 0 if it is not there. */
static uint64_t block_open_queue_number(const struct block_opening *o,
					const char *name)
{
	/* A partition's queue is its disk's. */
	static const char *const places[] = {"queue", "../queue"};
	const unsigned int major = major(o->st.st_rdev);
	const unsigned int minor = minor(o->st.st_rdev);
	char path[128], line[32];
	FILE *stream;
	char *found;

	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s/%s",
			 major, minor, places[i], name);
		stream = fopen(path, "re");
		if (!stream)
			continue;
		found = fgets(line, sizeof(line), stream);
		fclose(stream);
		return found ? strtoull(line, NULL, 10) : 0;
	}
	return 0;
}

static void block_open_device_topology(struct block_opening *o)
{
	struct block_description *d = &o->description;
	const int fd = o->fds[BLOCK_FD_IMAGE];
	unsigned int physical = 0, min_io = 0, opt_io = 0;
	int logical = 0, offset = 0;

	if (ioctl(fd, BLKSSZGET, &logical) == 0 && logical > BLOCK_SECTOR &&
	    logical <= BLOCK_BLOCK_SIZE_MAX)
		d->block_size = (uint64_t)logical;
	ioctl(fd, BLKPBSZGET, &physical);
	ioctl(fd, BLKIOMIN, &min_io);
	ioctl(fd, BLKIOOPT, &opt_io);
	if (ioctl(fd, BLKALIGNOFF, &offset) == 0 && offset > 0 &&
	    (uint64_t)offset / d->block_size <= UINT8_MAX)
		d->alignment_offset = (uint64_t)offset / d->block_size;
	while (d->block_size << d->physical_exp < physical &&
	       d->physical_exp < 16)
		d->physical_exp++;
	if (min_io / d->block_size <= UINT16_MAX)
		d->min_io = min_io / d->block_size;
	d->opt_io = opt_io / d->block_size;
	d->discard = block_open_queue_number(o, "discard_max_bytes") != 0;
	d->discard_align = block_open_queue_number(o, "discard_granularity") /
			   BLOCK_SECTOR;
	if (d->discard_align > UINT32_MAX)
		d->discard_align = 0;
}

static void block_open_topology(struct block_opening *o)
{
	struct block_description *d = &o->description;
	uint64_t block = (uint64_t)o->st.st_blksize;

	d->block_size = BLOCK_SECTOR;
	if (d->device) {
		block_open_device_topology(o);
	} else {
		/* The file system's blocks; some name what they would like to
		 * be read in instead. */
		if (block > BLOCK_BLOCK_SIZE_MAX || block & (block - 1))
			block = BLOCK_BLOCK_SIZE_MAX;
		while (d->block_size << d->physical_exp < block)
			d->physical_exp++;
		d->min_io = block / d->block_size;
		d->discard = true;
		d->discard_align = block / BLOCK_SECTOR;
	}
	if (d->ephemeral) {
		d->discard = true;
		d->discard_align = BLOCK_CLUSTER_MIN / BLOCK_SECTOR;
	}
	if (d->discard_align == 0)
		d->discard_align = d->block_size / BLOCK_SECTOR;
}

/* What O_DIRECT wants; false: there is none for this file. */
static bool block_open_direct_align(struct block_opening *o)
{
	struct block_description *d = &o->description;
	struct statx stx = {0};

	d->mem_align = BLOCK_BLOCK_SIZE_MAX;
	d->offset_align = d->device ? d->block_size : BLOCK_BLOCK_SIZE_MAX;
	if (statx(o->fds[BLOCK_FD_IMAGE], "", AT_EMPTY_PATH, STATX_DIOALIGN,
		  &stx) < 0 ||
	    !(stx.stx_mask & STATX_DIOALIGN))
		return true;
	d->mem_align = stx.stx_dio_mem_align;
	d->offset_align = stx.stx_dio_offset_align;
	return d->mem_align && d->mem_align <= BLOCK_BLOCK_SIZE_MAX &&
	       d->offset_align && d->offset_align <= BLOCK_BLOCK_SIZE_MAX;
}

/* An overlay file system takes O_DIRECT, and the one under it may not. */
static bool block_open_direct_works(const struct block_opening *o)
{
	const struct block_description *d = &o->description;
	void *buf;
	ssize_t n;

	if (posix_memalign(&buf, BLOCK_BLOCK_SIZE_MAX, d->offset_align))
		return true;
	n = pread(o->fds[BLOCK_FD_IMAGE], buf, d->offset_align, 0);
	free(buf);
	return n >= 0 || errno != EINVAL;
}

static int block_open_direct(struct block_opening *o, struct error *err)
{
	struct block_description *d = &o->description;

	d->mem_align = 1;
	d->offset_align = 1;
	d->direct = o->options->direct;
	if (!d->direct)
		return 0;
	if (fcntl(o->fds[BLOCK_FD_IMAGE], F_SETFL, O_DIRECT) < 0 ||
	    !block_open_direct_align(o) || !block_open_direct_works(o))
		return error_set(err, EINVAL,
				 "%s: direct: the file system of this file "
				 "has no O_DIRECT; leave ,direct out",
				 o->open->option);
	if (d->size % d->offset_align == 0)
		return 0;
	return error_set(err, EINVAL,
			 "%s: direct: has %" PRIu64 " bytes, expected a "
			 "multiple of %" PRIu64 "; round it up: truncate -s "
			 "%%%" PRIu64 " %s",
			 o->open->option, d->size, d->offset_align,
			 d->offset_align, o->options->file);
}

/* --- The overlay --------------------------------------------------------- */

/* Where there is no O_TMPFILE, as on the overlay file systems of containers. */
static int block_open_unlinked(const char *dir)
{
	char *path = NULL;
	int fd;

	if (asprintf(&path, "%s/.bantam-XXXXXX", dir) < 0)
		return -ENOMEM;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	else
		unlink(path);
	free(path);
	return fd;
}

static int block_open_tmpfile(const char *dir)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0 && errno == EOPNOTSUPP)
		return block_open_unlinked(dir);
	return fd < 0 ? -errno : fd;
}

/* A device's neighbours would lie in /dev. */
static int block_open_overlay_file(const struct block_opening *o,
				   struct error *err)
{
	const char *tmp = getenv("TMPDIR"), *dir = NULL;
	char *path = strdup(o->options->file);
	int fd = -ENOENT;

	if (!path)
		return error_set(err, ENOMEM, "no memory");
	if (!tmp || !*tmp)
		tmp = "/tmp";
	if (!o->description.device) {
		dir = dirname(path);
		fd = block_open_tmpfile(dir);
	}
	if (fd < 0)
		fd = block_open_tmpfile(tmp);
	if (fd < 0)
		error_set(err, -fd,
			  "%s: ephemeral: no temporary file in %s%s%s: %s; "
			  "set TMPDIR to where there is room for what the "
			  "guest writes",
			  o->open->option, dir ? dir : "", dir ? " or " : "",
			  tmp, strerror(-fd));
	free(path);
	return fd;
}

static int block_open_overlay(struct block_opening *o, struct error *err)
{
	const uint64_t size = o->description.size;
	int fd;

	if (!o->description.ephemeral)
		return 0;
	if (!block_overlay_cluster(size))
		return error_set(err, EFBIG,
				 "%s: ephemeral: %" PRIu64
				 " bytes are too many for an overlay",
				 o->open->option, size);
	fd = block_open_overlay_file(o, err);
	if (fd < 0)
		return fd;
	/* It has no name: nothing of it is left. */
	if (o->open->dry_run) {
		close(fd);
		return 0;
	}
	o->fds[BLOCK_FD_OVERLAY] = fd;
	if (ftruncate(fd, (off_t)size) < 0)
		return error_set(err, errno,
				 "%s: ephemeral: a temporary file of %" PRIu64
				 " bytes: %s",
				 o->open->option, size, strerror(errno));
	fd = block_overlay_create_map(size);
	if (fd < 0)
		return error_set(err, -fd, "%s: ephemeral: memfd: %s",
				 o->open->option, strerror(-fd));
	o->fds[BLOCK_FD_MAP] = fd;
	return 0;
}

/* --- All of it ----------------------------------------------------------- */

static int block_open_options(struct block_opening *o, struct error *err)
{
	const struct virtio_block_options *options = o->options;
	struct block_description *d = &o->description;
	const char *option = o->open->option;
	const size_t len = options->serial ? strlen(options->serial) : 0;

	if (!options->file || !*options->file)
		return error_set(err, EINVAL, "%s: expected a file", option);
	if (len > sizeof(d->serial))
		return error_set(err, EINVAL,
				 "%s: serial: %zu bytes, expected at most %zu",
				 option, len, sizeof(d->serial));
	if (len)
		memcpy(d->serial, options->serial, len);
	if (options->ro && options->ephemeral)
		return error_set(err, EINVAL,
				 "%s: ro and ephemeral: with ro there are no "
				 "writes that could vanish; leave one out",
				 option);
	if (options->queues < 1 || options->queues > BLOCK_QUEUES_MAX)
		return error_set(err, EINVAL,
				 "%s: queues: %" PRIu64 ", expected 1 to %d",
				 option, options->queues, BLOCK_QUEUES_MAX);
	if (options->bootindex > INT32_MAX)
		return error_set(err, EINVAL,
				 "%s: bootindex: %" PRIu64
				 ", expected at most %d",
				 option, options->bootindex, INT32_MAX);
	d->ro = options->ro;
	d->ephemeral = options->ephemeral;
	d->queues = options->queues;
	d->bootindex = options->bootindex;
	return 0;
}

static int block_open_all(struct block_opening *o, struct error *err)
{
	static int (*const steps[])(struct block_opening *, struct error *) = {
		block_open_options,
		block_open_image,
	};
	int ret = 0;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && !ret; i++)
		ret = steps[i](o, err);
	if (!ret)
		ret = block_open_check_format(o, err);
	if (!ret)
		ret = block_open_size(o, err);
	if (!ret)
		ret = block_open_lock(o, err);
	if (ret)
		return ret;
	block_open_topology(o);
	ret = block_open_direct(o, err);
	return ret ? ret : block_open_overlay(o, err);
}

int block_open(const struct virtio_open *open, struct virtio_resources *out,
	       struct error *err)
{
	struct block_opening o = {
		.open = open,
		.options = open->options,
		.fds = {-1, -1, -1},
	};
	struct virtio_resources resources = {0};
	int ret = block_open_all(&o, err);

	if (!ret) {
		resources.description = block_description_save(&o.description);
		if (!resources.description)
			ret = error_set(err, ENOMEM, "no memory");
	}
	for (unsigned int i = 0; i < BLOCK_FDS_MAX; i++) {
		if (o.fds[i] >= 0)
			resources.fds[resources.fd_count++] = o.fds[i];
	}
	if (ret) {
		virtio_resources_fini(&resources);
		return ret;
	}
	*out = resources;
	return 0;
}
