/*
 * A disk's image without a device before it: what is synced when, host files
 * that fail in every way, block devices, and what the ring is restricted to.
 */
#include "virtio/block_file.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <liburing.h>
#include <linux/loop.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "tests/unit/support/disk.h"
#include "virtio/block_overlay.h"
#include "virtio/block_pool.h"
/* For the ring itself, into which tests put what the module would not. */
#include "virtio/block_uring.c" /* NOLINT(bugprone-suspicious-include) */

#define MIB (UINT64_C(1) << 20)

/* Each case runs with both. */
static const enum block_engine engines[] = {BLOCK_ENGINE_URING,
					    BLOCK_ENGINE_THREADS};

static struct block_file *make_with(const struct block_file_config *config)
{
	struct block_file *file;
	struct error err = {0};

	ck_assert_msg(block_file_new(&file, config, &err) == 0, "%s", err.text);
	ck_assert_int_eq(block_file_start(file), 0);
	return file;
}

/* A file of a path; -1 in fds goes for the rest. */
static struct block_file *make(const char *path, int engine)
{
	struct block_file_config config = {
		.fds = {open(path, O_RDWR | O_CLOEXEC), -1, -1},
		.size = MIB,
		.mem_align = 1,
		.offset_align = 1,
		.engine = engines[engine],
	};

	ck_assert_int_ge(config.fds[0], 0);
	return make_with(&config);
}

struct request {
	struct block_io io;
	struct iovec iov[2], scratch[2];
	int result;
};

static void on_done(struct block_io *io, int result)
{
	((struct request *)io)->result = result;
}

static char buffer[MIB];

static void submit(struct block_file *file, struct request *request,
		   enum block_io_op op, enum block_sync sync)
{
	request->io.op = op;
	request->io.sync = sync;
	request->io.done = on_done;
	request->io.scratch = request->scratch;
	request->io.iov = request->iov;
	if (!request->io.iov_count && op <= BLOCK_IO_WRITE) {
		request->iov[0] = (struct iovec){buffer, request->io.len};
		request->io.iov_count = 1;
	}
	request->result = 1;
	block_file_submit(file, &request->io);
}

static int run(struct block_file *file, enum block_io_op op, uint64_t offset,
	       uint64_t len, enum block_sync sync)
{
	struct request request = {.io = {.offset = offset, .len = len}};

	submit(file, &request, op, sync);
	block_file_drain(file);
	return request.result;
}

/* --- Sync ---------------------------------------------------------------- */

/* /dev/zero takes writes and refuses fdatasync(2), which so cannot hide. */
START_TEST(sync_happens_when_it_has_to)
{
	struct block_file *file = make("/dev/zero", _i);

	ck_assert_int_eq(run(file, BLOCK_IO_READ, 0, 4096, 0), 0);
	ck_assert_int_eq(run(file, BLOCK_IO_WRITE, 0, 4096, BLOCK_SYNC_NONE),
			 0);
	ck_assert_int_eq(run(file, BLOCK_IO_WRITE, 0, 4096, BLOCK_SYNC_THIS),
			 0);
	ck_assert_int_eq(run(file, BLOCK_IO_WRITE, 0, 4096, BLOCK_SYNC_ALL),
			 -EIO);
	block_file_forget_errors(file);
	ck_assert_int_eq(run(file, BLOCK_IO_FLUSH, 0, 0, 0), -EIO);
	block_file_free(file);
}
END_TEST

START_TEST(sync_of_zeroes_happens_in_write_through)
{
	struct block_file *file = make("/dev/zero", _i);

	/* It cannot zero ranges, either: they are written. */
	ck_assert_int_eq(run(file, BLOCK_IO_ZEROES, 0, 4096, BLOCK_SYNC_NONE),
			 -ENODEV);
	block_file_free(file);
}
END_TEST

START_TEST(sync_that_failed_is_not_forgotten)
{
	struct block_file_config config = {
		.fds = {open("/dev/zero", O_RDWR | O_CLOEXEC), -1, -1},
		.size = MIB,
		.mem_align = 1,
		.offset_align = 1,
		.engine = BLOCK_ENGINE_THREADS,
	};
	struct block_file *file = make_with(&config);
	int good = memfd_create("good", MFD_CLOEXEC);

	ck_assert_int_eq(run(file, BLOCK_IO_FLUSH, 0, 0, 0), -EIO);
	ck_assert_int_ge(dup2(good, config.fds[0]), 0);
	ck_assert_int_eq(run(file, BLOCK_IO_FLUSH, 0, 0, 0), -EIO);
	block_file_forget_errors(file);
	ck_assert_int_eq(run(file, BLOCK_IO_FLUSH, 0, 0, 0), 0);
	block_file_free(file);
}
END_TEST

/* --- Errors -------------------------------------------------------------- */

START_TEST(full_device_is_an_error)
{
	struct block_file *file = make("/dev/full", _i);

	ck_assert_int_eq(run(file, BLOCK_IO_WRITE, 0, 4096, 0), -ENOSPC);
	ck_assert_int_eq(run(file, BLOCK_IO_READ, 0, 4096, 0), 0);
	block_file_free(file);
}
END_TEST

/* A tmpfs of half a MiB, in a mount namespace that ends with the test. */
static void mount_small(const char *dir)
{
	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	ck_assert_int_eq(mount("small", dir, "tmpfs", 0, "size=512k"), 0);
}

START_TEST(full_file_system_is_an_error_and_then_again_not)
{
	char dir[64], path[96];
	struct block_file *file;
	int fd;

	disk_make_dir(dir, sizeof(dir), NULL);
	mount_small(dir);
	snprintf(path, sizeof(path), "%s/disk", dir);
	fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	ck_assert_int_eq(ftruncate(fd, MIB), 0);
	file = make(path, _i);
	ck_assert_int_eq(run(file, BLOCK_IO_WRITE, 0, MIB / 4, 0), 0);
	ck_assert_int_eq(run(file, BLOCK_IO_WRITE, MIB / 4, MIB / 2, 0),
			 -ENOSPC);
	ck_assert_int_eq(run(file, BLOCK_IO_FLUSH, 0, 0, 0), 0);
	/* As a discard makes room. */
	ck_assert_int_eq(run(file, BLOCK_IO_DISCARD, 0, MIB, 0), 0);
	ck_assert_int_eq(run(file, BLOCK_IO_WRITE, MIB / 2, MIB / 4, 0), 0);
	block_file_free(file);
	umount2(dir, MNT_DETACH);
	disk_remove_dir(dir);
}
END_TEST

/* --- Requests of a size -------------------------------------------------- */

START_TEST(request_larger_than_a_run_is_done_in_pieces)
{
	const uint64_t size = 80 * MIB;
	struct request request = {.io = {.len = size}};
	char *big = calloc(1, size), *back = malloc(size);
	struct block_file *file;
	char dir[64], path[96];

	disk_make_dir(dir, sizeof(dir), NULL);
	snprintf(path, sizeof(path), "%s/disk", dir);
	disk_make_image(path, 512);
	file = make(path, _i);
	for (uint64_t i = 0; i < size; i += 512)
		big[i] = disk_fill(i);
	request.iov[0] = (struct iovec){big, 5 * MIB + 512};
	request.iov[1] =
		(struct iovec){big + 5 * MIB + 512, size - 5 * MIB - 512};
	request.io.iov_count = 2;
	submit(file, &request, BLOCK_IO_WRITE, 0);
	/* It comes back for the sake of others before it is done. */
	while (block_file_run(file))
		;
	block_file_drain(file);
	ck_assert_int_eq(request.result, 0);
	request.iov[0].iov_base = back;
	request.iov[1].iov_base = back + 5 * MIB + 512;
	submit(file, &request, BLOCK_IO_READ, 0);
	while (block_file_run(file))
		;
	block_file_drain(file);
	ck_assert_int_eq(request.result, 0);
	ck_assert_int_eq(memcmp(big, back, size), 0);
	block_file_free(file);
	disk_remove_dir(dir);
	free(big);
	free(back);
}
END_TEST

START_TEST(request_for_nothing_is_done)
{
	struct block_file *file = make("/dev/zero", _i);

	ck_assert_int_eq(run(file, BLOCK_IO_READ, 0, 0, 0), 0);
	ck_assert_int_eq(run(file, BLOCK_IO_WRITE, 0, 0, 0), 0);
	ck_assert_int_eq(run(file, BLOCK_IO_DISCARD, 0, 0, 0), 0);
	block_file_free(file);
}
END_TEST

/* --- Engines ------------------------------------------------------------- */

static void *submit_and_end(void *ctx)
{
	block_file_run(ctx);
	return NULL;
}

/* io_uring cancels what a thread has submitted when it ends. */
START_TEST(request_outlives_the_thread_that_submitted_it)
{
	struct request requests[64] = {0};
	struct block_file_config config = {
		.size = MIB,
		.mem_align = 512,
		.offset_align = 512,
		.direct = true,
		.engine = engines[_i],
		.fds = {-1, -1, -1},
	};
	struct block_file *file;
	char dir[64], path[96];
	pthread_t thread;

	disk_make_dir(dir, sizeof(dir), NULL);
	snprintf(path, sizeof(path), "%s/disk", dir);
	disk_make_image(path, MIB);
	config.fds[0] = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	ck_assert_int_ge(config.fds[0], 0);
	file = make_with(&config);
	for (unsigned int i = 0; i < 64; i++) {
		requests[i].io.len = 65536;
		submit(file, &requests[i],
		       i % 2 ? BLOCK_IO_ZEROES : BLOCK_IO_WRITE,
		       BLOCK_SYNC_ALL);
	}
	ck_assert_int_eq(pthread_create(&thread, NULL, submit_and_end, file),
			 0);
	pthread_join(thread, NULL);
	block_file_drain(file);
	for (unsigned int i = 0; i < 64; i++)
		ck_assert_int_eq(requests[i].result, 0);
	block_file_free(file);
	disk_remove_dir(dir);
}
END_TEST

START_TEST(cancel_drops_what_has_not_begun)
{
	struct block_file_config config = {
		.fds = {open("/dev/zero", O_RDWR | O_CLOEXEC), -1, -1},
		.size = MIB,
		.mem_align = 1,
		.offset_align = 1,
		.engine = BLOCK_ENGINE_THREADS,
	};
	struct request requests[BLOCK_CALLS_MAX] = {0};
	struct block_file *file;
	struct error err;

	/* No threads: nothing can have begun. */
	ck_assert_int_eq(block_file_new(&file, &config, &err), 0);
	for (unsigned int i = 0; i < BLOCK_CALLS_MAX; i++) {
		requests[i].io.len = 512;
		submit(file, &requests[i], i % 2, 0);
	}
	block_file_run(file);
	block_file_cancel(file);
	for (unsigned int i = 0; i < BLOCK_CALLS_MAX; i++)
		ck_assert_int_eq(requests[i].result, -ECANCELED);
	/* And works again. */
	ck_assert_int_eq(block_file_start(file), 0);
	ck_assert_int_eq(run(file, BLOCK_IO_READ, 0, 512, 0), 0);
	block_file_free(file);
}
END_TEST

START_TEST(engine_is_threads_where_io_uring_is_refused)
{
	struct block_file_config config = {
		.fds = {open("/dev/zero", O_RDWR | O_CLOEXEC), -1, -1},
		.size = MIB,
		.mem_align = 1,
		.offset_align = 1,
		.engine = BLOCK_ENGINE_AUTO,
	};
	struct block_file *file = make_with(&config);

	ck_assert_str_eq(block_file_engine(file), "io_uring");
	block_file_free(file);
	/* A descriptor that it cannot register stands for a refusal. */
	close(config.fds[0]);
	config.fds[0] = 999;
	file = make_with(&config);
	ck_assert_str_eq(block_file_engine(file), "threads");
	ck_assert_int_eq(run(file, BLOCK_IO_READ, 0, 512, 0), -EBADF);
	block_file_free(file);
}
END_TEST

/* --- The ring's restrictions --------------------------------------------- */

/* What comes of an entry that block_uring_add() would not make. */
static int ring_do(struct block_uring *uring, unsigned int opcode,
		   unsigned int flags)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);
	struct io_uring_cqe *cqe;
	int result;

	if (!sqe)
		ck_abort_msg("no entry");
	io_uring_prep_rw((int)opcode, sqe, 0, buffer, 512, 0);
	io_uring_sqe_set_flags(sqe, flags);
	ck_assert_int_eq(io_uring_submit_and_wait(&uring->ring, 1), 1);
	ck_assert_int_eq(io_uring_wait_cqe(&uring->ring, &cqe), 0);
	result = cqe->res;
	io_uring_cqe_seen(&uring->ring, cqe);
	return result;
}

START_TEST(ring_refuses_all_else)
{
	static const unsigned int opcodes[] = {
		IORING_OP_NOP,	  IORING_OP_OPENAT,	IORING_OP_SENDMSG,
		IORING_OP_SEND,	  IORING_OP_CONNECT,	IORING_OP_SPLICE,
		IORING_OP_STATX,  IORING_OP_UNLINKAT,	IORING_OP_CLOSE,
		IORING_OP_ACCEPT, IORING_OP_READ_FIXED, IORING_OP_EPOLL_CTL,
	};
	struct block_uring *uring;
	int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	ck_assert_int_eq(block_uring_new(&uring, &fd, 1, event), 0);
	ck_assert_int_eq(ring_do(uring, IORING_OP_READ, IOSQE_FIXED_FILE), 512);
	/* Not a registered file: any descriptor of the process. */
	ck_assert_int_eq(ring_do(uring, IORING_OP_READ, 0), -EACCES);
	for (size_t i = 0; i < sizeof(opcodes) / sizeof(opcodes[0]); i++)
		ck_assert_int_eq(ring_do(uring, opcodes[i], IOSQE_FIXED_FILE),
				 -EACCES);
	block_uring_free(uring);
	close(fd);
	close(event);
}
END_TEST

static bool pipe_hung_up(int fd, int ms)
{
	struct pollfd pollfd = {.fd = fd};

	return poll(&pollfd, 1, ms) == 1 && pollfd.revents & POLLHUP;
}

/* In another process: a read that does not end, and a pipe that only the ring
 * has any more. */
static void ring_stall(int fd, int life, int ready)
{
	struct iovec iov = {buffer, sizeof(buffer)};
	struct block_call call = {
		.kind = BLOCK_CALL_READ, .iov = &iov, .iov_count = 1};
	const int files[] = {fd, life};
	struct block_uring *uring;

	if (block_uring_new(&uring, files, 2,
			    eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
		_exit(1);
	close(life);
	block_uring_add(uring, &call);
	block_uring_submit(uring);
	if (write(ready, "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

/* Who has the pipe's other end knows when nothing can land any more. */
START_TEST(ring_holds_a_pipe_until_it_is_gone)
{
	int slow[2], life[2], ready[2];
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe2(slow, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(life, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		ring_stall(slow[0], life[1], ready[1]);
	close(life[1]);
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	ck_assert(!pipe_hung_up(life[0], 0));
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert(pipe_hung_up(life[0], 10000));
	close(life[0]);
	close(ready[0]);
	close(slow[0]);
	close(slow[1]);
}
END_TEST

/* Letting go of what it has is all: block_uring_free() does. */
START_TEST(ring_refuses_to_register_more)
{
	struct block_uring *uring;
	int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct iovec iov = {buffer, 4096};
	int ring;

	ck_assert_int_eq(block_uring_new(&uring, &fd, 1, event), 0);
	ring = block_uring_fd(uring);
	ck_assert_int_eq(syscall(SYS_io_uring_register, ring,
				 IORING_REGISTER_BUFFERS, &iov, 1),
			 -1);
	ck_assert_int_eq(errno, EACCES);
	ck_assert_int_eq(syscall(SYS_io_uring_register, ring,
				 IORING_REGISTER_FILES_UPDATE, &iov, 1),
			 -1);
	ck_assert_int_eq(errno, EACCES);
	ck_assert_int_eq(syscall(SYS_io_uring_register, ring,
				 IORING_UNREGISTER_FILES, NULL, 0),
			 0);
	ck_assert_int_eq(syscall(SYS_io_uring_register, ring,
				 IORING_REGISTER_FILES, &fd, 1),
			 -1);
	ck_assert_int_eq(errno, EACCES);
	block_uring_free(uring);
	close(fd);
	close(event);
}
END_TEST

/* --- Block devices ------------------------------------------------------- */

/* A loop device over a file, which is closed; or -1 and errno. */
static int loop_device(int file, char *device, size_t size)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int index, fd = -1;
	struct loop_config config = {.fd = (unsigned int)file,
				     .info.lo_flags = LO_FLAGS_AUTOCLEAR};

	if (control < 0)
		return -1;
	for (unsigned int i = 0; i < 10 && fd < 0; i++) {
		index = ioctl(control, LOOP_CTL_GET_FREE);
		snprintf(device, size, "/dev/loop%d", index);
		fd = index < 0 ? -1 : open(device, O_RDWR | O_CLOEXEC);
		if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &config) < 0) {
			close(fd);
			fd = -1;
		}
	}
	close(control);
	close(file);
	return fd;
}

START_TEST(device_discards_and_zeroes)
{
	static char zeroes[65536], back[4096];
	static uint8_t fill[65536];
	char dir[64], path[96], device[32];
	struct block_file_config config = {
		.fds = {-1, -1, -1},
		.size = MIB,
		.device = true,
		.mem_align = 1,
		.offset_align = 1,
		.engine = engines[_i],
	};
	struct block_file *file;
	struct stat before, after;

	disk_make_dir(dir, sizeof(dir), NULL);
	snprintf(path, sizeof(path), "%s/disk", dir);
	disk_make_image(path, MIB);
	config.fds[0] = loop_device(open(path, O_RDWR | O_CLOEXEC), device,
				    sizeof(device));
	ck_assert_int_ge(config.fds[0], 0);
	file = make_with(&config);
	ck_assert_int_eq(stat(path, &before), 0);
	ck_assert_int_eq(run(file, BLOCK_IO_DISCARD, 65536, 65536, 0), 0);
	ck_assert_int_eq(run(file, BLOCK_IO_FLUSH, 0, 0, 0), 0);
	ck_assert_int_eq(stat(path, &after), 0);
	ck_assert_int_eq(before.st_blocks - after.st_blocks, 128);
	ck_assert_int_eq(
		run(file, BLOCK_IO_ZEROES, 131072, 65536, BLOCK_SYNC_THIS), 0);
	ck_assert_int_eq(run(file, BLOCK_IO_ZEROES, 196608 + 512, 512, 0), 0);
	ck_assert_int_eq(run(file, BLOCK_IO_READ, 0, MIB, 0), 0);
	disk_fill_bytes(fill, 0, sizeof(fill));
	ck_assert_mem_eq(buffer, fill, sizeof(fill));
	ck_assert_mem_eq(buffer + 131072, zeroes, 65536);
	ck_assert_int_eq((uint8_t)buffer[196608], disk_fill(196608));
	ck_assert_mem_eq(buffer + 196608 + 512, zeroes, 512);
	ck_assert_int_eq((uint8_t)buffer[197632], disk_fill(197632));
	memset(buffer, 0x5a, 4096);
	ck_assert_int_eq(run(file, BLOCK_IO_WRITE, 4096, 4096, BLOCK_SYNC_THIS),
			 0);
	ck_assert_int_eq(run(file, BLOCK_IO_READ, 0, 8192, 0), 0);
	memset(back, 0x5a, 4096);
	ck_assert_mem_eq(buffer + 4096, back, 4096);
	/* The device has no place behind its end. */
	ck_assert_int_ne(run(file, BLOCK_IO_READ, 2 * MIB, 512, 0), 0);
	block_file_free(file);
	close(config.fds[0]);
	disk_remove_dir(dir);
}
END_TEST

/* --- The map of an overlay ----------------------------------------------- */

START_TEST(overlay_cluster_bounds_the_map)
{
	const uint64_t tib = UINT64_C(1) << 40;

	ck_assert_uint_eq(block_overlay_cluster(512), 65536);
	ck_assert_uint_eq(block_overlay_cluster(tib / 2), 65536);
	ck_assert_uint_eq(block_overlay_cluster(tib / 2 + 512), 131072);
	ck_assert_uint_eq(block_overlay_cluster(128 * tib), 16 * MIB);
	ck_assert_uint_eq(block_overlay_cluster(128 * tib + 512), 0);
	ck_assert_uint_eq(block_overlay_cluster(INT64_MAX), 0);
	ck_assert_int_eq(block_overlay_create_map(INT64_MAX), -EFBIG);
}
END_TEST

START_TEST(overlay_runs_end_where_the_clusters_do)
{
	int fd = block_overlay_create_map(MIB + 512);
	struct block_overlay *overlay;
	uint64_t len = MIB + 512;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(block_overlay_new(&overlay, fd, MIB + 512), 0);
	ck_assert(!block_overlay_has(overlay, 0, &len));
	ck_assert_uint_eq(len, MIB + 512);
	block_overlay_mark(overlay, 65536 + 512, 65536);
	len = MIB;
	ck_assert(!block_overlay_has(overlay, 512, &len));
	ck_assert_uint_eq(len, 65024);
	len = MIB;
	ck_assert(block_overlay_has(overlay, 65536 + 1024, &len));
	ck_assert_uint_eq(len, 131072 - 1024);
	ck_assert(block_overlay_has_all(overlay, 65536, 131072));
	ck_assert(!block_overlay_has_all(overlay, 65536, 131073));
	block_overlay_mark(overlay, MIB, 512);
	ck_assert(block_overlay_has_all(overlay, MIB, 512));
	block_overlay_free(overlay);
	close(fd);
}
END_TEST

START_TEST(overlay_map_that_could_be_cut_is_refused)
{
	struct block_overlay *overlay;
	int fd = memfd_create("map", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_eq(ftruncate(fd, 2), 0);
	ck_assert_int_eq(block_overlay_new(&overlay, fd, MIB), -EINVAL);
	close(fd);
	fd = block_overlay_create_map(MIB);
	ck_assert_int_eq(block_overlay_new(&overlay, fd, 2 * MIB), -EINVAL);
	ck_assert_int_eq(ftruncate(fd, 0), -1);
	close(fd);
	ck_assert_int_eq(block_overlay_new(&overlay, -1, MIB), -EINVAL);
}
END_TEST

/* Whether this host lets us: the tests that need it are left out otherwise. */
static bool have_mounts(void)
{
	if (geteuid() == 0 && access("/proc/self/ns/mnt", F_OK) == 0)
		return true;
	puts("skip: test_block_file: a full file system: not root");
	return false;
}

static bool have_loop_devices(void)
{
	int file = memfd_create("disk", MFD_CLOEXEC), fd;
	char device[32];

	fd = file < 0 || ftruncate(file, MIB) < 0
		     ? -1
		     : loop_device(file, device, sizeof(device));
	if (fd < 0)
		printf("skip: test_block_file: no loop device (%s)\n",
		       strerror(errno));
	else
		close(fd);
	return fd >= 0;
}

static void add_all(TCase *tc)
{
	tcase_add_loop_test(tc, sync_happens_when_it_has_to, 0, 2);
	tcase_add_loop_test(tc, sync_of_zeroes_happens_in_write_through, 0, 2);
	tcase_add_test(tc, sync_that_failed_is_not_forgotten);
	tcase_add_loop_test(tc, full_device_is_an_error, 0, 2);
	if (have_mounts())
		tcase_add_loop_test(
			tc, full_file_system_is_an_error_and_then_again_not, 0,
			2);
	tcase_add_loop_test(tc, request_larger_than_a_run_is_done_in_pieces, 0,
			    2);
	tcase_add_loop_test(tc, request_for_nothing_is_done, 0, 2);
	tcase_add_loop_test(tc, request_outlives_the_thread_that_submitted_it,
			    0, 2);
	tcase_add_test(tc, cancel_drops_what_has_not_begun);
	tcase_add_test(tc, engine_is_threads_where_io_uring_is_refused);
	tcase_add_test(tc, ring_refuses_all_else);
	tcase_add_test(tc, ring_holds_a_pipe_until_it_is_gone);
	tcase_add_test(tc, ring_refuses_to_register_more);
	if (have_loop_devices())
		tcase_add_loop_test(tc, device_discards_and_zeroes, 0, 2);
	tcase_add_test(tc, overlay_cluster_bounds_the_map);
	tcase_add_test(tc, overlay_runs_end_where_the_clusters_do);
	tcase_add_test(tc, overlay_map_that_could_be_cut_is_refused);
}

int main(void)
{
	Suite *suite = suite_create("block_file");
	TCase *tc = tcase_create("file");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 20);
	add_all(tc);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
