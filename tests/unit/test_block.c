/*
 * The block device, driven through its queues: every request on both engines,
 * what a hostile driver does, and random programs against a shadow image.
 */
#include "tests/unit/support/disk.h"

#include <endian.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <linux/virtio_config.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include "virtio/table.h"
#include "vmm/base/bytes.h"

#define MIB    (UINT64_C(1) << 20)
#define BIT(n) (UINT64_C(1) << (n))
#define UNMAP  VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP

/* Each case runs with both. */
static const enum block_engine engines[] = {BLOCK_ENGINE_URING,
					    BLOCK_ENGINE_THREADS};

static uint8_t data[256 * 1024], back[256 * 1024];

static struct disk *make(int engine)
{
	return disk_new(&(struct disk_options){.engine = engines[engine]});
}

static void check_fill(const uint8_t *bytes, uint64_t offset, size_t len)
{
	uint8_t *want = malloc(len);

	ck_assert_ptr_nonnull(want);
	disk_fill_bytes(want, offset, len);
	ck_assert_mem_eq(bytes, want, len);
	free(want);
}

static void make_data(unsigned int seed)
{
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 13 + i / 512 + seed);
}

static void host_file(const struct disk *disk, struct stat *st)
{
	ck_assert_int_eq(stat(disk->path, st), 0);
}

static void on_stop(void *ctx)
{
	loop_stop(ctx);
}

/* One turn of the loop: kicks are seen, what takes longer is not. */
static void turn(struct disk *disk)
{
	struct loop_timer *timer;

	ck_assert_int_eq(
		loop_timer_add(disk->loop, &timer, on_stop, disk->loop), 0);
	loop_timer_set(timer, 0);
	ck_assert_int_eq(loop_run(disk->loop), 0);
	loop_timer_remove(timer);
}

/* --- Requests ------------------------------------------------------------ */

START_TEST(read_returns_the_image)
{
	struct disk *disk = make(_i);
	struct disk_request request = {
		.type = VIRTIO_BLK_T_IN,
		.sector = 17,
		.in = back,
		.in_len = 8192,
	};

	ck_assert_int_eq(disk_do(disk, &request), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(request.used, 8193);
	check_fill(back, 17 * 512, 8192);
	disk_free(disk);
}
END_TEST

START_TEST(write_reaches_the_image_and_nothing_else)
{
	struct disk *disk = make(_i);
	struct disk_request request = {
		.type = VIRTIO_BLK_T_OUT,
		.sector = 3,
		.out = data,
		.out_len = 4096,
	};

	make_data(1);
	ck_assert_int_eq(disk_do(disk, &request), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(request.used, 1);
	disk_host_read(disk, 0, back, 16384);
	check_fill(back, 0, 1536);
	ck_assert_mem_eq(back + 1536, data, 4096);
	check_fill(back + 5632, 5632, 16384 - 5632);
	disk_free(disk);
}
END_TEST

START_TEST(request_with_any_framing_is_served)
{
	static const size_t cuts[] = {1, 3, 7, 16, 17, 100, 511, 512, 513};
	struct disk *disk = disk_new(&(struct disk_options){
		.engine = engines[_i], .indirect = true});

	make_data(2);
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		/* As many bytes as there are descriptors for. */
		const size_t len = cuts[i] < 16 ? 0 : 512;
		struct disk_request out = {.type = VIRTIO_BLK_T_OUT,
					   .sector = i,
					   .out = data + 512 * i,
					   .out_len = len,
					   .cut = cuts[i]};
		struct disk_request in = {.type = VIRTIO_BLK_T_IN,
					  .sector = i,
					  .in = back,
					  .in_len = len,
					  .cut = cuts[i]};

		ck_assert_int_eq(disk_do(disk, &out), VIRTIO_BLK_S_OK);
		ck_assert_int_eq(disk_do(disk, &in), VIRTIO_BLK_S_OK);
		ck_assert_uint_eq(in.used, len + 1);
		ck_assert_mem_eq(back, data + 512 * i, len);
	}
	disk_free(disk);
}
END_TEST

START_TEST(get_id_returns_the_serial)
{
	struct disk *disk = disk_new(&(struct disk_options){
		.engine = engines[_i], .serial = "twenty-bytes-serial!"});
	struct disk_request request = {
		.type = VIRTIO_BLK_T_GET_ID,
		.in = back,
		.in_len = 20,
	};

	ck_assert_int_eq(disk_do(disk, &request), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(request.used, 21);
	ck_assert_mem_eq(back, "twenty-bytes-serial!", 20);
	request.in_len = 4;
	memset(back, 0, 20);
	ck_assert_int_eq(disk_do(disk, &request), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(back, "twen\0", 5);
	/* No more than there is: the status is not counted then. */
	request.in_len = 30;
	ck_assert_int_eq(disk_do(disk, &request), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(request.used, 20);
	disk_free(disk);
}
END_TEST

START_TEST(unknown_request_is_unsupported)
{
	static const uint32_t types[] = {2,  3,	 5,	     10,
					 14, 15, 0x80000001, UINT32_MAX};
	struct disk *disk = make(_i);

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct disk_request request = {.type = types[i]};

		ck_assert_int_eq(disk_do(disk, &request), VIRTIO_BLK_S_UNSUPP);
	}
	disk_free(disk);
}
END_TEST

START_TEST(flush_succeeds)
{
	struct disk *disk = make(_i);

	ck_assert_int_eq(disk_write(disk, 0, data, 512), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(disk_flush(disk), VIRTIO_BLK_S_OK);
	disk_free(disk);
}
END_TEST

START_TEST(requests_at_depth_32_are_all_done)
{
	struct disk *disk =
		disk_new(&(struct disk_options){.engine = engines[_i],
						.queues = 2,
						.indirect = true,
						.event_idx = true,
						.packed = true});
	static uint8_t buffers[32][4096];
	struct disk_request requests[32] = {0};

	for (unsigned int i = 0; i < 32; i++) {
		requests[i] = (struct disk_request){
			.type = VIRTIO_BLK_T_IN,
			.sector = i * 8,
			.in = buffers[i],
			.in_len = 4096,
			.queue = i % 2,
		};
		disk_add(disk, &requests[i]);
	}
	disk_kick(disk);
	disk_wait(disk);
	for (unsigned int i = 0; i < 32; i++) {
		ck_assert_uint_eq(requests[i].status, VIRTIO_BLK_S_OK);
		check_fill(buffers[i], i * 4096, 4096);
	}
	disk_free(disk);
}
END_TEST

/* A request that comes while the loop is about to wait. */
struct late {
	struct disk *disk;
	struct disk_request request;
	bool added, wanted_kick;
};

static bool on_look(void *ctx, bool sleeps)
{
	struct late *late = ctx;

	if (!sleeps || late->added)
		return false;
	late->added = true;
	late->request = (struct disk_request){
		.type = VIRTIO_BLK_T_IN,
		.sector = 1,
		.in = back,
		.in_len = 512,
	};
	disk_add(late->disk, &late->request);
	late->wanted_kick = ring_driver_publish(late->disk->drivers[0]);
	return false;
}

START_TEST(request_before_the_loop_waits_needs_no_kick)
{
	struct late late = {.disk = disk_new(&(struct disk_options){
				    .event_idx = _i & 1, .packed = _i & 2})};
	struct disk_request first = {
		.type = VIRTIO_BLK_T_IN, .in = back, .in_len = 512};
	struct loop_look *look;

	disk_add(late.disk, &first);
	disk_kick(late.disk);
	turn(late.disk);
	/* Called before the device's. */
	ck_assert_int_eq(loop_look_add(late.disk->loop, &look, on_look, &late),
			 0);
	turn(late.disk);
	ck_assert(late.added && !late.wanted_kick);
	disk_wait(late.disk);
	ck_assert_uint_eq(late.request.status, VIRTIO_BLK_S_OK);
	check_fill(back, 512, 512);
	/* It waits again. */
	turn(late.disk);
	disk_add(late.disk, &first);
	ck_assert(ring_driver_publish(late.disk->drivers[0]));
	loop_look_remove(look);
	eventfd_write(virtio_device_kick_fd(late.disk->device, 0), 1);
	disk_wait(late.disk);
	disk_free(late.disk);
}
END_TEST

/* --- Discard and write-zeroes -------------------------------------------- */

START_TEST(discard_makes_a_hole)
{
	struct disk *disk = make(_i);
	struct stat before, after;

	host_file(disk, &before);
	ck_assert_int_eq(disk_range(disk, VIRTIO_BLK_T_DISCARD, 256, 512, 0),
			 VIRTIO_BLK_S_OK);
	host_file(disk, &after);
	ck_assert_int_eq(before.st_blocks - after.st_blocks, 512);
	ck_assert_int_eq(before.st_size, after.st_size);
	ck_assert_int_eq(disk_read(disk, 255, back, 512), VIRTIO_BLK_S_OK);
	check_fill(back, 255 * 512, 512);
	ck_assert_int_eq(disk_read(disk, 768, back, 512), VIRTIO_BLK_S_OK);
	check_fill(back, 768 * 512, 512);
	disk_free(disk);
}
END_TEST

START_TEST(write_zeroes_zeroes_and_unmaps_if_told)
{
	struct disk *disk = make(_i);
	static const uint8_t zeroes[8192];
	struct stat before, kept, freed;

	host_file(disk, &before);
	ck_assert_int_eq(disk_range(disk, VIRTIO_BLK_T_WRITE_ZEROES, 1, 16, 0),
			 VIRTIO_BLK_S_OK);
	host_file(disk, &kept);
	ck_assert_int_eq(before.st_blocks, kept.st_blocks);
	disk_host_read(disk, 0, back, 16384);
	check_fill(back, 0, 512);
	ck_assert_mem_eq(back + 512, zeroes, 8192);
	check_fill(back + 8704, 8704, 16384 - 8704);
	ck_assert_int_eq(
		disk_range(disk, VIRTIO_BLK_T_WRITE_ZEROES, 256, 256, UNMAP),
		VIRTIO_BLK_S_OK);
	host_file(disk, &freed);
	ck_assert_int_eq(kept.st_blocks - freed.st_blocks, 256);
	ck_assert_int_eq(disk_read(disk, 256, back, 8192), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(back, zeroes, 8192);
	disk_free(disk);
}
END_TEST

START_TEST(ranges_of_one_request_are_all_done)
{
	struct disk *disk = make(_i);
	struct virtio_blk_discard_write_zeroes ranges[17];
	struct disk_request request = {
		.type = VIRTIO_BLK_T_WRITE_ZEROES,
		.out = ranges,
		.out_len = 16 * sizeof(ranges[0]),
		.cut = 24,
	};

	for (unsigned int i = 0; i < 17; i++)
		ranges[i] = (struct virtio_blk_discard_write_zeroes){
			htole64(i * 4), htole32(i % 3), htole32(UNMAP)};
	ck_assert_int_eq(disk_do(disk, &request), VIRTIO_BLK_S_OK);
	disk_host_read(disk, 0, back, 64 * 512);
	for (unsigned int i = 0; i < 64; i++) {
		static const uint8_t zeroes[512];

		if (i % 4 < i / 4 % 3)
			ck_assert_mem_eq(back + i * 512, zeroes, 512);
		else
			check_fill(back + i * 512, i * 512, 512);
	}
	/* One more than the configuration says. */
	request.out_len += sizeof(ranges[0]);
	ck_assert_int_eq(disk_do(disk, &request), VIRTIO_BLK_S_IOERR);
	request.out_len = 8;
	ck_assert_int_eq(disk_do(disk, &request), VIRTIO_BLK_S_IOERR);
	request.out_len = 0;
	ck_assert_int_eq(disk_do(disk, &request), VIRTIO_BLK_S_IOERR);
	disk_free(disk);
}
END_TEST

START_TEST(range_that_may_not_be_is_refused)
{
	static const struct {
		uint32_t type;
		uint64_t sector;
		uint32_t sectors, flags;
		int status;
	} cases[] = {
		{VIRTIO_BLK_T_DISCARD, 0, 1, UNMAP, VIRTIO_BLK_S_UNSUPP},
		{VIRTIO_BLK_T_DISCARD, 0, 1, 2, VIRTIO_BLK_S_UNSUPP},
		{VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 2, VIRTIO_BLK_S_UNSUPP},
		{VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0x80000001,
		 VIRTIO_BLK_S_UNSUPP},
		{VIRTIO_BLK_T_DISCARD, 2048, 1, 0, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_DISCARD, 2047, 2, 0, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_DISCARD, UINT64_MAX, 2, 0, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_WRITE_ZEROES, UINT64_MAX / 512, 1024, 0,
		 VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_WRITE_ZEROES, 0, UINT32_MAX, 0,
		 VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_DISCARD, 0, UINT32_MAX, 0, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_DISCARD, 0, 0, 0, VIRTIO_BLK_S_OK},
		{VIRTIO_BLK_T_DISCARD, 2048, 0, 0, VIRTIO_BLK_S_OK},
	};
	struct disk *disk = make(_i);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_int_eq(disk_range(disk, cases[i].type,
					    cases[i].sector, cases[i].sectors,
					    cases[i].flags),
				 cases[i].status);
	disk_host_read(disk, 0, back, 4096);
	check_fill(back, 0, 4096);
	disk_free(disk);
}
END_TEST

START_TEST(range_above_the_limit_is_refused)
{
	struct disk *disk = disk_new(
		&(struct disk_options){.engine = engines[_i], .size = 4 * MIB});
	struct error err;
	json_t *reply;
	json_t *args = json_pack("{s:I}", "size", (json_int_t)(8192 * MIB));

	virtio_device_lock(disk->device);
	ck_assert_int_eq(virtio_device_command_locked(disk->device, "resize",
						      args, &reply, &err),
			 0);
	virtio_device_unlock(disk->device);
	json_decref(args);
	json_decref(reply);
	ck_assert_int_eq(disk_range(disk, VIRTIO_BLK_T_DISCARD, 0, 1 << 21, 0),
			 VIRTIO_BLK_S_OK);
	ck_assert_int_eq(
		disk_range(disk, VIRTIO_BLK_T_DISCARD, 0, (1 << 21) + 1, 0),
		VIRTIO_BLK_S_IOERR);
	ck_assert_int_eq(disk_range(disk, VIRTIO_BLK_T_WRITE_ZEROES, 0,
				    (1 << 19) + 1, UNMAP),
			 VIRTIO_BLK_S_IOERR);
	disk_free(disk);
}
END_TEST

START_TEST(discard_without_its_feature_is_unsupported)
{
	struct disk *disk = disk_new(&(struct disk_options){
		.engine = engines[_i],
		.refuse = BIT(VIRTIO_BLK_F_DISCARD) |
			  BIT(VIRTIO_BLK_F_WRITE_ZEROES)});

	ck_assert_int_eq(disk_range(disk, VIRTIO_BLK_T_DISCARD, 0, 8, 0),
			 VIRTIO_BLK_S_UNSUPP);
	ck_assert_int_eq(disk_range(disk, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0),
			 VIRTIO_BLK_S_UNSUPP);
	disk_free(disk);
}
END_TEST

/* --- Read-only, and out of range ----------------------------------------- */

START_TEST(write_to_a_read_only_disk_is_an_error)
{
	struct disk *disk = disk_new(
		&(struct disk_options){.engine = engines[_i], .ro = true});
	const uint64_t features = virtio_device_features(disk->device);

	ck_assert_uint_ne(features & BIT(VIRTIO_BLK_F_RO), 0);
	ck_assert_uint_eq(features & (BIT(VIRTIO_BLK_F_DISCARD) |
				      BIT(VIRTIO_BLK_F_WRITE_ZEROES)),
			  0);
	ck_assert_int_eq(disk_write(disk, 0, data, 512), VIRTIO_BLK_S_IOERR);
	ck_assert_int_eq(disk_range(disk, VIRTIO_BLK_T_DISCARD, 0, 8, 0),
			 VIRTIO_BLK_S_IOERR);
	ck_assert_int_eq(disk_range(disk, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0),
			 VIRTIO_BLK_S_IOERR);
	ck_assert_int_eq(disk_flush(disk), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(disk_read(disk, 0, back, 512), VIRTIO_BLK_S_OK);
	check_fill(back, 0, 512);
	disk_free(disk);
}
END_TEST

START_TEST(access_past_the_end_is_an_error)
{
	static const struct {
		uint64_t sector;
		size_t len;
	} cases[] = {
		{2048, 512},
		{2047, 1024},
		{UINT64_MAX, 512},
		{UINT64_MAX / 512, 512},
		{UINT64_MAX / 512 + 1, 512},
		{UINT64_C(1) << 55, 512},
		{0, 511},
		{0, 513},
		{0, 1},
	};
	struct disk *disk = make(_i);
	struct stat st;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_int_eq(
			disk_read(disk, cases[i].sector, back, cases[i].len),
			VIRTIO_BLK_S_IOERR);
		ck_assert_int_eq(
			disk_write(disk, cases[i].sector, data, cases[i].len),
			VIRTIO_BLK_S_IOERR);
	}
	host_file(disk, &st);
	ck_assert_int_eq(st.st_size, 1 << 20);
	ck_assert_int_eq(disk_read(disk, 2047, back, 512), VIRTIO_BLK_S_OK);
	check_fill(back, 2047 * 512, 512);
	disk_free(disk);
}
END_TEST

START_TEST(data_in_the_wrong_direction_is_an_error)
{
	struct disk *disk = make(_i);
	struct disk_request in = {
		.type = VIRTIO_BLK_T_IN, .out = data, .out_len = 512};
	struct disk_request out = {
		.type = VIRTIO_BLK_T_OUT, .in = back, .in_len = 512};

	ck_assert_int_eq(disk_do(disk, &in), VIRTIO_BLK_S_IOERR);
	ck_assert_int_eq(disk_do(disk, &out), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(out.used, 0);
	disk_free(disk);
}
END_TEST

/* --- Chains that cannot even fail (HOSTILE 28) --------------------------- */

static void check_breaks(struct disk *disk,
			 const struct ring_driver_chain *chain)
{
	ck_assert_int_ge(ring_driver_add(disk->drivers[0], chain), 0);
	disk_kick(disk);
	disk_wait(disk);
	ck_assert_uint_eq(disk->needs_reset, 1);
	/* After a reset it is as good as new. */
	disk_reset(disk);
	ck_assert_int_eq(disk_activate(disk), 0);
	ck_assert_int_eq(disk_read(disk, 0, back, 512), VIRTIO_BLK_S_OK);
}

START_TEST(broken_header_or_status_needs_reset)
{
	struct disk *disk = make(_i);
	const struct ring_driver_buffer header = {16 * MIB, 16};
	const struct ring_driver_buffer status = {17 * MIB, 1};
	struct ring_driver_chain chain = {.readable = {header},
					  .readable_count = 1};
	uint32_t lens[] = {1, 8, 15};

	check_breaks(disk, &chain); /* no status */
	for (size_t i = 0; i < 3; i++) {
		chain = (struct ring_driver_chain){
			.readable = {{16 * MIB, lens[i]}},
			.readable_count = 1,
			.writable = {status},
			.writable_count = 1,
		};
		check_breaks(disk, &chain);
	}
	chain = (struct ring_driver_chain){.writable = {header, status},
					   .writable_count = 2};
	check_breaks(disk, &chain); /* no header */
	disk_free(disk);
}
END_TEST

START_TEST(broken_ring_needs_reset_and_others_are_finished)
{
	struct disk *disk = make(_i);
	struct disk_request request = {
		.type = VIRTIO_BLK_T_IN, .in = back, .in_len = 512};

	disk_add(disk, &request);
	disk_kick(disk);
	/* A head that there is not. */
	ring_driver_avail(disk->drivers[0])->ring[1] = htole16(999);
	ring_driver_avail(disk->drivers[0])->idx = htole16(2);
	disk_wait(disk);
	ck_assert_uint_eq(disk->needs_reset, 1);
	disk_reset(disk);
	ck_assert_int_eq(disk_activate(disk), 0);
	ck_assert_int_eq(disk_read(disk, 5, back, 512), VIRTIO_BLK_S_OK);
	check_fill(back, 5 * 512, 512);
	disk_free(disk);
}
END_TEST

/* --- The host's errors --------------------------------------------------- */

START_TEST(truncated_image_gives_errors)
{
	struct disk *disk = make(_i);

	ck_assert_int_eq(truncate(disk->path, 4096), 0);
	ck_assert_int_eq(disk_read(disk, 0, back, 4096), VIRTIO_BLK_S_OK);
	check_fill(back, 0, 4096);
	ck_assert_int_eq(disk_read(disk, 7, back, 1024), VIRTIO_BLK_S_IOERR);
	ck_assert_int_eq(disk_read(disk, 2000, back, 1024), VIRTIO_BLK_S_IOERR);
	/* A write makes it long again, as it does any file. */
	ck_assert_int_eq(disk_write(disk, 2000, data, 1024), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(disk_read(disk, 2000, back, 1024), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(back, data, 1024);
	disk_free(disk);
}
END_TEST

START_TEST(write_that_the_host_refuses_is_an_error)
{
	struct disk *disk = make(_i);
	struct rlimit limit, low;

	/* Like a full file system; a signal must not come of it. */
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	low = limit;
	low.rlim_cur = 64 * 1024;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &low), 0);
	ck_assert_int_eq(disk_write(disk, 1024, data, 4096),
			 VIRTIO_BLK_S_IOERR);
	/* It crosses the limit: the first part goes, the rest does not. */
	ck_assert_int_eq(disk_write(disk, 127, data, 4096), VIRTIO_BLK_S_IOERR);
	ck_assert_int_eq(disk_write(disk, 0, data, 4096), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_int_eq(disk_write(disk, 1024, data, 4096), VIRTIO_BLK_S_OK);
	disk_free(disk);
}
END_TEST

/* --- Write-back and write-through ---------------------------------------- */

static void set_wce(struct disk *disk, uint8_t wce)
{
	virtio_device_lock(disk->device);
	virtio_device_write_config_locked(disk->device, 32, &wce, 1);
	virtio_device_unlock(disk->device);
}

static uint8_t get_wce(struct disk *disk)
{
	uint8_t wce;

	virtio_device_lock(disk->device);
	virtio_device_read_config_locked(disk->device, 32, &wce, 1);
	virtio_device_unlock(disk->device);
	return wce;
}

START_TEST(wce_is_the_drivers_until_reset)
{
	struct disk *disk = make(_i);

	ck_assert_uint_eq(get_wce(disk), 1);
	set_wce(disk, 0);
	ck_assert_uint_eq(get_wce(disk), 0);
	make_data(5);
	for (unsigned int i = 0; i < 3; i++)
		ck_assert_int_eq(disk_write(disk, i, data, 512),
				 VIRTIO_BLK_S_OK);
	ck_assert_int_eq(disk_range(disk, VIRTIO_BLK_T_WRITE_ZEROES, 8, 8, 0),
			 VIRTIO_BLK_S_OK);
	set_wce(disk, 1);
	ck_assert_uint_eq(get_wce(disk), 1);
	set_wce(disk, 0);
	disk_reset(disk);
	ck_assert_uint_eq(get_wce(disk), 1);
	disk->options.refuse = BIT(VIRTIO_BLK_F_CONFIG_WCE);
	ck_assert_int_eq(disk_activate(disk), 0);
	set_wce(disk, 0);
	ck_assert_uint_eq(get_wce(disk), 1);
	disk_free(disk);
}
END_TEST

START_TEST(config_writes_elsewhere_change_nothing)
{
	struct disk *disk = make(_i);
	uint8_t before[60], after[60], ones[60];

	memset(ones, 0xff, sizeof(ones));
	virtio_device_lock(disk->device);
	virtio_device_read_config_locked(disk->device, 0, before, 60);
	virtio_device_write_config_locked(disk->device, 0, ones, 32);
	virtio_device_write_config_locked(disk->device, 33, ones, 60);
	virtio_device_write_config_locked(disk->device, 7, ones, 200);
	virtio_device_read_config_locked(disk->device, 0, after, 60);
	virtio_device_unlock(disk->device);
	ck_assert_mem_eq(before, after, 60);
	disk_free(disk);
}
END_TEST

START_TEST(config_says_what_the_host_has)
{
	struct disk *disk = disk_new(&(struct disk_options){
		.engine = engines[_i], .queues = 3, .size = 3 * MIB});
	struct virtio_blk_config config = {0};

	virtio_device_lock(disk->device);
	virtio_device_read_config_locked(disk->device, 0, &config,
					 sizeof(config));
	virtio_device_unlock(disk->device);
	ck_assert_uint_eq(config.capacity, 6144);
	ck_assert_uint_eq(config.size_max, 0);
	ck_assert_uint_eq(config.seg_max, 254);
	ck_assert_uint_eq(config.blk_size, 512);
	ck_assert_uint_eq(config.physical_block_exp, 3);
	ck_assert_uint_eq(config.min_io_size, 8);
	ck_assert_uint_eq(config.num_queues, 3);
	ck_assert_uint_eq(config.max_discard_sectors, 1 << 21);
	ck_assert_uint_eq(config.max_discard_seg, 16);
	ck_assert_uint_eq(config.discard_sector_alignment, 8);
	ck_assert_uint_eq(config.max_write_zeroes_sectors, 1 << 19);
	ck_assert_uint_eq(config.max_write_zeroes_seg, 16);
	ck_assert_uint_eq(config.write_zeroes_may_unmap, 1);
	ck_assert_ptr_eq(virtio_table_find("block"), &virtio_block_ops);
	ck_assert_uint_ne(
		virtio_device_features(disk->device) & BIT(VIRTIO_BLK_F_MQ), 0);
	disk_free(disk);
}
END_TEST

/* --- Ephemeral ----------------------------------------------------------- */

START_TEST(ephemeral_writes_are_seen_and_vanish)
{
	struct disk *disk = disk_new(&(struct disk_options){
		.engine = engines[_i], .ephemeral = true});
	struct stat st;

	make_data(3);
	/* Inside a cluster, then over the border of two. */
	ck_assert_int_eq(disk_write(disk, 3, data, 512), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(disk_write(disk, 127, data, 1024), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(disk_write(disk, 256, data, 128 * 1024),
			 VIRTIO_BLK_S_OK);
	ck_assert_int_eq(disk_flush(disk), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(disk_read(disk, 0, back, 192 * 1024), VIRTIO_BLK_S_OK);
	check_fill(back, 0, 1536);
	ck_assert_mem_eq(back + 1536, data, 512);
	check_fill(back + 2048, 2048, 127 * 512 - 2048);
	ck_assert_mem_eq(back + 127 * 512, data, 1024);
	check_fill(back + 129 * 512, 129 * 512, 127 * 512);
	ck_assert_mem_eq(back + 256 * 512, data, 64 * 1024);
	disk_host_read(disk, 0, back, sizeof(back));
	check_fill(back, 0, sizeof(back));
	ck_assert_int_eq(fstat(disk->resources.fds[BLOCK_FD_OVERLAY], &st), 0);
	ck_assert_uint_eq(st.st_nlink, 0);
	ck_assert_int_eq(st.st_blocks, 2 * 128 + 256);
	disk_free(disk);
}
END_TEST

START_TEST(ephemeral_zeroes_hide_the_image)
{
	struct disk *disk = disk_new(&(struct disk_options){
		.engine = engines[_i], .ephemeral = true});
	static const uint8_t zeroes[256 * 1024];

	ck_assert_int_eq(
		disk_range(disk, VIRTIO_BLK_T_WRITE_ZEROES, 1, 300, UNMAP),
		VIRTIO_BLK_S_OK);
	ck_assert_int_eq(disk_read(disk, 0, back, 200 * 1024), VIRTIO_BLK_S_OK);
	check_fill(back, 0, 512);
	ck_assert_mem_eq(back + 512, zeroes, 300 * 512);
	check_fill(back + 301 * 512, 301 * 512, 200 * 1024 - 301 * 512);
	disk_host_read(disk, 0, back, sizeof(back));
	check_fill(back, 0, sizeof(back));
	disk_free(disk);
}
END_TEST

START_TEST(ephemeral_overlay_outlives_the_model)
{
	struct disk *disk = disk_new(&(struct disk_options){
		.engine = engines[_i], .ephemeral = true});

	make_data(4);
	ck_assert_int_eq(disk_write(disk, 9, data, 4096), VIRTIO_BLK_S_OK);
	disk_destroy(disk);
	disk_create(disk);
	ck_assert_int_eq(disk_activate(disk), 0);
	ck_assert_int_eq(disk_read(disk, 8, back, 8192), VIRTIO_BLK_S_OK);
	check_fill(back, 8 * 512, 512);
	ck_assert_mem_eq(back + 512, data, 4096);
	disk_free(disk);
}
END_TEST

/* --- Resize -------------------------------------------------------------- */

static int resize(struct disk *disk, json_t *args, struct error *err)
{
	json_t *reply = NULL;
	int ret;

	virtio_device_lock(disk->device);
	ret = virtio_device_command_locked(disk->device, "resize", args, &reply,
					   err);
	virtio_device_unlock(disk->device);
	json_decref(args);
	if (ret == 0)
		ck_assert_int_eq(
			json_integer_value(json_object_get(reply, "size")),
			(json_int_t)disk_capacity(disk) * 512);
	json_decref(reply);
	return ret;
}

START_TEST(resize_is_seen_by_the_driver)
{
	struct disk *disk = make(_i);
	struct error err;
	struct stat st;

	ck_assert_int_eq(
		resize(disk, json_pack("{s:i}", "size", 2 << 20), &err), 0);
	ck_assert_uint_eq(disk->config_changed, 1);
	ck_assert_uint_eq(disk_capacity(disk), 4096);
	ck_assert_int_eq(disk_write(disk, 4095, data, 512), VIRTIO_BLK_S_OK);
	/* To less only if it is meant. */
	ck_assert_int_eq(
		resize(disk, json_pack("{s:i}", "size", 1 << 20), &err),
		-EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "shrink=true"));
	ck_assert_uint_eq(disk_capacity(disk), 4096);
	ck_assert_int_eq(
		resize(disk,
		       json_pack("{s:i,s:b}", "size", 1 << 20, "shrink", 1),
		       &err),
		0);
	ck_assert_uint_eq(disk->config_changed, 2);
	host_file(disk, &st);
	ck_assert_int_eq(st.st_size, 1 << 20);
	ck_assert_int_eq(disk_read(disk, 4095, back, 512), VIRTIO_BLK_S_IOERR);
	/* Done by others, and taken over. */
	ck_assert_int_eq(truncate(disk->path, 3 << 20), 0);
	ck_assert_uint_eq(disk_capacity(disk), 2048);
	ck_assert_int_eq(resize(disk, NULL, &err), 0);
	ck_assert_uint_eq(disk_capacity(disk), 6144);
	ck_assert_int_eq(resize(disk, json_object(), &err), 0);
	ck_assert_uint_eq(disk->config_changed, 3);
	disk_free(disk);
}
END_TEST

START_TEST(resize_with_bad_arguments_is_refused)
{
	struct disk *disk = make(_i);
	struct error err;
	json_t *reply;

	ck_assert_int_eq(resize(disk, json_pack("{s:i}", "size", 0), &err),
			 -EINVAL);
	ck_assert_int_eq(resize(disk, json_pack("{s:i}", "size", -512), &err),
			 -EINVAL);
	ck_assert_int_eq(
		resize(disk, json_pack("{s:i}", "size", 1048577), &err),
		-EINVAL);
	ck_assert_int_eq(resize(disk, json_pack("{s:s}", "size", "2M"), &err),
			 -EINVAL);
	ck_assert_int_eq(resize(disk, json_pack("{s:i}", "sise", 512), &err),
			 -EINVAL);
	ck_assert_int_eq(resize(disk, json_pack("[i]", 512), &err), -EINVAL);
	ck_assert_int_eq(resize(disk, json_pack("{s:i}", "shrink", 1), &err),
			 -EINVAL);
	ck_assert_int_eq(truncate(disk->path, 1000), 0);
	ck_assert_int_eq(resize(disk, NULL, &err), -EINVAL);
	ck_assert_int_eq(disk->config_changed, 0);
	virtio_device_lock(disk->device);
	ck_assert_int_eq(virtio_device_command_locked(disk->device, "eject",
						      NULL, &reply, &err),
			 -EOPNOTSUPP);
	virtio_device_unlock(disk->device);
	ck_assert_ptr_nonnull(strstr(err.text, "\"eject\""));
	disk_free(disk);
	disk = disk_new(&(struct disk_options){.engine = engines[_i],
					       .ephemeral = true});
	ck_assert_int_eq(resize(disk, NULL, &err), -EOPNOTSUPP);
	disk_free(disk);
	disk = disk_new(
		&(struct disk_options){.engine = engines[_i], .ro = true});
	ck_assert_int_eq(
		resize(disk, json_pack("{s:i}", "size", 2 << 20), &err),
		-EOPNOTSUPP);
	ck_assert_int_eq(resize(disk, NULL, &err), 0);
	disk_free(disk);
}
END_TEST

/* --- Reset, sleep, snapshot ---------------------------------------------- */

#define MANY 32

static void add_many(struct disk *disk, struct disk_request *requests,
		     uint8_t (*buffers)[65536])
{
	for (unsigned int i = 0; i < MANY; i++) {
		requests[i] = (struct disk_request){
			.type = i % 4 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_FLUSH,
			.sector = i * 8,
			.in = buffers[i],
			.in_len = i % 4 ? 65536 : 0,
			.queue = i % disk->options.queues,
		};
		disk_add(disk, &requests[i]);
	}
	disk_kick(disk);
}

static struct disk_request many[MANY];
static uint8_t many_buffers[MANY][65536];

START_TEST(reset_in_flight_leaves_memory_alone)
{
	struct disk *disk =
		disk_new(&(struct disk_options){.engine = engines[_i],
						.indirect = true,
						.queues = 2,
						.direct = true});
	const size_t len = (DISK_SLOTS - 1) * DISK_SLOT_BYTES;
	const uint8_t *ram = guest_mem_span(disk->mem, 17 * MIB, len);
	uint8_t *before = malloc(len);

	for (unsigned int round = 0; round < 10; round++) {
		add_many(disk, many, many_buffers);
		turn(disk);
		disk_reset(disk);
		memcpy(before, ram, len);
		ck_assert_int_eq(disk_activate(disk), 0);
		ck_assert_int_eq(disk_read(disk, 9, back, 8192),
				 VIRTIO_BLK_S_OK);
		check_fill(back, 9 * 512, 8192);
		ck_assert_int_eq(memcmp(before, ram, len), 0);
	}
	free(before);
	disk_free(disk);
}
END_TEST

START_TEST(free_in_flight_waits)
{
	struct disk *disk = disk_new(&(struct disk_options){
		.engine = engines[_i], .indirect = true, .direct = true});

	add_many(disk, many, many_buffers);
	turn(disk);
	disk_free(disk);
}
END_TEST

START_TEST(queue_reset_drops_one_and_finishes_the_other)
{
	struct disk *disk =
		disk_new(&(struct disk_options){.engine = engines[_i],
						.indirect = true,
						.queues = 2,
						.direct = true});
	struct virtqueue_config config;
	unsigned int done = 0;

	add_many(disk, many, many_buffers);
	turn(disk);
	ring_driver_config(disk->drivers[1], &config);
	config.index = 1;
	virtio_device_lock(disk->device);
	ck_assert_int_eq(virtio_device_queue_reset_locked(disk->device, 1), 0);
	virtio_device_unlock(disk->device);
	ring_driver_free(disk->drivers[1]);
	disk->drivers[1] = ring_driver_new(
		disk->mem,
		&(struct ring_driver_options){.base = 256 * 1024, .size = 64});
	disk_wait(disk);
	for (unsigned int i = 0; i < MANY; i += 2)
		done += many[i].done && many[i].status == VIRTIO_BLK_S_OK;
	ck_assert_uint_eq(done, MANY / 2);
	virtio_device_lock(disk->device);
	ck_assert_int_eq(
		virtio_device_queue_enable_locked(disk->device, &config), 0);
	virtio_device_unlock(disk->device);
	memset(disk->slots, 0, sizeof(disk->slots));
	disk->options.indirect = false;
	many[1] = (struct disk_request){
		.type = VIRTIO_BLK_T_IN, .in = back, .in_len = 512, .queue = 1};
	ck_assert_int_eq(disk_do(disk, &many[1]), VIRTIO_BLK_S_OK);
	check_fill(back, 0, 512);
	disk_free(disk);
}
END_TEST

START_TEST(sleep_finishes_and_wake_goes_on)
{
	struct disk *disk =
		disk_new(&(struct disk_options){.engine = engines[_i],
						.indirect = true,
						.queues = 2,
						.direct = true});
	unsigned int done = 0;

	add_many(disk, many, many_buffers);
	turn(disk);
	virtio_device_lock(disk->device);
	ck_assert_int_eq(virtio_device_sleep_locked(disk->device), 0);
	virtio_device_unlock(disk->device);
	turn(disk); /* interrupts */
	for (unsigned int i = 0; i < MANY; i++)
		done += many[i].done;
	ck_assert_uint_eq(done, MANY);
	/* What comes now waits. */
	add_many(disk, many, many_buffers);
	turn(disk);
	for (unsigned int i = 0; i < MANY; i++)
		ck_assert(!many[i].done);
	virtio_device_lock(disk->device);
	ck_assert_int_eq(virtio_device_wake_locked(disk->device), 0);
	virtio_device_unlock(disk->device);
	disk_wait(disk);
	for (unsigned int i = 0; i < MANY; i++) {
		ck_assert_uint_eq(many[i].status, VIRTIO_BLK_S_OK);
		if (i % 4)
			check_fill(many_buffers[i], i * 4096, 65536);
	}
	disk_free(disk);
}
END_TEST

static json_t *snapshot(struct disk *disk)
{
	json_t *state = NULL;

	virtio_device_lock(disk->device);
	ck_assert_int_eq(virtio_device_snapshot_locked(disk->device, &state),
			 0);
	virtio_device_unlock(disk->device);
	return state;
}

static void sleep_now(struct disk *disk)
{
	virtio_device_lock(disk->device);
	ck_assert_int_eq(virtio_device_sleep_locked(disk->device), 0);
	virtio_device_unlock(disk->device);
}

static int restore(struct disk *disk, const json_t *state, struct error *err)
{
	int ret;

	virtio_device_lock(disk->device);
	ret = virtio_device_restore_locked(disk->device, state, err);
	virtio_device_unlock(disk->device);
	return ret;
}

/* A model that is new, with the driver as it stands. */
static void renew(struct disk *disk)
{
	struct ring_driver *drivers[BLOCK_QUEUES_MAX];

	memcpy(drivers, disk->drivers, sizeof(drivers));
	memset(disk->drivers, 0, sizeof(drivers));
	disk_destroy(disk);
	memcpy(disk->drivers, drivers, sizeof(drivers));
	disk_create(disk);
	sleep_now(disk);
}

START_TEST(snapshot_restored_goes_on_and_saves_the_same)
{
	struct disk *disk =
		disk_new(&(struct disk_options){.engine = engines[_i / 2],
						.ephemeral = _i % 2,
						.serial = "S1"});
	json_t *saved, *again;
	struct error err = {0};
	uint8_t *map;
	size_t size;

	make_data(8);
	set_wce(disk, 0);
	ck_assert_int_eq(disk_write(disk, 77, data, 4096), VIRTIO_BLK_S_OK);
	sleep_now(disk);
	saved = snapshot(disk);
	if (_i % 2) {
		/* As if the clusters were another's. */
		size = 2;
		map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
			   disk->resources.fds[BLOCK_FD_MAP], 0);
		ck_assert_ptr_ne(map, MAP_FAILED);
		ck_assert_uint_eq(map[0], 1);
		map[0] = 0;
		munmap(map, size);
	}
	renew(disk);
	ck_assert_msg(restore(disk, saved, &err) == 0, "%s", err.text);
	again = snapshot(disk);
	ck_assert(json_equal(saved, again));
	virtio_device_lock(disk->device);
	ck_assert_int_eq(virtio_device_wake_locked(disk->device), 0);
	virtio_device_unlock(disk->device);
	ck_assert_uint_eq(get_wce(disk), 0);
	ck_assert_int_eq(disk_read(disk, 77, back, 4096), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(back, data, 4096);
	json_decref(saved);
	json_decref(again);
	disk_free(disk);
}
END_TEST

static void check_refused(struct disk *disk, const json_t *saved,
			  const char *member, json_t *value, const char *words)
{
	json_t *copy = json_deep_copy(saved);
	json_t *model = json_object_get(copy, "model");
	json_t *inner = json_object_get(model, "disk");
	struct error err = {0};
	json_t *after;

	if (json_object_get(inner, member))
		json_object_set_new(inner, member, value);
	else
		json_object_set_new(model, member, value);
	ck_assert_int_lt(restore(disk, copy, &err), 0);
	ck_assert_msg(strstr(err.text, words) != NULL, "%s", err.text);
	after = snapshot(disk);
	ck_assert_str_eq(json_string_value(json_object_get(after, "state")),
			 "new");
	json_decref(after);
	json_decref(copy);
}

START_TEST(snapshot_that_does_not_fit_is_refused)
{
	struct disk *disk = disk_new(
		&(struct disk_options){.engine = engines[_i], .serial = "S1"});
	json_t *saved;

	sleep_now(disk);
	saved = snapshot(disk);
	renew(disk);
	check_refused(disk, saved, "capacity", json_string("0x801"),
		      "2048 sectors");
	check_refused(disk, saved, "serial",
		      json_string("5332000000000000000000000000000000000000"),
		      "serial");
	check_refused(disk, saved, "wce", json_integer(1), "wce");
	check_refused(disk, saved, "overlay", json_string("0000"), "ephemeral");
	check_refused(disk, saved, "more", json_string("0000"), "members");
	json_decref(saved);
	disk_free(disk);

	disk = disk_new(&(struct disk_options){.engine = engines[_i],
					       .ephemeral = true});
	sleep_now(disk);
	saved = snapshot(disk);
	renew(disk);
	check_refused(disk, saved, "overlay", json_string("0000ff"), "overlay");
	check_refused(disk, saved, "overlay", json_integer(3), "overlay");
	json_decref(saved);
	disk_free(disk);
}
END_TEST

START_TEST(keep_fds_names_each_once)
{
	struct disk *disk = disk_new(&(struct disk_options){
		.engine = engines[_i], .ephemeral = true});
	int fds[VIRTIO_DEVICE_FDS_MAX];
	const unsigned int own = engines[_i] == BLOCK_ENGINE_URING ? 2 : 1;
	const unsigned int count = virtio_device_keep_fds(disk->device, fds);
	unsigned int found = 0;

	/* Kick and call, those of open(), and the model's own. */
	ck_assert_uint_eq(count, 2 + BLOCK_FDS_MAX + own);
	for (unsigned int i = 0; i < count; i++) {
		ck_assert_int_ne(fcntl(fds[i], F_GETFD) & FD_CLOEXEC, 0);
		for (unsigned int j = 0; j < i; j++)
			ck_assert_int_ne(fds[i], fds[j]);
		for (unsigned int j = 0; j < BLOCK_FDS_MAX; j++)
			found += fds[i] == disk->resources.fds[j];
	}
	ck_assert_uint_eq(found, BLOCK_FDS_MAX);
	disk_free(disk);
}
END_TEST

/* --- Random programs ----------------------------------------------------- */

#define SECTORS	 2048
#define BATCH	 16
#define REGION	 (SECTORS / BATCH) /* sectors; not a cluster, by an offset */
#define PROGRAMS 15

static uint8_t shadow[SECTORS * 512];
static unsigned int seed;

static unsigned int dice(unsigned int sides)
{
	seed = seed * 1103515245 + 12345;
	return seed / 65536 % sides;
}

/* A range in a region of its own, so that order does not matter. */
static void random_range(unsigned int region, unsigned int *sector,
			 unsigned int *count)
{
	const unsigned int begin = region ? region * REGION - 37 : 0;
	const unsigned int from = dice(REGION - 37);

	*sector = begin + from;
	*count = 1 + dice(REGION - 37 - from);
	if (dice(3) == 0) {
		/* What a guest's page cache would ask for. */
		*sector &= ~7U;
		*sector += *sector < begin ? 8 : 0;
		*sector -= *sector + 8 > begin + REGION - 37 ? 8 : 0;
		*count = 8;
	}
}

/* A sector's bytes are no other's; that takes a throw a sector, not a byte. */
static void fill(uint8_t *buffer, size_t len)
{
	for (size_t at = 0; at < len; at += 512) {
		const unsigned int first = dice(256), step = 1 + dice(256);

		for (size_t i = 0; i < 512; i++)
			buffer[at + i] = (uint8_t)(first + i * step);
	}
}

static void random_request(struct disk_request *request, unsigned int region,
			   uint8_t *buffer,
			   struct virtio_blk_discard_write_zeroes *range)
{
	static const uint32_t types[] = {
		VIRTIO_BLK_T_IN,  VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_WRITE_ZEROES,
		VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_IN,  VIRTIO_BLK_T_FLUSH};
	unsigned int sector, count;

	random_range(region, &sector, &count);
	*request = (struct disk_request){.type = types[dice(6)],
					 .sector = sector,
					 .skew = dice(4) ? 0 : 16 * dice(200)};
	if (request->type == VIRTIO_BLK_T_IN) {
		request->in = buffer;
		request->in_len = count * 512;
	} else if (request->type == VIRTIO_BLK_T_OUT) {
		request->out = buffer;
		request->out_len = count * 512;
		fill(buffer, request->out_len);
		memcpy(shadow + sector * 512, buffer, count * 512);
	} else if (request->type == VIRTIO_BLK_T_WRITE_ZEROES) {
		*range = (struct virtio_blk_discard_write_zeroes){
			htole64(sector), htole32(count), htole32(dice(2))};
		request->out = range;
		request->out_len = sizeof(*range);
		memset(shadow + sector * 512, 0, count * 512);
	}
	if (request->out_len + request->in_len > 2048 && dice(3) == 0)
		request->cut = 512 * (1 + dice(7)) +
			       (request->out_len + request->in_len) / 40;
}

static void random_batch(struct disk *disk)
{
	static uint8_t buffers[BATCH][REGION * 512];
	struct virtio_blk_discard_write_zeroes ranges[BATCH];
	struct disk_request requests[BATCH];

	for (unsigned int i = 0; i < BATCH; i++) {
		random_request(&requests[i], i, buffers[i], &ranges[i]);
		requests[i].queue = i % disk->options.queues;
		disk_add(disk, &requests[i]);
	}
	disk_kick(disk);
	disk_wait(disk);
	for (unsigned int i = 0; i < BATCH; i++) {
		ck_assert_uint_eq(requests[i].status, VIRTIO_BLK_S_OK);
		if (requests[i].in)
			ck_assert_int_eq(
				memcmp(buffers[i],
				       shadow + requests[i].sector * 512,
				       requests[i].in_len),
				0);
	}
}

/* Bits of _i: engine, ephemeral, direct, packed; the seed is all of it. */
START_TEST(random_programs_equal_a_shadow)
{
	static uint8_t host[SECTORS * 512];
	struct disk *disk =
		disk_new(&(struct disk_options){.engine = engines[_i & 1],
						.ephemeral = _i >> 1 & 1,
						.direct = _i >> 2 & 1,
						.packed = _i >> 3 & 1,
						.indirect = true,
						.event_idx = _i >> 3 & 1,
						.queues = 2});

	seed = (unsigned int)_i;
	disk_fill_bytes(shadow, 0, sizeof(shadow));
	for (unsigned int i = 0; i < PROGRAMS; i++)
		random_batch(disk);
	for (unsigned int i = 0; i < SECTORS; i += 128) {
		ck_assert_int_eq(disk_read(disk, i, back, 65536),
				 VIRTIO_BLK_S_OK);
		ck_assert_int_eq(memcmp(back, shadow + i * 512, 65536), 0);
	}
	disk_host_read(disk, 0, host, sizeof(host));
	if (disk->options.ephemeral)
		check_fill(host, 0, sizeof(host));
	else
		ck_assert_int_eq(memcmp(host, shadow, sizeof(host)), 0);
	disk_free(disk);
}
END_TEST

static void add_hostile(TCase *tc)
{
	tcase_add_loop_test(tc, access_past_the_end_is_an_error, 0, 2);
	tcase_add_loop_test(tc, data_in_the_wrong_direction_is_an_error, 0, 2);
	tcase_add_loop_test(tc, broken_header_or_status_needs_reset, 0, 2);
	tcase_add_loop_test(tc, broken_ring_needs_reset_and_others_are_finished,
			    0, 2);
	tcase_add_loop_test(tc, truncated_image_gives_errors, 0, 2);
	tcase_add_loop_test(tc, write_that_the_host_refuses_is_an_error, 0, 2);
	tcase_add_loop_test(tc, config_writes_elsewhere_change_nothing, 0, 2);
}

static void add_requests(TCase *tc)
{
	tcase_add_loop_test(tc, read_returns_the_image, 0, 2);
	tcase_add_loop_test(tc, write_reaches_the_image_and_nothing_else, 0, 2);
	tcase_add_loop_test(tc, request_with_any_framing_is_served, 0, 2);
	tcase_add_loop_test(tc, get_id_returns_the_serial, 0, 2);
	tcase_add_loop_test(tc, unknown_request_is_unsupported, 0, 2);
	tcase_add_loop_test(tc, flush_succeeds, 0, 2);
	tcase_add_loop_test(tc, requests_at_depth_32_are_all_done, 0, 2);
	tcase_add_loop_test(tc, discard_makes_a_hole, 0, 2);
	tcase_add_loop_test(tc, write_zeroes_zeroes_and_unmaps_if_told, 0, 2);
	tcase_add_loop_test(tc, ranges_of_one_request_are_all_done, 0, 2);
	tcase_add_loop_test(tc, range_that_may_not_be_is_refused, 0, 2);
	tcase_add_loop_test(tc, range_above_the_limit_is_refused, 0, 2);
	tcase_add_loop_test(tc, discard_without_its_feature_is_unsupported, 0,
			    2);
	tcase_add_loop_test(tc, write_to_a_read_only_disk_is_an_error, 0, 2);
}

static void add_life(TCase *tc)
{
	tcase_add_loop_test(tc, wce_is_the_drivers_until_reset, 0, 2);
	tcase_add_loop_test(tc, config_says_what_the_host_has, 0, 2);
	tcase_add_loop_test(tc, ephemeral_writes_are_seen_and_vanish, 0, 2);
	tcase_add_loop_test(tc, ephemeral_zeroes_hide_the_image, 0, 2);
	tcase_add_loop_test(tc, ephemeral_overlay_outlives_the_model, 0, 2);
	tcase_add_loop_test(tc, resize_is_seen_by_the_driver, 0, 2);
	tcase_add_loop_test(tc, resize_with_bad_arguments_is_refused, 0, 2);
	tcase_add_loop_test(tc, request_before_the_loop_waits_needs_no_kick, 0,
			    4);
	tcase_add_loop_test(tc, reset_in_flight_leaves_memory_alone, 0, 2);
	tcase_add_loop_test(tc, free_in_flight_waits, 0, 2);
	tcase_add_loop_test(tc, queue_reset_drops_one_and_finishes_the_other, 0,
			    2);
	tcase_add_loop_test(tc, sleep_finishes_and_wake_goes_on, 0, 2);
	tcase_add_loop_test(tc, snapshot_restored_goes_on_and_saves_the_same, 0,
			    4);
	tcase_add_loop_test(tc, snapshot_that_does_not_fit_is_refused, 0, 2);
	tcase_add_loop_test(tc, keep_fds_names_each_once, 0, 2);
}

int main(void)
{
	Suite *suite = suite_create("block");
	TCase *tc = tcase_create("requests");
	SRunner *runner;
	int failed;

	add_requests(tc);
	suite_add_tcase(suite, tc);
	tc = tcase_create("hostile");
	add_hostile(tc);
	suite_add_tcase(suite, tc);
	tc = tcase_create("life");
	add_life(tc);
	suite_add_tcase(suite, tc);
	tc = tcase_create("random");
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, random_programs_equal_a_shadow, 0, 32);
	suite_add_tcase(suite, tc);

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
