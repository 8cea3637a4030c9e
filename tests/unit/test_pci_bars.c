/* BARs: sizing, moving, refusing; what firmware assigns; interrupt pins. */
#include "pci/bus.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>
#include <jansson.h>
#include <linux/pci_regs.h>

#include "tests/unit/support/fake_host.h"
#include "vmm/base/json.h"
#include "vmm/bus.h"

#define ECAM	    UINT64_C(0xe0000000)
#define MEM32	    UINT64_C(0xc0000000)
#define MEM32_SIZE  UINT64_C(0x20000000)
#define MEM64	    UINT64_C(0x1000000000)
#define MEM64_SIZE  UINT64_C(0x1000000000)
#define IO	    UINT64_C(0xd00)
#define IO_SIZE	    UINT64_C(0xf300)
#define GSI	    16
#define RANGES_BARE 2 /* of the bus itself */

#define MEM  PCI_COMMAND_MEMORY
#define BOTH (PCI_COMMAND_MEMORY | PCI_COMMAND_IO)

/* The first device's, at slot 3. */
#define WIDE	   0 /* 16 KiB, 64 bits, prefetchable */
#define NARROW	   2 /* 4 KiB, 32 bits */
#define PORTS	   4 /* 32 ports */
#define WIDE_SIZE  0x4000
#define PORTS_SIZE 32

static const struct pci_bus_config config = {
	.ecam = ECAM,
	.port = 0xcf8,
	.io = {IO, IO_SIZE},
	.mem32 = {MEM32, MEM32_SIZE},
	.mem64 = {MEM64, MEM64_SIZE},
	.gsi = GSI,
};

/* A device whose BARs read as a value of their own, and that notes what its
 * hooks are told. */
struct gadget {
	struct pci_device pci;
	unsigned int slot;
	uint64_t read[PCI_DEVICE_BARS]; /* what the BAR reads as */
	char log[1024];			/* of hooks */
	bool mapped[PCI_DEVICE_BARS];	/* by what bar_moved said */
	uint64_t base[PCI_DEVICE_BARS];
};

static struct fake_host fake;
static struct pci_bus *bus;
static struct gadget one, two;

static uint64_t gadget_read(void *ctx, uint64_t offset, unsigned int size)
{
	(void)size;
	return *(uint64_t *)ctx + offset;
}

static void gadget_write(void *ctx, uint64_t offset, unsigned int size,
			 uint64_t value)
{
	(void)size;
	*(uint64_t *)ctx = value - offset;
}

static const struct bus_ops gadget_bar_ops = {
	.read = gadget_read,
	.write = gadget_write,
	.max_size = 8,
};

static void gadget_note(struct gadget *gadget, const char *what, unsigned int a,
			uint64_t b)
{
	size_t len = strlen(gadget->log);

	snprintf(gadget->log + len, sizeof(gadget->log) - len, "%s %u %llx; ",
		 what, a, (unsigned long long)b);
}

static void gadget_bar_moved(void *ctx, unsigned int bar, bool mapped,
			     uint64_t base)
{
	struct gadget *gadget = ctx;

	ck_assert_msg(gadget->mapped[bar] != mapped, "told twice");
	gadget->mapped[bar] = mapped;
	gadget->base[bar] = base;
	gadget_note(gadget, mapped ? "on" : "off", bar, base);
}

static void gadget_config_read(void *ctx, unsigned int offset,
			       unsigned int size)
{
	struct gadget *gadget = ctx;

	if (offset == 0xf0)
		pci_device_set(&gadget->pci, 0xf0, 4, 0x1234567 + size);
}

static void gadget_config_written(void *ctx, unsigned int offset,
				  unsigned int size)
{
	gadget_note(ctx, "written", offset, size);
}

static const struct pci_device_ops gadget_ops = {
	.bar_moved = gadget_bar_moved,
	.config_read = gadget_config_read,
	.config_written = gadget_config_written,
};

static void gadget_init(struct gadget *gadget, unsigned int slot,
			uint8_t interrupt_pin)
{
	const struct pci_identity identity = {
		.vendor_id = 0x1af4,
		.device_id = 0x1041,
		.interrupt_pin = interrupt_pin,
	};

	*gadget = (struct gadget){.slot = slot};
	pci_device_init(&gadget->pci, &identity);
	gadget->pci.ops = &gadget_ops;
	gadget->pci.ctx = gadget;
}

static void gadget_add_bar(struct gadget *gadget, unsigned int index,
			   enum pci_bar_kind kind, uint64_t size,
			   bool prefetchable)
{
	const struct pci_bar bar = {
		.kind = kind,
		.size = size,
		.prefetchable = prefetchable,
		.ops = &gadget_bar_ops,
		.ctx = &gadget->read[index],
		.name = "gadget",
	};

	gadget->read[index] = 0x1000 * (gadget->slot * 16 + index);
	pci_device_add_bar(&gadget->pci, index, &bar);
}

static void gadget_plug(struct gadget *gadget)
{
	ck_assert_int_eq(pci_bus_add(bus, gadget->slot, 0, &gadget->pci), 0);
}

static void setup(void)
{
	fake_host_init(&fake);
	ck_assert_int_eq(pci_bus_new(&bus, &fake.host, &config), 0);
	gadget_init(&one, 3, 1);
	gadget_add_bar(&one, WIDE, PCI_BAR_MEM64, WIDE_SIZE, true);
	gadget_add_bar(&one, NARROW, PCI_BAR_MEM32, 0x1000, false);
	gadget_add_bar(&one, PORTS, PCI_BAR_IO, PORTS_SIZE, false);
	gadget_plug(&one);
	gadget_init(&two, 7, 1);
	gadget_add_bar(&two, 0, PCI_BAR_MEM32, 0x10000, false);
	gadget_plug(&two);
}

static void teardown(void)
{
	pci_bus_device_ops.free(bus);
	ck_assert_uint_eq(fake_host_ranges(&fake), 0);
}

static uint64_t register_of(const struct gadget *gadget, unsigned int offset)
{
	return ECAM + (gadget->slot << 15 | offset);
}

static uint32_t get(const struct gadget *gadget, unsigned int offset,
		    unsigned int size)
{
	return (uint32_t)fake_host_read(&fake, BUS_MMIO,
					register_of(gadget, offset), size);
}

static void put(const struct gadget *gadget, unsigned int offset,
		unsigned int size, uint64_t value)
{
	fake_host_write(&fake, BUS_MMIO, register_of(gadget, offset), size,
			value);
}

static unsigned int bar_register(unsigned int index)
{
	return PCI_BASE_ADDRESS_0 + 4 * index;
}

static void place(const struct gadget *gadget, unsigned int index,
		  uint64_t base)
{
	put(gadget, bar_register(index), 4, (uint32_t)base);
	if (gadget->pci.bars[index].kind == PCI_BAR_MEM64)
		put(gadget, bar_register(index + 1), 4, base >> 32);
}

static void command(const struct gadget *gadget, uint32_t bits)
{
	put(gadget, PCI_COMMAND, 2, bits);
}

/* Whether the BAR, and nothing else, answers there, from end to end. */
static void check_at(const struct gadget *gadget, unsigned int index,
		     uint64_t base)
{
	const struct pci_bar *bar = &gadget->pci.bars[index];
	enum bus_kind kind = bar->kind == PCI_BAR_IO ? BUS_PIO : BUS_MMIO;

	ck_assert(bar->mapped);
	ck_assert_uint_eq(bar->base, base);
	ck_assert(gadget->mapped[index]);
	ck_assert_uint_eq(gadget->base[index], base);
	ck_assert_uint_eq(fake_host_read(&fake, kind, base, 4),
			  gadget->read[index]);
	ck_assert_uint_eq(fake_host_read(&fake, kind, base + bar->size - 4, 4),
			  (uint32_t)(gadget->read[index] + bar->size - 4));
	ck_assert_ptr_eq(fake_host_find(&fake, kind, base)->ctx,
			 &gadget->read[index]);
}

static void check_nowhere(const struct gadget *gadget, unsigned int index)
{
	ck_assert(!gadget->pci.bars[index].mapped);
	ck_assert(!gadget->mapped[index]);
}

/* --- Registers --------------------------------------------------------------
 */

START_TEST(pci_device_add_bar_sized_as_guests_do)
{
	static const struct {
		unsigned int index;
		uint32_t ones, zeroes;
	} bars[] = {
		{0, 0xffffc00c, 0xc}, {1, 0xffffffff, 0},
		{2, 0xfffff000, 0},   {3, 0, 0},
		{4, 0xffffffe1, 1},   {5, 0, 0},
	};

	for (unsigned int i = 0; i < 6; i++) {
		put(&one, bar_register(i), 4, 0xffffffff);
		ck_assert_uint_eq(get(&one, bar_register(i), 4), bars[i].ones);
		put(&one, bar_register(i), 4, 0);
		ck_assert_uint_eq(get(&one, bar_register(i), 4),
				  bars[i].zeroes);
	}
	ck_assert_uint_eq(fake_host_ranges(&fake), RANGES_BARE);
}
END_TEST

START_TEST(pci_device_add_bar_of_4_gib_and_more_has_no_low_bits)
{
	struct gadget huge;

	gadget_init(&huge, 9, 0);
	gadget_add_bar(&huge, 4, PCI_BAR_MEM64, UINT64_C(1) << 34, false);
	gadget_plug(&huge);
	command(&huge, MEM);
	place(&huge, 4, UINT64_MAX);
	ck_assert_uint_eq(get(&huge, bar_register(4), 4), 4);
	ck_assert_uint_eq(get(&huge, bar_register(5), 4), 0xfffffffc);
	place(&huge, 4, MEM64 + (UINT64_C(1) << 34));
	check_at(&huge, 4, MEM64 + (UINT64_C(1) << 34));
	pci_bus_remove(bus, &huge.pci);
}
END_TEST

START_TEST(pci_device_add_cap_chains_them)
{
	struct gadget many;
	unsigned int at = 0, count = 0;

	gadget_init(&many, 9, 0);
	ck_assert_uint_eq(pci_device_add_cap(&many.pci, 9, 16), 0x40);
	ck_assert_uint_eq(pci_device_add_cap(&many.pci, 17, 10), 0x50);
	ck_assert_uint_eq(pci_device_add_cap(&many.pci, 9, 20), 0x5c);
	gadget_plug(&many);
	ck_assert_uint_eq(get(&many, PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
	for (at = get(&many, PCI_CAPABILITY_LIST, 1); at;
	     at = get(&many, at + 1, 1)) {
		ck_assert_uint_eq(get(&many, at, 1), count == 1 ? 17 : 9);
		count++;
	}
	ck_assert_uint_eq(count, 3);
	/* Read-only. */
	for (at = 0x40; at < 0x70; at += 4)
		put(&many, at, 4, 0xffffffff);
	ck_assert_uint_eq(get(&many, 0x40, 4), 0x5009);
	ck_assert_uint_eq(get(&many, 0x44, 4), 0);
	pci_bus_remove(bus, &many.pci);
}
END_TEST

/* --- Mapping ----------------------------------------------------------------
 */

START_TEST(bars_follow_command)
{
	place(&one, WIDE, MEM32 + 0x10000);
	place(&one, NARROW, MEM32);
	place(&one, PORTS, 0x1000);
	ck_assert_uint_eq(fake_host_ranges(&fake), RANGES_BARE);
	command(&one, PCI_COMMAND_IO);
	check_at(&one, PORTS, 0x1000);
	check_nowhere(&one, WIDE);
	command(&one, MEM);
	check_nowhere(&one, PORTS);
	check_at(&one, WIDE, MEM32 + 0x10000);
	check_at(&one, NARROW, MEM32);
	/* Bit 1 by a byte, and by a dword with STATUS. */
	put(&one, PCI_COMMAND, 1, 0);
	ck_assert_uint_eq(fake_host_ranges(&fake), RANGES_BARE);
	put(&one, PCI_COMMAND, 4, BOTH);
	ck_assert_uint_eq(fake_host_ranges(&fake), RANGES_BARE + 3);
	/* The high byte changes nothing. */
	put(&one, PCI_COMMAND + 1, 1, 0xff);
	ck_assert_uint_eq(fake_host_ranges(&fake), RANGES_BARE + 3);
}
END_TEST

START_TEST(bars_move_with_decode_on)
{
	place(&one, NARROW, MEM32);
	command(&one, MEM);
	place(&one, NARROW, MEM32 + 0x5000);
	check_at(&one, NARROW, MEM32 + 0x5000);
	ck_assert_ptr_null(fake_host_find(&fake, BUS_MMIO, MEM32));
	/* One byte of it. */
	put(&one, bar_register(NARROW) + 3, 1, 0xd0);
	check_at(&one, NARROW, 0xd0005000);
	/* The same again is no move. */
	one.log[0] = '\0';
	place(&one, NARROW, 0xd0005000);
	command(&one, MEM);
	ck_assert_str_eq(one.log, "written 24 4; written 4 2; ");
}
END_TEST

START_TEST(bars_move_tells_device_before_config_written)
{
	place(&one, NARROW, MEM32);
	one.log[0] = '\0';
	command(&one, MEM);
	place(&one, NARROW, MEM32 + 0x1000);
	place(&one, NARROW, 0);
	ck_assert_str_eq(one.log, "on 2 c0000000; written 4 2; "
				  "off 2 c0000000; on 2 c0001000; "
				  "written 24 4; "
				  "off 2 c0001000; written 24 4; ");
}
END_TEST

START_TEST(bars_of_64_bits_go_into_both_windows)
{
	static const uint64_t places[] = {
		MEM32,
		MEM32 + MEM32_SIZE - WIDE_SIZE,
		MEM64,
		MEM64 + MEM64_SIZE - WIDE_SIZE,
	};

	command(&one, MEM);
	for (unsigned int i = 0; i < 4; i++) {
		place(&one, WIDE, places[i]);
		check_at(&one, WIDE, places[i]);
		ck_assert_uint_eq(fake_host_ranges(&fake), RANGES_BARE + 1);
	}
}
END_TEST

START_TEST(bars_outside_of_windows_are_not_decoded)
{
	static const uint64_t places[] = {
		0x100000, /* RAM */
		MEM32 - WIDE_SIZE,
		MEM32 + MEM32_SIZE, /* ECAM */
		0xfea00000,	    /* the GED */
		0xfec00000,	    /* IO-APIC */
		0xfee00000,	    /* LAPIC */
		0xffffc000,	    /* size of it */
		UINT64_C(0x100000000),
		MEM64 - WIDE_SIZE,
		MEM64 + MEM64_SIZE,
		UINT64_C(0xffffffffffffc000), /* the last there is */
	};
	static const uint64_t ports[] = {0, 0x60, 0xce0, 0x10000, 0xffffffe0};

	place(&one, NARROW, MEM32);
	command(&one, BOTH);
	for (unsigned int i = 0; i < 11; i++) {
		place(&one, WIDE, places[i]);
		ck_assert_uint_eq(get(&one, bar_register(WIDE), 4),
				  (uint32_t)places[i] | 0xc);
		check_nowhere(&one, WIDE);
	}
	for (unsigned int i = 0; i < 5; i++) {
		place(&one, PORTS, ports[i]);
		check_nowhere(&one, PORTS);
	}
	check_at(&one, NARROW, MEM32);
	place(&one, WIDE, MEM32 + WIDE_SIZE);
	check_at(&one, WIDE, MEM32 + WIDE_SIZE);
	place(&one, PORTS, 0xd00);
	check_at(&one, PORTS, 0xd00);
	place(&one, PORTS, 0xffe0);
	check_at(&one, PORTS, 0xffe0);
}
END_TEST

START_TEST(bars_half_out_of_window_are_not_decoded)
{
	struct pci_bus_config small = config;

	teardown();
	small.mem32 = (struct pci_window){MEM32 + 0x2000, 0x5000};
	small.mem64.size = 0;
	small.io = (struct pci_window){0xd10, 0x100};
	ck_assert_int_eq(pci_bus_new(&bus, &fake.host, &small), 0);
	gadget_plug(&one);
	command(&one, BOTH);
	place(&one, WIDE, MEM32); /* 2 of 4 pages in front */
	check_nowhere(&one, WIDE);
	place(&one, WIDE, MEM32 + 0x4000); /* a page behind */
	check_nowhere(&one, WIDE);
	place(&one, WIDE, MEM64);
	check_nowhere(&one, WIDE);
	place(&one, PORTS, 0xd00);
	check_nowhere(&one, PORTS);
	place(&one, PORTS, 0xe00);
	check_nowhere(&one, PORTS);
	place(&one, PORTS, 0xd20);
	check_at(&one, PORTS, 0xd20);
	place(&one, NARROW, MEM32 + 0x6000);
	check_at(&one, NARROW, MEM32 + 0x6000);
}
END_TEST

START_TEST(bars_over_each_other_first_one_stays)
{
	place(&two, 0, MEM32);
	command(&two, MEM);
	place(&one, WIDE, MEM32 + 0x4000); /* inside it */
	place(&one, NARROW, MEM32 + 0xf000);
	command(&one, MEM);
	check_at(&two, 0, MEM32);
	check_nowhere(&one, WIDE);
	check_nowhere(&one, NARROW);
	/* As soon as there is room. */
	place(&two, 0, MEM32 + 0x10000);
	check_at(&two, 0, MEM32 + 0x10000);
	check_at(&one, WIDE, MEM32 + 0x4000);
	check_at(&one, NARROW, MEM32 + 0xf000);
	/* Back over both: now they stay. */
	place(&two, 0, MEM32);
	check_nowhere(&two, 0);
	command(&one, 0);
	check_at(&two, 0, MEM32);
	/* Of one device, too. */
	command(&two, 0);
	place(&one, NARROW, MEM32 + 0x4000);
	command(&one, MEM);
	check_at(&one, WIDE, MEM32 + 0x4000);
	check_nowhere(&one, NARROW);
	place(&one, WIDE, 0);
	check_at(&one, NARROW, MEM32 + 0x4000);
}
END_TEST

START_TEST(bars_exchange_places)
{
	place(&one, WIDE, MEM32);
	place(&one, NARROW, MEM32 + 0x4000);
	command(&one, MEM);
	place(&one, WIDE, MEM32 + 0x4000);
	check_nowhere(&one, WIDE);
	place(&one, NARROW, MEM32);
	check_at(&one, WIDE, MEM32 + 0x4000);
	check_at(&one, NARROW, MEM32);
}
END_TEST

START_TEST(pci_bus_remove_unmaps_and_makes_room)
{
	place(&two, 0, MEM32);
	command(&two, MEM);
	place(&one, NARROW, MEM32);
	command(&one, MEM);
	check_nowhere(&one, NARROW);
	pci_bus_remove(bus, &two.pci);
	check_nowhere(&two, 0);
	check_at(&one, NARROW, MEM32);
	ck_assert_uint_eq(get(&two, 0, 4), 0xffffffff);
	/* Once more does no harm. */
	pci_bus_remove(bus, &two.pci);
	gadget_plug(&two);
}
END_TEST

START_TEST(pci_bus_reset_unmaps_all)
{
	place(&one, NARROW, MEM32);
	command(&one, MEM);
	one.log[0] = '\0';
	pci_bus_device_ops.reset(bus);
	check_nowhere(&one, NARROW);
	ck_assert_uint_eq(fake_host_ranges(&fake), RANGES_BARE);
	ck_assert_str_eq(one.log, "off 2 c0000000; ");
	ck_assert_uint_eq(get(&one, bar_register(WIDE), 4), 0xc);
	ck_assert_uint_eq(get(&one, PCI_COMMAND, 2), 0);
}
END_TEST

START_TEST(config_hooks_see_what_guest_does)
{
	ck_assert_uint_eq(get(&one, 0xf0, 4), 0x123456b);
	ck_assert_uint_eq(get(&one, 0xf0, 1), 0x68);
	one.log[0] = '\0';
	put(&one, 0xf0, 2, 5);
	put(&one, 0xffc, 8, 5);
	fake_host_write(&fake, BUS_PIO, 0xcf8, 4, 0x80000000u | 3 << 11 | 0xf0);
	fake_host_write(&fake, BUS_PIO, 0xcff, 1, 5);
	ck_assert_str_eq(one.log,
			 "written 240 2; written 4092 4; written 243 1; ");
}
END_TEST

/* --- Against a model, at random ---------------------------------------------
 * The model knows which BARs are mapped, and lets a change of registers do
 * what pci/bus_bars.c promises, with other means.
 */

#define GADGETS 4
#define BARS	3

struct model_bar {
	unsigned int kind; /* enum pci_bar_kind */
	uint64_t size, reg;
	bool mapped;
	uint64_t base;
};

struct model {
	struct gadget gadgets[GADGETS];
	struct model_bar bars[GADGETS][BARS]; /* at index 0, 2 and 4 */
	uint32_t command[GADGETS];
};

static uint64_t model_random(unsigned int *seed, uint64_t below)
{
	uint64_t high = (uint64_t)rand_r(seed);

	return (high << 31 | (uint64_t)rand_r(seed)) % below;
}

static bool model_inside(uint64_t base, uint64_t size, uint64_t from,
			 uint64_t len)
{
	/* All addresses here are below 2^63. */
	return base >= from && base + size <= from + len;
}

static bool model_wanted(const struct model *model, unsigned int g,
			 unsigned int b)
{
	const struct model_bar *bar = &model->bars[g][b];

	if (bar->kind == PCI_BAR_IO)
		return model->command[g] & PCI_COMMAND_IO &&
		       model_inside(bar->reg, bar->size, IO, IO_SIZE);
	return model->command[g] & MEM &&
	       (model_inside(bar->reg, bar->size, MEM32, MEM32_SIZE) ||
		model_inside(bar->reg, bar->size, MEM64, MEM64_SIZE));
}

static bool model_free(const struct model *model, const struct model_bar *bar)
{
	for (unsigned int i = 0; i < GADGETS * BARS; i++) {
		const struct model_bar *o = &model->bars[i / BARS][i % BARS];

		if (o->mapped &&
		    (o->kind == PCI_BAR_IO) == (bar->kind == PCI_BAR_IO) &&
		    o->base < bar->reg + bar->size &&
		    bar->reg < o->base + o->size)
			return false;
	}
	return true;
}

static void model_follow(struct model *model)
{
	for (unsigned int i = 0; i < GADGETS * BARS; i++) {
		struct model_bar *bar = &model->bars[i / BARS][i % BARS];

		bar->mapped &= model_wanted(model, i / BARS, i % BARS) &&
			       bar->base == bar->reg;
	}
	for (unsigned int i = 0; i < GADGETS * BARS; i++) {
		struct model_bar *bar = &model->bars[i / BARS][i % BARS];

		if (!bar->mapped && model_wanted(model, i / BARS, i % BARS) &&
		    model_free(model, bar)) {
			bar->mapped = true;
			bar->base = bar->reg;
		}
	}
}

static void model_init(struct model *model, unsigned int *seed)
{
	for (unsigned int g = 0; g < GADGETS; g++) {
		struct gadget *gadget = &model->gadgets[g];

		gadget_init(gadget, 10 + g, 0);
		model->command[g] = 0;
		for (unsigned int b = 0; b < BARS; b++) {
			unsigned int kind =
				1 + (unsigned int)model_random(seed, 3);
			uint64_t size =
				kind == PCI_BAR_IO
					? UINT64_C(4) << model_random(seed, 7)
					: UINT64_C(0x1000)
						  << model_random(seed, 4);

			model->bars[g][b] = (struct model_bar){
				.kind = kind,
				.size = size,
			};
			gadget_add_bar(gadget, 2 * b, (enum pci_bar_kind)kind,
				       size, false);
		}
		gadget_plug(gadget);
	}
}

/* Mostly where it is crowded, sometimes at an edge or anywhere. */
static uint64_t model_address(const struct model_bar *bar, unsigned int *seed)
{
	uint64_t at;

	if (bar->kind == PCI_BAR_IO) {
		at = IO + model_random(seed, 0x400);
		if (!model_random(seed, 4))
			at = model_random(seed, 0x10100);
	} else {
		at = MEM32 + model_random(seed, 0x20000);
		if (!model_random(seed, 4))
			at = MEM32 + MEM32_SIZE - 0x8000 +
			     model_random(seed, 0x10000);
		if (bar->kind == PCI_BAR_MEM64 && !model_random(seed, 3))
			at = MEM64 - 0x8000 + model_random(seed, 0x10000);
	}
	return at & ~(bar->size - 1);
}

static void model_step(struct model *model, unsigned int *seed)
{
	unsigned int g = (unsigned int)model_random(seed, GADGETS);
	unsigned int b = (unsigned int)model_random(seed, BARS);
	struct model_bar *bar = &model->bars[g][b];
	uint64_t at;

	if (!model_random(seed, 3)) {
		model->command[g] = (uint32_t)model_random(seed, 4);
		command(&model->gadgets[g], model->command[g]);
		model_follow(model);
		return;
	}
	at = model_address(bar, seed);
	put(&model->gadgets[g], bar_register(2 * b), 4, (uint32_t)at);
	bar->reg = (bar->reg & ~UINT64_C(0xffffffff)) | (uint32_t)at;
	model_follow(model);
	if (bar->kind == PCI_BAR_MEM64) {
		put(&model->gadgets[g], bar_register(2 * b + 1), 4, at >> 32);
		bar->reg = at;
		model_follow(model);
	}
}

static unsigned int model_check(const struct model *model)
{
	unsigned int mapped = 0;

	for (unsigned int i = 0; i < GADGETS * BARS; i++) {
		const struct gadget *gadget = &model->gadgets[i / BARS];
		const struct model_bar *bar = &model->bars[i / BARS][i % BARS];

		mapped += bar->mapped;
		if (bar->mapped)
			check_at(gadget, 2 * (i % BARS), bar->base);
		else
			check_nowhere(gadget, 2 * (i % BARS));
	}
	ck_assert_uint_eq(fake_host_ranges(&fake), RANGES_BARE + mapped);
	return mapped;
}

START_TEST(bars_moved_at_random_are_where_a_model_says)
{
	unsigned int seed = (unsigned int)_i + 1, mapped = 0, refused = 0;
	static struct model model;

	model_init(&model, &seed);
	for (unsigned int i = 0; i < 2000; i++) {
		model_step(&model, &seed);
		for (unsigned int g = 0; g < GADGETS; g++)
			model.gadgets[g].log[0] = '\0';
		mapped += model_check(&model);
		for (unsigned int j = 0; j < GADGETS * BARS; j++)
			refused += model_wanted(&model, j / BARS, j % BARS) &&
				   !model.bars[j / BARS][j % BARS].mapped;
	}
	/* It was about something. */
	ck_assert_uint_gt(mapped, 1000);
	ck_assert_uint_gt(refused, 100);
	for (unsigned int g = 0; g < GADGETS; g++)
		pci_bus_remove(bus, &model.gadgets[g].pci);
}
END_TEST

/* --- Moves while others access ----------------------------------------------
 * On the machine's own dispatch.
 */

struct real_host {
	struct host host;
	struct bus *mmio;
};

static int real_map(struct host *host, enum bus_kind kind, uint64_t base,
		    uint64_t size, const struct bus_ops *ops, void *ctx,
		    const char *name)
{
	(void)kind;
	return bus_map(((struct real_host *)host)->mmio, base, size, ops, ctx,
		       name);
}

static int real_unmap(struct host *host, enum bus_kind kind, uint64_t base)
{
	(void)kind;
	return bus_unmap(((struct real_host *)host)->mmio, base);
}

static const struct host_ops real_ops = {
	.map = real_map,
	.unmap = real_unmap,
};

#define MOVES  2000
#define MARK   0x5e5e5e5e
#define PLACES 4

static _Atomic bool moved_enough;

static uint64_t constant_read(void *ctx, uint64_t offset, unsigned int size)
{
	(void)ctx;
	(void)offset;
	(void)size;
	return MARK;
}

static void ignore_write(void *ctx, uint64_t offset, unsigned int size,
			 uint64_t value)
{
	(void)ctx;
	(void)offset;
	(void)size;
	(void)value;
}

static const struct bus_ops constant_ops = {
	.read = constant_read,
	.write = ignore_write,
	.max_size = 4,
};

/* Whether each byte is the BAR's or nobody's: a move may come in between. */
static bool has_strange_byte(uint32_t value)
{
	for (unsigned int i = 0; i < 4; i++, value >>= 8) {
		if ((value & 0xff) != (MARK & 0xff) && (value & 0xff) != 0xff)
			return true;
	}
	return false;
}

static void *access_places(void *ctx)
{
	struct real_host *real = ctx;
	uintptr_t bad = 0;

	for (unsigned int i = 0; !moved_enough; i++) {
		uint64_t addr = MEM32 + 0x1000 * (i % PLACES);
		uint32_t value = 0;

		bus_read(real->mmio, addr, (uint8_t *)&value, 4);
		bad += has_strange_byte(value);
		bus_write(real->mmio, addr, (const uint8_t *)&value, 4);
	}
	return (void *)bad;
}

static void real_put(struct real_host *real, const struct gadget *gadget,
		     unsigned int offset, uint32_t value)
{
	bus_write(real->mmio, register_of(gadget, offset),
		  (const uint8_t *)&value, 4);
}

START_TEST(bars_move_while_others_access)
{
	const struct pci_bar bar = {
		.kind = PCI_BAR_MEM32,
		.size = 0x1000,
		.ops = &constant_ops,
		.name = "constant",
	};
	struct real_host real = {.host.ops = &real_ops};
	struct pci_bus_config no_ports = config;
	struct pci_bus *other;
	struct gadget gadget;
	pthread_t threads[2];
	void *bad;

	no_ports.port = 0;
	ck_assert_int_eq(bus_new(&real.mmio, UINT64_MAX), 0);
	ck_assert_int_eq(pci_bus_new(&other, &real.host, &no_ports), 0);
	gadget_init(&gadget, 5, 0);
	gadget.pci.ops = NULL;
	pci_device_add_bar(&gadget.pci, 0, &bar);
	ck_assert_int_eq(pci_bus_add(other, 5, 0, &gadget.pci), 0);
	moved_enough = false;
	for (unsigned int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, access_places, &real);
	for (unsigned int i = 0; i < MOVES; i++) {
		real_put(&real, &gadget, PCI_BASE_ADDRESS_0,
			 (uint32_t)MEM32 + 0x1000 * (i % PLACES));
		real_put(&real, &gadget, PCI_COMMAND, i % 7 ? MEM : 0);
	}
	moved_enough = true;
	for (unsigned int i = 0; i < 2; i++) {
		pthread_join(threads[i], &bad);
		ck_assert_ptr_null(bad);
	}
	pci_bus_device_ops.free(other);
	bus_free(real.mmio);
}
END_TEST

/* --- What firmware does -----------------------------------------------------
 */

START_TEST(pci_bus_assign_largest_first_and_enabled)
{
	struct error err;

	ck_assert_int_eq(pci_bus_assign(bus, &err), 0);
	check_at(&two, 0, MEM32);
	check_at(&one, NARROW, MEM32 + 0x10000);
	check_at(&one, WIDE, MEM32 + 0x14000);
	check_at(&one, PORTS, 0xd00);
	ck_assert_uint_eq(get(&one, PCI_COMMAND, 2), BOTH | PCI_COMMAND_MASTER);
	ck_assert_uint_eq(get(&two, PCI_COMMAND, 2), MEM | PCI_COMMAND_MASTER);
	/* The bridge has none. */
	ck_assert_uint_eq(fake_host_read(&fake, BUS_MMIO, ECAM + 4, 2), 0);
	one.log[0] = two.log[0] = '\0';
	ck_assert_int_eq(pci_bus_assign(bus, &err), 0);
	ck_assert_str_eq(one.log, "");
	ck_assert_str_eq(two.log, "");
	pci_bus_device_ops.reset(bus);
	ck_assert_uint_eq(fake_host_ranges(&fake), RANGES_BARE);
	ck_assert_int_eq(pci_bus_assign(bus, &err), 0);
	check_at(&two, 0, MEM32);
}
END_TEST

START_TEST(pci_bus_assign_without_room_below_goes_above)
{
	struct gadget a, b, c;
	struct error err;

	gadget_init(&a, 10, 0);
	gadget_add_bar(&a, 0, PCI_BAR_MEM64, UINT64_C(1) << 29, false);
	gadget_add_bar(&a, 2, PCI_BAR_MEM32, UINT64_C(1) << 28, false);
	gadget_plug(&a);
	gadget_init(&b, 11, 0);
	gadget_add_bar(&b, 0, PCI_BAR_MEM64, UINT64_C(1) << 33, true);
	gadget_plug(&b);
	ck_assert_int_eq(pci_bus_assign(bus, &err), 0);
	check_at(&a, 2, MEM32);
	check_at(&b, 0, MEM64);
	check_at(&a, 0, MEM64 + (UINT64_C(1) << 33));
	check_at(&one, WIDE, MEM32 + (UINT64_C(1) << 28) + 0x14000);

	/* And what has no room anywhere is named. */
	gadget_init(&c, 12, 0);
	gadget_add_bar(&c, 1, PCI_BAR_MEM32, UINT64_C(1) << 29, false);
	gadget_plug(&c);
	pci_bus_device_ops.reset(bus);
	ck_assert_int_eq(pci_bus_assign(bus, &err), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(err.text, "0a.0"));
	pci_bus_remove(bus, &a.pci);
	pci_bus_remove(bus, &b.pci);
	pci_bus_remove(bus, &c.pci);
}
END_TEST

START_TEST(pci_bus_assign_in_windows_that_are_not_aligned)
{
	struct pci_bus_config odd = config;
	struct error err;

	teardown();
	odd.mem32 = (struct pci_window){MEM32 + 0x3000, 0x25000};
	odd.mem64.size = 0;
	odd.io = (struct pci_window){0xd04, 0x3c};
	ck_assert_int_eq(pci_bus_new(&bus, &fake.host, &odd), 0);
	gadget_plug(&one);
	gadget_plug(&two);
	ck_assert_int_eq(pci_bus_assign(bus, &err), 0);
	check_at(&two, 0, MEM32 + 0x10000);
	check_at(&one, NARROW, MEM32 + 0x20000);
	check_at(&one, WIDE, MEM32 + 0x24000);
	check_at(&one, PORTS, 0xd20);
}
END_TEST

/* --- Interrupt pins ---------------------------------------------------------
 */

/* Slots 3 and 7 with INTA share a line. */
#define LINE (GSI + 3)

START_TEST(pci_bus_set_intx_shared_line_is_high_while_one_is)
{
	pci_bus_set_intx(bus, &one.pci, true);
	ck_assert(fake.irq_level[LINE]);
	pci_bus_set_intx(bus, &two.pci, true);
	pci_bus_set_intx(bus, &one.pci, true);
	pci_bus_set_intx(bus, &one.pci, false);
	ck_assert(fake.irq_level[LINE]);
	ck_assert_uint_eq(get(&one, PCI_STATUS, 2), 0);
	ck_assert_uint_eq(get(&two, PCI_STATUS, 2), PCI_STATUS_INTERRUPT);
	ck_assert_uint_eq(get(&two, PCI_COMMAND, 4),
			  PCI_STATUS_INTERRUPT << 16);
	ck_assert_uint_eq(get(&two, PCI_STATUS + 1, 1), 0);
	pci_bus_set_intx(bus, &two.pci, false);
	ck_assert(!fake.irq_level[LINE]);
	ck_assert_uint_eq(fake.irq_edges[LINE], 1);
}
END_TEST

START_TEST(pci_bus_set_intx_pin_and_slot_choose_line)
{
	struct gadget gadget;

	for (unsigned int slot = 8; slot < 16; slot++) {
		for (uint8_t pin = 0; pin <= 4; pin++) {
			gadget_init(&gadget, slot, pin);
			gadget_plug(&gadget);
			pci_bus_set_intx(bus, &gadget.pci, true);
			for (unsigned int i = 0; i < 4; i++)
				ck_assert_uint_eq(fake.irq_level[GSI + i],
						  pin && i == (slot + pin - 1) %
									  4);
			ck_assert_uint_eq(get(&gadget, PCI_STATUS, 2),
					  pin ? PCI_STATUS_INTERRUPT : 0);
			pci_bus_remove(bus, &gadget.pci);
			for (unsigned int i = 0; i < 4; i++)
				ck_assert(!fake.irq_level[GSI + i]);
			/* It is on no bus. */
			pci_bus_set_intx(bus, &gadget.pci, true);
			for (unsigned int i = 0; i < 4; i++)
				ck_assert(!fake.irq_level[GSI + i]);
		}
	}
}
END_TEST

START_TEST(pci_bus_set_intx_disabled_shows_in_status_only)
{
	command(&one, PCI_COMMAND_INTX_DISABLE);
	pci_bus_set_intx(bus, &one.pci, true);
	ck_assert(!fake.irq_level[LINE]);
	ck_assert_uint_eq(get(&one, PCI_STATUS, 2), PCI_STATUS_INTERRUPT);
	/* Not to be cleared by the guest. */
	put(&one, PCI_STATUS, 2, 0xffff);
	ck_assert_uint_eq(get(&one, PCI_STATUS, 2), PCI_STATUS_INTERRUPT);
	put(&one, PCI_COMMAND + 1, 1, 0);
	ck_assert(fake.irq_level[LINE]);
	put(&one, PCI_COMMAND + 1, 1, PCI_COMMAND_INTX_DISABLE >> 8);
	ck_assert(!fake.irq_level[LINE]);
	pci_bus_set_intx(bus, &one.pci, false);
	put(&one, PCI_COMMAND + 1, 1, 0);
	ck_assert(!fake.irq_level[LINE]);
	ck_assert_uint_eq(fake.irq_edges[LINE], 1);
}
END_TEST

START_TEST(pci_bus_reset_lowers_pins)
{
	command(&two, PCI_COMMAND_INTX_DISABLE);
	pci_bus_set_intx(bus, &one.pci, true);
	pci_bus_set_intx(bus, &two.pci, true);
	pci_bus_device_ops.reset(bus);
	ck_assert(!fake.irq_level[LINE]);
	ck_assert_uint_eq(get(&one, PCI_STATUS, 2), 0);
	/* Interrupt Disable is clear again, and the pin still there. */
	pci_bus_set_intx(bus, &two.pci, true);
	ck_assert(fake.irq_level[LINE]);
}
END_TEST

/* --- State ------------------------------------------------------------------
 */

START_TEST(pci_bus_restore_maps_bars_again)
{
	json_t *state, *again;
	struct error err;

	place(&one, WIDE, MEM64 + 0x8000);
	place(&one, NARROW, 0xfee00000);
	place(&two, 0, MEM32 + 0x10000);
	command(&one, BOTH | PCI_COMMAND_INTX_DISABLE);
	command(&two, MEM);
	pci_bus_set_intx(bus, &two.pci, true);
	ck_assert_int_eq(pci_bus_device_ops.save(bus, &state), 0);
	pci_bus_device_ops.reset(bus);
	/* Restoring moves what is elsewhere. */
	place(&two, 0, MEM32);
	command(&two, MEM);
	pci_bus_set_intx(bus, &one.pci, true);
	ck_assert(fake.irq_level[LINE]);
	ck_assert_int_eq(pci_bus_device_ops.restore(bus, state, &err), 0);
	check_at(&one, WIDE, MEM64 + 0x8000);
	check_nowhere(&one, NARROW);
	check_nowhere(&one, PORTS);
	check_at(&two, 0, MEM32 + 0x10000);
	ck_assert_uint_eq(fake_host_ranges(&fake), RANGES_BARE + 2);
	ck_assert(!fake.irq_level[LINE]);
	ck_assert_int_eq(pci_bus_device_ops.save(bus, &again), 0);
	ck_assert(json_equal(state, again));
	json_decref(state);
	json_decref(again);
}
END_TEST

START_TEST(pci_bus_restore_bar_of_other_kind_is_refused)
{
	uint8_t changed[PCI_DEVICE_CONFIG_SIZE];
	struct error err;
	json_t *state;

	ck_assert_int_eq(pci_bus_device_ops.save(bus, &state), 0);
	memcpy(changed, one.pci.config, sizeof(changed));
	changed[bar_register(WIDE)] = 0x8;
	json_object_set_new(json_object_get(state, "functions"), "03.0",
			    json_blob(changed, sizeof(changed)));
	ck_assert_int_eq(pci_bus_device_ops.restore(bus, state, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "03.0"));
	json_decref(state);
}
END_TEST

static void add_mapping_tests(TCase *tc)
{
	tcase_add_test(tc, bars_follow_command);
	tcase_add_test(tc, bars_move_with_decode_on);
	tcase_add_test(tc, bars_move_tells_device_before_config_written);
	tcase_add_test(tc, bars_of_64_bits_go_into_both_windows);
	tcase_add_test(tc, bars_outside_of_windows_are_not_decoded);
	tcase_add_test(tc, bars_half_out_of_window_are_not_decoded);
	tcase_add_test(tc, bars_over_each_other_first_one_stays);
	tcase_add_test(tc, bars_exchange_places);
	tcase_add_test(tc, pci_bus_remove_unmaps_and_makes_room);
	tcase_add_test(tc, pci_bus_reset_unmaps_all);
	tcase_add_test(tc, config_hooks_see_what_guest_does);
	tcase_add_loop_test(tc, bars_moved_at_random_are_where_a_model_says, 0,
			    8);
	tcase_add_test(tc, bars_move_while_others_access);
}

int main(void)
{
	Suite *suite = suite_create("pci bars");
	TCase *tc = tcase_create("bars");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, pci_device_add_bar_sized_as_guests_do);
	tcase_add_test(tc,
		       pci_device_add_bar_of_4_gib_and_more_has_no_low_bits);
	tcase_add_test(tc, pci_device_add_cap_chains_them);
	add_mapping_tests(tc);
	tcase_add_test(tc, pci_bus_assign_largest_first_and_enabled);
	tcase_add_test(tc, pci_bus_assign_without_room_below_goes_above);
	tcase_add_test(tc, pci_bus_assign_in_windows_that_are_not_aligned);
	tcase_add_test(tc, pci_bus_set_intx_shared_line_is_high_while_one_is);
	tcase_add_test(tc, pci_bus_set_intx_pin_and_slot_choose_line);
	tcase_add_test(tc, pci_bus_set_intx_disabled_shows_in_status_only);
	tcase_add_test(tc, pci_bus_reset_lowers_pins);
	tcase_add_test(tc, pci_bus_restore_maps_bars_again);
	tcase_add_test(tc, pci_bus_restore_bar_of_other_kind_is_refused);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
