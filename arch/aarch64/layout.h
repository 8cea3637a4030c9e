/*
 * Where things are in the guest's physical address space, and which interrupt
 * they have: the map of QEMU's virt machine, which firmware expects.
 */
#ifndef ARCH_AARCH64_LAYOUT_H
#define ARCH_AARCH64_LAYOUT_H

#include <stdint.h>

#define LAYOUT_GIC_DIST	       UINT64_C(0x08000000)
#define LAYOUT_GIC_DIST_SIZE   UINT64_C(0x10000)
#define LAYOUT_GIC_CPU	       UINT64_C(0x08010000) /* GICv2 */
#define LAYOUT_GIC_CPU_SIZE    UINT64_C(0x10000)
#define LAYOUT_GIC_V2M	       UINT64_C(0x08020000) /* GICv2's MSI frame */
#define LAYOUT_GIC_V2M_SIZE    UINT64_C(0x1000)
#define LAYOUT_GIC_ITS	       UINT64_C(0x08080000)
#define LAYOUT_GIC_ITS_SIZE    UINT64_C(0x20000)
#define LAYOUT_GIC_REDIST      UINT64_C(0x080a0000) /* 128 KiB each vCPU */
#define LAYOUT_GIC_REDIST_SIZE UINT64_C(0x00f60000)

#define LAYOUT_UART UINT64_C(0x09000000) /* PL011; a page each */
#define LAYOUT_RTC  UINT64_C(0x09010000) /* PL031 */
#define LAYOUT_GPIO UINT64_C(0x09030000) /* PL061 */
#define LAYOUT_GED  UINT64_C(0x09080000)
/* pvpanic, and the debug-exit word at the page's end; QEMU has nothing here. */
#define LAYOUT_PVPANIC UINT64_C(0x090c0000)
#define LAYOUT_PAGE    UINT64_C(0x1000)

/* Virtio over MMIO, a page each. */
#define LAYOUT_VIRTIO_MMIO	UINT64_C(0x0a000000)
#define LAYOUT_VIRTIO_MMIO_SIZE UINT64_C(0x1000)
#define LAYOUT_VIRTIO_MMIO_MAX	32

#define LAYOUT_PCI32	   UINT64_C(0x10000000)
#define LAYOUT_PCI32_SIZE  UINT64_C(0x2eff0000)
#define LAYOUT_PCI_IO	   UINT64_C(0x3eff0000)
#define LAYOUT_PCI_IO_SIZE UINT64_C(0x10000)
#define LAYOUT_ECAM	   UINT64_C(0x3f000000) /* bus 0 alone: 1 MiB */
#define LAYOUT_ECAM_SIZE   UINT64_C(0x100000)

#define LAYOUT_RAM UINT64_C(0x40000000) /* up to 255 GiB */

/* 64-bit BARs, where the CPU's addresses reach; past RAM. Linux warns of 4 GiB
 * and more that are not prefetchable. */
#define LAYOUT_PCI64_ALIGN UINT64_C(0x1000000000) /* 64 GiB */
#define LAYOUT_PCI64_SIZE  UINT64_C(0x80000000)

/* Interrupts: shared peripheral ones count from INTID 32; the device tree and
 * this list count from 0. */
#define SPI_UART	1
#define SPI_RTC		2
#define SPI_PCI		3 /* INTA to INTD: 3 to 6 */
#define SPI_PCI_PINS	4
#define SPI_GPIO	7
#define SPI_GED		9
#define SPI_VIRTIO_MMIO 16 /* one each */
#define SPI_V2M		48 /* of the GICv2m frame */
#define SPI_V2M_COUNT	64
#define SPI_COUNT	(SPI_V2M + SPI_V2M_COUNT)
#define INTID_SPI	32

/* Private ones, as the device tree counts them: INTID - 16. */
#define PPI_TIMER_SECURE   13
#define PPI_TIMER_PHYSICAL 14
#define PPI_TIMER_VIRTUAL  11
#define PPI_TIMER_HYP	   10

#endif
