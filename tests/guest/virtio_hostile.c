/*
 * What a hostile driver tries, case by case, on the random number device: each
 * has to end in DEVICE_NEEDS_RESET or be ignored, and after a reset the device
 * works again. A second device, a disk, is asked in between and never notices.
 * mmio=1, packed=1 as in virtio_block.c. At CPL 3.
 */
#include "lib/guest.h"
#include "lib/pci.h"
#include "lib/user.h"
#include "lib/virtio.h"

#define SIZE 8

#define DESC_NEXT     1
#define DESC_WRITE    2
#define DESC_INDIRECT 4

/* Packed: available in the first round of the ring. */
#define PACKED_AVAIL (1u << 7)

struct split_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct packed_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t id, flags;
};

static struct virtio_dev rng, disk;
static struct virtq vq, disk_vq;
static uint8_t ring[VIRTQ_MEMORY] __attribute__((aligned(4096)));
static uint8_t disk_ring[VIRTQ_MEMORY] __attribute__((aligned(4096)));
static uint8_t data[4096] __attribute__((aligned(4096)));
static struct split_desc table[64] __attribute__((aligned(16)));

static void rng_begin(void)
{
	virtio_begin(&rng,
		     VIRTIO_F_INDIRECT_DESC |
			     (option_number("packed", 0) ? VIRTIO_F_RING_PACKED
							 : 0));
	virtq_setup(&vq, &rng, 0, SIZE, ring);
	check_eq(vq.size, SIZE);
	virtio_driver_ok(&rng);
}

static void check_works(void)
{
	struct virtio_buf buf = {data, 64, true};
	uint32_t len;

	rng_begin();
	len = virtq_do(&vq, &buf, 1);
	check(len > 0 && len <= 64);
	check_eq(virtio_status(&rng) & VIRTIO_NEEDS_RESET, 0);
}

static void check_disk(void)
{
	static struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header;
	static uint8_t status;
	const struct virtio_buf bufs[] = {
		{&header, sizeof(header), false},
		{data, 512, true},
		{&status, 1, true},
	};

	status = 0xff;
	virtq_do(&disk_vq, bufs, 3);
	check_eq(status, 0);
}

static void wait_needs_reset(void)
{
	while (!(virtio_status(&rng) & VIRTIO_NEEDS_RESET))
		asm volatile("pause");
}

/* --- Chains ------------------------------------------------------------------
 * Described once, put into the ring in either format.
 */

struct chain_case {
	const char *name;
	unsigned int count;
	struct split_desc desc[3]; /* split only: next is as it stands here */
	bool split_only;
};

#define RAM_HOLE 0xc8000000ull
#define BEYOND	 0x7fff00000000ull

static const struct chain_case chain_cases[] = {
	{"address wraps", 1, {{~0ull - 16, 64, DESC_WRITE, 0}}, false},
	{"in the hole", 1, {{RAM_HOLE, 64, DESC_WRITE, 0}}, false},
	{"beyond the end", 1, {{BEYOND, 64, DESC_WRITE, 0}}, false},
	{"across the end", 1, {{0x1000, ~0u, DESC_WRITE, 0}}, false},
	{"in ECAM", 1, {{PCI_ECAM, 64, DESC_WRITE, 0}}, false},
	{"only readable", 1, {{0x100000, 64, 0, 0}}, false},
	{"loop",
	 2,
	 {{0x100000, 64, DESC_WRITE | DESC_NEXT, 1},
	  {0x100000, 64, DESC_WRITE | DESC_NEXT, 0}},
	 true},
	{"next out of range",
	 1,
	 {{0x100000, 64, DESC_WRITE | DESC_NEXT, SIZE}},
	 true},
	{"readable behind writable",
	 2,
	 {{0x100000, 64, DESC_WRITE | DESC_NEXT, 1}, {0x100000, 64, 0, 0}},
	 false},
	{"4 GiB in all",
	 3,
	 {{0x100000, 0x3000000, DESC_WRITE | DESC_NEXT, 1},
	  {0x100000, ~0u - 0x3000000, DESC_WRITE | DESC_NEXT, 2},
	  {0x100000, 0x3000000, DESC_WRITE, 0}},
	 false},
	{"indirect of length 0",
	 1,
	 {{(uint64_t)table, 0, DESC_INDIRECT, 0}},
	 false},
	{"indirect of odd length",
	 1,
	 {{(uint64_t)table, 17, DESC_INDIRECT, 0}},
	 false},
	{"huge indirect",
	 1,
	 {{(uint64_t)table, 0xfffffff0, DESC_INDIRECT, 0}},
	 false},
	{"indirect outside RAM", 1, {{RAM_HOLE, 16, DESC_INDIRECT, 0}}, false},
	{"indirect with next",
	 2,
	 {{(uint64_t)table, 16, DESC_INDIRECT | DESC_NEXT, 1},
	  {0x100000, 64, DESC_WRITE, 0}},
	 true},
	{"nested indirect",
	 1,
	 {{(uint64_t)&table[32], 16, DESC_INDIRECT, 0}},
	 false},
};

static void put_split(const struct chain_case *c)
{
	volatile uint16_t *avail = (volatile uint16_t *)vq.driver;

	memcpy(vq.ring, c->desc, sizeof(c->desc));
	avail[2] = 0;
	avail[1] = 1;
}

static void put_packed(const struct chain_case *c)
{
	volatile struct packed_desc *to =
		(volatile struct packed_desc *)vq.ring;

	for (unsigned int i = c->count; i-- > 0;) {
		to[i].addr = c->desc[i].addr;
		to[i].len = c->desc[i].len;
		to[i].id = 0;
		to[i].flags = c->desc[i].flags | PACKED_AVAIL;
	}
}

static void chain_case_run(const struct chain_case *c)
{
	if (vq.packed && c->split_only)
		return;
	rng_begin();
	if (vq.packed)
		put_packed(c);
	else
		put_split(c);
	virtq_kick(&vq);
	wait_needs_reset();
	check_disk();
	check_works();
	print("survived: %s\n", c->name);
}

/* --- Rings ------------------------------------------------------------------
 */

static void available_jumps(void)
{
	rng_begin();
	((volatile uint16_t *)vq.driver)[1] = SIZE + 1;
	virtq_kick(&vq);
	wait_needs_reset();
	check_works();
	print("survived: available index jumps\n");
}

static void head_out_of_range(void)
{
	volatile uint16_t *avail = (volatile uint16_t *)vq.driver;

	rng_begin();
	avail[2] = SIZE;
	avail[1] = 1;
	virtq_kick(&vq);
	wait_needs_reset();
	check_works();
	print("survived: head out of range\n");
}

/* Queues that no driver may set up: DRIVER_OK has to fail, and nothing else. */
static void bad_queue(const char *name, uint64_t ring_at, uint64_t driver,
		      uint64_t device)
{
	virtio_begin(&rng,
		     option_number("packed", 0) ? VIRTIO_F_RING_PACKED : 0);
	vq.ring = (uint8_t *)ring_at;
	vq.driver = (uint8_t *)driver;
	vq.device = (uint8_t *)device;
	virtq_enable(&vq);
	virtio_set_status(&rng, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER |
					VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK);
	wait_needs_reset();
	virtq_kick(&vq);
	check_works();
	print("survived: %s\n", name);
}

static void bad_queues(void)
{
	uint64_t at = (uint64_t)ring;

	bad_queue("ring misaligned", at + 1, at + 4096, at + 8192);
	bad_queue("driver area misaligned", at, at + 4097, at + 8192);
	bad_queue("device area misaligned", at, at + 4096, at + 8193);
	bad_queue("ring in the hole", RAM_HOLE, at + 4096, at + 8192);
	bad_queue("device area beyond the end", at, at + 4096, BEYOND);
	bad_queue("ring wraps", ~0ull & ~15ull, at + 4096, at + 8192);
	bad_queue("areas overlap", at, at + 4096, at);
}

/* --- Registers --------------------------------------------------------------
 */

/* Every byte of the structures with every size, then a reset. */
static void register_storm(uint64_t base, unsigned int len)
{
	for (unsigned int i = 0; i < len; i++) {
		write8(base + i, read8(base + i) ^ 0xff);
		write16(base + i, (uint16_t)~read16(base + i));
		write32(base + i, ~read32(base + i));
		write64(base + i, ~read64(base + i));
	}
}

static void registers(void)
{
	rng_begin();
	register_storm(rng.common, 0x40);
	check_works();
	if (rng.mmio) {
		register_storm(rng.common, 0x110);
	} else {
		register_storm(rng.isr, 8);
		register_storm(rng.notify, 64);
		register_storm(rng.msix_table, 48);
	}
	check_works();
	for (unsigned int i = 0; i < 64; i++) {
		rng_begin();
		virtio_set_status(&rng, (uint8_t)(i * 37));
	}
	check_works();
	check_disk();
	print("survived: registers\n");
}

/* A BAR over RAM, the local APIC, another BAR, nowhere; and back. */
static void bars(void)
{
	static const uint32_t places[] = {0x100000, 0xfee00000, 0xe0000000,
					  0xfffff000, 0};
	unsigned int reg = 0x10;
	uint32_t home;

	while (!pci_read32(rng.devfn, reg))
		reg += 4;
	home = pci_read32(rng.devfn, reg);
	for (unsigned int i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		rng_begin();
		pci_write32(rng.devfn, reg, places[i]);
		check_disk();
		pci_write32(rng.devfn, reg, home);
		check_works();
	}
	/* Where the disk's is: the disk keeps it. */
	pci_write32(rng.devfn, reg, pci_read32(disk.devfn, reg));
	check_disk();
	pci_write32(rng.devfn, reg, home);
	check_works();
	print("survived: bars\n");
}

/* --- In the middle of it
 * ------------------------------------------------------
 */

#define DEPTH	    16
#define CHUNK	    65536
#define ROUNDS	    40
#define CANARY	    0x5aa5c33cf00f9669ull
#define BAR_FURTHER 0x2000000u

static struct virtq busy_vq;
static uint8_t busy_ring[VIRTQ_MEMORY] __attribute__((aligned(4096)));
static uint64_t busy_data[DEPTH][CHUNK / 8] __attribute__((aligned(4096)));
static uint8_t busy_statuses[DEPTH];

static void busy_begin(void)
{
	virtio_begin(&disk,
		     option_number("packed", 0) ? VIRTIO_F_RING_PACKED : 0);
	virtq_setup(&busy_vq, &disk, 0, 64, busy_ring);
	virtio_driver_ok(&disk);
}

/* DEPTH reads at once, which nobody has waited for yet. */
static void busy_submit(void)
{
	static struct {
		uint32_t type, reserved;
		uint64_t sector;
	} headers[DEPTH];

	for (unsigned int i = 0; i < DEPTH; i++) {
		const struct virtio_buf bufs[] = {
			{&headers[i], sizeof(headers[i]), false},
			{busy_data[i], CHUNK, true},
			{&busy_statuses[i], 1, true},
		};

		headers[i].sector = i * (CHUNK / 512);
		busy_statuses[i] = 0xff;
		check(virtq_add(&busy_vq, bufs, 3, i));
	}
	virtq_kick(&busy_vq);
}

static void busy_finish(void)
{
	uint32_t slot;

	for (unsigned int i = 0; i < DEPTH; i++) {
		virtq_wait(&busy_vq, &slot);
		check_eq(busy_statuses[slot], 0);
	}
}

static void busy_fill(void)
{
	for (unsigned int i = 0; i < DEPTH; i++)
		for (unsigned int j = 0; j < CHUNK / 8; j++)
			busy_data[i][j] = CANARY;
	for (unsigned int i = 0; i < sizeof(busy_ring) / 8; i++)
		((uint64_t *)busy_ring)[i] = CANARY;
	memset(busy_statuses, 0x77, sizeof(busy_statuses));
}

static void busy_check_untouched(void)
{
	for (unsigned int i = 0; i < DEPTH; i++) {
		for (unsigned int j = 0; j < CHUNK / 8; j++)
			check_eq(busy_data[i][j], CANARY);
		check_eq(busy_statuses[i], 0x77);
	}
	for (unsigned int i = 0; i < sizeof(busy_ring) / 8; i++)
		check_eq(((uint64_t *)busy_ring)[i], CANARY);
}

/* 21: once a reset reads as complete, memory is the driver's again. The other
 * device's answers give the first one time to do wrong. */
static void reset_in_flight(void)
{
	for (unsigned int round = 0; round < ROUNDS; round++) {
		busy_begin();
		busy_submit();
		for (unsigned int i = 0; i < round * 50; i++)
			asm volatile("pause");
		virtio_reset(&disk);
		busy_fill();
		check_works();
		check_works();
		busy_check_untouched();
	}
	busy_begin();
	busy_submit();
	busy_finish();
	print("survived: reset in flight\n");
}

/* Where the driver finds the registers after the BAR has gone @by further. */
static void busy_shift(int64_t by)
{
	disk.common += (uint64_t)by;
	disk.notify += (uint64_t)by;
	disk.isr += (uint64_t)by;
	disk.config += (uint64_t)by;
	disk.msix_table += (uint64_t)by;
	busy_vq.doorbell += (uint64_t)by;
}

/* 24: what is in flight arrives, the doorbell is at the new place, and nothing
 * is at the old one. */
static void move_in_flight(void)
{
	unsigned int reg = 0x10;
	uint64_t old;
	uint32_t home;

	while (!pci_read32(disk.devfn, reg))
		reg += 4;
	home = pci_read32(disk.devfn, reg);
	busy_begin();
	for (unsigned int round = 0; round < ROUNDS; round++) {
		old = disk.common;
		busy_submit();
		pci_write32(disk.devfn, reg, (home & ~0xfu) + BAR_FURTHER);
		busy_finish();
		check_eq(read32(old), 0xffffffff);
		busy_shift(BAR_FURTHER);
		busy_submit();
		pci_write32(disk.devfn, reg, home);
		busy_shift(-(int64_t)BAR_FURTHER);
		busy_finish();
		check_eq(virtio_status(&disk) & VIRTIO_NEEDS_RESET, 0);
	}
	print("survived: bar moves in flight\n");
}

static void in_flight(void)
{
	reset_in_flight();
	if (!disk.mmio)
		move_in_flight();
	virtio_begin(&disk, 0);
	virtq_setup(&disk_vq, &disk, 0, SIZE, disk_ring);
	virtio_driver_ok(&disk);
}

static int drive(void)
{
	/* What the two indirect descriptors that point to it find. */
	table[32] = (struct split_desc){(uint64_t)table, 16, DESC_INDIRECT, 0};
	virtio_begin(&disk, 0);
	virtq_setup(&disk_vq, &disk, 0, SIZE, disk_ring);
	virtio_driver_ok(&disk);
	check_works();
	check_disk();
	for (unsigned int i = 0;
	     i < sizeof(chain_cases) / sizeof(chain_cases[0]); i++)
		chain_case_run(&chain_cases[i]);
	if (!vq.packed) {
		available_jumps();
		head_out_of_range();
	}
	bad_queues();
	registers();
	if (!rng.mmio)
		bars();
	in_flight();
	check_disk();
	print("survived\n");
	return 0;
}

int guest_main(void)
{
	bool mmio = option_number("mmio", 0);

	check(virtio_find(&rng, mmio, VIRTIO_RNG, 0));
	check(virtio_find(&disk, mmio, VIRTIO_BLOCK, 0));
	user_run(drive, 0);
}
