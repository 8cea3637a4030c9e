/*
 * libFuzzer target for what a guest can do to pci/: the input is a program of
 * accesses to configuration space, by ECAM and by ports, to BARs wherever they
 * are, to MSI-X tables and pending bits, and of what devices and the machine do
 * meanwhile: signals, interrupt pins, reset, save and restore. After each step
 * every BAR that is mapped must be inside a window, and only vectors that are
 * enabled and unmasked be heard; at the end nothing may be left.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <sys/eventfd.h>

#include "pci/bus.h"
#include "pci/msix.h"
#include "tests/unit/support/fake_host.h"
#include "vmm/base/log.h"

#define ECAM	  UINT64_C(0xe0000000)
#define PORT	  0xcf8
#define GADGETS	  3
#define FDS	  4
#define STEPS_MAX 512
#define TABLE	  0x1000
#define PBA	  0x2000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct gadget {
	struct pci_device pci;
	struct pci_msix *msix;
	unsigned int vectors;
	int fds[FDS];
	int vector_of[FDS]; /* -1: not attached */
};

struct fuzz {
	const uint8_t *data;
	size_t len;
	struct fake_host fake;
	struct pci_bus *bus;
	struct gadget gadgets[GADGETS];
};

static const struct pci_bus_config fuzz_bus = {
	.ecam = ECAM,
	.port = PORT,
	.io = {0xd00, 0xf300},
	.mem32 = {0xc0000000, 0x20000000},
	.mem64 = {UINT64_C(0x1000000000), UINT64_C(0x1000000000)},
	.gsi = 16,
};

static void fuzz_expect(bool ok)
{
	if (!ok)
		abort();
}

/* The next bytes of the program, 0 behind its end. */
static uint64_t fuzz_take(struct fuzz *fuzz, size_t size)
{
	uint64_t value = 0;

	if (size > fuzz->len)
		size = fuzz->len;
	memcpy(&value, fuzz->data, size);
	fuzz->data += size;
	fuzz->len -= size;
	return value;
}

/* --- A device ---------------------------------------------------------------
 */

static uint64_t fuzz_bar_read(void *ctx, uint64_t offset, unsigned int size)
{
	struct gadget *gadget = ctx;

	if (offset >= PBA)
		return pci_msix_pba_read(gadget->msix, offset - PBA, size);
	if (offset >= TABLE)
		return pci_msix_table_read(gadget->msix, offset - TABLE, size);
	return 0;
}

static void fuzz_bar_write(void *ctx, uint64_t offset, unsigned int size,
			   uint64_t value)
{
	struct gadget *gadget = ctx;

	if (offset >= TABLE && offset < PBA)
		pci_msix_table_write(gadget->msix, offset - TABLE, size, value);
}

static const struct bus_ops fuzz_bar_ops = {
	.read = fuzz_bar_read,
	.write = fuzz_bar_write,
	.max_size = 8,
};

static void fuzz_config_written(void *ctx, unsigned int offset,
				unsigned int size)
{
	struct gadget *gadget = ctx;

	(void)offset;
	(void)size;
	pci_msix_config_written(gadget->msix);
}

static const struct pci_device_ops fuzz_device_ops = {
	.config_written = fuzz_config_written,
};

static void fuzz_add_bars(struct gadget *gadget, unsigned int index)
{
	struct pci_bar bar = {
		.kind = index == 1 ? PCI_BAR_MEM32 : PCI_BAR_MEM64,
		.size = 0x4000,
		.ops = &fuzz_bar_ops,
		.ctx = gadget,
		.name = "msix",
	};

	pci_device_add_bar(&gadget->pci, 0, &bar);
	bar.kind = PCI_BAR_IO;
	bar.size = 16 << index;
	pci_device_add_bar(&gadget->pci, 2, &bar);
	bar.kind = PCI_BAR_MEM32;
	bar.size = UINT64_C(0x1000) << 2 * index;
	pci_device_add_bar(&gadget->pci, 5, &bar);
}

static void fuzz_make(struct fuzz *fuzz, unsigned int index)
{
	static const unsigned int vectors[GADGETS] = {1, 70, 200};
	struct gadget *gadget = &fuzz->gadgets[index];
	const struct pci_identity identity = {
		.vendor_id = 0x1af4,
		.interrupt_pin = (uint8_t)(index + 1),
	};
	const struct pci_msix_config config = {
		.vectors = vectors[index],
		.table = TABLE,
		.pba = PBA,
		.requester_id = (index + 1) << 3,
	};

	gadget->vectors = vectors[index];
	pci_device_init(&gadget->pci, &identity);
	gadget->pci.ops = &fuzz_device_ops;
	gadget->pci.ctx = gadget;
	fuzz_add_bars(gadget, index);
	fuzz_expect(!pci_msix_new(&gadget->msix, &fuzz->fake.host, &gadget->pci,
				  &config));
	fuzz_expect(!pci_bus_add(fuzz->bus, index + 1, 0, &gadget->pci));
	for (unsigned int i = 0; i < FDS; i++) {
		gadget->fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		gadget->vector_of[i] = -1;
	}
}

static void fuzz_unmake(struct fuzz *fuzz, struct gadget *gadget)
{
	pci_bus_remove(fuzz->bus, &gadget->pci);
	pci_msix_free(gadget->msix);
	for (unsigned int i = 0; i < FDS; i++)
		close(gadget->fds[i]);
}

/* --- Steps ------------------------------------------------------------------
 */

static unsigned int fuzz_size(struct fuzz *fuzz)
{
	return 1u << fuzz_take(fuzz, 1) % 4;
}

static void fuzz_access(struct fuzz *fuzz, enum bus_kind bus, uint64_t addr)
{
	unsigned int size = fuzz_size(fuzz);

	if (fuzz_take(fuzz, 1) & 1)
		fake_host_read(&fuzz->fake, bus, addr, size);
	else
		fake_host_write(&fuzz->fake, bus, addr, size,
				fuzz_take(fuzz, size));
}

static struct gadget *fuzz_gadget(struct fuzz *fuzz)
{
	return &fuzz->gadgets[fuzz_take(fuzz, 1) % GADGETS];
}

static void fuzz_access_bar(struct fuzz *fuzz)
{
	const struct gadget *gadget = fuzz_gadget(fuzz);
	const struct pci_bar *bar =
		&gadget->pci.bars[fuzz_take(fuzz, 1) % PCI_DEVICE_BARS];

	if (bar->mapped)
		fuzz_access(fuzz, bar->kind == PCI_BAR_IO ? BUS_PIO : BUS_MMIO,
			    bar->base + fuzz_take(fuzz, 2) % bar->size);
}

static void fuzz_access_msix(struct fuzz *fuzz)
{
	struct gadget *gadget = fuzz_gadget(fuzz);
	unsigned int size = 1 + (unsigned int)fuzz_take(fuzz, 1) % 8;
	uint64_t offset = fuzz_take(fuzz, fuzz_take(fuzz, 1) & 1 ? 8 : 2);

	pci_msix_table_read(gadget->msix, offset, size);
	pci_msix_pba_read(gadget->msix, offset, size);
	pci_msix_table_write(gadget->msix, offset, size, fuzz_take(fuzz, size));
}

static void fuzz_attach(struct fuzz *fuzz)
{
	struct gadget *gadget = fuzz_gadget(fuzz);
	unsigned int i = (unsigned int)fuzz_take(fuzz, 1) % FDS;
	unsigned int vector = (unsigned int)fuzz_take(fuzz, 2);
	int rc = pci_msix_attach(gadget->msix, gadget->fds[i], vector);

	fuzz_expect((rc == 0) ==
		    (vector < gadget->vectors && gadget->vector_of[i] < 0));
	if (!rc)
		gadget->vector_of[i] = (int)vector;
}

static void fuzz_detach(struct fuzz *fuzz)
{
	struct gadget *gadget = fuzz_gadget(fuzz);
	unsigned int i = (unsigned int)fuzz_take(fuzz, 1) % FDS;

	pci_msix_detach(gadget->msix, gadget->fds[i]);
	gadget->vector_of[i] = -1;
}

static void fuzz_signal(struct fuzz *fuzz)
{
	struct gadget *gadget = fuzz_gadget(fuzz);

	eventfd_write(gadget->fds[fuzz_take(fuzz, 1) % FDS], 1);
}

static void fuzz_forget_attachments(struct fuzz *fuzz)
{
	for (unsigned int i = 0; i < GADGETS * FDS; i++)
		fuzz->gadgets[i / FDS].vector_of[i % FDS] = -1;
}

static void fuzz_reset(struct fuzz *fuzz)
{
	for (unsigned int i = 0; i < GADGETS; i++)
		pci_msix_reset(fuzz->gadgets[i].msix);
	pci_bus_device_ops.reset(fuzz->bus);
	fuzz_forget_attachments(fuzz);
	fuzz_expect(fake_host_ranges(&fuzz->fake) == 2);
	fuzz_expect(fuzz->fake.irqfd_count == 0);
}

/* What was saved can be restored, perhaps after a reset. */
static void fuzz_restore(struct fuzz *fuzz)
{
	bool reset = fuzz_take(fuzz, 1) & 1;
	json_t *bus, *msix[GADGETS];
	struct error err;

	fuzz_expect(!pci_bus_device_ops.save(fuzz->bus, &bus));
	for (unsigned int i = 0; i < GADGETS; i++)
		fuzz_expect(!pci_msix_save(fuzz->gadgets[i].msix, &msix[i]));
	if (reset)
		fuzz_reset(fuzz);
	fuzz_expect(!pci_bus_device_ops.restore(fuzz->bus, bus, &err));
	json_decref(bus);
	for (unsigned int i = 0; i < GADGETS; i++) {
		fuzz_expect(!pci_msix_restore(fuzz->gadgets[i].msix, msix[i],
					      &err));
		json_decref(msix[i]);
	}
	fuzz_forget_attachments(fuzz);
}

static void fuzz_step(struct fuzz *fuzz)
{
	struct gadget *gadget;
	struct error err;

	switch (fuzz_take(fuzz, 1) % 12) {
	case 0:
	case 1: /* mostly of functions that are there */
		fuzz_access(fuzz, BUS_MMIO,
			    ECAM + ((fuzz_take(fuzz, 1) % 5) << 15 |
				    fuzz_take(fuzz, 2) % 0x140));
		break;
	case 2:
		fuzz_access(fuzz, BUS_MMIO,
			    ECAM + fuzz_take(fuzz, 3) % PCI_BUS_ECAM_SIZE);
		break;
	case 3:
		fuzz_access(fuzz, BUS_PIO, PORT + fuzz_take(fuzz, 1) % 8);
		break;
	case 4:
		fuzz_access_bar(fuzz);
		break;
	case 5:
		fuzz_access_msix(fuzz);
		break;
	case 6:
		fuzz_attach(fuzz);
		break;
	case 7:
		fuzz_detach(fuzz);
		break;
	case 8:
		fuzz_signal(fuzz);
		break;
	case 9:
		gadget = fuzz_gadget(fuzz);
		pci_bus_set_intx(fuzz->bus, &gadget->pci,
				 fuzz_take(fuzz, 1) & 1);
		break;
	case 10:
		if (fuzz_take(fuzz, 1) & 1)
			fuzz_reset(fuzz);
		else
			fuzz_expect(!pci_bus_assign(fuzz->bus, &err));
		break;
	default:
		fuzz_restore(fuzz);
		break;
	}
}

/* --- What always holds ------------------------------------------------------
 */

static bool fuzz_in(const struct pci_window *window, const struct pci_bar *bar)
{
	return bar->base >= window->base &&
	       bar->base + bar->size <= window->base + window->size;
}

static unsigned int fuzz_check_bars(const struct pci_device *device)
{
	unsigned int mapped = 0;

	for (unsigned int i = 0; i < PCI_DEVICE_BARS; i++) {
		const struct pci_bar *bar = &device->bars[i];

		if (!bar->mapped)
			continue;
		mapped++;
		fuzz_expect(bar->kind != PCI_BAR_NONE);
		if (bar->kind == PCI_BAR_IO)
			fuzz_expect(fuzz_in(&fuzz_bus.io, bar));
		else
			fuzz_expect(fuzz_in(&fuzz_bus.mem32, bar) ||
				    fuzz_in(&fuzz_bus.mem64, bar));
	}
	return mapped;
}

static void fuzz_check_lines(struct fuzz *fuzz, const struct gadget *gadget)
{
	uint32_t control = pci_device_read(
		&gadget->pci, pci_msix_cap(gadget->msix) + PCI_MSIX_FLAGS, 2);
	bool on = control & PCI_MSIX_FLAGS_ENABLE &&
		  !(control & PCI_MSIX_FLAGS_MASKALL);

	for (unsigned int i = 0; i < FDS; i++) {
		int vector = gadget->vector_of[i];
		bool masked =
			vector < 0 ||
			pci_msix_table_read(gadget->msix,
					    (uint64_t)vector * 16 + 12, 4);

		fuzz_expect(fake_host_listens(&fuzz->fake, gadget->fds[i]) ==
			    (on && !masked));
	}
}

static void fuzz_check(struct fuzz *fuzz)
{
	unsigned int mapped = 0;

	for (unsigned int i = 0; i < GADGETS; i++) {
		mapped += fuzz_check_bars(&fuzz->gadgets[i].pci);
		fuzz_check_lines(fuzz, &fuzz->gadgets[i]);
	}
	fuzz_expect(fake_host_ranges(&fuzz->fake) == 2 + mapped);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct fuzz fuzz;

	log_set_level(LOG_ERROR);
	fuzz.data = data;
	fuzz.len = len;
	fake_host_init(&fuzz.fake);
	fuzz_expect(!pci_bus_new(&fuzz.bus, &fuzz.fake.host, &fuzz_bus));
	for (unsigned int i = 0; i < GADGETS; i++)
		fuzz_make(&fuzz, i);
	for (unsigned int i = 0; i < STEPS_MAX && fuzz.len; i++) {
		fuzz_step(&fuzz);
		fuzz_check(&fuzz);
	}
	for (unsigned int i = 0; i < GADGETS; i++)
		fuzz_unmake(&fuzz, &fuzz.gadgets[i]);
	pci_bus_device_ops.free(fuzz.bus);
	fuzz_expect(!fake_host_ranges(&fuzz.fake) && !fuzz.fake.irqfd_count &&
		    !fuzz.fake.msi_count);
	for (unsigned int i = 0; i < 4; i++)
		fuzz_expect(!fuzz.fake.irq_level[16 + i]);
	return 0;
}
