/*
 * Follows the Devicetree Specification 0.4 and the bindings that Linux has
 * under Documentation/devicetree/bindings, named at each node. tree.h
 * writes it from front to back.
 */
#include "arch/aarch64/fdt.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <linux/input-event-codes.h>
#include <sys/random.h>

#include "arch/aarch64/layout.h"
#include "arch/aarch64/pl061.h"
#include "arch/aarch64/pvpanic.h"
#include "arch/aarch64/tree.h"
#include "vmm/arch.h"

#define FDT_CONSOLE	"/serial@9000000"
#define FDT_SIZE_MAX	(UINT64_C(2) << 20)
#define FDT_KASLR_SIZE	8
#define FDT_RNG_SIZE	32 /* what Linux credits in full */
#define FDT_CLOCK_HZ	24000000
#define FDT_PSCI_METHOD "hvc" /* KVM's */

enum fdt_phandle {
	PHANDLE_GIC = 1,
	PHANDLE_MSI, /* the ITS, or the GICv2m's frame */
	PHANDLE_CLOCK,
	PHANDLE_GPIO,
};

/* interrupt-controller/arm,gic-v3.yaml and arm,gic.yaml */
#define GIC_SPI		 0
#define GIC_PPI		 1
#define GIC_LEVEL_HIGH	 4
#define GIC_V2_MASK_POS	 8
#define GIC_V2_CPUS_MASK 0xffu

#define GPIO_ACTIVE_HIGH 0

/* enum efi_secureboot_mode of Linux */
#define EFI_SECURE_BOOT_DISABLED 2

/* pci/pci.txt of IEEE 1275: the first of a PCI address's three cells */
#define PCI_SPACE_MEM32 0x02000000
#define PCI_SPACE_MEM64 0x03000000
#define PCI_SLOT_POS	11
#define PCI_REQUESTERS	0x10000

static void fdt_add_interrupt(struct tree *tree, uint32_t spi)
{
	tree_cells(tree, "interrupts", GIC_SPI, spi, GIC_LEVEL_HIGH);
}

static void fdt_add_reg(struct tree *tree, uint64_t base, uint64_t size)
{
	tree_cells(tree, "reg", CELLS64(base), CELLS64(size));
}

/* --- CPUs, PSCI, timer ---------------------------------------------------- */

/* arm/cpus.yaml: one cell, or two where there is an Aff3. */
static void fdt_add_cpus(struct tree *tree, const struct fdt_config *config)
{
	uint64_t all = 0;

	for (unsigned int i = 0; i < config->cpus; i++)
		all |= config->mpidr[i];
	tree_begin(tree, "cpus");
	tree_u32(tree, "#address-cells", all >> 32 ? 2 : 1);
	tree_u32(tree, "#size-cells", 0);
	for (unsigned int i = 0; i < config->cpus; i++) {
		uint64_t mpidr = config->mpidr[i];

		tree_begin_at(tree, "cpu", mpidr);
		tree_text(tree, "device_type", "cpu");
		tree_text(tree, "compatible", "arm,armv8");
		if (all >> 32)
			tree_u64(tree, "reg", mpidr);
		else
			tree_u32(tree, "reg", (uint32_t)mpidr);
		tree_text(tree, "enable-method", "psci");
		tree_end(tree);
	}
	tree_end(tree);
}

/* arm/psci.yaml */
static void fdt_add_psci(struct tree *tree)
{
	tree_begin(tree, "psci");
	tree_list(tree, "compatible", "arm,psci-1.0\0arm,psci-0.2");
	tree_text(tree, "method", FDT_PSCI_METHOD);
	tree_end(tree);
}

/* timer/arm,arch_timer.yaml; a GICv2 wants to know which CPUs are meant. */
static void fdt_add_timer(struct tree *tree, const struct fdt_config *config)
{
	uint32_t flags = GIC_LEVEL_HIGH;

	if (config->gic_version == 2)
		flags |= (((1u << config->cpus) - 1) & GIC_V2_CPUS_MASK)
			 << GIC_V2_MASK_POS;
	tree_begin(tree, "timer");
	tree_text(tree, "compatible", "arm,armv8-timer");
	tree_cells(tree, "interrupts", GIC_PPI, PPI_TIMER_SECURE, flags,
		   GIC_PPI, PPI_TIMER_PHYSICAL, flags, GIC_PPI,
		   PPI_TIMER_VIRTUAL, flags, GIC_PPI, PPI_TIMER_HYP, flags);
	tree_flag(tree, "always-on");
	tree_end(tree);
}

/* --- Interrupt controllers ------------------------------------------------ */

static void fdt_add_its(struct tree *tree)
{
	tree_begin_at(tree, "msi-controller", LAYOUT_GIC_ITS);
	tree_text(tree, "compatible", "arm,gic-v3-its");
	tree_flag(tree, "msi-controller");
	tree_u32(tree, "#msi-cells", 1);
	fdt_add_reg(tree, LAYOUT_GIC_ITS, LAYOUT_GIC_ITS_SIZE);
	tree_u32(tree, "phandle", PHANDLE_MSI);
	tree_end(tree);
}

static void fdt_add_v2m(struct tree *tree)
{
	tree_begin_at(tree, "v2m", LAYOUT_GIC_V2M);
	tree_text(tree, "compatible", "arm,gic-v2m-frame");
	tree_flag(tree, "msi-controller");
	fdt_add_reg(tree, LAYOUT_GIC_V2M, LAYOUT_GIC_V2M_SIZE);
	tree_u32(tree, "arm,msi-base-spi", INTID_SPI + SPI_V2M);
	tree_u32(tree, "arm,msi-num-spis", SPI_V2M_COUNT);
	tree_u32(tree, "phandle", PHANDLE_MSI);
	tree_end(tree);
}

static void fdt_add_gic(struct tree *tree, const struct fdt_config *config)
{
	bool is_v3 = config->gic_version == 3;

	tree_begin_at(tree, "interrupt-controller", LAYOUT_GIC_DIST);
	if (is_v3) {
		tree_text(tree, "compatible", "arm,gic-v3");
		tree_cells(tree, "reg", CELLS64(LAYOUT_GIC_DIST),
			   CELLS64(LAYOUT_GIC_DIST_SIZE),
			   CELLS64(LAYOUT_GIC_REDIST),
			   CELLS64(LAYOUT_GIC_REDIST_SIZE));
		tree_u32(tree, "#redistributor-regions", 1);
	} else {
		tree_text(tree, "compatible", "arm,cortex-a15-gic");
		tree_cells(tree, "reg", CELLS64(LAYOUT_GIC_DIST),
			   CELLS64(LAYOUT_GIC_DIST_SIZE),
			   CELLS64(LAYOUT_GIC_CPU),
			   CELLS64(LAYOUT_GIC_CPU_SIZE));
	}
	tree_flag(tree, "interrupt-controller");
	tree_u32(tree, "#interrupt-cells", 3);
	tree_u32(tree, "#address-cells", 2);
	tree_u32(tree, "#size-cells", 2);
	tree_flag(tree, "ranges");
	tree_u32(tree, "phandle", PHANDLE_GIC);
	if (!is_v3)
		fdt_add_v2m(tree);
	else if (config->has_its)
		fdt_add_its(tree);
	tree_end(tree);
}

/* --- PrimeCells ----------------------------------------------------------- */

/* They want a clock; it never stops, and its rate changes nothing. */
static void fdt_add_clock(struct tree *tree)
{
	tree_begin(tree, "apb-pclk");
	tree_text(tree, "compatible", "fixed-clock");
	tree_u32(tree, "#clock-cells", 0);
	tree_u32(tree, "clock-frequency", FDT_CLOCK_HZ);
	tree_text(tree, "clock-output-names", "clk24mhz");
	tree_u32(tree, "phandle", PHANDLE_CLOCK);
	tree_end(tree);
}

/* serial/pl011.yaml */
static void fdt_add_uart(struct tree *tree)
{
	static_assert(LAYOUT_UART == 0x9000000, "FDT_CONSOLE says so");
	tree_begin_at(tree, "serial", LAYOUT_UART);
	tree_list(tree, "compatible", "arm,pl011\0arm,primecell");
	fdt_add_reg(tree, LAYOUT_UART, LAYOUT_PAGE);
	fdt_add_interrupt(tree, SPI_UART);
	tree_cells(tree, "clocks", PHANDLE_CLOCK, PHANDLE_CLOCK);
	tree_list(tree, "clock-names", "uartclk\0apb_pclk");
	tree_end(tree);
}

/* rtc/arm,pl031.yaml; without an interrupt, see pl031.c. */
static void fdt_add_rtc(struct tree *tree)
{
	tree_begin_at(tree, "rtc", LAYOUT_RTC);
	tree_list(tree, "compatible", "arm,pl031\0arm,primecell");
	fdt_add_reg(tree, LAYOUT_RTC, LAYOUT_PAGE);
	tree_u32(tree, "clocks", PHANDLE_CLOCK);
	tree_text(tree, "clock-names", "apb_pclk");
	tree_end(tree);
}

/* gpio/pl061-gpio.yaml, and on one of its lines input/gpio-keys.yaml */
static void fdt_add_gpio(struct tree *tree)
{
	tree_begin_at(tree, "gpio", LAYOUT_GPIO);
	tree_list(tree, "compatible", "arm,pl061\0arm,primecell");
	fdt_add_reg(tree, LAYOUT_GPIO, LAYOUT_PAGE);
	fdt_add_interrupt(tree, SPI_GPIO);
	tree_flag(tree, "gpio-controller");
	tree_u32(tree, "#gpio-cells", 2);
	tree_u32(tree, "clocks", PHANDLE_CLOCK);
	tree_text(tree, "clock-names", "apb_pclk");
	tree_u32(tree, "phandle", PHANDLE_GPIO);
	tree_end(tree);

	tree_begin(tree, "gpio-keys");
	tree_text(tree, "compatible", "gpio-keys");
	tree_begin(tree, "power-key");
	tree_text(tree, "label", "Power button");
	tree_u32(tree, "linux,code", KEY_POWER);
	tree_cells(tree, "gpios", PHANDLE_GPIO, PL061_POWER_BUTTON,
		   GPIO_ACTIVE_HIGH);
	tree_end(tree);
	tree_end(tree);
}

/* --- The rest ------------------------------------------------------------- */

/* misc/pvpanic-mmio.txt; and bantam's own: writing a 32-bit value there ends
 * the machine with it as its status (docs/ARCHITECTURE.md). */
static void fdt_add_pvpanic(struct tree *tree)
{
	tree_begin_at(tree, "pvpanic", LAYOUT_PVPANIC + PVPANIC_EVENTS);
	tree_text(tree, "compatible", "qemu,pvpanic-mmio");
	fdt_add_reg(tree, LAYOUT_PVPANIC + PVPANIC_EVENTS, 2);
	tree_end(tree);

	tree_begin_at(tree, "debug-exit", LAYOUT_PVPANIC + PVPANIC_DEBUG_EXIT);
	tree_text(tree, "compatible", "bantam,debug-exit");
	fdt_add_reg(tree, LAYOUT_PVPANIC + PVPANIC_DEBUG_EXIT, 4);
	tree_end(tree);
}

/* virtio/mmio.yaml */
static void fdt_add_virtio_mmio(struct tree *tree,
				const struct fdt_config *config)
{
	for (unsigned int i = 0; i < config->virtio_mmio; i++) {
		uint64_t base =
			LAYOUT_VIRTIO_MMIO + i * LAYOUT_VIRTIO_MMIO_SIZE;

		tree_begin_at(tree, "virtio", base);
		tree_text(tree, "compatible", "virtio,mmio");
		fdt_add_reg(tree, base, LAYOUT_VIRTIO_MMIO_SIZE);
		fdt_add_interrupt(tree, SPI_VIRTIO_MMIO + i);
		tree_flag(tree, "dma-coherent");
		tree_end(tree);
	}
}

/* No window of I/O ports, which pci/bus.c is not asked for on Arm. */
static void fdt_add_pci_ranges(struct tree *tree,
			       const struct fdt_config *config)
{
	uint64_t base = config->pci64_base;
	uint64_t size = config->pci64_size;
	const uint32_t ranges[] = {
		PCI_SPACE_MEM32,       CELLS64(LAYOUT_PCI32),
		CELLS64(LAYOUT_PCI32), CELLS64(LAYOUT_PCI32_SIZE),
		PCI_SPACE_MEM64,       CELLS64(base),
		CELLS64(base),	       CELLS64(size),
	};
	size_t count = sizeof(ranges) / sizeof(*ranges);

	tree_array(tree, "ranges", ranges, size ? count : count / 2);
}

/* Pin p (0: INTA) of slot s is SPI_PCI + (s + p) % 4, so that four slots are
 * all there are to tell. */
static void fdt_add_pci_interrupts(struct tree *tree)
{
	uint32_t map[SPI_PCI_PINS * SPI_PCI_PINS][10];
	uint32_t *entry = map[0];

	for (uint32_t slot = 0; slot < SPI_PCI_PINS; slot++) {
		for (uint32_t pin = 0; pin < SPI_PCI_PINS; pin++) {
			uint32_t spi = SPI_PCI + (slot + pin) % SPI_PCI_PINS;
			const uint32_t cells[] = {
				slot << PCI_SLOT_POS,
				0,
				0,
				pin + 1,
				PHANDLE_GIC,
				0,
				0,
				GIC_SPI,
				spi,
				GIC_LEVEL_HIGH,
			};

			static_assert(sizeof(cells) == sizeof(map[0]), "");
			memcpy(entry, cells, sizeof(cells));
			entry += sizeof(cells) / sizeof(*cells);
		}
	}
	tree_u32(tree, "#interrupt-cells", 1);
	tree_array(tree, "interrupt-map", map[0], sizeof(map) / sizeof(**map));
	tree_cells(tree, "interrupt-map-mask",
		   (SPI_PCI_PINS - 1) << PCI_SLOT_POS, 0, 0, 7);
}

/* pci/host-generic-pci.yaml and pci/pci-msi.txt */
static void fdt_add_pci(struct tree *tree, const struct fdt_config *config)
{
	tree_begin_at(tree, "pcie", LAYOUT_ECAM);
	tree_text(tree, "compatible", "pci-host-ecam-generic");
	tree_text(tree, "device_type", "pci");
	fdt_add_reg(tree, LAYOUT_ECAM, LAYOUT_ECAM_SIZE);
	tree_cells(tree, "bus-range", 0, 0);
	tree_u32(tree, "linux,pci-domain", 0);
	tree_u32(tree, "#address-cells", 3);
	tree_u32(tree, "#size-cells", 2);
	fdt_add_pci_ranges(tree, config);
	fdt_add_pci_interrupts(tree);
	if (config->gic_version == 2 || config->has_its)
		tree_cells(tree, "msi-map", 0, PHANDLE_MSI, 0, PCI_REQUESTERS);
	tree_flag(tree, "dma-coherent");
	tree_end(tree);
}

static void fdt_add_memory(struct tree *tree, const struct guest_mem *mem)
{
	const struct guest_mem_region *regions;
	unsigned int count = guest_mem_regions(mem, &regions);

	for (unsigned int i = 0; i < count; i++) {
		tree_begin_at(tree, "memory", regions[i].base);
		tree_text(tree, "device_type", "memory");
		fdt_add_reg(tree, regions[i].base, regions[i].size);
		tree_end(tree);
	}
}

static int fdt_get_random(void *buf, size_t len, struct error *err)
{
	ssize_t n;

	/* Up to 256 bytes come whole. */
	do
		n = getrandom(buf, len, 0);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)len)
		return 0;
	return error_set(err, n < 0 ? errno : EIO,
			 "cannot get random bytes for the guest: %s",
			 strerror(n < 0 ? errno : EIO));
}

/* What the EFI stub, which is not run, tells the kernel that it enters (Linux's
 * Documentation/arch/arm/uefi.rst). */
static void fdt_add_efi(struct tree *tree, const struct efi_handoff *efi)
{
	tree_u64(tree, "linux,uefi-system-table", efi->system_table);
	tree_u64(tree, "linux,uefi-mmap-start", efi->mmap);
	tree_u32(tree, "linux,uefi-mmap-size", efi->mmap_size);
	tree_u32(tree, "linux,uefi-mmap-desc-size", efi->desc_size);
	tree_u32(tree, "linux,uefi-mmap-desc-ver", efi->desc_version);
	/* Debian's kernels take the others only with this one. */
	tree_u32(tree, "linux,uefi-secure-boot", EFI_SECURE_BOOT_DISABLED);
}

/* Linux's dt-schema chosen.yaml. The seeds are what the guest randomises its
 * addresses with and what its generator begins with. */
static int fdt_add_chosen(struct tree *tree, const struct fdt_config *config,
			  struct error *err)
{
	uint8_t seed[FDT_KASLR_SIZE + FDT_RNG_SIZE];
	int ret;

	ret = fdt_get_random(seed, sizeof(seed), err);
	if (ret)
		return ret;
	tree_begin(tree, "chosen");
	tree_text(tree, "bootargs", config->cmdline);
	if (config->efi)
		fdt_add_efi(tree, config->efi);
	else
		tree_text(tree, "stdout-path", FDT_CONSOLE);
	tree_bytes(tree, "kaslr-seed", seed, FDT_KASLR_SIZE);
	tree_bytes(tree, "rng-seed", seed + FDT_KASLR_SIZE, FDT_RNG_SIZE);
	if (config->initrd_size) {
		tree_u64(tree, "linux,initrd-start", config->initrd);
		tree_u64(tree, "linux,initrd-end",
			 config->initrd + config->initrd_size);
	}
	tree_end(tree);
	return 0;
}

static void fdt_add_machine(struct tree *tree, const struct fdt_config *config,
			    const struct guest_mem *mem)
{
	tree_u32(tree, "interrupt-parent", PHANDLE_GIC);
	tree_begin(tree, "aliases");
	tree_text(tree, "serial0", FDT_CONSOLE);
	tree_end(tree);
	fdt_add_memory(tree, mem);
	fdt_add_cpus(tree, config);
	fdt_add_psci(tree);
	fdt_add_timer(tree, config);
	fdt_add_gic(tree, config);
	fdt_add_clock(tree);
	fdt_add_uart(tree);
	fdt_add_rtc(tree);
	fdt_add_gpio(tree);
	fdt_add_pvpanic(tree);
	fdt_add_virtio_mmio(tree, config);
	fdt_add_pci(tree, config);
}

static int fdt_add_all(struct tree *tree, const struct fdt_config *config,
		       const struct guest_mem *mem, struct error *err)
{
	int ret;

	tree_begin(tree, "");
	tree_text(tree, "compatible", "linux,dummy-virt");
	tree_text(tree, "model", "bantam");
	tree_u32(tree, "#address-cells", 2);
	tree_u32(tree, "#size-cells", 2);
	/* Any other node would have Linux take the tree for complete. */
	if (!config->efi)
		fdt_add_machine(tree, config, mem);
	ret = fdt_add_chosen(tree, config, err);
	tree_end(tree);
	return ret;
}

int fdt_build(const struct fdt_config *config, struct guest_mem *mem,
	      uint64_t gpa, uint64_t size, struct error *err)
{
	struct tree tree;
	uint32_t len;
	int ret;

	/* booting.rst, "2. Setup the device tree": at most 2 MiB */
	if (size > FDT_SIZE_MAX)
		size = FDT_SIZE_MAX;
	ret = tree_open(&tree, size);
	if (ret)
		return error_set(err, -ret, "out of memory");
	ret = fdt_add_all(&tree, config, mem, err);
	if (!ret)
		ret = tree_close(&tree, &len, err);
	if (ret)
		goto out;
	ret = guest_mem_write(mem, gpa, tree.blob, len);
	if (ret)
		error_set(err, -ret,
			  "--memory: no RAM at 0x%" PRIx64
			  " for the device tree",
			  gpa);
out:
	tree_free(&tree);
	return ret;
}
